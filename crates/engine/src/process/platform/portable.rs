//! Where there is no better: only the program itself can be ended, and nothing of it is counted.

use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};

use super::Usage;

/// A program that was started.
pub(in super::super) struct Group(u32);

impl Group {
    pub(in super::super) fn of(child: &Child) -> Self {
        Self(child.id())
    }

    pub(in super::super) fn has_ended(&self, child: &mut Child) -> io::Result<bool> {
        Ok(child.try_wait()?.is_some())
    }

    pub(in super::super) fn hold_still(&self) {}

    pub(in super::super) fn go_on(&self) {}

    pub(in super::super) fn kill(&self) {
        // `taskkill` knows the children of a process, which the standard library does not.
        if cfg!(windows) {
            let _ = Command::new("taskkill").args(["/F", "/T", "/PID", &self.0.to_string()]).output();
        }
    }

    pub(in super::super) fn usage(&self, _processes_max: usize) -> Option<Usage> {
        None
    }

    pub(in super::super) fn tame(&self, _file_bytes_max: u64) {}
}

pub(in super::super) fn own_group(_command: &mut Command) {}

pub(in super::super) fn confine(_writable: &[PathBuf]) -> io::Result<()> {
    Ok(())
}

pub(in super::super) fn shell(line: &str) -> Command {
    let mut command = Command::new("cmd");
    command.args(["/C", line]);
    command
}

pub(in super::super) fn signal_of(_status: ExitStatus) -> Option<i32> {
    None
}

pub(in super::super) fn tasks() -> Option<usize> {
    None
}
