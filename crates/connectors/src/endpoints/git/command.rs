//! Starting Git: in a clean environment, with limits, in a process group that is ended as a whole.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use syncline_connect::{Error, ErrorKind, Result};

/// Most bytes of a program's standard error that are kept: its end.
const SAID_MAX: usize = 64 * 1024;
/// How often a running program is looked after.
const LOOK: Duration = Duration::from_millis(100);

/// The Git program, ready to be started in one repository.
#[derive(Clone)]
pub(super) struct Git {
    program: Arc<Path>,
    environment: Arc<Vec<(OsString, OsString)>>,
    secrets: Arc<Vec<String>>,
    repository: Arc<Path>,
    work_tree: Option<Arc<Path>>,
    given_up: Arc<AtomicBool>,
}

/// How far a call may go.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// How long it may take.
    pub(super) time: Duration,
    /// How much it may print.
    pub(super) bytes: usize,
}

/// What a call came to.
pub(super) struct Done {
    /// Whether it succeeded.
    pub(super) success: bool,
    /// The exit code, when there is one.
    pub(super) code: Option<i32>,
    /// What it printed.
    pub(super) out: Vec<u8>,
    /// What it said, secrets removed.
    pub(super) said: String,
}

impl Git {
    /// Git with an environment of its own; nothing of `secrets` is ever shown.
    pub(super) fn new(
        environment: Vec<(OsString, OsString)>,
        secrets: Vec<String>,
        repository: &Path,
    ) -> Self {
        Self {
            program: program(&environment).into(),
            environment: Arc::new(environment),
            secrets: Arc::new(secrets),
            repository: repository.into(),
            work_tree: None,
            given_up: Arc::default(),
        }
    }

    /// The same Git, whose calls end when `given_up` is set.
    pub(super) fn watched_by(&self, given_up: &Arc<AtomicBool>) -> Self {
        Self { given_up: Arc::clone(given_up), ..self.clone() }
    }

    /// The same Git in another repository.
    pub(super) fn at(&self, repository: &Path) -> Self {
        Self { repository: repository.into(), ..self.clone() }
    }

    /// The same Git, which works in this folder as the work tree of the repository.
    pub(super) fn with_work_tree(&self, folder: &Path) -> Self {
        Self { work_tree: Some(folder.into()), ..self.clone() }
    }

    /// The repository.
    pub(super) fn repository(&self) -> PathBuf {
        self.repository.to_path_buf()
    }

    /// Runs Git to its end.
    ///
    /// # Errors
    /// When it cannot be started, or breaks a limit. An exit code that tells of failure is no error here.
    pub(super) fn run<S: AsRef<OsStr>>(&self, arguments: &[S], limits: Limits) -> Result<Done> {
        self.start(arguments, &[], None::<fn(&mut dyn Write) -> io::Result<()>>, limits)
    }

    /// Runs Git to its end; `feed` writes what it reads. `more` is added to the environment.
    ///
    /// # Errors
    /// As [`Git::run`], and what `feed` returns, unless Git itself ended before it had read everything.
    pub(super) fn feed<S: AsRef<OsStr>>(
        &self,
        arguments: &[S],
        more: &[(&str, String)],
        limits: Limits,
        feed: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<Done> {
        self.start(arguments, more, Some(feed), limits)
    }

    /// Starts Git with pipes to and from it, for a conversation.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn converse<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<Child> {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        spawn(&mut command)
    }

    fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new(&*self.program);
        command.args(arguments).env_clear();
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.env("GIT_DIR", &*self.repository);
        if let Some(folder) = &self.work_tree {
            command.env("GIT_WORK_TREE", &**folder).current_dir(&**folder);
        }
        own_group(&mut command);
        command
    }

    fn start<S: AsRef<OsStr>>(
        &self,
        arguments: &[S],
        more: &[(&str, String)],
        feed: Option<impl FnOnce(&mut dyn Write) -> io::Result<()>>,
        limits: Limits,
    ) -> Result<Done> {
        let mut command = self.command(arguments);
        command.envs(more.iter().map(|(name, value)| (name, value)));
        let input = if feed.is_some() { Stdio::piped() } else { Stdio::null() };
        command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = spawn(&mut command)?;
        let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let child = Mutex::new(child);
        let what = name_of(arguments);
        thread::scope(|scope| {
            let (finished, waiting) = mpsc::channel::<()>();
            let guard = scope.spawn({
                let child = &child;
                move || self.look_after(child, &waiting, limits.time)
            });
            let reader = scope.spawn(|| {
                let read = read_limited(output, limits.bytes);
                if read.as_ref().is_ok_and(|bytes| bytes.len() > limits.bytes) {
                    end(&mut lock(&child));
                }
                read
            });
            let listener = scope.spawn(|| read_tail(errors));
            let fed = match (feed, input) {
                (Some(feed), Some(mut input)) => feed(&mut input),
                _ => Ok(()),
            };
            let out = reader.join().unwrap_or_else(|_| Err(io::Error::other("the reading thread died")));
            let said = listener.join().unwrap_or_default();
            let status = wait(&child);
            drop(finished);
            let stopped = guard.join().unwrap_or_default();
            if let Some(error) = stopped {
                return Err(error);
            }
            let failed = |error| Error::io(error, format_args!("running git {what}"));
            let (out, status) = (out.map_err(failed)?, status.map_err(failed)?);
            if out.len() > limits.bytes {
                let message = format!("git {what} printed more than {} bytes", limits.bytes);
                return Err(Error::new(ErrorKind::Invalid, message));
            }
            match fed {
                Err(error) if status.success() || error.kind() != io::ErrorKind::BrokenPipe => {
                    return Err(failed(error));
                }
                _ => {}
            }
            Ok(Done {
                success: status.success(),
                code: status.code(),
                out,
                said: self.without_secrets(&said),
            })
        })
    }

    /// Ends the program when its time is over or nobody waits for it any more; tells why.
    fn look_after(&self, child: &Mutex<Child>, waiting: &Receiver<()>, time: Duration) -> Option<Error> {
        let deadline = Instant::now() + time;
        loop {
            if waiting.recv_timeout(LOOK) != Err(RecvTimeoutError::Timeout) {
                return None;
            }
            let given_up = self.given_up.load(Ordering::Relaxed);
            if given_up || Instant::now() > deadline {
                end(&mut lock(child));
                let message = format!("git took longer than {} s and was ended", time.as_secs());
                return Some(Error::new(ErrorKind::TimedOut, message));
            }
        }
    }

    fn without_secrets(&self, said: &[u8]) -> String {
        let mut text = String::from_utf8_lossy(said).into_owned();
        for secret in self.secrets.iter() {
            text = text.replace(secret, "***");
        }
        text
    }
}

/// Where Git is. Given its whole path, the system starts it without copying this process first; the search is as the
/// system's, and where it finds nothing, so will the system.
fn program(environment: &[(OsString, OsString)]) -> PathBuf {
    let name = PathBuf::from("git");
    let path = environment.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path);
    let folders = path.into_iter().filter(|_| cfg!(unix)).flat_map(std::env::split_paths);
    let mut files = folders.filter(|folder| folder.is_absolute()).map(|folder| folder.join(&name));
    files.find(|file| is_program(file)).unwrap_or(name)
}

#[cfg(unix)]
fn is_program(file: &Path) -> bool {
    let may_run = || rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok();
    file.is_file() && may_run()
}

#[cfg(not(unix))]
fn is_program(file: &Path) -> bool {
    file.is_file()
}

/// The name of the command that Git is to run, after configuration for it.
fn name_of<S: AsRef<OsStr>>(arguments: &[S]) -> String {
    let mut words = arguments.iter().map(AsRef::as_ref);
    while let Some(word) = words.next() {
        if word != "-c" {
            return word.to_string_lossy().into_owned();
        }
        words.next();
    }
    String::new()
}

fn spawn(command: &mut Command) -> Result<Child> {
    command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::new(ErrorKind::Unsupported, "the program `git` is not there")
            .with_hint("install Git 2.36 or newer"),
        _ => Error::io(error, "starting git"),
    })
}

