//! The command line. Exit codes: 0 all held, 1 something did not or could not be done, 2 wrong usage.
//!
//! Results go to standard output, everything else (what is going on, notices, errors) to standard error.

mod arguments;
mod list;
mod output;
mod run;
mod source;
mod suite;
mod swarm;

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Parser as _;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use arguments::{Arguments, Command};

/// The commit that the simulator was built from, or its version.
pub const COMMIT: &str = env!("LEFTOFF_COMMIT");

/// Exit code after Ctrl-C, as shells have it.
const INTERRUPTED: i32 = 130;

/// Whether all held.
type Held = bool;

/// Why a command could not be carried out, in a line or, of a scenario's mistakes, one line each.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct CommandError(String);

impl CommandError {
    fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

/// Parses the command line and carries it out.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are answers, not errors.
            let code = if error.use_stderr() { 2 } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let stop = Arc::new(AtomicBool::new(false));
    if let Err(error) = listen(&stop, &arguments.command) {
        output::error(&format!("signals cannot be listened to: {error}"));
        return ExitCode::from(1);
    }
    crate::swarm::pool::tell_panics();
    let done = match &arguments.command {
        Command::List(list) => list::list(list),
        Command::Run(run) if run.seeds.is_some() => swarm::swarm(run, &stop),
        Command::Run(run) => run::run(run),
        Command::Replay(replay) => run::replay(replay),
        Command::Suite(suite) => suite::suite(suite, &stop),
    };
    // Only swarms come here after a signal, with what they found told.
    let interrupted = stop.load(Ordering::Relaxed);
    match done {
        Ok(_) if interrupted => ExitCode::from(INTERRUPTED as u8),
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            output::error(&error.to_string());
            ExitCode::from(1)
        }
    }
}

/// The first Ctrl-C ends a swarm after what runs now, and tells what was found; the second, and the first of a single run, end it at once.
fn listen(stop: &Arc<AtomicBool>, command: &Command) -> io::Result<()> {
    let many = matches!(command, Command::Run(run) if run.seeds.is_some()) || matches!(command, Command::Suite(_));
    for signal in [SIGINT, SIGTERM] {
        let at_once = if many { Arc::clone(stop) } else { Arc::new(AtomicBool::new(true)) };
        flag::register_conditional_shutdown(signal, INTERRUPTED, at_once)?;
        flag::register(signal, Arc::clone(stop))?;
    }
    Ok(())
}
