//! A scenario from the text of its file.
//!
//! What comes out has been checked: every value is within its bounds, every selector means somebody, every fault ends within the scenario. All
//! mistakes are told at once, each with line, key and bound.

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::quantity::{self, MILLISECOND, MINUTE};
use super::reader::{Problem, Problems, ScenarioError, Section, place, shown};
use super::{Checks, Fault, Habits, Latency, Network, Quality, Region, Replicas, Scenario, Workload, faults, places, syntax};

/// Largest scenario file, in bytes.
pub(super) const FILE_BYTES_MAX: usize = 1 << 20;
/// Most regions.
pub(super) const REGIONS_COUNT_MAX: usize = 32;
/// Most faults in one timeline.
pub(super) const FAULTS_COUNT_MAX: usize = 1_000;
/// Most hosts with a replica, devices included.
pub(super) const HOSTS_COUNT_MAX: u64 = 20_000;

/// Reads and checks a scenario file. Its name is that of the file without `.toml`.
///
/// # Errors
/// Everything that is wrong with it; a file that cannot be read is one problem, in line 1.
pub fn read(path: &Path) -> Result<Scenario, ScenarioError> {
    let file = path.display().to_string();
    let name = path.file_stem().map_or_else(|| "scenario".into(), |stem| stem.to_string_lossy().into_owned());
    let refuse =
        |line: usize, what: String| ScenarioError { file: file.clone(), problems: vec![Problem { line, key: String::new(), what }] };
    let bytes = std::fs::read(path).map_err(|error| refuse(1, format!("cannot be read: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let whole = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = whole.split(|byte| *byte == b'\n').count();
        refuse(line, "is not UTF-8 text here: write the file as UTF-8".to_owned())
    })?;
    parse(&file, &name, &text)
}

/// Checks the text of a scenario; `file` is for messages, `name` becomes the scenario's.
///
/// # Errors
/// Everything that is wrong with it, in order of lines.
pub fn parse(file: &str, name: &str, text: &str) -> Result<Scenario, ScenarioError> {
    let mut problems = Problems::new(text);
    if text.len() > FILE_BYTES_MAX {
        problems.push(0, "", format!("is {} bytes long, at most {FILE_BYTES_MAX}", text.len()));
        return Err(problems.into_error(file));
    }
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut told = None;
    for error in &errors {
        let at = error.span().map_or(0, |span| span.start);
        let line = text.bytes().take(at).filter(|byte| *byte == b'\n').count();
        // What follows in the same line is what the parser makes of the first.
        if told.replace(line) != Some(line) {
            let (key, what) = syntax::told(text, at, error.message());
            problems.push(at, key, what);
        }
    }
    if !errors.is_empty() {
        return Err(problems.into_error(file));
    }
    let scenario = scenario(name, document.get_ref(), &mut problems);
    if problems.is_empty() { Ok(scenario) } else { Err(problems.into_error(file)) }
}

fn scenario<'a>(name: &str, root: &'a DeTable<'a>, problems: &mut Problems<'a>) -> Scenario {
    let mut top = Section::new("", String::new(), Some((root, 0)), problems);
    top.known(&["about", "duration", "settle", "regions", "nodes", "network", "workload", "replicas", "checks", "faults"]);
    let about = top.text("about");
    let duration = top.time("duration");
    let settle = top.time("settle");
    let nodes = top.count("nodes");
    let regions_value = top.raw("regions");
    if regions_value.is_none() {
        top.wrong("regions", "must be written: a list of names, such as [\"eu-central-1\", \"us-east-1\"]");
    }
    let tables = ["network", "workload", "replicas", "checks"].map(|name| table(&mut top, name));
    let fault_tables = faults::tables(&mut top);
    top.finish();

    let [network_table, workload_table, replicas_table, checks_table] = tables;
    let network = network(network_table, problems);
    let regions = regions_value.map(|(value, span)| regions(value, span.start, nodes, &network.latency, problems)).unwrap_or_default();
    let workload = workload(workload_table, problems);
    let replicas = replicas(replicas_table, problems);
    let checks = checks(checks_table, problems);
    let mut scenario =
        Scenario { name: name.to_owned(), about, duration, settle, regions, network, workload, faults: Vec::new(), replicas, checks };
    let hosts = u64::from(scenario.node_count()) + u64::from(scenario.device_count());
    if hosts > HOSTS_COUNT_MAX {
        let at = workload_table.map_or(0, |(_, at)| at);
        let what = format!(
            "viewers x devices_per_viewer x replicas_share and the nodes make {hosts} hosts with a replica, at most {HOSTS_COUNT_MAX}"
        );
        problems.push(at, "workload.replicas_share", what);
    }
    let faults: Vec<Fault> = faults::read(&scenario, &fault_tables, problems);
    scenario.faults = faults;
    scenario.faults.sort_by_key(|fault| fault.at);
    scenario
}

