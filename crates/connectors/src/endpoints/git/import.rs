//! Making objects: blobs and commits, through `git fast-import`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use syncline_connect::{Batch, ChangedWhileRead, Error, ErrorKind, Result};
use syncline_core::{Action, Digest, Item, ItemPath, Problem, Step};
use tokio::runtime::Handle;

use super::command::Git;
use super::mirror::{LOCAL, Mirror, succeeded};
use super::settings::{Author, Effective, Sign};
use super::tree::{Entry, ObjectId};

/// The reference that keeps what was made last.
const MADE: &str = "refs/syncline/made";
/// Content up to this size waits in memory until it is known to be what was planned.
const IN_MEMORY_BYTES: usize = 8 << 20;

/// A blob that was made of the content of a step.
#[derive(Clone, Copy)]
pub(super) struct Blob {
    pub(super) object: ObjectId,
    pub(super) digest: Digest,
    pub(super) size: u64,
}

/// Makes a blob of the content of each step at these indices; files in the folder `scratch` help. Content that cannot be had, or is not what was planned,
/// is a problem and makes none.
///
/// # Errors
/// When the repository cannot be written.
pub(super) fn blobs(
    git: &Git,
    scratch: &Path,
    batch: &Batch,
    handle: &Handle,
    indices: &[usize],
) -> Result<Vec<(usize, Result<Blob, Problem>)>> {
    let (marks, spill) = (scratch.join("import.marks"), scratch.join("import.content"));
    let mut made = Vec::new();
    let done = git.feed(&arguments(&marks), &[], LOCAL, |input| {
        let mut input = io::BufWriter::with_capacity(256 * 1024, input);
        for &at in indices {
            let step = &batch.steps[at];
            match stage(batch, handle, step, &spill) {
                Ok(mut staged) => {
                    write!(input, "blob\nmark :{}\ndata {}\n", at + 1, staged.size)?;
                    staged.write_to(&mut input)?;
                    input.write_all(b"\n")?;
                    batch.progress.add(1, staged.size);
                    made.push((at, Ok((staged.digest, staged.size))));
                }
                Err(error) => made.push((at, Err(error.to_problem(step.path.as_str())))),
            }
        }
        input.write_all(b"done\n")?;
        input.flush()
    });
    let _ = std::fs::remove_file(&spill);
    succeeded(done?, "writing content")?;
    let ids = read_marks(&marks)?;
    let blob = |at: usize, (digest, size)| match ids.get(&(at + 1)) {
        Some(&object) => Ok(Blob { object, digest, size }),
        None => Err(Error::new(ErrorKind::Damaged, "the mirror does not tell what was written")),
    };
    made.into_iter()
        .map(|(at, one)| match one {
            Ok(staged) => Ok((at, Ok(blob(at, staged)?))),
            Err(problem) => Ok((at, Err(problem))),
        })
        .collect()
}

/// Makes a commit on top of `parent` with these edits; `files` and `run` go into its message.
///
/// # Errors
/// When the mirror cannot be written, or the commit cannot be signed.
pub(super) fn commit(
    mirror: &Mirror<'_>,
    settings: &Effective,
    parent: Option<ObjectId>,
    edits: &BTreeMap<ItemPath, Option<Entry>>,
    message: &str,
) -> Result<ObjectId> {
    let author = author(&mirror.git, settings)?;
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let marks = mirror.folder().join("import.marks");
    let done = mirror.git.feed(&arguments(&marks), &[], LOCAL, |input| {
        let mut input = io::BufWriter::with_capacity(256 * 1024, input);
        write!(input, "commit {MADE}\nmark :1\n")?;
        for role in ["author", "committer"] {
            writeln!(input, "{role} {} <{}> {seconds} +0000", author.name, author.email)?;
        }
        write!(input, "data {}\n{message}\n", message.len())?;
        if let Some(parent) = parent {
            writeln!(input, "from {parent}")?;
        }
        let name = |path: &ItemPath| match &settings.root {
            Some(root) => quoted(&format!("{root}/{path}")),
            None => quoted(path.as_str()),
        };
        // A file may give way to a folder, and a folder to a file: what goes makes room first.
        for path in edits.iter().filter(|(_, entry)| entry.is_none()).map(|(path, _)| path) {
            writeln!(input, "D {}", name(path))?;
        }
        for (path, entry) in edits.iter().filter_map(|(path, entry)| Some((path, entry.as_ref()?))) {
            writeln!(input, "M {} {} {}", entry.mode.text(), entry.object, name(path))?;
        }
        input.write_all(b"done\n")?;
        input.flush()
    });
    succeeded(done?, "making a commit")?;
    let made = read_marks(&marks)?.remove(&1);
    let made = made.ok_or_else(|| Error::new(ErrorKind::Damaged, "the mirror does not tell the commit"))?;
    match &settings.sign {
        Sign::Choice(false) => Ok(made),
        _ => commit_tree(&mirror.git, settings, &format!("{made}^{{tree}}"), parent.as_slice(), message),
    }
}

