//! `endpoints`: places outside, and their settings.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::Value;

use super::Resolver;
use crate::check::dotted;
use crate::document::{Node, Value as Written};
use crate::error::{ConfigError, ConfigErrors, Location, Warning};
use crate::schema::{CHANNEL_MARK, ENDPOINT_MARK};
use crate::secret::{
    self, Lookup, Redacted, has_reference, is_reference, is_secret_key, needs_resolution, reference_problem,
};
use crate::source::{Mark, REDACTED, mask_url_password};

/// A place outside: its kind, and the settings of that kind.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub(crate) struct Endpoint(serde_json::Map<String, Value>);

impl Endpoint {
    pub(crate) const fn new(settings: serde_json::Map<String, Value>) -> Self {
        Self(settings)
    }
}

impl JsonSchema for Endpoint {
    fn schema_name() -> Cow<'static, str> {
        "Endpoint".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A place outside: its kind, and the settings of that kind.",
            ENDPOINT_MARK: true,
        })
    }
}

/// A way to people: its kind, and the settings of that kind.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Channel(pub(crate) Endpoint);

impl JsonSchema for Channel {
    fn schema_name() -> Cow<'static, str> {
        "Channel".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A way to people: its kind, and the settings of that kind.",
            CHANNEL_MARK: true,
        })
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Endpoint(…)")
    }
}

/// The remote side of a target or an alert channel, ready to be opened.
#[derive(Clone)]
pub struct EndpointConfig {
    /// Its name under `endpoints`; `None` when it was written inside its target.
    pub name: Option<String>,
    /// Its kind.
    pub kind: String,
    /// Its settings as they were written: `kind` left out, references not resolved. It may hold secrets that
    /// somebody wrote out; show [`EndpointConfig::public_settings`] instead.
    pub settings: Redacted<Value>,
    /// Where it was written.
    pub location: Location,
    lookup: Lookup,
    /// Where the settings that need resolution were written, by JSON pointer.
    references: BTreeMap<String, Location>,
}

impl fmt::Debug for EndpointConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointConfig")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("settings", &self.public_settings())
            .field("location", &self.location)
            .finish_non_exhaustive()
    }
}

impl EndpointConfig {
    /// The settings with every reference replaced by the secret that it refers to.
    ///
    /// # Errors
    /// When a reference refers to nothing: each such error names the reference and its place, never a value.
    pub fn resolved_settings(&self) -> Result<Redacted<Value>, ConfigErrors> {
        let mut settings = (*self.settings).clone();
        let mut errors = Vec::new();
        for (pointer, location) in &self.references {
            let Some(Value::String(text)) = settings.pointer_mut(pointer) else {
                continue;
            };
            match self.lookup.resolve(text) {
                Ok(resolved) => *text = resolved,
                Err(error) => errors.push(ConfigError { location: Some(location.clone()), ..error }),
            }
        }
        ConfigErrors::check(errors)?;
        Ok(Redacted::new(settings))
    }

    /// The settings as they may be shown: references stay, secrets that somebody wrote out are masked.
    #[must_use]
    pub fn public_settings(&self) -> Value {
        public(&self.settings, false)
    }

    /// The names of the environment variables that the settings refer to as `${env:NAME}`.
    #[must_use]
    pub fn variables(&self) -> BTreeSet<&str> {
        self.texts_with_references().flat_map(secret::variables).collect()
    }

    /// The files that the settings refer to as `${file:PATH}`, as they are written.
    #[must_use]
    pub fn secret_files(&self) -> BTreeSet<&str> {
        self.texts_with_references().flat_map(secret::files).collect()
    }

    fn texts_with_references(&self) -> impl Iterator<Item = &str> {
        self.references.keys().filter_map(|pointer| self.settings.pointer(pointer)?.as_str())
    }

    /// What is wrong with the files that settings refer to: every user of this machine may read them, say.
    #[must_use]
    pub fn secret_warnings(&self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        for (pointer, location) in &self.references {
            if let Some(Value::String(text)) = self.settings.pointer(pointer) {
                let exposed = self.lookup.exposed_files(text);
                warnings.extend(
                    exposed
                        .into_iter()
                        .map(|warning| Warning { location: Some(location.clone()), ..warning }),
                );
            }
        }
        warnings
    }
}

