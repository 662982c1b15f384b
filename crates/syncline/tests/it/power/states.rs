//! Which of the states that a power loss may leave are tried: a number names each of them.

use super::disk::{Change, Disks, Image};
use crate::random::Random;

/// One state that a power loss may leave.
pub(super) struct State {
    pub(super) image: Image,
    /// How it came about, for people.
    pub(super) told: String,
}

/// Blocks that a disk writes whole.
const BLOCK_BYTES: usize = 512;

impl State {
    /// The state of this number; `None` when no file system could be in it.
    pub(super) fn of(disks: &Disks, number: u64) -> Option<Self> {
        let mut random = Random(number ^ 0x70_7765_7200);
        let mut point = *random.pick(&disks.points)?;
        if random.chance(40) {
            // Right before something is made durable most is at stake.
            point = disks
                .points
                .iter()
                .copied()
                .filter(|&later| later >= point)
                .find(|&later| disks.is_last(later))?;
        }
        let pending = disks.pending(point);
        let chosen = |random: &mut Random| -> Vec<usize> {
            let count = 1 + random.below(3);
            (0..count).filter_map(|_| random.pick(&pending).copied()).collect()
        };
        let names = |at: usize| matches!(disks.operations[at].change, Change::Names(_));
        let whole = |at: usize| Some(disks.operations[at].change.clone());
        let tell = |list: &[usize]| {
            list.iter().map(|&at| disks.operations[at].told.as_str()).collect::<Vec<_>>().join(", ")
        };
        let (image, how) = match random.below(12) {
            0 => (disks.after(point, |_| None), "nothing survives".to_owned()),
            1 => (disks.after(point, whole), "all survives".to_owned()),
            2 => {
                (disks.after(point, |at| names(at).then(|| whole(at)).flatten()), "names survive".to_owned())
            }
            3 => (
                disks.after(point, |at| (!names(at)).then(|| whole(at)).flatten()),
                "data survives".to_owned(),
            ),
            4 | 5 => {
                let list = chosen(&mut random);
                let image = disks.after(point, |at| list.contains(&at).then(|| whole(at)).flatten());
                (image, format!("only these survive: {}", tell(&list)))
            }
            6 | 7 => {
                let list = chosen(&mut random);
                let image = disks.after(point, |at| (!list.contains(&at)).then(|| whole(at)).flatten());
                (image, format!("all but these survive: {}", tell(&list)))
            }
            8 => {
                let coin = random.next();
                let image =
                    disks.after(point, |at| Random(coin ^ at as u64).chance(50).then(|| whole(at)).flatten());
                (image, "each survives or not".to_owned())
            }
            kind => {
                let is_write = |at: &usize| matches!(disks.operations[*at].change, Change::Write { .. });
                let writes: Vec<usize> = pending.iter().copied().filter(is_write).collect();
                let torn = random.pick(&writes).copied();
                let cut = random.next() as usize;
                let image = disks.after(point, |at| {
                    if Some(at) == torn {
                        return torn_write(&disks.operations[at].change, cut);
                    }
                    // Beside it all survives, or only names, or nothing.
                    (kind == 9 || kind == 10 && names(at)).then(|| whole(at)).flatten()
                });
                (
                    image,
                    format!(
                        "torn, {}: {}",
                        ["the rest survives", "names survive", "alone"][kind - 9],
                        tell(torn.as_slice())
                    ),
                )
            }
        };
        let pending = pending.len();
        let told = format!("power lost after call {point}, {pending} changes not durable, {how}");
        Some(Self { image: image?, told })
    }
}

/// A write of which only some blocks arrived: the first ones, or all but one that reads as zeros.
fn torn_write(change: &Change, cut: usize) -> Option<Change> {
    let Change::Write { file, offset, bytes } = change else {
        return None;
    };
    let mut bytes = bytes.clone();
    let blocks = bytes.len().div_ceil(BLOCK_BYTES);
    let block = cut / 4 % blocks.max(1);
    match cut % 4 {
        // A content shorter than a block may be cut as well: the length of a file is a number of its own.
        0 => bytes.truncate(cut / 4 % bytes.len().max(1)),
        1 => bytes.truncate(block * BLOCK_BYTES),
        2 => bytes.iter_mut().skip(block * BLOCK_BYTES).take(BLOCK_BYTES).for_each(|byte| *byte = 0),
        _ => bytes.fill(0),
    }
    Some(Change::Write { file: *file, offset: *offset, bytes })
}
