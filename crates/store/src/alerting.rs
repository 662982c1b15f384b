//! What is watched over, and what is still to be told about it: `alerts.json` in the state folder.
//!
//! Alerts and the notices that wait to be sent are one small file that is replaced as a whole: a notice is on disk before
//! it is sent, together with the state that led to it. A file that is damaged counts as nothing, so that what holds is
//! told again: twice rather than never.
//!
//! `alerts.ack.json` holds what people have acknowledged. It is written by whoever they ask, and only read by whoever
//! watches over the workspace, so that neither overwrites the other.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use syncline_core::{Digest, Nanos};

use crate::error::{Error, Result};
use crate::platform;
use crate::watching::read;

const BOOK: &str = "alerts.json";
const ACKNOWLEDGED: &str = "alerts.ack.json";
const PEERS: &str = "peers.json";
/// The version of the files' shapes.
const VERSION: u32 = 1;

/// Everything that is known of alerts from one moment to the next.
///
/// Times called `clock` count the nanoseconds during which somebody watched, and nothing else: a wall clock that jumps
/// does not move them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertBook {
    /// A random word that begins the identifiers of its deliveries, so that those of a lost book never come again.
    pub name: String,
    /// How long has been watched, in all.
    pub clock: Nanos,
    /// The last number that was given to an alert, an incident or a delivery.
    pub serial: u64,
    /// The process that watches; it takes its name out when it ends as it should.
    pub running: Option<String>,
    /// What is wrong, and what was wrong and has still to be told.
    pub alerts: Vec<AlertRecord>,
    /// What was told together, as long as any of it is wrong.
    pub incidents: Vec<IncidentRecord>,
    /// When each alert was last told, by rule and subject, as long as that keeps it from being told again.
    pub cooling: BTreeMap<String, Nanos>,
    /// What is to be sent, the oldest first.
    pub deliveries: Vec<DeliveryRecord>,
    /// The messages that can be edited.
    pub handles: Vec<HandleRecord>,
    /// Since when what has an age is as it is.
    pub ages: AgesRecord,
}

/// Since when what has an age is as it is, by the book's clock: a wall clock is asked only when it is first seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgesRecord {
    /// The last success of each target: by the wall clock, which tells one from another, and by the book's.
    pub agreed: BTreeMap<String, (Nanos, Nanos)>,
    /// When each open conflict was opened.
    pub conflicts: BTreeMap<String, Nanos>,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertRecord {
    /// Names it to people who acknowledge it.
    pub id: u64,
    /// The rule that found it.
    pub rule: String,
    /// What it concerns: a target, a peer, a disk.
    pub subject: String,
    /// Whether it cannot wait until the morning.
    pub critical: bool,
    /// What is wrong, in one line.
    pub message: String,
    /// Since when, by the wall clock.
    pub since: Nanos,
    /// From when on it may be told, by the book's clock.
    pub tell_from: Nanos,
    /// Since when it seems to be right again, by the book's clock.
    pub calm: Option<Nanos>,
    /// When it became right again, by the wall clock: all that is left is to tell it.
    pub cleared: Option<Nanos>,
    /// The incident in which it was told.
    pub incident: Option<u64>,
    /// What it follows from, and until when it is therefore not told, by the book's clock.
    pub inhibited: Option<Inhibited>,
    /// Whether it is not told only because people are not to be disturbed.
    pub held: bool,
    /// Whether somebody knows of it.
    pub acknowledged: bool,
}

/// Why an alert is not told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inhibited {
    /// The rule and the subject of the alert that it follows from.
    pub by: String,
    /// Until when, by the book's clock.
    pub until: Nanos,
}

/// Alerts that were told in one message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentRecord {
    /// Its number.
    pub id: u64,
    /// Its alerts, as they are now.
    pub lines: Vec<LineRecord>,
}

/// An alert in a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineRecord {
    /// The number of the alert.
    pub alert: u64,
    /// The rule that found it.
    pub rule: String,
    /// What it concerns.
    pub subject: String,
    /// Whether it cannot wait until the morning.
    pub critical: bool,
    /// What is wrong, in one line.
    pub message: String,
    /// Since when, by the wall clock.
    pub since: Nanos,
    /// When it became right again, by the wall clock.
    pub cleared: Option<Nanos>,
}

/// A message that is to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryRecord {
    /// Tells it from every other one, so that a receiver can know it again.
    pub id: String,
    /// The channel to which it goes.
    pub channel: String,
    /// The incident.
    pub incident: u64,
    /// The alerts of the incident, as they were then.
    pub lines: Vec<LineRecord>,
    /// When it was made, by the wall clock.
    pub made: Nanos,
    /// How often it was tried in vain.
    pub tries: u32,
    /// When it is to be tried next, by the book's clock.
    pub next: Nanos,
    /// Whether the receiver has asked not to be tried before that.
    #[serde(default)]
    pub asked: bool,
    /// Why the last try failed.
    pub error: Option<String>,
}

