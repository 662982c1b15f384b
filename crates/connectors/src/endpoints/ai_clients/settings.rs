//! What a user writes about AI clients, and what it comes to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use syncline_connect::{Error, ErrorKind, Result};
use syncline_core::ItemPath;

use super::clients::{CLIENTS, Client, Places};
use super::sections::Sections;

/// Settings of the configuration of AI clients, shown as a section of a document.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// The Markdown file that names servers, agents and skills, relative to the folder of the target.
    document: String,
    /// The clients whose configuration is compared: `claude_code`, `claude_code_project`, `claude_desktop`, `cline`,
    /// `codex`, `cursor`, `gemini`, `vscode`, `windsurf`, `zed`.
    clients: Vec<String>,
    /// Where a client keeps its configuration, when it is not the usual place; `$HOME` and `~` stand for your home, and
    /// a relative path starts at the root of the workspace.
    #[serde(default)]
    files: BTreeMap<String, String>,
    /// The folder of agents, a Markdown file each. The default is `~/.claude/agents` when `claude_code` is chosen, and
    /// otherwise none.
    agent_dir: Option<String>,
    /// The folder of skills, a folder with a `SKILL.md` each. The default is `~/.claude/skills` when `claude_code` is
    /// chosen, and otherwise none.
    skills_dir: Option<String>,
    /// The sections that the document must have, each once and in this order: a range of numbers such as `0-23`, or a
    /// list of headings.
    sections: Option<WrittenSections>,
    /// What is done with servers, agents and skills that the document does not name.
    #[serde(default)]
    unnamed: Unnamed,
}

/// Sections as they are written.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum WrittenSections {
    /// A range of numbers.
    Range(String),
    /// Headings.
    Names(Vec<String>),
}

/// What is done with what the document does not name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Unnamed {
    /// It is a difference: a pull names it, and a push takes it away.
    #[default]
    Compare,
    /// It is left alone on both sides.
    Ignore,
}

/// One chosen client, and where its configuration is.
#[derive(Clone)]
pub(super) struct Chosen {
    pub(super) client: &'static Client,
    pub(super) path: PathBuf,
}

/// Checked settings.
#[derive(Clone)]
pub(super) struct Effective {
    pub(super) document: ItemPath,
    pub(super) clients: Vec<Chosen>,
    pub(super) agents: Option<PathBuf>,
    pub(super) skills: Option<PathBuf>,
    pub(super) sections: Option<Sections>,
    pub(super) unnamed: Unnamed,
}

impl Settings {
    /// Reads settings as they were written.
    ///
    /// # Errors
    /// When they are not of the right form.
    pub(super) fn read(value: &Value) -> Result<Self> {
        serde_json::from_value(value.clone()).map_err(|error| invalid(error.to_string()))
    }

    /// Checks everything that can be checked without reading anything.
    ///
    /// # Errors
    /// When a setting cannot be used.
    pub(super) fn resolve(self, workspace: &Path) -> Result<Effective> {
        let places = Places::here(workspace);
        let document =
            ItemPath::parse(&self.document).map_err(|error| invalid(format!("`document`: {error}")))?;
        if let Some(why) = document.protected() {
            return Err(invalid(format!("`document`: {why}")));
        }
        if self.document.contains(['*', '?', '[', ']', '{', '}', '!', '\\']) {
            return Err(invalid("`document` names one file, without the signs of patterns"));
        }
        let mut clients: Vec<Chosen> = Vec::new();
        for name in &self.clients {
            let client = Client::named(name).ok_or_else(|| unknown("clients", name))?;
            if clients.iter().any(|chosen| chosen.client.name == client.name) {
                return Err(invalid(format!("`clients` names {name} twice")));
            }
            let path =
                self.files.get(name).map_or_else(|| (client.path)(&places), |path| places.expand(path));
            if !path.is_absolute() {
                return Err(invalid(format!(
                    "where {name} keeps its configuration is not known without a home"
                ))
                .with_hint(format!("set HOME, or write the path in full under `files: {{ {name}: … }}`")));
            }
            clients.push(Chosen { client, path });
        }
        if clients.is_empty() {
            return Err(invalid("`clients` names none").with_hint(format!("name some of {}", names())));
        }
        if let Some(name) = self.files.keys().find(|name| !self.clients.contains(name)) {
            return Err(unknown("files", name));
        }
        let claude = self.clients.iter().any(|name| name == "claude_code");
        let folder = |written: Option<String>, usual: &str| match written {
            Some(path) => Some(places.expand(&path)),
            None => claude.then(|| places.home.join(usual)),
        };
        let sections = self.sections.map(|written| match written {
            WrittenSections::Range(range) => Sections::range(&range).map_err(invalid),
            WrittenSections::Names(names) => Ok(Sections::Names(names)),
        });
        Ok(Effective {
            document,
            agents: folder(self.agent_dir, ".claude/agents"),
            skills: folder(self.skills_dir, ".claude/skills"),
            clients,
            sections: sections.transpose()?,
            unnamed: self.unnamed,
        })
    }
}

fn names() -> String {
    let names: Vec<&str> = CLIENTS.iter().map(|client| client.name).collect();
    names.join(", ")
}

fn unknown(setting: &str, name: &str) -> Error {
    let known = Client::named(name).is_some();
    let why = if known { "is not among `clients`" } else { "is no client that is known" };
    invalid(format!("`{setting}`: {name:?} {why}")).with_hint(format!("there are {}", names()))
}

pub(super) fn invalid(message: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Invalid, format!("ai_clients: {message}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn resolve(value: Value) -> Result<Effective> {
        Settings::read(&value)?.resolve(Path::new("/place"))
    }

    #[test]
    fn settings_that_cannot_be_meant_are_refused() {
        let files = json!({ "cline": "/c.json", "cursor": "/k.json" });
        for value in [
            json!({ "clients": ["cline"] }),
            json!({ "document": "a.md" }),
            json!({ "document": "a.md", "clients": [] }),
            json!({ "document": "a.md", "clients": ["clien"] }),
            json!({ "document": "a.md", "clients": ["cline", "cline"], "files": { "cline": "/c.json" } }),
            json!({ "document": "a.md", "clients": ["cline"], "files": files }),
            json!({ "document": "../a.md", "clients": ["cline"], "files": { "cline": "/c.json" } }),
            json!({ "document": "*.md", "clients": ["cline"], "files": { "cline": "/c.json" } }),
            json!({ "document": ".git/a.md", "clients": ["cline"], "files": { "cline": "/c.json" } }),
            json!({ "document": "a.md", "clients": ["cline"], "files": { "cline": "/c.json" }, "sections": "5" }),
            json!({ "document": "a.md", "clients": ["cline"], "files": { "cline": "/c.json" }, "sections": "9-2" }),
        ] {
            assert!(resolve(value.clone()).is_err(), "{value}");
        }
        assert!(
            resolve(json!({ "document": "a.md", "clients": ["cline"], "files": { "cline": "/c.json" } }))
                .is_ok()
        );
    }
}
