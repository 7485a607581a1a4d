//! The timer of what is ephemeral: leases that were not renewed lapse, and the node's own is renewed.

use std::sync::Arc;
use std::time::Duration;

use crate::replica::Core;
use crate::time::system::{monotonic_now, wall_now};

/// How exactly leases lapse. Looking costs a lock for a moment.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// Looks after the leases of a replica for as long as it is there.
pub(super) fn keep(core: &Arc<Core>) {
    let core = Arc::downgrade(core);
    tokio::spawn(async move {
        let mut look = tokio::time::interval(LOOK_INTERVAL);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            let Some(core) = core.upgrade() else { return };
            let now = monotonic_now();
            if core.ephemeral().next_expiry(now).is_some_and(|due| due <= now) {
                core.ephemeral().expire(now, core.tick(wall_now()));
            }
        }
    });
}
