//! What the simulator told: who reported what to whom, when; and how it ended.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::Duration;

use leftoff::progress::{PlaybackEvent, ProfileId, Progress, TitleId};
use leftoff::replica::Core;
use leftoff::store::KeyRange;
use leftoff::time::WallTime;
use leftoff_simulations::checkers::{Checker, Kinds, Violation};
use leftoff_simulations::observation::{Observation, View, VirtualTime};
use leftoff_simulations::scenario::parse;
use leftoff_simulations::world::{self, Options};

/// Registers by profile and title, in canonical bytes.
pub(crate) type Stock = BTreeMap<(ProfileId, TitleId), Vec<u8>>;

/// One thing that a client asked of a node.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    Report { sent_at: Option<WallTime>, event: PlaybackEvent },
    Hide { profile: ProfileId, title: TitleId },
    Erase { profile: ProfileId },
}

/// The same, with where and when.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) at: VirtualTime,
    pub(crate) host: u32,
    /// What the host's clock showed.
    pub(crate) now: WallTime,
    pub(crate) ask: Ask,
}

/// A story and its end.
#[derive(Debug, Default)]
pub(crate) struct Script {
    pub(crate) lines: Vec<Line>,
    /// Cut off from when to when, and which host.
    pub(crate) cut: (Duration, Duration),
    pub(crate) hosts: u32,
    pub(crate) end: Stock,
}

/// Writes the story down while it is told.
struct Scribe(Rc<RefCell<Script>>);

impl Checker for Scribe {
    fn name(&self) -> &'static str {
        "scribe"
    }

    fn about(&self) -> &'static str {
        "writes down what was asked of whom"
    }

    fn wants(&self) -> Kinds {
        Kinds::REPORTED.and(Kinds::HID).and(Kinds::ERASED).and(Kinds::FAULTS)
    }

    fn observe(&mut self, at: VirtualTime, seen: &Observation<'_>, view: &dyn View, _found: &mut Vec<Violation>) {
        let mut script = self.0.borrow_mut();
        let (host, ask) = match seen {
            Observation::Reported { host, event, sent_at, .. } => (host, Ask::Report { sent_at: *sent_at, event: (*event).clone() }),
            Observation::Hid { host, profile, title } => (host, Ask::Hide { profile: (*profile).clone(), title: (*title).clone() }),
            Observation::Erased { host, profile } => (host, Ask::Erase { profile: (*profile).clone() }),
            Observation::Fault { begins: true, .. } => {
                script.cut.0 = at;
                return;
            }
            Observation::Fault { begins: false, .. } => {
                script.cut.1 = at;
                return;
            }
            _ => return,
        };
        let now = view.true_stamp().wall().shifted(view.clock_error_ms(*host));
        script.lines.push(Line { at, host: host.0, now, ask });
    }

    fn at_rest(&mut self, _at: VirtualTime, settled: bool, view: &dyn View, _found: &mut Vec<Violation>) {
        assert!(settled);
        let mut script = self.0.borrow_mut();
        let hosts = view.hosts();
        script.hosts = hosts.len() as u32;
        script.end = stock(view.core(hosts[0]).unwrap());
        assert!(hosts.iter().all(|host| stock(view.core(*host).unwrap()) == script.end));
    }
}

impl Script {
    /// Lets the simulator tell the story.
    pub(crate) fn of(story: &str, seed: u64) -> Self {
        let scenario = parse("second-opinion.toml", "second-opinion", story).unwrap();
        let script = Rc::new(RefCell::new(Self::default()));
        let checkers: Vec<Box<dyn Checker>> = vec![Box::new(Scribe(Rc::clone(&script)))];
        let outcome = world::run(&scenario, seed, Options { checkers: Some(checkers), ..Options::default() });
        assert!(outcome.settled);
        script.take()
    }

    pub(crate) fn reports(&self) -> usize {
        self.lines.iter().filter(|line| matches!(line.ask, Ask::Report { .. })).count()
    }
}

/// Everything that a replica durably holds.
pub(crate) fn stock(core: &Core) -> Stock {
    let mut all = Stock::new();
    core.store()
        .scan(KeyRange::ALL, &mut |item| {
            all.insert((item.profile, item.title), item.progress.to_bytes());
            ControlFlow::Continue(())
        })
        .unwrap();
    all
}

/// A register in words, for a message that can be read.
pub(crate) fn show(bytes: &[u8]) -> String {
    format!("{:?}", Progress::from_bytes(bytes).unwrap())
}
