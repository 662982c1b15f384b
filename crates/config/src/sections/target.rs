//! `targets`: what is kept in agreement with what.

use std::collections::BTreeMap;
use std::mem;

use schemars::JsonSchema;
use serde::Deserialize;
use syncline_core::{self as core, ItemPath};

use super::checks::{self, Safety, Verification};
use super::committing::{self, GitCommit};
use super::conflicts::Conflicts;
use super::defaults::Direction;
use super::endpoint::{Endpoint, EndpointConfig};
use super::guard::Guard;
use super::schedule::{comes, read_schedule};
use super::script::{self, Limits};
use super::secrets::WrittenSanitize;
use super::timing::{self, Missed, Window};
use super::{Resolver, is_name, name_rule};
use crate::secret::Lookup;
use crate::suggest::{hint, quote};

/// A mirror (`remote`): a folder of the workspace and a place outside that are kept in agreement; or a script
/// (`entrypoint`) that brings something into the workspace, or sends something out.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Target {
    /// What it is for, for people.
    #[schemars(example = &"Notes shared with the laptop")]
    description: Option<String>,
    /// The folder, relative to the workspace; `.` is the whole workspace.
    #[schemars(example = &"shared/memories", extend("default" = "."))]
    path: Option<String>,
    /// The place outside: the name of an endpoint, or its kind and settings.
    #[schemars(example = &"knowledge")]
    remote: Option<Remote>,
    /// Instead of `remote`: a script of the workspace, which runs in a scratch copy of it.
    #[schemars(example = &"scripts/pull-apps.sh")]
    entrypoint: Option<String>,
    /// Globs of the files that a script works with. A script that pushes is run when one of them has changed.
    /// Default: the whole workspace.
    #[serde(default)]
    #[schemars(extend("examples" = [["docs/**"]]))]
    inputs: Vec<String>,
    /// Globs of the files that a script makes: only these are brought into the workspace.
    #[serde(default)]
    #[schemars(extend("examples" = [["docs/runtime/**"]]))]
    outputs: Vec<String>,
    /// Settings for a script: it finds them as a JSON object in `SYNCLINE_CONFIG_JSON`, and each text, number and truth
    /// value in a variable such as `SYNCLINE_CONFIG_AGENT_DIR`. `$HOME` stands for the folder of the user.
    #[serde(default)]
    config: serde_json::Map<String, serde_json::Value>,
    /// Variables for a script: its environment holds these and little else.
    #[serde(default)]
    #[schemars(extend("examples" = [{ "API_TOKEN": "${env:API_TOKEN}" }]))]
    env: BTreeMap<String, String>,
    /// How much a script may take; what it exceeds ends it.
    #[serde(default)]
    limits: Limits,
    /// Folders outside of its scratch copy that a script may write, where the system can keep it from others (Landlock, on
    /// Linux).
    #[serde(default)]
    #[schemars(extend("examples" = [["~/.cache/pip"]]))]
    allow_write: Vec<String>,
    /// Whether running a script twice must come to the same as running it once; a run that changed something looks.
    /// Default: that of `defaults`.
    idempotent: Option<bool>,
    /// Whether a script works in the workspace itself, because it cannot in a scratch copy: its outputs are put back when it
    /// fails. Only where it brings something in.
    in_place: Option<bool>,
    /// Whether what it brought into the workspace is committed there. Default: that of `defaults`.
    git_commit: Option<committing::Written>,
    /// When it is due, for `syncline serve` and `syncline ci generate`: five fields of cron, `@hourly` and the like, or
    /// `every 15m`.
    #[schemars(example = &"0 2 * * *")]
    schedule: Option<String>,
    /// The time zone of its schedule, by its IANA name. Default: that of `defaults`.
    #[schemars(example = &"Europe/Berlin")]
    timezone: Option<String>,
    /// What is made up for of the moments at which nobody was there to run it. Default: that of `defaults`.
    missed: Option<Missed>,
    /// By how much a run that is due may begin later. Default: that of `defaults`.
    #[schemars(example = &"5m")]
    jitter: Option<String>,
    /// When it may run by itself, or where no name is given; `[]` is at any time. Default: those of `defaults`.
    #[schemars(extend("examples" = [[{ "days": "mon-fri", "from": "22:00", "to": "06:00" }]]))]
    windows: Option<Vec<Window>>,
    /// Among the targets that may run next, those of a higher one go first.
    #[serde(default)]
    priority: i32,
    /// What the outputs must come to after a run; otherwise the run is taken back.
    verification: Option<Verification>,
    /// Checks of this target, besides those of the file, and what of its content must not leave.
    #[serde(default)]
    safety: Safety,
    /// Whether secrets are replaced by placeholders in what comes in, before it reaches the workspace: `true`, or how. Only
    /// with `direction: pull`.
    sanitize: Option<WrittenSanitize>,
    /// Which way changes may flow. Default: that of `defaults`.
    direction: Option<Direction>,
    /// Globs; when there are any, only what they match belongs to the target.
    #[serde(default)]
    #[schemars(extend("examples" = [["**/*.md"]]))]
    include: Vec<String>,
    /// Globs; what they match does not belong to the target, nor anything below it.
    #[serde(default)]
    #[schemars(extend("examples" = [["*.tmp", "build/"]]))]
    exclude: Vec<String>,
    /// What happens when both sides changed an item differently: one word for the whole target, or rules, of which
    /// the first that matches decides. What a script made wins where nothing is said.
    #[serde(default)]
    #[schemars(extend("default" = "auto"))]
    conflicts: Conflicts,
    /// When a run stops and asks before it touches anything.
    #[serde(default)]
    guard: Guard,
    /// What starts a run by itself.
    #[serde(default)]
    triggers: Triggers,
}