fn public(value: &Value, secret: bool) -> Value {
    match value {
        Value::Object(object) => object
            .iter()
            .map(|(key, value)| (key.clone(), public(value, secret || is_secret_key(key))))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::Array(items) => items.iter().map(|item| public(item, secret)).collect(),
        Value::String(text) if secret && !is_reference(text) => REDACTED.into(),
        Value::String(text) => mask_url_password(text).into(),
        Value::Null | Value::Bool(_) => value.clone(),
        Value::Number(_) if secret => REDACTED.into(),
        Value::Number(_) => value.clone(),
    }
}

impl Endpoint {
    /// What is to be opened; `path` is where the settings stand in the file.
    pub(crate) fn resolve(
        self,
        name: Option<&str>,
        path: &[&str],
        lookup: &Lookup,
        resolver: &Resolver<'_>,
    ) -> EndpointConfig {
        let mut settings = self.0;
        let kind = match settings.remove("kind") {
            Some(Value::String(kind)) => kind,
            _ => String::new(),
        };
        let mut strings = Vec::new();
        if let Some(node) = find(resolver.tree, path) {
            collect_strings(node, &mut Vec::new(), false, &mut strings);
        }
        let references = strings.into_iter().filter(|string| needs_resolution(string.text)).map(|string| {
            let escape = |name: &String| name.replace('~', "~0").replace('/', "~1");
            let pointer: String = string.path.iter().map(|name| format!("/{}", escape(name))).collect();
            (pointer, resolver.source.location(string.at))
        });
        EndpointConfig {
            name: name.map(str::to_owned),
            kind,
            settings: Redacted::new(settings.into()),
            location: resolver.source.location(resolver.tree.locate(path)),
            lookup: lookup.clone(),
            references: references.collect(),
        }
    }
}

/// Reports bad references and secrets that were written out, in the settings at `path`.
pub(crate) fn check_secrets(path: &[&str], resolver: &mut Resolver<'_>) {
    let Some(node) = find(resolver.tree, path) else {
        return;
    };
    let mut strings = Vec::new();
    collect_strings(node, &mut Vec::new(), false, &mut strings);
    for string in strings {
        let name = format!("{}.{}", dotted(path), dotted(&string.path));
        if let Some(problem) = reference_problem(string.text) {
            let hint = "write `$${` for a literal `${`".to_owned();
            resolver.error_at(string.at, "bad_reference", format!("{problem} ({name})"), hint);
        } else if matches!(string.at, Mark::File { .. }) && !has_reference(string.text) {
            let in_url = mask_url_password(string.text) != string.text;
            if in_url || (string.secret && !string.text.is_empty()) {
                let message = format!("{name} looks like a secret that was written out");
                let hint = "refer to it: `${env:NAME}` or `${file:PATH}`";
                resolver.warnings.push(resolver.source.warning(string.at, "literal_secret", message, hint));
            }
        }
    }
}

/// A text somewhere in the settings.
struct Setting<'a> {
    path: Vec<String>,
    text: &'a str,
    at: &'a Mark,
    secret: bool,
}

fn collect_strings<'a>(node: &'a Node, path: &mut Vec<String>, secret: bool, found: &mut Vec<Setting<'a>>) {
    match &node.value {
        Written::Text(text) => found.push(Setting { path: path.clone(), text, at: &node.at, secret }),
        Written::Map(entries) => {
            for (key, value) in entries {
                path.push(key.name.clone());
                collect_strings(value, path, secret || is_secret_key(&key.name), found);
                path.pop();
            }
        }
        Written::List(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push(index.to_string());
                collect_strings(item, path, secret, found);
                path.pop();
            }
        }
        Written::Null | Written::Bool(_) | Written::Number(_) => {}
    }
}

fn find<'a>(tree: &'a Node, path: &[&str]) -> Option<&'a Node> {
    path.iter().try_fold(tree, |node, key| node.get(key))
}
