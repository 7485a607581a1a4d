//! The `leftoff` program: hands its arguments to the command line of the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    leftoff::cli::run(std::env::args_os())
}