/// A message that was sent, and that can be edited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandleRecord {
    /// The channel.
    pub channel: String,
    /// The incident.
    pub incident: u64,
    /// The channel's name for the message.
    pub message: String,
}

/// What people have acknowledged, by the number of the alert.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledged(pub BTreeMap<u64, Acknowledgement>);

/// Somebody knows of an alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// When it was acknowledged.
    pub at: Nanos,
    /// What they had to say about it.
    pub note: Option<String>,
}

/// What is known of other nodes: `peers.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeersRecord {
    /// The number of this node's own life: each one has a greater one.
    pub boot: u64,
    /// When this was written.
    pub at: Nanos,
    /// The nodes, by name.
    pub peers: BTreeMap<String, PeerRecord>,
    /// How many datagrams were dropped, by why.
    pub dropped: BTreeMap<String, u64>,
}

/// What is known of another node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerRecord {
    /// What is believed of it.
    pub state: String,
    /// The boot and the counter of the last heartbeat that counted: no older one counts any more, also after a start.
    pub counted: Option<(u64, u64)>,
    /// When that arrived, by the wall clock.
    pub heard: Option<Nanos>,
}

impl PeersRecord {
    /// What the state folder holds; nothing when there is none, or it cannot be understood.
    #[must_use]
    pub fn read(folder: &Path) -> Self {
        unsealed(&folder.join(PEERS)).unwrap_or_default()
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        sealed(&folder.join(PEERS), self)
    }
}

#[derive(Serialize, Deserialize)]
struct Sealed<T> {
    version: u32,
    seal: String,
    content: T,
}

impl AlertBook {
    /// What the state folder holds; `None` when there is none, or it cannot be understood.
    #[must_use]
    pub fn read(folder: &Path) -> Option<Self> {
        unsealed(&folder.join(BOOK))
    }

    /// Writes it, whole or not at all, and so that it outlives a power loss.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        sealed(&folder.join(BOOK), self)
    }

    /// Another number.
    pub const fn number(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }
}

impl Acknowledged {
    /// What the state folder holds; nothing when there is none, or it cannot be understood.
    #[must_use]
    pub fn read(folder: &Path) -> Self {
        unsealed(&folder.join(ACKNOWLEDGED)).unwrap_or_default()
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        sealed(&folder.join(ACKNOWLEDGED), self)
    }
}

fn seal(content: &impl Serialize) -> io::Result<String> {
    Ok(Digest::of(&serde_json::to_vec(content)?).to_string())
}

fn unsealed<T: Serialize + DeserializeOwned>(path: &Path) -> Option<T> {
    let file: Sealed<T> = serde_json::from_str(&read(path)?).ok()?;
    let holds = file.version == VERSION && seal(&file.content).is_ok_and(|seal| seal == file.seal);
    holds.then_some(file.content)
}

fn sealed<T: Serialize>(path: &Path, content: &T) -> Result<()> {
    let write = || {
        let file = Sealed { version: VERSION, seal: seal(content)?, content };
        let new = path.with_extension(format!("{}.new", std::process::id()));
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        let mut out = platform::private_file(&mut options).open(&new)?;
        out.write_all(&serde_json::to_vec(&file)?)?;
        out.sync_all()?;
        fs::rename(&new, path)
    };
    write().map_err(|error| Error::io("write", path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_book_is_read_again_and_what_is_damaged_or_newer_counts_as_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        assert_eq!(AlertBook::read(folder), None);
        let line = LineRecord {
            alert: 1,
            rule: "stale".to_owned(),
            subject: "notes".to_owned(),
            critical: false,
            message: "nothing for 3h".to_owned(),
            since: 7,
            cleared: None,
        };
        let book = AlertBook {
            name: "x".to_owned(),
            clock: 5,
            serial: 3,
            incidents: vec![IncidentRecord { id: 2, lines: vec![line] }],
            cooling: [("stale notes".to_owned(), 4)].into(),
            ..AlertBook::default()
        };
        book.write(folder).unwrap();
        assert_eq!(AlertBook::read(folder), Some(book));
        let text = fs::read_to_string(folder.join(BOOK)).unwrap();
        let damaged = [
            text[..text.len() / 2].to_owned(),
            String::new(),
            text.replace("notes", "n0tes"),
            text.replace("\"version\":1", "\"version\":2"),
        ];
        for damaged in damaged {
            fs::write(folder.join(BOOK), &damaged).unwrap();
            assert_eq!(AlertBook::read(folder), None, "{damaged}");
        }
    }

    #[test]
    fn acknowledgements_are_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let given = Acknowledgement { at: 9, note: Some("on it".to_owned()) };
        let given = Acknowledged([(3, given)].into());
        given.write(folder.path()).unwrap();
        assert_eq!(Acknowledged::read(folder.path()), given);
    }
}
