//! The anchor of a party: where everybody is to be. The last command wins, at every node alike.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::ephemeral::node::NodeId;
use crate::ephemeral::slot::Join;
use crate::limits::{COMMANDS_REMEMBERED_COUNT_MAX, POSITION_MS_MAX};
use crate::progress::{DeviceId, Position, Speed, TitleId};
use crate::time::Hlc;

/// Where a command puts everybody.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Anchor {
    /// In which title.
    pub title: TitleId,
    /// Where in it, at the moment of the command.
    pub position: Position,
    /// How fast it goes on from there, if it plays.
    pub rate: Speed,
    /// Whether it plays.
    pub playing: bool,
}

impl Anchor {
    /// Where everybody is this long after the command.
    #[expect(clippy::cast_sign_loss, reason = "neither factor is negative")]
    pub fn position_after(&self, age: Duration) -> Position {
        let further_ms = if self.playing { (age.as_secs_f64() * f64::from(self.rate.as_f32()) * 1_000.0) as u64 } else { 0 };
        // A party that nobody steers for months stays where positions end.
        Position::from_millis(self.position.as_millis().saturating_add(further_ms).min(POSITION_MS_MAX))
    }
}

/// An anchor, and whose command it was. Ordered by stamp; the rest only decides between equal stamps.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SetAnchor {
    /// When the command was given, by the clock of its node.
    pub stamp: Hlc,
    /// The node that took it.
    pub node: NodeId,
    /// The device that gave it.
    pub device: DeviceId,
    /// The command's own number, if it had one.
    pub nonce: Option<u64>,
    /// Where it puts everybody.
    pub anchor: Anchor,
}

impl SetAnchor {
    fn order(&self) -> impl Ord + '_ {
        let Anchor { title, position, rate, playing } = &self.anchor;
        (self.stamp, self.node, &self.device, self.nonce, title, *position, rate.as_f32().to_bits(), *playing)
    }
}

impl Join for SetAnchor {
    fn join(&mut self, other: Self) -> bool {
        let newer = other.order() > self.order();
        if newer {
            *self = other;
        }
        newer
    }
}

/// The anchor, and the commands that are known: a command that was lost to a later one is remembered too, at every node, so that it changes
/// nothing when its device repeats it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::ephemeral) struct Steering {
    pub(in crate::ephemeral) set: SetAnchor,
    /// The latest commands that had a number of their own. The latest of a union: joining is associative.
    pub(in crate::ephemeral) commands: BTreeSet<(Hlc, DeviceId, u64)>,
}

impl Steering {
    pub(in crate::ephemeral) fn new(set: SetAnchor) -> Self {
        let commands = set.nonce.map(|nonce| (set.stamp, set.device.clone(), nonce)).into_iter().collect();
        Self { set, commands }
    }

    pub(in crate::ephemeral) fn remembers(&self, device: &DeviceId, nonce: u64) -> bool {
        self.commands.iter().any(|(_, known, number)| known == device && *number == nonce)
    }

    /// The highest stamp in it.
    pub(in crate::ephemeral) fn highest_stamp(&self) -> Hlc {
        self.commands.last().map_or(Hlc::ZERO, |(stamp, ..)| *stamp).max(self.set.stamp)
    }
}

impl Join for Steering {
    fn join(&mut self, other: Self) -> bool {
        let moved = self.set.join(other.set);
        let before = self.commands.clone();
        self.commands.extend(other.commands);
        while self.commands.len() > COMMANDS_REMEMBERED_COUNT_MAX {
            self.commands.pop_first();
        }
        moved || self.commands != before
    }
}
