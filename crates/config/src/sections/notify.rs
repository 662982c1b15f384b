//! `notify`: programs elsewhere that are told what happens.

use std::collections::BTreeMap;
use std::time::Duration;

use globset::{Glob, GlobSet, GlobSetBuilder};
use schemars::JsonSchema;
use serde::Deserialize;

use super::alerts::read;
use super::endpoint::check_secrets;
use super::webhooks::{Private, Secret, secret};
use super::{Resolver, is_name, name_rule};
use crate::secret::{Lookup, has_reference};
use crate::suggest::{hint, quote};
use crate::workspace::Target;

/// What can be told, by its type, in the order in which people read it.
pub const NOTICES: &[(&str, &str)] = &[
    ("run.succeeded", "a run did something, and all that it was to do"),
    ("run.partial", "a run did some of what it was to do"),
    ("run.failed", "a run failed, or the checks after it"),
    ("run.halted", "a run was stopped before it changed anything"),
    ("run.interrupted", "a run was cut short, and what it had done was recovered"),
    ("conflict.opened", "a conflict waits for a decision"),
    ("conflict.resolved", "a conflict was settled"),
    ("target.paused", "somebody paused a target"),
    ("target.resumed", "somebody ended the pause of a target"),
];

/// The shortest and the longest time that an answer may take.
const TIMEOUT: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(60);

/// Programs elsewhere that are told what happens.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Notify {
    /// Requests that `syncline serve` sends, signed after Standard Webhooks, by name.
    webhooks: BTreeMap<String, Written>,
}

/// A program elsewhere that is told what happens.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Written {
    /// Where the requests go, by reference when whoever has the address may send there.
    #[schemars(example = &"${env:TEAM_WEBHOOK}", extend("writeOnly" = true))]
    url: Private,
    /// The key that requests are signed with, by reference: `whsec_` and base64 of 24 to 64 random bytes.
    #[schemars(example = &"${env:TEAM_WEBHOOK_SECRET}", extend("writeOnly" = true))]
    secret: Private,
    /// The key before it: as long as it is here, requests are signed with both.
    #[schemars(extend("writeOnly" = true))]
    previous_secret: Option<Private>,
    /// What is told: types or globs, such as `run.failed` or `conflict.*`. Everything when there are none.
    #[serde(default)]
    #[schemars(extend("examples" = [["run.failed", "conflict.*"]]))]
    events: Vec<String>,
    /// Names or globs of the targets of which it is told. All targets when there are none.
    #[serde(default)]
    #[schemars(extend("examples" = [["notes", "docs_*"]]))]
    targets: Vec<String>,
    /// Whether requests may go to this machine and its networks, and without TLS.
    #[serde(default)]
    allow_private: bool,
    /// How long an answer may take, from 1s to 60s.
    #[serde(default = "timeout")]
    timeout: String,
    /// Whether nothing is told for now.
    #[serde(default)]
    disabled: bool,
}

fn timeout() -> String {
    "15s".to_owned()
}

/// A program elsewhere that is told what happens.
#[derive(Clone, Debug)]
pub struct Notification {
    /// Its name.
    pub name: String,
    /// Where the requests go.
    pub url: Secret,
    /// The key that they are signed with.
    pub secret: Secret,
    /// The key before it.
    pub previous_secret: Option<Secret>,
    /// What is told, as it is written.
    pub events: Vec<String>,
    /// The targets of which it is told, in the order of the file; all targets when there are none.
    pub targets: Vec<String>,
    /// Whether requests may go to this machine and its networks, and without TLS.
    pub allow_private: bool,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Whether nothing is told for now.
    pub disabled: bool,
    chosen: GlobSet,
}

impl Notification {
    /// Whether it is told of something of this type about this target.
    #[must_use]
    pub fn is_told(&self, event: &str, target: &str) -> bool {
        let of_target = self.targets.is_empty() || self.targets.iter().any(|name| name == target);
        !self.disabled && of_target && (self.events.is_empty() || self.chosen.is_match(event))
    }
}

impl Notify {
    /// The programs in the order of their names; `targets` are those of the file.
    pub(crate) fn resolve(
        self,
        targets: &[Target],
        lookup: &Lookup,
        resolver: &mut Resolver<'_>,
    ) -> Vec<Notification> {
        let mut resolved = Vec::with_capacity(self.webhooks.len());
        for (name, written) in self.webhooks {
            let path = ["notify", "webhooks", &name];
            if !is_name(&name) {
                let message = format!("{} cannot be the name of a webhook", quote(&name));
                resolver.error(&path, "bad_name", message, name_rule());
            }
            check_secrets(&path, resolver);
            written.check(&name, resolver);
            let chosen = written.chosen_events(&name, resolver);
            let of = |key: &str, text: Private, resolver: &Resolver<'_>| {
                secret(text, &["notify", "webhooks", &name, key], lookup, resolver)
            };
            resolved.push(Notification {
                targets: written.chosen_targets(&name, targets, resolver),
                timeout: written.timeout(&name, resolver),
                url: of("url", written.url, resolver),
                secret: of("secret", written.secret, resolver),
                previous_secret: written.previous_secret.map(|text| of("previous_secret", text, resolver)),
                events: written.events,
                allow_private: written.allow_private,
                disabled: written.disabled,
                chosen,
                name,
            });
        }
        resolved
    }
}

