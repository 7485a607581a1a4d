//! The `leftoff` program: hands its arguments to the command line of the library.

use std::process::ExitCode;

/// A node keeps millions of small things of about the same size and replaces them all the time: the allocator of the C library takes a third more
/// processor time for it (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    leftoff::cli::run(std::env::args_os())
}
