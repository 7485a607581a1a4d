//! What the clocks of hosts show: the machine's clock, corrected as its replica corrects it.

use leftoff::time::WallTime;

use crate::model::wall_ms;
use crate::observation::{HostId, View};

/// The true time.
pub fn true_now(view: &dyn View) -> WallTime {
    WallTime::from_millis(wall_ms(view.true_stamp().as_u64()))
}

/// What a host's clock shows now, within a millisecond. It judges by this what it is sent.
pub fn reading(view: &dyn View, host: HostId) -> WallTime {
    let machine = true_now(view).shifted(view.clock_error_ms(host));
    view.core(host).map_or(machine, |core| core.corrected(machine))
}

/// How far that is ahead of the true time, in milliseconds.
pub fn ahead_ms(view: &dyn View, host: HostId) -> i64 {
    reading(view, host).millis_since(true_now(view))
}
