//! What becomes of each key of an old file, told so that no secret is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use syncline_core::secrets::Scanner;

use super::values;
use crate::problem::{Problem, Result};

/// Most keys of a file that are told one by one.
const TOLD_MAX: usize = 200;
/// Longest key that is repeated, in characters.
const KEY_CHARS_MAX: usize = 60;

/// What became of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Told {
    /// The file, as it was named.
    pub file: String,
    /// The key, with those above it.
    pub key: String,
    /// What became of it.
    pub fate: Fate,
    /// Where it went, or why it went nowhere.
    pub message: String,
}

/// What became of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It is in the configuration.
    Taken,
    /// It is in the configuration as a comment: this version does nothing with it.
    Commented,
    /// It is not in the configuration.
    Left,
}

/// Collects what becomes of the keys of one file.
pub(super) struct Notes {
    file: String,
    scanner: Scanner,
    told: Vec<Told>,
    more: usize,
}

impl Notes {
    /// Notes about a file.
    pub(super) fn new(file: &str) -> Result<Self> {
        let scanner = Scanner::new(&[]);
        let scanner = scanner.map_err(|error| Problem::usage("bad_pattern", error.to_string()))?;
        Ok(Self { file: file.to_owned(), scanner, told: Vec::new(), more: 0 })
    }

    /// The key is in the configuration.
    pub(super) fn taken(&mut self, key: &str, message: impl Into<String>) {
        self.tell(key, Fate::Taken, message.into());
    }

    /// The key is in the configuration as a comment.
    pub(super) fn commented(&mut self, key: &str, message: impl Into<String>) {
        self.tell(key, Fate::Commented, message.into());
    }

    /// The key is not in the configuration.
    pub(super) fn left(&mut self, key: &str, message: impl Into<String>) {
        self.tell(key, Fate::Left, message.into());
    }

    /// Puts a value where it belongs, unless another file has put another one there.
    pub(super) fn put<T: PartialEq>(&mut self, slot: &mut Option<T>, value: T, key: &str, place: &str) {
        self.settle(slot, value, key, Fate::Taken, format!("is `{place}`"));
    }

    /// As [`Notes::put`], for what becomes a comment.
    pub(super) fn put_comment<T: PartialEq>(
        &mut self,
        slot: &mut Option<T>,
        value: T,
        key: &str,
        message: impl Into<String>,
    ) {
        self.settle(slot, value, key, Fate::Commented, message.into());
    }

    /// Something that another file has said already, and differently.
    pub(super) fn known_already(&mut self, key: &str) {
        self.left(key, "something else is already known of it, and counts");
    }

    /// Text that may be repeated: a value that is text, and does not look like a secret.
    pub(super) fn plain<'a>(&self, value: &'a Value) -> Option<&'a str> {
        value.as_str().filter(|text| self.is_plain(text))
    }

    /// Whether text may be repeated.
    pub(super) fn is_plain(&self, text: &str) -> bool {
        text.len() <= values::TEXT_BYTES_MAX && self.scanner.scan(text.as_bytes()).is_empty()
    }

    /// What was told, and how much more there was.
    pub(super) fn finish(mut self) -> Vec<Told> {
        if self.more > 0 {
            let message = format!("{} more keys are not taken over", self.more);
            self.told.push(Told { file: self.file, key: "…".to_owned(), fate: Fate::Left, message });
        }
        self.told
    }

    fn settle<T: PartialEq>(
        &mut self,
        slot: &mut Option<T>,
        value: T,
        key: &str,
        fate: Fate,
        message: String,
    ) {
        if slot.as_ref().is_some_and(|there| *there != value) {
            self.known_already(key);
            return;
        }
        *slot = Some(value);
        self.tell(key, fate, message);
    }

    fn tell(&mut self, key: &str, fate: Fate, message: String) {
        if fate == Fate::Left && self.told.len() >= TOLD_MAX {
            self.more += 1;
            return;
        }
        let key =
            if self.is_plain(key) { cropped(key) } else { "(a key that looks like a secret)".to_owned() };
        self.told.push(Told { file: self.file.clone(), key, fate, message });
    }
}

fn cropped(key: &str) -> String {
    let mut cropped: String = key.chars().take(KEY_CHARS_MAX).collect();
    if cropped.len() < key.len() {
        cropped.push('…');
    }
    cropped
}
