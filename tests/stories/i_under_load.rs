//! I: "database is locked" under load.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use leftoff::progress::{EventKind, PlaybackEvent};

use crate::support::cluster::Cluster;
use crate::support::dice::Dice;
use crate::support::http::Trouble;

const WRITER_COUNT: u64 = 24;
const BATCH_COUNT: u64 = 12;

#[test]
fn overload_is_refused_with_a_retry_time_and_what_was_accepted_is_kept() {
    let mut dice = Dice::of_this_run("more writers than a node admits");
    let mut cluster = Cluster::prepare(&mut dice, 1, |_, _| false);
    cluster.nodes[0].setup.gateway = "requests_max = 2".into();
    cluster.start_all();
    let (kept, refused) = (Mutex::new(Vec::new()), AtomicUsize::new(0));
    thread::scope(|scope| {
        for writer in 0..WRITER_COUNT {
            let (client, kept, refused) = (cluster.client(0), &kept, &refused);
            scope.spawn(move || {
                for batch in 1..=BATCH_COUNT {
                    let events: Vec<_> = (0..40)
                        .map(|title| {
                            let (profile, title) = (format!("viewer-{writer}"), format!("title-{title}"));
                            PlaybackEvent::new(profile, title, "tv", EventKind::Heartbeat, batch * 10_000)
                        })
                        .collect();
                    match client.report(&events) {
                        Ok(answer) => {
                            assert_eq!(answer.accepted, 40);
                            kept.lock().unwrap().push((writer, batch));
                        }
                        Err(Trouble::Problem { status: 503, code, document }) => {
                            assert_eq!(code, "overloaded");
                            assert!(document["retry_after_ms"].as_u64().unwrap() > 0, "{document}");
                            refused.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(trouble) => panic!("neither kept nor refused with a retry time: {trouble}"),
                    }
                }
            });
        }
    });
    let kept = kept.into_inner().unwrap();
    println!("{} batches kept, {} refused", kept.len(), refused.load(Ordering::Relaxed));
    assert!(!kept.is_empty());
    // Killed at once, so that what is found was on disk.
    cluster.nodes[0].kill();
    cluster.start(0);
    for (writer, batch) in kept {
        let history = cluster.client(0).history(&format!("viewer-{writer}")).unwrap();
        assert_eq!(history.len(), 40);
        assert!(history.iter().all(|progress| progress.high_ms >= batch * 10_000));
    }
}

#[test]
fn but_many_at_once_within_the_bounds_are_all_taken() {
    let mut dice = Dice::of_this_run("many at once");
    let cluster = Cluster::mesh(&mut dice, 1);
    thread::scope(|scope| {
        for device in 0..WRITER_COUNT {
            let client = cluster.client(0);
            // All of them in one title: the place where others lock.
            scope.spawn(move || {
                for batch in 1..=BATCH_COUNT {
                    let event = PlaybackEvent::new("family", "film", format!("device-{device}"), EventKind::Heartbeat, batch * 10_000);
                    assert_eq!(client.report(&[event]).unwrap().accepted, 1);
                }
            });
        }
    });
    assert_eq!(cluster.client(0).resume("family", "film").unwrap().high_ms, BATCH_COUNT * 10_000);
}
