//! The repository's scenarios: they are read, they are short, and writing them out again changes nothing.

use std::time::Duration;

use leftoff_simulations::observation::HostId;
use leftoff_simulations::scenario::{FaultKind, Latency, Scenario, library, parse};

fn all() -> Vec<Scenario> {
    library::names().map(|name| library::scenario(name).unwrap().unwrap_or_else(|error| panic!("{error}"))).collect()
}

#[test]
fn every_scenario_of_the_repository_is_read() {
    let names: Vec<&str> = library::names().collect();
    for expected in ["region-cut", "swizzle-clog", "five-continents-day", "mixed-faults", "big-day", "propagation-aws"] {
        assert!(names.contains(&expected), "{expected} is missing from {names:?}");
    }
    for scenario in all() {
        assert!(scenario.about.len() > 40, "{}: says what it asks", scenario.name);
    }
}

#[test]
fn every_scenario_written_out_reads_to_itself() {
    for scenario in all() {
        let text = scenario.to_toml();
        assert_eq!(parse("written.toml", &scenario.name, &text).unwrap_or_else(|error| panic!("{error}\n{text}")), scenario, "{text}");
    }
}

#[test]
fn every_key_written_out_reads_to_itself() {
    let text = r#"
        about = "every key, \"quoted\" and\nwith a line break"
        duration = "1h 1ms"
        settle = "61s"
        [[regions]]
        name = "moon"
        nodes = 3
        at = [0.5, -12.25]
        [[regions]]
        name = "eu-west-1"
        [network]
        latency = { rtt = "81.3ms", jitter = "0.1ms" }
        local_rtt = "0.3ms"
        device_rtt = "41.7ms"
        loss = 0.123456
        duplicate = "3 %"
        reorder = "7 %"
        bandwidth = "64 kbit/s"
        [workload]
        viewers = 40
        viewers_per_profile = 3
        devices_per_viewer = 4
        replicas_share = "33 %"
        titles = 7
        title_length = "41min"
        watch = "3.7min"
        heartbeat = "2500ms"
        retries = 0
        reads = 1
        hot_share = "12.5 %"
        erasures = 3
        hides = 4
        [workload.habits]
        watch = 1.5
        offline = 0
        [replicas]
        ttl = "30d"
        sync = "0.25ms"
        table = "65 KiB"
        ring = 16
        segment = "100000 B"
        scrub = "1h"
        drift_max = "30s"
        [checks]
        bytes_per_update_max = 900.5
        exchanges_max = 12
        bytes_per_repaired_max = 4000
        one_profile_in = 10
        propagation_over_max = "20ms"
        [[faults]]
        kind = "cut"
        at = "1s"
        lasts = "1ms"
        hosts = ["moon/1", "device/0..3"]
        to = "eu-west-1"
        one_way = true
        [[faults]]
        kind = "flap"
        lasts = "1min"
        hosts = "moon"
        every = "3s"
        [[faults]]
        kind = "swizzle"
        lasts = "1min"
        [[faults]]
        kind = "bridge"
        lasts = "1min"
        host = "eu-west-1"
        [[faults]]
        kind = "degrade"
        lasts = "1min"
        hosts = "all"
        loss = "1 %"
        bandwidth = "1001 B/s"
        slower = 2.5
        [[faults]]
        kind = "stuck"
        lasts = "1min"
        hosts = "moon"
        [[faults]]
        kind = "clock"
        lasts = "1min"
        hosts = "moon"
        offset = "-1d 3ms"
        drift_ppm = -20
        [[faults]]
        kind = "clock"
        lasts = "1min"
        hosts = "devices"
        frozen = true
        [[faults]]
        kind = "truncate-log"
        hosts = "moon/1"
        [[faults]]
        kind = "zero-log"
        lasts = "3s"
        hosts = "moon/1"
        count = 2
        [[faults]]
        kind = "crash"
        hosts = "nodes"
        times = 3
        down = "1s"
        [[faults]]
        kind = "rolling-restart"
        lasts = "2s"
        [[faults]]
        kind = "pause"
        lasts = "2s"
        hosts = "devices"
        [[faults]]
        kind = "lose-disk"
        hosts = "moon/0"
        [[faults]]
        kind = "restore-backup"
        at = "10min"
        hosts = "moon/0"
        age = "9min"
        [[faults]]
        kind = "fail-sync"
        hosts = "moon/0"
        [[faults]]
        kind = "full-disk"
        lasts = "2s"
        hosts = "moon/0"
        [[faults]]
        kind = "flip-bits"
        hosts = "moon/0"
        count = 9
        [[faults]]
        kind = "offline"
        lasts = "2s"
        [[faults]]
        kind = "poison"
        lasts = "2s"
        host = "device/7"
        ahead = "20d"
        every = "300ms"
        [[faults]]
        kind = "erase"
        host = "moon/2"
        profile = 13
        [[faults]]
        kind = "herd"
        hosts = ["moon", "eu-west-1"]
    "#;
    let scenario = parse("every.toml", "every", text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(scenario.faults.len(), 22, "one of each kind, and a clock that stands still");
    let written = scenario.to_toml();
    assert_eq!(parse("written.toml", "every", &written).unwrap_or_else(|error| panic!("{error}\n{written}")), scenario, "{written}");
}

#[test]
fn a_short_scenario_gets_sensible_defaults_and_is_written_short() {
    let scenario = parse("x.toml", "x", "about = \"short\"\nregions = [\"eu-central-1\", \"us-east-1\"]\nnodes = 2\n").unwrap();
    assert_eq!(scenario.duration, Duration::from_secs(600));
    assert_eq!(scenario.node_count(), 4);
    assert_eq!(scenario.network.latency, Latency::Distance);
    assert!(scenario.workload.viewers > 0 && scenario.replicas.ttl_days.is_none() && scenario.faults.is_empty());
    assert!(!scenario.to_toml().contains("[workload]"), "{}", scenario.to_toml());
}

#[test]
fn selectors_mean_hosts_in_order() {
    let text =
        "about = \"\"\nregions = [\"eu-central-1\", \"us-east-1\"]\nnodes = 2\n[workload]\nviewers = 10\nreplicas_share = \"20 %\"\n";
    let scenario = parse("x.toml", "x", text).unwrap();
    let select =
        |selector: &str| scenario.select(&selector.to_owned()).map(|hosts| hosts.iter().map(|HostId(host)| *host).collect::<Vec<_>>());
    assert_eq!(select("us-east-1"), Some(vec![2, 3]));
    assert_eq!(select("us-east-1/1"), Some(vec![3]));
    assert_eq!(select("us-east-1/2"), None);
    assert_eq!(select("nodes"), Some(vec![0, 1, 2, 3]));
    assert_eq!(select("devices"), Some(vec![4, 5, 6, 7]));
    assert_eq!(select("device/1..2"), Some(vec![5, 6]));
    assert_eq!(select("device/4"), None);
    assert_eq!(select("all").map(|all| all.len()), Some(8));
    assert_eq!(scenario.host_names()[3..5], ["us-east-1/1", "device/0"]);
    assert_eq!(scenario.region_of(HostId(3)), Some(1));
    assert_eq!(scenario.region_of(HostId(4)), None);
}

#[test]
fn faults_come_in_order_of_time() {
    let text = "about = \"\"\nregions = [\"eu-central-1\"]\n[[faults]]\nkind = \"pause\"\nat = \"5min\"\nlasts = \"1s\"\nhosts = \"all\"\n[[faults]]\nkind = \"herd\"\nat = \"1min\"\n";
    let scenario = parse("x.toml", "x", text).unwrap();
    assert!(matches!(scenario.faults[0].kind, FaultKind::Herd { .. }));
}
