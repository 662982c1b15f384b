//! The mirror: a bare repository in the state folder that holds what is known of the one outside.
//!
//! It is a cache. Whatever happens to it, it is made anew beside and changes places with the damaged one.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use syncline_connect::{Error, ErrorKind, Result};

use super::command::{Done, Git, Limits};
use super::errors;
use super::notes::Notes;
use super::remote::{self, Outside};
use super::settings::Effective;
use super::tree::{ObjectId, Tree};

/// Work inside the mirror.
pub(super) const LOCAL: Limits = Limits { time: Duration::from_secs(1800), bytes: 2 << 30 };
/// A fetch: what goes over the wire is as large as the repository.
const FETCH: Limits = Limits { time: Duration::from_secs(3600), bytes: 1 << 20 };
/// How long to wait for another process that uses the mirror.
const LOCK_PATIENCE: Duration = Duration::from_secs(30);
/// How long a lock file of Git may stay: its owner, left over from a killed run, may still be at work.
const STALE_PATIENCE: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(20);
/// The reference that keeps what was fetched last.
const FETCHED: &str = "refs/syncline/tip";
/// More packs than this are put together.
const PACKS_MAX: usize = 50;
/// More loose objects in one folder than this are packed.
const LOOSE_MAX: usize = 30;

/// The mirror, taken by this process for as long as this value lives.
pub(super) struct Mirror<'a> {
    folder: &'a Path,
    settings: &'a Effective,
    pub(super) git: Git,
    pub(super) notes: Notes,
    _lock: File,
}

/// The repository inside the folder of a mirror.
pub(super) fn repository(folder: &Path) -> PathBuf {
    folder.join("repository.git")
}

impl<'a> Mirror<'a> {
    /// Takes the mirror in `folder`, which is made when it is missing; waits a while for others.
    ///
    /// # Errors
    /// When the folder cannot be made, or others do not let the mirror go.
    pub(super) fn take(folder: &'a Path, settings: &'a Effective, git: Git) -> Result<Self> {
        let failed = |error| Error::io(error, format_args!("opening {}", folder.display()));
        make_private(folder).map_err(failed)?;
        let lock = File::create(folder.join("lock")).map_err(failed)?;
        let deadline = Instant::now() + LOCK_PATIENCE;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(PAUSE),
                Err(TryLockError::WouldBlock) => {
                    let message = format!("another run works with {}", settings.url.as_str());
                    return Err(Error::new(ErrorKind::Locked, message).with_hint("wait until it is done"));
                }
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
        let notes = Notes::read(&notes_file(folder));
        Ok(Self { folder, settings, git, notes, _lock: lock })
    }

