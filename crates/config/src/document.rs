//! YAML text as a tree of values that know where they were written.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::options::{MergeKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Error, Spanned, UserMessageFormatter};

use crate::error::ConfigError;
use crate::source::{Mark, Source};
use crate::suggest::quote;

/// Deepest nesting of the file.
const DEPTH_MAX: usize = 32;
/// Most values in the file, those behind aliases included.
const NODES_MAX: usize = 50_000;

/// A value and where it was written.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) at: Mark,
}

/// What was written.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    /// In the order of the file.
    Map(Vec<(Key, Node)>),
}

/// The key of a mapping and where it was written.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) at: Mark,
}

impl Node {
    /// The value below `key`, when this is a mapping that has it. A key without a value counts as not written.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|(k, node)| k.name == key && !node.is_null()).map(|(_, node)| node)
    }

    /// The entries of a mapping; none of anything else.
    pub(crate) fn entries(&self) -> &[(Key, Self)] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    pub(crate) const fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The values directly below this one.
    pub(crate) fn below(&self) -> Vec<&Self> {
        match &self.value {
            Value::Map(entries) => entries.iter().map(|(_, node)| node).collect(),
            Value::List(items) => items.iter().collect(),
            _ => Vec::new(),
        }
    }

    /// The mark of the value at `path`, or of the nearest one above it. Numbers index lists.
    pub(crate) fn locate(&self, path: &[&str]) -> &Mark {
        let Some((first, rest)) = path.split_first() else {
            return &self.at;
        };
        let below = match &self.value {
            Value::Map(_) => self.get(first),
            Value::List(items) => first.parse::<usize>().ok().and_then(|index| items.get(index)),
            _ => None,
        };
        below.map_or(&self.at, |node| node.locate(rest))
    }

    /// The value as JSON; keys without a value are left out.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Number(number) => number.clone().into(),
            Value::Text(text) => text.as_str().into(),
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Map(entries) => entries
                .iter()
                .filter(|(_, node)| !node.is_null())
                .map(|(key, node)| (key.name.clone(), node.to_json()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self { value: spanned.value, at: mark(spanned.referenced) })
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<String>::deserialize(deserializer)?;
        Ok(Self { name: spanned.value, at: mark(spanned.referenced) })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Value::Map(entries))
    }
}

fn mark(location: serde_saphyr::Location) -> Mark {
    let number = |value: u64| u32::try_from(value).unwrap_or(u32::MAX).max(1);
    Mark::File {
        line: number(location.line()),
        column: number(location.column()),
        width: number(location.span().len()),
    }
}

/// Parses the one document of a file.
pub(crate) fn parse(text: &str, source: &Source<'_>) -> Result<Node, ConfigError> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEPTH_MAX,
            max_nodes: NODES_MAX,
            max_events: 4 * NODES_MAX,
            max_aliases: 1000,
            max_anchors: 1000,
            max_documents: 2,
            max_recorded_anchor_events: NODES_MAX,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: NODES_MAX,
            max_replay_stack_depth: 16,
        },
        merge_keys: MergeKeyPolicy::Error,
        // Only `true` and `false` are truth values, so that the country code `no` stays text.
        strict_booleans: true,
        non_finite_float_policy: NonFiniteFloatPolicy::Reject,
        reject_unsupported_tags: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| syntax_error(&error, source))
}

fn syntax_error(error: &Error, source: &Source<'_>) -> ConfigError {
    let error = error.without_snippet();
    let at = source.clamped(error.location().map_or(Mark::File { line: 1, column: 1, width: 1 }, mark));
    let (code, message, hint) = describe(error);
    let tab = match &at {
        Mark::File { line, .. } => (*line.max(&1) - 1..=*line)
            .filter_map(|line| source.line(line))
            .any(|line| line.chars().take_while(|c| c.is_whitespace()).any(|c| c == '\t')),
        Mark::Variable(_) => false,
    };
    let hint = if tab { Some("YAML is indented with spaces; replace the tab".to_owned()) } else { hint };
    source.error(&at, code, message).with_hint(hint)
}

