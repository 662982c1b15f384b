//! `state.json` and `sync_state.json`: what a sync knew of each file, and what it did last.
//!
//! Most of it is state, and state is not taken over: Syncline looks at the files themselves, and would have to believe
//! what another tool once saw. What says how to sync is taken.

use serde_json::{Map, Value};
use syncline_config::is_name;
use syncline_core::ItemPath;

use super::draft::{Draft, Rule};
use super::notes::Notes;
use super::values;

/// Keys by which a file is known to be the state of a sync.
pub(super) const RUN_STATE_KEYS: &[&str] = &[
    "last_sync",
    "last_pull",
    "last_push",
    "last_commit",
    "last_sync_timestamp",
    "consecutive_failures",
    "messages_pending",
    "sync_count",
];
/// Objects whose keys are read as if they stood above.
const GROUPS: &[&str] = &["git", "config", "settings", "sync", "options"];

/// Takes over what Syncline can use.
pub(super) fn read(object: &Map<String, Value>, draft: &mut Draft, notes: &mut Notes) {
    draft.mirror();
    for (key, value) in object {
        match (key.as_str(), value) {
            ("files", Value::Object(files)) => of_files(files, draft, notes),
            ("pending_conflicts", Value::Array(conflicts)) if conflicts.is_empty() => {
                notes.left(key, "there are none");
            }
            ("pending_conflicts", Value::Array(conflicts)) => {
                let message = format!(
                    "the number of conflicts is {}; where both sides still differ, the first run finds them again and keeps both versions",
                    conflicts.len()
                );
                notes.left(key, message);
            }
            _ => one(key, key, value, draft, notes),
        }
    }
}

/// A key that may stand in any of the older files; `path` is it with those above it.
pub(super) fn one(path: &str, key: &str, value: &Value, draft: &mut Draft, notes: &mut Notes) {
    if let Value::Object(group) = value
        && GROUPS.contains(&key)
        && path == key
    {
        for (inner, value) in group {
            one(&format!("{path}.{inner}"), inner, value, draft, notes);
        }
        return;
    }
    match key {
        "node" | "node_name" => name(path, value, draft, notes),
        "branch" | "sync_branch" => match notes.plain(value).and_then(values::branch) {
            Some(branch) => {
                let branch = branch.to_owned();
                notes.put(&mut draft.mirror().branch, branch, path, "targets.*.remote.branch");
            }
            None => notes.left(path, "it is no name of a branch"),
        },
        "remote" if value.as_str().is_some_and(is_name) => {
            let remote = value.as_str().filter(|text| notes.is_plain(text)).map(str::to_owned);
            match remote {
                Some(remote) => {
                    notes.put(&mut draft.mirror().remote, remote, path, "targets.*.remote.remote")
                }
                None => notes.left(path, "it looks like a secret, which no configuration holds"),
            }
        }
        "remote" | "remote_url" | "repo" | "repository" | "repo_url" | "repository_url" => {
            repository(path, value, draft, notes);
        }
        "interval" | "interval_seconds" | "sync_interval" => match values::interval(value) {
            Some(seconds) => notes.put(&mut draft.mirror().interval, seconds, path, "targets.*.schedule"),
            None => notes.left(path, "it is no number of seconds"),
        },
        "path" | "folder" | "shared_dir" | "watch_dirs" => folder(path, value, draft, notes),
        _ if values::is_secret_key(key) => secret(path, key, draft, notes),
        _ if is_state(key) => {
            notes.left(path, "state of the old tool; Syncline finds out anew, from the files themselves");
        }
        "version" => notes.left(path, "the version of the old format"),
        _ => notes.left(path, "no setting of Syncline"),
    }
}

fn name(path: &str, value: &Value, draft: &mut Draft, notes: &mut Notes) {
    match notes.plain(value).filter(|text| is_name(text)).map(str::to_owned) {
        Some(text) => notes.put(&mut draft.node, text, path, "node.name"),
        None => notes.left(path, "it cannot be the name of a node"),
    }
}