    /// Writes the notes down.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(super) fn save(&self) -> Result<()> {
        self.notes.write(&notes_file(self.folder))
    }

    /// Under which word a mark is noted: another folder of the repository as the root is another side.
    pub(super) fn key(&self, mark: &str) -> String {
        self.settings.root.as_ref().map_or_else(|| mark.to_owned(), |root| format!("{mark}:{root}"))
    }

    /// The folder of this mirror, also for files of work that ends before the mirror is let go.
    pub(super) const fn folder(&self) -> &Path {
        self.folder
    }

    /// Asks where the branch is, and takes what the mirror does not have of it.
    ///
    /// # Errors
    /// When the repository outside cannot be reached or its objects are refused.
    pub(super) fn update(&mut self) -> Result<Outside> {
        let outside = remote::outside(&self.git, self.settings, self.notes.branch.as_deref())?;
        self.take_in(outside)
    }

    /// Takes what the mirror does not have of a branch.
    fn take_in(&mut self, outside: Outside) -> Result<Outside> {
        let Some(tip) = outside.tip else { return Ok(outside) };
        let known = self.notes.tip.as_deref() == Some(tip.to_string().as_str());
        if known && self.git.repository().join("HEAD").is_file() {
            return Ok(outside);
        }
        let tip = match self.try_fetch(&outside.branch, tip) {
            Err(error) if matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Locked) => {
                self.make_anew(&outside.branch, tip)?
            }
            other => other?,
        };
        self.notes.branch = Some(outside.branch.clone());
        self.notes.tip = Some(tip.to_string());
        self.save()?;
        self.tidy();
        Ok(Outside { tip: Some(tip), ..outside })
    }

    /// Fetches; waits for a lock file of Git to go.
    fn try_fetch(&self, branch: &str, tip: ObjectId) -> Result<ObjectId> {
        let deadline = Instant::now() + STALE_PATIENCE;
        loop {
            match fetch(&self.git, self.settings, branch, tip, self.first_depth()) {
                Err(error) if error.kind() == ErrorKind::Locked && Instant::now() < deadline => {
                    thread::sleep(PAUSE);
                }
                other => return other,
            }
        }
    }

    /// Makes the mirror anew beside the one that is there, and exchanges them.
    ///
    /// # Errors
    /// When the repository outside cannot be reached; then the old one stays.
    pub(super) fn make_anew(&mut self, branch: &str, tip: ObjectId) -> Result<ObjectId> {
        tracing::warn!(mirror = %self.folder.display(), "the mirror of a repository is damaged and made anew");
        let (old, new) = (self.folder.join("damaged.git"), self.folder.join("new.git"));
        let failed =
            |error| Error::io(error, format_args!("replacing the mirror in {}", self.folder.display()));
        for left_over in [&old, &new] {
            remove(left_over).map_err(failed)?;
        }
        let tip = fetch(&self.git.at(&new), self.settings, branch, tip, self.first_depth())?;
        let place = self.git.repository();
        match std::fs::rename(&place, &old) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            _ => std::fs::rename(&new, &place).map_err(failed)?,
        }
        remove(&old).map_err(failed)?;
        Ok(tip)
    }

    /// How much history a first fetch takes. Whether a mark still counts is told by the history: with marks, all of it.
    fn first_depth(&self) -> u32 {
        if self.notes.marks.is_empty() { self.settings.depth } else { 0 }
    }

    /// Everything that a commit holds below the root.
    ///
    /// # Errors
    /// With kind `Damaged` when the mirror does not have it.
    pub(super) fn tree(&self, commit: ObjectId) -> Result<Tree> {
        list(&self.git, self.settings, commit)
    }

    /// Whether everything that `old` held has led to `new`, so that nothing was taken back.
    ///
    /// # Errors
    /// When Git cannot be asked.
    pub(super) fn led_to(&self, old: ObjectId, new: ObjectId) -> Result<bool> {
        if old == new {
            return Ok(true);
        }
        let (old, new) = (old.to_string(), new.to_string());
        let done = self.git.run(&["merge-base", "--is-ancestor", "--end-of-options", &old, &new], LOCAL)?;
        // Where the history does not reach back to it, nothing is known, and that proves nothing.
        Ok(done.success)
    }

    /// Makes sure that there is a repository to make a commit in.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn ensure(&self) -> Result<()> {
        init(&self.git, self.notes.tip.as_ref().map_or(40, String::len))
    }

    /// Puts packs together when they have become many. Failure costs nothing but speed.
    pub(super) fn tidy(&self) {
        let objects = self.git.repository().join("objects");
        let files = |name: &str| std::fs::read_dir(objects.join(name)).into_iter().flatten().flatten();
        let packs =
            files("pack").filter(|file| file.path().extension().is_some_and(|end| end == "pack")).count();
        // Loose objects are spread over 256 folders evenly, so one of them tells about all.
        if (packs > PACKS_MAX || files("17").count() > LOOSE_MAX)
            && let Err(error) = self.git.run(&["gc", "--quiet"], LOCAL)
        {
            tracing::debug!(%error, "the mirror of a repository was not tidied");
        }
    }
}