/// The place outside: the name of an endpoint, or its kind and settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Remote {
    /// The name of an endpoint.
    Named(String),
    /// Its kind and settings.
    Inline(Endpoint),
}

/// What starts a run by itself.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Triggers {
    /// Whether a change on a side that can be watched starts a run, while Syncline is running.
    watch: bool,
    /// Targets that go first when they are to run as well; when one of them fails, this one is not run.
    #[schemars(extend("examples" = [["oca_repos"]]))]
    after: Vec<String>,
    /// Names of events that start a run: `syncline trigger NAME`, the operation `trigger_event`, and webhooks tell of them.
    #[schemars(extend("examples" = [["ritual", "deploy"]]))]
    events: Vec<String>,
}

/// What is needed to resolve every target.
pub(crate) struct Surroundings<'a> {
    pub(crate) direction: core::Direction,
    pub(crate) idempotent: bool,
    pub(crate) git_commit: Option<GitCommit>,
    /// What counts for the whole file.
    pub(crate) safety: &'a checks::Resolved,
    pub(crate) timing: &'a timing::Resolved,
    pub(crate) endpoints: &'a BTreeMap<String, Endpoint>,
    pub(crate) lookup: &'a Lookup,
}

impl Target {
    /// What will be done; `None` when what was written is wrong.
    pub(crate) fn resolve(
        mut self,
        name: &str,
        around: &Surroundings<'_>,
        resolver: &mut Resolver<'_>,
    ) -> Option<crate::Target> {
        if !is_name(name) {
            let at = resolver.key("targets", name);
            let message = format!("{} cannot be the name of a target", quote(name));
            resolver.error_at(&at, "bad_name", message, name_rule());
        }
        super::check_globs("include", &self.include, name, resolver);
        super::check_globs("exclude", &self.exclude, name, resolver);
        self.check_kind(name, resolver);
        self.check_events(name, resolver);
        let direction = self.direction.map_or(around.direction, Into::into);
        let (remote, script) = self.outside(name, direction, around, resolver);
        let timing = self.timing().resolve(&["targets", name], around.timing, resolver);
        let path = local_path(self.path.as_deref().unwrap_or("."), name, resolver);
        let mut conflicts = self.conflicts.resolve(name, resolver);
        if script.is_some() && conflicts.is_empty() {
            // It was given what is here, and made something else of it.
            conflicts.extend(core::Rule::new("**", core::Resolution::Prefer(core::Side::Remote)));
        }
        let guard = self.guard.resolve(name, resolver);
        let schedule = self.schedule.take().and_then(|text| schedule(&text, name, resolver));
        let git_commit = match self.git_commit.take() {
            Some(written) => written.resolve(),
            None => around.git_commit.clone(),
        };
        // What goes both ways is as much of people as of the target, and what is pushed stays as it is.
        let brings = direction == core::Direction::Pull
            || script.is_some() && direction == core::Direction::Bidirectional;
        let git_commit = git_commit.filter(|_| brings);
        let safety = self.safety.resolve(&["targets", name, "safety"], resolver);
        let mut checks = around.safety.checks.clone();
        checks.extend(safety.checks);
        checks.extend(self.verification.map(|verification| verification.resolve(name, resolver)));
        let sanitize = self.sanitize.take();
        let arriving = sanitize.and_then(|written| written.resolve(name, direction, resolver));
        let remote = remote?;
        let secrets = safety.secrets.resolve(&around.safety.secrets, &remote.kind, arriving)?;
        Some(crate::Target {
            name: name.to_owned(),
            description: self.description,
            direction,
            path: path.ok()?,
            remote,
            script,
            include: self.include,
            exclude: self.exclude,
            conflicts,
            guard,
            watch: self.triggers.watch,
            after: self.triggers.after,
            events: self.triggers.events,
            priority: self.priority.into(),
            schedule,
            timezone: timing.timezone,
            missed: timing.missed,
            jitter: timing.jitter,
            windows: timing.windows,
            checks,
            git_commit,
            secrets,
        })
    }

