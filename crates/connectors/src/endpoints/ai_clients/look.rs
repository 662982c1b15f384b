//! Looking at the document and at everything that clients hold.

use std::fs;
use std::path::Path;

use syncline_connect::{Error, ErrorKind, Result};
use syncline_core::secrets::Scanner;
use syncline_core::{Digest, Problem, Version};

use super::clients::Client;
use super::compare::{agreement, counted, differences};
use super::configuration;
use super::document::Document;
use super::files::{self, Loaded};
use super::held::{Held, Way};
use super::lists;
use super::render;
use super::settings::Effective;

/// The largest document that is read, in bytes.
pub(super) const DOCUMENT_BYTES_MAX: u64 = 4 << 20;

/// What clients hold at one moment, with the files that say so.
pub(super) struct Looked {
    pub(super) held: Held,
    pub(super) files: Vec<(&'static Client, Loaded)>,
}

/// What the remote side is at one moment: the document as it would be if it said what clients hold.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    /// The text; `None` when there is nothing to show.
    pub(super) text: Option<String>,
    pub(super) version: Version,
    /// When the youngest of the files was changed.
    pub(super) modified: i64,
    /// Whether none of the clients has any configuration.
    pub(super) is_bare: bool,
    /// Whether they have anything that counts.
    pub(super) is_empty: bool,
    /// Whether its text tells what clients changed: it is that of the workspace, or goes on from what was agreed on.
    pub(super) is_settled: bool,
    /// In what the document of the workspace and clients differ, in words.
    pub(super) differences: Vec<String>,
}

impl Looked {
    /// Reads everything that clients hold.
    ///
    /// # Errors
    /// When one of them cannot be read or understood: then nothing of it counts as absent.
    pub(super) fn now(settings: &Effective, scanner: &Scanner) -> Result<Self> {
        let (mut held, mut read) = (Held::default(), Vec::new());
        for chosen in &settings.clients {
            let odd = |why: String| {
                let message = format!("{}: {why}", chosen.path.display());
                Error::new(ErrorKind::Invalid, message)
                    .with_code("unreadable_client")
                    .with_hint("mend it by hand: it is never overwritten as it is")
            };
            let loaded = files::load(&chosen.path)?;
            let servers = configuration::read(chosen.client, loaded.text.as_deref().unwrap_or_default())
                .map_err(odd)?;
            for (name, server) in &servers {
                if tells_secret(scanner, &server.definition.way) {
                    let message = format!(
                        "{}: the server `{name}` has what looks like a secret in its command or address",
                        chosen.path.display()
                    );
                    return Err(Error::new(ErrorKind::Invalid, message)
                        .with_code("secret_in_command")
                        .with_hint(
                            "hand it over in a variable of `env`: commands are shown in the document",
                        ));
                }
            }
            held.add(chosen.client.name, servers);
            read.push((chosen.client, loaded));
        }
        held.agents = settings.agents.as_deref().map(lists::agents).transpose()?;
        held.skills = settings.skills.as_deref().map(lists::skills).transpose()?;
        Ok(Self { held, files: read })
    }
}

/// Whether a command or an address, which a document shows, looks as if it held a secret.
fn tells_secret(scanner: &Scanner, way: &Way) -> bool {
    let has_user = match way {
        Way::Url(url) => url.split_once("://").is_some_and(|(_, rest)| {
            rest.split(['/', '?', '#']).next().is_some_and(|host| host.contains('@'))
        }),
        Way::Command(_) => false,
    };
    has_user || !scanner.scan(render::way(way).as_bytes()).is_empty()
}

impl Shown {
    /// Looks at everything now; `agreed` is the text that both sides last agreed on.
    ///
    /// # Errors
    /// When something cannot be read, or what clients hold cannot be shown.
    pub(super) fn now(
        settings: &Effective,
        document: Option<&str>,
        scanner: &Scanner,
        agreed: Option<&str>,
    ) -> Result<Self> {
        let Looked { held, files } = Looked::now(settings, scanner)?;
        let fingerprint = held.fingerprint();
        let modified = files.iter().map(|(_, file)| file.modified).max().unwrap_or_default();
        let is_bare = held.is_empty() && files.iter().all(|(_, file)| file.text.is_none());
        let parsed = Document::parse(document.unwrap_or_default());
        let here = counted(&parsed, held.clone(), settings.unnamed);
        let text = match (document, agreed) {
            (None, None) if here.is_empty() => None,
            // What says just what clients have is shown as it is: a person may write prose at any time.
            (Some(text), _) if agreement(&parsed, &here).is_full() => Some(text.to_owned()),
            (document, agreed) => {
                let frame = agreed.or(document).unwrap_or_default();
                let there = counted(&Document::parse(frame), held, settings.unnamed);
                let odd = |why| Error::new(ErrorKind::Invalid, format!("{}: {why}", settings.document));
                Some(render::render(frame, &there).map_err(odd)?)
            }
        };
        let is_settled = agreed.is_some() || text.as_deref() == document;
        let is_empty = here.is_empty();
        let differences = document.map(|_| differences(&parsed, &here)).unwrap_or_default();
        let version = version(&fingerprint, text.as_deref().unwrap_or_default());
        Ok(Self { text, version, modified, is_bare, is_empty, is_settled, differences })
    }
}

/// The version of a rendering: what clients hold comes first, then the text. A step needs the first half alone, since its
/// own run may have written the document already.
pub(super) fn version(fingerprint: &Digest, text: &str) -> Version {
    Version::new(&[fingerprint.0, Digest::of(text.as_bytes()).0].concat())
}

/// Whether two versions are of the same state of the clients.
pub(super) fn is_same_state(one: &Version, other: &Version) -> bool {
    one.as_bytes().len() == 64 && one.as_bytes().get(..32) == other.as_bytes().get(..32)
}

/// The digest of the text of a version.
pub(super) fn text_of(version: &Version) -> Option<Digest> {
    Some(Digest(version.as_bytes().get(32..)?.try_into().ok()?))
}

/// The document in the workspace; `None` when it is not there.
pub(super) fn document(settings: &Effective, folder: &Path) -> Result<Option<String>> {
    let path = folder.join(settings.document.as_str());
    let what = || format!("reading {}", settings.document);
    match fs::symlink_metadata(&path) {
        Err(error)
            if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(Error::io(error, what())),
        Ok(metadata) if !metadata.is_file() => {
            let message = format!("{} is no file of its own", settings.document);
            return Err(
                Error::new(ErrorKind::Invalid, message).with_hint("name the file itself, not a link to it")
            );
        }
        Ok(_) => {}
    }
    let bytes = files::read(&path, DOCUMENT_BYTES_MAX).map_err(|error| Error::io(error, what()))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Error::new(ErrorKind::Invalid, format!("{} is no UTF-8 text", settings.document)))?;
    Ok(Some(text))
}

/// What is wrong with a document, line by line: of what it lists, and of its sections.
pub(super) fn flaws(settings: &Effective, document: &Document) -> Vec<Problem> {
    let path = settings.document.as_str();
    let at = |line: &usize, said: &str| format!("line {line}: {said}");
    let sections = settings.sections.as_ref().map(|sections| sections.violations(&document.headings));
    let flaws = document.flaws.iter().map(|(line, said)| Problem::new(path, "document", at(line, said)));
    let violations =
        sections.iter().flatten().map(|(line, said)| Problem::new(path, "sections", at(line, said)));
    flaws.chain(violations).collect()
}
