//! Where the data lives while it is measured.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::results::Machine;
use super::tools::Tools;
use crate::shell::{command, is_installed, is_root, quietly, say};

/// Bytes of the image that holds our own file system; it is sparse.
const IMAGE_BYTES: u64 = 24 << 30;
/// Inodes in it: the largest job has two trees of a million files.
const INODES: u64 = 4_000_000;

/// A folder for workloads and copies; what was made for it goes when it is dropped.
pub struct Place {
    folder: PathBuf,
    file_system: String,
    mounted: bool,
    // Dropped last: the mount inside it must be gone by then.
    _temporary: Option<TempDir>,
}

impl Place {
    /// Uses `data` as it is, or makes a place.
    ///
    /// A file system without a journal creates files slowly for minutes after many were removed, so whichever
    /// tool comes second loses there; that is why root gets a journaled one.
    ///
    /// # Errors
    /// When nothing can be made.
    pub fn prepare(data: Option<&Path>) -> Result<Self> {
        if let Some(data) = data {
            std::fs::create_dir_all(data)?;
            let folder = data.canonicalize()?;
            let file_system = file_system_of(&folder);
            return Ok(Self { folder, file_system, mounted: false, _temporary: None });
        }
        let temporary = TempDir::with_prefix("syncline-bench-").context("making a temporary folder")?;
        let folder = temporary.path().join("data");
        std::fs::create_dir(&folder)?;
        let mounted = is_root()
            && is_installed("mkfs.ext4")
            && match mount(temporary.path(), &folder) {
                Ok(()) => true,
                Err(error) => {
                    say(format_args!("no file system of our own: {error:#}"));
                    false
                }
            };
        let file_system = if mounted {
            "ext4 with a journal in a loop-mounted file, direct I/O".to_owned()
        } else {
            say("measuring in the temporary folder as it is; run as root to get a journaled file system");
            file_system_of(&folder)
        };
        Ok(Self { folder, file_system, mounted, _temporary: Some(temporary) })
    }

    /// A path inside.
    pub fn join(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// What the figures were taken on.
    pub fn machine(&self, tools: &Tools) -> Machine {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let info = read("/proc/cpuinfo");
        let value = |line: &str| line.split(':').nth(1).unwrap_or_default().trim().to_owned();
        let cpu = info.lines().find(|line| line.starts_with("model name")).map(value).unwrap_or_default();
        let memory_kib: u64 = read("/proc/meminfo")
            .split_whitespace()
            .nth(1)
            .and_then(|number| number.parse().ok())
            .unwrap_or_default();
        Machine {
            cpu,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gib: memory_kib >> 20,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            file_system: self.file_system.clone(),
            tools: tools.versions(),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.mounted
            && let Err(error) = quietly(command("umount", ["--lazy"]).arg(&self.folder))
        {
            say(format_args!("{} could not be unmounted: {error:#}", self.folder.display()));
        }
    }
}

fn mount(temporary: &Path, folder: &Path) -> Result<()> {
    let image = temporary.join("image.ext4");
    std::fs::File::create(&image)?.set_len(IMAGE_BYTES)?;
    let options =
        ["-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", "-m", "0", "-N", &INODES.to_string()];
    quietly(command("mkfs.ext4", options).arg(&image))?;
    let device = quietly(command("losetup", ["--find", "--show", "--direct-io=on"]).arg(&image))?;
    let device = device.trim();
    let mounted = quietly(command("mount", ["-t", "ext4", "-o", "noatime", device]).arg(folder));
    // Detached now, the device goes as soon as it is unmounted.
    quietly(&mut command("losetup", ["--detach", device]))?;
    mounted.map(|_| ())
}

fn file_system_of(folder: &Path) -> String {
    quietly(command("stat", ["--file-system", "--format=%T"]).arg(folder))
        .map_or_else(|_| "unknown".to_owned(), |name| name.trim().to_owned())
}
