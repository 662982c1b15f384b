//! Talking to the repository outside: where the branch is, and pushing to it.

use std::time::Duration;

use syncline_connect::{Error, ErrorKind, Result};

use super::command::{Done, Git, Limits};
use super::errors;
use super::settings::{Effective, check_branch};
use super::tree::ObjectId;

/// A question whose answer is short.
const ASK: Limits = Limits { time: Duration::from_secs(90), bytes: 16 << 20 };
/// A push: what goes over the wire is as large as the batch.
const PUSH: Limits = Limits { time: Duration::from_secs(3600), bytes: 1 << 20 };

/// The branch outside at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outside {
    /// The name of the branch.
    pub(super) branch: String,
    /// The commit that it is at; `None` when there is no such branch.
    pub(super) tip: Option<ObjectId>,
}

/// What became of a push.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// The branch is at the commit.
    Done,
    /// The branch was somewhere else than expected.
    Moved,
}

/// Asks where the branch is. `known` is the name that it had last, for when nobody names one.
///
/// # Errors
/// When the repository cannot be reached, is none, or names no branch.
pub(super) fn outside(git: &Git, settings: &Effective, known: Option<&str>) -> Result<Outside> {
    let url = settings.url.as_str();
    if let Some(branch) = &settings.branch {
        return Ok(Outside { branch: branch.clone(), tip: tip(git, url, branch)? });
    }
    let printed = ask(git, url, "HEAD")?;
    let default =
        printed.lines().find_map(|line| line.strip_prefix("ref: refs/heads/")?.strip_suffix("\tHEAD"));
    let tip = tip_in(&printed, url, "HEAD")?;
    let branch = match (default, tip) {
        (Some(branch), _) => branch,
        (None, None) => known.unwrap_or("main"),
        (None, Some(_)) => {
            let message = format!("{url} is not on a branch itself");
            return Err(
                Error::new(ErrorKind::Invalid, message).with_hint("name the one to use with `branch`")
            );
        }
    };
    check_branch(branch)?;
    Ok(Outside { branch: branch.to_owned(), tip })
}

/// Asks where one branch is; `None` when there is no such branch.
///
/// # Errors
/// When the repository cannot be reached or is none.
pub(super) fn tip(git: &Git, url: &str, branch: &str) -> Result<Option<ObjectId>> {
    let name = full_name(branch);
    tip_in(&ask(git, url, &name)?, url, &name)
}

fn ask(git: &Git, url: &str, name: &str) -> Result<String> {
    let done = git.run(&["ls-remote", "--quiet", "--symref", "--end-of-options", url, name], ASK)?;
    if !done.success {
        return Err(errors::explain(&format!("asking {url}"), &done.said));
    }
    Ok(String::from_utf8_lossy(&done.out).into_owned())
}

fn tip_in(printed: &str, url: &str, name: &str) -> Result<Option<ObjectId>> {
    let tips = printed.lines().filter(|line| !line.starts_with("ref: "));
    let line = tips.filter_map(|line| line.strip_suffix(name)?.strip_suffix('\t')).next();
    line.map(|text| ObjectId::parse(text).ok_or_else(|| unreadable(url))).transpose()
}

/// Moves the branch outside from `expected` to `commit`, if it is still there.
///
/// # Errors
/// When it cannot be reached, or refuses. Whether the branch moved is unknown then.
pub(super) fn push(
    git: &Git,
    settings: &Effective,
    branch: &str,
    expected: Option<ObjectId>,
    commit: ObjectId,
) -> Result<Pushed> {
    let (url, name) = (settings.url.as_str(), full_name(branch));
    let expected = expected.map(|expected| expected.to_string()).unwrap_or_default();
    // The commit stands on the expected one, so this never goes back: the lease only makes the condition exact.
    let lease = format!("--force-with-lease={name}:{expected}");
    let change = format!("{commit}:{name}");
    // To a folder nothing goes over a wire, so looking for small differences would only take longer than the rest of
    // the push: there, Git looks for them when it packs the repository.
    let quick: &[&str] = if settings.url.is_path() { &["-c", "pack.window=0"] } else { &[] };
    let mut arguments = quick.to_vec();
    arguments.extend([
        "push",
        "--porcelain",
        "--no-verify",
        "--no-progress",
        "--no-follow-tags",
        "--recurse-submodules=no",
        &lease,
        "--end-of-options",
        url,
        &change,
    ]);
    let done = git.run(&arguments, PUSH)?;
    if done.success {
        return Ok(Pushed::Done);
    }
    match refused(&done) {
        Some(reason) if is_moved(&reason) => Ok(Pushed::Moved),
        reason => {
            let said = format!("{}\n{}", reason.unwrap_or_default(), done.said);
            Err(errors::explain(&format!("pushing to {url}"), &said))
        }
    }
}

fn full_name(branch: &str) -> String {
    format!("refs/heads/{branch}")
}

/// The line that tells of a refusal, in the form that `git push --porcelain` prints.
fn refused(done: &Done) -> Option<String> {
    let printed = String::from_utf8_lossy(&done.out);
    printed.lines().find(|line| line.starts_with("!\t")).map(str::to_owned)
}

/// Whether a push was refused because somebody else was there first.
fn is_moved(reason: &str) -> bool {
    const MOVED: [&str; 8] = [
        "(stale info)",
        "(fetch first)",
        "(non-fast-forward)",
        "cannot lock ref",
        "failed to update ref",
        "failed to lock",
        "reference already exists",
        "incorrect old value",
    ];
    MOVED.iter().any(|phrase| reason.contains(phrase))
}

fn unreadable(url: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("{url} answered with something that is no list of branches"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_race_is_told_from_a_refusal() {
        assert!(is_moved("!\tabc:refs/heads/main\t[rejected] (stale info)"));
        assert!(is_moved(
            "!\tabc:refs/heads/main\t[remote rejected] (cannot lock ref 'refs/heads/main': is at x)"
        ));
        assert!(!is_moved("!\tabc:refs/heads/main\t[remote rejected] (pre-receive hook declined)"));
        assert!(!is_moved("!\tabc:refs/heads/main\t[remote rejected] (protected branch hook declined)"));
    }
}
