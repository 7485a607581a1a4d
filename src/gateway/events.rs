//! `POST /v1/events`: players' reports, in batches.
//!
//! Answered when the accepted ones are durable on this node. Each event is accepted or refused by itself; a repeat is accepted and is nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use tokio::sync::oneshot;
use utoipa::ToSchema;

use super::GatewayState;
use super::auth::Bearer;
use super::batch::{Batch, Counted, RefusedEvent};
use super::body;
use super::dialects::{self, Dialect, Judged, Jumps, Unsaid};
use super::fate::{self, Fate, Waits, when_all_known};
use super::problem::Problem;
use super::progress::ProgressBody;
use super::sessions;
use super::ws::Submission;
use crate::progress::{Policy, ProfileId, Refusal, TitleId, Version};
use crate::replica::Core;
use crate::store::Seq;
use crate::time::{WallTime, system};

#[derive(Deserialize)]
pub(super) struct Asked {
    #[serde(rename = "return")]
    returned: Option<String>,
}

/// What became of a batch.
#[derive(Serialize, ToSchema)]
#[schema(as = Recorded)]
pub(super) struct Answer {
    accepted: usize,
    refused: Vec<RefusedEvent>,
    /// Which place each accepted event counted in, by its index in the batch.
    #[schema(value_type = BTreeMap<String, u64>)]
    versions: Versions,
    server_time_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<Vec<ProgressBody>>,
}

/// Which place each accepted event counted in, by its index in the batch.
struct Versions(Vec<(u32, Version)>);

impl Serialize for Versions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (index, version) in &self.0 {
            map.serialize_entry(index, &version.as_u64())?;
        }
        map.end()
    }
}

/// The registers that accepted events were in.
type Touched = BTreeMap<String, BTreeSet<String>>;

