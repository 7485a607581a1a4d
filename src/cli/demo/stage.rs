//! The stage: plays the [story](super::story) on the [world](super::world), tells it, and checks what the story expects.
//!
//! Everything that is waited for is a condition with a deadline; pauses are for the reader and mean nothing to the replicas.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use super::belief::{Belief, Key, Registers};
use super::console::Console;
use super::ink::{Ink, Tone};
use super::input::{Input, Inputs};
use super::observer::Beliefs;
use super::party::{Party, Screen};
use super::story::{DURATION_MS, PROFILE, Scene, Step, TITLE};
use super::table::Table;
use super::verdict::Verdict;
use super::world::World;
use crate::cli::failure::Failure;
use crate::progress::{EventKind, PlaybackEvent, Position, Progress};
use crate::time::MonotonicTime;
use crate::time::system::monotonic_now;

/// What the two sides of a line need at most, on a machine that is busy with everything else.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often the live lines are looked at while nothing happens.
const REDRAW: Duration = Duration::from_millis(100);
/// How often what tells of no change by itself is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// Heartbeats of one stretch of watching. The positions are an evening's, the time is not.
const HEARTBEATS: u64 = 5;

/// How much time the reader gets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Between two heartbeats.
    pub(super) beat: Duration,
    /// After each thing that is told.
    pub(super) breath: Duration,
}

impl Pace {
    /// For reading along: the whole evening in about forty seconds.
    pub(super) const READING: Self = Self { beat: Duration::from_millis(110), breath: Duration::from_millis(900) };
    /// No pauses.
    pub(super) const FAST: Self = Self { beat: Duration::ZERO, breath: Duration::ZERO };
}

/// Why the story is not told to its end.
#[derive(Debug)]
pub(super) enum Break {
    /// Somebody asked to end.
    Quit,
    /// Somebody moved a switch of the page: the lines are theirs now.
    TakenOver,
    /// Something was not as it must be, or could not be done.
    Failed(Failure),
}

impl From<Failure> for Break {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<std::io::Error> for Break {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(Failure::of("the story could not be told", &error))
    }
}

fn failed(words: impl Into<String>) -> Break {
    Break::Failed(Failure::new(words))
}

/// Where a screen stands in the title.
#[derive(Clone, Copy, Debug, Default)]
struct Stand {
    position: Position,
    playing: bool,
}

/// A running demo, with its audience.
pub(super) struct Stage {
    pub(super) world: World,
    pub(super) console: Console,
    pub(super) inputs: Inputs,
    pace: Pace,
    stands: BTreeMap<&'static str, Stand>,
    // The last healing that was not yet told as done.
    healed: Option<MonotonicTime>,
    // Who is cut off as far as was told, in the order of `Party::ALL`: switches of the page move without a word here.
    told_cut: [bool; Party::ALL.len()],
    help: String,
}

impl Stage {
    /// A stage with nothing played on it yet.
    pub(super) fn new(world: World, console: Console, inputs: Inputs, pace: Pace) -> Self {
        let help = "q ends, any other key goes on".to_owned();
        Self { world, console, inputs, pace, stands: BTreeMap::new(), healed: None, told_cut: [false; Party::ALL.len()], help }
    }

    /// Plays and tells scenes.
    pub(super) async fn play(&mut self, scenes: &[Scene]) -> Result<(), Break> {
        for (index, scene) in scenes.iter().enumerate() {
            self.console.heading(&format!("{}  {}", index + 1, scene.heading))?;
            for step in scene.steps {
                self.step(step).await?;
                if !matches!(step, Step::Watch(_) | Step::Believes(..) | Step::GivenUp(_)) {
                    self.breathe(self.pace.breath).await?;
                }
            }
            if !self.console.is_live() {
                let mut lines = vec![String::new()];
                lines.extend(self.table());
                self.console.scroll(&lines)?;
            }
        }
        Ok(())
    }

