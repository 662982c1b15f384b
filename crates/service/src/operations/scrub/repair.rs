//! Repairing what rotted from where it is still good.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Seek;
use std::sync::Arc;

use async_trait::async_trait;
use syncline_config::Target as Configured;
use syncline_connect::{Batch, Content, Contents, Error, ErrorKind, History, Progress};
use syncline_core::{
    Action, Choices, Digest, Entry, Expected, ItemPath, Outcome, Side, Source, Step, baseline,
};
use syncline_engine::{Options, Target};
use syncline_store::{Objects, Store};

use super::{Finding, FindingKind};
use crate::glance::{self, Here};
use crate::problem::Result;
use crate::runner::{Job, run_all};
use crate::service::Service;

/// Repairs what was found in a target, as far as its direction allows and a good copy exists.
///
/// Rotten content is replaced directly, because to a run nothing changed; a run then learns the new versions.
/// What is only suspect is replaced by that run itself, so that history can undo it.
pub(super) async fn target(
    service: &Service,
    store: &Store,
    configured: &Configured,
    target: &Target,
    findings: &mut [Finding],
) -> Result<()> {
    let agreed = glance::baseline(store, &target.name).await?;
    let mut wishes = BTreeMap::new();
    let mut touched = BTreeSet::new();
    for finding in findings.iter_mut() {
        let Ok(path) = ItemPath::parse(&finding.path) else { continue };
        let Some(entry) = agreed.get(&path)? else { continue };
        let side = Side::from(finding.side);
        if !target.policy.direction.may_write(side) {
            finding.message.push_str("; the direction of the target keeps it from being repaired");
            continue;
        }
        if !fetch_good(store, target, side.other(), &path, &entry.digest).await {
            finding.message.push_str("; no good copy is left");
            continue;
        }
        touched.insert(path.clone());
        if finding.kind == FindingKind::Suspect {
            wishes.insert(path, Some(entry.item()));
            finding.repaired = true;
            continue;
        }
        match replace(store, target, side, &path, &entry, finding).await {
            Ok(()) => finding.repaired = true,
            Err(message) => {
                finding.message = format!("{}; it could not be repaired: {message}", finding.message)
            }
        }
    }
    if touched.is_empty() {
        return Ok(());
    }
    let options = Options {
        cause: "scrub".to_owned(),
        choices: Choices { desired: wishes, ..Choices::default() },
        only: Some(touched.into_iter().collect()),
        ..Options::default()
    };
    let done = run_all(service, store, vec![Job::new(configured, options)]).await.pop();
    judge(done.as_ref(), findings);
    Ok(())
}

/// Takes back what the run could not do.
fn judge(done: Option<&crate::runner::Done>, findings: &mut [Finding]) {
    let result = done.map(|done| &done.result);
    for finding in
        findings.iter_mut().filter(|finding| finding.repaired && finding.kind == FindingKind::Suspect)
    {
        let trouble = match result {
            Some(Ok(result)) => match result.halts.first() {
                Some(halt) => Some(halt.message.clone()),
                None => result.problems.iter().find(|p| p.path == finding.path).map(|p| p.message.clone()),
            },
            Some(Err(problem)) => Some(problem.message.clone()),
            None => None,
        };
        if let Some(trouble) = trouble {
            finding.repaired = false;
            finding.message = format!("{}; it could not be repaired: {trouble}", finding.message);
        }
    }
}

/// Puts the good content into history: from there, or from the other side.
async fn fetch_good(store: &Store, target: &Target, other: Side, path: &ItemPath, digest: &Digest) -> bool {
    if store.objects().verify(digest).unwrap_or(false) {
        return true;
    }
    let Ok(here) = glance::at(store, target, path).await else { return false };
    match glance::keep(store, target, other, path, &here[other]).await {
        Ok(Some((found, _))) => found == *digest,
        _ => false,
    }
}