/// Waits for a program whose pipes are closed already; the lock is not held meanwhile, so that it can be ended.
fn wait(child: &Mutex<Child>) -> io::Result<ExitStatus> {
    let mut pause = Duration::from_micros(50);
    loop {
        if let Some(status) = lock(child).try_wait()? {
            return Ok(status);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

fn read_limited(pipe: Option<impl Read>, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(most as u64 + 1).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

fn read_tail(pipe: Option<impl Read>) -> Vec<u8> {
    let mut tail = Vec::new();
    let Some(mut pipe) = pipe else { return tail };
    let mut buffer = [0; 8192];
    loop {
        match pipe.read(&mut buffer) {
            Ok(0) => return tail,
            Ok(count) => {
                tail.extend_from_slice(&buffer[..count]);
                if tail.len() > 2 * SAID_MAX {
                    tail.drain(..tail.len() - SAID_MAX);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return tail,
        }
    }
}

/// Puts the program into a process group of its own, so that what it starts can be ended with it.
#[cfg(unix)]
fn own_group(command: &mut Command) {
    std::os::unix::process::CommandExt::process_group(command, 0);
}

#[cfg(not(unix))]
fn own_group(_: &mut Command) {}

/// Ends a program, and on Unix everything that it has started.
pub(super) fn end(child: &mut Child) {
    // A child that was waited for already has given its number back: somebody else may have it now.
    if matches!(child.try_wait(), Ok(Some(_)) | Err(_)) {
        return;
    }
    #[cfg(unix)]
    if let Some(group) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let _ = child.kill();
}

fn lock(child: &Mutex<Child>) -> MutexGuard<'_, Child> {
    child.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOME: Limits = Limits { time: Duration::from_secs(60), bytes: 1000 };

    fn git(secrets: &[&str]) -> Git {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let secrets = secrets.iter().map(|&secret| secret.to_owned()).collect();
        Git::new(vec![("PATH".into(), path)], secrets, Path::new("/nowhere"))
    }

    #[test]
    fn a_command_is_named_without_its_configuration() {
        assert_eq!(name_of(&["push", "-c"]), "push");
        assert_eq!(name_of(&["-c", "pack.window=0", "-c", "a=b", "push", "x"]), "push");
        assert_eq!(name_of::<&str>(&[]), "");
    }

    #[test]
    #[cfg(unix)]
    fn the_program_is_the_first_one_that_may_be_run() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let places = ["none", "folder", "text", "real", "later"].map(|name| folder.path().join(name));
        for (place, mode) in places.iter().zip([0, 0, 0o644, 0o755, 0o755]).skip(1) {
            std::fs::create_dir_all(if mode == 0 { place.join("git") } else { place.clone() }).unwrap();
            if mode != 0 {
                std::fs::write(place.join("git"), "").unwrap();
                std::fs::set_permissions(place.join("git"), PermissionsExt::from_mode(mode)).unwrap();
            }
        }
        let path = |places: &[PathBuf]| vec![("PATH".into(), std::env::join_paths(places).unwrap())];
        assert_eq!(program(&path(&places)), places[3].join("git"));
        assert_eq!(program(&path(&places[..3])), Path::new("git"));
        assert_eq!(program(&[]), Path::new("git"));
    }

    #[test]
    fn a_call_that_takes_too_long_is_ended_with_its_children() {
        let limits = Limits { time: Duration::from_millis(1), ..SOME };
        let error = git(&[]).run(&["-c", "alias.x=!sleep 3600", "x"], limits).map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }

    #[test]
    fn a_call_that_nobody_waits_for_is_ended() {
        let given_up = Arc::new(AtomicBool::new(true));
        let git = git(&[]).watched_by(&given_up);
        let error = git.run(&["-c", "alias.x=!sleep 3600", "x"], SOME).map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }

    #[test]
    fn a_call_that_prints_too_much_is_ended() {
        let error = git(&[]).run(&["-c", "alias.x=!yes", "x"], SOME).map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }

    #[test]
    fn what_git_says_is_kept_without_secrets() {
        let done = git(&["s3cret"]).run(&["-c", "alias.x=!echo my s3cret >&2; false", "x"], SOME).unwrap();
        assert!(!done.success);
        assert!(done.said.contains("my ***") && !done.said.contains("s3cret"), "{}", done.said);
    }
}
