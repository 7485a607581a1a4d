//! The command line, as it is run by people and programs: exit codes, one line for what is wrong, the same answer twice.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const SHORT: &str = "about = \"A short cut.\"\nduration = \"1min\"\nregions = [\"eu-central-1\", \"us-east-1\"]\n\
    [workload]\nviewers = 8\nwatch = \"30s\"\n[[faults]]\nkind = \"cut\"\nat = \"10s\"\nlasts = \"20s\"\nhosts = \"us-east-1\"\n";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("short.toml"), SHORT).unwrap();
    folder
}

fn simulate(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_leftoff-sim")).args(arguments).current_dir(folder).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The outcome without what a seed does not decide.
fn decided(output: &Output) -> Value {
    let mut json: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}{}", out(output), err(output)));
    for real in ["real_time_s", "where_time_goes_s"] {
        json.as_object_mut().unwrap().remove(real);
    }
    json
}

#[test]
fn a_seed_run_twice_gives_the_same_json_but_for_real_time() {
    let folder = folder();
    let run = |seed: &str| simulate(folder.path(), &["run", "short.toml", "--seed", seed, "--json"]);
    let first = run("7");
    assert!(first.status.success(), "{}{}", out(&first), err(&first));
    assert_eq!(decided(&first), decided(&run("7")));
    assert_ne!(decided(&first)["trace_hash"], decided(&run("8"))["trace_hash"]);
}

#[test]
fn a_run_leaves_a_summary_a_trace_with_named_columns_and_a_report() {
    let folder = folder();
    let run = simulate(folder.path(), &["run", "short.toml", "--seed", "3", "--trace", "t.tsv", "--report", "r.html"]);
    assert!(run.status.success(), "{}{}", out(&run), err(&run));
    let text = out(&run);
    assert!(text.starts_with("short, seed 3, commit ") && text.contains("cut of us-east-1") && text.contains("\nheld: "), "{text}");
    let trace = fs::read_to_string(folder.path().join("t.tsv")).unwrap();
    let columns = trace.lines().next().unwrap().split('\t').count();
    assert!(trace.starts_with("ms\thost\tevent") && trace.lines().count() > 50, "{}", &trace[..200]);
    assert!(trace.lines().all(|line| line.split('\t').count() == columns), "every line has {columns} columns");
    let report = fs::read_to_string(folder.path().join("r.html")).unwrap();
    assert!(report.ends_with("</html>\n") && report.contains("leftoff-sim run short.toml --seed 3"));
}

#[test]
fn a_trace_on_standard_output_is_alone_there() {
    let folder = folder();
    let run = simulate(folder.path(), &["run", "short.toml", "--trace"]);
    assert!(out(&run).starts_with("ms\thost\tevent"));
    assert!(!out(&run).contains("held: ") && err(&run).contains("held: "), "{}", err(&run));
}

#[test]
fn what_a_swarm_draws_is_replayed_exactly() {
    let folder = folder();
    let shown = simulate(folder.path(), &["replay", "11", "--show"]);
    assert!(shown.status.success());
    fs::write(folder.path().join("drawn-11.toml"), out(&shown)).unwrap();
    let replayed = decided(&simulate(folder.path(), &["replay", "11", "--json"]));
    let from_file = decided(&simulate(folder.path(), &["run", "drawn-11.toml", "--seed", "11", "--json"]));
    assert_eq!(replayed, from_file, "a drawn scenario is a scenario like any other");
}

#[test]
fn a_swarm_tells_what_it_ran() {
    let folder = folder();
    let swarm = simulate(folder.path(), &["run", "short.toml", "--as-written", "--seeds", "3", "--seed", "5", "--json"]);
    let json: Value = serde_json::from_slice(&swarm.stdout).unwrap();
    assert_eq!((&json["worlds"], &json["first_seed"], &json["failed"]), (&3.into(), &5.into(), &0.into()), "{json}");
    assert!(json["virtual_time_s"].as_f64().unwrap() >= 180.0);
    assert!(swarm.status.success());
}