    async fn step(&mut self, step: &Step) -> Result<(), Break> {
        match step {
            Step::Say(text) => Ok(self.console.say(Tone::Plain, text)?),
            Step::Resume(screen, expected) => self.resume(*screen, *expected).await,
            Step::Watch(screens) => self.watch(screens).await,
            Step::Pause(screen) => self.pause(*screen).await,
            Step::Seek(screen, to) => self.seek(*screen, *to).await,
            Step::WakeUp(screen) => self.wake_up(*screen).await,
            Step::Spread(from, to) => self.spread(*from, to).await,
            Step::Believes(party, position) => self.believes(*party, *position).await,
            Step::Cut(party) => self.cut(*party),
            Step::Heal(party) => self.heal(*party),
            Step::GivenUp(party) => self.given_up(*party).await,
            Step::Equal(parties) => self.equal(parties).await,
            Step::Ends(position, way_back) => self.ends(*position, *way_back),
        }
    }

    async fn resume(&mut self, screen: Screen, expected: Position) -> Result<(), Break> {
        let begun = monotonic_now();
        let position = self.unless_quit(self.world.resume(screen, TITLE)).await??;
        let took = millis(monotonic_now().saturating_since(begun));
        let whom = if screen == Screen::Phone { "its own replica".to_owned() } else { screen.served_by().to_string() };
        if position != expected {
            return Err(failed(format!("the {screen} asked {whom} where to resume and got {position} instead of {expected}")));
        }
        self.console.say(Tone::Figure, &format!("The {screen} asks {whom} where to resume: {position}, answered in {took}."))?;
        self.report(screen, EventKind::Play, position).await.map(drop)
    }

    async fn watch(&mut self, screens: &[(Screen, Position)]) -> Result<(), Break> {
        let from: Vec<_> = screens.iter().map(|(screen, _)| self.stand(*screen)).collect();
        for ((screen, _), from) in screens.iter().zip(&from).filter(|(_, from)| !from.playing) {
            self.report(*screen, EventKind::Play, from.position).await?;
        }
        for beat in 1..=HEARTBEATS {
            for ((screen, until), from) in screens.iter().zip(&from) {
                let (from, until) = (from.position.as_millis(), until.as_millis());
                let position = Position::from_millis(from + until.saturating_sub(from) * beat / HEARTBEATS);
                self.report(*screen, EventKind::Heartbeat, position).await?;
            }
            self.breathe(self.pace.beat).await?;
        }
        let mut told = Vec::new();
        for ((screen, until), from) in screens.iter().zip(&from) {
            let verb = match (told.is_empty(), from.position) {
                (true, Position::ZERO) => " plays",
                (true, _) => " plays on",
                (false, _) => "",
            };
            told.push(format!("the {screen}{verb} to {until}"));
        }
        self.console.say(Tone::Plain, &sentence(&told))?;
        Ok(())
    }

    async fn pause(&mut self, screen: Screen) -> Result<(), Break> {
        let position = self.stand(screen).position;
        let took = self.report(screen, EventKind::Pause, position).await?;
        let how = match screen.served_by() {
            Party::Phone => format!("on its own disk in {}", millis(took)),
            party => format!("on {party}'s disk, and answered, in {}", millis(took)),
        };
        self.console.say(Tone::Figure, &format!("The {screen} is paused at {position}: {how}."))?;
        Ok(())
    }

    async fn seek(&mut self, screen: Screen, to: Position) -> Result<(), Break> {
        let from = self.stand(screen).position;
        self.report(screen, EventKind::Seek, to).await?;
        self.console.say(Tone::Figure, &format!("The {screen} is moved from {from} back to {to}."))?;
        Ok(())
    }

    async fn wake_up(&mut self, screen: Screen) -> Result<(), Break> {
        let party = screen.served_by();
        let position = self.stand(screen).position;
        let key = self.world.key(TITLE);
        let before = self.world.stored(party, &key)?;
        for kind in [EventKind::Heartbeat, EventKind::Pause] {
            self.report(screen, kind, position).await?;
        }
        let after = self.world.stored(party, &key)?;
        if before != after {
            return Err(failed(format!("an idle {screen} changed the register at {party}: {before:?} became {after:?}")));
        }
        let text = format!(
            "The {screen}, paused long ago, wakes up and reports {position} again. That is no news: {party} stored nothing, sent nothing."
        );
        self.console.say(Tone::Figure, &text)?;
        Ok(())
    }

