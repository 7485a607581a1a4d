//! `leftoff-sim`: the partition simulator's command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    leftoff_simulations::command::main()
}
