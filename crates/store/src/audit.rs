//! The audit log: `audit.jsonl` in the state folder, one line for each thing that somebody had changed.
//!
//! Each record holds the hash of the one before it and its own: BLAKE3 over the hash before, as 32 bytes, and the record
//! as it is written, without its two hashes. So whoever changes, takes out or adds a line breaks the chain, and whoever
//! writes all of it anew ends with another last hash. What was cut off at the end can only be seen by whoever knows a hash
//! that was there: it is told, so that it can be kept elsewhere.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use syncline_core::{Digest, Nanos};

use crate::error::{Error, Result};
use crate::platform;

const FILE: &str = "audit.jsonl";
/// Longest line; what callers name is cut to fit.
const LINE_BYTES_MAX: u64 = 64 << 10;
/// Longest text of a record, in characters.
const TEXT_MAX: usize = 300;
/// Most targets of a record.
const TARGETS_MAX: usize = 100;

/// What somebody had changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditEntry {
    /// When it ended.
    pub at: Nanos,
    /// Who asked.
    pub caller: String,
    /// How: by the command line, over HTTP.
    pub face: String,
    /// What was asked: the name of a use case.
    pub operation: String,
    /// The targets that it was about; all targets when there are none.
    pub targets: Vec<String>,
    /// What it was about besides, such as the run that was taken back.
    pub about: String,
    /// What came of it.
    pub outcome: String,
}

/// A record of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// Its number, from 1.
    pub sequence: u64,
    /// What was changed.
    pub entry: AuditEntry,
    /// Its hash.
    pub hash: Digest,
}

/// Where the chain is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Break {
    /// The line, from 1, which is the number that the record should have.
    pub line: u64,
    /// Why it does not hold.
    pub reason: &'static str,
}

/// The log of a state folder.
#[derive(Clone, Debug)]
pub struct AuditLog(PathBuf);

/// What is hashed.
#[derive(Serialize)]
struct Hashed<'a> {
    sequence: u64,
    entry: &'a AuditEntry,
}

/// What is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    sequence: u64,
    entry: AuditEntry,
    previous: String,
    hash: String,
}

impl AuditLog {
    /// The log of the state folder `folder`, which need not exist.
    #[must_use]
    pub fn of(folder: &Path) -> Self {
        Self(folder.join(FILE))
    }

    /// Appends what was changed, durably; other processes wait for their turn.
    ///
    /// A line that was cut short at the end, by a power loss, was never acknowledged: it is written over.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn append(&self, entry: AuditEntry) -> Result<AuditRecord> {
        let failed = |error: io::Error| Error::io("write", &self.0, &error);
        let is_new = !self.0.exists();
        if let Some(folder) = self.0.parent().filter(|folder| !folder.exists()) {
            platform::create_private_folder(folder).map_err(failed)?;
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = platform::private_file(&mut options).open(&self.0).map_err(failed)?;
        file.lock().map_err(failed)?;
        let (end, sequence, previous) = last(&mut file).map_err(failed)?;
        let entry = short(entry);
        let sequence = sequence + 1;
        let hash = chained(&previous, sequence, &entry).map_err(failed)?;
        let line = Line { sequence, entry, previous: previous.to_string(), hash: hash.to_string() };
        let mut text = serde_json::to_vec(&line).map_err(|error| failed(error.into()))?;
        text.push(b'\n');
        file.set_len(end).map_err(failed)?;
        file.seek(SeekFrom::Start(end)).map_err(failed)?;
        file.write_all(&text).and_then(|()| file.sync_data()).map_err(failed)?;
        if is_new && let Some(folder) = self.0.parent() {
            platform::sync_directory(folder).map_err(failed)?;
        }
        Ok(AuditRecord { sequence, entry: line.entry, hash })
    }

    /// All records up to the first that does not hold, oldest first, and where the chain is broken.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(&self) -> Result<(Vec<AuditRecord>, Option<Break>)> {
        let failed = |error: io::Error| Error::io("read", &self.0, &error);
        let file = match File::open(&self.0) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), None)),
            Err(error) => return Err(failed(error)),
        };
        let mut lines = BufReader::new(file);
        let mut records: Vec<AuditRecord> = Vec::new();
        let mut previous = Digest([0; 32]);
        loop {
            let mut text = Vec::new();
            let limited = &mut (&mut lines).take(LINE_BYTES_MAX);
            limited.read_until(b'\n', &mut text).map_err(failed)?;
            let number = records.len() as u64 + 1;
            let Some(text) = text.strip_suffix(b"\n") else {
                // Nothing, or what was cut short: that is the next record's to write over.
                let is_long = text.len() as u64 == LINE_BYTES_MAX;
                let broken = is_long.then_some(Break { line: number, reason: "it is no record" });
                return Ok((records, broken));
            };
            match checked(text, number, &previous) {
                Ok(record) => {
                    previous = record.hash;
                    records.push(record);
                }
                Err(reason) => return Ok((records, Some(Break { line: number, reason }))),
            }
        }
    }
}

/// Reads a line that must be the record of a number and follow a hash.
fn checked(text: &[u8], number: u64, previous: &Digest) -> std::result::Result<AuditRecord, &'static str> {
    let line: Line = serde_json::from_slice(text).map_err(|_| "it is no record")?;
    // Written in another way it could say one thing to people and another to the hash.
    if serde_json::to_vec(&line).ok().as_deref() != Some(text) {
        return Err("it is not as it was written");
    }
    if line.sequence != number {
        return Err("its number does not follow: records are missing or were put in");
    }
    if line.previous != previous.to_string() {
        return Err("it does not follow the record before it");
    }
    let hash = chained(previous, number, &line.entry).map_err(|_| "it is no record")?;
    if line.hash != hash.to_string() {
        return Err("it was changed: its hash is another one");
    }
    Ok(AuditRecord { sequence: number, entry: line.entry, hash })
}

