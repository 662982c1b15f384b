//! `git_clean`: nothing of the target is changed in Git and not committed. Other files of the repository do not count.

use syncline_core::{ItemPath, Verdict};

use super::told;
use crate::checks::{Ground, kept_environment};
use crate::process::{Call, Limits, What};

/// Every untracked file by itself, and names as they are.
const STATUS: &[&str] = &["status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", "--"];

pub(super) async fn make(ground: &Ground) -> Result<(), String> {
    let prefix = git(ground, &["rev-parse", "--show-prefix"]).await?;
    let prefix = String::from_utf8_lossy(&prefix).trim_end_matches('\n').to_owned();
    let folder = &ground.own.folder;
    let (own, place) =
        if folder.is_empty() { (prefix, ".") } else { (format!("{prefix}{folder}/"), folder.as_str()) };
    let status = git(ground, &[STATUS, &[place]].concat()).await?;
    let changed = status.split(|byte| *byte == 0).filter_map(|entry| changed(entry, &own, ground));
    told(changed.collect())
}

/// What is said of an entry of the status, when it is one of the target's.
fn changed(entry: &[u8], own: &str, ground: &Ground) -> Option<String> {
    let (state, path) = entry.split_at_checked(3)?;
    let relative = std::str::from_utf8(path).ok()?.strip_prefix(own)?;
    // A repository within is one entry, with a slash behind it.
    let is_directory = relative.ends_with('/');
    let item = ItemPath::parse(relative.trim_end_matches('/')).ok()?;
    if matches!(ground.own.filter.decide_deep(&item, is_directory), Verdict::Ignored(_)) {
        return None;
    }
    let folder = &ground.own.folder;
    let path = if folder.is_empty() { relative.to_owned() } else { format!("{folder}/{relative}") };
    let what = match state {
        b"?? " => "is not in Git",
        [b'U', ..] | [_, b'U', _] | b"AA " | b"DD " => "is in conflict",
        [b'D', ..] | [_, b'D', _] => "is removed, and that is not committed",
        _ => "is changed and not committed",
    };
    Some(format!("{path} {what}"))
}

/// Runs Git at the root, and gives what it prints.
async fn git(ground: &Ground, arguments: &[&str]) -> Result<Vec<u8>, String> {
    // Names are taken as they are, and looking changes nothing and starts nothing.
    let quiet = ["--literal-pathspecs", "--no-optional-locks", "-c", "core.fsmonitor=false"];
    let arguments = quiet.iter().chain(arguments).map(|&argument| argument.to_owned()).collect();
    let mut environment = kept_environment();
    environment.extend([("LC_ALL".to_owned(), "C".to_owned())]);
    let limits = Limits::default();
    let call = Call {
        what: What::Program("git".into(), arguments),
        folder: ground.root.clone(),
        environment,
        limits,
        writable: None,
        held: None,
    };
    let finished = call.run().await.map_err(|error| format!("git could not be started: {error}"))?;
    if finished.is_success() {
        return Ok(finished.out);
    }
    let words = finished.last_words(1);
    if words.contains("not a git repository") {
        let place = ground.root.display();
        return Err(format!("{place} does not lie in a Git repository, so that nothing in it can be clean"));
    }
    Err(format!("git {}: {}", finished.end.describe(&limits), words.trim_start_matches("fatal: ")))
}
