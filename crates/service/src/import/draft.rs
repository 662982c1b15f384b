//! What several old files come to, and how that is written.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use syncline_config::is_name;

use super::values::quoted;

/// The name of the target where no folder gives it a better one.
const TARGET: &str = "workspace";
/// The address that a service is reached at from this machine alone.
const LOOPBACK: &str = "127.0.0.1";

/// What several old files come to.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) node: Option<String>,
    mirror: Option<Mirror>,
    pipeline: Option<Pipeline>,
    /// The address of each peer, by its name.
    pub(super) peers: BTreeMap<String, String>,
    pub(super) heartbeat_port: Option<u16>,
    pub(super) health_port: Option<u16>,
    /// The variable that says whom alerts go to.
    pub(super) chat: Option<String>,
    /// Variables that hold secrets.
    pub(super) secrets: BTreeSet<String>,
    pub(super) projects: BTreeSet<String>,
    pub(super) topics: BTreeSet<String>,
}

/// The target that keeps files in agreement with a Git repository.
#[derive(Default)]
pub(super) struct Mirror {
    pub(super) path: Option<String>,
    pub(super) branch: Option<String>,
    /// The name of the remote in the clone.
    pub(super) remote: Option<String>,
    pub(super) url: Option<String>,
    /// Seconds between two runs.
    pub(super) interval: Option<u64>,
    pub(super) rules: Vec<Rule>,
}

/// How conflicts of some files are settled.
#[derive(PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) pattern: &'static str,
    pub(super) policy: &'static str,
}

/// A target that collects, renders and sends.
#[derive(Default)]
pub(super) struct Pipeline {
    /// Seconds between two runs.
    pub(super) interval: Option<u64>,
    pub(super) events: BTreeSet<String>,
    pub(super) parts: Vec<Part>,
}

/// A source, an exporter or a publisher.
pub(super) struct Part {
    pub(super) section: String,
    pub(super) name: String,
    /// Its settings, as they are written.
    pub(super) settings: Vec<(String, String)>,
}

impl Draft {
    /// The target that keeps files in agreement.
    pub(super) fn mirror(&mut self) -> &mut Mirror {
        self.mirror.get_or_insert_default()
    }

    /// The target that collects, renders and sends.
    pub(super) fn pipeline(&mut self) -> &mut Pipeline {
        self.pipeline.get_or_insert_default()
    }

    /// The file; `names` are those of the files that it was made from.
    pub(super) fn text(&self, names: &[&str]) -> String {
        let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
        let mut text = format!(
            "# yaml-language-server: $schema=./syncline.schema.json\n\
             # Made by `syncline import` from {}.\n\
             # `syncline plan` shows what would be done, `syncline run` does it. What this version does not run is a comment.\n\
             version: \"1.0\"\n",
            names.join(", ")
        );
        if let Some(node) = &self.node {
            text += &format!("\nnode:\n  name: {}\n", quoted(node));
        }
        if let Some(mirror) = &self.mirror {
            text += "\ntargets:\n";
            text += &mirror.text(&self.secrets);
        }
        for (heading, lines) in [
            ("A pipeline: it collects, renders and sends.", self.pipeline_lines()),
            ("Other machines, and where their heartbeats are listened for.", self.peer_lines()),
            ("Where health and status are asked for.", self.serve_lines()),
            ("Who is told when something is wrong.", self.alert_lines()),
            ("Projects and topics that AI clients share.", self.hub_lines()),
            (
                "Secrets of the old files. They stay in the environment; refer to them where they are needed.",
                { self.secrets.iter().map(|name| format!("\"${{env:{name}}}\"")).collect() },
            ),
        ] {
            if !lines.is_empty() {
                let _ = writeln!(text, "\n# {heading}");
                for line in lines {
                    let _ = writeln!(text, "# {line}");
                }
            }
        }
        text
    }

