//! `leftoff-sim`: the partition simulator's command line.

use std::process::ExitCode;

/// A world makes and drops small things all the time, as a node does, which ships with the same allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    leftoff_simulations::command::main()
}