    /// What decides when it runs among others.
    pub(crate) fn standing<'a>(&'a self, name: &'a str) -> core::Standing<'a> {
        core::Standing { name, after: &self.triggers.after, priority: self.priority.into() }
    }

    /// When it runs by itself.
    fn timing(&mut self) -> timing::Written {
        timing::Written {
            timezone: self.timezone.take(),
            missed: self.missed,
            jitter: self.jitter.take(),
            windows: self.windows.take(),
        }
    }

    /// The place outside; and the script, when that is one.
    fn outside(
        &mut self,
        name: &str,
        direction: core::Direction,
        around: &Surroundings<'_>,
        resolver: &mut Resolver<'_>,
    ) -> (Option<EndpointConfig>, Option<script::Script>) {
        match (self.entrypoint.take(), self.remote.take()) {
            (Some(entrypoint), _) => {
                let settings = Endpoint::new(script::settings(&entrypoint, mem::take(&mut self.env)));
                super::endpoint::check_secrets(&["targets", name, "env"], resolver);
                let remote = settings.resolve(None, &["targets", name], around.lookup, resolver);
                let written = script::Written {
                    entrypoint,
                    inputs: mem::take(&mut self.inputs),
                    outputs: mem::take(&mut self.outputs),
                    config: mem::take(&mut self.config),
                    limits: mem::take(&mut self.limits),
                    allow_write: mem::take(&mut self.allow_write),
                    idempotent: self.idempotent.unwrap_or(around.idempotent),
                    in_place: self.in_place.unwrap_or(false),
                    direction,
                    target: name,
                };
                (Some(remote), Some(written.resolve(resolver)))
            }
            (None, Some(remote)) => (remote.resolve(name, around, resolver), None),
            (None, None) => (None, None),
        }
    }

    /// Reports names of events that cannot be used.
    fn check_events(&self, name: &str, resolver: &mut Resolver<'_>) {
        for (index, event) in self.triggers.events.iter().enumerate().filter(|(_, event)| !is_name(event)) {
            let at = ["targets", name, "triggers", "events", &index.to_string()];
            let message = format!("{} cannot be the name of an event", quote(event));
            resolver.error(&at, "bad_name", message, name_rule());
        }
    }

