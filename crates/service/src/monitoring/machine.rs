//! How much room is left on this machine; what cannot be asked for is not known.

use std::path::Path;

use syncline_monitor::Room;

/// The disk on which a folder lies, as far as its owner may use it.
#[cfg(unix)]
pub(super) fn disk(folder: &Path) -> Option<Room> {
    let found = rustix::fs::statvfs(folder).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    let room = Room { free: bytes(found.f_bavail), total: bytes(found.f_blocks) };
    // Some file systems have no size.
    (room.total > 0).then_some(room)
}

#[cfg(not(unix))]
pub(super) fn disk(_: &Path) -> Option<Room> {
    None
}

/// The memory, where the system says what of it is available.
pub(super) fn memory() -> Option<Room> {
    read(&std::fs::read_to_string("/proc/meminfo").ok()?)
}

fn read(text: &str) -> Option<Room> {
    let of = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
        Some(kib.saturating_mul(1024))
    };
    Some(Room { free: of("MemAvailable:")?, total: of("MemTotal:")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_as_the_kernel_writes_it() {
        let text = "MemTotal:        8000 kB\nMemFree:          100 kB\nMemAvailable:    2000 kB\n";
        assert_eq!(read(text), Some(Room { free: 2000 << 10, total: 8000 << 10 }));
        assert_eq!(read("MemTotal: 8000 kB\n"), None);
    }
}
