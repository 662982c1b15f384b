//! `webhooks`: who may tell that something has changed.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;

use super::endpoint::check_secrets;
use super::{Resolver, is_name, name_rule};
use crate::error::{ConfigError, Location};
use crate::secret::{Lookup, Redacted};
use crate::source::REDACTED;
use crate::suggest::{hint, quote};
use crate::workspace::Target;

/// Who may tell that something has changed. What it sends is only a hint to look: a delivery that is signed as it must be
/// has its targets run once, and never says what they do.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Written {
    /// Who sends, and so how deliveries are signed.
    kind: WebhookKind,
    /// The secret that the sender signs with.
    #[schemars(example = &"${env:GITHUB_WEBHOOK_SECRET}", extend("writeOnly" = true))]
    secret: Option<Private>,
    /// Names or globs of the targets that run.
    #[serde(default)]
    #[schemars(extend("examples" = [["notes", "docs_*"]]))]
    targets: Vec<String>,
    /// The name of an event: the targets whose `triggers.events` name it run.
    #[schemars(example = &"deploy")]
    event: Option<String>,
    /// Only with `kind: generic`: the header with the HMAC-SHA256 of the body, in hexadecimal and with `sha256=` in front or
    /// not. Without it, deliveries are signed after Standard Webhooks.
    #[schemars(example = &"X-Signature")]
    header: Option<String>,
    /// Only with `header`: the header with the identifier of a delivery. Without it, equal bodies are one delivery.
    #[schemars(example = &"X-Delivery-Id")]
    id_header: Option<String>,
}

/// What is written for a secret, shown to nobody.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Private(pub(super) String);

impl fmt::Debug for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

/// Who sends deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WebhookKind {
    /// GitHub.
    Github,
    /// GitLab.
    Gitlab,
    /// Gitea and Forgejo.
    Gitea,
    /// Slack.
    Slack,
    /// Notion.
    Notion,
    /// Whoever signs after Standard Webhooks, or with HMAC-SHA256 in a header.
    Generic,
}

/// A text that may refer to secrets, which are looked up when they are needed.
#[derive(Clone)]
pub struct Secret {
    text: Redacted<String>,
    location: Location,
    lookup: Lookup,
}

impl Secret {
    /// The text with every reference replaced by what it refers to.
    ///
    /// # Errors
    /// When a reference refers to nothing: the error names the reference and its place, never a value.
    pub fn resolve(&self) -> Result<Redacted<String>, ConfigError> {
        let resolved = self.lookup.resolve(&self.text);
        resolved
            .map(Redacted::new)
            .map_err(|error| ConfigError { location: Some(self.location.clone()), ..error })
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("location", &self.location).finish_non_exhaustive()
    }
}

/// Who may tell that something has changed.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Its name, the last part of its path.
    pub name: String,
    /// Who sends.
    pub kind: WebhookKind,
    /// What it signs with; `None` only for Notion, which tells it when it is set up.
    pub secret: Option<Secret>,
    /// The targets that run, in the order of the file.
    pub targets: Vec<String>,
    /// The header with the signature, instead of those of Standard Webhooks.
    pub header: Option<String>,
    /// The header with the identifier.
    pub id_header: Option<String>,
}

/// The webhooks; `targets` are those of the file.
pub(crate) fn resolve(
    written: BTreeMap<String, Written>,
    targets: &[Target],
    lookup: &Lookup,
    resolver: &mut Resolver<'_>,
) -> Vec<Webhook> {
    let resolved = written.into_iter().map(|(name, written)| {
        check_name(&name, resolver);
        check_secrets(&["webhooks", &name], resolver);
        written.check(&name, resolver);
        Webhook {
            targets: written.chosen(&name, targets, resolver),
            secret: written.secret.map(|text| secret(text, &["webhooks", &name, "secret"], lookup, resolver)),
            name,
            kind: written.kind,
            header: written.header,
            id_header: written.id_header,
        }
    });
    resolved.collect()
}