    async fn spread(&mut self, from: Party, to: &[Party]) -> Result<(), Break> {
        let key = self.world.key(TITLE);
        let Some((source, _)) = self.world.stored(from, &key)? else {
            return Err(failed(format!("{from} knows nothing of {TITLE}")));
        };
        let holds = |belief: &Belief| belief.registers.get(&key).filter(|own| own.progress.holds(&source)).map(|own| own.seen);
        let durable = self.until(&format!("{from} is looked at"), |all| holds(&all[from.index()])).await?;
        let mut told = Vec::new();
        for party in to {
            let seen = self.until(&format!("{party} learns what {from} knows"), |all| holds(&all[party.index()])).await?;
            let verb = if told.is_empty() { " knew it" } else { "" };
            let later = if told.is_empty() { " later" } else { "" };
            told.push(format!("{party}{verb} {}{later}", millis(seen.read.saturating_since(durable.rung))));
        }
        self.console.say(Tone::Figure, &sentence(&told))?;
        Ok(())
    }

    async fn believes(&mut self, party: Party, position: Position) -> Result<(), Break> {
        let key = self.world.key(TITLE);
        self.until(&format!("{party} says to resume at {position}"), |all| (all[party.index()].high(&key).1 == position).then_some(()))
            .await
    }

    pub(super) fn cut(&mut self, party: Party) -> Result<(), Break> {
        self.world.cut(party);
        self.told_cut[party.index()] = true;
        let text = match party {
            Party::Phone => "The phone is offline: every datagram between it and its node is dropped.".to_owned(),
            _ => format!("{} is cut off: every datagram between it and the others is dropped.", capital(&party.to_string())),
        };
        Ok(self.console.say(Tone::Warning, &text)?)
    }

    pub(super) fn heal(&mut self, party: Party) -> Result<(), Break> {
        self.world.heal(party);
        self.told_cut[party.index()] = false;
        self.healed = Some(monotonic_now());
        let text = match party {
            Party::Phone => "The phone is online again: its line is open.".to_owned(),
            _ => format!("{} is reached again: its lines are open.", capital(&party.to_string())),
        };
        Ok(self.console.say(Tone::Good, &text)?)
    }

    async fn given_up(&mut self, party: Party) -> Result<(), Break> {
        let deadline = monotonic_now() + PATIENCE;
        while self.world.is_linked(party) {
            if monotonic_now() >= deadline {
                return Err(failed(format!("{party} was cut off and others still hold links with it. {}", self.world.lines_told())));
            }
            self.breathe(LOOK).await?;
        }
        Ok(())
    }

    async fn equal(&mut self, parties: &[Party]) -> Result<(), Break> {
        let healed = self.healed.take();
        let names = named(parties);
        // What is in the stores now must be in what is compared: a belief may be a moment old.
        let stored = self.world.read_all()?;
        let read = self.until(&format!("{names} hold the same"), |all| agreed(all, parties, &stored)).await?;
        self.tell_agreed(parties, healed, read)
    }

    fn tell_agreed(&mut self, parties: &[Party], healed: Option<MonotonicTime>, read: MonotonicTime) -> Result<(), Break> {
        let names = named(parties);
        let text = match healed {
            Some(healed) if read <= healed => format!("{} hold the same: nothing was recorded meanwhile.", capital(names)),
            Some(healed) => format!("{} hold the same, {} after that.", capital(names), millis(read.saturating_since(healed))),
            None => format!("{} hold the same.", capital(names)),
        };
        Ok(self.console.say(Tone::Figure, &text)?)
    }

    // Once all lines are open again and everybody holds the same, that is told. Nothing waits for it.
    fn tell_if_agreed(&mut self, all: &Beliefs) -> Result<(), Break> {
        let Some(healed) = self.healed else { return Ok(()) };
        let open = Party::ALL.iter().all(|party| !self.world.is_cut(*party));
        if !open || agreed(all, &Party::ALL, &[]).is_none() {
            return Ok(());
        }
        let Some(read) = agreed(all, &Party::ALL, &self.world.read_all()?) else { return Ok(()) };
        self.healed = None;
        self.tell_agreed(&Party::ALL, Some(healed), read)
    }

