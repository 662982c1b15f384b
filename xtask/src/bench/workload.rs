//! The trees that are measured, and the changes to them: seeded, so that every machine measures the same.

use std::f64::consts::TAU;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use fastrand::Rng;

/// The folder of every tree that the rename job moves.
pub const BULK: &str = "bulk";

/// A tree.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// Its name.
    pub name: &'static str,
    files: usize,
    folders: usize,
    depth: usize,
    /// Of the files, how many lie below [`BULK`].
    bulk: usize,
    sizes: Sizes,
}

#[derive(Clone, Copy, Debug)]
enum Sizes {
    /// As in source trees: half of them below the median, a long tail, none above the limit.
    LogNormal { median: f64, sigma: f64, bytes_max: usize },
    /// Up to so many bytes.
    Even(usize),
}

const SOURCE: Sizes = Sizes::LogNormal { median: 2048.0, sigma: 1.5, bytes_max: 256 << 10 };

/// 100,000 files as in source trees.
pub const SMALL: Workload =
    Workload { name: "small", files: 100_000, folders: 1000, depth: 5, bulk: 10_000, sizes: SOURCE };
/// A fifth of it, for watching.
pub const MEDIUM: Workload =
    Workload { name: "medium", files: 20_000, folders: 400, depth: 5, bulk: 2000, sizes: SOURCE };
/// A few hundred, for each of many targets.
pub const SOME: Workload =
    Workload { name: "some", files: 500, folders: 20, depth: 4, bulk: 50, sizes: Sizes::Even(200) };
/// A million files of next to nothing.
pub const TINY: Workload = Workload {
    name: "tiny",
    files: 1_000_000,
    folders: 10_000,
    depth: 6,
    bulk: 10_000,
    sizes: Sizes::Even(200),
};

/// Text to cut files from; incompressible bytes to cut the others from.
struct Pools {
    text: Vec<u8>,
    noise: Vec<u8>,
}

impl Pools {
    const BYTES: usize = 4 << 20;

    fn new(random: &mut Rng) -> Self {
        const SYLLABLES: [&str; 16] = [
            "ba", "cor", "del", "fin", "gra", "hol", "in", "jur", "lem", "mo", "nar", "os", "pri", "qua",
            "ten", "ul",
        ];
        let mut text = Vec::with_capacity(Self::BYTES + 64);
        while text.len() < Self::BYTES {
            for _ in 0..random.usize(1..4) {
                text.extend_from_slice(SYLLABLES[random.usize(0..SYLLABLES.len())].as_bytes());
            }
            text.push(if random.u8(0..12) == 0 { b'\n' } else { b' ' });
        }
        let mut noise = vec![0; Self::BYTES];
        random.fill(&mut noise);
        Self { text, noise }
    }

    /// A content of `bytes` bytes, text four times out of five, and no two alike unless they are very short.
    fn body(&self, random: &mut Rng, bytes: usize) -> Vec<u8> {
        let pool = if random.u8(0..5) == 0 { &self.noise } else { &self.text };
        let mut body = format!("{:016x}\n", random.u64(..)).into_bytes();
        let at = random.usize(0..pool.len() - bytes.min(pool.len() - 1));
        body.extend(pool[at..].iter().take(bytes));
        body.truncate(bytes);
        body
    }
}

impl Sizes {
    fn draw(self, random: &mut Rng) -> usize {
        match self {
            Self::Even(bytes_max) => random.usize(0..=bytes_max),
            Self::LogNormal { median, sigma, bytes_max } => {
                // The Box–Muller transform: two even numbers make one from the normal distribution.
                let (u, v) = (1.0 - random.f64(), random.f64());
                let normal = (-2.0 * u.ln()).sqrt() * (TAU * v).cos();
                ((median * (sigma * normal).exp()) as usize).clamp(1, bytes_max)
            }
        }
    }
}

impl Workload {
    /// The same tree with fewer files.
    pub fn shrunk(self, by: u32) -> Self {
        let by = by as usize;
        let less = |count: usize| (count / by).max(4);
        Self { files: less(self.files), folders: less(self.folders), bulk: less(self.bulk), ..self }
    }

    /// Makes the tree at `root`, which must not exist.
    ///
    /// # Errors
    /// When something cannot be written.
    pub fn make(&self, root: &Path) -> Result<()> {
        let mut random = Rng::with_seed(self.files as u64 ^ 0x51AC_11DE);
        let pools = Pools::new(&mut random);
        fs::create_dir(root).with_context(|| format!("making {}", root.display()))?;
        let bulk = folders(&mut random, root, BULK, self.folders / 10, 3)?;
        let rest = folders(&mut random, root, "", self.folders - self.folders / 10, self.depth)?;
        // Old enough not to be taken for something that is being written at this moment.
        let past = SystemTime::now() - Duration::from_secs(40 * 86_400);
        for index in 0..self.files {
            let folders = if index < self.bulk { &bulk } else { &rest };
            let folder = &folders[random.usize(0..folders.len())];
            let bytes = self.sizes.draw(&mut random);
            let path = folder.join(format!("item-{index:07}.txt"));
            fs::write(&path, pools.body(&mut random, bytes))?;
            let modified = past + Duration::from_millis(random.u64(0..20 * 86_400_000));
            fs::File::open(&path)?.set_modified(modified)?;
        }
        Ok(())
    }
}

