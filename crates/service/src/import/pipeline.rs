//! `sync_config.json`: sources, exporters and publishers. This version runs no pipelines, so it all becomes a comment.

use serde_json::{Map, Value};
use syncline_config::is_name;

use super::draft::{Draft, Part};
use super::notes::Notes;
use super::values;

/// The sections of a pipeline.
const SECTIONS: [&str; 3] = ["sources", "exporters", "publishers"];
/// The variable that holds the address of Discord's webhook, as its older publisher calls it.
const DISCORD_WEBHOOK: &str = "DISCORD_SYNC_WEBHOOK";
/// Most entries of a list that is taken over.
const LIST_MAX: usize = 200;
const COMMENTED: &str = "this version runs no pipelines";

/// Takes over what Syncline has a place for.
pub(super) fn read(object: &Map<String, Value>, draft: &mut Draft, notes: &mut Notes) {
    draft.pipeline();
    for (key, value) in object {
        match (key.as_str(), value) {
            ("sync_schedule", Value::Object(schedule)) => when(schedule, draft, notes),
            ("version", _) => notes.left(key, "the version of the old format"),
            (section, Value::Object(parts)) if SECTIONS.contains(&section) => {
                for (name, part) in parts {
                    self::part(section, name, part, draft, notes);
                }
            }
            (section, _) if SECTIONS.contains(&section) => notes.left(key, "it is no object"),
            _ if values::is_secret_key(key) => drop(secret(key, &key.to_ascii_uppercase(), draft, notes)),
            _ => notes.left(key, "no setting of Syncline"),
        }
    }
}

fn when(schedule: &Map<String, Value>, draft: &mut Draft, notes: &mut Notes) {
    for (key, value) in schedule {
        let path = format!("sync_schedule.{key}");
        match (key.as_str(), value) {
            ("interval_seconds", value) => match values::interval(value) {
                Some(seconds) => {
                    let slot = &mut draft.pipeline().interval;
                    notes.put_comment(slot, seconds, &path, format!("`schedule`; {COMMENTED}"));
                }
                None => notes.left(&path, "it is no number of seconds"),
            },
            (_, Value::Bool(false)) => notes.left(&path, "it is switched off"),
            (key, Value::Bool(true)) => match key.strip_prefix("on_").filter(|event| is_name(event)) {
                Some(event) => {
                    draft.pipeline().events.insert(event.to_owned());
                    notes.commented(&path, format!("the event `{event}`; {COMMENTED}"));
                }
                None => notes.left(&path, "no setting of Syncline"),
            },
            _ => notes.left(&path, "no setting of Syncline"),
        }
    }
}

fn part(section: &str, name: &str, value: &Value, draft: &mut Draft, notes: &mut Notes) {
    let path = format!("{section}.{name}");
    let Value::Object(settings) = value else {
        notes.left(&path, "it is no object");
        return;
    };
    if !is_name(name) || !notes.is_plain(name) {
        notes.left(&path, "it cannot be the name of a part");
        return;
    }
    if draft.pipeline().parts.iter().any(|part| part.section == section && part.name == name) {
        notes.known_already(&path);
        return;
    }
    let mut part = Part { section: section.to_owned(), name: name.to_owned(), settings: Vec::new() };
    let is_discord = section == "publishers" && name == "discord";
    let mut unnamed = false;
    for (key, value) in settings {
        let path = format!("{path}.{key}");
        match (key.as_str(), value) {
            ("enabled", Value::Bool(true)) => {}
            ("enabled", Value::Bool(false)) => part.settings.push(("enabled".to_owned(), "false".to_owned())),
            ("repos", Value::Array(repositories)) => {
                let names: Vec<&str> = repositories.iter().filter_map(|each| notes.plain(each)).collect();
                if names.len() != repositories.len() || names.len() > LIST_MAX {
                    notes.left(&path, "not everything in it is the name of a repository");
                    continue;
                }
                unnamed |= names.iter().any(|name| !name.contains('/'));
                let quoted: Vec<String> = names.into_iter().map(values::quoted).collect();
                part.settings.push(("repos".to_owned(), format!("[{}]", quoted.join(", "))));
            }
            ("path" | "output_dir", value) => match notes.plain(value).and_then(values::folder) {
                Some(folder) => part.settings.push(("path".to_owned(), values::quoted(&folder))),
                None => notes.left(&path, "it is no path inside the workspace"),
            },
            _ if values::is_secret_key(key) => {
                if is_discord {
                    continue;
                }
                let variable = format!("{name}_{key}").to_ascii_uppercase();
                let variable = variable.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
                if let Some(reference) = secret(&path, &variable, draft, notes) {
                    part.settings.push((key.clone(), reference));
                }
            }
            _ => notes.left(&path, "no setting of Syncline"),
        }
    }
    if is_discord {
        let reference = secret(&format!("{path}.webhook"), DISCORD_WEBHOOK, draft, notes);
        part.settings.extend(reference.map(|reference| ("webhook".to_owned(), reference)));
    }
    part.settings.retain(|(key, _)| is_name(key));
    draft.pipeline().parts.push(part);
    let owners = if unnamed { "; put the owner in front of each repository, as in `owner/name`" } else { "" };
    notes.commented(&path, format!("a part of the pipeline{owners}; {COMMENTED}"));
}

/// Refers to a secret; what to write for it.
fn secret(path: &str, variable: &str, draft: &mut Draft, notes: &mut Notes) -> Option<String> {
    let Some(variable) = values::variable(variable).map(str::to_owned) else {
        notes.left(path, "a secret, which no configuration holds");
        return None;
    };
    let reference = format!("${{env:{variable}}}");
    notes.commented(path, format!("a secret: put it into the environment, where `{reference}` finds it"));
    draft.secrets.insert(variable);
    Some(values::quoted(&reference))
}
