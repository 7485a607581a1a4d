//! Mistakes in a scenario file: each is told with file, line, key and bound, all of them at once.

use leftoff_simulations::scenario::parse;

const HEAD: &str = "about = \"a test\"\nregions = [\"eu-central-1\", \"us-east-1\"]\n";

fn mistakes(rest: &str) -> Vec<String> {
    let text = format!("{HEAD}{rest}");
    let error = parse("x.toml", "x", &text).expect_err("the mistake is found");
    error.to_string().lines().map(str::to_owned).collect()
}

fn mistake(rest: &str) -> String {
    let found = mistakes(rest);
    assert_eq!(found.len(), 1, "{found:#?}");
    found[0].clone()
}

#[test]
fn a_host_that_is_none_is_told_with_those_that_are() {
    let found = mistake("[[faults]]\nkind = \"cut\"\nat = \"1min\"\nlasts = \"1min\"\nhosts = [\"us-east-1\",\n  \"eu-centrl-1\"]\n");
    assert_eq!(
        found,
        "x.toml:8: faults[0].hosts: there is no host 'eu-centrl-1'; hosts are eu-central-1, us-east-1, eu-central-1/0, nodes, devices, device/0 to device/9, all"
    );
}

#[test]
fn unknown_keys_are_told_with_the_one_that_is_meant() {
    assert_eq!(mistake("[workload]\nveiwers = 3\n"), "x.toml:4: workload.veiwers: there is no such key; did you mean `viewers`?");
    assert!(
        mistake("[workload.habits]\nsings = 3\n")
            .starts_with("x.toml:4: workload.habits.sings: there is no such key; the keys here are watch, pause")
    );
    assert!(mistake("setle = \"1min\"\n").ends_with("did you mean `settle`?"));
    assert!(mistake("[checks]\nfoo = 1\n").contains("bytes_per_update_max"));
}

#[test]
fn impossible_values_are_told_with_their_bounds() {
    let told = [
        ("[workload]\nviewers = 0\n", "x.toml:4: workload.viewers: must be 1 to 10000000, not 0"),
        ("[workload]\nviewers = -1\n", "x.toml:4: workload.viewers: -1 is not a whole number, not negative"),
        ("[workload]\nviewers = \"many\"\n", "x.toml:4: workload.viewers: \"many\" is not a whole number, not negative"),
        ("[workload]\nviewers = 1.5\n", "x.toml:4: workload.viewers: 1.5 is not a whole number, not negative"),
        ("[network]\nloss = \"95 %\"\n", "x.toml:4: network.loss: must be 0 to 0.9, not 95 %"),
        ("[network]\nloss = nan\n", "x.toml:4: network.loss: nan is not a share such as \"5 %\" or 0.05"),
        (
            "[network]\nbandwidth = \"fast\"\n",
            "x.toml:4: network.bandwidth: \"fast\" is not a bandwidth such as \"2 Mbit/s\" or \"500 kB/s\", or \"unlimited\"",
        ),
        ("duration = 90\n", "x.toml:3: duration: 90 is not a time with its unit such as \"250ms\" or \"1h 30m\""),
        ("duration = \"0\"\n", "x.toml:3: duration: must be 1s to 1000d, not 0"),
        ("[replicas]\nttl = \"36h\"\n", "x.toml:4: replicas.ttl: must be whole days, such as \"30d\""),
        ("[replicas]\ntable = \"1 KiB\"\n", "x.toml:4: replicas.table: must be 64 KiB to 16 GiB, not 1 KiB"),
        ("network = 3\n", "x.toml:3: network: 3 is not a table: write `[network]` above its keys"),
        (
            "[network]\nlatency = \"far\"\n",
            "x.toml:4: network.latency: \"far\" is not \"distance\", \"measured\", or a round trip of 0 to 10s such as \"80ms\"",
        ),
        (
            "[network]\nlatency = { provider = \"azure\" }\n",
            "x.toml:4: network.latency.provider: must be \"aws\" or \"gcp\", not \"azure\"",
        ),
        (
            "[workload.habits]\nwatch = 0\npause = 0\nskip = 0\nback = 0\ntap = 0\nrestart = 0\nnext = 0\nswitch = 0\nsleep = 0\nidle = 0\nrewatch = 0\noffline = 0\n",
            "x.toml:4: workload.habits.watch: at least one habit must weigh more than 0",
        ),
    ];
    for (text, expected) in told {
        assert_eq!(mistake(text), expected);
    }
}

