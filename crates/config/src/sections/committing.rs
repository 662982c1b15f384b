//! `git_commit`: whether what a run brought into a Git repository is committed.

use schemars::JsonSchema;
use serde::Deserialize;

/// What becomes of what a run brought in: `true` commits it, `false` leaves it to people; or one word, or more.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Written {
    /// `true` is `commit`, `false` is `off`.
    Switch(bool),
    /// One word.
    Policy(Policy),
    /// With a message and an author.
    Full(Full),
}

/// Whether what a run brought in is committed, and how.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Full {
    /// How far it goes.
    policy: Policy,
    /// The first line of the message; `{target}` stands for the target, `{files}` for the number of files, `{run}` for the
    /// run.
    #[schemars(extend("default" = "Sync {target}: {files} files"))]
    message: Option<String>,
    /// Who commits. Default: whom the Git configuration names, else Syncline.
    #[schemars(example = &"CI Bot <ci@example.org>")]
    author: Option<String>,
}

/// How far committing goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Policy {
    /// Nothing is committed.
    #[default]
    Off,
    /// On the branch `syncline/` with the name of the target, for somebody to merge.
    Propose,
    /// On the branch that is checked out.
    Commit,
    /// The same, and pushed to its upstream.
    CommitAndPush,
}

/// How what a run brought in is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitCommit {
    /// Whether it goes on a branch of its own, for somebody to merge.
    pub propose: bool,
    /// Whether it is pushed too.
    pub push: bool,
    /// The first line of the message, with `{target}`, `{files}` and `{run}`.
    pub message: String,
    /// Who commits, as `Name <address>`.
    pub author: Option<String>,
}

impl Written {
    /// How it is committed; `None` when it is not.
    pub(crate) fn resolve(self) -> Option<GitCommit> {
        let (policy, message, author) = match self {
            Self::Switch(true) => (Policy::Commit, None, None),
            Self::Switch(false) => (Policy::Off, None, None),
            Self::Policy(policy) => (policy, None, None),
            Self::Full(Full { policy, message, author }) => (policy, message, author),
        };
        (policy != Policy::Off).then(|| GitCommit {
            propose: policy == Policy::Propose,
            push: policy == Policy::CommitAndPush,
            message: message.unwrap_or_else(|| "Sync {target}: {files} files".to_owned()),
            author,
        })
    }
}
