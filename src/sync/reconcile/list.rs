//! Lists: comparing the short ids of a small range.

use std::collections::BTreeSet;

use super::Prefix;
use super::fingerprint::{list_sum, mix, short_id};
use super::source::Item;
use crate::sync::message::{IdWidth, ListEntry};

/// The short id of an item. Wide ids have a salt of their own: they are the second try after a collision.
pub(super) const fn id_of(item: &Item, width: IdWidth, salt: u64) -> u64 {
    let salt = match width {
        IdWidth::Short => salt,
        IdWidth::Wide => mix(salt),
    };
    width.cut(short_id(item.fingerprint, salt))
}

/// The list of what this side has in a range.
pub(super) fn list_of(prefix: Prefix, items: &[Item], width: IdWidth, salt: u64) -> ListEntry {
    let mut ids: Vec<u64> = items.iter().map(|item| id_of(item, width, salt)).collect();
    ids.sort_unstable();
    ListEntry { prefix, width, fingerprint: sum_of(items), ids }
}

fn sum_of(items: &[Item]) -> u64 {
    items.iter().fold(0, |sum, item| sum.wrapping_add(list_sum(item.fingerprint)))
}

/// What a list of the other side's says about a range.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Compared {
    /// Ids that only this side has.
    pub(super) ours: BTreeSet<u64>,
    /// Ids that only the other has, ascending.
    pub(super) theirs: Vec<u64>,
    /// The ids are the same and the records are not: two of them have the same short id.
    pub(super) collided: bool,
}

/// Compares a list of the other side's with the items of this side.
pub(super) fn compare(theirs: &ListEntry, items: &[Item], salt: u64) -> Compared {
    let mine: BTreeSet<u64> = items.iter().map(|item| id_of(item, theirs.width, salt)).collect();
    let listed: BTreeSet<u64> = theirs.ids.iter().copied().collect();
    let mut compared = Compared {
        ours: mine.difference(&listed).copied().collect(),
        theirs: listed.difference(&mine).copied().collect(),
        collided: false,
    };
    // Each of two equal ids on one side stands for a record; which of them the other has is not known, so both are sent.
    if mine.len() < items.len() || listed.len() < theirs.ids.len() {
        compared.ours.extend(twins(items, theirs.width, salt));
    }
    compared.collided = compared.ours.is_empty() && compared.theirs.is_empty() && sum_of(items) != theirs.fingerprint;
    compared
}

fn twins(items: &[Item], width: IdWidth, salt: u64) -> Vec<u64> {
    let mut seen = BTreeSet::new();
    items.iter().map(|item| id_of(item, width, salt)).filter(|id| !seen.insert(*id)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Fingerprint;

    fn item(key: u64, sum: u128) -> Item {
        Item { key, fingerprint: Fingerprint { sum, count: 1 } }
    }

    #[test]
    fn each_side_learns_what_only_one_has() {
        let mine = [item(1, 1 << 64), item(2, 2 << 64)];
        let theirs = [item(2, 2 << 64), item(3, 3 << 64)];
        let list = list_of(Prefix::ROOT, &theirs, IdWidth::Short, 7);
        let compared = compare(&list, &mine, 7);
        assert_eq!(compared.ours, BTreeSet::from([id_of(&mine[0], IdWidth::Short, 7)]));
        assert_eq!(compared.theirs, [id_of(&theirs[1], IdWidth::Short, 7)]);
        assert!(!compared.collided);
    }

    #[test]
    fn a_collision_of_short_ids_is_seen_in_the_sum() {
        // The same high half, so the same ids at every width; another low half.
        let mine = [item(1, (9 << 64) | 1)];
        let theirs = [item(1, (9 << 64) | 2)];
        let compared = compare(&list_of(Prefix::ROOT, &theirs, IdWidth::Short, 7), &mine, 7);
        assert!(compared.collided);
        assert!(compare(&list_of(Prefix::ROOT, &mine, IdWidth::Short, 7), &mine, 7) == Compared::default());
    }
}