#[test]
fn faults_that_cannot_be_are_told() {
    let fault = |rest: &str| mistake(&format!("[[faults]]\n{rest}"));
    assert!(fault("kind = \"meteor\"\n").starts_with("x.toml:4: faults[0].kind: there is no fault 'meteor'; kinds are cut, flap"));
    assert_eq!(fault("at = \"1min\"\n"), "x.toml:3: faults[0].kind: must be written");
    let told = [
        ("kind = \"cut\"\nhosts = \"all\"\n", "x.toml:3: faults[0].lasts: a fault of kind 'cut' must last for more than 0"),
        (
            "kind = \"pause\"\nat = \"9min\"\nlasts = \"2min\"\nhosts = \"all\"\n",
            "x.toml:6: faults[0].lasts: ends at 11min, after the scenario's duration of 10min",
        ),
        ("kind = \"herd\"\nat = \"11min\"\n", "x.toml:5: faults[0].at: begins at 11min, after the scenario's duration of 10min"),
        (
            "kind = \"crash\"\nhosts = \"all\"\nevery = \"3s\"\n",
            "x.toml:6: faults[0].every: a fault of kind 'crash' does not take it; it takes kind, at, lasts, hosts, times, down",
        ),
        ("kind = \"crash\"\nhosts = \"all\"\ntimes = 0\n", "x.toml:6: faults[0].times: must be 1 to 10000, not 0"),
        ("kind = \"bridge\"\nlasts = \"1s\"\nhost = \"nodes\"\n", "x.toml:6: faults[0].host: must be one host, 'nodes' means 2"),
        (
            "kind = \"erase\"\nhost = \"us-east-1/0\"\nprofile = 100\n",
            "x.toml:6: faults[0].profile: there is no profile 100; there are 100, from 0",
        ),
        (
            "kind = \"restore-backup\"\nat = \"1min\"\nage = \"2min\"\nhosts = \"us-east-1/0\"\n",
            "x.toml:6: faults[0].age: the backup would be 2min old when only 1min have passed",
        ),
        (
            "kind = \"poison\"\nlasts = \"1s\"\nhost = \"us-east-1/0\"\n",
            "x.toml:6: faults[0].host: must be devices with a replica, and 'us-east-1/0' is not; there are 10, by workload.replicas_share",
        ),
        (
            "kind = \"clock\"\nlasts = \"1s\"\nhosts = \"all\"\n",
            "x.toml:3: faults[0].offset: a clock that is wrong needs an offset or a drift_ppm other than 0, or frozen = true",
        ),
        (
            "kind = \"cut\"\nlasts = \"1s\"\nhosts = \"us-east-1/0\"\nto = \"us-east-1/0\"\n",
            "x.toml:7: faults[0].to: touches nobody: nobody in `hosts` talks to anybody in `to`",
        ),
        (
            "kind = \"degrade\"\nlasts = \"1s\"\nloss = 0.1\nhosts = \"device/0\"\nto = \"device/1\"\n",
            "x.toml:8: faults[0].to: touches nobody: nobody in `hosts` talks to anybody in `to`",
        ),
        (
            "kind = \"bridge\"\nlasts = \"1s\"\nhost = \"us-east-1\"\n",
            "x.toml:6: faults[0].host: touches nobody: there are no two other nodes to keep apart",
        ),
    ];
    for (text, expected) in told {
        assert_eq!(fault(text), expected);
    }
}

#[test]
fn regions_that_cannot_be_are_told() {
    let regions = |regions: &str| {
        parse("x.toml", "x", &format!("about = \"\"\nregions = {regions}\n")).expect_err("the mistake is found").to_string()
    };
    assert_eq!(regions("[]"), "x.toml:2: regions: there must be 1 to 32, not 0");
    assert!(regions("[\"moon\"]").starts_with("x.toml:2: regions[0].at: it is not known where 'moon' is"));
    assert!(regions("[\"us-east-1\", \"us-east-1\"]").starts_with("x.toml:2: regions[1].name: 'us-east-1' is taken"));
    assert!(regions("[{ name = \"moon\", at = [91, 0] }]").contains("regions[0].at: must be [latitude, longitude] in degrees"));
    assert!(regions("[{ name = \"a b\", at = [1, 0] }]").contains("must be 1 to 40 of letters, digits and `-`"));
    assert!(
        parse("x.toml", "x", "about = \"\"\nregions = [\"moon\"]\n[network]\nlatency = \"1280ms\"\n").is_ok(),
        "a given round trip needs no place"
    );
}

