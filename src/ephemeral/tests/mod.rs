//! Tests of the layer: one node in virtual time, then several that gossip.

mod gossip;
mod laws;
mod parties;
mod presences;
mod sessions;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::progress::{AccountId, DeviceId, PartyId, Position, ProfileId, SessionId, Speed, TitleId};
use crate::time::{Hlc, HybridClock, MonotonicTime, WallTime};

const START: WallTime = WallTime::from_millis(1_790_000_000_000);

/// A node with clocks of its own.
struct Node {
    ephemeral: Ephemeral,
    clock: Mutex<HybridClock>,
    elapsed: Mutex<Duration>,
    /// How far its wall clock is ahead.
    offset_ms: i64,
}

impl Node {
    fn new(number: u8) -> Self {
        Self::with(number, 0, EphemeralOptions::default())
    }

    fn with(number: u8, offset_ms: i64, options: EphemeralOptions) -> Self {
        // Monotonic clocks have nothing to do with each other.
        let elapsed = Duration::from_secs(u64::from(number) * 1_000);
        let ephemeral = Ephemeral::new(NodeId([number; 16]), options);
        Self { ephemeral, clock: Mutex::default(), elapsed: Mutex::new(elapsed), offset_ms }
    }

    fn mono(&self) -> MonotonicTime {
        MonotonicTime::from_start(*self.elapsed.lock().unwrap())
    }

    fn wall(&self) -> WallTime {
        let number = i64::from(self.ephemeral.lock().me.0[0]);
        let elapsed = i64::try_from(self.elapsed.lock().unwrap().as_millis()).unwrap() - number * 1_000_000;
        START.shifted(elapsed + self.offset_ms)
    }

    fn tick(&self) -> Hlc {
        self.clock.lock().unwrap().tick(self.wall())
    }

    fn pass(&self, time: Duration) {
        *self.elapsed.lock().unwrap() += time;
        self.ephemeral.expire(self.mono(), self.tick());
    }

    fn present(&self, profile: &str, device: &str, connection: u64, state: PresenceState) {
        let who = Presence { profile: profile_id(profile), device: device_id(device), connection, state, title: None };
        self.ephemeral.present(self.mono(), self.tick(), &who).unwrap();
    }

    fn devices(&self, profile: &str) -> Vec<(String, PresenceState)> {
        let devices = self.ephemeral.devices(self.mono(), &profile_id(profile));
        devices.into_iter().map(|device| (device.device.to_string(), device.state)).collect()
    }

    fn start(&self, id: &str, account: &str, device: &str) -> Result<Session, StartSessionError> {
        let new = NewSession {
            id: SessionId::new(id).unwrap(),
            account: AccountId::new(account).unwrap(),
            profile: profile_id("ada"),
            device: device_id(device),
            title: TitleId::new("film").unwrap(),
        };
        self.ephemeral.start_session(self.mono(), self.tick(), new)
    }

    fn renew(&self, id: &str) -> Result<Session, SessionGone> {
        self.ephemeral.renew_session(self.mono(), self.tick(), &SessionId::new(id).unwrap(), &profile_id("ada"), None, None)
    }

    fn ended(&self, id: &str) -> Option<EndReason> {
        self.ephemeral.session(&SessionId::new(id).unwrap())?.ended
    }

    fn create(&self, profile: &str, control: Control) -> PartyView {
        let (profile, device) = (profile_id(profile), device_id(profile));
        let new = NewParty { id: party_id(), invite: INVITE, profile, device, control, anchor: anchor(0) };
        self.ephemeral.create_party(self.mono(), self.tick(), new).unwrap()
    }

    fn join(&self, profile: &str, invite: Option<Invite>) -> Result<PartyView, PartyError> {
        let (now, stamp) = (self.mono(), self.tick());
        self.ephemeral.join_party(now, stamp, &party_id(), &profile_id(profile), &device_id(profile), invite.as_ref())
    }

    fn leave(&self, profile: &str) -> bool {
        self.ephemeral.leave_party(self.mono(), self.tick(), &party_id(), &profile_id(profile), &device_id(profile))
    }

    fn seek(&self, profile: &str, position_ms: u64, nonce: Option<u64>) -> Result<PartyView, PartyError> {
        let command = Command { profile: profile_id(profile), device: device_id(profile), nonce, anchor: anchor(position_ms) };
        self.ephemeral.control_party(self.mono(), self.tick(), &party_id(), command)
    }

    fn party(&self) -> Option<PartyView> {
        self.ephemeral.party(self.mono(), &party_id())
    }

    fn host(&self) -> Option<String> {
        self.party()?.host.map(|host| host.profile.to_string())
    }

    fn position_ms(&self) -> u64 {
        self.party().unwrap().anchor.unwrap().anchor.position.as_millis()
    }

    /// Counts what a topic is told.
    fn count(&self, topic: Topic) -> Arc<AtomicUsize> {
        let count = Arc::new(AtomicUsize::new(0));
        let own = Arc::clone(&count);
        self.ephemeral.watch(topic, Arc::new(move |_| _ = own.fetch_add(1, Ordering::Relaxed)));
        count
    }
}

const INVITE: Invite = Invite([7; 16]);

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn profile_id(text: &str) -> ProfileId {
    ProfileId::new(text).unwrap()
}

fn device_id(text: impl AsRef<str>) -> DeviceId {
    DeviceId::new(text).unwrap()
}

fn party_id() -> PartyId {
    PartyId::new("party").unwrap()
}

fn anchor(position_ms: u64) -> Anchor {
    Anchor { title: TitleId::new("film").unwrap(), position: Position::from_millis(position_ms), rate: Speed::NORMAL, playing: true }
}
