//! What a user writes about a Git remote, and what it comes to.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use syncline_connect::{Error, ErrorKind, Result};
use syncline_core::ItemPath;

use super::names;
use super::url::Url;

/// Settings of a branch of a Git repository.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// Where the repository is: `https://…`, `ssh://…`, `user@host:path`, `file://…`, or a path, which starts at the
    /// root of the workspace when it is relative.
    pub(super) url: String,
    /// The branch. Without it, the one that the repository names as its default, else `main`.
    pub(super) branch: Option<String>,
    /// A folder inside the repository that is taken as the root; the rest of the repository is left alone.
    pub(super) path: Option<String>,
    /// The access token for `https`, as a reference to a secret.
    pub(super) token: Option<String>,
    /// The user name that goes with the token. Most hosts ignore it; the default is `x-access-token`.
    pub(super) username: Option<String>,
    /// A file with the certificates of the authorities to trust for `https`, in PEM form.
    pub(super) ca_file: Option<PathBuf>,
    /// The file of the private key for `ssh`. Without it, `ssh` chooses as it always does.
    pub(super) ssh_key: Option<PathBuf>,
    /// A file with the keys of the hosts to trust for `ssh`. Without it, `ssh` uses its usual ones.
    pub(super) known_hosts: Option<PathBuf>,
    /// Who commits. Without it, whom the Git configuration of the user names, else Syncline.
    pub(super) author: Option<Author>,
    /// The message of each commit; `{files}` becomes the number of changed files, `{run}` the run.
    #[serde(default = "default_message")]
    pub(super) message: String,
    /// Whether commits are signed, or the key to sign with; the form of signatures follows the Git configuration of the
    /// user.
    #[serde(default)]
    pub(super) sign: Sign,
    /// How many commits the first fetch takes; 0 takes the whole history. Later fetches take what is new.
    #[serde(default = "default_depth")]
    pub(super) depth: u32,
}

/// Who commits.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Author {
    /// The name.
    pub(super) name: String,
    /// The address.
    pub(super) email: String,
}

/// Whether and with what commits are signed.
#[derive(Clone, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(untagged)]
pub(super) enum Sign {
    /// With the key that Git chooses, or not at all.
    Choice(bool),
    /// With this key.
    Key(String),
}

impl Default for Sign {
    fn default() -> Self {
        Self::Choice(false)
    }
}

pub(super) fn default_message() -> String {
    "Batch sync: {files} files".to_owned()
}

const fn default_depth() -> u32 {
    1
}

/// Checked settings: what will be done.
pub(super) struct Effective {
    pub(super) url: Url,
    pub(super) branch: Option<String>,
    pub(super) root: Option<ItemPath>,
    pub(super) token: Option<String>,
    pub(super) username: String,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) ssh_key: Option<PathBuf>,
    pub(super) known_hosts: Option<PathBuf>,
    pub(super) author: Option<Author>,
    pub(super) message: String,
    pub(super) sign: Sign,
    pub(super) depth: u32,
}

impl Settings {
    /// Reads settings as they were written.
    ///
    /// # Errors
    /// When they are not of the right form.
    pub(super) fn read(value: &serde_json::Value) -> Result<Self> {
        serde_json::from_value(value.clone()).map_err(|error| invalid(error.to_string()))
    }

    /// Checks everything that can be checked without contacting anybody; relative paths start at `workspace`.
    ///
    /// # Errors
    /// When a setting cannot be used, or does not go with another one.
    pub(super) fn resolve(self, workspace: &Path) -> Result<Effective> {
        let url = Url::parse(&self.url, workspace)?;
        url.refuse_inside(workspace)?;
        if let Some(branch) = &self.branch {
            check_branch(branch)?;
        }
        let root = self.path.as_deref().map(check_root).transpose()?.flatten();
        let only = |given: bool, setting: &str, fits: bool, scheme: &str| match given && !fits {
            true => Err(invalid(format!("`{setting}` goes with {scheme} alone, and the url is none"))),
            false => Ok(()),
        };
        only(self.token.is_some(), "token", url.is_https(), "https")?;
        only(self.ca_file.is_some(), "ca_file", url.is_https(), "https")?;
        only(self.ssh_key.is_some(), "ssh_key", url.is_ssh(), "ssh")?;
        only(self.known_hosts.is_some(), "known_hosts", url.is_ssh(), "ssh")?;
        let username = self.username.unwrap_or_else(|| "x-access-token".to_owned());
        let lines = [self.token.as_deref(), Some(&username)];
        if lines.iter().flatten().any(|text| text.is_empty() || text.contains(['\n', '\r', '\0'])) {
            return Err(invalid("`token` and `username` are one line of text each"));
        }
        if let Some(author) = &self.author {
            check_author(author)?;
        }
        if matches!(&self.sign, Sign::Key(key) if key.is_empty() || key.contains(['\n', '\0'])) {
            return Err(invalid("the key to sign with is empty or no line of text"));
        }
        if self.message.trim().is_empty() || self.message.contains('\0') {
            return Err(invalid("the message of commits is empty"));
        }
        let file = |path: Option<PathBuf>, setting: &str| {
            path.map(|path| file(workspace, &path, setting)).transpose()
        };
        Ok(Effective {
            url,
            branch: self.branch,
            root,
            token: self.token,
            username,
            ca_file: file(self.ca_file, "ca_file")?,
            ssh_key: file(self.ssh_key, "ssh_key")?,
            known_hosts: file(self.known_hosts, "known_hosts")?,
            author: self.author,
            message: self.message,
            sign: self.sign,
            depth: self.depth,
        })
    }
}

