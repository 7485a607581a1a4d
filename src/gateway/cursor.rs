//! Cursors: which of this node's changes somebody has seen. Opaque to clients.
//!
//! Node, epoch and sequence number: what arrived *here* after it, whenever it was watched. A reader that went by the time of the events would
//! never be told of those that a device uploads late.

use std::fmt::Write;

use crate::store::{Epoch, Seq, Store};

fn put_node(store: &Store, text: &mut String) {
    let [a, b, c, d, ..] = store.id().0;
    // Writing to a string does not fail, here and below.
    let _ = write!(text, "{:08x}-", u32::from_be_bytes([a, b, c, d]));
}

fn put_life(store: &Store, text: &mut String) {
    put_node(store, text);
    let _ = write!(text, "{:x}-", store.epoch().0);
}

/// The cursor of a change of this node.
pub(crate) fn cursor(store: &Store, seq: Seq) -> String {
    let mut text = String::with_capacity(48);
    put_life(store, &mut text);
    let _ = write!(text, "{}", seq.0);
    text
}

/// The cursor of somebody who must first forget what they hold: as good as a foreign one.
pub(super) fn of_reset(store: &Store) -> String {
    let mut text = String::with_capacity(48);
    put_life(store, &mut text);
    text.push_str("reset");
    text
}

/// The change that a cursor names; none if it is another node's, or from before this one lost its data or was set back: then nobody knows what was
/// missed.
pub(super) fn parse(store: &Store, text: &str) -> Option<Seq> {
    let mut node = String::with_capacity(16);
    put_node(store, &mut node);
    let (epoch, digits) = text.strip_prefix(node.as_str())?.split_once('-')?;
    let all = |text: &str, is_digit: fn(&u8) -> bool| !text.is_empty() && text.as_bytes().iter().all(is_digit);
    if !all(epoch, u8::is_ascii_hexdigit) || !all(digits, u8::is_ascii_digit) {
        return None;
    }
    let (epoch, seq) = (Epoch(u64::from_str_radix(epoch, 16).ok()?), Seq(digits.parse().ok()?));
    (store.lives().have(epoch, seq) && seq <= store.durable()).then_some(seq)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Fresh, ReplicaId, StoreOptions};

    fn store(node: u8, epoch: u64) -> Store {
        Store::in_memory(StoreOptions::default(), Fresh { id: ReplicaId([node; 16]), epoch: Epoch(epoch) })
    }

    #[test]
    fn a_cursor_is_understood_by_the_node_that_gave_it_and_by_no_other() {
        let text = cursor(&store(1, 7), Seq(0));
        assert_eq!(parse(&store(1, 7), &text), Some(Seq(0)));
        assert_eq!(parse(&store(2, 7), &text), None);
        assert_eq!(parse(&store(1, 8), &text), None);
    }

    #[test]
    fn a_cursor_outlives_the_restart_of_its_node_and_not_its_being_set_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut epoch = 0;
        let mut open = || {
            epoch += 1;
            let fresh = Fresh { id: ReplicaId([1; 16]), epoch: Epoch(epoch) };
            Store::open_folder(folder.path(), StoreOptions::small(), fresh).unwrap().0
        };
        let store = open();
        let text = cursor(&store, Seq(0));
        let beyond = cursor(&store, Seq(1));
        store.close().unwrap();
        drop(store);
        let store = open();
        assert_eq!(parse(&store, &text), Some(Seq(0)));
        assert_eq!(parse(&store, &beyond), None, "what it had read is not here any more");
    }

    #[test]
    fn what_is_no_cursor_is_foreign() {
        let store = store(1, 7);
        for bad in
            ["", "0", "01010101-7-", "01010101-7-+0", "01010101-7--1", "01010101-7-0x", "01010101-7-99999999999999999999999", "\u{fc}"]
        {
            assert_eq!(parse(&store, bad), None, "{bad}");
        }
        assert_eq!(parse(&store, "01010101-7-1"), None, "a number that was never given");
        assert_eq!(parse(&store, &of_reset(&store)), None);
    }
}
