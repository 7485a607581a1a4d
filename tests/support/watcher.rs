//! Somebody who looks at the same titles at every node all the time, across cuts and restarts, and takes note if one ever goes back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::http::{Client, Progress};
use super::node::{Addresses, Node, Whereabouts};
use super::patience::pause;

/// Between two rounds; a watcher must not be the load.
const REST: Duration = Duration::from_millis(5);

/// What a watcher has seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Answers it got.
    pub(crate) looks: usize,
    /// Times that a register was ahead of what it showed before, at the same node.
    pub(crate) advances: usize,
    /// Times that it was behind, or that a sequence number stood for two states. There is to be none.
    went_back: Vec<String>,
}

/// A running watcher; ends when it is dropped.
pub(crate) struct Watcher {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Seen>>,
}

impl Watcher {
    /// Watches profiles at nodes, wherever these are and while they are up. None of the profiles may be erased meanwhile.
    pub(crate) fn start(nodes: &[Node], profiles: &[String]) -> Self {
        let nodes: Vec<(String, Whereabouts)> = nodes.iter().map(|node| (node.name().to_owned(), node.whereabouts())).collect();
        let (profiles, stop) = (profiles.to_vec(), Arc::new(AtomicBool::new(false)));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new().name("watcher".into()).spawn(move || watch(&nodes, &profiles, &stopped)).unwrap();
        Self { stop, thread: Some(thread) }
    }

    /// Ends the watch; fails if anything ever went back.
    pub(crate) fn finish(mut self) -> Seen {
        self.stop.store(true, Ordering::Release);
        let seen = self.thread.take().unwrap().join().unwrap();
        assert!(seen.went_back.is_empty(), "{} of {} looks went back: {:#?}", seen.went_back.len(), seen.looks, seen.went_back);
        assert!(seen.looks > 0, "the watcher saw nothing");
        seen
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn watch(nodes: &[(String, Whereabouts)], profiles: &[String], stop: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    let mut shown: BTreeMap<(usize, String, String), (u64, u64)> = BTreeMap::new();
    // What each sequence number of each node stood for when it was first seen.
    let mut numbers: BTreeMap<String, String> = BTreeMap::new();
    let mut clients: BTreeMap<usize, (Addresses, Client)> = BTreeMap::new();
    while !stop.load(Ordering::Acquire) {
        for (index, (name, whereabouts)) in nodes.iter().enumerate() {
            let Some(addresses) = *whereabouts.lock().unwrap() else { continue };
            if clients.get(&index).is_none_or(|(known, _)| *known != addresses) {
                clients.insert(index, (addresses, Client::new(addresses.http)));
            }
            for profile in profiles {
                // A node that is going down or coming up shows nothing, which is not going back.
                let Ok(history) = clients[&index].1.history(profile) else { continue };
                let mut missing: Vec<String> = shown
                    .range((index, profile.clone(), String::new())..)
                    .take_while(|((at, of, _), _)| (*at, of) == (index, profile))
                    .map(|((_, _, title), _)| title.clone())
                    .collect();
                for progress in history {
                    seen.looks += 1;
                    let state = format!("{:?}", Progress { cursor: String::new(), ..progress.clone() });
                    let stands_for = numbers.entry(format!("{name} {}", progress.cursor)).or_insert_with(|| state.clone());
                    if *stands_for != state {
                        seen.went_back.push(format!("{name} {} was used twice: for {stands_for} and for {state}", progress.cursor));
                    }
                    missing.retain(|title| *title != progress.title_id);
                    let before = shown.insert((index, profile.clone(), progress.title_id.clone()), progress.mark());
                    match before {
                        Some(before) if before > progress.mark() => {
                            seen.went_back.push(format!("{name} {profile}/{}: {before:?}, then {:?}", progress.title_id, progress.mark()));
                        }
                        Some(before) if before < progress.mark() => seen.advances += 1,
                        _ => {}
                    }
                }
                seen.went_back.extend(missing.into_iter().map(|title| format!("{name} {profile}/{title}: shown before, then gone")));
            }
        }
        pause(REST);
    }
    seen
}