impl Effective {
    /// Where it is, for people.
    pub(super) fn location(&self) -> String {
        let branch = self.branch.as_ref().map(|branch| format!("#{branch}")).unwrap_or_default();
        let root = self.root.as_ref().map(|root| format!(":{root}")).unwrap_or_default();
        format!("{}{branch}{root}", self.url.as_str())
    }
}

/// A refusal of the settings.
pub(super) fn invalid(message: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Invalid, format!("git: {message}"))
}

/// A file named in the settings: the path reaches programs through environment and configuration, where these
/// characters would mean something else.
fn file(workspace: &Path, path: &Path, setting: &str) -> Result<PathBuf> {
    let whole = workspace.join(path);
    let text = whole.to_str().ok_or_else(|| invalid(format!("the path of `{setting}` is not UTF-8 text")))?;
    if text.contains(['"', '\n', '\r', '\0']) || path.as_os_str().is_empty() {
        return Err(invalid(format!("the path of `{setting}` is empty, or holds a quote or a line break")));
    }
    Ok(whole)
}

fn check_root(text: &str) -> Result<Option<ItemPath>> {
    let plain = text.trim_matches('/');
    if matches!(plain, "" | ".") {
        return Ok(None);
    }
    let root = ItemPath::parse(plain).map_err(|error| invalid(format!("`path`: {error}")))?;
    match names::refusal(&root) {
        Some(reason) => Err(invalid(format!("`path` {plain:?}: {reason}"))),
        None => Ok(Some(root)),
    }
}

pub(super) fn check_author(author: &Author) -> Result<()> {
    let odd = |text: &str| text.trim().is_empty() || text.contains(['<', '>', '\n', '\r', '\0']);
    if odd(&author.name) || odd(&author.email) {
        return Err(invalid("`author` needs a name and an email, without `<`, `>` and line breaks"));
    }
    Ok(())
}

/// Checks the name of a branch by the rules of `git check-ref-format`.
///
/// # Errors
/// When it is none.
pub(super) fn check_branch(name: &str) -> Result<()> {
    let odd_character =
        |c: char| c.is_control() || matches!(c, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\');
    let odd_part = |part: &str| part.is_empty() || part.starts_with('.') || part.ends_with(".lock");
    let odd = name.len() > 200
        || name.starts_with('-')
        || name.ends_with('.')
        || name == "@"
        || name == "HEAD"
        || name.starts_with("refs/")
        || name.contains("..")
        || name.contains("@{")
        || name.chars().any(odd_character)
        || name.split('/').any(odd_part);
    if odd {
        return Err(invalid(format!("{name:?} is not the name of a branch; write it as in `git branch`")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn resolve(value: serde_json::Value) -> Result<Effective> {
        Settings::read(&value)?.resolve(Path::new("/place"))
    }

    #[test]
    fn branches_are_checked_as_git_does() {
        for name in ["main", "feature/one", "v1.0", "тест", "a-b_c", "x@y"] {
            assert!(check_branch(name).is_ok(), "{name}");
        }
        for name in [
            "",
            "-x",
            "--upload-pack=x",
            "a..b",
            "a b",
            "a~1",
            "a^",
            "a:b",
            "a?",
            "*",
            "[",
            "a\\b",
            "@",
            "@{u}",
            "/a",
            "a/",
            "a//b",
            ".a",
            "a/.b",
            "a.lock",
            "a.lock/b",
            "a.",
            "HEAD",
            "refs/heads/a",
            "a\nb",
            "a\u{7f}",
        ] {
            assert!(check_branch(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn settings_that_do_not_go_together_are_refused() {
        for value in [
            json!({ "url": "../x.git", "token": "t" }),
            json!({ "url": "https://host/x.git", "ssh_key": "key" }),
            json!({ "url": "git@host:x.git", "ca_file": "ca.pem" }),
            json!({ "url": "https://host/x.git", "token": "one\ntwo" }),
            json!({ "url": "https://host/x.git", "token": "" }),
            json!({ "url": "x.git", "path": "../outside" }),
            json!({ "url": "x.git", "path": "a/.git/b" }),
            json!({ "url": "x.git", "author": { "name": "a", "email": "a <b>" } }),
            json!({ "url": "x.git", "message": " " }),
            json!({ "url": "x.git", "unknown": 1 }),
        ] {
            assert!(resolve(value.clone()).is_err(), "{value}");
        }
    }

    #[test]
    fn the_location_names_branch_and_folder() {
        let made = resolve(json!({ "url": "git@host:x.git", "branch": "main", "path": "/docs/" }));
        assert_eq!(made.map(|made| made.location()).ok().as_deref(), Some("git@host:x.git#main:docs"));
    }
}