/// Replaces content in place; what is there is kept in history all the same.
async fn replace(
    store: &Store,
    target: &Target,
    side: Side,
    path: &ItemPath,
    entry: &Entry,
    finding: &Finding,
) -> std::result::Result<(), String> {
    let here = glance::at(store, target, path).await.map_err(|problem| problem.message)?;
    let version = match &here[side] {
        Here::Agreed(entry) => entry.versions[side].clone(),
        _ => return Err("it changed meanwhile".to_owned()),
    };
    let keep = finding.found.as_deref().and_then(Digest::from_hex).map(Box::new);
    let step = Step {
        side,
        path: path.clone(),
        expected: Expected::Present { version, keep },
        action: Action::Write { item: entry.item(), source: Source::Object(entry.digest) },
    };
    let bridge = Arc::new(Bridge(store.objects().clone()));
    let batch = Batch {
        run: format!("scrub-{}", entry.digest.short()),
        steps: Arc::new([step]),
        contents: Arc::clone(&bridge) as Arc<dyn Contents>,
        history: bridge,
        mark: None,
        progress: Arc::new(Progress::default()),
    };
    let outcomes = target.endpoints[side].apply(batch).await.map_err(|error| error.to_string())?;
    match outcomes.into_iter().next() {
        Some(Outcome::Applied { .. }) => Ok(()),
        Some(Outcome::Refused { found }) => Err(found),
        Some(Outcome::Failed(problem)) => Err(problem.message),
        None => Err("nothing was done".to_owned()),
    }
}

/// Fetches damaged contents of history from the sides of a target; which of them are sound again.
pub(super) async fn history(store: &Store, target: &Target, damaged: &BTreeSet<Digest>) -> Vec<Digest> {
    let mut holders = Vec::new();
    let Ok(agreed) = glance::baseline(store, &target.name).await else { return Vec::new() };
    let visited = baseline::visit_all(agreed.as_ref(), &mut |path, entry| {
        if damaged.contains(&entry.digest) {
            holders.push((path, entry.digest));
        }
    });
    if visited.is_err() {
        return Vec::new();
    }
    let mut repaired = Vec::new();
    for (path, digest) in holders {
        for side in Side::BOTH {
            if !repaired.contains(&digest) && fetch_good(store, target, side, &path, &digest).await {
                repaired.push(digest);
            }
        }
    }
    repaired
}

/// Fetches damaged contents of history from what is kept to merge from; which of them are sound again.
pub(super) async fn from_bases(store: &Store, damaged: &BTreeSet<Digest>) -> Vec<Digest> {
    let (store, damaged) = (store.clone(), damaged.clone());
    let fetched = tokio::task::spawn_blocking(move || {
        let found = store.bases().find(&damaged.iter().copied().collect())?;
        let mut repaired = Vec::new();
        for digest in damaged {
            if let Some(bytes) = found.read(&digest) {
                store.objects().put(&bytes)?;
                repaired.push(digest);
            }
        }
        store.objects().sync()?;
        Ok::<_, syncline_store::Error>(repaired)
    });
    match fetched.await {
        Ok(Ok(repaired)) => repaired,
        _ => Vec::new(),
    }
}

/// Reads from history, and keeps in it.
struct Bridge(Objects);

fn translate(error: syncline_store::Error) -> Error {
    Error::new(ErrorKind::Io, error.to_string()).with_hint(error.hint()).with_source(error)
}

#[async_trait]
impl Contents for Bridge {
    async fn open(&self, step: &Step) -> syncline_connect::Result<Content> {
        match &step.action {
            Action::Write { source: Source::Object(digest), .. } => {
                Ok(Content::reader(self.0.open(digest).map_err(translate)?))
            }
            _ => Ok(Content::bytes(Vec::new())),
        }
    }
}

#[async_trait]
impl History for Bridge {
    async fn keep_file(&self, digest: &Digest, file: &File) -> syncline_connect::Result<()> {
        let mut file = file;
        file.rewind().map_err(|error| Error::io(error, "reading what rotted"))?;
        self.0.put_reader(&mut file, Some(*digest)).map_err(translate)?;
        Ok(())
    }

    async fn keep(&self, digest: &Digest, content: Content) -> syncline_connect::Result<()> {
        self.0.put_reader(&mut content.into_reader(), Some(*digest)).map_err(translate)?;
        Ok(())
    }

    async fn sync(&self) -> syncline_connect::Result<()> {
        self.0.sync().map_err(translate)
    }
}
