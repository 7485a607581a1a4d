//! `/v1/parties`: watch parties for clients that speak HTTP. A viewer who joined so stays by joining again before the lease ends.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::GatewayState;
use super::auth::Bearer;
use super::body;
use super::openapi::words;
use super::path::bad_path;
use super::problem::Problem;
use super::sessions::{lease_ms, now_ms};
use crate::ephemeral::{Anchor, Command, Control, Invite, NewParty, PartyError, PartyView};
use crate::progress::{DeviceId, PartyId, Position, ProfileId, Speed, TitleId};
use crate::replica::Core;
use crate::time::{Hlc, MonotonicTime, system};

/// The header that shows an invitation where there is no body for it.
const INVITE_HEADER: &str = "leftoff-invite";

/// A party in JSON, as clients see it over HTTP and WebSocket. All numbers are below 2^53.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Party)]
pub(crate) struct PartyBody {
    id: String,
    #[schema(required = true)]
    host: Option<MemberBody>,
    #[schema(value_type = words::Control)]
    control: &'static str,
    viewers: u32,
    members: Vec<MemberBody>,
    #[schema(required = true)]
    anchor: Option<AnchorBody>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PartyMember)]
struct MemberBody {
    profile_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_id: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PartyAnchor)]
struct AnchorBody {
    stamp: u64,
    title_id: String,
    position_ms: u64,
    rate: f32,
    playing: bool,
    device_id: String,
    at_ms: u64,
    age_ms: u64,
}

impl PartyBody {
    pub(crate) fn new(party: &PartyView) -> Self {
        let anchor = party.anchor.as_ref().map(|set| AnchorBody {
            stamp: set.stamp.as_u64(),
            title_id: set.anchor.title.as_str().to_owned(),
            position_ms: set.anchor.position.as_millis(),
            rate: set.anchor.rate.as_f32(),
            playing: set.anchor.playing,
            device_id: set.device.as_str().to_owned(),
            at_ms: set.stamp.wall().as_millis(),
            age_ms: party.anchor_age.as_millis() as u64,
        });
        let member = |profile: &ProfileId, device: Option<&DeviceId>| MemberBody {
            profile_id: profile.as_str().to_owned(),
            device_id: device.map(|device| device.as_str().to_owned()),
        };
        Self {
            id: party.id.as_str().to_owned(),
            host: party.host.as_ref().map(|host| member(&host.profile, Some(&host.device))),
            control: party.control.as_str(),
            viewers: party.viewers,
            members: party.members.iter().map(|profile| member(profile, None)).collect(),
            anchor,
        }
    }
}

/// A party as it stands.
#[derive(Serialize, ToSchema)]
#[schema(as = PartyAnswer)]
pub(super) struct Answer {
    #[serde(flatten)]
    party: PartyBody,
    #[serde(skip_serializing_if = "Option::is_none")]
    invite: Option<String>,
    lease_ms: u64,
    server_time_ms: u64,
}

impl Answer {
    fn new(core: &Core, party: &PartyView, invite: Option<Invite>) -> Json<Self> {
        let invite = invite.map(|invite| invite.to_string());
        Json(Self { party: PartyBody::new(party), invite, lease_ms: lease_ms(core), server_time_ms: now_ms(core) })
    }
}

/// Where everybody is to be, as clients say it.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewAnchor)]
pub(crate) struct AskedAnchor {
    title_id: Option<String>,
    position_ms: Option<u64>,
    rate: Option<f32>,
    playing: Option<bool>,
}

impl AskedAnchor {
    /// Checked; what is left out stays as it is in the party's last anchor, where everybody is by now. Another title begins at its beginning.
    pub(crate) fn check(self, party: Option<&PartyView>) -> Result<Anchor, Problem> {
        let last = party.and_then(|party| party.anchor.as_ref()).map(|set| &set.anchor);
        let title = match (self.title_id, last) {
            (Some(title), _) => body::id("title_id", TitleId::new(title))?,
            (None, Some(last)) => last.title.clone(),
            (None, None) => return Err(Problem::Malformed { reason: "title_id is missing".to_owned() }),
        };
        let rate = match self.rate {
            Some(rate) => Speed::new(rate).map_err(|error| Problem::Malformed { reason: format!("rate: {error}") })?,
            None => last.map_or(Speed::NORMAL, |last| last.rate),
        };
        let playing = self.playing.or_else(|| last.map(|last| last.playing)).unwrap_or(false);
        let position = match (self.position_ms, party, last) {
            (Some(position_ms), ..) => Position::from_millis(position_ms),
            (None, Some(party), Some(last)) if last.title == title => last.position_after(party.anchor_age),
            _ => Position::from_millis(0),
        };
        Ok(Anchor { title, position, rate, playing })
    }
}

/// A party to create.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewParty)]
pub(super) struct AskedParty {
    profile_id: String,
    device_id: String,
    #[schema(value_type = Option<words::Control>)]
    control: Option<String>,
    #[serde(flatten)]
    anchor: AskedAnchor,
}

/// Who joins.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewMember)]
pub(super) struct AskedMember {
    profile_id: String,
    device_id: String,
    #[serde(alias = "token", alias = "invite_token")]
    invite: Option<String>,
}

/// Where everybody is to go.
#[derive(Deserialize, ToSchema)]
#[schema(as = PartyCommand)]
pub(super) struct AskedCommand {
    profile_id: String,
    device_id: String,
    nonce: Option<u64>,
    #[schema(value_type = Option<words::Control>)]
    control: Option<String>,
    #[serde(flatten)]
    anchor: AskedAnchor,
}

#[derive(Deserialize)]
pub(super) struct Leaving {
    profile_id: String,
    device_id: String,
}