    /// Opens all lines that the story cut.
    pub(super) fn heal_all(&mut self) -> Result<(), Break> {
        for party in Party::ALL {
            if self.told_cut[party.index()] {
                self.heal(party)?;
            }
        }
        Ok(())
    }

    /// Tells what the page's switches did.
    pub(super) fn tell_page(&mut self) -> Result<(), Break> {
        for party in Party::ALL {
            match (self.told_cut[party.index()], self.world.is_cut(party)) {
                (false, true) => self.cut(party)?,
                (true, false) => self.heal(party)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// What came of it. Somebody may be watching in a browser all the while, and what they did is given time to arrive everywhere.
    pub(super) async fn verdict(&mut self) -> Result<Verdict, Break> {
        let deadline = monotonic_now() + PATIENCE;
        loop {
            let verdict = Verdict::of(&self.world)?;
            if !verdict.is_only_apart() || monotonic_now() >= deadline {
                return Ok(verdict);
            }
            self.breathe(LOOK).await?;
        }
    }

    fn ends(&mut self, position: Position, way_back: Position) -> Result<(), Break> {
        for (party, registers) in self.world.read_all()? {
            let register = registers.get(&self.world.key(TITLE)).cloned().unwrap_or_default();
            let places: Vec<Position> = register.places.as_slice().iter().map(|place| place.position).collect();
            if places != [position, way_back] {
                return Err(failed(format!("{party} ends with the places {places:?}, newest first, instead of {position} and {way_back}")));
            }
        }
        let text = format!("All four resume at {position}, where the laptop is. Where the phone got to is the way back: {way_back}.");
        Ok(self.console.say(Tone::Good, &text)?)
    }

    fn stand(&self, screen: Screen) -> Stand {
        self.stands.get(screen.id()).copied().unwrap_or_default()
    }

    // One report of a screen to whoever serves it; how long until it was durable there and answered.
    async fn report(&mut self, screen: Screen, kind: EventKind, position: Position) -> Result<Duration, Break> {
        let mut event = PlaybackEvent::new(PROFILE, TITLE, screen.id(), kind, position.as_millis());
        event.duration_ms = Some(DURATION_MS);
        let begun = monotonic_now();
        self.unless_quit(self.world.record(screen, event)).await??;
        let playing = match kind {
            EventKind::Play | EventKind::Heartbeat => true,
            EventKind::Pause | EventKind::Stop | EventKind::End => false,
            EventKind::Seek => self.stand(screen).playing,
        };
        self.stands.insert(screen.id(), Stand { position, playing });
        Ok(monotonic_now().saturating_since(begun))
    }

    /// Gives the reader time. Any key ends it early.
    pub(super) async fn breathe(&mut self, time: Duration) -> Result<(), Break> {
        self.draw()?;
        if time.is_zero() {
            return Ok(());
        }
        let over = tokio::time::sleep(time);
        tokio::pin!(over);
        let mut changes = self.world.changes();
        loop {
            tokio::select! {
                () = &mut over => return Ok(()),
                input = self.inputs.next() => match input {
                    Input::Quit => return Err(Break::Quit),
                    Input::Page => return Err(Break::TakenOver),
                    Input::Key(_) => return Ok(()),
                    Input::Closed => {}
                },
                _ = changes.changed() => self.draw()?,
            }
        }
    }

    /// Waits until `condition` answers something; fails when it has not in time.
    async fn until<T>(&mut self, what: &str, condition: impl Fn(&Beliefs) -> Option<T>) -> Result<T, Break> {
        let deadline = monotonic_now() + PATIENCE;
        let mut changes = self.world.changes();
        loop {
            let found = condition(&changes.borrow_and_update());
            self.draw()?;
            if let Some(found) = found {
                return Ok(found);
            }
            let left = deadline.saturating_since(monotonic_now());
            if left.is_zero() {
                return Err(failed(format!("not within {} s: {what}. {}", PATIENCE.as_secs(), self.world.lines_told())));
            }
            tokio::select! {
                _ = changes.changed() => {}
                () = tokio::time::sleep(left.min(REDRAW)) => {}
                input = self.inputs.next() => broken(input)?,
            }
        }
    }

    // Waits for work that has a deadline of its own.
    async fn unless_quit<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Break> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                input = self.inputs.next() => broken(input)?,
            }
        }
    }

