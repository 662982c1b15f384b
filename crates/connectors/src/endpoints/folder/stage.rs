//! Before the swap: old content goes to history, new content to staging.

use std::fs::File;
use std::future::Future;
use std::io::{self, Read, Seek as _, Write as _};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use syncline_connect::{ChangedWhileRead, Content, Error, ErrorKind, Result};
use syncline_core::{Action, Digest, Expected, Item, Kind, Outcome, Step};

use super::apply::Work;
use super::parents::Parents;
use super::platform::{
    Directory, Stat, Type, default_mode, is_link_in_the_way, set_file_mode, set_file_modified, stat_file,
};
use super::staging::hash;
use super::version::Stamp;

/// Bytes copied and hashed at once.
const BUFFER_BYTES: usize = 256 * 1024;
/// Blocks of zeros of this size are left out: in a disk image they would take space that the original does not.
const HOLE_BYTES: usize = 64 * 1024;
static ZEROS: [u8; HOLE_BYTES] = [0; HOLE_BYTES];
/// Longest target of a link.
const LINK_BYTES_MAX: usize = 4096;

/// What was done for a step before its turn comes. A large batch has many of these: what few of them have is boxed.
#[derive(Default)]
pub(super) struct Prepared {
    /// The outcome, when it is known already.
    pub(super) outcome: Option<Box<Outcome>>,
    pub(super) staged: Option<Staged>,
    pub(super) kept: Option<Box<Kept>>,
}

/// New content in staging; see [`Spot`].
pub(super) struct Staged {
    pub(super) thread: usize,
    pub(super) stamp: Stamp,
    pub(super) digest: Digest,
}

/// Old content in history.
pub(super) struct Kept {
    /// The state of the old item when it was kept.
    pub(super) stamp: Stamp,
}

impl Prepared {
    pub(super) const fn needs_sync(&self) -> bool {
        self.staged.is_some() || self.kept.is_some()
    }

    fn decided(outcome: Outcome) -> Self {
        Self { outcome: Some(Box::new(outcome)), ..Self::default() }
    }
}

/// Where the new content of a step is staged.
pub(super) enum Spot<'a> {
    /// By itself.
    Alone(&'a Directory, String),
    /// In the new folder that it belongs to.
    Planted(Rc<Directory>, String),
}

impl<'a> Spot<'a> {
    /// The place for a step; `tree` gives the directories of new folders.
    pub(super) fn of(work: &Work<'a>, at: usize, thread: usize, tree: &mut Parents<'_>) -> io::Result<Self> {
        let Some(place) = work.planting.place(&work.batch.steps, at) else {
            return Ok(Self::Alone(&work.staging.new[thread], at.to_string()));
        };
        let (above, name) = place.rsplit_once('/').unwrap_or(("", &place));
        Ok(Self::Planted(tree.get_or_make(above)?, name.to_owned()))
    }

    pub(super) fn directory(&self) -> &Directory {
        match self {
            Self::Alone(directory, _) => directory,
            Self::Planted(directory, _) => directory,
        }
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Self::Alone(_, name) | Self::Planted(_, name) => name,
        }
    }
}

/// One thread that prepares steps.
pub(super) struct Stager<'a> {
    work: &'a Work<'a>,
    thread: usize,
    /// Whether earlier steps of the batch may still move something to where a later one expects it.
    moves: bool,
    parents: Parents<'a>,
    tree: Parents<'a>,
    buffer: Vec<u8>,
}

impl<'a> Stager<'a> {
    pub(super) fn new(work: &'a Work<'a>, thread: usize, moves: bool) -> Self {
        Self {
            work,
            thread,
            moves,
            parents: work.parents(),
            tree: work.planting.parents(work),
            buffer: vec![0; BUFFER_BYTES],
        }
    }

    /// Keeps and stages what one step needs. What cannot be done has its outcome.
    pub(super) fn prepare(&mut self, at: usize, step: &Step) -> Prepared {
        if let Some(reason) = protected(step) {
            return Prepared::decided(Outcome::Failed(syncline_core::Problem::new(
                step.path.as_str(),
                "protected",
                reason,
            )));
        }
        let mut prepared = Prepared::default();
        if !matches!(step.action, Action::Move { .. }) {
            match self.keep(step) {
                Ok(kept) => prepared.kept = kept.map(Box::new),
                Err(outcome) => return Prepared::decided(outcome),
            }
        }
        if let Action::Write { item, .. } = &step.action
            && !item.kind.is_directory()
        {
            let old_mode = self.old_mode(step);
            match self.stage(at, step, item, old_mode) {
                Ok(staged) => prepared.staged = Some(staged),
                Err(error) => {
                    // What was begun must not fill the disk until the end of the batch, nor land with its folder.
                    self.discard(at);
                    let problem = error.to_problem(step.path.as_str());
                    prepared.outcome = Some(Box::new(Outcome::Failed(problem)));
                }
            }
        }
        prepared
    }