impl Written {
    /// Reports an address and keys that cannot be ones, as far as they are written out.
    fn check(&self, name: &str, resolver: &mut Resolver<'_>) {
        let url = &self.url.0;
        let scheme = url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        let at = ["notify", "webhooks", name, "url"];
        match scheme.as_deref() {
            _ if url.is_empty() => {
                let message = format!("the url of notify.webhooks.{name} is empty");
                resolver.error(&at, "bad_value", message, None);
            }
            Some("https") => {}
            Some("http") if self.allow_private => {}
            Some("http") => {
                let message = format!("the url of notify.webhooks.{name} is not one of https");
                let hint =
                    "a receiver on this machine or in its networks is reached with `allow_private: true`";
                resolver.error(&at, "bad_value", message, hint.to_owned());
            }
            _ if has_reference(url) => {}
            _ => {
                let message =
                    format!("the url of notify.webhooks.{name} is no address that begins with https://");
                resolver.error(&at, "bad_value", message, None);
            }
        }
        let keys = [("secret", Some(&self.secret)), ("previous_secret", self.previous_secret.as_ref())];
        for (key, secret) in keys {
            if secret.is_some_and(|secret| secret.0.is_empty()) {
                let message =
                    format!("the {key} of notify.webhooks.{name} is empty: anybody could sign with it");
                resolver.error(&["notify", "webhooks", name, key], "bad_value", message, None);
            }
        }
    }

    fn timeout(&self, name: &str, resolver: &mut Resolver<'_>) -> Duration {
        let at = ["notify", "webhooks", name, "timeout"];
        let timeout = read(&self.timeout, &at, resolver);
        // What is no span at all was reported, and is the longest one there is.
        if timeout != Duration::MAX && !TIMEOUT.contains(&timeout) {
            let message = format!("{} is not between 1s and 60s", quote(&self.timeout));
            resolver.error(&at, "bad_span", message, None);
        }
        timeout
    }

    /// Which types it is told of.
    fn chosen_events(&self, name: &str, resolver: &mut Resolver<'_>) -> GlobSet {
        let mut chosen = GlobSetBuilder::new();
        for (index, pattern) in self.events.iter().enumerate() {
            let at = ["notify", "webhooks", name, "events", &index.to_string()];
            let Some(glob) = glob(pattern, &at, resolver) else { continue };
            let matcher = glob.compile_matcher();
            if !NOTICES.iter().any(|(event, _)| matcher.is_match(event)) {
                let message = format!("nothing of the type {} is ever told", quote(pattern));
                let known = NOTICES.iter().map(|(event, _)| *event);
                resolver.error(&at, "unknown_event", message, hint(pattern, known, "known types"));
            }
            chosen.add(glob);
        }
        // Each was understood on its own.
        chosen.build().unwrap_or_default()
    }

    /// The names of the targets that it is told of.
    fn chosen_targets(&self, name: &str, targets: &[Target], resolver: &mut Resolver<'_>) -> Vec<String> {
        let mut chosen = vec![false; targets.len()];
        for (index, pattern) in self.targets.iter().enumerate() {
            let at = ["notify", "webhooks", name, "targets", &index.to_string()];
            let Some(glob) = glob(pattern, &at, resolver) else { continue };
            let matcher = glob.compile_matcher();
            let matches: Vec<bool> = targets.iter().map(|target| matcher.is_match(&target.name)).collect();
            if !matches.contains(&true) {
                let known = targets.iter().map(|target| target.name.as_str());
                let message = format!("no target matches {}", quote(pattern));
                resolver.error(&at, "unknown_target", message, hint(pattern, known, "known targets"));
            }
            chosen.iter_mut().zip(matches).for_each(|(chosen, matches)| *chosen |= matches);
        }
        let named = targets.iter().zip(chosen).filter(|(_, chosen)| *chosen);
        named.map(|(target, _)| target.name.clone()).collect()
    }
}

fn glob(pattern: &str, at: &[&str], resolver: &mut Resolver<'_>) -> Option<Glob> {
    Glob::new(pattern)
        .map_err(|error| {
            let message = format!("{} in the pattern {}", error.kind(), quote(pattern));
            resolver.error(at, "bad_glob", message, None);
        })
        .ok()
}
