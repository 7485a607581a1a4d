//! A circle: the devices of a profile, or a watch party, and the readers that are told of it.
//!
//! What it is now is read and written as JSON once, by the pushing thread, and shared by all of them: a party has thousands.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use axum::extract::ws::Utf8Bytes;
use serde::Serialize;

use super::outbox::{Outbox, OutboxId};
use super::text;
use crate::ephemeral::{EphemeralWatchId, Topic};
use crate::gateway::parties::PartyBody;
use crate::progress::{PartyId, ProfileId};
use crate::replica::Core;
use crate::time::system;

/// What a circle is about.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) enum About {
    /// The devices of a profile.
    Devices(ProfileId),
    /// A watch party.
    Party(PartyId),
}

pub(super) struct Circle {
    pub(super) about: About,
    pub(super) watch: OnceLock<EphemeralWatchId>,
    members: Mutex<HashMap<OutboxId, Arc<Outbox>>>,
    is_waiting: AtomicBool,
}

#[derive(Serialize)]
struct Devices<'a> {
    profile_id: &'a str,
    devices: Vec<Shown<'a>>,
}

#[derive(Serialize)]
struct Shown<'a> {
    device_id: &'a str,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    title_id: Option<&'a str>,
}

#[derive(Serialize)]
struct Party {
    #[serde(flatten)]
    party: PartyBody,
    server_time_ms: u64,
}

#[derive(Serialize)]
struct PartyOver<'a> {
    id: &'a str,
    viewers: u32,
    members: [(); 0],
    anchor: Option<()>,
    over: bool,
}

impl About {
    pub(super) fn topic(&self) -> Topic {
        match self {
            Self::Devices(profile) => Topic::Profile(profile.clone()),
            Self::Party(party) => Topic::Party(party.clone()),
        }
    }

    /// How it is now, as JSON.
    pub(crate) fn text(&self, core: &Core) -> Utf8Bytes {
        let now = system::monotonic_now();
        match self {
            Self::Devices(profile) => {
                let present = core.ephemeral().devices(now, profile);
                let devices = present.iter().map(|present| Shown {
                    device_id: present.device.as_str(),
                    state: present.state.as_str(),
                    title_id: present.title.as_ref().map(AsRef::as_ref),
                });
                text(&Devices { profile_id: profile.as_str(), devices: devices.collect() }, "presence")
            }
            Self::Party(id) => match core.ephemeral().party(now, id) {
                Some(view) => {
                    let server_time_ms = core.corrected(system::wall_now()).as_millis();
                    text(&Party { party: PartyBody::new(&view), server_time_ms }, "party")
                }
                None => text(&PartyOver { id: id.as_str(), viewers: 0, members: [], anchor: None, over: true }, "party"),
            },
        }
    }
}

impl Circle {
    pub(super) fn new(about: About) -> Self {
        Self { about, watch: OnceLock::new(), members: Mutex::default(), is_waiting: AtomicBool::new(false) }
    }

    fn members(&self) -> MutexGuard<'_, HashMap<OutboxId, Arc<Outbox>>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, outbox: &Arc<Outbox>) {
        self.members().insert(outbox.id(), Arc::clone(outbox));
    }

    /// Removes a member; answers whether it was the last.
    pub(super) fn remove(&self, outbox: OutboxId) -> bool {
        let mut members = self.members();
        members.remove(&outbox);
        members.is_empty()
    }

    /// Whether it must be put in line: it is there once at most.
    pub(super) fn begins_to_wait(&self) -> bool {
        !self.is_waiting.swap(true, Ordering::AcqRel)
    }

    /// Tells all members how it is now.
    pub(super) fn tell(&self, core: &Core) {
        self.is_waiting.store(false, Ordering::Release);
        let members: Vec<Arc<Outbox>> = self.members().values().cloned().collect();
        if members.is_empty() {
            return;
        }
        let text = self.about.text(core);
        for outbox in members {
            outbox.tell(&self.about, &text);
        }
    }
}
