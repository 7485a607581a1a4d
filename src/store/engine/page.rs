//! Pages: contiguous runs of registers in key order, at most 4 KiB each, as the database stores them.
//!
//! ```text
//! page      version u8 (1) · CRC-32C u32 of the rest · sections
//! section   profile hash u64 · length u16 of what follows · profile id · devices varint, ids · series varint, ids · registers
//! register  title hash u64 · arrived varint · title id · length varint · state, ids as varint indices into the section's devices and series
//! ```
//!
//! Integers are little-endian. A page is stored under the first key that it may hold; it may hold keys up to the next page's. Many small profiles
//! share a page and a big one has several, so the cost of a fold goes with bytes and not with profiles. Registers that a merge does not
//! touch are copied as they are, undecoded, unless their section's dictionary changes.

use std::ops::ControlFlow;

use super::dictionary::{OwnDictionary, ReadSection, Section, invalid};
use super::{Delta, EngineRegister, KeyRange, Merged, RegisterKey, Sift};
use crate::limits::PAGE_BYTES_MAX;
use crate::progress::codec::{Reader, put_varint};
use crate::progress::{DecodeError, ProfileId, Progress, TitleId};
use crate::store::Seq;
use crate::store::interner::Interner;
use crate::store::packed::{IdBuffer, profile_id, read_id};

const PAGE_VERSION: u8 = 1;
const PAGE_HEADER_BYTES: usize = 5;
/// A page that outgrows its bound is cut into parts of about this size, so that they can grow.
const PAGE_BYTES_AFTER_SPLIT: usize = PAGE_BYTES_MAX * 3 / 4;

#[derive(Debug)]
enum Body<'a> {
    /// As the page has it: the state in terms of a section's dictionary.
    Kept {
        state: &'a [u8],
        section: usize,
    },
    New(Box<Progress>),
}

#[derive(Debug)]
struct Item<'a> {
    key: RegisterKey,
    arrived: Seq,
    profile: &'a [u8],
    title: &'a [u8],
    body: Body<'a>,
}

/// A page, parsed but not decoded.
#[derive(Debug, Default)]
pub(super) struct Page<'a> {
    sections: Vec<Section<'a>>,
    items: Vec<Item<'a>>,
}

/// Checks a page's head and sum and answers its sections.
fn checked(bytes: &[u8]) -> Result<Reader<'_>, DecodeError> {
    let mut reader = Reader::new(bytes);
    if reader.u8("page version")? != PAGE_VERSION {
        return Err(invalid("page version"));
    }
    let check = u32::from_le_bytes(reader.array("page checksum")?);
    if bytes.get(PAGE_HEADER_BYTES..).map(crc32c::crc32c) != Some(check) {
        return Err(invalid("page checksum"));
    }
    Ok(reader)
}

fn read_section<'a>(reader: &mut Reader<'a>) -> Result<(u64, Reader<'a>), DecodeError> {
    let hash = reader.u64("profile hash")?;
    let length = usize::from(u16::from_le_bytes(reader.array("section length")?));
    Ok((hash, Reader::new(reader.bytes(length, "section")?)))
}

struct RawRegister<'a> {
    title_hash: u64,
    arrived: Seq,
    title: &'a [u8],
    state: &'a [u8],
}

fn read_register<'a>(body: &mut Reader<'a>) -> Result<RawRegister<'a>, DecodeError> {
    let title_hash = body.u64("title hash")?;
    let arrived = Seq(body.varint("arrived")?);
    let title = read_id(body)?;
    let length = body.length(PAGE_BYTES_MAX, "state length")?;
    Ok(RawRegister { title_hash, arrived, title, state: body.bytes(length, "state")? })
}

const fn key_in(hash: u64, title_hash: u64) -> RegisterKey {
    RegisterKey((hash as u128) << 64 | title_hash as u128)
}

impl<'a> Page<'a> {
    /// Parses a page; keys from `upper` on are another page's and left out.
    pub(super) fn parse(bytes: &'a [u8], upper: Option<RegisterKey>) -> Result<Self, DecodeError> {
        let mut reader = checked(bytes)?;
        let mut page = Self { sections: Vec::with_capacity(16), items: Vec::with_capacity(48) };
        while !reader.is_empty() {
            let (hash, mut body) = read_section(&mut reader)?;
            let section = Section::read(&mut body)?;
            let profile = section.profile;
            page.sections.push(section);
            while !body.is_empty() {
                let raw = read_register(&mut body)?;
                let key = key_in(hash, raw.title_hash);
                if upper.is_none_or(|upper| key < upper) {
                    let body = Body::Kept { state: raw.state, section: page.sections.len() - 1 };
                    page.items.push(Item { key, arrived: raw.arrived, profile, title: raw.title, body });
                }
            }
        }
        Ok(page)
    }

    fn progress(&self, item: &Item<'_>, ids: &Interner) -> Result<Progress, DecodeError> {
        match &item.body {
            Body::New(progress) => Ok((**progress).clone()),
            Body::Kept { state, section } => self.sections.get(*section).ok_or(invalid("section"))?.decode(state, ids),
        }
    }

