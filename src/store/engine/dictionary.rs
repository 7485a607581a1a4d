//! The dictionary of a section: its devices and series, which its registers name by index.

use std::cell::OnceCell;

use crate::limits::PAGE_BYTES_MAX;
use crate::progress::codec::{IdCodec, Reader, put_id, put_varint};
use crate::progress::{DecodeError, DeviceId, Progress, SeriesId};
use crate::store::interner::Interner;
use crate::store::packed::{IdBuffer, read_id};

/// A section's dictionary.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Section<'a> {
    pub(super) profile: &'a [u8],
    devices: IdList<'a>,
    series: IdList<'a>,
}

/// Encoded ids behind one another. Nearly always one or two, so walking them is cheaper than keeping where each begins.
#[derive(Clone, Copy, Debug, Default)]
struct IdList<'a> {
    count: usize,
    bytes: &'a [u8],
}

impl<'a> IdList<'a> {
    fn read(reader: &mut Reader<'a>, field: &'static str) -> Result<Self, DecodeError> {
        let count = reader.length(PAGE_BYTES_MAX, field)?;
        let before = *reader;
        for _ in 0..count {
            read_id(reader)?;
        }
        Ok(Self { count, bytes: before.bytes_until(reader) })
    }

    fn iter(self) -> impl Iterator<Item = &'a [u8]> {
        let mut reader = Reader::new(self.bytes);
        (0..self.count).map_while(move |_| read_id(&mut reader).ok())
    }

    fn get(self, index: usize) -> Option<&'a [u8]> {
        self.iter().nth(index)
    }

    fn index_of(self, text: &str) -> Option<usize> {
        self.iter().position(|id| IdBuffer::new().text(id).is_ok_and(|known| known == text))
    }

    fn put(self, out: &mut Vec<u8>) {
        put_varint(out, self.count as u64);
        out.extend_from_slice(self.bytes);
    }
}

pub(super) const fn invalid(field: &'static str) -> DecodeError {
    DecodeError::Invalid { field }
}

impl<'a> Section<'a> {
    /// Reads the profile's id and the two lists.
    pub(super) fn read(body: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let profile = read_id(body)?;
        Ok(Self { profile, devices: IdList::read(body, "devices")?, series: IdList::read(body, "series")? })
    }

    pub(super) fn decode(&self, state: &[u8], ids: &Interner) -> Result<Progress, DecodeError> {
        let mut reader = Reader::new(state);
        let progress = Progress::decode_with(&Interned { section: self, ids }, &mut reader)?;
        reader.finish()?;
        Ok(progress)
    }

    pub(super) fn covers(&self, progress: &Progress) -> bool {
        progress.activity.as_ref().is_none_or(|activity| self.devices.index_of(activity.device.as_str()).is_some())
            && progress.series.as_ref().is_none_or(|series| self.series.index_of(series.id.as_str()).is_some())
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        self.devices.put(out);
        self.series.put(out);
    }
}

impl IdCodec for &Section<'_> {
    fn put_device(&mut self, out: &mut Vec<u8>, id: &DeviceId) {
        put_varint(out, self.devices.index_of(id.as_str()).unwrap_or_default() as u64);
    }

    fn put_series(&mut self, out: &mut Vec<u8>, id: &SeriesId) {
        put_varint(out, self.series.index_of(id.as_str()).unwrap_or_default() as u64);
    }

    // Only written with: reading goes through `Interned` or `ReadSection`.
    fn device(&self, _reader: &mut Reader<'_>) -> Result<DeviceId, DecodeError> {
        Err(invalid("device"))
    }

    fn series(&self, _reader: &mut Reader<'_>) -> Result<SeriesId, DecodeError> {
        Err(invalid("series"))
    }
}

/// A section being read by a merge.
struct Interned<'a> {
    section: &'a Section<'a>,
    ids: &'a Interner,
}