/// Makes a commit of a tree that is there, signed where that is asked for.
///
/// # Errors
/// When it cannot be made or signed.
pub(super) fn commit_tree(
    git: &Git,
    settings: &Effective,
    tree: &str,
    parents: &[ObjectId],
    message: &str,
) -> Result<ObjectId> {
    let author = author(git, settings)?;
    let mut arguments = vec!["commit-tree".to_owned()];
    arguments.extend(match &settings.sign {
        Sign::Choice(false) => None,
        Sign::Choice(true) => Some("-S".to_owned()),
        Sign::Key(key) => Some(format!("-S{key}")),
    });
    arguments.extend(["-F".to_owned(), "-".to_owned()]);
    arguments.extend(parents.iter().flat_map(|parent| ["-p".to_owned(), parent.to_string()]));
    arguments.push(tree.to_owned());
    let mut who = Vec::new();
    for role in ["AUTHOR", "COMMITTER"] {
        who.push((format!("GIT_{role}_NAME"), author.name.clone()));
        who.push((format!("GIT_{role}_EMAIL"), author.email.clone()));
    }
    let more: Vec<(&str, String)> = who.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    let done = git.feed(&arguments, &more, LOCAL, |input| input.write_all(message.as_bytes()))?;
    let printed = String::from_utf8_lossy(&done.out);
    if let Some(made) = ObjectId::parse(printed.trim()).filter(|_| done.success) {
        return Ok(made);
    }
    let said = super::errors::shown(&done.said);
    if settings.sign == Sign::Choice(false) {
        return Err(Error::new(ErrorKind::Io, format!("the commit could not be made ({said})")));
    }
    Err(Error::new(ErrorKind::Denied, format!("the commit could not be signed ({said})"))
        .with_hint("check `sign`, and `gpg.format` and `user.signingKey` in your Git configuration"))
}

/// Who commits: as configured here, else as configured for Git, else Syncline.
fn author(git: &Git, settings: &Effective) -> Result<Author> {
    if let Some(author) = &settings.author {
        return Ok(author.clone());
    }
    let done = git.run(&["var", "GIT_COMMITTER_IDENT"], LOCAL)?;
    let printed = String::from_utf8_lossy(&done.out);
    let known = printed.split_once(" <").and_then(|(name, rest)| Some((name, rest.split_once('>')?.0)));
    let (name, email) = known.filter(|_| done.success).unwrap_or(("Syncline", "syncline@localhost"));
    Ok(Author { name: name.to_owned(), email: email.to_owned() })
}

fn arguments(marks: &Path) -> Vec<std::ffi::OsString> {
    let mut export = std::ffi::OsString::from("--export-marks=");
    export.push(marks);
    // A difference to the blob that happened to come before it seldom is a small one, and takes long to find.
    let flags = ["fast-import", "--quiet", "--done", "--force", "--date-format=raw", "--depth=0"];
    flags.iter().map(std::ffi::OsString::from).chain([export]).collect()
}

