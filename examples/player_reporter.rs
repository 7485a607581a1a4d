//! A player's callbacks turned into events: forty minutes of watching in a moment, and what was worth saying of it.
//!
//! `cargo run --example player_reporter --no-default-features --features embedded`
//!
//! The player calls back four times a second, as browsers and TV players do. The reporter is handed the time with every call, so this runs as
//! fast as it can and yet reports exactly what an evening would.
#![allow(clippy::pedantic, reason = "pedantry is for what ships")]
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::time::Duration;

use leftoff::embedded::{Now, PlaybackReporter, ReporterConfig};
use leftoff::progress::{DeviceId, EventKind, ProfileId, TitleId};
use leftoff::time::system::wall_now;
use leftoff::time::{MonotonicTime, WallTime};

const TICK_MS: u64 = 250;
const DURATION_MS: u64 = 42 * 60_000;

/// A player whose clock the example turns by hand.
struct Player {
    reporter: PlaybackReporter,
    began: WallTime,
    elapsed_ms: u64,
    position_ms: u64,
    callbacks: usize,
    heartbeats: usize,
}

impl Player {
    fn now(&self) -> Now {
        let elapsed = Duration::from_millis(self.elapsed_ms);
        Now { monotonic: MonotonicTime::from_start(elapsed), wall: WallTime::from_millis(self.began.as_millis() + self.elapsed_ms) }
    }

    fn play_until(&mut self, position_ms: u64) {
        while self.position_ms < position_ms {
            self.elapsed_ms += TICK_MS;
            self.position_ms = (self.position_ms + TICK_MS).min(DURATION_MS);
            self.callbacks += 1;
            let now = self.now();
            self.reporter.time_update(now, self.position_ms);
            self.print();
        }
    }

    fn print(&mut self) {
        for event in self.reporter.take_events() {
            if event.kind == EventKind::Heartbeat {
                self.heartbeats += 1;
            } else {
                println!(
                    "  {:>5} s  {:<6} at {}",
                    self.elapsed_ms / 1_000,
                    format!("{:?}", event.kind).to_uppercase(),
                    leftoff::progress::Position::from_millis(event.position_ms)
                );
            }
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let config = ReporterConfig::new(ProfileId::new("viewer")?, TitleId::new("harbour-s1e4")?, DeviceId::new("tv")?);
    let mut reporter = PlaybackReporter::new(config);
    reporter.set_duration(DURATION_MS);
    let mut player = Player { reporter, began: wall_now(), elapsed_ms: 0, position_ms: 0, callbacks: 0, heartbeats: 0 };

    println!("an episode of 42 minutes, on a player that calls back every {TICK_MS} ms:");
    player.reporter.play(player.now(), 0, false);
    player.print();
    player.play_until(12 * 60_000);

    // A finger on the bar: sixty positions in three seconds, of which one is meant.
    for step in 1..=60 {
        player.elapsed_ms += 50;
        player.position_ms = 12 * 60_000 + step * 10_000;
        player.callbacks += 1;
        player.reporter.scrub(player.now(), player.position_ms);
        player.print();
    }
    player.elapsed_ms += 300;
    player.reporter.handle_timeout(player.now());
    player.print();

    player.play_until(30 * 60_000);
    player.reporter.pause(player.now(), player.position_ms);
    player.print();

    // Half an hour at the table. The screen goes on calling back, nothing advances, nothing is said.
    for _ in 0..30 * 60 * 4 {
        player.elapsed_ms += TICK_MS;
        player.callbacks += 1;
        let now = player.now();
        player.reporter.time_update(now, player.position_ms);
        player.print();
    }

    player.reporter.play(player.now(), player.position_ms, false);
    player.print();
    player.play_until(DURATION_MS);
    player.reporter.ended(player.now(), DURATION_MS);
    player.print();

    let (callbacks, heartbeats) = (player.callbacks, player.heartbeats);
    println!("{callbacks} callbacks became the events above and {heartbeats} heartbeats: every 10 s, every 2 s in the last minute");
    Ok(())
}
