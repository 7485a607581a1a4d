//! `leftoff demo`: three regions and a phone on this machine, an evening played on them, and then the keys to cut and heal their lines.
//!
//! The parts: the [story](story) is data, the [world](world) is what it happens to, the [stage](stage) plays the one on the other. A
//! [console](console) tells it, [observers](observer) look at every replica all the while, and [relays](relay) cut the lines. The
//! [page](page) shows the regions in a browser and has switches of its own.

mod belief;
mod console;
mod ink;
mod input;
mod lines;
mod observer;
mod page;
mod party;
mod relay;
mod stage;
mod story;
mod table;
mod verdict;
mod world;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use self::console::Console;
use self::ink::Tone;
use self::input::{Input, Inputs};
use self::page::Stand;
use self::party::Party;
use self::stage::{Break, Pace, Stage};
use self::story::{EVENING, PROFILE, TITLE};
use self::world::World;
use super::failure::Failure;
use crate::time::system::monotonic_now;

/// See three regions and a phone diverge and converge, on this machine
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Play the story once and end: 0 if every node and device ended equal and no resume point ever went back, else 1
    #[arg(long)]
    headless: bool,
    /// No pauses for reading
    #[arg(long)]
    fast: bool,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::of("no runtime", &error))?;
    let done = runtime.block_on(demo(args));
    // A read of standard input cannot be broken off; what still waits for it ends with the process.
    runtime.shutdown_background();
    done
}

async fn demo(args: &Args) -> Result<ExitCode, Failure> {
    let told = |error: std::io::Error| Failure::of("the terminal cannot be used", &error);
    let mut console = Console::open(args.headless).map_err(told)?;
    // A story that nobody watches has no page either.
    let stand = if args.headless { None } else { Some(Stand::open().await?) };
    if let Some(stand) = &stand {
        console.say(Tone::Strong, &format!("In a browser: http://{}/", stand.address())).map_err(told)?;
    }
    introduce(&mut console).map_err(told)?;
    let inputs = Inputs::open(console.is_live()).map_err(told)?;
    let begun = monotonic_now();
    let world = World::start().await?;
    present(&mut console, &world, monotonic_now().saturating_since(begun)).map_err(told)?;
    let pace = if args.headless || args.fast { Pace::FAST } else { Pace::READING };
    let telling = Arc::new(AtomicBool::new(true));
    let served = stand.map(|stand| stand.serve(&world, Arc::clone(&telling), inputs.sender()));
    let mut stage = Stage::new(world, console, inputs, pace);
    let played = match play(&mut stage, args.headless, &telling).await {
        Err(Break::TakenOver) => take_over(&mut stage).await,
        played => played,
    };
    if let Some(served) = served {
        served.stop().await;
    }
    // The folder goes and the terminal is itself again before anything else is said, however it ended.
    let Stage { world, mut console, .. } = stage;
    let cleared = console.clear().map_err(told);
    drop(console);
    let stopped = world.stop().await;
    match played {
        Err(Break::Failed(failure)) => return Err(failure),
        Err(Break::Quit) if args.headless => return Err(Failure::new("ended before the story was")),
        Ok(()) | Err(Break::Quit | Break::TakenOver) => {}
    }
    cleared.and(stopped).map(|()| ExitCode::SUCCESS)
}

fn introduce(console: &mut Console) -> std::io::Result<()> {
    console.heading("leftoff: one evening, three regions, a phone on a train")?;
    console.say(
        Tone::Plain,
        "Three regional nodes and a phone, each with its own log and sled in a temporary folder, linked by QUIC with mutual TLS over lines that can be cut. No network is used but this machine's own. Every time below is measured, on this machine, now.",
    )
}

fn present(console: &mut Console, world: &World, took: Duration) -> std::io::Result<()> {
    let address = |party: Party| world.gateway(party).map(|address| format!("{} http://{address}", party.name())).unwrap_or_default();
    let addresses = Party::REGIONS.map(address).join(", ");
    console.say(Tone::Quiet, &format!("Started and linked in {}: {addresses}, and the phone.", stage::millis(took)))
}

async fn play(stage: &mut Stage, headless: bool, telling: &AtomicBool) -> Result<(), Break> {
    stage.play(EVENING).await?;
    let verdict = stage.verdict().await?;
    telling.store(false, Ordering::Release);
    stage.console.scroll(&[String::new()])?;
    stage.console.say(if verdict.is_good() { Tone::Good } else { Tone::Bad }, &verdict.to_string())?;
    if headless {
        return if verdict.is_good() { Ok(()) } else { Err(Break::Failed(Failure::new(verdict.to_string()))) };
    }
    stay(stage).await
}

// The story is left where it is: its switches are in other hands.
async fn take_over(stage: &mut Stage) -> Result<(), Break> {
    stage.console.heading("The page takes over")?;
    stage.heal_all()?;
    stage.tell_page()?;
    stay(stage).await
}

// The reader's own turn: until it is ended by key, signal or the end of standard input.
async fn stay(stage: &mut Stage) -> Result<(), Break> {
    let live = stage.console.is_live();
    invite(stage)?;
    stage.set_help("1 2 3 cut or heal eu, us, ap    p phone offline or online    q ends");
    if !live && stage.inputs.is_closed() {
        return Ok(());
    }
    loop {
        let party = match stage.next_input().await? {
            Input::Quit => return Err(Break::Quit),
            Input::Closed if !live => return Ok(()),
            Input::Key('1') => Party::Eu,
            Input::Key('2') => Party::Us,
            Input::Key('3') => Party::Ap,
            Input::Key('p') => Party::Phone,
            Input::Page => {
                stage.tell_page()?;
                continue;
            }
            Input::Key(_) | Input::Closed => continue,
        };
        if stage.world.is_cut(party) {
            stage.heal(party)?;
        } else {
            stage.cut(party)?;
        }
    }
}

fn invite(stage: &mut Stage) -> Result<(), Break> {
    stage.console.heading("Your turn")?;
    stage.console.say(Tone::Plain, "The nodes stay until you end them. From another terminal (tokens are off, for this machine only):")?;
    let address = |party| stage.world.gateway(party).map(|address| address.to_string()).unwrap_or_default();
    let event = format!(
        "{{\"profile_id\":\"{PROFILE}\",\"title_id\":\"{TITLE}\",\"device_id\":\"curl\",\"kind\":\"SEEK\",\"position_ms\":3600000}}"
    );
    let lines = [
        String::new(),
        format!("curl -s http://{}/v1/events -H 'content-type: application/json' -d '{{\"events\":[{event}]}}'", address(Party::Us)),
        format!("curl -s http://{}/v1/profiles/{PROFILE}/titles/{TITLE}", address(Party::Eu)),
        format!("curl -s http://{}/v1/profiles/{PROFILE}/continue-watching", address(Party::Ap)),
        format!("curl -s http://{}/v1/cluster", stage.world.admin(Party::Eu).map(|address| address.to_string()).unwrap_or_default()),
        String::new(),
    ];
    stage.console.scroll(&lines)?;
    let folder = format!("Everything is kept in {} and removed at the end.", stage.world.folder().display());
    stage.console.say(Tone::Quiet, &folder)?;
    if !stage.console.is_live() {
        stage.console.say(Tone::Quiet, "It ends with SIGINT, SIGTERM or the end of standard input.")?;
    }
    Ok(())
}
