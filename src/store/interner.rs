//! Ids met a moment ago, so that a join does not allocate the same one twice.
//!
//! A delta and the register that it is joined into nearly always name the same device and the same series.

use std::cell::RefCell;

use super::packed::{IdBuffer, read_id};
use crate::progress::codec::{IdCodec, Reader, put_id};
use crate::progress::{DecodeError, DeviceId, Progress, SeriesId};

/// Longest encoded id that is remembered.
const BYTES: usize = 31;
const COUNT: usize = 256;

#[derive(Clone, Debug)]
struct Remembered<T> {
    length: u8,
    bytes: [u8; BYTES],
    id: Option<T>,
}

/// The last few hundred ids. Takes no memory before the first: thousands of stores may be opened that have little to apply.
#[derive(Debug, Default)]
pub(super) struct Interner {
    devices: RefCell<Vec<Remembered<DeviceId>>>,
    series: RefCell<Vec<Remembered<SeriesId>>>,
}

fn intern<T: Clone>(
    remembered: &RefCell<Vec<Remembered<T>>>,
    encoded: &[u8],
    field: &'static str,
    make: impl Fn(&str) -> Option<T>,
) -> Result<T, DecodeError> {
    let fresh = || make(IdBuffer::new().text(encoded)?).ok_or(DecodeError::Invalid { field });
    if encoded.len() > BYTES {
        return fresh();
    }
    // Ids differ in their last bytes if anywhere.
    let hash = encoded.iter().rev().take(8).fold(0_usize, |hash, byte| hash.wrapping_mul(31).wrapping_add(usize::from(*byte)));
    let mut remembered = remembered.borrow_mut();
    if remembered.is_empty() {
        remembered.resize(COUNT, Remembered { length: 0, bytes: [0; BYTES], id: None });
    }
    let Some(place) = remembered.get_mut(hash % COUNT) else { return fresh() };
    if usize::from(place.length) == encoded.len()
        && place.bytes[..encoded.len()] == *encoded
        && let Some(id) = &place.id
    {
        return Ok(id.clone());
    }
    let id = fresh()?;
    place.length = encoded.len() as u8;
    place.bytes[..encoded.len()].copy_from_slice(encoded);
    place.id = Some(id.clone());
    Ok(id)
}

impl Interner {
    /// The device of an encoded id.
    pub(super) fn device_of(&self, encoded: &[u8]) -> Result<DeviceId, DecodeError> {
        intern(&self.devices, encoded, "device", |text| DeviceId::new(text).ok())
    }

    /// The series of an encoded id.
    pub(super) fn series_of(&self, encoded: &[u8]) -> Result<SeriesId, DecodeError> {
        intern(&self.series, encoded, "series", |text| SeriesId::new(text).ok())
    }

    /// Reads canonical bytes.
    pub(super) fn progress(&self, state: &[u8]) -> Result<Progress, DecodeError> {
        let mut reader = Reader::new(state);
        let progress = Progress::decode_with(&self, &mut reader)?;
        reader.finish()?;
        Ok(progress)
    }
}

impl IdCodec for &Interner {
    fn put_device(&mut self, out: &mut Vec<u8>, id: &DeviceId) {
        put_id(out, id.as_str());
    }

    fn put_series(&mut self, out: &mut Vec<u8>, id: &SeriesId) {
        put_id(out, id.as_str());
    }

    fn device(&self, reader: &mut Reader<'_>) -> Result<DeviceId, DecodeError> {
        self.device_of(read_id(reader)?)
    }

    fn series(&self, reader: &mut Reader<'_>) -> Result<SeriesId, DecodeError> {
        self.series_of(read_id(reader)?)
    }
}
