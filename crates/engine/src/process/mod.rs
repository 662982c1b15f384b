//! Running programs of others: in a group of their own, with limits, and without anything of them staying behind.
//!
//! A program is not trusted to end, to write little or to start few others. What it leaves running is ended with it.
//! What is absent on purpose: a shell between the program and its arguments, unless the caller asks for a line of shell.

mod output;
mod platform;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use output::Reading;

/// How often a running program is looked at.
const LOOK: Duration = Duration::from_millis(4);
/// How often its use of memory and processes is counted.
const COUNT: Duration = Duration::from_millis(50);
/// How long output is waited for after the program has ended: what escaped its group may hold the pipe open.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A line for the system's shell.
    Shell(String),
    /// A program and its arguments.
    Program(PathBuf, Vec<String>),
}

/// A program that is to be run.
#[derive(Clone, Debug)]
pub struct Call {
    /// What to run.
    pub what: What,
    /// Where it works.
    pub folder: PathBuf,
    /// All of its environment.
    pub environment: BTreeMap<String, String>,
    /// How much it may take.
    pub limits: Limits,
    /// Where it may write, where the system can see to that; `None` for everywhere.
    pub writable: Option<Vec<PathBuf>>,
    /// An empty file that it holds open as its standard input, so that a lock on it lasts as long as the program, even when
    /// it outlives us.
    pub held: Option<Arc<File>>,
}

/// How much a program may take, all that it starts included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Time.
    pub time: Duration,
    /// Bytes of memory; watched on Linux.
    pub memory_bytes: u64,
    /// Processes; watched on Linux.
    pub processes: usize,
    /// Bytes of output, and of any one file that it writes.
    pub output_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { time: Duration::from_mins(10), memory_bytes: 2 << 30, processes: 256, output_bytes: 64 << 20 }
    }
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself, with this exit code.
    Exited(i32),
    /// By a signal.
    Signal(i32),
    /// It was ended because it took too long.
    TimedOut,
    /// It was ended because it wrote too much.
    TooMuchOutput,
    /// It was ended because it took too much memory.
    TooMuchMemory,
    /// It was ended because it started too many processes.
    TooManyProcesses,
    /// It was ended because nobody waits for it any more.
    Cancelled,
}

/// What came of a program.
#[derive(Clone, Debug)]
pub struct Finished {
    /// How it ended.
    pub end: End,
    /// What it wrote to standard output.
    pub out: Vec<u8>,
    /// What it wrote to standard error.
    pub err: Vec<u8>,
    /// How long it ran.
    pub duration: Duration,
}