    /// Keeps the old content of a step whose old item is as expected.
    fn keep(&mut self, step: &Step) -> Result<Option<Kept>, Outcome> {
        let Expected::Present { version, .. } = &step.expected else {
            return Ok(None);
        };
        let parent = match self.parents.get(step.path.parent()) {
            Ok(parent) => parent,
            Err(_) if self.moves => return Ok(None),
            Err(error) => return Err(refused_or_failed(step, error)),
        };
        match parent.stat(step.path.name()) {
            Ok(stat) if is_expected(&stat, version.as_bytes()) => keep_old(self.work, &parent, step, &stat),
            // It may be there when its turn comes; then it is kept then.
            _ if self.moves => Ok(None),
            Ok(stat) => Err(Outcome::Refused { found: describe(&stat) }),
            Err(error) => Err(refused_or_failed(step, error)),
        }
    }

    fn old_mode(&mut self, step: &Step) -> Option<u32> {
        if step.expected == Expected::Absent {
            return None;
        }
        let parent = self.parents.get(step.path.parent()).ok()?;
        let stat = parent.stat(step.path.name()).ok()?;
        (stat.kind == Type::File).then_some(stat.mode & 0o777)
    }

    /// Puts new content together in staging: whole, verified, with its time and permissions.
    fn stage(&mut self, at: usize, step: &Step, item: &Item, old_mode: Option<u32>) -> Result<Staged> {
        let content = wait(self.work, self.work.batch.contents.open(step))?;
        let failed = |error: io::Error| {
            if error.get_ref().is_some_and(|inner| inner.is::<ChangedWhileRead>()) {
                let message = format!("the source of {} changed while it was read", step.path);
                return Error::new(ErrorKind::Changed, message).with_hint("the next run takes its new state");
            }
            Error::io(error, format_args!("writing {}", step.path))
        };
        let spot = Spot::of(self.work, at, self.thread, &mut self.tree).map_err(failed)?;
        let (digest, stamp) = match item.kind {
            Kind::File { executable } => {
                let mode = file_mode(content.mode.or(old_mode), executable);
                self.stage_file(spot.directory(), spot.name(), content, item, mode).map_err(failed)?
            }
            _ => stage_link(spot.directory(), spot.name(), content, item).map_err(failed)?,
        };
        let differs = match item.digest {
            Some(planned) => planned != digest,
            None => stamp.size != item.size,
        };
        if differs {
            let message = format!("the source of {} is not what was planned", step.path);
            return Err(
                Error::new(ErrorKind::Damaged, message).with_hint("run again to plan with what is there now")
            );
        }
        Ok(Staged { thread: self.thread, stamp, digest })
    }

    /// Removes what was staged for a step. A new folder in which it stays must not land.
    fn discard(&mut self, at: usize) {
        let removed = Spot::of(self.work, at, self.thread, &mut self.tree)
            .and_then(|spot| spot.directory().remove_file(spot.name()));
        if removed.is_err_and(|error| error.kind() != io::ErrorKind::NotFound) {
            self.work.planting.spoil(at);
        }
    }

    fn stage_file(
        &mut self,
        directory: &Directory,
        name: &str,
        content: Content,
        item: &Item,
        mode: u32,
    ) -> io::Result<(Digest, Stamp)> {
        let mut reader = content.into_reader();
        let mut file = directory.create(name, mode)?;
        let mut hasher = blake3::Hasher::new();
        let mut size = 0;
        loop {
            let count = fill(&mut reader, &mut self.buffer)?;
            hasher.update(&self.buffer[..count]);
            let ends_in_hole = write_with_holes(&mut file, &self.buffer[..count])?;
            size += count as u64;
            self.work.batch.progress.add(0, count as u64);
            if count < self.buffer.len() {
                if ends_in_hole && size > 0 {
                    file.set_len(size)?;
                }
                break;
            }
        }
        // A version from history carries no time: it is modified now.
        if item.modified != 0 {
            set_file_modified(&file, item.modified)?;
        }
        let mut stat = stat_file(&file)?;
        if stat.mode & 0o777 != mode {
            set_file_mode(&file, mode)?;
            stat = stat_file(&file)?;
        }
        Ok((hasher.finalize().into(), Stamp::of(&stat)))
    }
}

fn stage_link(
    directory: &Directory,
    name: &str,
    content: Content,
    item: &Item,
) -> io::Result<(Digest, Stamp)> {
    let mut target = Vec::new();
    content.into_reader().take(LINK_BYTES_MAX as u64).read_to_end(&mut target)?;
    directory.make_link(name, &target)?;
    if item.modified != 0 {
        directory.set_modified(name, item.modified)?;
    }
    Ok((Digest::of(&target), Stamp::of(&directory.stat(name)?)))
}

