//! The files that `syncline init` writes.

use crate::sections::VERSION;

/// A commented file to start from: one target that keeps the whole workspace in agreement with the folder `remote`.
#[must_use]
pub fn starter(node: &str, remote: &str, target_name: &str) -> String {
    // JSON text is YAML text too, so that no character of a path can break the file.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let (node, remote, target) = (quoted(node), quoted(remote), quoted(target_name));
    format!(
        r##"# yaml-language-server: $schema=./syncline.schema.json
# What this workspace keeps in agreement with what. `syncline plan` shows what would be done, `syncline run` does it.
version: "{VERSION}"

# This machine: the name stands in reports and in the names of conflict copies.
node:
  name: {node}

# What holds for every target that does not say otherwise.
defaults:
  direction: bidirectional   # or pull: only from the remote, push: only to it

# Places outside, named once and used by any number of targets. Secrets are referred to, never written here:
# "${{env:NAME}}" takes the environment variable NAME, "${{file:PATH}}" the first line of a file.
endpoints:
  main:
    kind: folder
    path: {remote}

targets:
  {target}:
    path: "."                # a folder of this workspace
    remote: main
    exclude: ["*.tmp"]
    # When both sides changed a file differently. auto merges text and JSON, and keeps both versions where they do not
    # merge cleanly; or keep-both, newest, manual, markers, union; or rules, the first match decides:
    # conflicts:
    #   - {{ match: "settings/**", policy: prefer, side: remote }}
    conflicts: auto
    # A run that would remove more than this stops and asks.
    guard:
      deletes_max_percent: 50
      deletes_max: 1000

# How long versions that were overwritten or removed are kept, in days.
history:
  keep_days: 90
  conflicts_keep_days: 30
"##
    )
}

/// A commented file for a clone of a Git repository that another machine has a clone of too. Without a name for this
/// machine, the file is the same on both and may be committed.
#[must_use]
pub fn starter_pair(node: Option<&str>, target_name: &str) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let target = quoted(target_name);
    let node = node.map(|node| format!("\nnode:\n  name: {}\n", quoted(node))).unwrap_or_default();
    format!(
        r##"# yaml-language-server: $schema=./syncline.schema.json
# Two machines that work on clones of one Git repository. `syncline run` fetches, merges, commits and pushes once;
# `syncline run --watch --interval 60s` does so every minute.
version: "{VERSION}"
{node}
targets:
  {target}:
    path: "."                # or a folder of the clone: only what is in it is committed
    remote:
      kind: upstream         # the branch that the clone follows
      commit: commit_and_push
      message: "Batch sync: {{files}} files"
    # When both machines changed a file: the first rule that matches decides. What cannot be merged is kept twice.
    conflicts:
      - {{ match: "**/*.json", policy: json }}
      - {{ match: "**/*.{{ndjson,jsonl,log}}", policy: union }}
      - {{ match: "**", policy: merge }}
    # A run that would remove more than this stops and asks.
    guard:
      deletes_max_percent: 50
      deletes_max: 1000

# How long versions that were overwritten or removed are kept, in days.
history:
  keep_days: 90
  conflicts_keep_days: 30
"##
    )
}
