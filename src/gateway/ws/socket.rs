//! One WebSocket, from its first message to its goodbye.
//!
//! One task reads and writes. While what it writes is not taken, it reads nothing, so a client that does not read fills its own line and no memory
//! here; the connection beneath cuts it off after a while.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message as Frame, Utf8Bytes, WebSocket};
use futures_util::{SinkExt, StreamExt};
use tokio::time::{Instant, Sleep};

use super::bell::Bell;
use super::company::Company;
use super::message::{self, Fault, Hello, Message, MessageId};
use super::recorder::{Asker, Submission};
use crate::ephemeral::EndReason;
use crate::gateway::GatewayState;
use crate::gateway::auth::Bearer;
use crate::gateway::batch::Batch;
use crate::gateway::dialects::Unsaid;
use crate::gateway::events::keep_allowed;
use crate::gateway::problem::Problem;
use crate::gateway::pushes::{Delivery, Reader, jitter_ms};
use crate::limits::{SOCKET_FRAME_BYTES_MAX, SOCKET_IN_FLIGHT_BYTES_MAX, SOCKET_IN_FLIGHT_COUNT_MAX};
use crate::progress::{DeviceId, ProfileId, SessionId};
use crate::time::{WallTime, system};

/// A frame up to this length is read and refused by itself; a longer one ends the socket.
pub(super) const WHOLE_FRAME_BYTES_MAX: usize = 2 * SOCKET_FRAME_BYTES_MAX;
/// How long a socket may be open without saying who it is.
const HELLO_TIME: Duration = Duration::from_secs(10);
/// A token that is accepted within its issuer's leeway is good for this long at least.
const TOKEN_TIME_MIN: Duration = Duration::from_secs(1);
/// How long a client may take to answer a goodbye.
const GOODBYE_TIME: Duration = Duration::from_secs(1);
/// How long a socket that has lost its stream waits for what it reported to be durable: it is acknowledged first.
const LAST_WORDS_TIME: Duration = Duration::from_secs(2);
/// Messages in a row that cannot be understood.
const FAULTS_COUNT_MAX: u32 = 32;
/// Frames read in one go, before anything else has its turn.
const FRAMES_PER_TURN_COUNT: usize = 64;
/// Around how long clients are asked to stay away while the node restarts, in milliseconds.
const RESTART_RETRY_MS: u64 = 2_000;

/// The close code for those who break a rule (RFC 6455, section 7.4.1).
const POLICY: u16 = 1008;

/// How a socket ends.
enum End {
    /// The client is gone, or has said goodbye.
    Gone,
    /// The node says goodbye: the close code, the word for programs, and when to come back.
    Bye(u16, &'static str, u64),
    /// The same to a session that has lost its stream.
    LostStream(SessionId),
}

impl End {
    fn refused(problem: &Problem) -> Self {
        const TRY_AGAIN_LATER: u16 = 1013;
        match problem.retry_ms() {
            Some(retry_ms) => Self::Bye(TRY_AGAIN_LATER, problem.code(), jitter_ms(retry_ms)),
            None => Self::Bye(POLICY, problem.code(), 0),
        }
    }
}

/// What a socket waits for.
#[derive(Clone, Copy)]
enum Source {
    Deliveries,
    Frames,
    Timer,
}

impl Source {
    /// In which order they are looked at after something came of this one: who always has something keeps nobody else from their turn.
    const fn others_first(self) -> [Self; 3] {
        match self {
            Self::Deliveries => [Self::Frames, Self::Timer, Self::Deliveries],
            Self::Frames => [Self::Timer, Self::Deliveries, Self::Frames],
            Self::Timer => [Self::Deliveries, Self::Frames, Self::Timer],
        }
    }
}

/// What came of it.
enum Woken {
    Delivery(Result<Delivery, Problem>),
    Frame(Option<Result<Frame, axum::Error>>),
    Timer,
}

/// A WebSocket.
pub(super) struct Socket {
    connection: WebSocket,
    state: GatewayState,
    reader: Reader,
    // None until there is a token.
    bearer: Option<Bearer>,
    company: Company,
    // The one that it follows, if it follows one only.
    profile: Option<ProfileId>,
    expires: Option<Instant>,
    begun: Instant,
    heard: Instant,
    idle: Duration,
    in_flight_count: usize,
    in_flight_bytes: usize,
    faults: u32,
    // A session that has lost its stream, and when that is said at the latest.
    lost: Option<(SessionId, Instant)>,
    // Something was said that has not been flushed.
    has_said: bool,
    submissions: Vec<Submission>,
    // Rings when there is something to be read, and when there is room for a write again.
    frames: Bell,
    timer: Pin<Box<Sleep>>,
    timers: Bell,
    // What something came of last.
    last: Source,
}

impl Socket {
    pub(super) fn new(connection: WebSocket, state: GatewayState, reader: Reader, bearer: Option<Bearer>) -> Self {
        let now = Instant::now();
        let idle = state.limits().socket_idle;
        let company = Company::new(state.clone(), Arc::clone(reader.outbox()));
        let mut socket = Self {
            connection,
            state,
            reader,
            bearer: None,
            company,
            profile: None,
            expires: None,
            begun: now,
            heard: now,
            idle,
            in_flight_count: 0,
            in_flight_bytes: 0,
            faults: 0,
            lost: None,
            has_said: false,
            submissions: Vec::new(),
            frames: Bell::new(),
            timer: Box::pin(tokio::time::sleep_until(now)),
            timers: Bell::new(),
            last: Source::Timer,
        };
        if let Some(bearer) = bearer {
            socket.set_bearer(bearer);
        }
        socket.set_timer();
        socket
    }

