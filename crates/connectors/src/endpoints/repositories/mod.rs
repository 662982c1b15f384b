//! Many Git repositories as the folders of one place, each as plain files at the tip of its branch.
//!
//! They are only read. Each has a mirror of its own, as one of the kind `git` has; they are asked at the same time, and
//! one that cannot be reached is a folder that cannot be read, which removes nothing and keeps the others from nothing.

mod list;
mod settings;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use syncline_connect::{
    Batch, Capabilities, Content, Endpoint, EndpointKind, Error, ErrorKind, Health, Listing, OpenRequest,
    Result, ScanRequest, Words, snapshot_from_listing,
};
use syncline_core::{
    Abilities, Change, Digest, Found, Item, ItemPath, Kind, Outcome, Problem, Seen, Side, Snapshot, Version,
};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::git::{GitEndpoint, Listed};
use list::Repository;
use settings::{Effective, Settings};

/// The endpoint's line in the list.
pub const KIND: EndpointKind = EndpointKind {
    name: "repositories",
    summary: "many Git repositories as the folders of one place, to pull from",
    schema: || schemars::schema_for!(Settings),
    open: |request| Ok(Arc::new(RepositoriesEndpoint::open(request)?)),
};

/// Many repositories, of which each is a folder.
pub struct RepositoriesEndpoint {
    settings: Effective,
    workspace: PathBuf,
    folder: PathBuf,
    state: PathBuf,
    capabilities: Capabilities,
    shown: Mutex<Shown>,
}

/// What the last listing has shown.
#[derive(Clone, Default)]
struct Shown {
    /// The repositories, by the folder that each is.
    parts: BTreeMap<ItemPath, Part>,
    /// What the record of commits says, when there is one.
    record: Option<String>,
}

/// One repository.
#[derive(Clone)]
struct Part {
    repository: Repository,
    git: Arc<GitEndpoint>,
}

/// What became of asking one repository.
type Asked<T> = (ItemPath, Result<(Part, T)>);

impl RepositoriesEndpoint {
    /// Opens the repositories; nobody is contacted yet.
    ///
    /// # Errors
    /// When the settings cannot be used.
    pub fn open(request: &OpenRequest<'_>) -> Result<Self> {
        let settings = Settings::read(request.settings)?.resolve(request.workspace)?;
        let capabilities = Capabilities {
            kind: KIND.name,
            location: settings.location(),
            writable: false,
            abilities: Abilities { directories: false, directory_moves: false, ..Abilities::default() },
            only: None,
            marks: false,
            disturbs: false,
            consistent_listing: true,
            watch: false,
            batch_max: 1,
            words: Words::default(),
        };
        let [workspace, folder, state] =
            [request.workspace, request.folder, request.state].map(Path::to_owned);
        Ok(Self { settings, workspace, folder, state, capabilities, shown: Mutex::default() })
    }

    /// Opens one repository, or takes the one that was opened before.
    fn part(&self, repository: Repository) -> Result<Part> {
        if let Some(part) = self.shown().parts.get(&repository.name)
            && part.repository == repository
        {
            return Ok(part.clone());
        }
        let settings = self.settings.for_git(&repository);
        let request = OpenRequest {
            settings: &settings,
            workspace: &self.workspace,
            folder: &self.folder,
            state: &self.state,
        };
        Ok(Part { git: Arc::new(GitEndpoint::open(&request)?), repository })
    }

