//! An endpoint whose content comes without its secrets.

use std::collections::HashSet;
use std::io::Read;
use std::sync::Arc;

use async_trait::async_trait;
use syncline_core::secrets::{Redacted, Redactor, SCAN_BYTES_MAX, SecretFinding};
use syncline_core::{
    Baseline, Change, Damaged, Digest, Entry, EntryRef, Found, ItemPath, Outcome, Problem, Seen, Side,
    Snapshot, Version,
};

use crate::content::Content;
use crate::endpoint::{Batch, Capabilities, Endpoint, Health, ScanRequest, Watch};
use crate::error::{Error, ErrorKind, Result};

/// How many bytes tell the rules by which content was sanitized; they end every version.
const STAMP_BYTES: usize = 8;
/// How many replaced secrets are told one by one.
const PLACES_MAX: usize = 20;

/// What is put in the place of secrets, and which of them may stay.
#[derive(Debug)]
pub struct Sanitizer {
    redactor: Redactor,
    allowed: HashSet<String>,
    stamp: [u8; STAMP_BYTES],
}

impl Sanitizer {
    /// A sanitizer. `rules` is whatever the redactor was made from: where it changes, everything is looked at anew.
    #[must_use]
    pub fn new(redactor: Redactor, allowed: HashSet<String>, rules: &str) -> Self {
        let mut names: Vec<&str> = allowed.iter().map(String::as_str).collect();
        names.sort_unstable();
        let told = format!("{} {rules} {}", env!("CARGO_PKG_VERSION"), names.join(" "));
        let mut stamp = [0; STAMP_BYTES];
        stamp.copy_from_slice(&Digest::of(told.as_bytes()).0[..STAMP_BYTES]);
        Self { redactor, allowed, stamp }
    }

    /// Content without its secrets.
    ///
    /// # Errors
    /// When that cannot be had: it must not come in.
    pub fn sanitize(&self, path: &str, content: &[u8]) -> Result<Redacted> {
        self.redactor.redact(content, &self.allowed).map_err(|refusal| {
            Error::new(ErrorKind::Unsupported, format!("{path} is left out: {refusal}"))
                .with_hint("exclude it from the target, or take `sanitize` away if it may come in as it is")
        })
    }

    fn stamped(&self, version: &Version) -> Version {
        Version::new(&[version.as_bytes(), &self.stamp].concat())
    }

    /// The endpoint's own version; that of content that was sanitized by other rules is none.
    fn bare<'a>(&self, version: &'a [u8]) -> &'a [u8] {
        version.strip_suffix(&self.stamp).unwrap_or_default()
    }
}

/// Gives content without its secrets, and refuses every batch: what comes out of it must never go back.
///
/// A scan reads what has changed, because the digest of an item is that of what is read here, whatever the endpoint
/// says. What cannot be sanitized is unreadable. The versions are those of the endpoint with a stamp of the rules behind
/// them, so that everything is looked at again when these change.
pub struct SanitizeLayer {
    inner: Arc<dyn Endpoint>,
    sanitizer: Arc<Sanitizer>,
    capabilities: Capabilities,
}

impl SanitizeLayer {
    /// Wraps an endpoint.
    pub fn new(inner: Arc<dyn Endpoint>, sanitizer: Arc<Sanitizer>) -> Self {
        let capabilities = Capabilities { writable: false, ..inner.capabilities().clone() };
        Self { inner, sanitizer, capabilities }
    }

    /// Reads an item as it may come in, by the endpoint's own version.
    async fn sanitized(
        &self,
        path: &ItemPath,
        version: &Version,
    ) -> Result<(Redacted, Vec<u8>, Option<u32>)> {
        let content = self.inner.read(path, version).await?;
        let mode = content.mode;
        let mut bytes = Vec::new();
        let mut reader = content.into_reader().take(SCAN_BYTES_MAX + 1);
        reader.read_to_end(&mut bytes).map_err(|error| Error::io(error, format_args!("reading {path}")))?;
        let redacted = self.sanitizer.sanitize(path.as_str(), &bytes)?;
        Ok((redacted, bytes, mode))
    }

    /// Makes an item that was found one of sanitized content; what was replaced is told in `notes`.
    async fn look(&self, path: &ItemPath, found: &mut Found, notes: &mut Vec<String>) -> Result<()> {
        if found.item.kind.is_directory() {
            return Ok(());
        }
        let (redacted, bytes, _) = self.sanitized(path, &found.version).await?;
        let content = redacted.content.as_deref().unwrap_or(&bytes);
        (found.item.digest, found.item.size) = (Some(Digest::of(content)), content.len() as u64);
        found.version = self.sanitizer.stamped(&found.version);
        notes.extend(places(path.as_str(), &redacted));
        Ok(())
    }

