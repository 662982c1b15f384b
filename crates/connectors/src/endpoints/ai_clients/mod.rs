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
mod texts;
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
use held::Held;
use look::{DOCUMENT_BYTES_MAX, Looked, Shown, is_same_state, text_of, version};
use settings::{Effective, Settings, invalid};
use texts::Texts;

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
    /// What was shown last: a run that writes both sides may have written the document since.
    shown: Mutex<Option<Shown>>,
}

/// Where everything is.
struct Place {
    settings: Effective,
    folder: PathBuf,
    scanner: Scanner,
    texts: Texts,
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
            disturbs: false,
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
        let texts = Texts { folder: request.state.join(KIND.name) };
        let place = Place { settings, folder: request.folder.to_owned(), scanner, texts };
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
        let agreed = request.baseline.get(&path)?;
        let digest = agreed.as_ref().map(|entry| entry.digest);
        let durable = request.durable;
        let shown = match self.on_place(move |place| place.look(digest, durable)).await? {
            Ok(Ok(shown)) => shown,
            Ok(Err(mut flaws)) => {
                listing.seen.insert(path, Seen::Unreadable(flaws.remove(0)));
                listing.problems = flaws;
                return Ok(listing);
            }
            Err(error) => {
                listing.seen.insert(path.clone(), Seen::Unreadable(error.to_problem(path.as_str())));
                return Ok(listing);
            }
        };
        if agreed.is_some() && shown.is_bare {
            listing.root = Root::Missing;
        } else if let (Some(text), true) = (&shown.text, agreed.is_some() || !shown.is_empty) {
            // Where the text that was agreed on is not known any more, the state of the clients tells what changed.
            let was = agreed.as_ref().map(|entry| &entry.versions[request.side]);
            let same = was.filter(|was| !shown.is_settled && is_same_state(was, &shown.version));
            let version = same.unwrap_or(&shown.version).clone();
            let digest = Some(Digest::of(text.as_bytes()));
            let item = Item { kind: Kind::FILE, digest, size: text.len() as u64, modified: shown.modified };
            listing.seen.insert(path.clone(), Seen::Present(Found { item, version, moved_from: None }));
            listing.problems = told(&path, &shown.differences);
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
        let state = self.on_place(Place::state).await??;
        let expected = match &step.expected {
            Expected::Absent => state.is_empty(),
            Expected::Present { version: was, .. } => is_same_state(was, &version(&state.fingerprint(), "")),
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
        self.keep(step, batch).await?;
        let run = batch.run.clone();
        let state = state.fingerprint();
        let version = self.on_place(move |place| place.push(&text, &state, &run)).await??;
        Ok(Outcome::Applied { version, digest: Some(digest), size })
    }

    /// Makes the old text durable in history. One that is not known any more was agreed on, and is kept to merge from.
    async fn keep(&self, step: &Step, batch: &Batch) -> Result<()> {
        let Some(digest) = step.expected.keep() else { return Ok(()) };
        let last =
            self.last().and_then(|last| last.text).filter(|text| Digest::of(text.as_bytes()) == digest);
        let old = match last {
            None => self.on_place(move |place| place.texts.get(&digest)).await?,
            last => last,
        };
        if let Some(old) = old {
            batch.history.keep(&digest, Content::bytes(old.into_bytes())).await?;
            batch.history.sync().await?;
        }
        Ok(())
    }
}

/// The code of a step that found something else than it expected.
const CHANGED_THERE: &str = "changed_there";

impl Place {
    /// Looks at everything; `Err` in it is what is wrong with the document. With `durable`, what is shown is remembered.
    fn look(&self, agreed: Option<Digest>, durable: bool) -> Result<Result<Shown, Vec<Problem>>> {
        let document = look::document(&self.settings, &self.folder)?;
        let flaws = document.as_deref().map(|text| look::flaws(&self.settings, &Document::parse(text)));
        if let Some(flaws) = flaws.filter(|flaws| !flaws.is_empty()) {
            return Ok(Err(flaws));
        }
        let agreed = agreed.and_then(|digest| self.texts.get(&digest));
        let shown = Shown::now(&self.settings, document.as_deref(), &self.scanner, agreed.as_deref())?;
        if let Some(text) = shown.text.as_ref().filter(|_| durable) {
            self.texts.put(text);
        }
        Ok(Ok(shown))
    }

    /// What clients hold.
    fn state(&self) -> Result<Held> {
        Ok(Looked::now(&self.settings, &self.scanner)?.held)
    }

    /// Writes what a document says into the configuration of the clients, if they are in that state; gives the version that
    /// this leaves.
    fn push(&self, text: &str, state: &Digest, run: &str) -> Result<Version> {
        let document = Document::parse(text);
        if let Some(flaw) = look::flaws(&self.settings, &document).into_iter().next() {
            return Err(Error::new(ErrorKind::Invalid, flaw.message).with_code(flaw.code));
        }
        let looked = Looked::now(&self.settings, &self.scanner)?;
        // What was read here is what will be replaced: it must be what the step expects, or a newcomer would be removed.
        if looked.held.fingerprint() != *state {
            let message = "clients hold something else by now";
            return Err(Error::new(ErrorKind::Changed, message).with_code(CHANGED_THERE));
        }
        let made = push::replacements(&document, looked, self.settings.unnamed)
            .map_err(|against| Error::new(ErrorKind::Invalid, against.join("; ")).with_code("cannot_push"))?;
        files::replace(&made, run).map_err(|error| match error.kind() {
            ErrorKind::Changed => error.with_code(CHANGED_THERE),
            _ => error,
        })?;
        self.texts.put(text);
        Ok(version(&self.state()?.fingerprint(), text))
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
        let state = self.on_place(Place::state).await??;
        let gone = || Error::new(ErrorKind::Changed, format!("{path} has changed"));
        if !is_same_state(version, &look::version(&state.fingerprint(), "")) {
            return Err(gone());
        }
        let last = self.last().filter(|last| last.version == *version).and_then(|last| last.text);
        let digest = text_of(version).ok_or_else(gone)?;
        let text = match last {
            None => self.on_place(move |place| place.texts.get(&digest)).await?,
            last => last,
        };
        let text = text.ok_or_else(gone)?;
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
fn told(path: &ItemPath, differences: &[String]) -> Vec<Problem> {
    let shown = differences.iter().take(DIFFERENCES_MAX).cloned();
    let more = differences.len().saturating_sub(DIFFERENCES_MAX);
    let more = (more > 0).then(|| format!("… and {more} more differences"));
    shown.chain(more).map(|said| Problem::new(path.as_str(), "differs", said)).collect()
}
