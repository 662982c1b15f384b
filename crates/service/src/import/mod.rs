//! From the files of older tools to a configuration: what of them Syncline can use, and what becomes of each key.
//!
//! A file is recognised by what it holds, never by its name alone. Only values of keys that are known, and of the form
//! that belongs there, are ever repeated; everything else is told by its name. So no token of an old file can get into
//! the new one, whatever key it stands under.

mod draft;
mod environment;
mod notes;
mod pipeline;
mod sessions;
mod state;
mod values;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use notes::{Fate, Told};

use crate::problem::{Problem, Result};
use draft::Draft;
use notes::Notes;

/// Largest file that is read, in bytes.
pub const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What a file was recognised as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Recognised {
    /// Variables of a pair of machines, as in `.sync_env`.
    Environment,
    /// Sources, exporters and publishers, as in `sync_config.json`.
    Pipeline,
    /// What a sync of files knew of each file, as in `state.json`.
    FileState,
    /// Projects, sessions and topics of AI clients, as in `~/.claude/sync-state.json`.
    Sessions,
    /// What a sync last did, as in `sync_state.json`.
    RunState,
}

impl Recognised {
    /// What it is, for people.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Environment => "variables of a pair of machines",
            Self::Pipeline => "the settings of a pipeline",
            Self::FileState => "the state of a sync of files",
            Self::Sessions => "projects and sessions of AI clients",
            Self::RunState => "the state of a sync daemon",
        }
    }
}

/// What the files come to.
pub(crate) struct Imported {
    pub(crate) recognised: Vec<(String, Recognised)>,
    pub(crate) told: Vec<Told>,
    pub(crate) text: String,
}

/// Reads files, each with its name, and makes one configuration of them.
///
/// # Errors
/// When one of them is none of the files that are understood.
pub(crate) fn import<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Imported> {
    let mut draft = Draft::default();
    let mut made = Imported { recognised: Vec::new(), told: Vec::new(), text: String::new() };
    for (name, text) in files {
        let mut notes = Notes::new(name)?;
        let recognised = read(name, text.trim_start_matches('\u{feff}'), &mut draft, &mut notes)?;
        made.recognised.push((name.to_owned(), recognised));
        made.told.extend(notes.finish());
    }
    let names: Vec<&str> = made.recognised.iter().map(|(name, _)| name.as_str()).collect();
    made.text = draft.text(&names);
    Ok(made)
}

fn read(name: &str, text: &str, draft: &mut Draft, notes: &mut Notes) -> Result<Recognised> {
    if !text.trim_start().starts_with(['{', '[']) {
        return match environment::assignments(text) {
            Some(lines) => {
                environment::read(&lines, draft, notes);
                Ok(Recognised::Environment)
            }
            None => Err(unknown(name, "it is neither JSON nor a list of the variables that are known")),
        };
    }
    // The parser refuses what is nested too deeply, so that nothing below can run out of stack.
    let value: Value = serde_json::from_str(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        unknown(name, &format!("it is no JSON that can be read: line {line}, column {column}"))
    })?;
    let Value::Object(object) = value else {
        return Err(unknown(name, "it holds JSON, but no object"));
    };
    let Some(recognised) = recognise(&object) else {
        return Err(unknown(name, "it holds none of the keys that are known"));
    };
    match recognised {
        Recognised::Pipeline => pipeline::read(&object, draft, notes),
        Recognised::Sessions => sessions::read(&object, draft, notes),
        Recognised::Environment | Recognised::FileState | Recognised::RunState => {
            state::read(&object, draft, notes);
        }
    }
    Ok(recognised)
}

/// What an object is, by the keys that only files of one kind have.
fn recognise(object: &Map<String, Value>) -> Option<Recognised> {
    let has = |keys: &[&str]| keys.iter().any(|key| object.contains_key(*key));
    if has(&["sources", "exporters", "publishers", "sync_schedule"]) {
        Some(Recognised::Pipeline)
    } else if has(&["projects", "sessions", "topics", "conversations"]) {
        Some(Recognised::Sessions)
    } else if has(&["files", "sync_health", "pending_conflicts"])
        || object.get("last_sync").is_some_and(Value::is_object)
    {
        Some(Recognised::FileState)
    } else if has(state::RUN_STATE_KEYS) {
        Some(Recognised::RunState)
    } else {
        None
    }
}

fn unknown(name: &str, why: &str) -> Problem {
    Problem::usage("unknown_file", format!("{name} is no file that can be imported: {why}")).with_hint(
        "name a `state.json`, `sync_state.json`, `sync_config.json`, `.sync_env` or the `sync-state.json` of Claude; what \
         `syncline.yaml` may hold is in the guide",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_recognised_by_what_they_hold() {
        let recognised = |text: &str| import([("x", text)]).ok().map(|made| made.recognised[0].1);
        for (text, expected) in [
            ("export NODE_NAME=helios\n", Some(Recognised::Environment)),
            ("\u{feff}# ours\r\nSYNC_INTERVAL=60\r\n", Some(Recognised::Environment)),
            (r#"{ "sync_schedule": { "interval_seconds": 60 } }"#, Some(Recognised::Pipeline)),
            (r#"{ "last_sync": { "local_to_remote": null } }"#, Some(Recognised::FileState)),
            (r#"{ "files": 3 }"#, Some(Recognised::FileState)),
            (r#"{ "sessions": {}, "last_sync": "now" }"#, Some(Recognised::Sessions)),
            (r#"{ "last_sync": "2026-02-18T02:00:00Z" }"#, Some(Recognised::RunState)),
            ("{}", None),
            ("[]", None),
            ("{ not json", None),
            ("", None),
            ("PATH=/bin\n", None),
            ("Dear diary,\n", None),
        ] {
            assert_eq!(recognised(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_nested_too_deeply_is_refused_and_never_overflows() {
        let deep = format!("{{ \"files\": {}{} }}", "[".repeat(200_000), "]".repeat(200_000));
        let problem = import([("deep.json", deep.as_str())]).err().unwrap();
        assert_eq!((problem.code, problem.exit_code()), ("unknown_file", 2));
    }
}
