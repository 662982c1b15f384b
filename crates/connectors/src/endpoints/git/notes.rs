//! What is remembered beside the mirror: the last tip, marks, and listings that found nothing.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};
use syncline_connect::{Error, Result};

/// The version of the format; notes of another one are not read.
const VERSION: u32 = 1;

/// The notes of one mirror.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(super) struct Notes {
    version: u32,
    /// The branch that was used last.
    pub(super) branch: Option<String>,
    /// The commit that the branch was at when the mirror last took it; all of it is in the mirror.
    pub(super) tip: Option<String>,
    /// The marks, by the identifier under which they are kept.
    pub(super) marks: BTreeMap<String, Left>,
    /// In the clone of a person: the commit that the local branch was at when it was last brought along.
    #[serde(default)]
    pub(super) settled: Option<String>,
    /// The commit that was proposed last.
    #[serde(default)]
    pub(super) proposed: Option<String>,
    /// Listings that agreed with a baseline, by the identifier of the mark.
    pub(super) agreed: BTreeMap<String, Agreed>,
}

/// A mark, and the commit that the branch was at when it was left.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(super) struct Left {
    pub(super) mark: String,
    pub(super) commit: Option<String>,
}

/// A listing without a change.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(super) struct Agreed {
    /// The commit that was listed.
    pub(super) commit: String,
    /// The digest of baseline, rules and sentinel.
    pub(super) against: String,
    /// How many items were seen.
    pub(super) count: u64,
    /// Whether the sentinel was there, when one was asked for.
    pub(super) sentinel: Option<bool>,
    /// The paths that the rules left out.
    pub(super) ignored: Vec<String>,
}

impl Default for Notes {
    fn default() -> Self {
        Self {
            version: VERSION,
            branch: None,
            tip: None,
            marks: BTreeMap::new(),
            settled: None,
            proposed: None,
            agreed: BTreeMap::new(),
        }
    }
}

impl Notes {
    /// Reads the notes; notes that are missing, damaged or of another version are as none.
    pub(super) fn read(file: &Path) -> Self {
        let notes = std::fs::read(file).ok().and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok());
        notes.filter(|notes| notes.version == VERSION).unwrap_or_default()
    }

    /// Writes the notes in place of the old ones, durably.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(super) fn write(&self, file: &Path) -> Result<()> {
        let beside = file.with_extension("new");
        let written = serde_json::to_vec(self).map_err(std::io::Error::other).and_then(|bytes| {
            let mut new = std::fs::File::create(&beside)?;
            new.write_all(&bytes)?;
            new.sync_data()?;
            std::fs::rename(&beside, file)
        });
        written.map_err(|error| Error::io(error, format_args!("writing {}", file.display())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_read_back_and_damage_is_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("notes.json");
        let mut notes = Notes { tip: Some("abc".into()), ..Notes::default() };
        notes.marks.insert("m".into(), Left { mark: "word".into(), commit: None });
        notes.write(&file).unwrap();
        assert_eq!(Notes::read(&file), notes);
        std::fs::write(&file, b"{\"version\":1").unwrap();
        assert_eq!(Notes::read(&file), Notes::default());
        let newer = Notes { version: 99, ..notes };
        newer.write(&file).unwrap();
        assert_eq!(Notes::read(&file), Notes::default());
    }
}
