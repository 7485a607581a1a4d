//! Messages of existing players on a WebSocket: those whose `type` is not one of ours.

use crate::gateway::body::Batch;
use crate::gateway::problem::Problem;

/// The events in a message of the given type, if that is a dialect's. They are recorded like any others, and answered by an `ack` without id.
pub(super) const fn events(_kind: &str, _text: &str) -> Option<Result<Batch, Problem>> {
    None
}