    fn pipeline_lines(&self) -> Vec<String> {
        let Some(pipeline) = &self.pipeline else { return Vec::new() };
        // Below the target that is there already, the key stands there too.
        let mut lines = if self.mirror.is_some() { Vec::new() } else { vec!["targets:".to_owned()] };
        lines.push("  ecosystem:".to_owned());
        lines.extend(pipeline.interval.map(|seconds| format!("    schedule: \"every {seconds}s\"")));
        if !pipeline.events.is_empty() {
            let events: Vec<&str> = pipeline.events.iter().map(String::as_str).collect();
            lines.push(format!("    triggers: {{ events: [{}] }}", events.join(", ")));
        }
        for section in ["sources", "exporters", "publishers"] {
            let parts: Vec<&Part> = pipeline.parts.iter().filter(|part| part.section == section).collect();
            if !parts.is_empty() {
                lines.push(format!("    {section}:"));
            }
            for Part { name, settings, .. } in parts {
                let settings: Vec<String> =
                    settings.iter().map(|(key, value)| format!(" {key}: {value}")).collect();
                let space = if settings.is_empty() { "" } else { " " };
                lines.push(format!("      {name}: {{{}{space}}}", settings.join(",")));
            }
        }
        lines
    }

    fn peer_lines(&self) -> Vec<String> {
        if self.peers.is_empty() && self.heartbeat_port.is_none() {
            return Vec::new();
        }
        let mut lines = vec!["peers:".to_owned()];
        lines.extend(self.heartbeat_port.map(|port| format!("  # heartbeats: port {port}")));
        for (name, host) in &self.peers {
            let address = self.heartbeat_port.map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
            lines.push(format!("  {name}: {{ address: {} }}", quoted(&address)));
        }
        lines
    }

    fn serve_lines(&self) -> Vec<String> {
        let line = |port| vec!["serve:".to_owned(), format!("  listen: \"{LOOPBACK}:{port}\"")];
        self.health_port.map(line).unwrap_or_default()
    }

    fn alert_lines(&self) -> Vec<String> {
        let line = |chat| {
            let chat = format!("  telegram: {{ chat: \"${{env:{chat}}}\" }}");
            vec!["alerts:".to_owned(), chat]
        };
        self.chat.as_ref().map(line).unwrap_or_default()
    }

    fn hub_lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (key, names) in [("projects", &self.projects), ("topics", &self.topics)] {
            if !names.is_empty() {
                lines.push(format!("  {key}:"));
                lines.extend(names.iter().map(|name| format!("    - {}", quoted(name))));
            }
        }
        if !lines.is_empty() {
            lines.insert(0, "hub:".to_owned());
        }
        lines
    }
}

impl Mirror {
    fn text(&self, secrets: &BTreeSet<String>) -> String {
        let path = self.path.as_deref().unwrap_or(".");
        let last = path.rsplit('/').next().filter(|name| is_name(name)).unwrap_or(TARGET);
        let mut text = format!("  {}:\n    path: {}\n    remote:\n", quoted(last), quoted(path));
        match &self.url {
            Some(url) => {
                let _ = writeln!(text, "      kind: git\n      url: {}", quoted(url));
            }
            None => {
                text += "      kind: upstream         # the branch that this clone follows\n      commit: commit_and_push\n";
                if let Some(remote) = &self.remote {
                    let _ = writeln!(text, "      remote: {}", quoted(remote));
                }
            }
        }
        if let Some(branch) = &self.branch {
            let _ = writeln!(text, "      branch: {}", quoted(branch));
        }
        // Only https takes a token, and only whoever uses the file knows whether it does.
        if let Some(token) = secrets.iter().find(|name| matches!(name.as_str(), "GITHUB_TOKEN" | "GIT_TOKEN"))
        {
            let _ = writeln!(
                text,
                "      # token: \"${{env:{token}}}\"   # for https, where Git has no helper of its own"
            );
        }
        if let Some(seconds) = self.interval {
            let _ = writeln!(
                text,
                "    schedule: \"every {seconds}s\"   # syncline run --watch --interval {seconds}s"
            );
        }
        text += "    # The first rule that matches decides. What cannot be merged is kept twice.\n    conflicts:\n";
        for Rule { pattern, policy } in &self.rules {
            let _ = writeln!(text, "      - {{ match: \"{pattern}\", policy: {policy} }}");
        }
        text += "      - { match: \"**/*.json\", policy: json }\n      \
                 - { match: \"**/*.{ndjson,jsonl,log}\", policy: union }\n      \
                 - { match: \"**\", policy: merge }\n";
        text
    }
}
