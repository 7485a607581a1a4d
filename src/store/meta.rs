//! Small values in the engine: who the replica is, how far it is folded, cursors, tombstones, what was shared with nobody.
//!
//! ```text
//! "version"            layout version u32
//! "identity"           replica [16] · epoch u64 · secret check u64
//! "lives"              count varint · each: epoch u64 · last sequence number varint; those before the present one
//! "state"              folded u64 · highest stamp u64 · floor day u32 · needs reconciliation u8
//! "clean"              last sequence number u64: the store was closed after it, with everything folded
//! "begun"              first sequence number u64 of the life after the last end that was not clean
//! "cursor/" peer       epoch u64 · sequence number u64
//! "tombstone/" hash id erased u64 · arrived u64; the hash big-endian, the id encoded
//! "unshared/" key      profile id · title id · state; the key big-endian
//! ```
//!
//! Integers are little-endian where nothing else is said.

use std::collections::BTreeMap;

use super::engine::{Engine, EngineError};
use super::forgetting::Tombstone;
use super::log::segment::Identity;
use super::packed::PackedRef;
use super::present::Unshared;
use super::{Epoch, Lives, OpenError, PeerCursor, RegisterKey, ReplicaId, Seq};
use crate::progress::codec::{Reader, put_id};
use crate::time::Hlc;

/// Layout version of the engine's trees.
const META_VERSION: u32 = 1;

const VERSION: &[u8] = b"version";
const IDENTITY: &[u8] = b"identity";
const LIVES: &[u8] = b"lives";
const STATE: &[u8] = b"state";
const CLEAN: &[u8] = b"clean";
const BEGUN: &[u8] = b"begun";
const CURSOR: &[u8] = b"cursor/";
const TOMBSTONE: &[u8] = b"tombstone/";
const UNSHARED: &[u8] = b"unshared/";

/// What the engine remembers of a store besides its registers.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    pub(super) identity: Option<Identity>,
    /// The lives of its numbers, if there is an identity.
    pub(super) lives: Option<Lives>,
    pub(super) state: FoldedState,
    pub(super) clean: Option<Seq>,
    pub(super) begun: Seq,
    pub(super) cursors: BTreeMap<ReplicaId, PeerCursor>,
    pub(super) tombstones: Vec<(u64, Tombstone)>,
    pub(super) unshared: Unshared,
}

/// What a finished fold leaves behind.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FoldedState {
    pub(super) folded: Seq,
    pub(super) highest: Hlc,
    pub(super) floor_day: u32,
    pub(super) needs_reconciliation: bool,
}

/// Changes to small values, gathered to be put at once.
#[derive(Debug, Default)]
pub(super) struct Changes(pub(super) Vec<(Vec<u8>, Option<Vec<u8>>)>);

impl Changes {
    fn set(&mut self, name: Vec<u8>, value: Vec<u8>) {
        self.0.push((name, Some(value)));
    }

    pub(super) fn identity(&mut self, identity: &Identity) {
        self.set(VERSION.to_vec(), META_VERSION.to_le_bytes().to_vec());
        let mut value = identity.id.0.to_vec();
        value.extend_from_slice(&identity.epoch.0.to_le_bytes());
        value.extend_from_slice(&identity.secret_check.to_le_bytes());
        self.set(IDENTITY.to_vec(), value);
    }

    pub(super) fn lives(&mut self, lives: &Lives) {
        let mut value = Vec::new();
        lives.encode_past(&mut value);
        self.set(LIVES.to_vec(), value);
    }

    pub(super) fn state(&mut self, state: FoldedState) {
        let mut value = state.folded.0.to_le_bytes().to_vec();
        value.extend_from_slice(&state.highest.as_u64().to_le_bytes());
        value.extend_from_slice(&state.floor_day.to_le_bytes());
        value.push(u8::from(state.needs_reconciliation));
        self.set(STATE.to_vec(), value);
    }

    pub(super) fn clean(&mut self, last: Seq) {
        self.set(CLEAN.to_vec(), last.0.to_le_bytes().to_vec());
    }

    pub(super) fn not_clean(&mut self) {
        self.0.push((CLEAN.to_vec(), None));
    }

    pub(super) fn begun(&mut self, first: Seq) {
        self.set(BEGUN.to_vec(), first.0.to_le_bytes().to_vec());
    }

    pub(super) fn cursor(&mut self, cursor: &PeerCursor) {
        let mut value = cursor.epoch.0.to_le_bytes().to_vec();
        value.extend_from_slice(&cursor.seq.0.to_le_bytes());
        self.set([CURSOR, &cursor.peer.0].concat(), value);
    }

