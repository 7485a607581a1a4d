//! Measured latencies: read by path, chosen by provider and day, and what is missing is named. The numbers here are invented.

use std::path::Path;

use leftoff_simulations::scenario::latency::resolve;
use leftoff_simulations::scenario::{Latency, Scenario, parse};

const CSV: &str = "\
provider,measured,src,dst,rtt_min_ms,rtt_avg_ms,rtt_max_ms,rtt_mdev_ms
aws,2031-01-01,eu-central-1,eu-central-1,0.1,0.2,0.3,0.01
aws,2031-01-01,eu-central-1,us-east-1,80,85.5,90,0.5
aws,2031-01-01,us-east-1,eu-central-1,80,85.6,90,0.6
aws,2031-01-01,us-east-1,us-east-1,0.1,0.2,0.3,0.01
aws,<=2032-01-01,eu-central-1,eu-central-1,0.1,0.2,0.3,0.01
gcp,2031-01-01,us-east1,us-east1,0.1,0.2,0.3,0.01
";

fn scenario(latency: &str) -> Scenario {
    let text = format!("about = \"\"\nregions = [\"eu-central-1\", \"us-east-1\"]\n[network]\nlatency = {latency}\n");
    parse("x.toml", "x", &text).unwrap_or_else(|error| panic!("{error}"))
}

fn folder(csv: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rtt.csv"), csv).unwrap();
    folder
}

fn error(latency: &str, csv: &str) -> String {
    let folder = folder(csv);
    let text = resolve(&mut scenario(latency), None, folder.path()).expect_err("it is refused").to_string();
    text.replace(&folder.path().display().to_string(), "FOLDER")
}

#[test]
fn the_latest_day_that_has_all_regions_is_taken() {
    let folder = folder(CSV);
    let mut scenario = scenario("{ file = \"rtt.csv\" }");
    assert_eq!(resolve(&mut scenario, None, folder.path()).unwrap(), None);
    let Latency::Measured { pairs, .. } = &scenario.network.latency else { panic!("it stays measured") };
    assert_eq!(pairs.len(), 4);
    let pair = pairs.iter().find(|pair| pair.from == "eu-central-1" && pair.to == "us-east-1").unwrap();
    assert_eq!(pair.rtt_ms, [80.0, 85.5, 90.0, 0.5]);
}

#[test]
fn the_file_of_the_command_line_goes_before_the_scenarios() {
    let folder = folder(CSV);
    let mut scenario = scenario("{ file = \"nowhere.csv\" }");
    assert!(resolve(&mut scenario, Some(&folder.path().join("rtt.csv")), Path::new("/")).is_ok());
}

#[test]
fn what_is_missing_is_named() {
    assert_eq!(
        error("{ file = \"rtt.csv\", measured = \"<=2032-01-01\" }", CSV),
        "FOLDER/rtt.csv: 'aws' of '<=2032-01-01' has no round trip from 'eu-central-1' to 'us-east-1'; it has eu-central-1"
    );
    assert_eq!(
        error("{ file = \"rtt.csv\", measured = \"1999\" }", CSV),
        "FOLDER/rtt.csv: has no measurement of provider 'aws' of '1999'; it has 2031-01-01, <=2032-01-01: network.latency.measured must be one of them"
    );
    assert!(
        error("{ file = \"rtt.csv\", provider = \"gcp\" }", CSV)
            .contains("has no round trip from 'eu-central-1' to 'eu-central-1'; it has us-east1")
    );
    assert!(
        error("{ file = \"none.csv\" }", CSV).starts_with("FOLDER/none.csv: cannot be read as CSV, and is named by network.latency.file: ")
    );
    let columns = "provider,measured,src,dst,rtt_min_ms,rtt_avg_ms,rtt_max_ms,mdev";
    assert!(
        error("{ file = \"rtt.csv\" }", &CSV.replace("rtt_mdev_ms", "mdev"))
            .starts_with(&format!("FOLDER/rtt.csv:1: has no column 'rtt_mdev_ms'; it has '{columns}', and needed are provider, measured"))
    );
    assert!(error("{ file = \"rtt.csv\" }", "").starts_with("FOLDER/rtt.csv:1: has no column 'provider'; it has ''"));
    assert_eq!(
        error("{ file = \"rtt.csv\", provider = \"gcp\" }", &CSV.replace("gcp", "azure")),
        "FOLDER/rtt.csv: has no measurement of provider 'gcp'; it has 'aws', 'azure': network.latency.provider must be one of them"
    );
    assert_eq!(
        error("{ file = \"rtt.csv\" }", &CSV.replace("85.5", "-3")),
        "FOLDER/rtt.csv:3: rtt_avg_ms: must be 0 to 60000 (milliseconds), not '-3'"
    );
    assert_eq!(error("{ file = \"rtt.csv\" }", &format!("{CSV}aws,1\n")), "FOLDER/rtt.csv:8: has 2 columns, and the first line has 8");
}

#[test]
fn without_a_file_at_the_default_place_the_distance_is_taken_and_said() {
    let mut asked = scenario("\"measured\"");
    // The tests run in `simulations/`, from where the default path leads into the work tree and finds nothing.
    let notice = resolve(&mut asked, None, Path::new("."));
    assert_eq!(asked.network.latency, Latency::Distance);
    assert!(notice.unwrap().unwrap().contains("--latency FILE"));
}