impl IdCodec for Interned<'_> {
    // Only read with.
    fn put_device(&mut self, _out: &mut Vec<u8>, _id: &DeviceId) {}
    fn put_series(&mut self, _out: &mut Vec<u8>, _id: &SeriesId) {}

    fn device(&self, reader: &mut Reader<'_>) -> Result<DeviceId, DecodeError> {
        let index = reader.length(PAGE_BYTES_MAX, "device")?;
        self.ids.device_of(self.section.devices.get(index).ok_or(invalid("device"))?)
    }

    fn series(&self, reader: &mut Reader<'_>) -> Result<SeriesId, DecodeError> {
        let index = reader.length(PAGE_BYTES_MAX, "series")?;
        self.ids.series_of(self.section.series.get(index).ok_or(invalid("series"))?)
    }
}

/// The sorted ids of some registers.
#[derive(Debug, Default)]
pub(super) struct OwnDictionary {
    devices: Vec<DeviceId>,
    series: Vec<SeriesId>,
}

impl OwnDictionary {
    pub(super) fn of(states: &[Progress]) -> Self {
        let mut dictionary = Self::default();
        for progress in states {
            dictionary.devices.extend(progress.activity.as_ref().map(|activity| activity.device.clone()));
            dictionary.series.extend(progress.series.as_ref().map(|series| series.id.clone()));
        }
        dictionary.devices.sort_unstable();
        dictionary.devices.dedup();
        dictionary.series.sort_unstable();
        dictionary.series.dedup();
        dictionary
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        put_varint(out, self.devices.len() as u64);
        self.devices.iter().for_each(|id| put_id(out, id.as_str()));
        put_varint(out, self.series.len() as u64);
        self.series.iter().for_each(|id| put_id(out, id.as_str()));
    }
}

impl IdCodec for OwnDictionary {
    fn put_device(&mut self, out: &mut Vec<u8>, id: &DeviceId) {
        put_varint(out, self.devices.binary_search(id).unwrap_or_default() as u64);
    }

    fn put_series(&mut self, out: &mut Vec<u8>, id: &SeriesId) {
        put_varint(out, self.series.binary_search(id).unwrap_or_default() as u64);
    }

    // Only written with: what it writes is read through the section's own dictionary.
    fn device(&self, _reader: &mut Reader<'_>) -> Result<DeviceId, DecodeError> {
        Err(invalid("device"))
    }

    fn series(&self, _reader: &mut Reader<'_>) -> Result<SeriesId, DecodeError> {
        Err(invalid("series"))
    }
}

/// A section being read by a scan: ids are made once and cloned.
pub(super) struct ReadSection<'a> {
    raw: Section<'a>,
    devices: Vec<OnceCell<DeviceId>>,
    series: Vec<OnceCell<SeriesId>>,
}

impl<'a> ReadSection<'a> {
    pub(super) fn new(raw: Section<'a>) -> Self {
        let (devices, series) = (vec![OnceCell::new(); raw.devices.count], vec![OnceCell::new(); raw.series.count]);
        Self { raw, devices, series }
    }
}

fn cached<T: Clone>(
    cells: &[OnceCell<T>],
    ids: IdList<'_>,
    reader: &mut Reader<'_>,
    field: &'static str,
    make: impl Fn(&str) -> Option<T>,
) -> Result<T, DecodeError> {
    let index = reader.length(PAGE_BYTES_MAX, field)?;
    let (cell, id) = cells.get(index).zip(ids.get(index)).ok_or(invalid(field))?;
    if let Some(known) = cell.get() {
        return Ok(known.clone());
    }
    let id = make(IdBuffer::new().text(id)?).ok_or(invalid(field))?;
    Ok(cell.get_or_init(|| id).clone())
}

impl IdCodec for ReadSection<'_> {
    // Only read with.
    fn put_device(&mut self, _out: &mut Vec<u8>, _id: &DeviceId) {}
    fn put_series(&mut self, _out: &mut Vec<u8>, _id: &SeriesId) {}

    fn device(&self, reader: &mut Reader<'_>) -> Result<DeviceId, DecodeError> {
        cached(&self.devices, self.raw.devices, reader, "device", |text| DeviceId::new(text).ok())
    }

    fn series(&self, reader: &mut Reader<'_>) -> Result<SeriesId, DecodeError> {
        cached(&self.series, self.raw.series, reader, "series", |text| SeriesId::new(text).ok())
    }
}