    /// Merges deltas for this page into it. Answers whether anything changed.
    pub(super) fn merge(
        &mut self,
        deltas: &[Delta<'a>],
        sweep: &[KeyRange],
        sift: &dyn Sift,
        ids: &Interner,
        visit: &mut dyn FnMut(Merged<'_>),
    ) -> Result<bool, DecodeError> {
        let mut changed = false;
        let old = std::mem::take(&mut self.items);
        let mut merged = Vec::with_capacity(old.len() + deltas.len());
        let mut old = old.into_iter().peekable();
        for delta in deltas {
            while let Some(item) = old.next_if(|item| item.key < delta.key) {
                changed |= self.sweep_one(item, sweep, sift, ids, visit, &mut merged)?;
            }
            let mut progress = ids.progress(delta.state)?;
            let mut arrived = delta.arrived;
            let mut before = None;
            if let Some(item) = old.next_if(|item| item.key == delta.key) {
                let known = self.progress(&item, ids)?;
                if delta.finds(&known) {
                    if known.holds(&progress) && sift.keeps(delta.key, delta.profile, &known) {
                        merged.push(item);
                        continue;
                    }
                    progress = known.clone().joined(&progress);
                }
                arrived = arrived.max(item.arrived);
                before = Some(known);
            }
            let kept = sift.keeps(delta.key, delta.profile, &progress);
            if kept || before.is_some() {
                changed = true;
                visit(Merged { key: delta.key, old: before.as_ref(), new: kept.then_some(&progress), arrived });
            }
            if kept {
                let body = Body::New(Box::new(progress));
                merged.push(Item { key: delta.key, arrived, profile: delta.profile, title: delta.title, body });
            }
        }
        for item in old {
            changed |= self.sweep_one(item, sweep, sift, ids, visit, &mut merged)?;
        }
        self.items = merged;
        Ok(changed)
    }

    fn sweep_one(
        &self,
        item: Item<'a>,
        sweep: &[KeyRange],
        sift: &dyn Sift,
        ids: &Interner,
        visit: &mut dyn FnMut(Merged<'_>),
        merged: &mut Vec<Item<'a>>,
    ) -> Result<bool, DecodeError> {
        if sweep.iter().any(|range| range.contains(item.key)) {
            let progress = self.progress(&item, ids)?;
            if !sift.keeps(item.key, item.profile, &progress) {
                visit(Merged { key: item.key, old: Some(&progress), new: None, arrived: item.arrived });
                return Ok(true);
            }
        }
        merged.push(item);
        Ok(false)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Puts the page's bytes into `whole`, as one page, however long that gets.
    pub(super) fn encode(&self, ids: &Interner, whole: &mut Vec<u8>) -> Result<(), DecodeError> {
        self.encode_items(&self.items, false, ids, whole)
    }

    /// Several pages in place of one that has outgrown its bound: each with its first key, except that the first one keeps `bound`.
    pub(super) fn split(&self, bound: RegisterKey, whole: &[u8], ids: &Interner) -> Result<Vec<(RegisterKey, Vec<u8>)>, DecodeError> {
        let mut pages = Vec::with_capacity(whole.len() / PAGE_BYTES_AFTER_SPLIT + 1);
        let parts = whole.len().div_ceil(PAGE_BYTES_AFTER_SPLIT);
        let each = self.items.len().div_ceil(parts).max(1);
        for items in self.items.chunks(each) {
            self.encode_part(items, &mut pages, ids)?;
        }
        if let Some(first) = pages.first_mut() {
            first.0 = bound;
        }
        Ok(pages)
    }

    fn encode_part(&self, items: &[Item<'_>], pages: &mut Vec<(RegisterKey, Vec<u8>)>, ids: &Interner) -> Result<(), DecodeError> {
        let mut bytes = Vec::with_capacity(PAGE_BYTES_MAX);
        self.encode_items(items, true, ids, &mut bytes)?;
        if bytes.len() <= PAGE_BYTES_MAX || items.len() < 2 {
            let Some(first) = items.first() else { return Ok(()) };
            pages.push((first.key, bytes));
            return Ok(());
        }
        let (one, other) = items.split_at(items.len() / 2);
        self.encode_part(one, pages, ids)?;
        self.encode_part(other, pages, ids)
    }

    fn encode_items(&self, items: &[Item<'_>], rebuild: bool, ids: &Interner, out: &mut Vec<u8>) -> Result<(), DecodeError> {
        out.clear();
        out.extend_from_slice(&[PAGE_VERSION, 0, 0, 0, 0]);
        let mut scratch = Vec::with_capacity(128);
        for group in items.chunk_by(|one, other| one.profile == other.profile) {
            self.encode_section(group, rebuild, ids, out, &mut scratch)?;
        }
        let check = crc32c::crc32c(&out[PAGE_HEADER_BYTES..]);
        out[1..PAGE_HEADER_BYTES].copy_from_slice(&check.to_le_bytes());
        Ok(())
    }

    fn encode_section(
        &self,
        group: &[Item<'_>],
        rebuild: bool,
        ids: &Interner,
        out: &mut Vec<u8>,
        scratch: &mut Vec<u8>,
    ) -> Result<(), DecodeError> {
        let Some(first) = group.first() else { return Ok(()) };
        out.extend_from_slice(&first.key.profile_hash().to_le_bytes());
        let length_at = out.len();
        out.extend_from_slice(&[0, 0]);
        let body_at = out.len();
        out.extend_from_slice(first.profile);
        if let Some(mut section) = self.shared_dictionary(group).filter(|_| !rebuild) {
            section.put(out);
            for item in group {
                match &item.body {
                    Body::Kept { state, .. } => put_register(out, item, state),
                    Body::New(progress) => {
                        scratch.clear();
                        progress.encode_with(&mut section, scratch);
                        put_register(out, item, scratch);
                    }
                }
            }
        } else {
            let states = group.iter().map(|item| self.progress(item, ids)).collect::<Result<Vec<_>, _>>()?;
            let mut dictionary = OwnDictionary::of(&states);
            dictionary.put(out);
            for (item, progress) in group.iter().zip(&states) {
                scratch.clear();
                progress.encode_with(&mut dictionary, scratch);
                put_register(out, item, scratch);
            }
        }
        // A section that outgrows its length field makes the page outgrow its bound too, and is split before it is stored.
        let length = u16::try_from(out.len() - body_at).unwrap_or(u16::MAX);
        out[length_at..body_at].copy_from_slice(&length.to_le_bytes());
        Ok(())
    }

    /// The old section of a group, if its dictionary serves the whole group as it is.
    fn shared_dictionary(&self, group: &[Item<'_>]) -> Option<&Section<'a>> {
        let mut shared = None;
        for item in group {
            if let Body::Kept { section, .. } = item.body {
                if shared.is_some_and(|known| known != section) {
                    return None;
                }
                shared = Some(section);
            }
        }
        let profile = group.first()?.profile;
        let section = match shared {
            Some(index) => self.sections.get(index)?,
            // All registers of the group are new or changed; its old section, if it had one, may still serve.
            None => self.sections.iter().find(|section| section.profile == profile)?,
        };
        group
            .iter()
            .all(|item| match &item.body {
                Body::Kept { .. } => true,
                Body::New(progress) => section.covers(progress),
            })
            .then_some(section)
    }
}

fn put_register(out: &mut Vec<u8>, item: &Item<'_>, state: &[u8]) {
    out.extend_from_slice(&(item.key.0 as u64).to_le_bytes());
    put_varint(out, item.arrived.0);
    out.extend_from_slice(item.title);
    put_varint(out, state.len() as u64);
    out.extend_from_slice(state);
}

/// Visits the registers of a page that lie in `range` and before `upper`, in key order. Sections of other profiles are skipped unread.
pub(super) fn visit_page(
    bytes: &[u8],
    range: KeyRange,
    upper: Option<RegisterKey>,
    visit: &mut dyn FnMut(EngineRegister) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, DecodeError> {
    let mut reader = checked(bytes)?;
    while !reader.is_empty() {
        let (hash, mut body) = read_section(&mut reader)?;
        if hash < range.first.profile_hash() {
            continue;
        }
        if hash > range.last.profile_hash() {
            break;
        }
        let mut section: Option<(ReadSection<'_>, ProfileId)> = None;
        let dictionary = Section::read(&mut body)?;
        let mut dictionary = Some(dictionary);
        while !body.is_empty() {
            let raw = read_register(&mut body)?;
            let key = key_in(hash, raw.title_hash);
            if !range.contains(key) || upper.is_some_and(|upper| key >= upper) {
                continue;
            }
            if let Some(dictionary) = dictionary.take() {
                let profile = profile_id(dictionary.profile)?;
                section = Some((ReadSection::new(dictionary), profile));
            }
            let Some((section, profile)) = &section else { break };
            let mut state = Reader::new(raw.state);
            let progress = Progress::decode_with(section, &mut state)?;
            state.finish()?;
            let title = IdBuffer::new().text(raw.title).map(TitleId::new)?.map_err(|_| invalid("title"))?;
            if visit(EngineRegister { key, profile: profile.clone(), title, progress, arrived: raw.arrived }).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// One register of a page: its state and arrival.
pub(super) fn find_in_page(bytes: &[u8], key: RegisterKey) -> Result<Option<(Progress, Seq)>, DecodeError> {
    let mut reader = checked(bytes)?;
    while !reader.is_empty() {
        let (hash, mut body) = read_section(&mut reader)?;
        if hash != key.profile_hash() {
            continue;
        }
        let section = ReadSection::new(Section::read(&mut body)?);
        while !body.is_empty() {
            let raw = read_register(&mut body)?;
            if key_in(hash, raw.title_hash) == key {
                let mut state = Reader::new(raw.state);
                let progress = Progress::decode_with(&section, &mut state)?;
                state.finish()?;
                return Ok(Some((progress, raw.arrived)));
            }
        }
    }
    Ok(None)
}
