//! The demonstration as its readers run it: the program itself, without a terminal.
#![allow(clippy::pedantic, reason = "pedantry is for what ships")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so")]
#![allow(clippy::disallowed_methods, reason = "a test waits by the real clock")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

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

/// A demo that stays until it is dropped, and what it has told.
struct Staying {
    child: Child,
    page: String,
    told: std::sync::mpsc::Receiver<String>,
    _folder: tempfile::TempDir,
}

impl Staying {
    fn start() -> Self {
        let (mut command, folder) = demo(&["--fast"]);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let (sender, told) = std::sync::mpsc::channel();
        let output = child.stdout.take().unwrap();
        std::thread::spawn(move || BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut staying = Self { child, page: String::new(), told, _folder: folder };
        let first = staying.line(|line| !line.trim().is_empty());
        let address = first.trim().strip_prefix("In a browser: http://").and_then(|rest| rest.strip_suffix('/'));
        staying.page = address.unwrap().to_owned();
        staying
    }

    /// The next line of which `passes` holds.
    fn line(&self, passes: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let line = self.told.recv_timeout(deadline.saturating_duration_since(Instant::now())).unwrap();
            if passes(&line) {
                return line;
            }
        }
    }

    /// Status and body of a request to the page's listener.
    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
        let mut socket = TcpStream::connect(&self.page).unwrap();
        let own = [("host", self.page.as_str()), ("connection", "close")];
        let own = own.iter().filter(|(name, _)| !headers.iter().any(|(other, _)| other == name));
        let lines: Vec<_> = own.chain(headers).map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        write!(socket, "{method} {path} HTTP/1.1\r\ncontent-length: {}\r\n{}\r\n{body}", body.len(), lines.concat()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    /// Follows until a state of which `passes` holds.
    fn state(&self, passes: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        let mut socket = TcpStream::connect(&self.page).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        write!(socket, "GET /demo/events HTTP/1.1\r\nhost: {}\r\n\r\n", self.page).unwrap();
        let states = BufReader::new(socket).lines().map(|line| line.unwrap());
        let mut states = states.filter_map(|line| line.strip_prefix("data: ").map(|json| serde_json::from_str(json).unwrap()));
        states.find(passes).unwrap()
    }

    fn set_line(&self, region: &str, cut: bool, headers: &[(&str, &str)]) -> (u16, String) {
        let json = [("content-type", "application/json")];
        let headers: Vec<_> = json.iter().chain(headers).copied().collect();
        self.ask("POST", "/demo/lines", &headers, &format!("{{\"region\":\"{region}\",\"cut\":{cut}}}"))
    }
}

impl Drop for Staying {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

#[test]
fn a_switch_of_the_page_takes_the_story_over_and_cuts_and_heals() {
    let demo = Staying::start();
    demo.line(|line| line.contains("1  A film, paused on the TV"));
    assert_eq!(demo.set_line("us", true, &[]).0, 204);
    demo.line(|line| line.contains("The page takes over") || line.contains("Your turn"));
    let cut = demo.state(|state| state["telling"] == false && state["regions"][1]["cut"] == true);
    assert_eq!(cut["pairs"].as_array().unwrap().len(), 3);
    assert_eq!(cut["regions"][1]["progress"]["title_id"], "night-train-clip");
    demo.line(|line| line.contains("Region us is cut off"));
    assert_eq!(demo.set_line("us", false, &[]).0, 204);
    demo.line(|line| {
        line.contains("all three regions and the phone hold the same") || line.contains("All three regions and the phone hold the same")
    });
    let healed = demo.state(|state| state["regions"][1]["cut"] == false);
    assert!(healed["pairs"].as_array().unwrap().iter().all(|pair| pair["equal"] == true), "{healed}");
}

#[test]
fn the_page_answers_to_nobody_elses_page() {
    let demo = Staying::start();
    demo.line(|line| line.contains("Started and linked"));
    let own = format!("http://{}", demo.page);
    for origin in ["http://evil.example", "http://localhost:3000", "null", "https://127.0.0.1"] {
        let (status, body) = demo.set_line("eu", true, &[("origin", origin)]);
        assert!(status == 403 && body.contains("foreign_origin"), "{origin}: {body}");
    }
    for path in ["/", "/demo/events", "/page/world.json"] {
        let (status, body) = demo.ask("GET", path, &[("host", "evil.example")], "");
        assert!(status == 403 && body.contains("foreign_host"), "{path}: {body}");
    }
    let (status, body) = demo.ask("POST", "/demo/lines", &[("content-type", "text/plain")], "{\"region\":\"eu\",\"cut\":true}");
    assert_eq!(status, 400, "what a foreign page may send unasked moves nothing: {body}");
    assert_eq!(demo.set_line("nowhere", true, &[]).0, 400);
    assert_eq!(demo.set_line("ap", true, &[("origin", &own)]).0, 204);
    let state = demo.state(|state| state["regions"][2]["cut"] == true);
    assert_eq!(state["regions"][0]["cut"], false, "{state}");
}
