//! A relay in front of a node's QUIC socket: what passes is decided by the [`Lines`], and by nothing in the node.
//!
//! Others dial the relay's address. For each sender it keeps a socket of its own towards the node, as an address translator does, so that
//! the node answers each of them apart. Dropping the relay ends it.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::lines::Lines;
use super::party::Party;

/// Senders at once; the datagrams of further ones are dropped. Each peer and each new socket of a device is one.
const SENDERS_COUNT_MAX: usize = 64;
const DATAGRAM_BYTES_MAX: usize = 65_535;

/// A running relay.
#[derive(Debug)]
pub(super) struct Relay {
    address: SocketAddr,
    node: watch::Sender<Option<SocketAddr>>,
    _tasks: JoinSet<()>,
}

/// What every datagram is judged by.
#[derive(Clone, Debug)]
struct Gate {
    lines: Arc<Lines>,
    // The party behind the relay, and the one before it if that is always the same.
    behind: Party,
    before: Option<Party>,
}

impl Gate {
    // Who is not known is judged as nobody's: only the node's own cut counts. Nodes are known as soon as they listen.
    fn passes(&self, sender: SocketAddr) -> bool {
        match self.before.or_else(|| self.lines.sender(sender)) {
            Some(other) => self.lines.passes(self.behind, other),
            None => !self.lines.is_cut(self.behind),
        }
    }
}

impl Relay {
    /// A relay before the node of `behind`, on a free loopback port. With `before`, all that comes is that party's.
    ///
    /// Until [`Relay::set_node`] is called, datagrams are dropped: QUIC sends them again.
    pub(super) async fn open(lines: Arc<Lines>, behind: Party, before: Option<Party>) -> io::Result<Self> {
        let front = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?);
        let address = front.local_addr()?;
        let (node, node_address) = watch::channel(None);
        let mut tasks = JoinSet::new();
        tasks.spawn(inward(front, Gate { lines, behind, before }, node_address));
        Ok(Self { address, node, _tasks: tasks })
    }

    /// Where others reach the node through it.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the node itself listens.
    pub(super) fn set_node(&self, address: SocketAddr) {
        self.node.send_replace(Some(address));
    }
}

async fn inward(front: Arc<UdpSocket>, gate: Gate, node: watch::Receiver<Option<SocketAddr>>) {
    let mut ways: BTreeMap<SocketAddr, Arc<UdpSocket>> = BTreeMap::new();
    // Dropped with this task, and with it the ways back.
    let mut answering = JoinSet::new();
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        // An error here is the answer to an earlier datagram, whose sender has gone; those that follow are not affected.
        let Ok((length, sender)) = front.recv_from(&mut buffer).await else { continue };
        let Some(node) = *node.borrow() else { continue };
        if !gate.passes(sender) {
            continue;
        }
        let way = match ways.get(&sender) {
            Some(way) => Arc::clone(way),
            None if ways.len() >= SENDERS_COUNT_MAX => continue,
            None => {
                let Ok(way) = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await else { continue };
                let way = Arc::new(way);
                answering.spawn(outward(Arc::clone(&way), Arc::clone(&front), gate.clone(), sender));
                ways.insert(sender, Arc::clone(&way));
                way
            }
        };
        // A datagram that could not be sent is one that was lost.
        let _ = way.send_to(&buffer[..length], node).await;
    }
}

