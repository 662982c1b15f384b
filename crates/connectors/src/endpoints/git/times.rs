//! When items were modified. Git keeps no time for each file: it is that of the last commit that touched it.

use std::collections::HashMap;

use syncline_connect::{Error, Result};
use syncline_core::{ItemPath, Nanos, Seen, Snapshot};

use super::command::Git;
use super::mirror::LOCAL;
use super::objects::Objects;
use super::tree::ObjectId;

/// Most commits that are looked through; what was touched before them gets the time of the tip.
const COMMITS_MAX: &str = "--max-count=10000";
/// What the line with a commit's time starts with, as no path does.
const TIME: char = '\u{1}';

/// When the commit was made.
///
/// # Errors
/// With kind `Damaged` when the mirror does not have it.
pub(super) fn committed(git: &Git, objects: &Objects, commit: ObjectId) -> Result<Nanos> {
    let mut text = Vec::new();
    let read = std::io::copy(&mut objects.read(git, &commit)?.into_reader(), &mut text);
    read.map_err(|error| Error::io(error, "reading a commit"))?;
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().take_while(|line| !line.is_empty()).find(|line| line.starts_with("committer "));
    Ok(line.and_then(|line| line.rsplit(' ').nth(1)).and_then(nanos).unwrap_or(0))
}

/// Gives each change the time of the commit that made it, as far as the commits after `since` tell.
///
/// # Errors
/// When Git cannot be asked.
pub(super) fn refine(
    git: &Git,
    root: Option<&ItemPath>,
    since: ObjectId,
    tip: ObjectId,
    snapshot: &mut Snapshot,
) -> Result<()> {
    if since == tip || !snapshot.changes.iter().any(|change| change.now.found().is_some()) {
        return Ok(());
    }
    let range = format!("{since}..{tip}");
    let format = format!("--format={TIME}%ct");
    let arguments =
        ["log", "-z", COMMITS_MAX, "--name-only", "--no-renames", &format, "--end-of-options", &range];
    let done = git.run(&arguments, LOCAL)?;
    if !done.success {
        // A time is only ever a hint: who needs the history finds out elsewhere that it is damaged.
        return Ok(());
    }
    let printed = String::from_utf8_lossy(&done.out);
    let times = parse(&printed, root);
    for change in &mut snapshot.changes {
        if let (Seen::Present(found), Some(time)) = (&mut change.now, times.get(change.path.as_str())) {
            found.item.modified = *time;
        }
    }
    Ok(())
}

/// Reads what `git log` printed, newest first: the first time of a path counts.
fn parse<'a>(printed: &'a str, root: Option<&ItemPath>) -> HashMap<&'a str, Nanos> {
    let mut times = HashMap::new();
    let mut time = 0;
    for part in printed.split('\0').map(|part| part.strip_prefix('\n').unwrap_or(part)) {
        if let Some(seconds) = part.strip_prefix(TIME) {
            time = seconds.lines().next().and_then(nanos).unwrap_or(0);
            continue;
        }
        let path = match root {
            Some(root) => part.strip_prefix(root.as_str()).and_then(|rest| rest.strip_prefix('/')),
            None => Some(part),
        };
        if let Some(path) = path.filter(|path| !path.is_empty()) {
            times.entry(path).or_insert(time);
        }
    }
    times
}

fn nanos(seconds: &str) -> Option<Nanos> {
    Some(seconds.parse::<i64>().ok()?.saturating_mul(1_000_000_000))
}
