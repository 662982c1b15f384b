//! What a user writes about many repositories, and what it comes to.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use syncline_connect::{Error, Result};
use syncline_core::ItemPath;

use super::list::{self, Repository, Written, invalid};

/// Most repositories that are asked at the same time.
const CONCURRENCY_MAX: usize = 64;

/// Settings of many repositories shown as folders of one place.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// The repositories: a url each, or `{ url, name, branch }`. The folder is called after the url unless `name` says
    /// otherwise.
    urls: Option<Vec<Written>>,
    /// A file that lists them instead, read anew for every run: `url`, `name url` or `name url branch` in each line; a
    /// relative path starts at the root of the workspace.
    file: Option<PathBuf>,
    /// The branch of those that name none. Without it, the default of each repository.
    branch: Option<String>,
    /// How few repositories the list may hold; a shorter list is refused as cut short.
    #[serde(default = "one")]
    expected_min: usize,
    /// A file of the target in which the commit of each repository is recorded. Without it, there is none.
    commits: Option<String>,
    /// How many repositories are asked at the same time, at most 64.
    #[serde(default = "default_concurrency")]
    concurrency: usize,
    /// How many commits the first fetch of each takes; 0 takes the whole history.
    #[serde(default = "one_commit")]
    depth: u32,
    /// The access token for `https`, as a reference to a secret; only `token_host` is told it.
    token: Option<String>,
    /// The host that is told the token, such as `github.com`, with the port where it has one of its own.
    token_host: Option<String>,
    /// The user name that goes with the token; the default is `x-access-token`.
    username: Option<String>,
    /// A file with the certificates of the authorities to trust for `https`, in PEM form.
    ca_file: Option<PathBuf>,
    /// The file of the private key for `ssh`. Without it, `ssh` chooses as it always does.
    ssh_key: Option<PathBuf>,
    /// A file with the keys of the hosts to trust for `ssh`. Without it, `ssh` uses its usual ones.
    known_hosts: Option<PathBuf>,
}

const fn one() -> usize {
    1
}

const fn one_commit() -> u32 {
    1
}

const fn default_concurrency() -> usize {
    8
}

/// Where the list comes from.
enum Source {
    Settings(Vec<Repository>),
    File(PathBuf),
}

/// Checked settings.
pub(super) struct Effective {
    source: Source,
    expected_min: usize,
    pub(super) commits: Option<ItemPath>,
    pub(super) concurrency: usize,
    settings: Settings,
}

impl Settings {
    /// Reads settings as they were written.
    ///
    /// # Errors
    /// When they are not of the right form.
    pub(super) fn read(value: &Value) -> Result<Self> {
        serde_json::from_value(value.clone()).map_err(|error| invalid(error.to_string()))
    }

    /// Checks everything that can be checked without contacting anybody; relative paths start at `workspace`.
    ///
    /// # Errors
    /// When a setting cannot be used, or does not go with another one.
    pub(super) fn resolve(self, workspace: &Path) -> Result<Effective> {
        let source = match (&self.urls, &self.file) {
            (Some(urls), None) => Source::Settings(list::from_settings(urls)?),
            (None, Some(file)) => Source::File(workspace.join(file)),
            _ => return Err(invalid("give either `urls` or `file`: where the repositories are")),
        };
        if self.token.is_some() != self.token_host.is_some() {
            return Err(invalid("`token` and `token_host` go together: a token is told to one host alone"));
        }
        if self.concurrency == 0 || self.concurrency > CONCURRENCY_MAX {
            return Err(invalid(format!("`concurrency` is a number from 1 to {CONCURRENCY_MAX}")));
        }
        let commits = self.commits.as_deref().map(ItemPath::parse).transpose();
        let commits = commits.map_err(|error| invalid(format!("`commits`: {error}")))?;
        if let Some(why) = commits.as_ref().and_then(ItemPath::protected) {
            return Err(invalid(format!("`commits`: {why}")));
        }
        let (expected_min, concurrency) = (self.expected_min, self.concurrency);
        Ok(Effective { source, expected_min, commits, concurrency, settings: self })
    }
}

impl Effective {
    /// Where it is, for people; it stays the same when the list changes.
    pub(super) fn location(&self) -> String {
        match &self.source {
            Source::Settings(_) => "repositories".to_owned(),
            Source::File(file) => format!("repositories of {}", file.display()),
        }
    }

