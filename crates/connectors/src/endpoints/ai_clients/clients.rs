//! The clients that are known: where each keeps its servers, and in which form. Facts of 2026.

use std::path::{Path, PathBuf};

/// One client.
#[derive(Clone, Copy)]
pub(super) struct Client {
    /// The word for it in settings and documents.
    pub(super) name: &'static str,
    /// Where its configuration is, unless the settings say otherwise.
    pub(super) path: fn(&Places) -> PathBuf,
    pub(super) syntax: Syntax,
    /// The member of the configuration that holds the servers.
    pub(super) member: &'static str,
    /// The member of a server that holds its address; `None` where it takes commands alone.
    pub(super) url: Option<&'static str>,
    /// What the member `type` says of a command and of an address, where the client wants to be told.
    pub(super) types: Option<[&'static str; 2]>,
    pub(super) reference: Reference,
}

/// In which language a configuration is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax {
    /// JSON, with comments where the client allows them.
    Json,
    Toml,
}

/// How a client is told to take a variable from its own environment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reference {
    /// `${NAME}`
    Braces,
    /// `${env:NAME}`
    EnvBraces,
    /// The name, in a list of its own.
    Forwarded,
    /// It takes values alone.
    None,
}

/// Every client, in the order in which people read them.
pub(super) const CLIENTS: &[Client] = &[
    Client {
        name: "claude_code",
        path: |places| places.home.join(".claude.json"),
        types: Some(["stdio", "http"]),
        reference: Reference::Braces,
        ..Client::COMMON
    },
    Client {
        name: "claude_code_project",
        path: |places| places.workspace.join(".mcp.json"),
        types: Some(["stdio", "http"]),
        reference: Reference::Braces,
        ..Client::COMMON
    },
    Client {
        name: "claude_desktop",
        path: |places| places.config.join("Claude/claude_desktop_config.json"),
        url: None,
        ..Client::COMMON
    },
    Client {
        name: "cline",
        path: |places| {
            places
                .config
                .join("Code/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json")
        },
        types: Some(["stdio", "streamableHttp"]),
        ..Client::COMMON
    },
    Client {
        name: "codex",
        path: |places| places.home.join(".codex/config.toml"),
        syntax: Syntax::Toml,
        member: "mcp_servers",
        reference: Reference::Forwarded,
        ..Client::COMMON
    },
    Client {
        name: "cursor",
        path: |places| places.home.join(".cursor/mcp.json"),
        reference: Reference::EnvBraces,
        ..Client::COMMON
    },
    Client {
        name: "gemini",
        path: |places| places.home.join(".gemini/settings.json"),
        url: Some("httpUrl"),
        reference: Reference::Braces,
        ..Client::COMMON
    },
    Client {
        name: "vscode",
        path: |places| places.config.join("Code/User/mcp.json"),
        member: "servers",
        types: Some(["stdio", "http"]),
        reference: Reference::EnvBraces,
        ..Client::COMMON
    },
    Client {
        name: "windsurf",
        path: |places| places.home.join(".codeium/windsurf/mcp_config.json"),
        url: Some("serverUrl"),
        reference: Reference::EnvBraces,
        ..Client::COMMON
    },
    Client {
        name: "zed",
        path: |places| match cfg!(windows) {
            true => places.config.join("Zed/settings.json"),
            false => places.dotted.join("zed/settings.json"),
        },
        member: "context_servers",
        ..Client::COMMON
    },
];

/// The members under which clients keep an address, each its own.
pub(super) const ADDRESSES: [&str; 3] = ["url", "serverUrl", "httpUrl"];

impl Client {
    /// What most of them have in common.
    const COMMON: Self = Self {
        name: "",
        path: |places| places.home.clone(),
        syntax: Syntax::Json,
        member: "mcpServers",
        url: Some("url"),
        types: None,
        reference: Reference::None,
    };

    /// Finds a client by its name.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        CLIENTS.iter().find(|client| client.name == name)
    }
}

impl Reference {
    /// What stands for the value of a variable in its place, where anything can.
    pub(super) fn to(self, name: &str) -> Option<String> {
        match self {
            Self::Braces => Some(format!("${{{name}}}")),
            Self::EnvBraces => Some(format!("${{env:{name}}}")),
            Self::Forwarded | Self::None => None,
        }
    }
}

/// Where things are on this system.
pub(super) struct Places {
    pub(super) home: PathBuf,
    /// Where programs with windows keep their configuration.
    config: PathBuf,
    /// Where programs keep their configuration that follow Linux everywhere.
    dotted: PathBuf,
    workspace: PathBuf,
}

impl Places {
    /// The places of the user who runs this program.
    pub(super) fn here(workspace: &Path) -> Self {
        let variable =
            |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let home = variable(if cfg!(windows) { "USERPROFILE" } else { "HOME" }).unwrap_or_default();
        let dotted = variable("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config"));
        let config = if cfg!(target_os = "macos") {
            home.join("Library/Application Support")
        } else if cfg!(windows) {
            variable("APPDATA").unwrap_or_else(|| home.join("AppData/Roaming"))
        } else {
            dotted.clone()
        };
        Self { home, config, dotted, workspace: workspace.to_owned() }
    }

    /// A path as it is written in settings: `~` and `$HOME` stand for the home, relative ones start at the workspace.
    pub(super) fn expand(&self, text: &str) -> PathBuf {
        let home = ["~", "$HOME", "${HOME}"].iter().find_map(|word| {
            let rest = text.strip_prefix(word)?;
            (rest.is_empty() || rest.starts_with('/')).then(|| rest.trim_start_matches('/'))
        });
        match home {
            Some("") => self.home.clone(),
            Some(rest) => self.home.join(rest),
            None => self.workspace.join(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_expanded_and_relative_ones_start_at_the_workspace() {
        let places = Places { home: "/home/ada".into(), ..Places::here(Path::new("/place")) };
        for (written, expected) in [
            ("$HOME/x.json", "/home/ada/x.json"),
            ("${HOME}/x.json", "/home/ada/x.json"),
            ("~/x.json", "/home/ada/x.json"),
            ("~", "/home/ada"),
            ("docs/skills", "/place/docs/skills"),
            ("/etc/x.json", "/etc/x.json"),
            ("$HOMELAND/x", "/place/$HOMELAND/x"),
        ] {
            assert_eq!(places.expand(written), Path::new(expected), "{written}");
        }
    }

    #[test]
    fn names_are_unique_words() {
        let mut names: Vec<_> = CLIENTS.iter().map(|client| client.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
