//! What processes cost: processor time and memory, as Linux tells it in `/proc`.

use std::fs::read_to_string;

/// Ticks of `/proc/PID/stat` in a second: fixed at 100 in the interface of Linux to programs.
const TICKS_PER_SECOND: f64 = 100.0;

/// Processor time that a process has used so far, in seconds; zero if it is gone, or the system has no `/proc`.
pub(super) fn cpu_seconds(pid: u32) -> f64 {
    let stat = read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name may contain spaces; what follows it does not.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = |index: usize| fields.split_whitespace().nth(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / TICKS_PER_SECOND
}

/// Processor time of this process, in seconds.
pub(super) fn own_cpu_seconds() -> f64 {
    cpu_seconds(std::process::id())
}

/// Resident memory now and at its peak, in MiB.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Memory {
    pub(super) now_mib: f64,
    pub(super) peak_mib: f64,
}

/// Resident memory of a process.
pub(super) fn memory(pid: u32) -> Memory {
    let status = read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.split_whitespace().next().and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
    };
    Memory { now_mib: mib("VmRSS:"), peak_mib: mib("VmHWM:") }
}

/// Forgets the peak so far. Where that is not allowed, the peak stays that of the whole process, which is above.
pub(super) fn forget_peak() {
    // Written by whoever is allowed to; the figure is an upper bound otherwise.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// Threads and load of the whole machine during the last minute: what else ran.
pub(super) fn load_average() -> String {
    read_to_string("/proc/loadavg").unwrap_or_default().split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

/// The machine in one line.
pub(super) fn machine() -> String {
    let cpu = read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown processor", |line| line.trim_start_matches([':', ' ', '\t']));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = read_to_string("/proc/meminfo").unwrap_or_default();
    let kib =
        memory.lines().find_map(|line| line.strip_prefix("MemTotal:")).and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    format!("{cores} x {model}, {} GiB", kib.unwrap_or(0) >> 20)
}
