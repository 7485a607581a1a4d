//! The relay itself: what it does to datagrams is what it was told to do.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::support::dice::Dice;
use crate::support::patience::{SOON, eventually};
use crate::support::relay::{Direction, Relay, Weather};

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    socket
}

/// Sends numbered datagrams through a relay until each that will arrive has, and answers the numbers in the order of their arrival.
fn send_numbered(relay: &Relay, to: &UdpSocket, from: &UdpSocket, count: u32) -> Vec<u32> {
    let mut arrived = Vec::new();
    let fate = |fate: &std::sync::atomic::AtomicU64| usize::try_from(fate.load(Ordering::Relaxed)).unwrap();
    let mut buffer = [0; 16];
    let mut take = |arrived: &mut Vec<u32>| {
        while let Ok(4) = to.recv(&mut buffer) {
            arrived.push(u32::from_be_bytes(buffer[..4].try_into().unwrap()));
        }
    };
    let fates = relay.fates();
    for number in 0..count {
        from.send_to(&number.to_be_bytes(), relay.address()).unwrap();
        // Taken in small groups, so that no buffer of the system overflows and hides what the relay did.
        if number % 50 == 49 {
            eventually(SOON, "the relay takes every datagram", || {
                let seen = fate(&fates.passed) + fate(&fates.dropped) + fate(&fates.cut);
                if seen > number as usize { Ok(()) } else { Err(seen) }
            });
            take(&mut arrived);
        }
    }
    eventually(SOON, "every copy arrives", || {
        take(&mut arrived);
        let expected = fate(&fates.passed) + fate(&fates.duplicated);
        if arrived.len() == expected { Ok(()) } else { Err(format!("{} of {expected}", arrived.len())) }
    });
    arrived
}

#[test]
fn a_fair_line_passes_everything_in_order_and_both_ways() {
    let (node, other) = (socket(), socket());
    let relay = Relay::between_nodes(Dice::from_seed(1));
    relay.set_target(node.local_addr().unwrap());
    relay.know(other.local_addr().unwrap(), 7);
    assert_eq!(send_numbered(&relay, &node, &other, 200), (0..200).collect::<Vec<_>>());

    let mut buffer = [0; 16];
    other.send_to(b"question", relay.address()).unwrap();
    let (_, way_back) = eventually(SOON, "the question arrives", || node.recv_from(&mut buffer));
    node.send_to(b"answer", way_back).unwrap();
    let (length, from) = eventually(SOON, "the answer arrives", || other.recv_from(&mut buffer));
    assert_eq!((&buffer[..length], from), (&b"answer"[..], relay.address()));
}

#[test]
fn a_storm_drops_doubles_and_reorders_about_as_often_as_it_was_told() {
    let (node, other) = (socket(), socket());
    let relay = Relay::between_nodes(Dice::from_seed(2));
    relay.set_target(node.local_addr().unwrap());
    relay.know(other.local_addr().unwrap(), 0);
    relay.set(0, Direction::In, Weather { delay_ms: 0..=3, ..Weather::STORM });
    let arrived = send_numbered(&relay, &node, &other, 1_000);

    let mut copies = BTreeMap::new();
    arrived.iter().for_each(|number| *copies.entry(*number).or_insert(0) += 1);
    let lost = 1_000 - copies.len();
    let doubled = copies.values().filter(|count| **count > 1).count();
    assert!((40..=140).contains(&lost), "{lost} of 1000 were lost");
    assert!((50..=160).contains(&doubled), "{doubled} of 1000 came twice");
    assert!(arrived.windows(2).any(|pair| pair[0] > pair[1]), "none was overtaken");
}

#[test]
fn a_cut_is_one_way_or_both_and_heals() {
    let (node, other) = (socket(), socket());
    let relay = Relay::between_nodes(Dice::from_seed(3));
    relay.set_target(node.local_addr().unwrap());
    relay.know(other.local_addr().unwrap(), 0);
    relay.set(0, Direction::Out, Weather::CUT);

    let mut buffer = [0; 16];
    other.send_to(b"in", relay.address()).unwrap();
    let (_, way_back) = eventually(SOON, "the way in is open", || node.recv_from(&mut buffer));
    node.send_to(b"lost", way_back).unwrap();
    eventually(SOON, "the way out is cut", || match relay.fates().cut.load(Ordering::Relaxed) {
        1 => Ok(()),
        count => Err(count),
    });
    relay.set(0, Direction::Out, Weather::FAIR);
    node.send_to(b"healed", way_back).unwrap();
    let (length, _) = eventually(SOON, "the way out is open again", || other.recv_from(&mut buffer));
    assert_eq!(&buffer[..length], b"healed");
}

#[test]
fn a_stranger_waits_until_it_is_known() {
    let (node, stranger) = (socket(), socket());
    let relay = Relay::between_nodes(Dice::from_seed(4));
    relay.set_target(node.local_addr().unwrap());
    relay.set(5, Direction::In, Weather::FAIR);
    let mut buffer = [0; 16];
    for _ in 0..3 {
        stranger.send_to(b"early", relay.address()).unwrap();
        assert!(node.recv_from(&mut buffer).is_err(), "a stranger's datagram passed");
    }
    relay.know(stranger.local_addr().unwrap(), 5);
    let (length, _) = eventually(SOON, "what it sent goes on", || node.recv_from(&mut buffer));
    assert_eq!(&buffer[..length], b"early");
}