/// Keeps an old item that is as expected; a directory has nothing to keep.
pub(super) fn keep_old(
    work: &Work<'_>,
    parent: &Directory,
    step: &Step,
    stat: &Stat,
) -> Result<Option<Kept>, Outcome> {
    let failed = |error: Error| Outcome::Failed(error.to_problem(step.path.as_str()));
    let io_failed = |error: io::Error| refused_or_failed(step, error);
    let (name, before) = (step.path.name(), Stamp::of(stat));
    let history = &work.batch.history;
    match stat.kind {
        Type::File => {
            let file = parent.file(name).map_err(io_failed)?;
            let opened = stat_file(&file).map_err(io_failed)?;
            if Stamp::of(&opened) != before {
                return Err(Outcome::Refused { found: describe(&opened) });
            }
            let digest = step.expected.keep().map_or_else(|| digest_of(&file), Ok).map_err(io_failed)?;
            wait(work, history.keep_file(&digest, &file)).map_err(failed)?;
            let kept = stat_file(&file).map_err(io_failed)?;
            let stamp = Stamp::of(&kept);
            if !stamp.is_same_file(before) {
                return Err(Outcome::Refused { found: describe(&kept) });
            }
            Ok(Some(Kept { stamp }))
        }
        Type::Symlink => {
            let target = parent.read_link(name).map_err(io_failed)?;
            let digest = step.expected.keep().unwrap_or_else(|| Digest::of(&target));
            wait(work, history.keep(&digest, Content::bytes(target))).map_err(failed)?;
            Ok(Some(Kept { stamp: before }))
        }
        _ => Ok(None),
    }
}

fn digest_of(file: &File) -> io::Result<Digest> {
    let mut again = file.try_clone()?;
    let digest = hash(&mut again)?;
    again.rewind()?;
    Ok(digest)
}

/// Whether a status is that of the version; the empty version is that of directories.
pub(super) fn is_expected(stat: &Stat, version: &[u8]) -> bool {
    match stat.kind {
        Type::Directory => version.is_empty(),
        Type::File | Type::Symlink => Stamp::of(stat).is(version),
        Type::Special(_) | Type::Unknown => false,
    }
}

/// What is there, for people.
pub(super) fn describe(stat: &Stat) -> String {
    match stat.kind {
        Type::File => format!("a file of {} bytes in another state", stat.size),
        kind => format!("a {}", kind.name()),
    }
}

/// The outcome of an operation that failed: something else being there is a refusal, the rest is trouble.
pub(super) fn refused_or_failed(step: &Step, error: io::Error) -> Outcome {
    let refused = |found: &str| Outcome::Refused { found: found.to_owned() };
    match error.kind() {
        io::ErrorKind::NotFound => refused("nothing"),
        io::ErrorKind::AlreadyExists => refused("something that was not there before"),
        io::ErrorKind::NotADirectory => refused("a file where a directory should be"),
        _ if is_link_in_the_way(&error) => refused("a symbolic link where none should be"),
        io::ErrorKind::DirectoryNotEmpty => refused("a directory that is not empty"),
        io::ErrorKind::CrossesDevices => {
            let failed = Error::io(error, format_args!("moving {} into place", step.path));
            let hint = "the path lies on another file system than the root; make it a target of its own";
            Outcome::Failed(failed.with_hint(hint).to_problem(step.path.as_str()))
        }
        _ => {
            let what = step.verb();
            Outcome::Failed(
                Error::io(error, format_args!("{what} {}", step.path)).to_problem(step.path.as_str()),
            )
        }
    }
}

fn protected(step: &Step) -> Option<&'static str> {
    let from = match &step.action {
        Action::Move { from, .. } => from.protected(),
        _ => None,
    };
    step.path.protected().or(from)
}

const fn executable_bits(mode: u32) -> u32 {
    (mode & 0o444) >> 2
}

/// The permission bits of a file: those of its original, else of what it replaces, else what new files get.
fn file_mode(original: Option<u32>, executable: bool) -> u32 {
    let mode = original.map_or_else(default_mode, |mode| mode & 0o777);
    match (executable, mode & 0o100 != 0) {
        (true, false) => mode | executable_bits(mode) | 0o100,
        (false, true) => mode & !0o111,
        _ => mode,
    }
}

/// Reads until the buffer is full or the content ends.
fn fill(reader: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Writes bytes, but for blocks of zeros: what was never written reads as zeros. Tells whether nothing was written at
/// the end, so that the file's length is still to be set.
fn write_with_holes(file: &mut File, bytes: &[u8]) -> io::Result<bool> {
    let mut written = 0;
    for (index, block) in bytes.chunks(HOLE_BYTES).enumerate() {
        if *block == ZEROS {
            let start = index * HOLE_BYTES;
            file.write_all(&bytes[written..start])?;
            file.seek_relative(block.len() as i64)?;
            written = start + block.len();
        }
    }
    file.write_all(&bytes[written..])?;
    Ok(written == bytes.len())
}

/// Waits for a future on a thread that may block. Most are ready at once: then nothing is set up for waiting.
pub(super) fn wait<T>(work: &Work<'_>, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => work.handle.block_on(future),
    }
}