impl Written {
    /// Reports keys that are missing or do not go together.
    fn check(&self, name: &str, resolver: &mut Resolver<'_>) {
        if self.secret.is_none() && self.kind != WebhookKind::Notion {
            let at = resolver.key("webhooks", name);
            let message = format!("missing key `secret` in webhooks.{name}");
            let hint = "whoever sends signs with it: write `secret: \"${env:NAME}\"`".to_owned();
            resolver.error_at(&at, "missing_key", message, hint);
        }
        if self.secret.as_ref().is_some_and(|secret| secret.0.is_empty()) {
            let message = format!("the secret of webhooks.{name} is empty: anybody could sign with it");
            resolver.error(&["webhooks", name, "secret"], "bad_value", message, None);
        }
        for (key, value, needed, is_there) in [
            ("header", &self.header, "kind: generic", self.kind == WebhookKind::Generic),
            ("id_header", &self.id_header, "header", self.header.is_some()),
        ] {
            let Some(value) = value else { continue };
            let at = ["webhooks", name, key];
            if !is_there {
                let message = format!("`{key}` only goes with `{needed}`");
                resolver.error(&at, "unknown_key", message, None);
            } else if !is_header(value) {
                let message = format!("{} cannot be the name of a header", quote(value));
                resolver.error(&at, "bad_value", message, "such as `X-Signature`".to_owned());
            }
        }
    }

    /// The names of the targets that it is about.
    fn chosen(&self, name: &str, targets: &[Target], resolver: &mut Resolver<'_>) -> Vec<String> {
        let mut chosen = vec![false; targets.len()];
        if self.targets.is_empty() && self.event.is_none() {
            let at = resolver.key("webhooks", name);
            let message = format!("webhooks.{name} has neither `targets` nor `event`");
            let hint = "write which targets it runs: `targets: [notes]`".to_owned();
            resolver.error_at(&at, "missing_key", message, hint);
        }
        for (index, pattern) in self.targets.iter().enumerate() {
            let at = ["webhooks", name, "targets", &index.to_string()];
            let glob = match globset::Glob::new(pattern) {
                Ok(glob) => glob.compile_matcher(),
                Err(error) => {
                    let message = format!("{} in the pattern {}", error.kind(), quote(pattern));
                    resolver.error(&at, "bad_glob", message, None);
                    continue;
                }
            };
            let before = chosen.clone();
            let matches = targets.iter().map(|target| glob.is_match(&target.name)).collect::<Vec<bool>>();
            chosen = before.iter().zip(&matches).map(|(before, matches)| *before || *matches).collect();
            if !matches.contains(&true) {
                let known = targets.iter().map(|target| target.name.as_str());
                let message = format!("no target matches {}", quote(pattern));
                resolver.error(&at, "unknown_target", message, hint(pattern, known, "known targets"));
            }
        }
        if let Some(event) = &self.event {
            let listens = |target: &Target| target.events.contains(event);
            chosen.iter_mut().zip(targets).for_each(|(chosen, target)| *chosen |= listens(target));
            if !targets.iter().any(listens) {
                let known = targets.iter().flat_map(|target| &target.events).map(String::as_str);
                let hint = hint(event, known, "known events").unwrap_or_else(|| {
                    "name it under `triggers.events` of the targets that it runs".to_owned()
                });
                let message = format!("no target runs at {}", quote(event));
                resolver.error(&["webhooks", name, "event"], "unknown_event", message, hint);
            }
        }
        let named = targets.iter().zip(chosen).filter(|(_, chosen)| *chosen);
        named.map(|(target, _)| target.name.clone()).collect()
    }
}

fn check_name(name: &str, resolver: &mut Resolver<'_>) {
    if !is_name(name) {
        let at = resolver.key("webhooks", name);
        let message = format!("{} cannot be the name of a webhook", quote(name));
        resolver.error_at(&at, "bad_name", message, name_rule());
    }
}

/// What is written for a secret, to be looked up later.
pub(super) fn secret(text: Private, path: &[&str], lookup: &Lookup, resolver: &Resolver<'_>) -> Secret {
    Secret {
        text: Redacted::new(text.0),
        location: resolver.source.location(resolver.tree.locate(path)),
        lookup: lookup.clone(),
    }
}

/// Whether a text may be the name of a header: a token after RFC 9110, section 5.6.2.
fn is_header(text: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.len() <= 100 && text.bytes().all(is_token)
}
