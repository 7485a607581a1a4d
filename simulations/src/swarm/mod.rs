//! Many worlds at once: one thread a core, one world a thread, each decided by its own seed.

pub mod pool;
pub mod reason;
pub mod shrink;

mod dice;
mod draw;
mod strike;

pub use draw::{draw, vary};