/// Everything that a commit holds below the root; needs no lock, since commits never change.
///
/// # Errors
/// With kind `Damaged` when the mirror does not have it.
pub(super) fn list(git: &Git, settings: &Effective, commit: ObjectId) -> Result<Tree> {
    let commit = commit.to_string();
    let mut arguments = vec!["ls-tree", "-r", "-z", "--full-tree", "--end-of-options", &commit];
    arguments.extend(settings.root.as_ref().map(|root| root.as_str()));
    let done = succeeded(git.run(&arguments, LOCAL)?, "listing")?;
    Tree::parse(&done.out, settings.root.as_ref())
        .ok_or_else(|| Error::new(ErrorKind::Damaged, format!("the tree of {commit} cannot be read")))
}

/// Takes the result of a call that only needs the mirror: when it failed, the mirror is damaged, or the disk is full.
///
/// # Errors
/// When the call failed.
pub(super) fn succeeded(done: Done, what: &str) -> Result<Done> {
    if done.success {
        return Ok(done);
    }
    let error = errors::explain(&format!("{what} in the mirror of the repository"), &done.said);
    if matches!(error.kind(), ErrorKind::NoSpace) {
        return Err(error);
    }
    tracing::debug!(code = done.code, said = errors::shown(&done.said), "git failed in the mirror");
    Err(Error::new(ErrorKind::Damaged, error.to_string()).with_hint("run again: the mirror is made anew"))
}

/// Fetches a branch into a repository, which is made when it is missing; returns where it is now.
fn fetch(git: &Git, settings: &Effective, branch: &str, tip: ObjectId, depth: u32) -> Result<ObjectId> {
    let fresh = !git.repository().join("HEAD").is_file();
    if fresh {
        init(git, tip.to_string().len())?;
    }
    let (url, depth) = (settings.url.as_str(), format!("--depth={depth}"));
    let change = format!("+refs/heads/{branch}:{FETCHED}");
    let mut arguments =
        vec!["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance"];
    arguments.extend(["--recurse-submodules=no", "--no-show-forced-updates", "--update-shallow"]);
    // Only the first fetch may leave history out: later ones must show that the old tip led to the new one.
    if fresh && depth != "--depth=0" {
        arguments.push(&depth);
    }
    arguments.extend(["--end-of-options", url, &change]);
    let done = git.run(&arguments, FETCH)?;
    if !done.success {
        if fresh {
            let _ = remove(&git.repository());
        }
        let error = errors::explain(&format!("fetching {branch} from {url}"), &done.said);
        return Err(match error.kind() {
            _ if errors::is_locked(&done.said) => Error::new(ErrorKind::Locked, error.to_string()),
            ErrorKind::Io if !fresh && errors::is_damage(&done.said) => {
                Error::new(ErrorKind::Damaged, error.to_string())
            }
            _ => error,
        });
    }
    let done = succeeded(git.run(&["rev-parse", "--verify", FETCHED], LOCAL)?, "looking")?;
    ObjectId::parse(String::from_utf8_lossy(&done.out).trim())
        .ok_or_else(|| Error::new(ErrorKind::Damaged, "the mirror does not tell what was fetched"))
}

/// Makes an empty bare repository, for hashes of so many digits; one that is there stays.
fn init(git: &Git, digits: usize) -> Result<()> {
    let place = git.repository();
    if place.join("HEAD").is_file() {
        return Ok(());
    }
    std::fs::create_dir_all(&place)
        .map_err(|error| Error::io(error, format_args!("making {}", place.display())))?;
    let format = if digits == 64 { "--object-format=sha256" } else { "--object-format=sha1" };
    let arguments = ["init", "--quiet", "--bare", "--template=", "--initial-branch=main", format];
    succeeded(git.run(&arguments, LOCAL)?, "making a repository").map(drop)
}

/// Makes a folder and those above it. The state folder may be among them, and only its owner may look into that.
pub(super) fn make_private(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn notes_file(folder: &Path) -> PathBuf {
    folder.join("notes.json")
}

fn remove(folder: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