fn repository(path: &str, value: &Value, draft: &mut Draft, notes: &mut Notes) {
    // What may be a secret is taken out first, so that an address with one in it is still of use.
    let written = value.as_str().unwrap_or_default();
    let Some(url) = values::repository(written).filter(|url| notes.is_plain(url)) else {
        notes.left(path, "it is no address of a Git repository");
        return;
    };
    let had_secret = written.starts_with("https://") && written.contains('@');
    notes.put(&mut draft.mirror().url, url, path, "targets.*.remote.url");
    if had_secret {
        let message =
            "what stood before the `@` may be a secret, and is left out; Git asks your credential helper";
        notes.left(&format!("{path} (user)"), message);
    }
}

fn folder(path: &str, value: &Value, draft: &mut Draft, notes: &mut Notes) {
    let all: Vec<&Value> = value.as_array().map_or_else(|| vec![value], |items| items.iter().collect());
    let inside = match all.as_slice() {
        [one] => notes.plain(one).and_then(values::folder),
        _ => None,
    };
    match inside {
        Some(folder) => notes.put(&mut draft.mirror().path, folder, path, "targets.*.path"),
        None => notes.left(
            path,
            "a target has one folder, inside its workspace; run `syncline init --remote …` in each folder that lies elsewhere",
        ),
    }
}

fn secret(path: &str, key: &str, draft: &mut Draft, notes: &mut Notes) {
    let variable = key.to_ascii_uppercase().replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    match values::variable(&variable) {
        Some(variable) => {
            draft.secrets.insert(variable.to_owned());
            let message =
                format!("a secret: put it into the environment, where `${{env:{variable}}}` finds it");
            notes.commented(path, message);
        }
        None => notes.left(path, "a secret, which no configuration holds"),
    }
}

fn is_state(key: &str) -> bool {
    const WORDS: &[&str] = &[
        "last",
        "status",
        "health",
        "uptime",
        "timestamp",
        "count",
        "fail",
        "error",
        "pending",
        "hash",
        "pid",
    ];
    let lower = key.to_lowercase();
    WORDS.iter().any(|word| lower.contains(word))
        || matches!(key, "files" | "started" | "updated" | "started_at")
}

/// What a list of known files says about the folder that was synced, and about conflicts in it.
fn of_files(files: &Map<String, Value>, draft: &mut Draft, notes: &mut Notes) {
    let message = format!(
        "the number of known files is {}; their hashes and times are not believed: the first run compares the files themselves, and removes \
         nothing",
        files.len()
    );
    notes.left("files", message);
    let paths: Vec<ItemPath> = files
        .keys()
        .filter(|path| notes.is_plain(path))
        .filter_map(|path| ItemPath::parse(path).ok())
        .collect();
    let outside = files.len() - paths.len();
    if outside > 0 {
        notes.left("files", format!("{outside} of the names are no paths inside a workspace"));
    }
    let Some(first) = paths.first() else { return };
    let top = first.as_str().split_once('/').map(|(top, _)| top);
    let shared = top.filter(|top| paths.iter().all(|path| path.is_below(top))).and_then(values::folder);
    if let Some(folder) = shared {
        notes.put(&mut draft.mirror().path, folder, "files (their folder)", "targets.*.path");
    }
    let under = |folder: &str, ends: &[&str]| {
        paths.iter().any(|path| {
            let text = path.as_str();
            text.split('/').any(|part| part == folder) && ends.iter().any(|end| text.ends_with(end))
        })
    };
    let rules = [
        (under("memories", &[".json"]), Rule { pattern: "**/memories.json", policy: "union" }),
        (under("documents", &[".md", ".txt"]), Rule { pattern: "**/documents/**", policy: "markers" }),
    ];
    for (_, rule) in rules.into_iter().filter(|(applies, _)| *applies) {
        if !draft.mirror().rules.contains(&rule) {
            notes.taken("files (their kinds)", format!("`{}` is merged by `{}`", rule.pattern, rule.policy));
            draft.mirror().rules.push(rule);
        }
    }
}
