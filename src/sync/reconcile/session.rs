//! A pass of reconciliation, from one side: what was asked, what is still to be answered, whose turn it is.

use std::collections::VecDeque;

use super::fingerprint::sent;
use super::list::{compare, id_of, list_of};
use super::source::{Item, Resume};
use super::{LIST_COUNT_MAX, Prefix, Scope, Source};
use crate::limits::{LIVE_FRAME_BYTES, RECONCILE_RANGES_COUNT_MAX, RECONCILE_ROUNDS_COUNT_MAX, RECORD_BYTES_MAX};
use crate::progress::codec::{DecodeError, Reader};
use crate::store::{ReadError, Store};
use crate::sync::frame::FrameType;
use crate::sync::message::{
    FpsEntry, IdWidth, ListEntry, Start, Turn, WantEntry, put_fps, put_list, put_want, read_fps, read_list, read_want,
};

/// Bytes of one turn that are taken.
const TURN_BYTES_MAX: usize = 16 << 20;

/// Bytes of one turn that are asked; further differences are left to another pass.
const ASKED_BYTES_MAX: usize = 12 << 20;

/// How often one pass may visit the records of a narrow link, on average: a peer cannot make this side count the same range for ever.
const VISITS_PER_RECORD_MAX: u64 = 64;

/// Visits that are free, so that a small profile has room for every turn.
const VISITS_FREE: u64 = 1 << 16;

const _: () = assert!(ASKED_BYTES_MAX + 2 * LIVE_FRAME_BYTES < TURN_BYTES_MAX, "what one side asks, the other takes");

/// Above this, a range that the other lists is divided once more by kept fingerprints instead of being read.
const READ_COUNT_MAX: u64 = 4_096;

/// Why a pass cannot go on. The link ends.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The other side sent bytes that are not the protocol.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The other side spoke when it was not its turn, or began a pass in the middle of one.
    #[error("a frame of reconciliation out of turn")]
    OutOfTurn,
    /// The other side asked for more than one pass may take.
    #[error("more than {bound} {what} in one pass of reconciliation")]
    Budget {
        /// Of what.
        what: &'static str,
        /// The bound.
        bound: usize,
    },
    /// This side's store failed.
    #[error(transparent)]
    Read(#[from] ReadError),
}

#[derive(Debug)]
enum Work {
    Start,
    Divide(Prefix),
    List(Prefix, IdWidth),
    Answer(ListEntry),
    Give(WantEntry, Option<Resume>),
    GiveAll(Prefix, Option<Resume>),
    GiveTombstones(usize),
    Turn,
}

/// What a pass wants sent, in order.
#[derive(Debug, Eq, PartialEq)]
pub enum Produced {
    /// A frame.
    Frame(FrameType, Vec<u8>),
    /// Records, encoded.
    Records {
        /// How many.
        count: u32,
        /// Their bytes.
        bytes: Vec<u8>,
    },
}

/// One pass, from one side.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts; most combinations occur")]
pub struct Session {
    source: Source,
    salt: u64,
    pass: u8,
    began: bool,
    my_turn: bool,
    work: VecDeque<Work>,
    /// Bytes of the other side's turn so far.
    taken_bytes: usize,
    /// Bytes of this side's turn so far.
    asked_bytes: usize,
    turns: u32,
    visits: u64,
    /// Whether the turn before, the other side's or this one's, asked nothing.
    quiet: bool,
    differs: bool,
    truncated: bool,
    complete: bool,
}

impl Session {
    /// Begins a pass: this side speaks first.
    pub fn begin(store: &Store, scope: &Scope, pass: u8, salt: u64) -> Result<Self, SessionError> {
        let mut session = Self::new(Source::open(store, scope)?, pass, salt);
        session.began = true;
        session.my_turn = true;
        session.work.extend([Work::Start, Work::Divide(Prefix::ROOT), Work::Turn]);
        Ok(session)
    }

