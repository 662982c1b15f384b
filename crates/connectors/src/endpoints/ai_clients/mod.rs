//! The configuration of AI clients, seen as one document: the Markdown file that names their servers, agents and skills.
//!
//! The remote side holds one item: the document of the workspace as it would be if it said what clients really have. So
//! drift is a difference of that item; a pull brings the document up to date, a push writes the configuration of the
//! clients, and what both changed is merged as any text. Values of variables never get here.

mod clients;
mod compare;
mod configuration;
mod document;
mod files;
mod held;
mod json;
mod lists;
mod look;
mod push;
mod render;
mod sections;
mod settings;
mod toml;

use std::io::Read as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use syncline_connect::{
    Batch, Capabilities, ChangedWhileRead, Content, Endpoint, EndpointKind, Error, ErrorKind, Health,
    Listing, OpenRequest, Result, ScanRequest, Words, snapshot_from_listing,
};
use syncline_core::secrets::Scanner;
use syncline_core::{
    Abilities, Action, Digest, Expected, Found, Item, ItemPath, Kind, Outcome, Problem, Root, Seen, Snapshot,
    Step, Version,
};

use document::Document;
use look::{DOCUMENT_BYTES_MAX, Looked, Shown, is_same_state, version};
use settings::{Effective, Settings, invalid};

/// The endpoint's line in the list.
pub const KIND: EndpointKind = EndpointKind {
    name: "ai_clients",
    summary: "the MCP servers, agents and skills of AI clients, named in a Markdown file",
    schema: || schemars::schema_for!(Settings),
    open: |request| Ok(Arc::new(AiClientsEndpoint::open(request)?)),
};

/// Most differences that are told of one document.
const DIFFERENCES_MAX: usize = 100;

/// The configuration of AI clients.
pub struct AiClientsEndpoint {
    place: Arc<Place>,
    capabilities: Capabilities,
    /// What was shown last, so that it can still be kept in history once the document has changed.
    shown: Mutex<Option<Shown>>,
}

/// Where everything is.
struct Place {
    settings: Effective,
    folder: PathBuf,
    scanner: Scanner,
}

impl AiClientsEndpoint {
    /// Opens the clients; nothing is read yet.
    ///
    /// # Errors
    /// When the settings cannot be used.
    pub fn open(request: &OpenRequest<'_>) -> Result<Self> {
        let settings = Settings::read(request.settings)?.resolve(request.workspace)?;
        let scanner = Scanner::new(&[]).map_err(invalid)?;
        let names: Vec<&str> = settings.clients.iter().map(|chosen| chosen.client.name).collect();
        let capabilities = Capabilities {
            kind: KIND.name,
            location: format!("the AI clients {}", names.join(", ")),
            writable: true,
            abilities: Abilities {
                directories: false,
                symlinks: false,
                executable: false,
                moves: false,
                directory_moves: false,
                copies: false,
                size_max: Some(DOCUMENT_BYTES_MAX),
                ..Abilities::default()
            },
            only: Some(settings.document.clone()),
            marks: false,
            consistent_listing: true,
            watch: false,
            batch_max: 1,
            words: Words {
                gone: Some(
                    "none of the clients has a configuration any more: look whether your home is mounted",
                ),
                ..Words::default()
            },
        };
        let place = Place { settings, folder: request.folder.to_owned(), scanner };
        Ok(Self { place: Arc::new(place), capabilities, shown: Mutex::default() })
    }