#[test]
fn all_mistakes_are_told_at_once_in_order_of_lines() {
    let found =
        mistakes("duration = \"soon\"\n[workload]\nviewers = 0\nreads = 2\n[[faults]]\nkind = \"cut\"\nlasts = \"1s\"\nhosts = \"mars\"\n");
    let lines: Vec<&str> = found.iter().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(lines, ["x.toml:3", "x.toml:5", "x.toml:6", "x.toml:10"]);
}

#[test]
fn what_is_no_toml_is_told_with_its_line_and_key_and_what_would_be_right() {
    let told = [
        (
            "about = \"again\"\n",
            "x.toml:3: about: duplicate key: it is written twice, first in line 1; write it once, with all that belongs to it",
        ),
        (
            "[workload]\nviewers = 3\n[network]\nloss = 0.1\n[workload]\n",
            "x.toml:7: workload: duplicate key: it is written twice, first in line 3; write it once, with all that belongs to it",
        ),
        (
            "[[faults]]\nkind = \"pause\"\nlasts = \"1s\"\nlasts = \"2s\"\n",
            "x.toml:6: faults[0].lasts: duplicate key: it is written twice, first in line 5; write it once, with all that belongs to it",
        ),
        (
            "workload.viewers = 3\n[workload]\n",
            "x.toml:4: workload: duplicate key: it is written twice, first in line 3; write it once, with all that belongs to it",
        ),
        ("duration = 3min\n", "x.toml:3: duration: the value is missing, or stands without quotes; such as `duration = \"10min\"`"),
        ("duration =\n", "x.toml:3: duration: the value is missing, or stands without quotes; such as `duration = \"10min\"`"),
        ("duration 3min\n", "x.toml:3: duration: key with no value, expected `=`; such as `duration = \"10min\"`"),
        ("[workload\n", "x.toml:3: workload: unclosed table, expected `]`"),
        ("[workload]\nviewers = 007\n", "x.toml:4: workload.viewers: unexpected leading zero, expected nothing; such as `viewers = 100`"),
        ("[workload]\nviewers = \"3\"\n", "x.toml:4: workload.viewers: \"3\" is not a whole number, not negative: write it without quotes"),
        ("[workload]\nviewers = 99999999999999999999\n", "x.toml:4: workload.viewers: must be 1 to 10000000, not 99999999999999999999"),
        ("[[faults]]\nkind = \"pause\"\nlasts = \"1s\"\nhosts = [3]\n", "x.toml:6: faults[0].hosts: 3 is not a selector of one host"),
        (
            "[[faults]]\nkind = \"flap\"\nlasts = \"9min\"\nevery = \"1ms\"\nhosts = \"nodes\"\n",
            "x.toml:6: faults[0].every: must be 10ms to 1000d, not 1ms",
        ),
    ];
    for (text, expected) in told {
        assert_eq!(mistake(text), expected);
    }
    let open = parse("x.toml", "x", "about = \"\"\nregions = [\"eu-central-1\"\nduration = \"3min\"\n").expect_err("a list is open");
    assert_eq!(open.problems.len(), 1, "what the parser makes of the first is not told: {open}");
    let unnamed = parse("x.toml", "x", "about = \"\"\n[[regions]]\nnodes = 2\n").expect_err("a region has no name");
    assert_eq!(unnamed.to_string(), "x.toml:2: regions[0].name: must be written");
}

#[test]
fn a_file_that_is_not_utf_8_is_told_with_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.toml");
    std::fs::write(&path, b"about = \"x\"\nregions = [\"\xff\"]\n").unwrap();
    let error = leftoff_simulations::scenario::read(&path).expect_err("it is no text").to_string();
    assert!(error.ends_with("x.toml:2: is not UTF-8 text here: write the file as UTF-8"), "{error}");
}

#[test]
fn a_fault_that_comes_again_too_often_is_told() {
    let long = "about = \"\"\nduration = \"30d\"\nregions = [\"eu-central-1\", \"us-east-1\"]\n";
    let flap = "[[faults]]\nkind = \"flap\"\nlasts = \"20d\"\nevery = \"10ms\"\nhosts = \"nodes\"\n";
    let error = parse("x.toml", "x", &format!("{long}{flap}")).expect_err("it is refused").to_string();
    assert_eq!(error, "x.toml:7: faults[0].every: strikes 172800000 times while it lasts, at most 1000000");
}

#[test]
fn more_hosts_than_a_world_can_hold_are_refused() {
    let found = mistake("[workload]\nviewers = 1000000\nreplicas_share = 1\n");
    assert!(found.contains("make 2000002 hosts with a replica, at most 20000"), "{found}");
}
