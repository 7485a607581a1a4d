//! The greeting: what two replicas must agree on before a record flows, and what follows for the link.

use std::collections::BTreeSet;

use super::{LinkConfig, LinkError, LinkEvent};
use crate::limits::ACTIVITY_WINDOW_MS;
use crate::progress::ProfileId;
use crate::replica::{Core, Grant};
use crate::store::{Epoch, KeyHasher, Lives, PeerCursor, ReplicaId, Seq};
use crate::sync::message::{Granted, Hello, PROTOCOL_MAX, PROTOCOL_MIN, Resume, Role};
use crate::sync::reconcile::Scope;
use crate::time::WallTime;

const DAY_MS: u64 = 86_400_000;

/// Hashed under the cluster's secret, so that two replicas learn whether they share it, and nobody else learns anything.
const HASH_CHECK: &[u8] = b"leftoff: do we share the secret?";

/// The hello that this replica sends.
pub(super) fn hello_of(now: WallTime, core: &Core, config: &LinkConfig) -> Hello {
    let store = core.store();
    Hello {
        protocol_min: PROTOCOL_MIN,
        protocol_max: PROTOCOL_MAX,
        replica: store.id(),
        lives: store.lives().clone(),
        role: config.role,
        clock: core.corrected(now),
        ttl_ms: core.options().ttl_days.map_or(0, |days| u64::from(days) * DAY_MS),
        window_ms: ACTIVITY_WINDOW_MS,
        floor_day: store.floor_day(),
        hash_check: store.hasher().bytes(HASH_CHECK),
        run: config.run,
        salt: config.salt,
        seq: store.durable(),
        token: config.token.clone(),
        name: config.name.clone(),
        region: config.region.clone(),
        advertise: config.advertise.clone(),
    }
}

/// Refuses a peer that this replica cannot replicate with.
pub(super) fn check(ours: &Hello, theirs: &Hello, config: &LinkConfig) -> Result<(), LinkError> {
    if theirs.replica == ours.replica {
        return Err(LinkError::Myself);
    }
    for (setting, ours, theirs) in [("ttl", ours.ttl_ms, theirs.ttl_ms), ("activity window", ours.window_ms, theirs.window_ms)] {
        if ours != theirs {
            return Err(LinkError::Settings { setting, ours, theirs });
        }
    }
    let unauthorized = |reason: &str| Err(LinkError::Unauthorized { reason: reason.to_owned() });
    match theirs.role {
        Role::Node if !config.peer_is_node => unauthorized("a node must bring a certificate of the cluster"),
        Role::Device if config.role == Role::Device => unauthorized("two devices do not speak to each other"),
        Role::Device if config.dialed => unauthorized("a device does not take connections"),
        Role::Device if config.authority.is_none() => unauthorized("this node takes no devices"),
        Role::Node | Role::Device => Ok(()),
    }
}

/// What a link is narrowed to.
#[derive(Clone, Debug)]
pub(super) struct Narrow {
    pub(super) profiles: BTreeSet<ProfileId>,
    /// The device is sent records.
    pub(super) read: bool,
    /// Records of the device are taken.
    pub(super) write: bool,
    pub(super) expires: WallTime,
    /// At the node: what the device's records are checked against.
    pub(super) grant: Option<Grant>,
}

impl Narrow {
    pub(super) fn of_grant(grant: Grant) -> Self {
        let (read, write, expires) = (grant.read, grant.write, grant.expires);
        Self { profiles: grant.profiles.clone(), read, write, expires, grant: Some(grant) }
    }

    pub(super) fn of_granted(granted: Granted) -> Self {
        let (read, write, expires) = (granted.read, granted.write, granted.expires);
        Self { profiles: granted.profiles.into_iter().collect(), read, write, expires, grant: None }
    }

    pub(super) fn granted(&self) -> Granted {
        Granted { read: self.read, write: self.write, expires: self.expires, profiles: self.profiles.iter().cloned().collect() }
    }

    /// The profiles that this side sends records of.
    pub(super) fn sent_profiles(&self) -> Vec<ProfileId> {
        self.profiles.iter().filter(|profile| self.sends(profile.as_str())).cloned().collect()
    }

    /// Whether this side sends records of the profile.
    pub(super) fn sends(&self, profile: &str) -> bool {
        let allowed = if self.grant.is_some() { self.read } else { self.write };
        #[cfg(leftoff_planted)]
        if crate::planted::is_on(crate::planted::Planted::FilterForgetsProfile) {
            return allowed;
        }
        allowed && self.profiles.contains(profile)
    }

    /// The life of sequence numbers as it is remembered over this link: another for each set of profiles.
    ///
    /// A cursor says "everything up to here", and on a narrow link everything means the token's profiles. With a new token that holds one
    /// more, the old cursor would hide what that profile had before; so it is not found, and the link reconciles.
    fn epoch(&self, epoch: Epoch) -> Epoch {
        let mut bytes = vec![u8::from(self.read), u8::from(self.write)];
        for profile in &self.profiles {
            bytes.extend_from_slice(profile.as_str().as_bytes());
            bytes.push(0xff);
        }
        Epoch(epoch.0 ^ KeyHasher::new(*b"leftoff narrowed").bytes(&bytes))
    }
}