async fn outward(way: Arc<UdpSocket>, front: Arc<UdpSocket>, gate: Gate, sender: SocketAddr) {
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        let Ok((length, _)) = way.recv_from(&mut buffer).await else { continue };
        if gate.passes(sender) {
            // As above.
            let _ = front.send_to(&buffer[..length], sender).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);
    /// Long enough for a datagram that passes on loopback; what is cut must not come within it.
    const NOT_COMING: Duration = Duration::from_millis(150);

    async fn socket() -> UdpSocket {
        UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap()
    }

    async fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
        let mut buffer = [0; 64];
        let (length, from) = timeout(SOON, socket.recv_from(&mut buffer)).await.expect("the datagram comes").unwrap();
        (buffer[..length].to_vec(), from)
    }

    async fn nothing_comes(socket: &UdpSocket) -> bool {
        timeout(NOT_COMING, socket.recv_from(&mut [0; 64])).await.is_err()
    }

    #[tokio::test]
    async fn datagrams_pass_both_ways_and_each_sender_has_a_way_of_its_own() {
        let (node, us, ap) = (socket().await, socket().await, socket().await);
        let relay = Relay::open(Arc::default(), Party::Eu, None).await.unwrap();
        relay.set_node(node.local_addr().unwrap());
        us.send_to(b"from us", relay.address()).await.unwrap();
        let (said, way_us) = receive(&node).await;
        assert_eq!(said, b"from us");
        ap.send_to(b"from ap", relay.address()).await.unwrap();
        let (said, way_ap) = receive(&node).await;
        assert_eq!(said, b"from ap");
        assert_ne!(way_us, way_ap);
        node.send_to(b"to us", way_us).await.unwrap();
        assert_eq!(receive(&us).await, (b"to us".to_vec(), relay.address()));
    }

    #[tokio::test]
    async fn a_cut_drops_both_ways_between_the_two_and_nothing_else() {
        let (node, us, ap) = (socket().await, socket().await, socket().await);
        let lines = Arc::new(Lines::default());
        lines.note_sender(us.local_addr().unwrap(), Party::Us);
        lines.note_sender(ap.local_addr().unwrap(), Party::Ap);
        let relay = Relay::open(Arc::clone(&lines), Party::Eu, None).await.unwrap();
        relay.set_node(node.local_addr().unwrap());
        ap.send_to(b"before", relay.address()).await.unwrap();
        let (_, way_ap) = receive(&node).await;

        lines.cut(Party::Ap);
        ap.send_to(b"lost", relay.address()).await.unwrap();
        us.send_to(b"passes", relay.address()).await.unwrap();
        assert_eq!(receive(&node).await.0, b"passes");
        node.send_to(b"lost", way_ap).await.unwrap();
        assert!(nothing_comes(&ap).await);
        assert!(nothing_comes(&node).await);

        lines.heal(Party::Ap);
        node.send_to(b"healed", way_ap).await.unwrap();
        assert_eq!(receive(&ap).await.0, b"healed");
    }

    #[tokio::test]
    async fn a_relay_of_one_party_knows_it_whatever_address_it_sends_from() {
        let (node, phone) = (socket().await, socket().await);
        let lines = Arc::new(Lines::default());
        let relay = Relay::open(Arc::clone(&lines), Party::Eu, Some(Party::Phone)).await.unwrap();
        relay.set_node(node.local_addr().unwrap());
        lines.cut(Party::Phone);
        phone.send_to(b"in the tunnel", relay.address()).await.unwrap();
        assert!(nothing_comes(&node).await);
        lines.heal(Party::Phone);
        lines.cut(Party::Eu);
        socket().await.send_to(b"on the platform", relay.address()).await.unwrap();
        assert_eq!(receive(&node).await.0, b"on the platform");
    }

    #[tokio::test]
    async fn a_relay_that_is_dropped_passes_nothing_on() {
        let (node, us) = (socket().await, socket().await);
        let relay = Relay::open(Arc::default(), Party::Eu, None).await.unwrap();
        relay.set_node(node.local_addr().unwrap());
        let address = relay.address();
        us.send_to(b"open", address).await.unwrap();
        let (_, way) = receive(&node).await;
        drop(relay);
        // The task ends at its next turn of the runtime.
        tokio::task::yield_now().await;
        let _ = us.send_to(b"closed", address).await;
        let _ = node.send_to(b"closed", way).await;
        assert!(nothing_comes(&node).await && nothing_comes(&us).await);
    }
}
