//! Which of two links between the same replicas stays.

use super::message::Role;
use crate::store::ReplicaId;

/// One of the two links, as one of its ends sees it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rival {
    /// Whether this end dialed.
    pub dialed: bool,
    /// The number of the peer's run that the link belongs to, once it has said so.
    pub run: Option<u64>,
}

/// Whether the newer of two links stays, as `own` sees it; otherwise the older one does.
///
/// Both sides keep the same one: the one that the smaller id dialed. Of two that the same side dialed, the dialer keeps the older and the other
/// side the newer: the older may be left over from a life of the dialer's that has ended, and only the dialer knows. A link of another run of
/// the peer's program is dead in any case.
pub fn newer_stays(own: ReplicaId, peer: ReplicaId, role: Role, older: Rival, newer: Rival) -> bool {
    let preferred = |dialed: bool| role == Role::Device || (own < peer) == dialed;
    older.run != newer.run
        || match (preferred(older.dialed), preferred(newer.dialed)) {
            (true, false) => false,
            (false, true) => true,
            _ => !newer.dialed,
        }
}