    pub(super) async fn run(mut self) {
        let (code, word, retry_ms, session) = match self.serve().await {
            End::Gone => return,
            End::Bye(code, word, retry_ms) => (code, word, retry_ms, None),
            End::LostStream(session) => (POLICY, EndReason::TooManyStreams.code(), 0, Some(session)),
        };
        tracing::debug!(word, "a WebSocket is closed");
        let goodbye = async {
            // Whoever is gone already does not hear it.
            let _ = self.connection.feed(Frame::Text(message::bye(word, retry_ms, session.as_ref()))).await;
            let reason = Utf8Bytes::from_static(word);
            let _ = self.connection.send(Frame::Close(Some(CloseFrame { code, reason }))).await;
            // Until the client has closed too: with its last words unread, what was just said could be lost on the way.
            while let Some(Ok(_)) = self.connection.next().await {}
        };
        let _ = tokio::time::timeout(GOODBYE_TIME, goodbye).await;
    }

    async fn serve(&mut self) -> End {
        loop {
            let done = match self.next().await {
                Woken::Delivery(Ok(delivery)) => self.deliver(delivery).await,
                Woken::Delivery(Err(problem)) => Err(End::refused(&problem)),
                Woken::Frame(frame) => self.take_turn(frame).await,
                Woken::Timer => self.look_at_the_clock().await,
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    async fn next(&mut self) -> Woken {
        let mut delivery = Delivery::default();
        poll_fn(|context| {
            for source in self.last.others_first() {
                let polled = match source {
                    Source::Deliveries => {
                        let polled = self.reader.poll_next(context, &mut delivery);
                        polled.map(|done| Woken::Delivery(done.map(|()| std::mem::take(&mut delivery))))
                    }
                    Source::Frames if !self.has_room() => Poll::Pending,
                    Source::Frames => self.poll_frame(context).map(Woken::Frame),
                    Source::Timer => self.timers.poll(context, |context| self.timer.as_mut().poll(context)).map(|()| Woken::Timer),
                };
                if polled.is_ready() {
                    self.last = source;
                    return polled;
                }
            }
            Poll::Pending
        })
        .await
    }

    fn poll_frame(&mut self, context: &Context<'_>) -> Poll<Option<Result<Frame, axum::Error>>> {
        self.frames.poll(context, |context| self.connection.poll_next_unpin(context))
    }

    /// The next frame, if it is there.
    async fn frame_at_hand(&mut self) -> Option<Option<Result<Frame, axum::Error>>> {
        poll_fn(|context| match self.poll_frame(context) {
            Poll::Ready(frame) => Poll::Ready(Some(frame)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    fn set_timer(&mut self) {
        let deadline = self.next_deadline();
        self.timer.as_mut().reset(deadline);
        self.timers.ring();
    }

    /// Whether more may be read from the client.
    const fn has_room(&self) -> bool {
        self.lost.is_none() && self.in_flight_count < SOCKET_IN_FLIGHT_COUNT_MAX && self.in_flight_bytes < SOCKET_IN_FLIGHT_BYTES_MAX
    }

    async fn deliver(&mut self, delivery: Delivery) -> Result<(), End> {
        for answer in delivery.answers {
            self.in_flight_count = self.in_flight_count.saturating_sub(1);
            self.in_flight_bytes = self.in_flight_bytes.saturating_sub(answer.asked_bytes);
            self.say(answer.text).await?;
        }
        for push in delivery.pushes {
            self.say(push.text).await?;
        }
        for news in delivery.news {
            self.say(news).await?;
        }
        if let Some(session) = delivery.lost_stream {
            self.lost = Some((session, Instant::now() + LAST_WORDS_TIME));
            self.set_timer();
        }
        if let Some((session, _)) = self.lost.take_if(|_| self.in_flight_count == 0) {
            return Err(End::LostStream(session));
        }
        if delivery.stopping {
            const SERVICE_RESTART: u16 = 1012;
            return Err(End::Bye(SERVICE_RESTART, "restart", jitter_ms(RESTART_RETRY_MS)));
        }
        self.flush().await
    }

    /// Writes a message; it leaves with the next flush at the latest.
    async fn say(&mut self, text: Utf8Bytes) -> Result<(), End> {
        self.has_said = true;
        self.connection.feed(Frame::Text(text)).await.map_err(|_| End::Gone)
    }

    async fn flush(&mut self) -> Result<(), End> {
        if !std::mem::take(&mut self.has_said) {
            return Ok(());
        }
        self.connection.flush().await.map_err(|_| End::Gone)
    }

    /// Takes the frames that are there. What they report goes to be recorded together.
    async fn take_turn(&mut self, first: Option<Result<Frame, axum::Error>>) -> Result<(), End> {
        self.heard = Instant::now();
        let mut frame = first;
        let mut done = Ok(());
        for left in (0..FRAMES_PER_TURN_COUNT).rev() {
            done = self.take(frame).await;
            // A frame is only read if it will be taken here: what is read and then left is lost.
            if done.is_err() || left == 0 || !self.has_room() {
                break;
            }
            let Some(next) = self.frame_at_hand().await else { break };
            frame = next;
        }
        if !self.submissions.is_empty() {
            self.state.recorder().submit(&mut self.submissions);
        }
        done?;
        self.flush().await
    }

    async fn take(&mut self, frame: Option<Result<Frame, axum::Error>>) -> Result<(), End> {
        let text = match frame {
            None => return Err(End::Gone),
            Some(Err(error)) => return Err(broken(error)),
            Some(Ok(Frame::Text(text))) => text,
            Some(Ok(Frame::Binary(_))) => {
                let problem = Problem::Malformed { reason: "send text frames".to_owned() };
                return self.fault(Fault { id: MessageId::default(), problem }).await;
            }
            // The library has answered a ping, and answers a close when it is asked for the next frame.
            Some(Ok(Frame::Ping(_) | Frame::Pong(_) | Frame::Close(_))) => return Ok(()),
        };
        if text.len() > SOCKET_FRAME_BYTES_MAX {
            return self.fault(Fault { id: MessageId::default(), problem: Problem::FrameTooLarge }).await;
        }
        let message = message::read(&text);
        if let Some(id) = message.as_ref().ok().and_then(Message::counted)
            && let Err(problem) = self.bearer.as_ref().map_or(Ok(()), |bearer| bearer.count(&self.state))
        {
            return self.say(message::error(id, &problem)).await;
        }
        match message {
            Ok(Message::Hello(hello)) => {
                self.hello(*hello).await?;
                self.set_timer();
            }
            Ok(Message::Events(id, batch)) => self.submit(id, batch, text.len()).await?,
            Ok(Message::Dialect(dialect)) => match dialect.batch(&text, &self.unsaid()) {
                // Such players give their messages no ids.
                Ok(batch) => self.submit(MessageId::default(), batch, text.len()).await?,
                Err(problem) => return self.fault(Fault { id: MessageId::default(), problem }).await,
            },
            Ok(Message::State(id, frame)) => {
                if let Err(problem) = self.company.says(frame) {
                    return self.fault(Fault { id, problem }).await;
                }
            }
            Ok(Message::Join(id, frame)) => {
                let bearer = self.bearer.as_ref().ok_or_else(missing_token)?;
                let joined = self.company.join(bearer, &frame);
                self.answer_party(&id, joined.map(|about| about.text(self.state.core()))).await?;
            }
            Ok(Message::Leave(id, frame)) => {
                let bearer = self.bearer.as_ref().ok_or_else(missing_token)?;
                if let Err(problem) = self.company.leave(bearer, &frame) {
                    self.say(message::error(&id, &problem)).await?;
                }
            }
            Ok(Message::Control(id, frame)) => {
                let bearer = self.bearer.as_ref().ok_or_else(missing_token)?;
                // What came of it is pushed to everybody in it.
                if let Err(problem) = self.company.control(bearer, frame) {
                    self.say(message::error(&id, &problem)).await?;
                }
            }
            Ok(Message::Ping(id)) => self.say(message::pong(&id, self.now())).await?,
            Err(fault) => return self.fault(fault).await,
        }
        self.faults = 0;
        Ok(())
    }

    /// What reports on this socket need not say, because its hello has.
    fn unsaid(&self) -> Unsaid<'_> {
        let sole = || self.bearer.as_ref().and_then(Bearer::sole_profile);
        Unsaid { profile: self.profile.as_ref().or_else(sole).map(ProfileId::as_str), device: self.company.device().map(DeviceId::as_str) }
    }

    /// Gives a batch to be recorded.
    async fn submit(&mut self, id: MessageId, mut batch: Batch, bytes: usize) -> Result<(), End> {
        let Some(bearer) = &self.bearer else { return Err(End::refused(&Problem::TokenMissing)) };
        // All of them may have been refused: then that is what the acknowledgement says.
        let _ = keep_allowed(&mut batch, bearer, false);
        self.company.heard(&batch);
        let outbox = Arc::clone(self.reader.outbox());
        match self.state.admit(&mut batch, Some(&outbox)) {
            Ok(mut first) => self.submissions.append(&mut first),
            Err(problem) => return self.say(message::error(&id, &problem)).await,
        }
        let Ok(room) = Arc::clone(&self.state.limits().frames).try_acquire_many_owned(bytes as u32) else {
            return self.say(message::error(&id, &Problem::Overloaded { retry_ms: jitter_ms(1_000) })).await;
        };
        self.in_flight_count += 1;
        self.in_flight_bytes += bytes;
        self.submissions.push(Submission { asker: Asker::Socket { outbox, id, bytes }, batch, room: Some(room) });
        Ok(())
    }

    async fn fault(&mut self, fault: Fault) -> Result<(), End> {
        self.faults += 1;
        if self.faults > FAULTS_COUNT_MAX {
            return Err(End::Bye(1008, "malformed", 0));
        }
        self.say(message::error(&fault.id, &fault.problem)).await
    }

    async fn hello(&mut self, hello: Hello) -> Result<(), End> {
        if let Some(token) = &hello.token {
            let bearer = Bearer::of_token(&self.state, token).map_err(|problem| End::refused(&problem))?;
            self.set_bearer(bearer);
        } else if let Some(bearer) = &self.bearer {
            bearer.count(&self.state).map_err(|problem| End::refused(&problem))?;
        }
        let Some(bearer) = &self.bearer else { return Err(End::refused(&Problem::TokenMissing)) };
        for (profile, _) in &hello.profiles {
            bearer.may_read(profile).map_err(|problem| End::refused(&problem))?;
        }
        self.state.check_readable().map_err(|problem| End::refused(&problem))?;
        self.profile = hello.profiles.first().filter(|_| hello.profiles.len() == 1).map(|(profile, _)| profile.clone());
        self.company.hello(bearer, hello.device, hello.profiles.iter().map(|(profile, _)| profile.clone()));
        self.reader.follow(hello.profiles);
        self.say(message::welcome(self.now(), &self.reader.cursor())).await?;
        let followed: Vec<_> = self.company.followed().collect();
        for about in followed {
            self.say(about.text(self.state.core())).await?;
        }
        Ok(())
    }

    /// Answers who joined a party by how it is, and who could not by why.
    async fn answer_party(&mut self, id: &MessageId, party: Result<Utf8Bytes, Problem>) -> Result<(), End> {
        self.say(party.unwrap_or_else(|problem| message::error(id, &problem))).await
    }

    fn set_bearer(&mut self, bearer: Bearer) {
        self.expires = bearer.expires().map(|expires| {
            let left_ms = u64::try_from(expires.millis_since(system::wall_now())).unwrap_or(0);
            Instant::now() + Duration::from_millis(left_ms).max(TOKEN_TIME_MIN)
        });
        self.bearer = Some(bearer);
    }

    /// The replica's time.
    fn now(&self) -> WallTime {
        self.state.core().corrected(system::wall_now())
    }

    fn next_deadline(&self) -> Instant {
        let tick = Instant::now() + (self.idle / 3).min(self.company.renewal());
        let hello = if self.bearer.is_none() { self.begun + HELLO_TIME } else { tick };
        let lost = self.lost.as_ref().map_or(tick, |(_, until)| *until);
        tick.min(hello).min(lost).min(self.expires.unwrap_or(tick))
    }

    async fn look_at_the_clock(&mut self) -> Result<(), End> {
        const GOING_AWAY: u16 = 1001;
        let now = Instant::now();
        if self.expires.is_some_and(|expires| expires <= now) {
            return Err(End::refused(&Problem::Token(crate::replica::TokenError::Expired)));
        }
        if let Some((session, _)) = self.lost.take_if(|(_, until)| *until <= now) {
            return Err(End::LostStream(session));
        }
        if self.bearer.is_none() && self.begun + HELLO_TIME <= now {
            return Err(End::refused(&Problem::TokenMissing));
        }
        // While it waits for its own acknowledgements nothing is read from it.
        if now.duration_since(self.heard) >= self.idle && self.in_flight_count == 0 {
            return Err(End::Bye(GOING_AWAY, "idle", 0));
        }
        self.company.renew();
        self.set_timer();
        if now.duration_since(self.heard) < self.idle / 4 {
            return Ok(());
        }
        self.connection.send(Frame::Ping(Vec::new().into())).await.map_err(|_| End::Gone)
    }
}

fn missing_token() -> End {
    End::refused(&Problem::TokenMissing)
}

/// Why a frame could not be read, as far as the client can help it.
fn broken(error: axum::Error) -> End {
    const PROTOCOL: u16 = 1002;
    const NOT_TEXT: u16 = 1007;
    const TOO_BIG: u16 = 1009;
    match error.into_inner().downcast_ref::<tungstenite::Error>() {
        Some(tungstenite::Error::Capacity(_)) => End::Bye(TOO_BIG, "frame_too_large", 0),
        Some(tungstenite::Error::Utf8(_)) => End::Bye(NOT_TEXT, "malformed", 0),
        Some(tungstenite::Error::Protocol(error)) if !matches!(error, tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => {
            End::Bye(PROTOCOL, "malformed", 0)
        }
        _ => End::Gone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replica::TokenError;

    #[test]
    fn whatever_ends_a_socket_stands_in_the_table_of_goodbyes() {
        let docs = include_str!("../../../docs/http.md");
        let (_, table) = docs.split_once("| code | close | what to do |").unwrap();
        let (table, _) = table.split_once("\n\n").unwrap();
        let told = |close: u16, code: &str| {
            let mut rows = table.lines().map(|row| row.split('|').collect::<Vec<_>>());
            rows.any(|row| row.len() > 2 && row[1].contains(&format!("`{code}`")) && row[2].trim() == close.to_string())
        };
        // What a hello may meet.
        for problem in [
            Problem::TokenMissing,
            Problem::Token(TokenError::Expired),
            Problem::Token(TokenError::NotYet),
            Problem::Token(TokenError::Invalid { reason: String::new() }),
            Problem::ProfileNotInToken,
            Problem::ScopeMissing { scope: "read" },
            Problem::RateLimited { retry_ms: 1 },
            Problem::Overloaded { retry_ms: 1 },
            Problem::NotReady { reason: String::new() },
            Problem::Internal,
        ] {
            let End::Bye(close, code, _) = End::refused(&problem) else { unreachable!("a problem is told") };
            assert!(told(close, code), "{code}, {close}");
        }
        for (close, code) in [
            (POLICY, EndReason::TooManyStreams.code()),
            (POLICY, "malformed"),
            (1001, "idle"),
            (1009, "frame_too_large"),
            (1012, "restart"),
        ] {
            assert!(told(close, code), "{code}, {close}");
        }
    }
}