    /// Does something that waits for the disk, on a thread that may wait.
    async fn on_place<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Place) -> T + Send + 'static,
    ) -> Result<T> {
        let place = Arc::clone(&self.place);
        match tokio::task::spawn_blocking(move || work(&place)).await {
            Ok(done) => Ok(done),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(Error::new(ErrorKind::Io, "the program is shutting down")),
        }
    }

    async fn look(&self) -> Result<Shown> {
        self.on_place(Place::look).await?
    }

    fn last(&self) -> Option<Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn path(&self) -> &ItemPath {
        &self.place.settings.document
    }

    /// The listing, without regard to what was agreed on.
    async fn list(&self, request: &ScanRequest) -> Result<Listing> {
        let path = self.path().clone();
        let mut listing = Listing { complete: true, ..Listing::default() };
        let looked = self.on_place(|place| {
            let document = look::document(&place.settings, &place.folder)?;
            let flaws = document.map(|text| look::flaws(&place.settings, &Document::parse(&text)));
            match flaws.unwrap_or_default() {
                flaws if flaws.is_empty() => Ok(Ok(place.look()?)),
                flaws => Ok(Err(flaws)),
            }
        });
        let shown = match looked.await? {
            Ok(Ok(shown)) => shown,
            Ok(Err(mut flaws)) => {
                listing.seen.insert(path, Seen::Unreadable(flaws.remove(0)));
                listing.problems = flaws;
                return Ok(listing);
            }
            Err(error) => {
                let problem: Problem = Error::to_problem(&error, path.as_str());
                listing.seen.insert(path, Seen::Unreadable(problem));
                return Ok(listing);
            }
        };
        let document = Document::parse(shown.document.as_deref().unwrap_or_default());
        let agreed = request.baseline.get(&path)?;
        let was = agreed.as_ref().map(|entry| &entry.versions[request.side]);
        if agreed.is_some() && shown.is_bare {
            listing.root = Root::Missing;
        } else if let (Some(text), true) = (&shown.text, agreed.is_some() || !shown.held.is_empty()) {
            // A document that was removed here takes nothing with it that clients still hold as it was agreed.
            let kept = was.filter(|was| shown.document.is_none() && is_same_state(was, &shown.version));
            let version = kept.unwrap_or(&shown.version).clone();
            let digest = Some(Digest::of(text.as_bytes()));
            let item = Item { kind: Kind::FILE, digest, size: text.len() as u64, modified: shown.modified };
            listing.seen.insert(path.clone(), Seen::Present(Found { item, version, moved_from: None }));
            listing.problems = differences(&path, &document, &shown);
        }
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown);
        Ok(listing)
    }

    /// Performs one step.
    async fn step(&self, step: &Step, batch: &Batch) -> Outcome {
        let path = step.path.as_str();
        let failed = |code, message: String| Outcome::Failed(Problem::new(path, code, message));
        if step.path != *self.path() {
            return failed(
                "unsupported",
                format!("the clients are shown as {} and as nothing else", self.path()),
            );
        }
        let Action::Write { item, .. } = &step.action else {
            let message = "the document was removed, and what clients hold is not removed with it: bring it back with `syncline restore`, or take the servers out by hand";
            return failed("unsupported", message.to_owned());
        };
        match self.write(step, item, batch).await {
            Ok(outcome) => outcome,
            Err(error) if error.kind() == ErrorKind::Changed && error.code() == CHANGED_THERE => {
                Outcome::Refused { found: error.to_string() }
            }
            Err(error) => Outcome::Failed(error.to_problem(path)),
        }
    }

    async fn write(&self, step: &Step, item: &Item, batch: &Batch) -> Result<Outcome> {
        let shown = self.look().await?;
        let expected = match &step.expected {
            Expected::Absent => shown.held.is_empty(),
            Expected::Present { version, .. } => is_same_state(version, &shown.version),
        };
        if !expected {
            return Ok(Outcome::Refused { found: "clients hold something else by now".to_owned() });
        }
        let content = batch.contents.open(step).await?;
        let bytes = self.on_place(move |_| whole(content)).await??;
        let digest = Digest::of(&bytes);
        if item.digest.is_some_and(|planned| planned != digest) {
            return Err(Error::new(ErrorKind::Damaged, "the content is not what was planned"));
        }
        let size = bytes.len() as u64;
        let text = String::from_utf8(bytes)
            .map_err(|_| Error::new(ErrorKind::Invalid, "the document is no UTF-8 text"))?;
        self.keep(step, &shown, batch).await?;
        let run = batch.run.clone();
        let version = self.on_place(move |place| place.push(&text, &run)).await??;
        Ok(Outcome::Applied { version, digest: Some(digest), size })
    }

    /// Makes the old rendering durable in history.
    async fn keep(&self, step: &Step, shown: &Shown, batch: &Batch) -> Result<()> {
        let Some(digest) = step.expected.keep() else { return Ok(()) };
        let texts = [self.last().and_then(|last| last.text), shown.text.clone()];
        let old = texts.into_iter().flatten().find(|text| Digest::of(text.as_bytes()) == digest);
        let Some(old) = old else {
            return Err(
                Error::new(ErrorKind::Changed, "the document has changed meanwhile").with_code(CHANGED_THERE)
            );
        };
        batch.history.keep(&digest, Content::bytes(old.into_bytes())).await?;
        batch.history.sync().await
    }
}

