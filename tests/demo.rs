//! The demonstration as its readers run it: the program itself, without a terminal.
#![allow(clippy::pedantic, reason = "pedantry is for what ships")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use std::process::{Command, Output, Stdio};

fn demo(arguments: &[&str]) -> (Command, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_leftoff"));
    command.arg("demo").args(arguments).env("TMPDIR", folder.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    (command, folder)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn assert_done(output: &Output, folder: &tempfile::TempDir) {
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    assert_eq!(text(&output.stderr), "");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the temporary folder is left behind");
}

#[test]
fn the_story_ends_with_everyone_equal_and_nothing_left_behind() {
    let (mut command, folder) = demo(&["--headless"]);
    let output = command.output().unwrap();
    assert_done(&output, &folder);
    let told = text(&output.stdout);
    assert!(told.contains("all four are equal") && told.contains("none went back"), "{told}");
    assert!(!told.contains('\u{1b}'), "what is no terminal gets no escape sequences");
}

#[test]
fn without_a_terminal_it_stays_until_standard_input_ends() {
    let (mut command, folder) = demo(&["--fast"]);
    let output = command.output().unwrap();
    assert_done(&output, &folder);
    let told = text(&output.stdout);
    let invited = told.split("Your turn").nth(1).unwrap();
    assert_eq!(invited.lines().filter(|line| line.starts_with("curl -s http://127.0.0.1:")).count(), 4, "{told}");
}

// Two readers of one machine: a port that looked free was taken by the other's node before this one's could bind it.
#[test]
fn several_at_once_find_ports_of_their_own() {
    let demos: Vec<_> = (0..4).map(|_| demo(&["--headless"])).collect();
    let demos: Vec<_> = demos.into_iter().map(|(mut command, folder)| (command.spawn().unwrap(), folder)).collect();
    for (demo, folder) in demos {
        assert_done(&demo.wait_with_output().unwrap(), &folder);
    }
}