    /// Joins a pass that the other side began.
    pub fn join(store: &Store, scope: &Scope, start: &Start) -> Result<Self, SessionError> {
        let mut session = Self::new(Source::open(store, scope)?, start.pass, start.salt);
        if session.note_tombstones(start) {
            session.work.push_front(Work::Start);
        }
        Ok(session)
    }

    fn new(source: Source, pass: u8, salt: u64) -> Self {
        Self {
            source,
            salt,
            pass,
            began: false,
            my_turn: false,
            work: VecDeque::new(),
            taken_bytes: 0,
            asked_bytes: 0,
            turns: 0,
            visits: 0,
            quiet: false,
            differs: false,
            truncated: false,
            complete: false,
        }
    }

    /// Which pass.
    pub const fn pass(&self) -> u8 {
        self.pass
    }

    /// Whether this side began it.
    pub const fn began(&self) -> bool {
        self.began
    }

    /// Whether a difference was found, by either side.
    pub const fn differs(&self) -> bool {
        self.differs
    }

    /// Whether differences were left to another pass, by either side.
    pub const fn truncated(&self) -> bool {
        self.truncated
    }

    /// Whether both sides are through.
    pub const fn is_complete(&self) -> bool {
        self.complete
    }

    /// Whether this side is to speak.
    pub const fn is_my_turn(&self) -> bool {
        self.my_turn && !self.complete
    }

    /// Takes the other side's start, in answer to this one's: its tombstones differ.
    pub fn handle_start(&mut self, start: &Start) -> Result<(), SessionError> {
        if !self.began || self.my_turn || start.salt != self.salt || start.pass != self.pass {
            return Err(SessionError::OutOfTurn);
        }
        self.note_tombstones(start);
        Ok(())
    }

    fn note_tombstones(&mut self, theirs: &Start) -> bool {
        let differ = theirs.tombstones != self.source.tombstones_sum(self.salt);
        #[cfg(leftoff_planted)]
        let differ = differ && !crate::planted::is_on(crate::planted::Planted::TombstoneNotReconciled);
        if differ {
            self.differs = true;
            self.work.push_back(Work::GiveTombstones(0));
        }
        differ
    }

    /// Takes a frame of the other side's turn.
    pub fn handle(&mut self, store: &Store, kind: FrameType, body: &[u8]) -> Result<(), SessionError> {
        if self.my_turn || self.complete {
            return Err(SessionError::OutOfTurn);
        }
        self.taken_bytes += body.len();
        if self.taken_bytes > TURN_BYTES_MAX {
            return Err(SessionError::Budget { what: "bytes of one turn", bound: TURN_BYTES_MAX });
        }
        let mut reader = Reader::new(body);
        while !reader.is_empty() {
            match kind {
                FrameType::Fps => self.compare_parts(store, &read_fps(&mut reader)?)?,
                FrameType::List => {
                    let list = read_list(&mut reader)?;
                    self.push(Work::Answer(list));
                }
                FrameType::Want => {
                    let want = read_want(&mut reader)?;
                    self.push(Work::Give(want, None));
                }
                _ => return Err(SessionError::OutOfTurn),
            }
        }
        Ok(())
    }

    /// Takes the end of the other side's turn.
    pub fn handle_turn(&mut self, turn: Turn) -> Result<(), SessionError> {
        if self.my_turn || self.complete {
            return Err(SessionError::OutOfTurn);
        }
        self.turns += 1;
        if self.turns > RECONCILE_ROUNDS_COUNT_MAX {
            return Err(SessionError::Budget { what: "turns", bound: RECONCILE_ROUNDS_COUNT_MAX as usize });
        }
        self.differs |= turn.differs;
        self.truncated |= turn.truncated;
        self.taken_bytes = 0;
        self.asked_bytes = 0;
        self.source.begin_turn();
        if turn.quiet && self.quiet {
            self.complete = true;
            return Ok(());
        }
        self.quiet = turn.quiet;
        self.my_turn = true;
        self.work.push_back(Work::Turn);
        Ok(())
    }