/// How a body becomes a batch.
type Decode = fn(&[u8], &Unsaid<'_>) -> Result<Batch, Problem>;

/// `POST /v1/events`.
pub(super) async fn record(
    State(state): State<GatewayState>,
    bearer: Result<Bearer, Problem>,
    asked: Result<Query<Asked>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Answer>, Problem> {
    // A beacon can set no headers: only here a token may be in the body, and what is read before it is known whose it is, is small.
    let as_beacon = matches!(bearer, Err(Problem::TokenMissing)) && !headers.contains_key(AUTHORIZATION);
    let bearer = if as_beacon { None } else { Some(bearer) };
    take(state, bearer, asked, &headers, body, |bytes, _| body::batch(bytes)).await
}

/// The same in a dialect: one report or an array of them.
pub(super) async fn record_in<D: Dialect>(
    State(state): State<GatewayState>,
    bearer: Result<Bearer, Problem>,
    asked: Result<Query<Asked>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Answer>, Problem> {
    take(state, Some(bearer), asked, &headers, body, dialects::batch::<D>).await
}

async fn take(
    state: GatewayState,
    // None: the token is in the body.
    bearer: Option<Result<Bearer, Problem>>,
    asked: Result<Query<Asked>, QueryRejection>,
    headers: &HeaderMap,
    body: Body,
    decode: Decode,
) -> Result<Json<Answer>, Problem> {
    let head = bearer.transpose().and_then(|bearer| Ok((bearer, returns_progress(asked)?)));
    let ((bearer, returns_progress), body) = body::after(head, body).await?;
    let (bearer, gathered) = if let Some(bearer) = bearer {
        (bearer, body::read(&state, headers, body).await?)
    } else {
        let gathered = body::read_beacon(&state, headers, body).await?;
        let token = body::token(&gathered).ok_or(Problem::TokenMissing)?;
        (Bearer::of_token(&state, &token)?, gathered)
    };
    // The clock is read when the whole batch is here: a slow line must not make its events seem older than the device's own clock says.
    let now = system::wall_now();
    // The whole body goes along, its room too: a request that times out leaves its work in the queue, and the bytes with it.
    let gateway = state.clone();
    let admitted = state
        .blocking(move |core| {
            let unsaid = Unsaid { profile: bearer.sole_profile().map(ProfileId::as_str), device: None };
            let mut batch = decode(&gathered.bytes, &unsaid)?;
            keep_allowed(&mut batch, &bearer, returns_progress)?;
            // Also what waits, or is too much, says that its session goes on.
            sessions::heard(core, now, batch.sent(now), &batch.events);
            let mut first = gateway.admit(&mut batch, None)?;
            if first.is_empty() {
                return recorded(core, now, batch, gateway.jumps(), returns_progress).map(Admitted::Recorded);
            }
            let fates = first.iter().filter_map(Submission::fate).collect();
            gateway.recorder().submit(&mut first);
            Ok(Admitted::After(fates, batch))
        })
        .await?;
    let RecordedBatch { mut counted, last, touched, waits } = match admitted {
        Admitted::Recorded(recorded) => recorded,
        Admitted::After(first, batch) => {
            known(&first).await;
            let gateway = state.clone();
            state.blocking(move |core| recorded(core, now, batch, gateway.jumps(), returns_progress)).await?
        }
    };
    if let Some(last) = last {
        state.durable(last).await?;
    }
    if !waits.is_empty() {
        known(&waits.iter().map(|(_, fate)| Arc::clone(fate)).collect::<Vec<_>>()).await;
        fate::put_in(&waits, &mut counted)?;
    }
    let progress = match touched {
        None => None,
        Some(touched) => Some(state.blocking(move |core| read(core, &touched)).await?),
    };
    let server_time_ms = state.core().corrected(system::wall_now()).as_millis();
    let Counted { accepted, versions, refused } = counted;
    count_accepted(accepted);
    count_refused(&refused);
    Ok(Json(Answer { accepted, refused, versions: Versions(versions), server_time_ms, progress }))
}

/// What becomes of a batch at once.
enum Admitted {
    /// It is recorded, but for what waits of it.
    Recorded(RecordedBatch),
    /// It must be recorded after these.
    After(Vec<Arc<Fate>>, Batch),
}

/// Waits until all of them are known.
async fn known(fates: &[Arc<Fate>]) {
    let (sender, receiver) = oneshot::channel();
    when_all_known(fates, move || {
        let _ = sender.send(());
    });
    // The sender is gone without a word only while everything ends; what is not known then counts as refused.
    let _ = receiver.await;
}

/// Counts accepted events for the operator.
pub(super) fn count_accepted(accepted: usize) {
    metrics::counter!("leftoff_events_accepted_total").increment(accepted as u64);
}

/// Counts refused events for the operator, by reason.
pub(super) fn count_refused(refused: &[RefusedEvent]) {
    for refused in refused {
        metrics::counter!("leftoff_events_refused_total", "code" => refused.code).increment(1);
    }
}

fn returns_progress(asked: Result<Query<Asked>, QueryRejection>) -> Result<bool, Problem> {
    let Query(asked) = asked.map_err(|rejection| Problem::BadQuery { name: "query", reason: rejection.body_text() })?;
    match asked.returned.as_deref() {
        None => Ok(false),
        Some("progress") => Ok(true),
        Some(other) => Err(Problem::BadQuery { name: "return", reason: format!("'{other}' is not known; say progress") }),
    }
}

struct RecordedBatch {
    counted: Counted,
    last: Option<Seq>,
    touched: Option<Touched>,
    waits: Waits,
}

fn recorded(core: &Core, now: WallTime, mut batch: Batch, jumps: &Jumps, returns_progress: bool) -> Result<RecordedBatch, Problem> {
    let mut judged = Judged::default();
    jumps.judge(now, &mut batch, &mut judged);
    let outcome = core.record(now, batch.sent_at, &batch.events)?;
    jumps.settle(judged);
    let touched = returns_progress.then(|| touched(&batch, &outcome.outcomes));
    let waits = std::mem::take(&mut batch.waits);
    Ok(RecordedBatch { counted: batch.counted(outcome.outcomes), last: outcome.last, touched, waits })
}

fn touched(batch: &Batch, outcomes: &[Result<Version, Refusal>]) -> Touched {
    let mut touched = Touched::new();
    for (event, _) in batch.events.iter().zip(outcomes).filter(|(_, outcome)| outcome.is_ok()) {
        touched.entry(event.profile_id.clone()).or_default().insert(event.title_id.clone());
    }
    for (_, fate) in &batch.waits {
        let (profile, title) = fate.register();
        touched.entry(profile.to_owned()).or_default().insert(title.to_owned());
    }
    touched
}

/// Takes the events of profiles that are not in the token out of the batch. A batch in which all are is refused whole, like any other request
/// for a foreign profile; in a mixed one the rest must not be lost (a device may change its profile with reports still in its queue).
pub(super) fn keep_allowed(batch: &mut Batch, bearer: &Bearer, reads: bool) -> Result<(), Problem> {
    if bearer.is_anyone() {
        return Ok(());
    }
    let mut kept = 0;
    let mut last = None;
    let mut verdicts: BTreeMap<String, Option<Problem>> = BTreeMap::new();
    for index in 0..batch.events.len() {
        let profile = &batch.events[index].profile_id;
        if !verdicts.contains_key(profile) {
            // A text that is no id is in no token; its own check says so.
            let verdict = match ProfileId::new(profile) {
                Ok(profile) => bearer.may_write(&profile).and_then(|()| if reads { bearer.may_read(&profile) } else { Ok(()) }).err(),
                Err(_) => None,
            };
            verdicts.insert(profile.clone(), verdict);
        }
        match verdicts.get(profile).and_then(Option::as_ref) {
            None => {
                batch.events.swap(kept, index);
                batch.indices.swap(kept, index);
                kept += 1;
            }
            Some(problem) => {
                let (told, code, reason) = (batch.indices[index], problem.code(), problem.to_string());
                batch.refused.extend(told.map(|index| RefusedEvent { index, code, reason }));
                last = Some(problem.clone());
            }
        }
    }
    batch.events.truncate(kept);
    batch.indices.truncate(kept);
    match last {
        Some(problem) if kept == 0 => Err(problem),
        _ => Ok(()),
    }
}

fn read(core: &Core, touched: &Touched) -> Result<Vec<ProgressBody>, Problem> {
    let mut bodies = Vec::new();
    for (profile, titles) in touched {
        let Ok(profile) = ProfileId::new(profile) else { continue };
        for title in titles {
            let Ok(title) = TitleId::new(title) else { continue };
            let answer = core.resume_point(&profile, &title, Policy::Continue)?;
            let ids = (profile.as_str(), title.as_str());
            bodies.push(ProgressBody::new(core.store(), ids, answer.register.as_ref(), answer.arrived, Policy::Continue));
        }
    }
    Ok(bodies)
}
