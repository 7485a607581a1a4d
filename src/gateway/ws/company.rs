//! The company a socket keeps: that its device is there, the sessions it plays, the parties it is in. All of it by leases, renewed while the socket
//! lives.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;

use crate::ephemeral::{Command, EndReason, EphemeralChange, EphemeralWatchId, Invite, PartyView, Presence, PresenceState, Topic};
use crate::gateway::GatewayState;
use crate::gateway::auth::Bearer;
use crate::gateway::batch::Batch;
use crate::gateway::body;
use crate::gateway::parties::{AskedAnchor, control, seen};
use crate::gateway::problem::Problem;
use crate::gateway::pushes::{About, Outbox};
use crate::gateway::sessions;
use crate::limits::{PARTIES_PER_SOCKET_COUNT_MAX, SESSIONS_PER_SOCKET_COUNT_MAX};
use crate::progress::{DeviceId, EventKind, PartyId, PlaybackEvent, ProfileId, SessionId, TitleId};
use crate::time::system;

/// A session that goes on as it did is renewed this often at most, whatever its heartbeats.
const SESSION_RENEWAL: Duration = Duration::from_secs(3);

/// What a device says of itself.
#[derive(Debug, Deserialize)]
pub(super) struct StateFrame {
    state: String,
    #[serde(default)]
    profile_id: Option<String>,
    #[serde(default)]
    title_id: Option<String>,
}

/// Who enters, leaves or steers a party; what is left out is as in the hello.
#[derive(Debug, Deserialize)]
pub(super) struct PartyFrame {
    id: String,
    #[serde(default)]
    profile_id: Option<String>,
    #[serde(default)]
    device_id: Option<String>,
    #[serde(default, alias = "invite", alias = "invite_token")]
    token: Option<String>,
    #[serde(default)]
    nonce: Option<u64>,
    #[serde(default)]
    control: Option<String>,
    #[serde(flatten)]
    anchor: AskedAnchor,
}

struct Present {
    profile: ProfileId,
    state: PresenceState,
    title: Option<TitleId>,
}

struct Playing {
    session: SessionId,
    watch: EphemeralWatchId,
    kind: EventKind,
    heard: Instant,
}

struct Joined {
    about: About,
    party: PartyId,
    profile: ProfileId,
    device: DeviceId,
}

/// See the module. Ends with the socket: presence at once, a place in a party with its lease, so that a reconnecting viewer keeps it.
pub(super) struct Company {
    state: GatewayState,
    outbox: Arc<Outbox>,
    device: Option<DeviceId>,
    present: Vec<Present>,
    playing: Vec<Playing>,
    joined: Vec<Joined>,
    renewed: Instant,
}

impl Company {
    pub(super) fn new(state: GatewayState, outbox: Arc<Outbox>) -> Self {
        Self { state, outbox, device: None, present: Vec::new(), playing: Vec::new(), joined: Vec::new(), renewed: Instant::now() }
    }

    pub(super) const fn device(&self) -> Option<&DeviceId> {
        self.device.as_ref()
    }

    /// How often what is held here is renewed.
    pub(super) fn renewal(&self) -> Duration {
        self.state.core().ephemeral().options().lease / 3
    }

    /// Takes over who is there now, and what it follows. Parties of profiles that the bearer may no longer act for are none of its.
    pub(super) fn hello(&mut self, bearer: &Bearer, device: Option<DeviceId>, profiles: impl Iterator<Item = ProfileId>) {
        if device != self.device {
            self.leave_profiles(|_| true);
        }
        self.device = device;
        let profiles: Vec<ProfileId> = profiles.collect();
        self.leave_profiles(|profile| !profiles.contains(profile));
        for profile in profiles {
            if !self.present.iter().any(|present| present.profile == profile) {
                self.state.pushes().join_circle(&About::Devices(profile.clone()), &self.outbox);
                self.present.push(Present { profile, state: PresenceState::Paused, title: None });
            }
        }
        let (gone, stay) =
            std::mem::take(&mut self.joined).into_iter().partition(|joined: &Joined| bearer.may_write(&joined.profile).is_err());
        self.joined = stay;
        let gone: Vec<Joined> = gone;
        for joined in gone {
            self.leave_circle_if_alone(&joined.party);
        }
        for present in &self.present {
            self.say_present(present);
        }
    }