    /// Queues an answer. A turn with more differences than are kept is honest when the stores have little in common: the rest is left to
    /// another pass, which finds what this one did not reach.
    fn push(&mut self, work: Work) {
        self.differs = true;
        if self.work.len() < RECONCILE_RANGES_COUNT_MAX {
            self.work.push_back(work);
        } else {
            self.truncated = true;
        }
    }

    fn visit(&mut self, prefix: Prefix) -> Result<(), SessionError> {
        let (visits, listed) = self.source.visits(prefix);
        self.visits += visits;
        let bound = listed * VISITS_PER_RECORD_MAX + VISITS_FREE;
        if self.visits > bound { Err(SessionError::Budget { what: "visits", bound: bound as usize }) } else { Ok(()) }
    }

    fn compare_parts(&mut self, store: &Store, theirs: &FpsEntry) -> Result<(), SessionError> {
        self.visit(theirs.prefix)?;
        let parts = self.source.parts(store, theirs.prefix)?;
        for (index, (mine, theirs_sent)) in parts.into_iter().zip(theirs.fingerprints).enumerate() {
            if sent(mine, self.salt) == theirs_sent {
                continue;
            }
            let part = theirs.prefix.part(index);
            self.push(if theirs_sent == 0 {
                Work::GiveAll(part, None)
            } else if mine.count > LIST_COUNT_MAX && part.is_divisible() {
                Work::Divide(part)
            } else {
                Work::List(part, IdWidth::Short)
            });
        }
        Ok(())
    }

    /// What is to be sent next; nothing when it is the other's turn. At most about a live frame of each kind.
    pub fn poll(&mut self, store: &Store) -> Result<Vec<Produced>, SessionError> {
        let mut out = Output::default();
        while self.my_turn && !out.is_full() {
            let Some(work) = self.work.pop_front() else { break };
            self.perform(store, work, &mut out)?;
        }
        self.asked_bytes += out.asked_bytes();
        Ok(out.into_produced())
    }

    fn perform(&mut self, store: &Store, work: Work, out: &mut Output) -> Result<(), SessionError> {
        if self.asked_bytes > ASKED_BYTES_MAX && matches!(work, Work::Divide(_) | Work::List(..) | Work::Answer(_)) {
            self.truncated = true;
            return Ok(());
        }
        match work {
            Work::Start => {
                let start = Start { salt: self.salt, tombstones: self.source.tombstones_sum(self.salt), pass: self.pass };
                start.encode(&mut out.start);
            }
            Work::Divide(prefix) => {
                self.visit(prefix)?;
                let fingerprints = self.source.parts(store, prefix)?.map(|part| sent(part, self.salt));
                put_fps(&mut out.fps, &FpsEntry { prefix, fingerprints });
            }
            Work::List(prefix, width) => {
                self.visit(prefix)?;
                let items = self.source.items(store, prefix)?;
                put_list(&mut out.lists, &list_of(prefix, &items, width, self.salt));
            }
            Work::Answer(list) => self.answer(store, &list, out)?,
            Work::Give(want, from) => {
                self.visit(want.prefix)?;
                let picks = |item: &Item| want.ids.binary_search(&id_of(item, want.width, self.salt)).is_ok();
                if let Some(from) = out.put_records(&self.source, store, want.prefix, from, &picks)? {
                    self.work.push_front(Work::Give(want, Some(from)));
                }
            }
            Work::GiveAll(prefix, from) => {
                if let Some(from) = out.put_records(&self.source, store, prefix, from, &|_| true)? {
                    self.work.push_front(Work::GiveAll(prefix, Some(from)));
                }
            }
            Work::GiveTombstones(from) => {
                let (count, rest) = self.source.put_tombstones(from, RECORDS_BYTES_MAX, &mut out.records);
                out.records_count += count;
                if let Some(from) = rest {
                    self.work.push_front(Work::GiveTombstones(from));
                }
            }
            Work::Turn => {
                let quiet = self.asked_bytes + out.asked_bytes() == 0;
                out.turn = Some(Turn { quiet, settled: false, differs: self.differs, truncated: self.truncated });
                self.complete = quiet && self.quiet;
                self.quiet = quiet;
                self.my_turn = false;
            }
        }
        Ok(())
    }