    /// The next input, while the live lines follow what is believed.
    pub(super) async fn next_input(&mut self) -> Result<Input, Break> {
        let mut changes = self.world.changes();
        loop {
            let all = changes.borrow_and_update().clone();
            self.tell_if_agreed(&all)?;
            self.draw()?;
            tokio::select! {
                input = self.inputs.next() => return Ok(input),
                _ = changes.changed() => {}
            }
        }
    }

    /// Says what keys do, below the table.
    pub(super) fn set_help(&mut self, help: impl Into<String>) {
        self.help = help.into();
    }

    fn draw(&mut self) -> Result<(), Break> {
        if !self.console.is_live() {
            return Ok(());
        }
        let mut lines = vec![String::new()];
        lines.extend(self.table());
        lines.push(String::new());
        lines.push(self.console.ink().paint(Tone::Quiet, &super::ink::cut(&format!("  {}", self.help), self.console.columns())));
        Ok(self.console.draw(lines)?)
    }

    /// The table of what everyone believes, about the title that was touched last.
    pub(super) fn table(&self) -> Vec<String> {
        let beliefs = self.world.beliefs();
        let key = latest(&beliefs).unwrap_or_else(|| self.world.key(TITLE));
        let cut = Party::ALL.map(|party| self.world.is_cut(party));
        Table { beliefs: &beliefs, key: &key, cut }.lines(self.ink(), self.console.columns())
    }

    fn ink(&self) -> Ink {
        self.console.ink()
    }
}

// What ends a wait of the story.
fn broken(input: Input) -> Result<(), Break> {
    match input {
        Input::Quit => Err(Break::Quit),
        Input::Page => Err(Break::TakenOver),
        Input::Key(_) | Input::Closed => Ok(()),
    }
}

fn named(parties: &[Party]) -> &'static str {
    if parties.contains(&Party::Phone) { "all three regions and the phone" } else { "all three regions" }
}

// When it was seen that all of `parties` hold the same, if they do, and everything that was `stored`.
fn agreed(all: &Beliefs, parties: &[Party], stored: &[(Party, Registers)]) -> Option<MonotonicTime> {
    let holds = |belief: &Belief, (key, stored): (&Key, &Progress)| belief.register(key).is_some_and(|own| own.holds(stored));
    let looked = stored.iter().all(|(party, registers)| registers.iter().all(|register| holds(&all[party.index()], register)));
    let (first, rest) = parties.split_first()?;
    let equal = rest.iter().all(|party| all[party.index()].equals(&all[first.index()]));
    let known = parties.iter().flat_map(|party| all[party.index()].registers.values());
    (looked && equal).then(|| known.map(|known| known.seen.read).max().unwrap_or_default())
}

fn latest(beliefs: &Beliefs) -> Option<Key> {
    let known = beliefs.iter().flat_map(|belief| belief.registers.iter());
    known.max_by_key(|(_, known)| Progress::highest_stamp(&known.progress)).map(|(key, _)| key.clone())
}

fn sentence(parts: &[String]) -> String {
    format!("{}.", capital(&parts.join(", ")))
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().collect::<String>()).unwrap_or_default();
    format!("{first}{}", letters.as_str())
}

/// A time as people read it.
pub(super) fn millis(time: Duration) -> String {
    match time.as_micros() {
        0..10_000 => format!("{:.1} ms", time.as_secs_f64() * 1_000.0),
        10_000..1_000_000 => format!("{:.0} ms", time.as_secs_f64() * 1_000.0),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_as_exactly_as_they_matter() {
        assert_eq!(millis(Duration::from_micros(1_840)), "1.8 ms");
        assert_eq!(millis(Duration::from_micros(43_400)), "43 ms");
        assert_eq!(millis(Duration::from_millis(1_250)), "1.2 s");
    }

    #[test]
    fn parts_become_a_sentence() {
        assert_eq!(
            sentence(&["the TV plays to 0:41:17".to_owned(), "the laptop to 0:52:00".to_owned()]),
            "The TV plays to 0:41:17, the laptop to 0:52:00."
        );
    }
}