/// A random tree of folders below `root/top`, at most `depth` levels of them.
fn folders(random: &mut Rng, root: &Path, top: &str, count: usize, depth: usize) -> io::Result<Vec<PathBuf>> {
    let top = root.join(top);
    fs::create_dir_all(&top)?;
    let mut made = vec![(top, 0)];
    while made.len() < count {
        let (parent, level) = &made[random.usize(0..made.len())];
        if *level < depth {
            let next = (parent.join(format!("folder-{:05}", made.len())), level + 1);
            fs::create_dir(&next.0)?;
            made.push(next);
        }
    }
    Ok(made.into_iter().map(|(path, _)| path).collect())
}

/// Which half of the files one side changes, so that two sides never change the same one.
#[derive(Clone, Copy)]
pub struct Half {
    /// 0 or 1.
    pub number: u64,
    /// Another seed makes other halves, and other changes.
    pub seed: u64,
}

/// Changes `count` files of the tree: seven of ten edited, and as many made as removed.
///
/// Edits are of three kinds, as programs make them: a new file renamed over the old one, bytes overwritten in
/// place, bytes appended.
///
/// # Errors
/// When something cannot be written.
pub fn change(root: &Path, count: usize, half: Half) -> Result<()> {
    let mut random = Rng::with_seed(half.seed * 2 + half.number);
    let mut files = super::compare::files(root)?;
    files.retain(|path| belongs(path, half));
    random.shuffle(&mut files);
    let (edits, others) = (count * 7 / 10, count * 3 / 20);
    for path in files.iter().take(edits) {
        edit(&mut random, &root.join(path))?;
    }
    for path in files.iter().skip(edits).take(others) {
        let path = root.join(path);
        fs::remove_file(&path)?;
        let folder = path.parent().unwrap_or(root);
        let name = format!("made-{}-{}-{:08x}.txt", half.seed, half.number, random.u32(..));
        fs::write(folder.join(name), line(&mut random, 2000))?;
    }
    Ok(())
}

fn belongs(path: &str, half: Half) -> bool {
    // FNV-1a with a finish: http://www.isthe.com/chongo/tech/comp/fnv/
    let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ half.seed;
    for byte in path.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    (hash >> 32) & 1 == half.number
}

fn edit(random: &mut Rng, path: &Path) -> io::Result<()> {
    let mut content = fs::read(path)?;
    match random.u8(0..10) {
        0..6 => {
            let beside = path.with_extension("edited");
            let bytes = content.len().max(80) * random.usize(80..121) / 100;
            fs::write(&beside, line(random, bytes))?;
            fs::rename(&beside, path)
        }
        6..9 if !content.is_empty() => {
            let at = random.usize(0..content.len());
            let patch = line(random, 64.min(content.len() - at));
            content[at..at + patch.len()].copy_from_slice(&patch);
            fs::write(path, content)
        }
        _ => {
            content.extend(line(random, 200));
            fs::write(path, content)
        }
    }
}

/// Random text of `bytes` bytes.
fn line(random: &mut Rng, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|_| random.alphanumeric() as u8).collect()
}

#[cfg(test)]
mod tests {
    use super::super::compare::differences;
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_tree() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        let workload = SMALL.shrunk(1000);
        workload.make(&a).unwrap();
        workload.make(&b).unwrap();
        assert_eq!(differences(&a, &b).unwrap(), [""; 0]);
        assert_eq!(super::super::compare::files(&a).unwrap().len(), 100);
        assert!(a.join(BULK).is_dir());
    }

    #[test]
    fn two_halves_never_change_the_same_file() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b, start) = (folder.path().join("a"), folder.path().join("b"), folder.path().join("start"));
        let workload = SMALL.shrunk(500);
        for root in [&a, &b, &start] {
            workload.make(root).unwrap();
        }
        change(&a, 40, Half { number: 0, seed: 3 }).unwrap();
        change(&b, 40, Half { number: 1, seed: 3 }).unwrap();
        let changed = |root: &Path| -> Vec<String> {
            let found = differences(&start, root).unwrap();
            found.iter().filter_map(|line| line.split(": ").next()).map(str::to_owned).collect()
        };
        let (in_a, in_b) = (changed(&a), changed(&b));
        assert!(in_a.len() >= 36 && in_b.len() >= 36, "{} {}", in_a.len(), in_b.len());
        assert!(in_a.iter().all(|path| !in_b.contains(path)));
    }
}
