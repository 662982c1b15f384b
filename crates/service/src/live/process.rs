//! Figures of this process, under the names that all programs use for them. Where the system does not tell, they are left
//! out.

use std::fs;
use std::time::Duration;

/// What the system tells of this process.
#[derive(Default)]
pub(super) struct Process {
    pub(super) resident_bytes: Option<u64>,
    pub(super) cpu: Option<Duration>,
    pub(super) open_files: Option<u64>,
    pub(super) threads: Option<u64>,
}

impl Process {
    /// Asks the system; elsewhere than on Linux it is not asked.
    pub(super) fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let field = |name: &str| {
            let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
            rest.split_whitespace().next()?.parse::<u64>().ok()
        };
        // What is behind the name, which may hold anything: the state is the third field, and times are the 14th and 15th:
        // <https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>.
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let ticks = stat.rsplit_once(')').map(|(_, rest)| {
            let fields = rest.split_whitespace().skip(11).take(2);
            fields.filter_map(|field| field.parse::<u64>().ok()).sum::<u64>()
        });
        let cpu = ticks.map(|ticks| {
            let each = Duration::from_secs(1) / u32::try_from(ticks_per_second()).unwrap_or(100).max(1);
            each.saturating_mul(u32::try_from(ticks).unwrap_or(u32::MAX))
        });
        Self {
            resident_bytes: field("VmRSS:").map(|kibibytes| kibibytes * 1024),
            cpu,
            open_files: fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as u64),
            threads: field("Threads:"),
        }
    }
}

#[cfg(unix)]
fn ticks_per_second() -> u64 {
    rustix::param::clock_ticks_per_second()
}

/// Nobody counts any.
#[cfg(not(unix))]
const fn ticks_per_second() -> u64 {
    100
}
