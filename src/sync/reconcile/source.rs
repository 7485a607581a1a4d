//! What one side compares: its whole store by kept fingerprints, or the profiles of a device's token, hashed for this link only.

use std::ops::ControlFlow;

use super::{FANOUT, Prefix};
use crate::limits::{PROFILES_PER_TOKEN_COUNT_MAX, RECORD_BYTES_MAX, TITLES_PER_PROFILE_COUNT_MAX};
use crate::progress::{ProfileId, TitleId};
use crate::store::{Fingerprint, Fingerprints, KeyHasher, KeyRange, ReadError, Record, RegisterKey, ScanItem, Store};

/// Records of one narrow link that are compared; a store that holds more of them lets the rest go unreconciled until they change.
const LISTED_COUNT_MAX: usize = PROFILES_PER_TOKEN_COUNT_MAX * TITLES_PER_PROFILE_COUNT_MAX;

/// Bits of a key that kept fingerprints are kept for.
const LEAF_BITS: u8 = 16;

/// What a link's reconciliation compares.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Scope {
    /// Everything: between nodes that share the cluster's secret.
    Everything,
    /// These profiles, under keys that are hashed with bytes of this link: a device never learns the cluster's secret.
    Profiles {
        /// Which.
        profiles: Vec<ProfileId>,
        /// The key of the hash.
        secret: [u8; 16],
    },
}

/// A record as it is compared.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Item {
    /// Where it lies among the reconciled keys.
    pub(super) key: u64,
    /// Its fingerprint.
    pub(super) fingerprint: Fingerprint,
}

#[derive(Debug)]
struct Listed {
    item: Item,
    profile: u32,
    title: TitleId,
}

#[derive(Debug)]
enum Kind {
    Kept { leaves: Box<Fingerprints>, read: Option<(usize, Vec<Item>)> },
    Listed { items: Vec<Listed>, profiles: Vec<ProfileId> },
}

/// One side's records, as it found them when the pass began.
#[derive(Debug)]
pub struct Source {
    kind: Kind,
    tombstones: Vec<(ProfileId, crate::time::Hlc)>,
}

/// Where giving a range goes on.
pub(super) type Resume = u128;

impl Source {
    /// Takes stock of the scope.
    pub fn open(store: &Store, scope: &Scope) -> Result<Self, ReadError> {
        match scope {
            Scope::Everything => {
                Ok(Self { kind: Kind::Kept { leaves: Box::new(store.fingerprints()?), read: None }, tombstones: store.tombstones() })
            }
            Scope::Profiles { profiles, secret } => {
                let mut items = Vec::new();
                let hasher = KeyHasher::new(*secret);
                for (index, profile) in profiles.iter().enumerate() {
                    store.scan(KeyRange::of_profile(store.hasher().profile(profile)), &mut |item| {
                        if item.profile == *profile {
                            let key = hasher.register(&item.profile, &item.title);
                            let fingerprint = Fingerprint::of(secret, key, &item.progress.to_bytes());
                            // The low half alone: one profile's keys share their high half.
                            let item = Listed { item: Item { key: key.0 as u64, fingerprint }, profile: index as u32, title: item.title };
                            items.push(item);
                        }
                        if items.len() < LISTED_COUNT_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
                    })?;
                }
                items.sort_unstable_by_key(|listed| listed.item.key);
                let tombstones = profiles.iter().map(|profile| (profile.clone(), store.erased(profile)));
                let tombstones = tombstones.filter(|(_, erased)| *erased != crate::time::Hlc::ZERO).collect();
                Ok(Self { kind: Kind::Listed { items, profiles: profiles.clone() }, tombstones })
            }
        }
    }

    /// Forgets what was read on the way: records that arrived meanwhile are seen from here on.
    pub(super) fn begin_turn(&mut self) {
        if let Kind::Kept { read, .. } = &mut self.kind {
            *read = None;
        }
    }

    /// A hash over all tombstones in scope, the same on both sides when they are the same.
    pub(super) fn tombstones_sum(&self, salt: u64) -> u64 {
        let hasher = KeyHasher::new((u128::from(salt) << 64 | u128::from(!salt)).to_le_bytes());
        self.tombstones.iter().fold(0, |sum: u64, (profile, erased)| {
            let mut bytes = erased.as_u64().to_le_bytes().to_vec();
            bytes.extend_from_slice(profile.as_str().as_bytes());
            sum.wrapping_add(hasher.bytes(&bytes))
        })
    }

    /// Appends tombstones from `index` on until `bytes_max`; the index to go on from, if there are more, and how many were appended.
    pub(super) fn put_tombstones(&self, index: usize, bytes_max: usize, out: &mut Vec<u8>) -> (u32, Option<usize>) {
        let mut count = 0;
        for (at, (profile, erased)) in self.tombstones.iter().enumerate().skip(index) {
            if out.len() + RECORD_BYTES_MAX > bytes_max {
                return (count, Some(at));
            }
            Record::Erased { profile: profile.clone(), erased: *erased }.encode(out);
            count += 1;
        }
        (count, None)
    }

    /// The fingerprints of the parts of a range.
    pub(super) fn parts(&mut self, store: &Store, prefix: Prefix) -> Result<[Fingerprint; FANOUT], ReadError> {
        let mut parts = [Fingerprint::default(); FANOUT];
        if let Kind::Kept { leaves, .. } = &self.kind
            && prefix.bits() < LEAF_BITS
        {
            for (index, part) in parts.iter_mut().enumerate() {
                let range = prefix.part(index);
                *part = leaves.over(leaf_of(range.first()), leaf_of(range.last()));
            }
            return Ok(parts);
        }
        for item in self.items(store, prefix)? {
            parts[prefix.part_of(item.key)].add(item.fingerprint);
        }
        Ok(parts)
    }

