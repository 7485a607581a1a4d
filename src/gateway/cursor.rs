//! Cursors: which of this node's changes somebody has seen. Opaque to clients.
//!
//! Node, epoch and sequence number: what arrived *here* after it, whenever it was watched. A reader that went by the time of the events would
//! never be told of those that a device uploads late.

use std::fmt::Write;

use crate::store::{Seq, Store};

fn put_life(store: &Store, text: &mut String) {
    let [a, b, c, d, ..] = store.id().0;
    // Writing to a string does not fail, here and below.
    let _ = write!(text, "{:08x}-{:x}-", u32::from_be_bytes([a, b, c, d]), store.epoch().0);
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

/// The change that a cursor names; none if it is another node's, or from before this one lost its data: then nobody knows what was missed.
pub(super) fn parse(store: &Store, text: &str) -> Option<Seq> {
    let mut life = String::with_capacity(32);
    put_life(store, &mut life);
    let digits = text.strip_prefix(life.as_str())?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().map(Seq).filter(|seq| *seq <= store.durable())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Epoch, Fresh, ReplicaId, StoreOptions};

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