    pub(super) fn no_cursor(&mut self, peer: ReplicaId) {
        self.0.push(([CURSOR, &peer.0].concat(), None));
    }

    pub(super) fn tombstone(&mut self, profile_hash: u64, tombstone: &Tombstone) {
        let mut value = tombstone.erased.as_u64().to_le_bytes().to_vec();
        value.extend_from_slice(&tombstone.arrived.0.to_le_bytes());
        self.set([TOMBSTONE, &profile_hash.to_be_bytes(), &tombstone.profile].concat(), value);
    }

    pub(super) fn unshared(&mut self, key: RegisterKey, delta: &super::present::UnsharedDelta) {
        let mut value = Vec::new();
        put_id(&mut value, delta.profile.as_str());
        put_id(&mut value, delta.title.as_str());
        delta.progress.encode(&mut value);
        self.set([UNSHARED, &key.0.to_be_bytes()].concat(), value);
    }

    pub(super) fn no_unshared(&mut self, key: RegisterKey) {
        self.0.push(([UNSHARED, &key.0.to_be_bytes()].concat(), None));
    }
}

impl Remembered {
    /// Reads everything.
    pub(super) fn read(engine: &dyn Engine) -> Result<Self, OpenError> {
        let mut remembered = Self::default();
        if let Some(value) = engine.meta(VERSION)? {
            let found = u32::from_le_bytes(Reader::new(&value).array("version").map_err(EngineError::from)?);
            if found > META_VERSION {
                return Err(OpenError::Version { found, known: META_VERSION });
            }
        }
        remembered.read_small(engine)?;
        remembered.read_many(engine)?;
        Ok(remembered)
    }

    fn read_small(&mut self, engine: &dyn Engine) -> Result<(), EngineError> {
        if let Some(value) = engine.meta(IDENTITY)? {
            let mut reader = Reader::new(&value);
            let (id, epoch) = (ReplicaId(reader.array("replica")?), Epoch(reader.u64("epoch")?));
            self.identity = Some(Identity { id, epoch, secret_check: reader.u64("secret check")? });
            self.lives = Some(match engine.meta(LIVES)? {
                Some(value) => Lives::decode_past(epoch, &mut Reader::new(&value))?,
                None => Lives::new(epoch),
            });
        }
        if let Some(value) = engine.meta(STATE)? {
            let mut reader = Reader::new(&value);
            self.state = FoldedState {
                folded: Seq(reader.u64("folded")?),
                highest: Hlc::from_u64(reader.u64("highest")?),
                floor_day: u32::from_le_bytes(reader.array("floor")?),
                needs_reconciliation: reader.u8("needs reconciliation")? != 0,
            };
        }
        if let Some(value) = engine.meta(CLEAN)? {
            self.clean = Some(Seq(Reader::new(&value).u64("clean")?));
        }
        if let Some(value) = engine.meta(BEGUN)? {
            self.begun = Seq(Reader::new(&value).u64("begun")?);
        }
        Ok(())
    }

    fn read_many(&mut self, engine: &dyn Engine) -> Result<(), EngineError> {
        for (name, value) in engine.meta_under(CURSOR)? {
            let peer = ReplicaId(Reader::new(name.get(CURSOR.len()..).unwrap_or_default()).array("peer")?);
            let mut reader = Reader::new(&value);
            let (epoch, seq) = (Epoch(reader.u64("epoch")?), Seq(reader.u64("cursor")?));
            self.cursors.insert(peer, PeerCursor { peer, epoch, seq });
        }
        for (name, value) in engine.meta_under(TOMBSTONE)? {
            let mut reader = Reader::new(name.get(TOMBSTONE.len()..).unwrap_or_default());
            let hash = u64::from_be_bytes(reader.array("hash")?);
            let profile = reader.bytes(reader.remaining(), "profile")?.into();
            let mut reader = Reader::new(&value);
            let (erased, arrived) = (Hlc::from_u64(reader.u64("erased")?), Seq(reader.u64("arrived")?));
            self.tombstones.push((hash, Tombstone { profile, erased, arrived }));
        }
        for (name, value) in engine.meta_under(UNSHARED)? {
            let key = RegisterKey(u128::from_be_bytes(Reader::new(name.get(UNSHARED.len()..).unwrap_or_default()).array("key")?));
            let packed = PackedRef::read(&value)?;
            let (profile, title) = (packed.profile_id()?, packed.title_id()?);
            self.unshared.insert(key, super::present::UnsharedDelta { profile, title, progress: packed.progress()? });
        }
        Ok(())
    }
}