    fn answer(&mut self, store: &Store, list: &ListEntry, out: &mut Output) -> Result<(), SessionError> {
        let prefix = list.prefix;
        if list.ids.is_empty() {
            self.work.push_front(Work::GiveAll(prefix, None));
            return Ok(());
        }
        if self.source.is_above_leaves(prefix) && self.source.count(prefix) > READ_COUNT_MAX {
            // The other has little there and this side much: its list was cheap, reading all of this side's would not be.
            self.work.push_front(Work::Divide(prefix));
            return Ok(());
        }
        self.visit(prefix)?;
        let items = self.source.items(store, prefix)?;
        let compared = compare(list, &items, self.salt);
        if compared.collided && list.width == IdWidth::Short {
            self.work.push_front(Work::List(prefix, IdWidth::Wide));
        }
        if !compared.theirs.is_empty() {
            put_want(&mut out.wants, &WantEntry { prefix, width: list.width, ids: compared.theirs });
        }
        if !compared.ours.is_empty() {
            let ours = WantEntry { prefix, width: list.width, ids: compared.ours.into_iter().collect() };
            self.work.push_front(Work::Give(ours, None));
        }
        Ok(())
    }
}

/// Records gathered into one frame, in bytes: the last one may begin just below it.
const RECORDS_BYTES_MAX: usize = LIVE_FRAME_BYTES;

/// What one poll gathers, one frame a kind.
#[derive(Default)]
struct Output {
    start: Vec<u8>,
    fps: Vec<u8>,
    lists: Vec<u8>,
    wants: Vec<u8>,
    records: Vec<u8>,
    records_count: u32,
    turn: Option<Turn>,
}

impl Output {
    /// An entry beyond this bound (a list of a crowded range) may make a frame longer than a live one, never longer than a frame may be.
    fn is_full(&self) -> bool {
        self.fps.len().max(self.lists.len()).max(self.wants.len()).max(self.records.len() + RECORD_BYTES_MAX) >= LIVE_FRAME_BYTES
    }

    fn asked_bytes(&self) -> usize {
        // The start of the side that began is followed by fingerprints anyway; that of the other asks for tombstones.
        self.start.len() + self.fps.len() + self.lists.len() + self.wants.len()
    }

    fn put_records(
        &mut self,
        source: &Source,
        store: &Store,
        prefix: Prefix,
        from: Option<Resume>,
        picks: &dyn Fn(&Item) -> bool,
    ) -> Result<Option<Resume>, ReadError> {
        let (count, resume) = source.put_records(store, prefix, from, picks, RECORDS_BYTES_MAX, &mut self.records)?;
        self.records_count += count;
        Ok(resume)
    }

    fn into_produced(self) -> Vec<Produced> {
        let frames =
            [(FrameType::Start, self.start), (FrameType::Fps, self.fps), (FrameType::List, self.lists), (FrameType::Want, self.wants)];
        let mut produced: Vec<Produced> =
            frames.into_iter().filter(|(_, body)| !body.is_empty()).map(|(kind, body)| Produced::Frame(kind, body)).collect();
        if self.records_count > 0 {
            produced.push(Produced::Records { count: self.records_count, bytes: self.records });
        }
        if let Some(turn) = self.turn {
            let mut body = Vec::new();
            turn.encode(&mut body);
            produced.push(Produced::Frame(FrameType::Turn, body));
        }
        produced
    }
}