pub(super) fn control(word: &str) -> Result<Control, Problem> {
    match word {
        "host" => Ok(Control::Host),
        "everyone" => Ok(Control::Everyone),
        other => Err(Problem::Malformed { reason: format!("control '{other}' is not known; say host or everyone") }),
    }
}

fn viewer(bearer: &Bearer, profile: &str, device: &str) -> Result<(ProfileId, DeviceId), Problem> {
    let profile = body::id("profile_id", ProfileId::new(profile))?;
    bearer.may_write(&profile)?;
    Ok((profile, body::id("device_id", DeviceId::new(device))?))
}

fn party_id(path: Result<Path<String>, PathRejection>) -> Result<PartyId, Problem> {
    let Path(text) = path.map_err(|rejection| bad_path(&rejection))?;
    body::id("party_id", PartyId::new(text))
}

/// A party that a profile is in. Of others nothing is said, whatever else is wrong with what it asks for: not even whether there is one.
pub(super) fn seen(core: &Core, now: MonotonicTime, id: &PartyId, profile: &ProfileId) -> Result<PartyView, PartyError> {
    let party = core.ephemeral().party(now, id).ok_or(PartyError::NotInvited)?;
    if core.ephemeral().admits(id, profile, None) { Ok(party) } else { Err(PartyError::NotInvited) }
}

fn times(core: &Core) -> (MonotonicTime, Hlc) {
    (system::monotonic_now(), core.tick(system::wall_now()))
}

pub(super) async fn create(
    State(state): State<GatewayState>,
    bearer: Result<Bearer, Problem>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Answer>), Problem> {
    let (bearer, body) = body::after(bearer, body).await?;
    let asked: AskedParty = body::json(&body::read(&state, &headers, body).await?)?;
    let (profile, device) = viewer(&bearer, &asked.profile_id, &asked.device_id)?;
    let control = asked.control.as_deref().map_or(Ok(Control::Host), control)?;
    let anchor = asked.anchor.check(None)?;
    let id = body::id("party_id", PartyId::new(super::random_text()?))?;
    let invite = Invite(super::random_bytes()?);
    let core = state.core();
    let (now, stamp) = times(core);
    let party = core.ephemeral().create_party(now, stamp, NewParty { id, invite, profile, device, control, anchor })?;
    Ok((StatusCode::CREATED, Answer::new(core, &party, Some(invite))))
}

pub(super) async fn join(
    State(state): State<GatewayState>,
    bearer: Result<Bearer, Problem>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Answer>, Problem> {
    let ((bearer, id), body) = body::after(bearer.and_then(|bearer| Ok((bearer, party_id(id)?))), body).await?;
    let asked: AskedMember = body::json(&body::read(&state, &headers, body).await?)?;
    let (profile, device) = viewer(&bearer, &asked.profile_id, &asked.device_id)?;
    let invite = asked.invite.as_deref().and_then(Invite::parse);
    let core = state.core();
    let (now, stamp) = times(core);
    let party = core.ephemeral().join_party(now, stamp, &id, &profile, &device, invite.as_ref())?;
    Ok(Answer::new(core, &party, None))
}

pub(super) async fn command(
    State(state): State<GatewayState>,
    bearer: Result<Bearer, Problem>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Answer>, Problem> {
    let ((bearer, id), body) = body::after(bearer.and_then(|bearer| Ok((bearer, party_id(id)?))), body).await?;
    let asked: AskedCommand = body::json(&body::read(&state, &headers, body).await?)?;
    let (profile, device) = viewer(&bearer, &asked.profile_id, &asked.device_id)?;
    let core = state.core();
    let (now, stamp) = times(core);
    if let Some(word) = asked.control {
        let party = core.ephemeral().set_party_control(now, stamp, &id, &profile, control(&word)?)?;
        return Ok(Answer::new(core, &party, None));
    }
    let anchor = asked.anchor.check(Some(&seen(core, now, &id, &profile)?))?;
    let command = Command { profile, device, nonce: asked.nonce, anchor };
    let party = core.ephemeral().control_party(now, stamp, &id, command)?;
    Ok(Answer::new(core, &party, None))
}

pub(super) async fn leave(
    State(state): State<GatewayState>,
    bearer: Bearer,
    id: Result<Path<String>, PathRejection>,
    leaving: Result<Query<Leaving>, QueryRejection>,
) -> Result<StatusCode, Problem> {
    let id = party_id(id)?;
    let Query(leaving) = leaving.map_err(|rejection| Problem::BadQuery { name: "query", reason: rejection.body_text() })?;
    let (profile, device) = viewer(&bearer, &leaving.profile_id, &leaving.device_id)?;
    let core = state.core();
    let (now, stamp) = times(core);
    // Whoever is not in it has left it: asked again, the answer is the same, and says nothing of whether there is such a party.
    core.ephemeral().leave_party(now, stamp, &id, &profile, &device);
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn look(
    State(state): State<GatewayState>,
    bearer: Bearer,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Json<Answer>, Problem> {
    let id = party_id(id)?;
    let shown = headers.get(INVITE_HEADER).and_then(|value| value.to_str().ok()).and_then(Invite::parse);
    let core = state.core();
    let admitted = match bearer.grant() {
        None => true,
        Some(grant) if !grant.read => return Err(Problem::ScopeMissing { scope: "read" }),
        Some(grant) => grant.profiles.iter().any(|profile| core.ephemeral().admits(&id, profile, shown.as_ref())),
    };
    let party = core.ephemeral().party(system::monotonic_now(), &id).filter(|_| admitted).ok_or(PartyError::NotInvited)?;
    Ok(Answer::new(core, &party, None))
}