/// A table of the file with where it begins.
type Table<'a> = Option<(&'a DeTable<'a>, usize)>;

fn table<'a>(top: &mut Section<'a, '_>, name: &str) -> Table<'a> {
    match top.raw(name)? {
        (DeValue::Table(table), span) => Some((table, span.start)),
        (other, _) => {
            top.wrong(name, format!("{} is not a table: write `[{name}]` above its keys", shown(other)));
            None
        }
    }
}

fn regions<'a>(value: &'a DeValue<'a>, at: usize, nodes: u32, latency: &Latency, problems: &mut Problems<'a>) -> Vec<Region> {
    let DeValue::Array(list) = value else {
        problems.push(at, "regions", format!("{} is not a list of names, nor `[[regions]]` tables", shown(value)));
        return Vec::new();
    };
    if list.is_empty() || list.len() > REGIONS_COUNT_MAX {
        problems.push(at, "regions", format!("there must be 1 to {REGIONS_COUNT_MAX}, not {}", list.len()));
        return Vec::new();
    }
    let mut regions: Vec<Region> = Vec::new();
    for (index, item) in list.iter().enumerate() {
        let path = format!("regions[{index}]");
        let (region, begins) = match place(item) {
            (DeValue::String(name), begins) => (Region { name: name.to_string(), nodes, at: None }, begins),
            (DeValue::Table(table), begins) => {
                let mut section = Section::new("regions", path.clone(), Some((table, begins)), problems);
                // Without a name nothing else can be told of it.
                let is_named = section.has("name");
                let own = if section.has("nodes") { section.count("nodes") } else { nodes };
                let region = Region { name: section.text("name"), nodes: own, at: coordinates(&mut section) };
                section.finish();
                if !is_named {
                    continue;
                }
                (region, begins)
            }
            (other, begins) => {
                problems.push(begins, path, format!("{} is not a region's name, nor a table", shown(other)));
                continue;
            }
        };
        let name = region.name.as_str();
        if name.is_empty() || name.len() > 40 || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
            problems.push(begins, format!("{path}.name"), format!("must be 1 to 40 of letters, digits and `-`, not {name:?}"));
        } else if ["all", "nodes", "devices", "device"].contains(&name) || regions.iter().any(|other| other.name == name) {
            problems.push(
                begins,
                format!("{path}.name"),
                format!("'{name}' is taken; regions have names of their own, and not all, nodes, devices, device"),
            );
        }
        let known = region.at.or_else(|| places::place(name));
        if known.is_none() && *latency == Latency::Distance {
            let what = format!(
                "it is not known where '{name}' is: write at = [latitude, longitude], use the name of a cloud region, or give network.latency"
            );
            problems.push(begins, format!("{path}.at"), what);
        }
        regions.push(Region { at: known, ..region });
    }
    regions
}

fn coordinates(section: &mut Section<'_, '_>) -> Option<(f64, f64)> {
    let (value, _) = section.raw("at")?;
    let number = |value: &DeValue<'_>| match value {
        DeValue::Float(float) => float.as_str().parse::<f64>().ok(),
        DeValue::Integer(integer) => integer.as_str().parse::<f64>().ok(),
        _ => None,
    };
    let pair = match value {
        DeValue::Array(list) if list.len() == 2 => {
            list.first().and_then(|x| number(x.get_ref())).zip(list.get(1).and_then(|y| number(y.get_ref())))
        }
        _ => None,
    };
    let pair = pair.filter(|(latitude, longitude)| (-90.0..=90.0).contains(latitude) && (-180.0..=180.0).contains(longitude));
    if pair.is_none() {
        section.wrong("at", "must be [latitude, longitude] in degrees, -90 to 90 and -180 to 180, such as [50.1, 8.7]");
    }
    pair
}

fn network<'a>(table: Table<'a>, problems: &mut Problems<'a>) -> Network {
    let mut section = Section::new("network", "network".into(), table, problems);
    let latency = latency(&mut section);
    let network = Network {
        latency,
        local_rtt_ms: section.time_in("local_rtt", MILLISECOND),
        device_rtt_ms: section.time_in("device_rtt", MILLISECOND),
        quality: quality(&mut section),
    };
    section.finish();
    network
}

/// The keys of a link's quality, which the network and a fault have alike.
pub(super) fn quality(section: &mut Section<'_, '_>) -> Quality {
    Quality {
        loss: section.share("loss"),
        duplicate: section.share("duplicate"),
        reorder: section.share("reorder"),
        bytes_per_s: section.bandwidth("bandwidth"),
    }
}

