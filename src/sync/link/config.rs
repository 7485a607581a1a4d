//! How one link behaves, and what it tells its shell.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::progress::ProfileId;
use crate::replica::Authority;
use crate::store::ReplicaId;
use crate::sync::clock::Comparison;
use crate::sync::message::{ByeCode, KnownPeer, Role};
use crate::time::WallTime;

/// How one link behaves.
#[derive(Clone)]
pub struct LinkConfig {
    /// What this replica is.
    pub role: Role,
    /// Its name, for people.
    pub name: String,
    /// Its region, for people.
    pub region: String,
    /// Where other nodes reach it; empty if they cannot.
    pub advertise: String,
    /// A device's token; empty for a node.
    pub token: String,
    /// Whether this side opened the connection.
    pub dialed: bool,
    /// Whether the transport has proved that the peer is a node of the cluster. Otherwise it is a device, and must bring a token.
    pub peer_is_node: bool,
    /// Verifies devices' tokens; without one, devices are refused.
    pub authority: Option<Arc<dyn Authority>>,
    /// A random number, the same for all links of one run of the program.
    pub run: u64,
    /// Random bytes, new for each link.
    pub salt: [u8; 16],
    /// Peers from which, or by which, records were refused on an earlier link, to be offered later: the cursor alone does not settle what is
    /// missing there.
    pub unsettled: BTreeSet<ReplicaId>,
    /// How often clocks are compared.
    pub ping_interval: Duration,
    /// How long the greeting may take, and an answer to a ping.
    pub patience: Duration,
    /// How often everything is compared though nothing seems to be missing; `None` never.
    pub scrub_interval: Option<Duration>,
}

impl std::fmt::Debug for LinkConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LinkConfig")
            .field("role", &self.role)
            .field("name", &self.name)
            .field("dialed", &self.dialed)
            .finish_non_exhaustive()
    }
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self {
            role: Role::Node,
            name: String::new(),
            region: String::new(),
            advertise: String::new(),
            token: String::new(),
            dialed: false,
            peer_is_node: false,
            authority: None,
            run: 0,
            salt: [0; 16],
            unsettled: BTreeSet::new(),
            ping_interval: Duration::from_secs(10),
            patience: Duration::from_secs(30),
            scrub_interval: None,
        }
    }
}

/// What a link tells its shell: past facts.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum LinkEvent {
    /// The peer has said who it is.
    Greeted {
        /// Who; a device's id is bound to its account.
        peer: ReplicaId,
        /// What.
        role: Role,
        /// Its name, for people.
        name: String,
        /// Its region, for people.
        region: String,
        /// The number of its run.
        run: u64,
        /// Where it is reached; empty if nowhere.
        advertise: String,
    },
    /// Records flow from here on.
    Opened,
    /// The clocks were compared.
    ClockCompared(Comparison),
    /// This device's unshared work was moved to right time and shared; the offset of its clock is to be kept for the next start.
    Shared {
        /// What is to be added to this machine's clock, in milliseconds.
        clock_offset_ms: i64,
    },
    /// What this device's token allows. Profiles that are kept here and not among these are to be dropped.
    Granted {
        /// The profiles.
        profiles: Vec<ProfileId>,
        /// When the token ends.
        expires: WallTime,
    },
    /// The peer refused a record because this device's token does not hold the profile.
    NotEntitled {
        /// Which.
        profile: ProfileId,
    },
    /// The peer knows these nodes.
    PeersLearned(Vec<KnownPeer>),
    /// A reconciliation is settled.
    Reconciled {
        /// Passes it took.
        passes: u8,
        /// Whether anything differed.
        differed: bool,
    },
    /// The peer says goodbye.
    Parted {
        /// Why, for programs.
        code: ByeCode,
        /// Why, for people.
        reason: String,
    },
}
