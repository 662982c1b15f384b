//! Unix: a process group of its own; on Linux what it uses is read from `/proc`, and Landlock keeps it in.

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, setpriority_process, waitid};

use super::Usage;

/// The scheduling priority of programs; 0 is the ordinary one, and 19 the last.
const NICE: i32 = 10;

/// The group of a program: the program and all that it started, but for what left the group on purpose.
pub(in super::super) struct Group(Option<Pid>);

impl Group {
    pub(in super::super) fn of(child: &Child) -> Self {
        Self(i32::try_from(child.id()).ok().and_then(Pid::from_raw))
    }

    /// Whether the program has ended. It is not taken note of yet: as long as it is not, nobody else gets its number,
    /// and the group can be ended safely.
    pub(in super::super) fn has_ended(&self, child: &mut Child) -> io::Result<bool> {
        let Some(pid) = self.0 else { return Ok(child.try_wait()?.is_some()) };
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        Ok(waitid(WaitId::Pid(pid), options)?.is_some())
    }

    /// Stops all of them at once, until they may go on.
    pub(in super::super) fn hold_still(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets all of them go on.
    pub(in super::super) fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    /// Ends all of them at once. The kernel lets no process of a group start another one while it is being ended.
    pub(in super::super) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // None may be left.
            let _ = kill_process_group(group, signal);
        }
    }

    /// Lets no file that they write grow beyond `file_bytes_max`, and lets others go first: who watches over a fork bomb
    /// needs a share of the processor. One that ended at once needs neither.
    pub(in super::super) fn tame(&self, file_bytes_max: u64) {
        let _ = setpriority_process(self.0, NICE);
        #[cfg(target_os = "linux")]
        {
            use rustix::process::{Resource, Rlimit, prlimit};
            let limit = Rlimit { current: Some(file_bytes_max), maximum: Some(file_bytes_max) };
            let _ = prlimit(self.0, Resource::Fsize, limit);
        }
        #[cfg(not(target_os = "linux"))]
        let _ = file_bytes_max;
    }

    /// What the processes of the group use now; counting stops above `processes_max`.
    #[cfg(target_os = "linux")]
    pub(in super::super) fn usage(&self, processes_max: usize) -> Option<Usage> {
        let group = self.0?.as_raw_nonzero().get();
        let mut usage = Usage::default();
        let entries = std::fs::read_dir("/proc").ok()?.flatten();
        let mut pids: Vec<u32> =
            entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
        // The youngest first: of those that are too many, these are the most.
        pids.sort_unstable_by(|a, b| b.cmp(a));
        for pid in pids {
            // One that ended in between uses nothing.
            let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
            if let Some(pages) = resident_pages(&stat, group) {
                usage.processes += 1;
                if usage.processes > processes_max {
                    break;
                }
                usage.memory_bytes += pages * rustix::param::page_size() as u64;
            }
        }
        Some(usage)
    }

    #[cfg(not(target_os = "linux"))]
    pub(in super::super) fn usage(&self, _processes_max: usize) -> Option<Usage> {
        None
    }
}

/// How many tasks the whole system has: cheap to ask for, so that a fork bomb is seen while it is small; see
/// proc_loadavg(5).
#[cfg(target_os = "linux")]
pub(in super::super) fn tasks() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    text.split_ascii_whitespace().nth(3)?.split_once('/')?.1.parse().ok()
}

#[cfg(not(target_os = "linux"))]
pub(in super::super) fn tasks() -> Option<usize> {
    None
}

/// The pages that a process of the group holds in memory, from its `stat` file; see proc_pid_stat(5).
#[cfg(target_os = "linux")]
fn resident_pages(stat: &str, group: i32) -> Option<u64> {
    // The name in parentheses may hold anything; after it come the state (field 3), the parent, and the group (5).
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    let is_of_group = fields.get(2)?.parse::<i32>() == Ok(group);
    let pages = fields.get(21)?.parse::<u64>().ok()?;
    (is_of_group && fields.first() != Some(&"Z")).then_some(pages)
}

pub(in super::super) fn own_group(command: &mut Command) {
    command.process_group(0);
}

/// Lets this thread, and all that it starts, write below `writable` and to devices only. Where the kernel cannot do
/// that, nothing changes.
#[cfg(target_os = "linux")]
pub(in super::super) fn confine(writable: &[PathBuf]) -> io::Result<()> {
    use landlock::{
        ABI, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr, path_beneath_rules,
    };
    const NEWEST: ABI = ABI::V3;
    let restrict = || {
        let writes = AccessFs::from_write(NEWEST);
        let devices = PathBuf::from("/dev");
        let places = writable.iter().chain([&devices]);
        Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(writes)?
            .create()?
            .add_rules(path_beneath_rules(places, writes))?
            .restrict_self()
    };
    restrict().map(drop).map_err(|error: landlock::RulesetError| io::Error::other(error))
}

#[cfg(not(target_os = "linux"))]
pub(in super::super) fn confine(_writable: &[PathBuf]) -> io::Result<()> {
    Ok(())
}

pub(in super::super) fn shell(line: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", line]);
    command
}

pub(in super::super) fn signal_of(status: ExitStatus) -> Option<i32> {
    status.signal()
}
