//! Killed in the middle of synchronising, on either end: both open again, and in the end both have everything that either acknowledged.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use leftoff::embedded::Replica;
use leftoff::net::{Credentials, NetConfig};
use leftoff::progress::{EventKind, PlaybackEvent};

use crate::recorder::{Said, config};
use crate::support::cluster::Cluster;
use crate::support::device::{Device, agreed};
use crate::support::dice::Dice;
use crate::support::patience::SOON;
use crate::support::process::Process;
use crate::support::relay::Relay;

const FOLDER: &str = "LEFTOFF_SYNCHRONISER_FOLDER";

/// The victim: a device that records while it is connected, in a process of its own. Without a folder it has nothing to do.
#[test]
fn records_and_synchronises_until_it_is_killed() {
    let Some(folder) = env::var_os(FOLDER).map(std::path::PathBuf::from) else { return };
    println!("\nOPENING");
    let replica = Replica::open(config(&folder.join("device"))).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let credentials = Credentials { ca_pem: read("ca").into_bytes(), token: read("token") };
    let net = NetConfig { backoff_first: Duration::from_millis(20), backoff_max: Duration::from_millis(200), ..NetConfig::device("phone") };
    let _link = runtime.block_on(replica.connect_with(net, read("node").trim(), credentials)).unwrap();
    println!("READY");
    let begun: u64 = read("step").trim().parse().unwrap();
    for step in begun.. {
        let event = PlaybackEvent::new("ann", format!("t{}", step % 20), "phone", EventKind::Heartbeat, step * 100);
        let progress = replica.record(event).unwrap();
        println!("ACK t{} {} {} {step}", step % 20, progress.point.version.as_u64(), progress.point.high.as_millis());
    }
}

#[test]
fn device_and_node_killed_while_they_synchronise_end_equal_and_with_everything() {
    let mut dice = Dice::of_this_run("killed while synchronising");
    let mut cluster = Cluster::platform(&mut dice, 1);
    let folder = tempfile::tempdir().unwrap();
    let relay = Relay::for_anybody(dice.split());
    relay.set_target(cluster.nodes[0].addresses().quic());
    let keep = |name: &str, text: &[u8]| fs::write(folder.path().join(name), text).unwrap();
    keep("ca", &cluster.authority.ca_pem());
    keep("token", cluster.token(&["ann"]).as_bytes());
    keep("node", relay.address().to_string().as_bytes());
    let mut step = 1_u64;
    for round in 0..50 {
        keep("step", step.to_string().as_bytes());
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "synchronising::records_and_synchronises_until_it_is_killed", "--nocapture", "--test-threads=1"]);
        command.env(FOLDER, OsString::from(folder.path())).stderr(Stdio::inherit());
        let victim = Process::spawn(&mut command);
        let mut take = |line: &str| match Said::parse(line) {
            Some(Said::Acknowledged { shown, arrived: at, .. }) => {
                assert!(shown.high_ms >= at * 100, "step {at} was acknowledged as {shown:?}");
                step = at + 1;
                true
            }
            _ => false,
        };
        let (enough, mut count) = (dice.within(1..=60), 0);
        victim.expect_line(SOON, "the device records", |line| {
            count += u64::from(take(line));
            (count >= enough).then_some(())
        });
        if round % 5 == 4 {
            cluster.nodes[0].kill();
        }
        victim.kill().iter().for_each(|line| {
            take(line);
        });
        if !cluster.nodes[0].is_running() {
            cluster.start(0);
            relay.set_target(cluster.nodes[0].addresses().quic());
        }
    }
    // The same folder in this process, and a line without relay: in the end both have everything.
    let mut phone = Device::over(config(&folder.path().join("device")), "phone");
    cluster.connect(&mut phone, 0, &["ann"]);
    let known = agreed(&phone, &cluster.client_of(0, &["ann"]), "ann");
    println!("{} steps were acknowledged", step - 1);
    for last in step.saturating_sub(20).max(1)..step {
        let title = format!("t{}", last % 20);
        assert!(known[&title].furthest_ms >= last * 100, "step {last} of {title} was acknowledged; {:?}", known[&title]);
    }
}
