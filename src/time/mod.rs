//! Time as the product sees it: wall time for people, monotonic time for intervals, hybrid logical clocks for order.
//!
//! Nothing here reads a clock but `system`; everything else is handed the time. That is what lets a simulation run the same code.

mod hlc;
mod steps;
pub mod system;
mod wall;

pub use hlc::{ClockError, Hlc, HybridClock};
pub use steps::StepMeter;
pub use wall::{MonotonicTime, WallTime};
