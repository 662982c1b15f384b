//! What a user writes about the upstream of the workspace.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use syncline_connect::{Error, ErrorKind, Result};
use syncline_core::ItemPath;

use super::super::settings::{
    self as branch, Author, Effective, Sign, check_author, check_branch, default_message,
};

/// Settings of the upstream that the workspace was cloned from.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// The name of the remote, as in `git remote`. Without it, the one that the current branch follows.
    pub(super) remote: Option<String>,
    /// The branch of the remote. Without it, the one that the current branch follows.
    pub(super) branch: Option<String>,
    /// What becomes of changes of the workspace.
    #[serde(default)]
    pub(super) commit: Policy,
    /// The branch that changes are proposed on, with `commit: propose`. Without it, `syncline/` and the folder of the
    /// target.
    proposal: Option<String>,
    /// The access token for `https`, as a reference to a secret. Without it, Git asks your own credential helper.
    token: Option<String>,
    /// The user name that goes with the token. Most hosts ignore it; the default is `x-access-token`.
    username: Option<String>,
    /// A file with the certificates of the authorities to trust for `https`, in PEM form.
    ca_file: Option<PathBuf>,
    /// The file of the private key for `ssh`. Without it, `ssh` chooses as it always does.
    ssh_key: Option<PathBuf>,
    /// A file with the keys of the hosts to trust for `ssh`. Without it, `ssh` uses its usual ones.
    known_hosts: Option<PathBuf>,
    /// Who commits. Without it, whom your Git configuration names, else Syncline.
    author: Option<Author>,
    /// The first line of the message of each commit; `{files}` becomes the number of changed files, `{run}` the run.
    #[serde(default = "default_message")]
    message: String,
    /// Whether commits are signed, or the key to sign with; the form of signatures follows your Git configuration.
    #[serde(default)]
    sign: Sign,
}

/// What becomes of changes of the workspace.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Policy {
    /// Nothing: changes of the upstream arrive in the files, uncommitted, and nothing is committed or pushed.
    Off,
    /// They are committed on a branch of their own at the upstream, for somebody to merge.
    Propose,
    /// They are committed on the local branch, and a person pushes.
    Commit,
    /// They are committed and pushed.
    #[default]
    CommitAndPush,
}

impl Policy {
    /// Whether commits go onto the local branch.
    pub(super) const fn commits(self) -> bool {
        matches!(self, Self::Commit | Self::CommitAndPush)
    }
}

impl Settings {
    /// Reads settings as they were written, and checks what can be checked without looking at the clone.
    ///
    /// # Errors
    /// When they are not of the right form.
    pub(super) fn read(value: &serde_json::Value) -> Result<Self> {
        let made: Self = serde_json::from_value(value.clone()).map_err(|error| invalid(error.to_string()))?;
        for name in [&made.branch, &made.proposal].into_iter().flatten() {
            check_branch(name)?;
        }
        if let Some(remote) = &made.remote {
            check_branch(remote).map_err(|_| invalid(format!("{remote:?} is not the name of a remote")))?;
        }
        if let Some(author) = &made.author {
            check_author(author)?;
        }
        if made.message.trim().is_empty() || made.message.contains(['\n', '\r', '\0']) {
            return Err(invalid("`message` is one line of text"));
        }
        Ok(made)
    }

    /// The branch that changes are proposed on.
    pub(super) fn proposal(&self, root: Option<&ItemPath>) -> Result<String> {
        let usual = || format!("syncline/{}", root.map_or("workspace", ItemPath::as_str));
        let name = self.proposal.clone().unwrap_or_else(usual);
        check_branch(&name).map_err(|error| error.with_hint("name another one with `proposal`"))?;
        Ok(name)
    }

    /// What will be done with the repository at `url`; relative paths of files start at `workspace`, that of the url
    /// at `top`, as Git has it.
    ///
    /// # Errors
    /// When a setting does not go with the url, or the url is refused.
    pub(super) fn effective(
        &self,
        url: &str,
        branch: &str,
        root: Option<&ItemPath>,
        workspace: &Path,
        top: &Path,
    ) -> Result<Effective> {
        let local = !url.contains(':');
        let url = if local {
            top.join(url).to_str().map_or_else(|| url.to_owned(), str::to_owned)
        } else {
            url.to_owned()
        };
        let mut made = branch::Settings {
            url,
            branch: Some(branch.to_owned()),
            path: None,
            token: self.token.clone(),
            username: self.username.clone(),
            ca_file: self.ca_file.clone(),
            ssh_key: self.ssh_key.clone(),
            known_hosts: self.known_hosts.clone(),
            author: self.author.clone(),
            message: self.message.clone(),
            sign: self.sign.clone(),
            depth: 0,
        }
        .resolve(workspace)?;
        made.root = root.cloned();
        Ok(made)
    }
}

/// A refusal of the settings, or of the clone that they speak of.
pub(super) fn invalid(message: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Invalid, format!("upstream: {message}"))
}