/// The hash of a record after another one.
fn chained(previous: &Digest, sequence: u64, entry: &AuditEntry) -> io::Result<Digest> {
    let text = serde_json::to_vec(&Hashed { sequence, entry })?;
    let mut hasher = blake3::Hasher::new();
    hasher.update(&previous.0).update(&text);
    Ok(hasher.finalize().into())
}

/// Where the next line begins, and number and hash of the record before it.
fn last(file: &mut File) -> io::Result<(u64, u64, Digest)> {
    let length = file.seek(SeekFrom::End(0))?;
    // Two lines of the greatest length hold the last whole one for certain.
    let from = length.saturating_sub(2 * LINE_BYTES_MAX);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    let Some(end) = tail.iter().rposition(|byte| *byte == b'\n') else {
        return Ok((0, 0, Digest([0; 32])));
    };
    let start = tail[..end].iter().rposition(|byte| *byte == b'\n').map_or(0, |before| before + 1);
    let text = &tail[start..end];
    let after = from + end as u64 + 1;
    if let Ok(line) = serde_json::from_slice::<Line>(text)
        && let Some(hash) = Digest::from_hex(&line.hash)
    {
        return Ok((after, line.sequence, hash));
    }
    // Somebody damaged it, which everybody who checks is told of: that must not keep what happens now from being noted.
    file.seek(SeekFrom::Start(0))?;
    let lines = BufReader::new(file).split(b'\n').count() as u64;
    Ok((after, lines, Digest::of(text)))
}

/// An entry within its limits, each text on one line.
fn short(entry: AuditEntry) -> AuditEntry {
    let cut = |text: String| -> String {
        text.chars().map(|char| if char.is_control() { ' ' } else { char }).take(TEXT_MAX).collect()
    };
    AuditEntry {
        at: entry.at,
        caller: cut(entry.caller),
        face: cut(entry.face),
        operation: cut(entry.operation),
        targets: entry.targets.into_iter().take(TARGETS_MAX).map(cut).collect(),
        about: cut(entry.about),
        outcome: cut(entry.outcome),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn entry(number: i64) -> AuditEntry {
        AuditEntry {
            at: number,
            caller: "ada".to_owned(),
            face: "http".to_owned(),
            operation: "start_run".to_owned(),
            targets: vec!["notes".to_owned()],
            about: String::new(),
            outcome: "done\nbut".to_owned(),
        }
    }

    fn filled(folder: &Path, count: i64) -> AuditLog {
        let log = AuditLog::of(folder);
        for number in 0..count {
            log.append(entry(number)).unwrap();
        }
        log
    }

    #[test]
    fn records_follow_each_other_and_survive_a_line_that_was_cut_short() {
        let folder = tempfile::tempdir().unwrap();
        let log = AuditLog::of(folder.path());
        assert_eq!(log.read().unwrap(), (Vec::new(), None));
        filled(folder.path(), 3);
        let text = fs::read(folder.path().join(FILE)).unwrap();
        for cut in 1..40 {
            fs::write(folder.path().join(FILE), [&text[..], &text[..cut]].concat()).unwrap();
            assert_eq!(log.read().unwrap().0.len(), 3);
        }
        let appended = log.append(entry(9)).unwrap();
        let (records, broken) = log.read().unwrap();
        assert_eq!((records.len(), broken, records.last()), (4, None, Some(&appended)));
        assert_eq!((appended.sequence, appended.entry.outcome.as_str()), (4, "done but"));
    }

    #[test]
    fn any_byte_that_is_changed_breaks_the_chain_at_its_record() {
        let folder = tempfile::tempdir().unwrap();
        let log = filled(folder.path(), 3);
        let file = folder.path().join(FILE);
        let text = fs::read(&file).unwrap();
        let second = text.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        let third = second + text[second..].iter().position(|byte| *byte == b'\n').unwrap() + 1;
        for at in second..third {
            let mut changed = text.clone();
            changed[at] ^= 1;
            fs::write(&file, &changed).unwrap();
            let (records, broken) = log.read().unwrap();
            assert_eq!((records.len(), broken.map(|broken| broken.line)), (1, Some(2)), "byte {at}");
        }
        // Taken out, exchanged, and put in twice.
        let (first, middle, last) = (&text[..second], &text[second..third], &text[third..]);
        for changed in
            [[first, last].concat(), [first, last, middle].concat(), [first, middle, middle, last].concat()]
        {
            fs::write(&file, changed).unwrap();
            assert!(log.read().unwrap().1.is_some());
        }
        // What happens after somebody damaged it is noted all the same.
        fs::write(&file, [first, b"nonsense\n"].concat()).unwrap();
        assert_eq!(log.append(entry(7)).unwrap().sequence, 3);
        assert_eq!(log.read().unwrap().1.map(|broken| broken.line), Some(2));
    }

    #[test]
    fn what_is_written_anew_ends_with_another_hash() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let head = |log: &AuditLog| log.read().unwrap().0.last().unwrap().hash;
        let log = filled(one.path(), 2);
        let forged = AuditLog::of(other.path());
        forged.append(AuditEntry { caller: "nobody".to_owned(), ..entry(0) }).unwrap();
        forged.append(entry(1)).unwrap();
        assert_eq!(forged.read().unwrap().1, None);
        assert_ne!(head(&log), head(&forged));
    }
}
