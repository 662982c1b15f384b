//! Reading objects of the mirror through `git cat-file`, which keeps running for the next one.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout};
use std::sync::{Mutex, PoisonError};

use syncline_connect::{Body, Content, Error, ErrorKind, Result};

use super::command::{Git, end};
use super::tree::ObjectId;

/// Content up to this size is read at once; larger content is handed on while it arrives.
const AT_ONCE_BYTES: u64 = 1 << 20;
/// Most programs that wait for the next question.
const IDLE_MAX: usize = 8;

/// Programs that answer with the content of objects.
#[derive(Default)]
pub(super) struct Objects {
    idle: Mutex<Vec<CatFile>>,
}

/// One running `git cat-file --batch-command`.
struct CatFile {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Objects {
    /// The content of a blob.
    ///
    /// # Errors
    /// With kind `Damaged` when the mirror does not give it.
    pub(super) fn read(&self, git: &Git, object: &ObjectId) -> Result<Content> {
        let mut program = self.take(git)?;
        let size = program.ask("contents", object).map_err(|error| damaged(object, error))?;
        if size > AT_ONCE_BYTES {
            return Ok(Content::reader(Streamed { program, left: size }));
        }
        let bytes = program.body(size).map_err(|error| damaged(object, error))?;
        self.give_back(program);
        Ok(Content { body: Body::Bytes(bytes.into()), mode: None })
    }

    /// The size of each object, in their order; `None` for one that is not there.
    ///
    /// # Errors
    /// As [`Objects::read`].
    pub(super) fn sizes(&self, git: &Git, objects: &[ObjectId]) -> Result<Vec<Option<u64>>> {
        let mut program = self.take(git)?;
        let mut sizes = Vec::with_capacity(objects.len());
        // As many questions at a time as surely fit into the pipe, so that nobody waits for the other.
        for questions in objects.chunks(256) {
            let text: String = questions.iter().map(|object| format!("info {object}\n")).collect();
            program.say(&text).map_err(|error| damaged(&questions[0], error))?;
            for object in questions {
                let line = program.line().map_err(|error| damaged(object, error))?;
                sizes.push(size_in(&line));
            }
        }
        self.give_back(program);
        Ok(sizes)
    }

    /// Lets all programs go, as the repository that they read was replaced.
    pub(super) fn forget(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn take(&self, git: &Git) -> Result<CatFile> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(|| CatFile::start(git), Ok)
    }

    fn give_back(&self, program: CatFile) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(program);
        }
    }
}

impl CatFile {
    fn start(git: &Git) -> Result<Self> {
        let mut child = git.converse(&["cat-file", "--batch-command"])?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let output = output.ok_or_else(|| Error::new(ErrorKind::Io, "git cat-file has no output"))?;
        Ok(Self { child, input, output: BufReader::new(output) })
    }

    fn say(&mut self, text: &str) -> io::Result<()> {
        self.input.as_mut().ok_or(io::ErrorKind::BrokenPipe)?.write_all(text.as_bytes())
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.output.by_ref().take(1024).read_line(&mut line)?;
        if line.ends_with('\n') { Ok(line) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// Asks about an object; returns its size. After `contents`, the content and a line break follow.
    fn ask(&mut self, question: &str, object: &ObjectId) -> io::Result<u64> {
        self.say(&format!("{question} {object}\n"))?;
        let line = self.line()?;
        size_in(&line).ok_or_else(|| io::Error::other(line.trim_end().to_owned()))
    }

    fn body(&mut self, size: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1);
        self.output.by_ref().take(size + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 != size + 1 || bytes.pop() != Some(b'\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(bytes)
    }
}

impl Drop for CatFile {
    fn drop(&mut self) {
        drop(self.input.take());
        end(&mut self.child);
        // It was ended: this does not wait for long, and leaves no dead entry in the list of processes.
        let _ = self.child.wait();
    }
}

/// The size in an answer such as `<object> blob 12`.
fn size_in(line: &str) -> Option<u64> {
    let mut words = line.split_whitespace();
    let (_, kind, size) = (words.next()?, words.next()?, words.next()?);
    matches!(kind, "blob" | "commit").then(|| size.parse().ok()).flatten()
}

/// Content that is handed on while it arrives; the program ends with it.
struct Streamed {
    program: CatFile,
    left: u64,
}

impl Read for Streamed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let count = self.program.output.read(&mut buffer[..most])?;
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "git ended in the middle of an object"));
        }
        self.left -= count as u64;
        Ok(count)
    }
}

fn damaged(object: &ObjectId, error: io::Error) -> Error {
    Error::new(ErrorKind::Damaged, format!("the mirror of the repository does not give the object {object}"))
        .with_hint("run again: the mirror is made anew")
        .with_source(error)
}