    /// Asks all repositories, some at the same time; the answers are in the order of the folders.
    ///
    /// # Errors
    /// When the list itself cannot be used.
    async fn ask<T, F>(&self, question: fn(Arc<GitEndpoint>) -> F) -> Result<Vec<Asked<T>>>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let turns = Arc::new(Semaphore::new(self.settings.concurrency));
        let (mut asked, mut asking): (Vec<Asked<T>>, _) = (Vec::new(), JoinSet::new());
        for repository in self.settings.repositories()? {
            let name = repository.name.clone();
            match self.part(repository) {
                Err(error) => asked.push((name, Err(error))),
                Ok(part) => {
                    let turns = Arc::clone(&turns);
                    asking.spawn(async move {
                        let _turn = turns.acquire_owned().await;
                        let answer = question(Arc::clone(&part.git)).await;
                        (name, answer.map(|answer| (part, answer)))
                    });
                }
            }
        }
        while let Some(done) = asking.join_next().await {
            match done {
                Ok(answer) => asked.push(answer),
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Err(_) => return Err(Error::new(ErrorKind::Io, "the program is shutting down")),
            }
        }
        asked.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(asked)
    }

    fn shown(&self) -> Shown {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Endpoint for RepositoriesEndpoint {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn check(&self) -> Result<Health> {
        let asked = self.ask(|git| async move { git.check().await }).await?;
        let count = asked.len();
        let failed =
            asked.iter().filter_map(|(name, answer)| Some(Effective::about(name, answer.as_ref().err()?)));
        let mut failed: Vec<Error> = failed.collect();
        if failed.len() == count {
            return Err(failed.swap_remove(0));
        }
        let message =
            format!("{}: {} of {count} can be reached", self.capabilities.location, count - failed.len());
        Ok(Health { message, writable: true, warnings: failed.iter().map(ToString::to_string).collect() })
    }

    async fn scan(&self, request: ScanRequest) -> Result<Snapshot> {
        let mut listing = Listing { complete: true, ..Listing::default() };
        let mut shown = Shown::default();
        let mut commits = Vec::new();
        let asked = self.ask(|git| async move { git.list().await }).await?;
        let whole = asked.iter().all(|(_, answer)| answer.is_ok());
        for (name, answer) in asked {
            match answer {
                Ok((part, mut listed)) => {
                    add(&mut listing, &name, &mut listed);
                    let Listed { branch, commit, .. } = listed;
                    commits.push((name.clone(), part.repository.url.clone(), branch, commit));
                    shown.parts.insert(name, part);
                }
                Err(error) => {
                    let problem = error.to_problem(name.as_str());
                    listing.seen.insert(name, Seen::Unreadable(problem));
                }
            }
        }
        if let Some(path) = &self.settings.commits {
            let text = record(&commits);
            listing.seen.insert(path.clone(), recorded(path, &text, whole));
            shown.record = Some(text);
        }
        let mut snapshot = snapshot_from_listing(&request, listing)?;
        for (name, part) in &shown.parts {
            fill(&mut snapshot, name, part, request.side).await;
        }
        tell(&mut snapshot, &commits);
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = shown;
        Ok(snapshot)
    }

    async fn read(&self, path: &ItemPath, version: &Version) -> Result<Content> {
        let shown = self.shown();
        if self.settings.commits.as_ref() == Some(path) {
            let text = shown.record.filter(|text| *version == version_of(text));
            let gone = || Error::new(ErrorKind::Changed, format!("{path} has changed"));
            return text.map(|text| Content::bytes(text.into_bytes())).ok_or_else(gone);
        }
        let part = path.ancestors().find_map(|above| Some((shown.parts.get(&above)?.git.clone(), above)));
        let gone = || Error::new(ErrorKind::NotFound, format!("{path} is not there"));
        let (git, name) = part.ok_or_else(gone)?;
        git.read(&below(&name, path).ok_or_else(gone)?, version).await
    }

    async fn apply(&self, _batch: Batch) -> Result<Vec<Outcome>> {
        let message = format!("{} can only be read", self.capabilities.location);
        Err(Error::new(ErrorKind::Unsupported, message).with_hint("set `direction: pull` for the target"))
    }
}

/// Puts what a repository holds into the listing, below its folder.
fn add(listing: &mut Listing, name: &ItemPath, listed: &mut Listed) {
    let whole = |path: &str| format!("{name}/{path}");
    for (path, seen) in std::mem::take(&mut listed.seen) {
        let seen = match seen {
            Seen::Unreadable(problem) => Seen::Unreadable(Problem { path: whole(&problem.path), ..problem }),
            other => other,
        };
        match ItemPath::parse(&whole(path.as_str())) {
            Ok(path) => drop(listing.seen.insert(path, seen)),
            Err(error) => {
                listing.problems.push(Problem::new(whole(path.as_str()), "path_too_long", error.to_string()))
            }
        }
    }
    let odd = listed.odd.iter().cloned();
    listing.problems.extend(odd.map(|problem| Problem { path: whole(&problem.path), ..problem }));
}

/// What a repository holds at a path, when the path is below its folder.
fn below(name: &ItemPath, path: &ItemPath) -> Option<ItemPath> {
    ItemPath::parse(path.as_str().strip_prefix(name.as_str())?.strip_prefix('/')?).ok()
}

/// Adds sizes to the changes of one repository; when its mirror does not tell them, the folder cannot be read.
async fn fill(snapshot: &mut Snapshot, name: &ItemPath, part: &Part, side: Side) {
    let start = snapshot.changes.partition_point(|change| change.path <= *name);
    let count =
        snapshot.changes[start..].iter().take_while(|change| change.path.is_below(name.as_str())).count();
    if count == 0 {
        return;
    }
    let changes: Vec<Change> = snapshot.changes[start..start + count].to_vec();
    let filled = match part.git.fill(side, changes).await {
        Ok(filled) => filled,
        Err(error) => {
            let now = Seen::Unreadable(error.to_problem(name.as_str()));
            vec![Change { path: name.clone(), was: None, now }]
        }
    };
    snapshot.changes.splice(start..start + count, filled);
}

type Commit = (ItemPath, String, String, Option<String>);

/// The record of commits: a line for each repository, in the form of a list file with the commit behind a `#`.
fn record(commits: &[Commit]) -> String {
    let mut text = String::new();
    for (name, url, branch, commit) in commits {
        let commit = commit.as_deref().unwrap_or("nothing");
        let _ = writeln!(text, "{name} {url} {branch} # {commit}");
    }
    text
}

/// The record as an item. While a repository cannot be reached, it cannot be known, and stays as it is.
fn recorded(path: &ItemPath, text: &str, whole: bool) -> Seen {
    if !whole {
        let message = "not every repository could be reached, so the record stays as it is";
        return Seen::Unreadable(Problem::new(path.as_str(), "unreachable", message));
    }
    let digest = Some(Digest::of(text.as_bytes()));
    let item = Item { kind: Kind::FILE, digest, size: text.len() as u64, modified: 0 };
    Seen::Present(Found { item, version: version_of(text), moved_from: None })
}

fn version_of(text: &str) -> Version {
    Version::new(&Digest::of(text.as_bytes()).0)
}

/// Tells the commit of each repository from which something comes.
fn tell(snapshot: &mut Snapshot, commits: &[Commit]) {
    for (name, _, branch, commit) in commits {
        let from = snapshot.changes.partition_point(|change| change.path <= *name);
        let changed = snapshot.changes.get(from).is_some_and(|change| change.path.is_below(name.as_str()));
        if let Some(commit) = commit.as_ref().filter(|_| changed) {
            let message = format!("taken from commit {commit} of the branch {branch}");
            snapshot.problems.push(Problem::new(name.as_str(), "commit", message));
        }
    }
}
