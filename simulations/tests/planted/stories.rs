//! Small worlds in which bugs show. Written as users write them.

use leftoff_simulations::scenario::{Scenario, parse};

/// All of them.
pub(crate) const NAMES: [&str; 11] =
    ["evening", "erasures", "storm", "flips", "days", "scrub", "backup", "skew", "late", "budget", "tomorrow"];

/// The story of that name.
pub(crate) fn scenario(name: &str) -> Scenario {
    let text = match name {
        "evening" => EVENING,
        "erasures" => ERASURES,
        "storm" => STORM,
        "flips" => FLIPS,
        "days" => DAYS,
        "scrub" => SCRUB,
        "backup" => BACKUP,
        "skew" => SKEW,
        "late" => LATE,
        "budget" => BUDGET,
        "tomorrow" => TOMORROW,
        other => panic!("no story is called {other}"),
    };
    parse(&format!("{name}.toml"), name, text).unwrap()
}

/// Shared profiles, several devices, jumps and switches; small tables that fold often; many reads.
const EVENING: &str = r#"
about = "Families watch the same titles on several screens, and look often where they are."
duration = "10min"
regions = ["eu-central-1", "us-east-1"]

[workload]
viewers = 48
viewers_per_profile = 4
devices_per_viewer = 2
replicas_share = "20 %"
titles = 3
watch = "8min"
reads = "30 %"
hides = 4

[workload.habits]
back = 15
switch = 15
restart = 5

[replicas]
table = "64 KiB"
ring = 64
segment = "64 KiB"
sync = "5ms"
"#;

/// Erasures at one place and watching at another, cuts between, restarts after.
const ERASURES: &str = r#"
about = "Profiles are erased while others go on watching behind a cut; nodes are restarted afterwards."
duration = "8min"
regions = ["eu-central-1", "us-east-1"]

[workload]
viewers = 30
viewers_per_profile = 3
replicas_share = "20 %"
titles = 6
watch = "6min"
reads = "30 %"
erasures = 8

[replicas]
table = "64 KiB"
segment = "64 KiB"

[[faults]]
kind = "flap"
at = "1min"
lasts = "4min"
hosts = "us-east-1/0"
every = "20s"

[[faults]]
kind = "rolling-restart"
at = "6min"
lasts = "90s"
hosts = "nodes"
down = "5s"
"#;

/// Killed again and again, while every register changes only a few times: what is lost is not covered by what comes after. Two nodes, because
/// of three the third brings back what one has lost.
const STORM: &str = r#"
about = "Nodes are killed between any two calls to the disk, with slow syncs, so that much is under way each time."
duration = "8min"
regions = ["eu-central-1", "us-east-1"]

[workload]
viewers = 150
titles = 2000
watch = "6min"
replicas_share = "0 %"

[workload.habits]
watch = 5
next = 60

[replicas]
sync = "100ms"

[[faults]]
kind = "crash"
at = "30s"
lasts = "7min"
hosts = "nodes"
times = 120
down = "1s"
"#;

/// Bits of the log flip.
const FLIPS: &str = r#"
about = "Bits of logs flip: while the logs are short, so that their very ends are hit, and later in the middle, where only peers can help."
duration = "6min"
regions = ["eu-central-1", "us-east-1"]

[workload]
viewers = 80
titles = 2000
watch = "4min"
replicas_share = "0 %"

[[faults]]
kind = "flip-bits"
at = "10s"
lasts = "2s"
hosts = "eu-central-1/0"
count = 40

[[faults]]
kind = "flip-bits"
at = "20s"
lasts = "2s"
hosts = "us-east-1/0"
count = 40

[[faults]]
kind = "flip-bits"
at = "240s"
lasts = "2s"
hosts = "eu-central-1/0"
count = 60

[[faults]]
kind = "flip-bits"
at = "350s"
lasts = "2s"
hosts = "us-east-1/0"
count = 60
"#;

/// A time to live, and a region that is away for longer.
const DAYS: &str = r#"
about = "Registers live for a day; a region is away for longer than that, and hears late of what is not yet expired."
duration = "40h"
settle = "30min"
regions = ["eu-central-1", "us-east-1"]

[workload]
viewers = 20
titles = 10
replicas_share = "0 %"
watch = "20min"
heartbeat = "1min"

[replicas]
ttl = "1d"

[[faults]]
kind = "cut"
at = "1h"
lasts = "38h"
hosts = "us-east-1"
"#;

/// Everything is compared often.
const SCRUB: &str = r#"
about = "Nodes compare everything twice a minute, while tables fold often."
duration = "5min"
regions = ["eu-central-1", "us-east-1"]

[workload]
viewers = 30
watch = "4min"

[replicas]
table = "64 KiB"
segment = "64 KiB"
scrub = "30s"
"#;

/// A folder from before an erasure.
const BACKUP: &str = r#"
about = "A profile is erased, and then a node is set back to a backup from before that."
duration = "8min"
regions = ["eu-central-1", "us-east-1", "ap-northeast-1"]

[workload]
viewers = 40
watch = "6min"
erasures = 6

[[faults]]
kind = "restore-backup"
at = "7min"
lasts = "20s"
hosts = "us-east-1/0"
age = "6min"
"#;

/// A clock that is behind refuses what others stamp.
const SKEW: &str = r#"
about = "A node's clock runs two minutes behind the others for a while: it refuses what it takes for the future, and must get it later."
duration = "8min"
regions = ["eu-central-1", "us-east-1", "ap-northeast-1"]

[workload]
viewers = 40
watch = "6min"

[[faults]]
kind = "clock"
at = "2min"
lasts = "3min"
hosts = "us-east-1/0"
offset = "-2min"
"#;

/// A clock that is behind by less than the bound.
const LATE: &str = r#"
about = "A node's clock runs five seconds behind the others for a while, which is well within the bound: nothing is refused."
duration = "8min"
regions = ["eu-central-1", "us-east-1", "ap-northeast-1"]

[workload]
viewers = 40
watch = "6min"

[[faults]]
kind = "clock"
at = "2min"
lasts = "3min"
hosts = "us-east-1/0"
offset = "-5s"
"#;

/// Many nodes, and a budget.
const BUDGET: &str = r#"
about = "Six nodes in three regions, nothing fails, and each change may cost so many bytes on all links."
duration = "8min"
regions = ["eu-central-1", "us-east-1", "ap-northeast-1"]
nodes = 2

[workload]
viewers = 60
watch = "6min"
replicas_share = "0 %"

[checks]
bytes_per_update_max = 1500
"#;

/// A time to live, and a clock that is days ahead.
const TOMORROW: &str = r#"
about = "Registers live for a day; a node's clock is three days ahead for an hour, and nobody's is with it."
duration = "3h"
settle = "30min"
regions = ["eu-central-1", "us-east-1", "ap-northeast-1"]

[workload]
viewers = 20
titles = 10
replicas_share = "0 %"
watch = "20min"
heartbeat = "1min"

[replicas]
ttl = "1d"

[[faults]]
kind = "clock"
at = "1h"
lasts = "1h"
hosts = "us-east-1/0"
offset = "3d"
"#;
