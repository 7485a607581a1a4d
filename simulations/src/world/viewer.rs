//! What viewers do: play, pause, jump, go on to the next title, fall asleep, leave the screen on, change to another device.

use leftoff::progress::{EventKind, ProfileId, TitleId};

use super::World;
use super::clock::true_wall;
use super::queue::{Event, Micros};
use super::workload::{Doing, Report, Viewer, profile_name, thin_clock_error_ms, title_name};

/// How long somebody watches before doing something else, on average.
const STRETCH_US: f64 = 240e6;
/// How long a session is, on average.
const SESSION_US: f64 = 2_700e6;
/// How long a pause is, on average.
const PAUSE_US: f64 = 150e6;
/// How long a screen is left on, on average.
const IDLE_US: f64 = 900e6;
/// How long a line is gone, on average.
const OFFLINE_US: f64 = 600e6;
/// A second in microseconds.
const SECOND: Micros = 1_000_000;

impl World<'_> {
    /// Plans when each viewer first sits down.
    pub(super) fn plan_viewers(&mut self) {
        for number in 0..self.audience.viewers.len() as u32 {
            self.choose_node(number);
            self.plan_session(number);
        }
    }

    /// Plans a viewer's next session, if it has any time left to watch.
    fn plan_session(&mut self, number: u32) {
        let now = self.stage.now();
        let who = &mut self.audience.viewers[number as usize];
        who.doing = Doing::Away;
        let room = self.duration.saturating_sub(now).saturating_sub(who.watch_left);
        if who.watch_left >= SECOND && self.duration > now + SECOND {
            let begins = who.random.below(room.max(SECOND));
            self.stage.queue.after(begins, Event::Viewer(number));
        }
    }

    /// A viewer does the next thing.
    pub(super) fn viewer(&mut self, number: u32) {
        let now = self.stage.now();
        match self.audience.viewers[number as usize].doing {
            Doing::Away => self.sit_down(number),
            Doing::Playing => self.play_on(number),
            Doing::Paused { until } if now < until => self.plan_viewer(number, until - now),
            Doing::Paused { .. } => {
                let who = &mut self.audience.viewers[number as usize];
                (who.doing, who.moved_at) = (Doing::Playing, now);
                self.say(number, EventKind::Play, false);
                self.heartbeat_later(number);
            }
            Doing::Idle { until } if now < until => {
                self.say(number, EventKind::Heartbeat, false);
                self.heartbeat_later(number);
            }
            Doing::Idle { .. } => self.leave(number),
        }
    }

    fn plan_viewer(&mut self, number: u32, after: Micros) {
        self.stage.queue.after(after, Event::Viewer(number));
    }

    fn heartbeat_later(&mut self, number: u32) {
        self.plan_viewer(number, super::micros(self.scenario.workload.heartbeat).max(100_000));
    }

    fn sit_down(&mut self, number: u32) {
        let now = self.stage.now();
        let devices = u64::from(self.audience.devices_per_viewer());
        let titles = u64::from(self.audience.titles);
        let who = &mut self.audience.viewers[number as usize];
        who.attempts = 0;
        let length = who.random.exponential(SESSION_US) as Micros;
        who.session_until = now + length.clamp(60 * SECOND, who.watch_left.max(60 * SECOND));
        who.device = who.first_device + who.random.below(devices) as u32;
        // Mostly what was begun; else something new, and of that mostly what many watch.
        if who.position_ms == 0 || who.random.chance(0.4) {
            let spread = who.random.fraction();
            who.title = (spread * spread * titles as f64) as u32;
        }
        self.choose_node(number);
        self.open(number, false);
        self.heartbeat_later(number);
    }

    /// Opens the viewer's title where it was left, or at its beginning.
    fn open(&mut self, number: u32, restart: bool) {
        let now = self.stage.now();
        let found = if restart { Some(0) } else { self.read_resume_point(number) };
        let length = self.audience.length_ms(self.audience.viewers[number as usize].title);
        let stretch = self.stretch(number);
        let who = &mut self.audience.viewers[number as usize];
        who.position_ms = found.unwrap_or(0).min(length.saturating_sub(1_000));
        (who.doing, who.moved_at, who.stretch_until) = (Doing::Playing, now, now + stretch);
        self.say(number, EventKind::Play, restart);
    }

    fn stretch(&mut self, number: u32) -> Micros {
        let who = &mut self.audience.viewers[number as usize];
        (who.random.exponential(STRETCH_US) as Micros).max(5 * SECOND)
    }

    /// What the viewer's device shows of where to resume.
    fn read_resume_point(&mut self, number: u32) -> Option<u64> {
        let who = &self.audience.viewers[number as usize];
        let (profile, title) = (ProfileId::new(profile_name(who.profile)).ok()?, TitleId::new(title_name(who.title)).ok()?);
        let host = match self.device_hosts[who.device as usize] {
            Some(host) => Some(host as usize),
            None => self.reach(number),
        };
        let host = host.filter(|host| self.stage.hosts[*host].is_up())?;
        self.show_read(host, &profile, &title)
    }

    fn play_on(&mut self, number: u32) {
        let now = self.stage.now();
        let reads = self.scenario.workload.reads;
        let who = &mut self.audience.viewers[number as usize];
        let passed = now - who.moved_at;
        who.position_ms += passed / 1_000;
        who.moved_at = now;
        who.watch_left = who.watch_left.saturating_sub(passed);
        let reads = who.random.chance(reads);
        let (session_over, stretch_over) = (now >= who.session_until || who.watch_left == 0, now >= who.stretch_until);
        let title = who.title;
        let length = self.audience.length_ms(title);
        if reads {
            self.read_resume_point(number);
        }
        let who = &mut self.audience.viewers[number as usize];
        if who.position_ms >= length {
            who.position_ms = length;
            who.finished = Some(title);
            self.say(number, EventKind::End, false);
            if session_over {
                self.audience.viewers[number as usize].position_ms = 0;
                self.plan_session(number);
                return;
            }
            self.next_title(number);
            self.open(number, false);
        } else if session_over {
            self.leave(number);
            return;
        } else if stretch_over {
            if !self.change(number) {
                return;
            }
        } else {
            self.say(number, EventKind::Heartbeat, false);
        }
        self.heartbeat_later(number);
    }

    fn leave(&mut self, number: u32) {
        // Half of the players say so; the others are switched off.
        let says = self.audience.viewers[number as usize].random.chance(0.5);
        if says {
            self.say(number, EventKind::Stop, false);
        }
        self.plan_session(number);
    }

    fn next_title(&mut self, number: u32) {
        let titles = self.audience.titles;
        let who = &mut self.audience.viewers[number as usize];
        who.title = (who.title + 1) % titles;
        who.position_ms = 0;
    }

    /// The end of a stretch of watching: the viewer does something. Whether it goes on playing.
    fn change(&mut self, number: u32) -> bool {
        let now = self.stage.now();
        let habits = &self.scenario.workload.habits;
        let weights = [
            habits.watch,
            habits.pause,
            habits.skip,
            habits.back,
            habits.tap,
            habits.restart,
            habits.next,
            habits.switch,
            habits.sleep,
            habits.idle,
            habits.rewatch,
            habits.offline,
        ];
        let stretch = self.stretch(number);
        let length = self.audience.length_ms(self.audience.viewers[number as usize].title);
        let who = &mut self.audience.viewers[number as usize];
        who.stretch_until = now + stretch;
        let jump = 61_000 + who.random.below(1_200_000);
        match who.random.weighted(&weights) {
            1 => {
                who.doing = Doing::Paused { until: now + (who.random.exponential(PAUSE_US) as Micros).max(SECOND) };
                self.say(number, EventKind::Pause, false);
            }
            2 => {
                who.position_ms = (who.position_ms + jump).min(length.saturating_sub(2_000));
                self.say(number, EventKind::Seek, false);
            }
            3 => {
                who.position_ms = who.position_ms.saturating_sub(jump);
                self.say(number, EventKind::Seek, false);
            }
            4 => {
                who.position_ms = who.position_ms.saturating_sub(10_000);
                self.say(number, EventKind::Seek, false);
            }
            5 => self.open(number, true),
            6 => {
                self.say(number, EventKind::Stop, false);
                self.next_title(number);
                self.open(number, false);
            }
            7 => self.switch(number),
            8 => {
                // It plays on to the end, whatever was planned.
                who.stretch_until = Micros::MAX;
                who.session_until = now + length.saturating_sub(who.position_ms).saturating_mul(1_000) + SECOND;
                self.say(number, EventKind::Heartbeat, false);
            }
            9 => {
                who.doing = Doing::Idle { until: now + who.random.exponential(IDLE_US) as Micros };
                self.say(number, EventKind::Heartbeat, false);
            }
            10 => {
                if let Some(finished) = who.finished {
                    who.title = finished;
                }
                who.position_ms = 0;
                who.moved_at = now;
                self.say(number, EventKind::Play, false);
            }
            11 => self.lose_line(number),
            _ => self.say(number, EventKind::Heartbeat, false),
        }
        true
    }

    /// Goes on on another of the viewer's devices.
    fn switch(&mut self, number: u32) {
        let devices = u64::from(self.audience.devices_per_viewer());
        let who = &mut self.audience.viewers[number as usize];
        let says = who.random.chance(0.5);
        let other = who.first_device + who.random.below(devices) as u32;
        if says {
            self.say(number, EventKind::Stop, false);
        }
        self.audience.viewers[number as usize].device = other;
        self.open(number, false);
    }

    /// The device is taken where there is no line.
    fn lose_line(&mut self, number: u32) {
        let now = self.stage.now();
        let who = &mut self.audience.viewers[number as usize];
        let until = now + (who.random.exponential(OFFLINE_US) as Micros).max(SECOND);
        match self.device_hosts[who.device as usize] {
            Some(host) => self.take_offline(host as usize, until),
            None => who.offline_until = until,
        }
        self.say(number, EventKind::Heartbeat, false);
    }

    /// Reports what the player of a viewer says.
    fn say(&mut self, number: u32, kind: EventKind, restart: bool) {
        let now = self.stage.now();
        let Viewer { device, title, position_ms, .. } = self.audience.viewers[number as usize];
        let at_ms = match self.device_hosts[device as usize] {
            Some(host) => self.stage.hosts[host as usize].clock.wall(now),
            None => true_wall(now).shifted(thin_clock_error_ms(device)),
        };
        self.report(number, Report { kind, restart, title, device, position_ms, at_ms: at_ms.as_millis() });
    }
}
