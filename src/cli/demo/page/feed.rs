//! What the page follows: what each region believes, whose lines are cut, who agrees with whom. As server-sent events, the newest state each time.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures_core::Stream;
use serde::Serialize;
use tokio::sync::{mpsc, watch};

use super::Control;
use super::ledger::{Ledger, PAIRS};
use crate::cli::demo::observer::Beliefs;
use crate::cli::demo::party::Party;
use crate::gateway::ProgressBody;
use crate::progress::Policy;
use crate::store::Seq;
use crate::time::MonotonicTime;
use crate::time::system::monotonic_now;

/// How often it is looked whether lines were cut or healed by somebody else: that is told to nobody.
const LOOK: Duration = Duration::from_millis(100);
/// A state is sent at least so often, so that a page that has lost its demo can tell.
const BEAT: Duration = Duration::from_secs(5);
/// States that a page has not taken yet; a slow one gets the newest after these.
const QUEUE_COUNT_MAX: usize = 2;

/// Everything that can be different from one state to the next.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    beliefs: Beliefs,
    cut: [bool; Party::REGIONS.len()],
    telling: bool,
    pairs: [super::ledger::Pair; PAIRS.len()],
}

/// Follows the world until the demo ends.
pub(super) async fn follow(control: Arc<Control>, states: watch::Sender<Arc<State>>) {
    let mut ledger = Ledger::new(monotonic_now(), control.key.clone());
    let mut beliefs = control.beliefs.clone();
    loop {
        let now_believed = beliefs.borrow_and_update().clone();
        ledger.note(&now_believed);
        let state = State {
            beliefs: now_believed,
            cut: Party::REGIONS.map(|party| control.lines.is_cut(party)),
            telling: control.telling.load(Ordering::Acquire),
            pairs: ledger.pairs(),
        };
        states.send_if_modified(|last| {
            let same = last.cut == state.cut
                && last.telling == state.telling
                && last.pairs == state.pairs
                && last.beliefs.iter().zip(&state.beliefs).all(|(last, now)| Arc::ptr_eq(last, now));
            if !same {
                *last = Arc::new(state);
            }
            !same
        });
        tokio::select! {
            changed = beliefs.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

#[derive(Serialize)]
struct StateBody {
    telling: bool,
    regions: Vec<RegionBody>,
    pairs: Vec<PairBody>,
}

#[derive(Serialize)]
struct RegionBody {
    name: &'static str,
    cut: bool,
    progress: ProgressBody,
}

#[derive(Serialize)]
struct PairBody {
    one: &'static str,
    other: &'static str,
    equal: bool,
    since_ms: u64,
    differed_ms: Option<f64>,
}

impl State {
    fn body(&self, now: MonotonicTime, control: &Control) -> StateBody {
        let region = |party: Party| {
            let register = self.beliefs[party.index()].register(&control.key);
            let ids = (control.key.0.as_str(), control.key.1.as_str());
            let store = control.cores[party.index()].store();
            RegionBody {
                name: party.name(),
                cut: self.cut[party.index()],
                progress: ProgressBody::new(store, ids, register, Seq(0), Policy::Continue),
            }
        };
        let pairs = self.pairs.iter().zip(PAIRS).map(|(pair, (one, other))| PairBody {
            one: one.name(),
            other: other.name(),
            equal: pair.equal,
            since_ms: now.saturating_since(pair.since).as_millis() as u64,
            differed_ms: pair.differed.map(|differed| differed.as_secs_f64() * 1_000.0),
        });
        StateBody { telling: self.telling, regions: Party::REGIONS.map(region).into(), pairs: pairs.collect() }
    }
}

/// The answer to a page that wants to follow.
pub(super) fn answer(control: Arc<Control>, states: watch::Receiver<Arc<State>>) -> Response {
    let (sender, chunks) = mpsc::channel(QUEUE_COUNT_MAX);
    tokio::spawn(send(control, states, sender));
    ([(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store")], Body::from_stream(Chunks(chunks))).into_response()
}

async fn send(control: Arc<Control>, mut states: watch::Receiver<Arc<State>>, sender: mpsc::Sender<Bytes>) {
    loop {
        let state = Arc::clone(&states.borrow_and_update());
        let Ok(json) = serde_json::to_string(&state.body(monotonic_now(), &control)) else { return };
        // Whoever closed the page is noticed here.
        if sender.send(Bytes::from(format!("data: {json}\n\n"))).await.is_err() {
            return;
        }
        if let Ok(Err(_)) = tokio::time::timeout(BEAT, states.changed()).await {
            return;
        }
    }
}

struct Chunks(mpsc::Receiver<Bytes>);

impl Stream for Chunks {
    type Item = Result<Bytes, std::convert::Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context).map(|chunk| chunk.map(Ok))
    }
}