    /// How many records there are in a range; an estimate below the kept fingerprints, where it is that of the leaf.
    pub(super) fn count(&self, prefix: Prefix) -> u64 {
        match &self.kind {
            Kind::Kept { leaves, .. } => leaves.over(leaf_of(prefix.first()), leaf_of(prefix.last())).count,
            Kind::Listed { items, .. } => within(items, prefix).len() as u64,
        }
    }

    /// What looking at a range costs of the pass's budget, and what the budget is measured by. Kept fingerprints are between nodes, which
    /// trust each other; a narrow link's other side is a device.
    pub(super) fn visits(&self, prefix: Prefix) -> (u64, u64) {
        match &self.kind {
            Kind::Kept { .. } => (0, 0),
            Kind::Listed { items, .. } => (within(items, prefix).len() as u64 + 1, items.len() as u64),
        }
    }

    /// Whether the kept fingerprints still divide the range.
    pub(super) fn is_above_leaves(&self, prefix: Prefix) -> bool {
        matches!(self.kind, Kind::Kept { .. }) && prefix.bits() < LEAF_BITS
    }

    /// The records of a range.
    pub(super) fn items(&mut self, store: &Store, prefix: Prefix) -> Result<Vec<Item>, ReadError> {
        match &mut self.kind {
            Kind::Listed { items, .. } => Ok(within(items, prefix).iter().map(|listed| listed.item).collect()),
            Kind::Kept { read, .. } => {
                let leaf = leaf_of(prefix.first());
                if prefix.bits() < LEAF_BITS {
                    return read_range(store, prefix);
                }
                // Neighbouring ranges of one leaf are asked for one after the other: read it once.
                let items = match read.take() {
                    Some((at, items)) if at == leaf => items,
                    _ => read_range(store, Prefix::new(LEAF_BITS, (leaf as u64) << 48).unwrap_or_default())?,
                };
                let found = items.iter().filter(|item| prefix.contains(item.key)).copied().collect();
                *read = Some((leaf, items));
                Ok(found)
            }
        }
    }

    /// Appends the records of a range that `picks`, as they are now, until `bytes_max`; how many, and where to go on.
    pub(super) fn put_records(
        &self,
        store: &Store,
        prefix: Prefix,
        from: Option<Resume>,
        picks: &dyn Fn(&Item) -> bool,
        bytes_max: usize,
        out: &mut Vec<u8>,
    ) -> Result<(u32, Option<Resume>), ReadError> {
        let mut count = 0;
        let mut resume = None;
        match &self.kind {
            Kind::Kept { .. } => {
                let mut range = keys_of(prefix);
                range.first.0 = range.first.0.max(from.unwrap_or(0));
                store.scan(range, &mut |found| {
                    if out.len() + RECORD_BYTES_MAX > bytes_max {
                        resume = Some(found.key.0);
                        return ControlFlow::Break(());
                    }
                    let item = item_of(store, &found);
                    if prefix.contains(item.key) && picks(&item) {
                        Record::Register { profile: found.profile, title: found.title, state: found.progress }.encode(out);
                        count += 1;
                    }
                    ControlFlow::Continue(())
                })?;
            }
            Kind::Listed { items, profiles } => {
                let range = within(items, prefix);
                for (index, listed) in range.iter().enumerate().skip(from.unwrap_or(0) as usize) {
                    if out.len() + RECORD_BYTES_MAX > bytes_max {
                        resume = Some(index as Resume);
                        break;
                    }
                    let Some(profile) = profiles.get(listed.profile as usize) else { continue };
                    if !picks(&listed.item) {
                        continue;
                    }
                    if let Some(stored) = store.shared_register(profile, &listed.title)? {
                        Record::Register { profile: profile.clone(), title: listed.title.clone(), state: stored.progress }.encode(out);
                        count += 1;
                    }
                }
            }
        }
        Ok((count, resume))
    }
}

const fn leaf_of(key: u64) -> usize {
    (key >> 48) as usize
}

/// The register keys that a range of reconciled keys lies in: all of it above the leaves, its leaf below.
fn keys_of(prefix: Prefix) -> KeyRange {
    let (first, last) = (leaf_of(prefix.first()) as u128, leaf_of(prefix.last()) as u128);
    KeyRange { first: RegisterKey(first << 112), last: RegisterKey(last << 112 | ((1 << 112) - 1)) }
}

fn item_of(store: &Store, found: &ScanItem) -> Item {
    // The top sixteen bits are those of the leaf; the rest comes from the hash of profile and title, because a profile's titles share the
    // first half of their keys and would never divide by it.
    let key = ((found.key.0 >> 112) as u64) << 48 | (found.key.0 as u64) >> 16;
    Item { key, fingerprint: store.fingerprint(found.key, &found.progress) }
}

fn read_range(store: &Store, prefix: Prefix) -> Result<Vec<Item>, ReadError> {
    let mut items = Vec::new();
    store.scan(keys_of(prefix), &mut |found| {
        items.push(item_of(store, &found));
        ControlFlow::Continue(())
    })?;
    Ok(items)
}

fn within(items: &[Listed], prefix: Prefix) -> &[Listed] {
    let first = items.partition_point(|listed| listed.item.key < prefix.first());
    let last = items.partition_point(|listed| listed.item.key <= prefix.last());
    items.get(first..last).unwrap_or_default()
}
