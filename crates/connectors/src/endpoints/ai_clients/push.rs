//! From a document to what has to be written into the configuration of clients, or to why it cannot be.

use std::collections::{BTreeMap, BTreeSet};

use super::compare::fits;
use super::configuration::{self, Change};
use super::document::{Document, Part};
use super::files::Replacement;
use super::held::{Definition, Held};
use super::look::Looked;
use super::settings::Unnamed;

/// Makes the new text of every configuration that has to change.
///
/// # Errors
/// When something cannot be written; everything that stands against it is told at once, and nothing is written.
pub(super) fn replacements(
    document: &Document,
    looked: Looked,
    unnamed: Unnamed,
) -> Result<Vec<Replacement>, Vec<String>> {
    let Looked { held, files, .. } = looked;
    let mut against = lists(document, &held, unnamed);
    let mut made = Vec::new();
    for (client, was) in files {
        let wanted = match wanted(document, &held, client.name, unnamed) {
            Ok(wanted) => wanted,
            Err(said) => {
                against.extend(said);
                continue;
            }
        };
        let changes: Vec<Change<'_>> = wanted
            .iter()
            .map(|(name, wanted)| {
                let held = held.servers.get(*name).and_then(|clients| clients.get(client.name));
                Change { name, held, wanted: wanted.as_ref() }
            })
            .collect();
        let refused: Vec<String> =
            changes.iter().flat_map(|change| configuration::refusals(client, change)).collect();
        if changes.is_empty() || !refused.is_empty() {
            against.extend(refused);
            continue;
        }
        match configuration::edit(client, was.text.as_deref(), &changes) {
            Ok(text) => made.push(Replacement { was, text }),
            Err(why) => against.push(format!("the configuration of {}: {why}", client.name)),
        }
    }
    if against.is_empty() { Ok(made) } else { Err(against) }
}

/// What has to become of the servers of one client: those that are as they should be left out.
fn wanted<'a>(
    document: &'a Document,
    held: &'a Held,
    client: &str,
    unnamed: Unnamed,
) -> Result<BTreeMap<&'a str, Option<Definition>>, Vec<String>> {
    let named = document.named(Part::Servers);
    let names: BTreeSet<&str> =
        named.keys().copied().chain(held.servers.keys().map(String::as_str)).collect();
    let (mut wanted, mut against) = (BTreeMap::new(), Vec::new());
    for name in names {
        let has = held.servers.get(name).and_then(|clients| clients.get(client));
        let entry = named.get(name).and_then(|entries| entries.iter().find(|entry| entry.is_about(client)));
        match (entry, has) {
            (Some(entry), Some(server)) if fits(entry, server) => {}
            (Some(entry), _) => match &entry.way {
                Some(way) => {
                    let definition = Definition { way: way.clone(), variables: entry.variables.clone() };
                    wanted.insert(name, Some(definition));
                }
                None => against.push(format!(
                    "line {} names `{name}`, which {client} does not have, without its command: write it behind the name, such as - `{name}`: `npx -y …`",
                    entry.line
                )),
            },
            (None, Some(_)) if unnamed == Unnamed::Compare => drop(wanted.insert(name, None)),
            (None, _) => {}
        }
    }
    if against.is_empty() { Ok(wanted) } else { Err(against) }
}

/// What stands against the lists of agents and skills: they are files of their own, which a list can neither make nor
/// take away.
fn lists(document: &Document, held: &Held, unnamed: Unnamed) -> Vec<String> {
    let mut against = Vec::new();
    for (part, word, list) in [(Part::Agents, "agent", &held.agents), (Part::Skills, "skill", &held.skills)] {
        let Some(list) = list else { continue };
        let named = document.named(part);
        for entry in document.entries(part).iter().filter(|entry| !list.contains_key(&entry.name)) {
            against.push(format!(
                "line {} names the {word} `{}`, and there is no file of it: write the {word}, or take the line out",
                entry.line, entry.name
            ));
        }
        for name in
            list.keys().filter(|name| unnamed == Unnamed::Compare && !named.contains_key(name.as_str()))
        {
            against.push(format!(
                "the {word} `{name}` is there and not named: name it, or take its file away by hand"
            ));
        }
    }
    against
}