/// Ends some work when nobody waits for it any more: set when dropped.
pub(crate) struct GivenUp(pub(crate) Arc<AtomicBool>);

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Call {
    /// Runs the program to its end. When the future is dropped, the program and all that it started are ended.
    ///
    /// # Errors
    /// When it could not be started.
    pub async fn run(self) -> io::Result<Finished> {
        let given_up = GivenUp(Arc::default());
        let cancelled = Arc::clone(&given_up.0);
        // A thread of its own: where it may write is a property of the thread, and never taken back.
        let (done, finished) = tokio::sync::oneshot::channel();
        let work = move || {
            let _ = done.send(self.blocking(&cancelled));
        };
        std::thread::Builder::new().name("program".to_owned()).spawn(work)?;
        finished.await.unwrap_or_else(|_| Err(io::Error::other("the thread that ran the program died")))
    }

    fn blocking(&self, cancelled: &AtomicBool) -> io::Result<Finished> {
        let (began, before) = (Instant::now(), platform::tasks());
        if let Some(writable) = &self.writable {
            platform::confine(writable)?;
        }
        let mut command = self.command()?;
        platform::own_group(&mut command);
        let mut child = command.spawn()?;
        let group = platform::Group::of(&child);
        group.tame(self.limits.output_bytes);
        let reading = Reading::start(&mut child, self.limits.output_bytes);
        let mut counted = began;
        let end = loop {
            // Looked at before it is asked whether it ended: all output of one that wrote too much counts.
            let over = if reading.is_too_much() {
                Some(End::TooMuchOutput)
            } else if cancelled.load(Ordering::Relaxed) {
                Some(End::Cancelled)
            } else if began.elapsed() >= self.limits.time {
                Some(End::TimedOut)
            } else if self.may_be_too_many(before) {
                // Counting takes long beside a fork bomb that goes on: it holds still meanwhile.
                group.hold_still();
                let excess = self.excess(&group);
                if excess.is_none() {
                    group.go_on();
                }
                excess
            } else if counted.elapsed() >= COUNT {
                counted = Instant::now();
                self.excess(&group)
            } else {
                None
            };
            if over.is_some() || group.has_ended(&mut child)? {
                break over;
            }
            reading.wait(LOOK);
        };
        // What it started may still be running, and would hold its output open.
        group.kill();
        let status = child.wait()?;
        // It may have ended between two looks because nobody read on.
        let end = end.or_else(|| reading.is_too_much().then_some(End::TooMuchOutput));
        let (out, err) = reading.finish(LAST_WORDS);
        Ok(Finished { end: end.unwrap_or_else(|| ended(status)), out, err, duration: began.elapsed() })
    }

    fn command(&self) -> io::Result<Command> {
        let mut command = match &self.what {
            What::Shell(line) => platform::shell(line),
            What::Program(program, arguments) => {
                let mut command = Command::new(program);
                command.args(arguments);
                command
            }
        };
        command.current_dir(&self.folder).env_clear().envs(&self.environment);
        let input = match &self.held {
            Some(file) => Stdio::from(file.try_clone()?),
            None => Stdio::null(),
        };
        command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(command)
    }

    /// Whether the system has so many more tasks than `before` that these may be of this program.
    fn may_be_too_many(&self, before: Option<usize>) -> bool {
        let more = platform::tasks().zip(before).map(|(now, before)| now.saturating_sub(before));
        more.is_some_and(|more| more > self.limits.processes)
    }

    fn excess(&self, group: &platform::Group) -> Option<End> {
        let used = group.usage(self.limits.processes)?;
        if used.processes > self.limits.processes {
            Some(End::TooManyProcesses)
        } else if used.memory_bytes > self.limits.memory_bytes {
            Some(End::TooMuchMemory)
        } else {
            None
        }
    }
}

fn ended(status: ExitStatus) -> End {
    match (status.code(), platform::signal_of(status)) {
        (Some(code), _) => End::Exited(code),
        (None, Some(signal)) => End::Signal(signal),
        (None, None) => End::Exited(-1),
    }
}

impl Finished {
    /// Whether it ended by itself with exit code 0.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.end == End::Exited(0)
    }

    /// The last lines that it wrote for people: of standard error, else of standard output.
    #[must_use]
    pub fn last_words(&self, lines: usize) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        let said = Some(text(&self.err)).filter(|text| !text.is_empty()).unwrap_or_else(|| text(&self.out));
        let all: Vec<&str> = said.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

/// What a program said, on one line.
pub(crate) fn one_line(said: &str) -> String {
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join("; ")
}

impl End {
    /// How it ended, as a fragment that follows the program's name.
    #[must_use]
    pub fn describe(self, limits: &Limits) -> String {
        const MIB: u64 = 1 << 20;
        match self {
            Self::Exited(code) => format!("ended with exit code {code}"),
            Self::Signal(signal) => format!("was ended by signal {signal}"),
            Self::TimedOut => format!("was ended after {} s: it takes too long", limits.time.as_secs()),
            Self::TooMuchOutput => {
                format!("was ended: it wrote more than {} MiB", limits.output_bytes / MIB)
            }
            Self::TooMuchMemory => {
                format!("was ended: it took more than {} MiB of memory", limits.memory_bytes / MIB)
            }
            Self::TooManyProcesses => {
                format!("was ended: it started more than {} processes", limits.processes)
            }
            Self::Cancelled => "was ended: nobody waits for it any more".to_owned(),
        }
    }
}