/// The peer as this replica knows it.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    /// Under which its cursor is kept, and where its records are said to come from.
    pub(super) id: ReplicaId,
    /// What it calls itself.
    pub(super) claimed: ReplicaId,
    pub(super) role: Role,
    /// The life of its sequence numbers, and those before it, as remembered over this link.
    pub(super) lives: Lives,
    pub(super) hello: Hello,
}

impl Peer {
    pub(super) fn new(core: &Core, hello: Hello, narrow: Option<&Narrow>) -> Self {
        let id = narrow.and_then(|narrow| narrow.grant.as_ref()).map_or(hello.replica, |grant| bound_id(core, grant, hello.replica));
        let lives = narrowed(&hello.lives, narrow);
        Self { id, claimed: hello.replica, role: hello.role, lives, hello }
    }

    /// What the shell is told of it.
    pub(super) fn greeted(&self) -> LinkEvent {
        LinkEvent::Greeted {
            peer: self.id,
            role: self.role,
            name: self.hello.name.clone(),
            region: self.hello.region.clone(),
            run: self.hello.run,
            advertise: self.hello.advertise.clone(),
        }
    }

    pub(super) const fn cursor(&self, seq: Seq) -> PeerCursor {
        PeerCursor { peer: self.id, epoch: self.lives.epoch(), seq }
    }

    /// What this replica remembers of the peer's changes, in whatever life of the peer.
    pub(super) fn resume(&self, core: &Core, unsettled: bool) -> Resume {
        let known = core.store().cursor(self.id);
        Resume { known: known.map(|cursor| (cursor.epoch, cursor.seq)), unsettled }
    }
}

/// The id under which a device is known here. What it calls itself is bound to its account: nobody proved it, and a device that calls itself
/// by the id of a node would otherwise move that node's cursor. The first eight bytes are the account's: the store bounds the cursors of one account.
fn bound_id(core: &Core, grant: &Grant, claimed: ReplicaId) -> ReplicaId {
    let hasher = core.store().hasher();
    let mut bytes = claimed.0.to_vec();
    bytes.extend_from_slice(grant.account.as_bytes());
    let device = hasher.bytes(&bytes);
    bytes.splice(..16, *b"leftoff account ");
    ReplicaId((u128::from(hasher.bytes(&bytes)) << 64 | u128::from(device)).to_be_bytes())
}

/// How one side's changes reach the other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Way {
    /// The receiver remembers how far it is.
    After(Seq),
    /// Everything there is.
    Everything,
    /// Only what a reconciliation finds missing, and what comes after the greeting.
    Reconcile,
}

/// How the changes of the side with `hello` and `lives` reach the side that sent `resume`, which has the number `receiver_seq` and of which that side
/// remembers `back`.
pub(super) fn way(hello: &Hello, lives: &Lives, resume: &Resume, (receiver_seq, back): (Seq, &Resume), scope: Option<&Scope>) -> Way {
    match resume.known {
        // A cursor that these lives do not have was made from changes that a crash took back, or that came after this folder was copied.
        Some((known, seq)) if lives.have(known, seq) && seq <= hello.seq && !resume.unsettled => Way::After(seq),
        _ => match scope {
            None => Way::Everything,
            // Between whole stores, an empty one is filled without a search. A narrow link looks into its few profiles instead. One that is empty and
            // known has lost its log: everything would go without what the other once had from it, as if it were still there.
            Some(Scope::Everything) if is_new(hello.seq, resume) || is_new(receiver_seq, back) => Way::Everything,
            Some(_) => Way::Reconcile,
        },
    }
}

/// Whether a side is empty, and was never read by the other, which remembers this of it.
fn is_new(seq: Seq, remembered: &Resume) -> bool {
    seq == Seq(0) && remembered.known.is_none()
}

/// The lives of a replica's numbers, as the other side remembers them over this link.
pub(super) fn narrowed(lives: &Lives, narrow: Option<&Narrow>) -> Lives {
    narrow.map_or_else(|| lives.clone(), |narrow| lives.renamed(|epoch| narrow.epoch(epoch)))
}

/// What a reconciliation on this link compares; `None` when there can be none.
pub(super) fn scope_of(ours: &Hello, theirs: &Hello, narrow: Option<&Narrow>, dialed: bool) -> Option<Scope> {
    match narrow {
        Some(narrow) if narrow.read && narrow.write => {
            let secret = if dialed { theirs.salt } else { ours.salt };
            Some(Scope::Profiles { profiles: narrow.profiles.iter().cloned().collect(), secret })
        }
        // A device that may only read or only write gets, or gives, everything when its cursor is not known.
        Some(_) => None,
        // Nodes with different secrets have no keys in common to compare by.
        None => (ours.hash_check == theirs.hash_check).then_some(Scope::Everything),
    }
}
