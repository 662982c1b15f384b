//! `.sync_env`: variables that a shell would set.

use serde_json::Value;
use syncline_config::is_name;

use super::draft::Draft;
use super::notes::Notes;
use super::values;

/// A line that sets a variable.
pub(super) struct Assignment<'a> {
    name: &'a str,
    /// What it is set to; `None` when only a shell could tell.
    value: Option<String>,
}

/// The assignments of a file, when at least one of them is known.
pub(super) fn assignments(text: &str) -> Option<Vec<Assignment<'_>>> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let found: Vec<Assignment<'_>> = lines.filter_map(assignment).collect();
    found.iter().any(|each| is_known(each.name)).then_some(found)
}

fn assignment(line: &str) -> Option<Assignment<'_>> {
    let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
    let (name, rest) = line.split_once('=')?;
    values::variable(name)?;
    Some(Assignment { name, value: literal(rest.trim()) })
}

/// What a word of shell stands for, when it stands for itself.
fn literal(text: &str) -> Option<String> {
    let inner = match text.chars().next() {
        Some('\'') => return text[1..].split_once('\'').map(|(inner, _)| inner.to_owned()),
        Some('"') => text[1..].split_once('"')?.0,
        _ => text.split_ascii_whitespace().next().unwrap_or_default(),
    };
    (!inner.contains(['$', '`', '\\'])).then(|| inner.to_owned())
}

fn is_known(name: &str) -> bool {
    matches!(name, "NODE_NAME" | "SYNC_INTERVAL" | "HEARTBEAT_PORT" | "HEALTH_PORT")
        || name.starts_with("HELIX_SYNC_")
        || name.ends_with("_TELEGRAM_ID")
}

/// Takes over what Syncline can use.
pub(super) fn read(lines: &[Assignment<'_>], draft: &mut Draft, notes: &mut Notes) {
    for Assignment { name, value } in lines {
        if values::is_secret_key(name) {
            secret(name, draft, notes);
            continue;
        }
        match value {
            Some(value) if notes.is_plain(value) => one(name, value, draft, notes),
            Some(_) => notes.left(name, "its value looks like a secret, which no configuration holds"),
            None => notes.left(name, "only a shell could tell its value; write it into the new file"),
        }
    }
}

fn secret(name: &str, draft: &mut Draft, notes: &mut Notes) {
    draft.secrets.insert(name.to_owned());
    notes.commented(name, format!("a secret: it stays where it is, and is referred to as `${{env:{name}}}`"));
}

fn one(name: &str, text: &str, draft: &mut Draft, notes: &mut Notes) {
    let value = Value::from(text);
    match name {
        "NODE_NAME" if is_name(text) => {
            draft.mirror();
            notes.put(&mut draft.node, text.to_owned(), name, "node.name");
        }
        "NODE_NAME" => notes.left(name, "it cannot be the name of a node"),
        "SYNC_INTERVAL" => match values::interval(&value) {
            Some(seconds) => {
                notes.put(&mut draft.mirror().interval, seconds, name, "targets.*.schedule");
            }
            None => notes.left(name, "it is no number of seconds"),
        },
        "HELIX_SYNC_INTERVAL" => match values::interval(&value) {
            Some(seconds) => {
                let slot = &mut draft.pipeline().interval;
                notes.put_comment(slot, seconds, name, "the schedule of the pipeline");
            }
            None => notes.left(name, "it is no number of seconds"),
        },
        "HELIX_SYNC_CONFIG" => notes.left(name, "it names another file; import that one too"),
        "HELIX_SYNC_ENABLED" => {
            notes.left(name, "nothing runs by itself unless you start it; leave out a target to disable it");
        }
        "HEARTBEAT_PORT" | "HEALTH_PORT" => match values::port(&value) {
            Some(port) => {
                draft.mirror();
                let slot =
                    if name == "HEALTH_PORT" { &mut draft.health_port } else { &mut draft.heartbeat_port };
                let place = if name == "HEALTH_PORT" { "serve.listen" } else { "peers" };
                let message = format!("the port of `{place}`, which this version does not run");
                notes.put_comment(slot, port, name, message);
            }
            None => notes.left(name, "it is no port"),
        },
        _ if name.ends_with("_TELEGRAM_ID") => {
            let message = format!("whom alerts go to, as `${{env:{name}}}`; this version sends none");
            notes.put_comment(&mut draft.chat, name.to_owned(), name, message);
        }
        _ if name.len() > 5 && name.ends_with("_HOST") => match values::host(text) {
            Some(host) => {
                let peer = name.trim_end_matches("_HOST").to_ascii_lowercase();
                let mut slot = draft.peers.remove(&peer);
                let message = "a peer, which this version does not talk to by itself";
                notes.put_comment(&mut slot, host.to_owned(), name, message);
                draft.peers.extend(slot.map(|host| (peer, host)));
            }
            None => notes.left(name, "it is no name of a host"),
        },
        _ => notes.left(name, "no setting of Syncline"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_shell_stand_for_themselves_or_are_left_to_a_shell() {
        for (text, expected) in [
            ("helios          # or 'chad'", Some("helios")),
            ("\"two words\" # x", Some("two words")),
            ("'$literal'", Some("$literal")),
            ("", Some("")),
            ("$HOST", None),
            ("\"$(hostname)\"", None),
            ("`hostname`", None),
            ("'open", None),
            ("\"open", None),
        ] {
            assert_eq!(literal(text).as_deref(), expected, "{text}");
        }
    }
}
