//! Up to which moment the schedule of each target has been seen to: `schedule.json` in the state folder.
//!
//! The runs that are recorded do not tell it, since one that finds nothing to do leaves no record. What is in this file
//! only decides which moments are made up for, so that losing it costs at most a run too many.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use syncline_core::Nanos;

use crate::error::{Error, Result};
use crate::watching::{read, replace};

const FILE: &str = "schedule.json";
/// The version of the file's shape.
const VERSION: u32 = 1;

/// The last moment of each target's schedule that was seen to, or from which its schedule counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeenTo(pub BTreeMap<String, Nanos>);

#[derive(Serialize, Deserialize)]
struct Versioned {
    version: u32,
    seen_to: BTreeMap<String, Nanos>,
}

impl SeenTo {
    /// What the state folder `folder` holds; nothing when there is no such file, or it cannot be understood.
    #[must_use]
    pub fn read(folder: &Path) -> Self {
        let text = read(&folder.join(FILE));
        let versioned = text.and_then(|text| serde_json::from_str::<Versioned>(&text).ok());
        Self(versioned.filter(|file| file.version == VERSION).map(|file| file.seen_to).unwrap_or_default())
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let versioned = Versioned { version: VERSION, seen_to: self.0.clone() };
        let path = folder.join(FILE);
        let text = serde_json::to_vec(&versioned).map_err(io::Error::from);
        text.and_then(|text| replace(&path, &text)).map_err(|error| Error::io("write", &path, &error))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_was_seen_to_is_read_again_and_what_is_damaged_or_newer_counts_as_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        assert_eq!(SeenTo::read(folder), SeenTo::default());
        let seen = SeenTo([("notes".to_owned(), 7), ("photos".to_owned(), -1)].into());
        seen.write(folder).unwrap();
        assert_eq!(SeenTo::read(folder), seen);
        let text = fs::read_to_string(folder.join(FILE)).unwrap();
        for damaged in [&text[..text.len() / 2], "", "{\"version\":2,\"seen_to\":{\"notes\":7}}"] {
            fs::write(folder.join(FILE), damaged).unwrap();
            assert_eq!(SeenTo::read(folder), SeenTo::default(), "{damaged}");
        }
    }
}