    /// The changes as they may come in, and what was replaced in them.
    async fn look_at(&self, request: &ScanRequest, changes: &mut [Change]) -> Result<Vec<String>> {
        let mut notes = Vec::new();
        for change in changes {
            // What both sides agreed on has the version that it was agreed on with.
            if change.was.is_some() {
                let was = request.baseline.get(&change.path).map_err(|Damaged(why)| damaged(&why))?;
                change.was = was.map(Box::new);
            }
            let Seen::Present(found) = &mut change.now else { continue };
            if let Err(error) = self.look(&change.path, found, &mut notes).await {
                change.now = Seen::Unreadable(problem(&change.path, &error));
            }
        }
        Ok(notes)
    }
}

fn problem(path: &ItemPath, error: &Error) -> Problem {
    match error.kind() {
        ErrorKind::Changed | ErrorKind::NotFound => {
            let message = "changed while it was being read; it is left for the next run";
            Problem::new(path.as_str(), "keeps_changing", message)
        }
        ErrorKind::Unsupported => Problem { code: "not_sanitized", ..error.to_problem(path.as_str()) },
        _ => error.to_problem(path.as_str()),
    }
}

fn damaged(why: &str) -> Error {
    Error::new(ErrorKind::Io, format!("the baseline is damaged: {why}"))
}

/// Where something was replaced in the content of a path, for people.
pub fn places<'a>(path: &'a str, redacted: &'a Redacted) -> impl Iterator<Item = String> + 'a {
    redacted.findings.iter().map(move |SecretFinding { rule, line, fingerprint, .. }| {
        let known = if fingerprint.is_empty() { "" } else { &format!(", fingerprint {fingerprint}") };
        format!("{path}:{line} ({rule}{known})")
    })
}

/// What was replaced at these places, as a remark.
#[must_use]
pub fn told(mut places: Vec<String>) -> Option<Problem> {
    let count = places.len();
    if count == 0 {
        return None;
    }
    if count > PLACES_MAX {
        places.truncate(PLACES_MAX);
        places.push(format!("and {} more", count - PLACES_MAX));
    }
    let what = if count == 1 { "1 secret was" } else { &format!("{count} secrets were") };
    Some(Problem::new("", "sanitized", format!("{what} replaced in what comes in: {}", places.join(", "))))
}

#[async_trait]
impl Endpoint for SanitizeLayer {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn check(&self) -> Result<Health> {
        self.inner.check().await
    }

    async fn scan(&self, request: ScanRequest) -> Result<Snapshot> {
        let bare = Bare {
            inner: Arc::clone(&request.baseline),
            sanitizer: Arc::clone(&self.sanitizer),
            side: request.side,
        };
        let asked = ScanRequest { baseline: Arc::new(bare), ..request.clone() };
        let mut snapshot = self.inner.scan(asked).await?;
        let notes = self.look_at(&request, &mut snapshot.changes).await?;
        snapshot.problems.extend(told(notes));
        Ok(snapshot)
    }

    async fn read(&self, path: &ItemPath, version: &Version) -> Result<Content> {
        let version = Version::new(self.sanitizer.bare(version.as_bytes()));
        let (redacted, bytes, mode) = self.sanitized(path, &version).await?;
        Ok(Content { mode, ..Content::bytes(redacted.content.unwrap_or(bytes)) })
    }

    async fn apply(&self, _batch: Batch) -> Result<Vec<Outcome>> {
        let location = &self.capabilities.location;
        Err(Error::new(ErrorKind::Unsupported, format!("{location} is sanitized, and never written"))
            .with_hint("take `sanitize` away from the target, or set `direction: pull`"))
    }

    fn watch(&self) -> Option<&dyn Watch> {
        self.inner.watch()
    }
}

/// A baseline as the endpoint knows it: with the endpoint's own versions.
struct Bare {
    inner: Arc<dyn Baseline>,
    sanitizer: Arc<Sanitizer>,
    side: Side,
}

impl Baseline for Bare {
    fn count(&self) -> u64 {
        self.inner.count()
    }

    fn visit(&self, directory: &str, each: &mut dyn FnMut(EntryRef<'_>)) -> std::result::Result<(), Damaged> {
        self.inner.visit(directory, &mut |mut entry| {
            entry.versions[self.side] = self.sanitizer.bare(entry.versions[self.side]);
            each(entry);
        })
    }

    fn directories(&self, each: &mut dyn FnMut(&str)) {
        self.inner.directories(each);
    }

    fn get(&self, path: &ItemPath) -> std::result::Result<Option<Entry>, Damaged> {
        Ok(self.inner.get(path)?.map(|mut entry| {
            entry.versions[self.side] =
                Version::new(self.sanitizer.bare(entry.versions[self.side].as_bytes()));
            entry
        }))
    }
}
