//! The command line: one file a command.
//!
//! A command answers on stdout, for people or (`--json`) for programs; what goes wrong is one line on stderr that says what and what to do.
//! Exit codes: 0 done, 1 failed, 2 wrong usage.

mod backup;
mod bench;
mod cert;
mod client;
mod demo;
mod export;
mod failure;
mod get;
mod import;
mod list;
mod output;
mod put;
mod restore;
mod serve;
mod status;
mod token;
mod verify;
mod watch;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Keeps people's place: a replicated store for playback progress.
#[derive(Debug, Parser)]
#[command(name = "leftoff", version, arg_required_else_help = true, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// See three regions and a phone diverge and converge, on this machine
    Demo(demo::Args),
    /// Run a regional node
    Serve(serve::Args),
    /// Where to resume a title
    Get(get::Args),
    /// What a profile was watching
    List(list::Args),
    /// A profile's changes as they come
    Watch(watch::Args),
    /// Record one event
    Put(put::Args),
    /// Send events from a file to a node; may be interrupted and repeated
    Import(import::Args),
    /// Write a node's registers as lines of JSON
    Export(export::Args),
    /// Make the cluster's authority, and certificates for its nodes
    Cert(cert::Args),
    /// Make keys for tokens, and sign tokens
    Token(token::Args),
    /// Measure this build on this machine
    Bench(bench::Args),
    /// Members, links, lag and store figures of a node
    Status(status::Args),
    /// Copy a running node's data
    Backup(backup::Args),
    /// Make a data folder from a backup, as a node of its own
    Restore(restore::Args),
    /// Read everything in a data folder and report damage
    Verify(verify::Args),
}

/// Runs the command line with the program's arguments, its name included.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    output::quiet_panics();
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers, on stdout; the rest is wrong usage, on stderr. A closed pipe is nobody to tell.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let done = match cli.command {
        Command::Demo(args) => demo::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Get(args) => get::run(&args),
        Command::List(args) => list::run(&args),
        Command::Watch(args) => watch::run(&args),
        Command::Put(args) => put::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Cert(args) => cert::run(&args),
        Command::Token(args) => token::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Backup(args) => backup::run(&args),
        Command::Restore(args) => restore::run(&args),
        Command::Verify(args) => verify::run(&args),
    };
    match done {
        Ok(code) => code,
        Err(failure) => {
            output::complain(&failure);
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