fn latency(section: &mut Section<'_, '_>) -> Latency {
    let measured =
        |provider: String, measured: Option<String>, file: String| Latency::Measured { file, provider, measured, pairs: Vec::new() };
    match section.raw("latency") {
        None => Latency::Distance,
        Some((DeValue::String(word), _)) if word == "distance" => Latency::Distance,
        Some((DeValue::String(word), _)) if word == "measured" => measured("aws".into(), None, String::new()),
        Some((DeValue::String(text), _)) => {
            let rtt_ms = quantity::time_in(text, MILLISECOND).filter(|rtt| (0.0..=10_000.0).contains(rtt));
            if rtt_ms.is_none() {
                section
                    .wrong("latency", format!("{text:?} is not \"distance\", \"measured\", or a round trip of 0 to 10s such as \"80ms\""));
            }
            Latency::Given { rtt_ms: rtt_ms.unwrap_or_default(), jitter_ms: 0.0 }
        }
        Some((DeValue::Table(table), span)) => {
            let mut inner = Section::new("network.latency", "network.latency".into(), Some((table, span.start)), section.problems());
            let found = if inner.has("rtt") {
                inner.known(&["rtt", "jitter"]);
                Latency::Given { rtt_ms: inner.time_in("rtt", MILLISECOND), jitter_ms: inner.time_in("jitter", MILLISECOND) }
            } else {
                inner.known(&["rtt", "provider", "measured", "file"]);
                let provider = inner.text("provider");
                if !["aws", "gcp"].contains(&provider.as_str()) {
                    inner.wrong("provider", format!("must be \"aws\" or \"gcp\", not {provider:?}"));
                }
                let file = if inner.has("file") { inner.text("file") } else { String::new() };
                measured(provider, inner.text_or_none("measured"), file)
            };
            inner.finish();
            found
        }
        Some((other, _)) => {
            section
                .wrong("latency", format!("{} is not \"distance\", \"measured\", a round trip such as \"80ms\", or a table", shown(other)));
            Latency::Distance
        }
    }
}

fn workload<'a>(table: Table<'a>, problems: &mut Problems<'a>) -> Workload {
    let mut section = Section::new("workload", "workload".into(), table, problems);
    let mut names = super::keys::names("workload");
    names.push("habits");
    section.known(&names);
    let habits_table = self::table(&mut section, "habits");
    let mut workload = Workload {
        viewers: section.count("viewers"),
        viewers_per_profile: section.count("viewers_per_profile"),
        devices_per_viewer: section.count("devices_per_viewer"),
        replicas_share: section.share("replicas_share"),
        titles: section.count("titles"),
        title_minutes: section.time_in("title_length", MINUTE),
        watch_minutes: section.time_in("watch", MINUTE),
        heartbeat: section.time("heartbeat"),
        retries: section.share("retries"),
        reads: section.share("reads"),
        habits: Habits::default(),
        hot_share: section.share("hot_share"),
        erasures: section.count("erasures"),
        hides: section.count("hides"),
    };
    section.finish();
    let mut section = Section::new("workload.habits", "workload.habits".into(), habits_table, problems);
    workload.habits = habits(&mut section);
    section.finish();
    workload
}

fn habits(section: &mut Section<'_, '_>) -> Habits {
    let habits = Habits {
        watch: section.number("watch"),
        pause: section.number("pause"),
        skip: section.number("skip"),
        back: section.number("back"),
        tap: section.number("tap"),
        restart: section.number("restart"),
        next: section.number("next"),
        switch: section.number("switch"),
        sleep: section.number("sleep"),
        idle: section.number("idle"),
        rewatch: section.number("rewatch"),
        offline: section.number("offline"),
    };
    if habits.weights().iter().all(|(_, weight)| *weight <= 0.0) {
        section.wrong("watch", "at least one habit must weigh more than 0");
    }
    habits
}

fn replicas<'a>(table: Table<'a>, problems: &mut Problems<'a>) -> Replicas {
    let mut section = Section::new("replicas", "replicas".into(), table, problems);
    let ttl = section.time_or_none("ttl");
    if ttl.is_some_and(|ttl| ttl.as_nanos() % 86_400_000_000_000 != 0) {
        section.wrong("ttl", "must be whole days, such as \"30d\"");
    }
    let replicas = Replicas {
        ttl_days: ttl.map(|ttl| (ttl.as_secs() / 86_400) as u32),
        sync_ms: section.time_in("sync", MILLISECOND),
        table_bytes_max: section.size("table") as usize,
        ring_count_max: section.count("ring"),
        segment_bytes: section.size("segment"),
        scrub_interval: section.time_or_none("scrub"),
        drift_ms_max: section.time("drift_max").as_millis() as u64,
    };
    section.finish();
    replicas
}

fn checks<'a>(table: Table<'a>, problems: &mut Problems<'a>) -> Checks {
    let mut section = Section::new("checks", "checks".into(), table, problems);
    let checks = Checks {
        bytes_per_update_max: section.number_or_none("bytes_per_update_max"),
        exchanges_max: section.count_or_none("exchanges_max"),
        bytes_per_repaired_max: section.number_or_none("bytes_per_repaired_max"),
        one_profile_in: section.count("one_profile_in"),
        propagation_over_ms_max: section.time_in_or_none("propagation_over_max", MILLISECOND),
    };
    section.finish();
    checks
}
