//! The anchor of a party: where everybody is to be. The last command wins, at every node alike.

use crate::ephemeral::node::NodeId;
use crate::ephemeral::slot::Join;
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