    /// The circles that a hello is answered with.
    pub(super) fn followed(&self) -> impl Iterator<Item = About> + '_ {
        self.present.iter().map(|present| About::Devices(present.profile.clone()))
    }

    fn say_present(&self, present: &Present) {
        let Some(device) = &self.device else { return };
        let core = self.state.core();
        let who = Presence {
            profile: present.profile.clone(),
            device: device.clone(),
            connection: self.outbox.number(),
            state: present.state,
            title: present.title.clone(),
        };
        if let Err(error) = core.ephemeral().present(system::monotonic_now(), core.tick(system::wall_now()), &who) {
            tracing::debug!(%error, "presence is not noted");
        }
    }

    fn leave_profiles(&mut self, leaves: impl Fn(&ProfileId) -> bool) {
        let (gone, stay) = std::mem::take(&mut self.present).into_iter().partition(|present: &Present| leaves(&present.profile));
        self.present = stay;
        let gone: Vec<Present> = gone;
        for present in gone {
            self.state.pushes().leave_circle(&About::Devices(present.profile.clone()), self.outbox.id());
            if let Some(device) = &self.device {
                let core = self.state.core();
                let (now, stamp) = (system::monotonic_now(), core.tick(system::wall_now()));
                core.ephemeral().absent(now, stamp, &present.profile, device, self.outbox.number());
            }
        }
    }

    /// What the device says of itself.
    pub(super) fn says(&mut self, frame: StateFrame) -> Result<(), Problem> {
        let state = match frame.state.as_str() {
            "playing" => PresenceState::Playing,
            "paused" => PresenceState::Paused,
            "background" => PresenceState::Background,
            other => {
                let shown: String = other.chars().take(64).collect();
                return Err(Problem::Malformed { reason: format!("state '{shown}' is not known; say playing, paused or background") });
            }
        };
        let title = frame.title_id.map(|title| body::id("title_id", TitleId::new(title))).transpose()?;
        let profile = frame.profile_id.map(|profile| body::id("profile_id", ProfileId::new(profile))).transpose()?;
        let index = match &profile {
            Some(profile) => self.present.iter().position(|present| present.profile == *profile),
            None => (!self.present.is_empty()).then_some(0),
        };
        let Some(index) = index else {
            return Err(Problem::Malformed { reason: "say hello with the profile and the device first".to_owned() });
        };
        let title = title.or_else(|| self.present[index].title.take());
        self.is_now(index, state, title);
        Ok(())
    }

    fn is_now(&mut self, index: usize, state: PresenceState, title: Option<TitleId>) {
        let present = &mut self.present[index];
        (present.state, present.title) = (state, title);
        self.say_present(&self.present[index]);
    }

    /// What reports tell besides progress: that the device plays, and that a session goes on. Checked against the token.
    pub(super) fn heard(&mut self, batch: &Batch) {
        for event in &batch.events {
            self.heard_device(event);
            if let Some(session) = &event.session_id {
                self.heard_session(session, batch, event);
            }
        }
    }

    fn heard_device(&mut self, event: &PlaybackEvent) {
        if self.device.as_ref().is_none_or(|device| device.as_str() != event.device_id) {
            return;
        }
        let Some(index) = self.present.iter().position(|present| present.profile.as_str() == event.profile_id) else { return };
        let state = match event.kind {
            EventKind::Play | EventKind::Heartbeat => PresenceState::Playing,
            EventKind::Pause | EventKind::Stop | EventKind::End => PresenceState::Paused,
            EventKind::Seek => return,
        };
        let present = &self.present[index];
        if present.state == state && present.title.as_ref().is_some_and(|title| title.as_str() == event.title_id) {
            return;
        }
        if let Ok(title) = TitleId::new(&event.title_id) {
            self.is_now(index, state, Some(title));
        }
    }

    fn heard_session(&mut self, session: &str, batch: &Batch, event: &PlaybackEvent) {
        let now = Instant::now();
        let known = self.playing.iter_mut().find(|playing| playing.session.as_str() == session);
        match known {
            Some(playing) if playing.kind == event.kind && now.duration_since(playing.heard) < SESSION_RENEWAL => return,
            Some(playing) => (playing.kind, playing.heard) = (event.kind, now),
            None => self.watch_session(session, event),
        }
        let now = system::wall_now();
        sessions::heard(self.state.core(), now, batch.sent(now), std::slice::from_ref(event));
    }

    /// Begins to watch over a session of this socket: another of its account may take its stream.
    fn watch_session(&mut self, session: &str, event: &PlaybackEvent) {
        let Ok(session) = SessionId::new(session) else { return };
        let ephemeral = self.state.core().ephemeral();
        // Another's session is none, here as everywhere.
        if ephemeral.session(&session).is_none_or(|known| known.profile.as_str() != event.profile_id) {
            return;
        }
        if self.playing.len() >= SESSIONS_PER_SOCKET_COUNT_MAX {
            ephemeral.unwatch(self.playing.remove(0).watch);
        }
        let (outbox, watched) = (Arc::clone(&self.outbox), session.clone());
        let notify = move |change: &EphemeralChange| {
            if let EphemeralChange::SessionEnded(EndReason::TooManyStreams) = change {
                outbox.lose_stream(&watched);
            }
        };
        let watch = ephemeral.watch(Topic::Session(session.clone()), Arc::new(notify));
        if let Some(EndReason::TooManyStreams) = ephemeral.session(&session).and_then(|known| known.ended) {
            self.outbox.lose_stream(&session);
        }
        self.playing.push(Playing { session, watch, kind: event.kind, heard: Instant::now() });
    }

    /// Joins a party.
    pub(super) fn join(&mut self, bearer: &Bearer, frame: &PartyFrame) -> Result<About, Problem> {
        let (party, profile, device) = self.viewer(bearer, frame)?;
        let about = About::Party(party.clone());
        let is_known = self.joined.iter().any(|joined| joined.party == party && joined.profile == profile && joined.device == device);
        if !is_known && self.joined.len() >= PARTIES_PER_SOCKET_COUNT_MAX {
            return Err(Problem::Full { what: "parties on one socket" });
        }
        let invite = frame.token.as_deref().and_then(Invite::parse);
        let core = self.state.core();
        let (now, stamp) = (system::monotonic_now(), core.tick(system::wall_now()));
        core.ephemeral().join_party(now, stamp, &party, &profile, &device, invite.as_ref())?;
        if !is_known {
            self.state.pushes().join_circle(&about, &self.outbox);
            self.joined.push(Joined { about: about.clone(), party, profile, device });
        }
        Ok(about)
    }

    /// Leaves a party.
    pub(super) fn leave(&mut self, bearer: &Bearer, frame: &PartyFrame) -> Result<(), Problem> {
        let (party, profile, device) = self.viewer(bearer, frame)?;
        let core = self.state.core();
        core.ephemeral().leave_party(system::monotonic_now(), core.tick(system::wall_now()), &party, &profile, &device);
        self.joined.retain(|joined| (&joined.party, &joined.profile, &joined.device) != (&party, &profile, &device));
        self.leave_circle_if_alone(&party);
        Ok(())
    }

    /// Is told of a party no more, unless another profile or device of this socket is still in it.
    fn leave_circle_if_alone(&self, party: &PartyId) {
        if !self.joined.iter().any(|joined| joined.party == *party) {
            self.state.pushes().leave_circle(&About::Party(party.clone()), self.outbox.id());
        }
    }

    /// Puts everybody in a place, or says who may.
    pub(super) fn control(&self, bearer: &Bearer, frame: PartyFrame) -> Result<PartyView, Problem> {
        let (party, profile, device) = self.viewer(bearer, &frame)?;
        let core = self.state.core();
        let (now, stamp) = (system::monotonic_now(), core.tick(system::wall_now()));
        if let Some(word) = frame.control {
            return Ok(core.ephemeral().set_party_control(now, stamp, &party, &profile, control(&word)?)?);
        }
        let anchor = frame.anchor.check(Some(&seen(core, now, &party, &profile)?))?;
        Ok(core.ephemeral().control_party(now, stamp, &party, Command { profile, device, nonce: frame.nonce, anchor })?)
    }

    fn viewer(&self, bearer: &Bearer, frame: &PartyFrame) -> Result<(PartyId, ProfileId, DeviceId), Problem> {
        let missing = |what: &str| Problem::Malformed { reason: format!("{what} is missing, here and in the hello") };
        let profile = match (&frame.profile_id, self.present.first()) {
            (Some(profile), _) => body::id("profile_id", ProfileId::new(profile))?,
            (None, Some(present)) => present.profile.clone(),
            (None, None) => return Err(missing("profile_id")),
        };
        bearer.may_write(&profile)?;
        let device = match (&frame.device_id, &self.device) {
            (Some(device), _) => body::id("device_id", DeviceId::new(device))?,
            (None, Some(device)) => device.clone(),
            (None, None) => return Err(missing("device_id")),
        };
        Ok((body::id("id", PartyId::new(&frame.id))?, profile, device))
    }

    /// Renews what is held here, if it is time.
    pub(super) fn renew(&mut self) {
        let now = Instant::now();
        if now.duration_since(self.renewed) < self.renewal() / 2 {
            return;
        }
        self.renewed = now;
        for present in &self.present {
            self.say_present(present);
        }
        let core = self.state.core();
        for Joined { party, profile, device, .. } in &self.joined {
            let (now, stamp) = (system::monotonic_now(), core.tick(system::wall_now()));
            // A lease that has lapsed all the same, because this machine stood still: whoever was let in once needs no invitation.
            if !core.ephemeral().renew_viewer(now, stamp, party, profile, device) {
                let _ = core.ephemeral().join_party(now, stamp, party, profile, device, None);
            }
        }
    }
}

impl Drop for Company {
    fn drop(&mut self) {
        self.leave_profiles(|_| true);
        for joined in &self.joined {
            self.state.pushes().leave_circle(&joined.about, self.outbox.id());
        }
        for playing in &self.playing {
            self.state.core().ephemeral().unwatch(playing.watch);
        }
    }
}