    /// The list as it is now.
    ///
    /// # Errors
    /// When it cannot be read or understood, or is shorter than expected.
    pub(super) fn repositories(&self) -> Result<Vec<Repository>> {
        let listed = match &self.source {
            Source::Settings(repositories) => repositories.clone(),
            Source::File(file) => list::from_file(file)?,
        };
        if listed.len() < self.expected_min {
            let message =
                format!("{} are listed, fewer than `expected_min` ({})", listed.len(), self.expected_min);
            return Err(
                invalid(message).with_hint("complete the list, or lower `expected_min` if it is meant")
            );
        }
        let meets = |name: &ItemPath, file: &ItemPath| {
            name == file || file.is_below(name.as_str()) || name.is_below(file.as_str())
        };
        let taken = |file: &&ItemPath| listed.iter().any(|repository| meets(&repository.name, file));
        match self.commits.as_ref().filter(taken) {
            Some(file) => Err(invalid(format!("`commits`: {file} lies in the folder of a repository"))),
            None => Ok(listed),
        }
    }

    /// The settings with which the kind `git` opens one of them.
    pub(super) fn for_git(&self, repository: &Repository) -> Value {
        let (url, settings) = (&repository.url, &self.settings);
        let mut made = Map::new();
        let mut set = |name: &str, value: Option<Value>| {
            made.extend(value.map(|value| (name.to_owned(), value)));
        };
        let text = |text: &Option<String>| text.clone().map(Value::from);
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| Value::from(path.to_string_lossy()));
        set("url", Some(url.as_str().into()));
        set("branch", text(&repository.branch).or_else(|| text(&settings.branch)));
        set("depth", Some(settings.depth.into()));
        if url.starts_with("https://") {
            set("ca_file", path(&settings.ca_file));
            if host(url) == settings.token_host.as_deref() {
                set("token", text(&settings.token));
                set("username", text(&settings.username));
            }
        } else if url.starts_with("ssh://") || url.find(':').is_some_and(|colon| !url[..colon].contains('/'))
        {
            set("ssh_key", path(&settings.ssh_key));
            set("known_hosts", path(&settings.known_hosts));
        }
        Value::Object(made)
    }

    /// Says which repository an error is about.
    pub(super) fn about(name: &ItemPath, error: &Error) -> Error {
        Error::new(error.kind(), format!("{name}: {error}"))
    }
}

/// Host and port of an https address.
fn host(url: &str) -> Option<&str> {
    let authority = url.strip_prefix("https://")?.split('/').next()?;
    Some(authority.rsplit_once('@').map_or(authority, |(_, host)| host))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn resolve(value: Value) -> Result<Effective> {
        Settings::read(&value)?.resolve(Path::new("/place"))
    }

    #[test]
    fn settings_that_do_not_go_together_are_refused() {
        for value in [
            json!({}),
            json!({ "urls": ["h:x"], "file": "repos.txt" }),
            json!({ "urls": ["h:x"], "token": "t" }),
            json!({ "urls": ["h:x"], "token_host": "h" }),
            json!({ "urls": ["h:x"], "concurrency": 0 }),
            json!({ "urls": ["h:x"], "concurrency": 1000 }),
            json!({ "urls": ["h:x"], "commits": "../commits" }),
            json!({ "urls": ["h:x"], "commits": ".git/config" }),
            json!({ "urls": ["h:x", "h:y/x"] }),
            json!({ "urls": [{ "url": "h:x", "nmae": "y" }] }),
        ] {
            assert!(resolve(value.clone()).is_err(), "{value}");
        }
    }

    #[test]
    fn a_list_that_is_too_short_or_meets_the_record_is_refused() {
        assert!(resolve(json!({ "urls": [] })).unwrap().repositories().is_err());
        assert!(resolve(json!({ "urls": ["h:x"], "expected_min": 2 })).unwrap().repositories().is_err());
        assert!(resolve(json!({ "urls": ["h:x"], "commits": "x/commits" })).unwrap().repositories().is_err());
        assert!(resolve(json!({ "urls": ["h:x"], "commits": "commits" })).unwrap().repositories().is_ok());
    }

    #[test]
    fn a_token_is_told_to_its_host_alone() {
        let urls = [
            "https://host/a",
            "https://host:8443/b",
            "https://evil.example/host/c",
            "https://host@evil/d",
            "h:e",
        ];
        let made =
            resolve(json!({ "urls": urls, "token": "t", "token_host": "host", "ssh_key": "key" })).unwrap();
        let told: Vec<bool> = made
            .repositories()
            .unwrap()
            .iter()
            .map(|repository| made.for_git(repository).get("token").is_some())
            .collect();
        assert_eq!(told, [true, false, false, false, false]);
    }
}