#[test]
fn a_swarm_that_is_interrupted_tells_what_it_found_and_ends_with_130() {
    let folder = folder();
    let mut swarm = Command::new(env!("CARGO_BIN_EXE_leftoff-sim"))
        .args(["run", "short.toml", "--as-written", "--seeds", "100000", "--jobs", "1"])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(swarm.stdout.take().unwrap());
    // It says what it runs when it listens to signals already.
    let mut heading = String::new();
    stdout.read_line(&mut heading).unwrap();
    assert!(heading.starts_with("swarm: "), "{heading}");
    let interrupted = Command::new("kill").args(["-INT", &swarm.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    let mut told = String::new();
    stdout.read_to_string(&mut told).unwrap();
    assert_eq!(swarm.wait().unwrap().code(), Some(130), "{told}");
    assert!(told.contains(" worlds, ") && told.contains("interrupted: ") && told.contains("held: nothing failed"), "{told}");
}

#[test]
fn what_cannot_be_done_is_told_in_a_line_with_exit_code_1() {
    let folder = folder();
    fs::write(folder.path().join("wrong.toml"), "about = \"\"\nregions = [\"eu-central-1\"]\nsettel = \"3s\"\n").unwrap();
    for (arguments, expected) in [
        (&["run", "region-cat"][..], "there is no scenario 'region-cat': did you mean 'region-cut'?"),
        (&["run", "none.toml"], "none.toml:1: cannot be read"),
        (&["run", "wrong.toml"], "wrong.toml:3: settel: there is no such key; did you mean `settle`?"),
        (&["run"], "no scenario is named: name one, or draw them with --seeds N"),
        (&["run", "--trace", "region-cut"], "no scenario is named: write --trace behind 'region-cut'"),
        (&["run", "short.toml", "--trace", "none/t.tsv"], "none/t.tsv: cannot be written"),
        (&["run", "short.toml", "--seeds", "2", "--report", "r.html"], "a swarm has no report"),
        (&["run", "propagation-aws", "--latency", "none.csv"], "none.csv: cannot be read as CSV"),
        (
            &["run", "--seeds", "3", "--seed", "18446744073709551615"],
            "--seed 18446744073709551615 with --seeds 3: the last seed may be at most 18446744073709551615",
        ),
        (&["suite", "--seeds-file", "none.txt"], "none.txt: cannot be read"),
    ] {
        let run = simulate(folder.path(), arguments);
        assert_eq!(run.status.code(), Some(1), "{arguments:?}: {}", err(&run));
        let text = err(&run);
        assert!(text.contains(expected), "{arguments:?}: {text}");
        assert_eq!(text.lines().filter(|line| line.starts_with("leftoff-sim: ")).count(), 1, "{arguments:?}: {text}");
        assert!(!text.contains("panicked") && !text.contains("stack backtrace"), "{text}");
    }
}

#[test]
fn wrong_usage_has_exit_code_2_and_help_0() {
    let folder = folder();
    for arguments in [
        &["fly"][..],
        &["run", "short.toml", "--seed", "x"],
        &["run", "short.toml", "--fresh"],
        &["replay"],
        &[],
        &["run", "short.toml", "--seeds", "0"],
    ] {
        assert_eq!(simulate(folder.path(), arguments).status.code(), Some(2), "{arguments:?}");
    }
    for arguments in [&["--help"][..], &["run", "--help"], &["--version"], &["list"]] {
        assert_eq!(simulate(folder.path(), arguments).status.code(), Some(0), "{arguments:?}");
    }
}

#[test]
fn the_list_shows_what_each_scenario_asks() {
    let folder = folder();
    let list: Value = serde_json::from_slice(&simulate(folder.path(), &["list", "--json"]).stdout).unwrap();
    let cut = list.as_array().unwrap().iter().find(|listed| listed["name"] == "region-cut").unwrap();
    assert_eq!((&cut["nodes"], &cut["faults"][0]), (&6.into(), &"cut of eu-central-1".into()));
    assert!(out(&simulate(folder.path(), &["list", "region-cut"])).starts_with("about = "));
}