    /// Reports keys that do not go together.
    fn check_kind(&self, name: &str, resolver: &mut Resolver<'_>) {
        let mirror = [
            ("path", self.path.is_some()),
            ("include", !self.include.is_empty()),
            ("exclude", !self.exclude.is_empty()),
        ];
        let script = [
            ("inputs", !self.inputs.is_empty()),
            ("outputs", !self.outputs.is_empty()),
            ("config", !self.config.is_empty()),
            ("env", !self.env.is_empty()),
            ("allow_write", !self.allow_write.is_empty()),
            ("idempotent", self.idempotent.is_some()),
            ("in_place", self.in_place.is_some()),
        ];
        let (out_of_place, other): (&[(&str, bool)], &str) = match (&self.entrypoint, &self.remote) {
            (Some(_), Some(_)) => {
                let hint =
                    "a target is a mirror (`remote`) or a script (`entrypoint`): make two of it".to_owned();
                let message = "`entrypoint` does not go with `remote`";
                resolver.error(&["targets", name, "entrypoint"], "unknown_key", message, hint);
                return;
            }
            (None, None) => {
                let at = resolver.key("targets", name);
                let message = format!("missing key `remote` in targets.{}", quote(name).trim_matches('`'));
                let hint = "for example `remote: knowledge`; or `entrypoint`, for a script".to_owned();
                resolver.error_at(&at, "missing_key", message, hint);
                return;
            }
            (Some(_), None) => (&mirror, "remote"),
            (None, Some(_)) => (&script, "entrypoint"),
        };
        for (key, _) in out_of_place.iter().filter(|(_, written)| *written) {
            let message = format!("`{key}` only goes with `{other}`");
            resolver.error(&["targets", name, key], "unknown_key", message, None);
        }
    }
}

/// When a target is due.
fn schedule(text: &str, target: &str, resolver: &mut Resolver<'_>) -> Option<core::Schedule> {
    let read = read_schedule(text);
    let (wrong, hint) = match &read {
        Some(schedule) if comes(schedule) => return read,
        Some(_) => {
            ("never comes", "no month that it names has such a day: `0 0 L * *` is the last day of each")
        }
        None => (
            "cannot be understood",
            "write five fields of cron such as `0 2 * * *`, `@daily`, or `every 15m`",
        ),
    };
    let message = format!("the schedule {} {wrong}", quote(text));
    resolver.error(&["targets", target, "schedule"], "bad_value", message, hint.to_owned());
    read
}

impl Remote {
    fn resolve(
        self,
        target: &str,
        around: &Surroundings<'_>,
        resolver: &mut Resolver<'_>,
    ) -> Option<EndpointConfig> {
        match self {
            Self::Inline(endpoint) => {
                let path = ["targets", target, "remote"];
                super::endpoint::check_secrets(&path, resolver);
                Some(endpoint.resolve(None, &path, around.lookup, resolver))
            }
            Self::Named(name) => match around.endpoints.get(&name) {
                Some(endpoint) => Some(endpoint.clone().resolve(
                    Some(&name),
                    &["endpoints", &name],
                    around.lookup,
                    resolver,
                )),
                None => {
                    let known = around.endpoints.keys().map(String::as_str);
                    let hint = hint(&name, known, "known endpoints").unwrap_or_else(|| {
                        "name one under `endpoints`, or write its kind and settings here: `{ kind: … }`"
                            .to_owned()
                    });
                    let message = format!("there is no endpoint {}", quote(&name));
                    resolver.error(&["targets", target, "remote"], "unknown_endpoint", message, hint);
                    None
                }
            },
        }
    }
}

/// What was wrong is recorded already.
struct Reported;

/// The path of a target's folder; `None` is the workspace itself.
fn local_path(text: &str, target: &str, resolver: &mut Resolver<'_>) -> Result<Option<ItemPath>, Reported> {
    let mut error = |code, message: String| {
        let hint =
            "a target lies inside the workspace; write its path relative to it, such as `shared/notes`";
        resolver.error(&["targets", target, "path"], code, message, hint.to_owned());
        Err(Reported)
    };
    let relative = text.trim_start_matches("./").trim_end_matches('/');
    if relative.is_empty() && text.starts_with('.') || relative == "." {
        return Ok(None);
    }
    let drive = matches!(text.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic());
    if text.starts_with(['/', '~', '\\']) || drive || relative.split(['/', '\\']).any(|name| name == "..") {
        return error("path_escapes", format!("the path {} leads out of the workspace", quote(text)));
    }
    if text.contains('\\') {
        return error(
            "bad_path",
            format!("the path {} holds a backslash; names are separated by `/`", quote(text)),
        );
    }
    let relative: Vec<&str> = relative.split('/').filter(|name| !matches!(*name, "" | ".")).collect();
    match ItemPath::parse(&relative.join("/")) {
        Ok(path) => match path.protected() {
            Some(reason) => {
                error("bad_path", format!("the path {} cannot be a target: {reason}", quote(text)))
            }
            None => Ok(Some(path)),
        },
        Err(problem) => error("bad_path", problem.to_string()),
    }
}
