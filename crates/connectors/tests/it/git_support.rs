//! Bare repositories in temporary folders, the Git endpoint over them, and what others do to them meanwhile.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde_json::{Value, json};
use syncline_connect::conformance::MemoryHistory;
use syncline_connect::{Batch, Contents, Endpoint as _, OpenRequest, Progress, ScanRequest};
use syncline_connectors::endpoints::git::GitEndpoint;
use syncline_core::{Baseline, Found, Mark, MemoryBaseline, Outcome, Seen, Snapshot, Step, Version};

use crate::support::{NewContents, request, seen};

/// A bare repository, empty at first, and beside it a state folder.
pub(crate) struct Repository {
    folder: tempfile::TempDir,
}

impl Repository {
    pub(crate) fn new() -> Self {
        let made = Self { folder: tempfile::tempdir().unwrap() };
        std::fs::create_dir(made.path("work")).unwrap();
        git(&made.path("."), &["init", "--quiet", "--bare", "--initial-branch=main", "remote.git"]);
        made
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub(crate) fn bare(&self) -> PathBuf {
        self.path("remote.git")
    }

    /// Makes the workspace a clone that follows the branch, which gets its first commit; the settings of its upstream.
    pub(crate) fn clone_into_work(&self) -> Value {
        let work = self.path("work");
        let author = ["-c", "user.name=Tester", "-c", "user.email=tester@example.org"];
        git(&work, &["clone", "--quiet", "../remote.git", "."]);
        git(&work, &[&author[..], &["commit", "--quiet", "--allow-empty", "-m", "start"]].concat());
        git(&work, &["push", "--quiet", "-u", "origin", "HEAD:main"]);
        json!({ "author": { "name": "Tester", "email": "tester@example.org" } })
    }

    pub(crate) fn settings(&self) -> Value {
        json!({ "url": self.bare(), "author": { "name": "Tester", "email": "tester@example.org" } })
    }

    /// What opens an endpoint of these settings; its folders live as long as the test.
    pub(crate) fn request<'a>(&self, settings: &'a Value) -> OpenRequest<'a> {
        let leak = |path: PathBuf| -> &'static Path { Box::leak(path.into_boxed_path()) };
        let work = leak(self.path("work"));
        OpenRequest { settings, workspace: work, folder: work, state: leak(self.path("state")) }
    }

    /// Opens the endpoint, with settings that replace or add to the usual ones.
    pub(crate) fn open(&self, more: Value) -> Git {
        let mut settings = self.settings();
        settings.as_object_mut().unwrap().append(&mut more.as_object().unwrap().clone());
        let endpoint = GitEndpoint::open(&self.request(&settings)).unwrap();
        Git { endpoint, history: Arc::default() }
    }

    /// Commits files (or removals) on top of the branch, as another clone would; returns the commit.
    pub(crate) fn commit(&self, files: &[(&str, Option<&str>)]) -> String {
        let mut stream =
            "commit refs/heads/main\ncommitter Other <other@example.org> 1700000000 +0000\n".to_owned();
        stream.push_str("data 5\nother\n");
        if let Some(tip) = self.tip() {
            stream.push_str(&format!("from {tip}\n"));
        }
        for (path, content) in files {
            match content {
                Some(content) => {
                    stream.push_str(&format!("M 100644 inline {path}\ndata {}\n{content}\n", content.len()));
                }
                None => stream.push_str(&format!("D {path}\n")),
            }
        }
        git_with(&self.bare(), &["fast-import", "--quiet"], stream.as_bytes());
        self.tip().unwrap()
    }

    /// The commit that the branch is at.
    pub(crate) fn tip(&self) -> Option<String> {
        let bare = self.bare();
        let output =
            command(&bare).args(["rev-parse", "--verify", "-q", "refs/heads/main"]).output().unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim().to_owned())
    }

    /// Runs Git in the bare repository.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        git(&self.bare(), arguments)
    }

    /// All paths of the branch with their modes.
    pub(crate) fn listed(&self) -> Vec<String> {
        let text = self.git(&["ls-tree", "-r", "--format=%(objectmode) %(path)", "main"]);
        text.lines().map(str::to_owned).collect()
    }

    /// The content of a file of the branch.
    pub(crate) fn content(&self, path: &str) -> String {
        self.git(&["cat-file", "blob", &format!("main:{path}")])
    }

    /// How many commits the branch has.
    pub(crate) fn count(&self) -> usize {
        self.git(&["rev-list", "--count", "main"]).trim().parse().unwrap()
    }

    /// The folder of the only mirror.
    pub(crate) fn mirror(&self) -> PathBuf {
        let mut found = std::fs::read_dir(self.path("state/git")).unwrap();
        found.next().unwrap().unwrap().path()
    }
}

/// The Git endpoint over a repository.
pub(crate) struct Git {
    pub(crate) endpoint: GitEndpoint,
    pub(crate) history: Arc<MemoryHistory>,
}

impl Git {
    pub(crate) async fn scan(&self) -> Snapshot {
        self.scan_against(MemoryBaseline::default()).await
    }

    pub(crate) async fn scan_against(&self, baseline: impl Baseline + 'static) -> Snapshot {
        self.endpoint.scan(request(baseline)).await.unwrap()
    }

    pub(crate) async fn scan_with(&self, request: ScanRequest) -> Snapshot {
        self.endpoint.scan(request).await.unwrap()
    }

    pub(crate) async fn found(&self, path: &str) -> Found {
        let snapshot = self.scan().await;
        seen(&snapshot, path).and_then(Seen::found).unwrap_or_else(|| panic!("{path} is not there")).clone()
    }

    pub(crate) async fn version(&self, path: &str) -> Version {
        self.found(path).await.version
    }

    pub(crate) async fn apply(&self, steps: Vec<Step>) -> Vec<Outcome> {
        self.endpoint.apply(self.batch(steps, |_| {})).await.unwrap()
    }

    pub(crate) async fn leave(&self, mark: &str) {
        let batch =
            Batch { mark: Some(("test".into(), Mark(mark.into()))), ..self.batch(Vec::new(), |_| {}) };
        self.endpoint.apply(batch).await.unwrap();
    }

    pub(crate) async fn read(&self, path: &str, version: &Version) -> String {
        let content = self.endpoint.read(&crate::support::at(path), version).await.unwrap();
        std::io::read_to_string(content.into_reader()).unwrap()
    }

    /// A batch; `meanwhile` is called whenever the content of a step is opened.
    pub(crate) fn batch(&self, steps: Vec<Step>, meanwhile: impl Fn(&Step) + Send + Sync + 'static) -> Batch {
        Batch {
            run: "run-1".into(),
            steps: steps.into(),
            contents: Arc::new(NewContents(Box::new(meanwhile))) as Arc<dyn Contents>,
            history: Arc::clone(&self.history) as _,
            mark: None,
            progress: Arc::new(Progress::default()),
        }
    }
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command.current_dir(folder).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    // A server that runs as another user owns its repository.
    command
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*");
    for role in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{role}_NAME"), "Other")
            .env(format!("GIT_{role}_EMAIL"), "other@example.org");
    }
    command
}

/// Runs Git in a folder, as another program would; fails loudly when Git is missing or fails.
pub(crate) fn git(folder: &Path, arguments: &[&str]) -> String {
    git_with(folder, arguments, b"")
}

pub(crate) fn git_with(folder: &Path, arguments: &[&str], input: &[u8]) -> String {
    let mut command = command(folder);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the tests need the program git");
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {arguments:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