/// Reads lines such as `:1 <object>`, and removes the file.
fn read_marks(file: &Path) -> Result<BTreeMap<usize, ObjectId>> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Error::io(error, format_args!("reading {}", file.display())))?;
    let _ = std::fs::remove_file(file);
    let line = |line: &str| {
        let (number, object) = line.strip_prefix(':')?.split_once(' ')?;
        Some((number.parse().ok()?, ObjectId::parse(object)?))
    };
    Ok(text.lines().filter_map(line).collect())
}

/// A path as `fast-import` reads it, whatever it holds.
fn quoted(path: &str) -> String {
    let mut text = String::with_capacity(path.len() + 2);
    text.push('"');
    for c in path.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
    text.push('"');
    text
}

/// Content that was read to its end and is what was planned.
struct Staged {
    held: Held,
    digest: Digest,
    size: u64,
}

enum Held {
    Memory(Vec<u8>),
    File(File),
}

impl Staged {
    fn write_to(&mut self, output: &mut impl Write) -> io::Result<()> {
        match &mut self.held {
            Held::Memory(bytes) => output.write_all(bytes),
            Held::File(file) => {
                file.rewind()?;
                let copied = io::copy(&mut file.take(self.size), output)?;
                if copied == self.size { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
            }
        }
    }
}

/// Reads the content of a step to its end: Git must be told its size beforehand, and nothing wrong may get into it.
fn stage(batch: &Batch, handle: &Handle, step: &Step, spill: &Path) -> Result<Staged> {
    let Action::Write { item, .. } = &step.action else {
        return Err(Error::new(ErrorKind::Invalid, "only a write has content"));
    };
    let mut reader = handle.block_on(batch.contents.open(step))?.into_reader();
    let staged = hold(&mut *reader, spill).map_err(|error| {
        if error.get_ref().is_some_and(|inner| inner.is::<ChangedWhileRead>()) {
            let message = format!("the source of {} changed while it was read", step.path);
            return Error::new(ErrorKind::Changed, message);
        }
        Error::io(error, format_args!("reading the source of {}", step.path))
    })?;
    if is_as_planned(item, &staged) {
        return Ok(staged);
    }
    Err(Error::new(ErrorKind::Damaged, format!("the source of {} is not what was planned", step.path)))
}

fn is_as_planned(item: &Item, staged: &Staged) -> bool {
    item.digest.map_or(item.size == staged.size, |digest| digest == staged.digest)
}

fn hold(reader: &mut dyn Read, spill: &Path) -> io::Result<Staged> {
    let mut bytes = Vec::new();
    reader.take(IN_MEMORY_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() <= IN_MEMORY_BYTES {
        let (digest, size) = (Digest::of(&bytes), bytes.len() as u64);
        return Ok(Staged { held: Held::Memory(bytes), digest, size });
    }
    let mut file = File::options().read(true).write(true).create(true).truncate(true).open(spill)?;
    let mut hasher = blake3::Hasher::new();
    let mut size = 0;
    while !bytes.is_empty() {
        hasher.update(&bytes);
        file.write_all(&bytes)?;
        size += bytes.len() as u64;
        bytes.clear();
        reader.take(IN_MEMORY_BYTES as u64).read_to_end(&mut bytes)?;
    }
    Ok(Staged { held: Held::File(file), digest: hasher.finalize().into(), size })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_so_that_none_is_an_order() {
        assert_eq!(quoted("a b"), "\"a b\"");
        assert_eq!(quoted("a\nM 100644 x \"y\\"), "\"a\\nM 100644 x \\\"y\\\\\"");
    }

    #[test]
    fn large_content_is_held_in_a_file_and_whole() {
        let folder = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..IN_MEMORY_BYTES + 7).map(|at| (at % 251) as u8).collect();
        let mut staged = hold(&mut &bytes[..], &folder.path().join("spill")).unwrap();
        assert!(matches!(staged.held, Held::File(_)));
        assert_eq!((staged.digest, staged.size), (Digest::of(&bytes), bytes.len() as u64));
        let mut written = Vec::new();
        staged.write_to(&mut written).unwrap();
        assert!(written == bytes);
    }
}
