//! `alerts`: when people are told that something is wrong, and how.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use syncline_core::Window;

use super::endpoint::{self, EndpointConfig, check_secrets};
use super::quantity::{SPAN_HINT, span};
use super::timing;
use super::{Resolver, is_name, name_rule};
use crate::secret::{Lookup, Redacted, reference_problem};
use crate::suggest::quote;

/// When people are told that something is wrong, and how.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Alerts {
    /// Ways to people, by name.
    channels: BTreeMap<String, endpoint::Channel>,
    /// How many runs of a target fail in a row before that is told.
    #[schemars(range(min = 1, max = 1000))]
    failures: u32,
    /// How long a conflict may be open before that is told.
    #[schemars(extend("default" = "1d"))]
    conflict_after: String,
    /// How long without success a target may be before that is told, whatever became of its runs. Default: until the
    /// second run of its schedule did not come, two and a half intervals; runs that come and fail count by `failures`
    /// then.
    stale_after: Option<String>,
    /// The free part of the disk below which that is told, in percent.
    #[schemars(range(max = 90))]
    disk_free_percent: u8,
    /// The available part of the memory below which that is told, in percent.
    #[schemars(range(max = 90))]
    memory_free_percent: u8,
    /// How long an alert waits for others, so that they are told together.
    gather: String,
    /// For how long something must be right before it counts as such.
    calm: String,
    /// How long the same alert is not told again after it was told.
    cooldown: String,
    /// When all but the critical waits: times of the week.
    quiet: Vec<timing::Window>,
    /// A service elsewhere that tells when nothing comes from here any more.
    dead_man: Option<WrittenDeadMan>,
}

/// A service elsewhere that expects a request every now and then.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WrittenDeadMan {
    /// Where the requests go, by reference: whoever has the address may send them.
    #[schemars(example = &"${env:DEAD_MAN_URL}")]
    url: String,
    /// How often.
    #[serde(default = "every")]
    every: String,
}

fn every() -> String {
    "5m".to_owned()
}

impl Default for Alerts {
    fn default() -> Self {
        Self {
            channels: BTreeMap::new(),
            failures: 3,
            conflict_after: "1d".to_owned(),
            stale_after: None,
            disk_free_percent: 5,
            memory_free_percent: 5,
            gather: "30s".to_owned(),
            calm: "1m".to_owned(),
            cooldown: "5m".to_owned(),
            quiet: Vec::new(),
            dead_man: None,
        }
    }
}

/// When people are told that something is wrong, and how.
#[derive(Clone, Debug)]
pub struct AlertsConfig {
    /// Ways to people.
    pub channels: Vec<Channel>,
    /// How many runs in a row fail.
    pub failures: u32,
    /// How long a conflict may be open.
    pub conflict_after: Duration,
    /// How long without success a target may be, where it is said for all.
    pub stale_after: Option<Duration>,
    /// The free part of the disk below which it is low, in percent.
    pub disk_free_percent: u8,
    /// The available part of the memory below which it is low, in percent.
    pub memory_free_percent: u8,
    /// How long an alert waits for others.
    pub gather: Duration,
    /// For how long something must be right.
    pub calm: Duration,
    /// How long the same alert is not told again.
    pub cooldown: Duration,
    /// When all but the critical waits.
    pub quiet: Vec<Window>,
    /// A service elsewhere.
    pub dead_man: Option<DeadMan>,
}

/// A way to people.
#[derive(Clone, Debug)]
pub struct Channel {
    /// Its name.
    pub name: String,
    /// Its kind and its settings.
    pub settings: EndpointConfig,
}

/// A service elsewhere that expects a request every now and then.
#[derive(Clone, Debug)]
pub struct DeadMan {
    url: Redacted<String>,
    lookup: Lookup,
    /// How often.
    pub every: Duration,
}

impl DeadMan {
    /// Where the requests go.
    ///
    /// # Errors
    /// When a reference refers to nothing.
    pub fn url(&self) -> Result<Redacted<String>, crate::ConfigError> {
        self.lookup.resolve(&self.url).map(Redacted::new)
    }
}

impl Alerts {
    pub(crate) fn resolve(self, lookup: &Lookup, resolver: &mut Resolver<'_>) -> AlertsConfig {
        let mut channels = Vec::new();
        for (name, channel) in self.channels {
            if !is_name(&name) {
                let message = format!("{} cannot be the name of a channel", quote(&name));
                resolver.error(&["alerts", "channels", &name], "bad_name", message, name_rule());
            }
            let path = ["alerts", "channels", &name];
            check_secrets(&path, resolver);
            let settings = channel.0.resolve(Some(&name), &path, lookup, resolver);
            channels.push(Channel { name, settings });
        }
        let windows = self.quiet.into_iter().enumerate();
        let quiet = windows
            .filter_map(|(index, window)| {
                window.resolve(&["alerts", "quiet", &index.to_string()], "UTC", resolver)
            })
            .collect();
        let conflict_after = read(&self.conflict_after, &["alerts", "conflict_after"], resolver);
        let stale_after =
            self.stale_after.as_deref().map(|text| read(text, &["alerts", "stale_after"], resolver));
        let gather = read(&self.gather, &["alerts", "gather"], resolver);
        let calm = read(&self.calm, &["alerts", "calm"], resolver);
        let cooldown = read(&self.cooldown, &["alerts", "cooldown"], resolver);
        let dead_man = self.dead_man.map(|written| {
            if let Some(problem) = reference_problem(&written.url) {
                resolver.error(&["alerts", "dead_man", "url"], "bad_reference", problem, None);
            }
            let every = read(&written.every, &["alerts", "dead_man", "every"], resolver);
            DeadMan { url: Redacted::new(written.url), lookup: lookup.clone(), every }
        });
        AlertsConfig {
            channels,
            failures: self.failures,
            conflict_after,
            stale_after,
            disk_free_percent: self.disk_free_percent,
            memory_free_percent: self.memory_free_percent,
            gather,
            calm,
            cooldown,
            quiet,
            dead_man,
        }
    }
}

/// A span; what is wrong with it is told.
pub(super) fn read(text: &str, path: &[&str], resolver: &mut Resolver<'_>) -> Duration {
    span(text).unwrap_or_else(|| {
        let message = format!("{} is no span of time", quote(text));
        resolver.error(path, "bad_span", message, SPAN_HINT.to_owned());
        Duration::MAX
    })
}