fn describe(error: &Error) -> (&'static str, String, Option<String>) {
    match error {
        Error::AliasError { error, .. } => describe(error),
        Error::DuplicateMappingKey { key: Some(key), .. } => (
            "duplicate_key",
            format!("the key {} is there twice", quote(key)),
            Some("remove one of them, or merge what is below".into()),
        ),
        Error::MergeKeyNotAllowed { .. } | Error::MergeValueNotMapOrSeqOfMaps { .. } => (
            "merge_key",
            "merge keys (`<<`) are not supported".into(),
            Some("write the keys out; aliases (`*name`) for whole values work".into()),
        ),
        Error::MultipleDocuments { .. } => (
            "many_documents",
            "the file holds more than one document".into(),
            Some("remove the `---` line".into()),
        ),
        Error::Unexpected { expected: "string scalar", .. } => {
            ("bad_key", "a list or a mapping cannot be a key".into(), Some("put the key in quotes".into()))
        }
        Error::UnsupportedTag { .. } => ("bad_tag", "tags (`!name`) are not supported".into(), None),
        Error::InvalidScalar { .. } => ("bad_tag", "the value does not fit its tag".into(), None),
        Error::NonFiniteFloat { .. } => ("not_finite", "the number is not finite".into(), None),
        Error::UnknownAnchor { .. } => {
            let hint =
                "in YAML a `*` begins an alias; a pattern that begins with it is put in quotes: \"*.tmp\"";
            ("unknown_anchor", "the alias names an anchor that does not exist".into(), Some(hint.into()))
        }
        Error::RecursiveReferencesRequireWeakTypes { .. } => {
            ("limit_exceeded", "the value contains itself through an alias".into(), None)
        }
        Error::AliasReplayCounterOverflow { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => {
            ("limit_exceeded", format!("aliases expand to too much (at most {NODES_MAX} values)"), None)
        }
        Error::Budget { breach, .. } => ("limit_exceeded", describe_breach(breach), None),
        other => describe_syntax(&first_line(&other.render_with_formatter(&UserMessageFormatter))),
    }
}

/// The scanner's errors have no types, only words.
fn describe_syntax(message: &str) -> (&'static str, String, Option<String>) {
    if message.contains("recursion limit") {
        return ("limit_exceeded", describe_breach(&BudgetBreach::Depth { depth: DEPTH_MAX }), None);
    }
    let hint = if message.contains("quoted scalar") {
        Some("is a closing quote missing?")
    } else if message.contains("anchor or alias") {
        Some(
            "in YAML a `*` begins an alias and a `&` an anchor; text that begins with one is put in quotes: \"*\"",
        )
    } else {
        None
    };
    ("bad_yaml", message.to_owned(), hint.map(str::to_owned))
}

fn describe_breach(breach: &BudgetBreach) -> String {
    match breach {
        BudgetBreach::Depth { .. } => format!("the file is nested too deeply (at most {DEPTH_MAX} levels)"),
        BudgetBreach::Documents { .. } => "the file holds more than one document".into(),
        BudgetBreach::Aliases { .. }
        | BudgetBreach::Anchors { .. }
        | BudgetBreach::AliasAnchorRatio { .. }
        | BudgetBreach::RecordedAnchorEvents { .. }
        | BudgetBreach::RecordedAnchorBytes { .. } => "the file has too many anchors or aliases".into(),
        _ => format!("the file holds too many values (at most {NODES_MAX})"),
    }
}

/// The parser's own words, without the place that is shown beside them anyway.
fn first_line(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default().trim_start_matches("error: ");
    let line = line.split(" at line ").next().unwrap_or(line);
    let mut characters = line.chars();
    let first = characters.next().map(|c| c.to_lowercase().to_string()).unwrap_or_default();
    format!("{first}{}", characters.as_str())
}