/// The code of a step that found something else than it expected.
const CHANGED_THERE: &str = "changed_there";

impl Place {
    fn look(&self) -> Result<Shown> {
        Shown::now(&self.settings, &self.folder, &self.scanner)
    }

    /// Writes what a document says into the configuration of the clients; gives the version that this leaves.
    fn push(&self, text: &str, run: &str) -> Result<Version> {
        let document = Document::parse(text);
        if let Some(flaw) = look::flaws(&self.settings, &document).into_iter().next() {
            return Err(Error::new(ErrorKind::Invalid, flaw.message).with_code(flaw.code));
        }
        let looked = Looked::now(&self.settings, &self.scanner)?;
        let made = push::replacements(&document, looked, self.settings.unnamed)
            .map_err(|against| Error::new(ErrorKind::Invalid, against.join("; ")).with_code("cannot_push"))?;
        files::replace(&made, run).map_err(|error| match error.kind() {
            ErrorKind::Changed => error.with_code(CHANGED_THERE),
            _ => error,
        })?;
        let after = Looked::now(&self.settings, &self.scanner)?;
        Ok(version(&after.held.fingerprint(), text))
    }

    /// What each client has, in words.
    fn health(&self) -> Result<Health> {
        let Looked { held, files } = Looked::now(&self.settings, &self.scanner)?;
        let mut warnings = Vec::new();
        let mut said = Vec::new();
        for ((client, file), chosen) in files.iter().zip(&self.settings.clients) {
            let count = held.servers.values().filter(|clients| clients.contains_key(client.name)).count();
            said.push(format!("{} has {count} MCP servers", client.name));
            if file.text.is_none() {
                warnings.push(format!(
                    "{} has no configuration yet ({})",
                    client.name,
                    chosen.path.display()
                ));
            }
        }
        Ok(Health { message: said.join(", "), writable: true, warnings })
    }
}

#[async_trait]
impl Endpoint for AiClientsEndpoint {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn check(&self) -> Result<Health> {
        self.on_place(Place::health).await?
    }

    async fn scan(&self, request: ScanRequest) -> Result<Snapshot> {
        let listing = self.list(&request).await?;
        snapshot_from_listing(&request, listing)
    }

    async fn read(&self, path: &ItemPath, version: &Version) -> Result<Content> {
        if path != self.path() {
            return Err(Error::new(ErrorKind::NotFound, format!("{path} is not there")));
        }
        let now = self.look().await?;
        let last =
            self.last().filter(|last| last.version == *version && is_same_state(&now.version, version));
        let shown = last.or_else(|| (now.version == *version).then_some(now));
        let gone = || Error::new(ErrorKind::Changed, format!("{path} has changed"));
        let text = shown.and_then(|shown| shown.text).ok_or_else(gone)?;
        Ok(Content::bytes(text.into_bytes()))
    }

    async fn apply(&self, batch: Batch) -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::with_capacity(batch.steps.len());
        for step in batch.steps.iter() {
            outcomes.push(self.step(step, &batch).await);
            batch.progress.add(1, step.bytes());
        }
        Ok(outcomes)
    }
}

/// Reads content to its end.
fn whole(content: Content) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = content.into_reader().take(DOCUMENT_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|error| match error.get_ref().is_some_and(|inner| inner.is::<ChangedWhileRead>()) {
        true => Error::new(ErrorKind::Changed, "the document changed while it was being read"),
        false => Error::io(error, "reading the document"),
    })?;
    Ok(bytes)
}

/// In what the document and the clients differ, for people.
fn differences(path: &ItemPath, document: &Document, shown: &Shown) -> Vec<Problem> {
    let mut said = compare::differences(document, &shown.held);
    let count = said.len();
    if count > DIFFERENCES_MAX {
        said.truncate(DIFFERENCES_MAX);
        said.push(format!("… and {} more differences", count - DIFFERENCES_MAX));
    }
    said.into_iter().map(|said| Problem::new(path.as_str(), "differs", said)).collect()
}
