//! The configuration of clients that write JSON, with or without comments.

use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstInputValue, CstNode, CstObject, CstRootNode};
use serde_json::Value;

use super::clients::{ADDRESSES, Client};
use super::configuration::{Change, line};
use super::held::{Definition, Way};

/// JSON, comments and trailing commas; nothing else that some readers of it take.
const OPTIONS: ParseOptions = ParseOptions {
    allow_comments: true,
    allow_trailing_commas: true,
    allow_loose_object_property_names: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// Reads a text. What is wrong with it is told without quoting it, since it may hold secrets.
pub(super) fn parse(client: &Client, text: &str) -> Result<Value, String> {
    let root = tree(text)?;
    let twice = || "a name stands twice in it".to_owned();
    let members = root.object_value().ok_or_else(|| "it holds no object".to_owned())?;
    let servers = members.object_value(client.member);
    for object in std::iter::once(members).chain(servers) {
        let mut names: Vec<_> =
            object.properties().iter().filter_map(|member| member.decoded_name()).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        if names.len() != count {
            return Err(twice());
        }
    }
    root.to_serde_value().ok_or_else(|| "it holds a value that cannot be read".to_owned())
}

fn tree(text: &str) -> Result<CstRootNode, String> {
    CstRootNode::parse(text, &OPTIONS)
        .map_err(|error| format!("it is no JSON in line {}", line(text, error.range().start)))
}

/// Changes servers in a text; an empty one becomes a new configuration.
pub(super) fn edit(client: &Client, text: &str, changes: &[Change<'_>]) -> Result<String, String> {
    let root = tree(if text.trim().is_empty() { "{}\n" } else { text })?;
    let odd = || format!("its member {} is no object", client.member);
    let members = root.object_value().ok_or_else(odd)?;
    let servers = members.object_value_or_create(client.member).ok_or_else(odd)?;
    for change in changes {
        match (servers.get(change.name), change.held, change.wanted) {
            (Some(member), Some(_), None) => member.remove(),
            (Some(member), Some(held), Some(wanted)) => {
                update(client, &member.object_value().ok_or_else(odd)?, &held.definition, wanted)?;
            }
            (None, None, Some(wanted)) => drop(servers.append(change.name, new(client, wanted))),
            (None, None, None) => {}
            (Some(_), None, _) => {
                return Err(format!("{:?} is there in a form that is not known", change.name));
            }
            (None, Some(_), _) => return Err(format!("{:?} is not there any more", change.name)),
        }
    }
    Ok(root.to_string())
}

/// A server that was not there.
fn new(client: &Client, wanted: &Definition) -> CstInputValue {
    let mut members: Vec<(String, CstInputValue)> = Vec::new();
    let mut add = |name: &str, value: CstInputValue| members.push((name.to_owned(), value));
    let is_url = matches!(wanted.way, Way::Url(_));
    if let Some(types) = client.types {
        add("type", types[usize::from(is_url)].into());
    }
    match &wanted.way {
        Way::Url(url) => add(client.url.unwrap_or(ADDRESSES[0]), url.as_str().into()),
        Way::Command(words) => {
            add("command", words[0].as_str().into());
            add("args", list(&words[1..]));
        }
    }
    let references =
        wanted.variables.iter().filter_map(|name| Some((name.clone(), client.reference.to(name)?.into())));
    let references: Vec<(String, CstInputValue)> = references.collect();
    if !references.is_empty() && !is_url {
        add("env", CstInputValue::Object(references));
    }
    CstInputValue::Object(members)
}

fn list(words: &[String]) -> CstInputValue {
    CstInputValue::Array(words.iter().map(|word| word.as_str().into()).collect())
}

fn update(client: &Client, server: &CstObject, held: &Definition, wanted: &Definition) -> Result<(), String> {
    let set = |name: &str, value: CstInputValue| match server.get(name) {
        Some(member) => member.set_value(value),
        None => drop(server.append(name, value)),
    };
    let clear =
        |names: &[&str]| names.iter().filter_map(|name| server.get(name)).for_each(|member| member.remove());
    let address = ADDRESSES.into_iter().find(|name| server.get(name).is_some());
    let is_url = matches!(wanted.way, Way::Url(_));
    let switches = matches!(held.way, Way::Url(_)) != is_url;
    if switches {
        clear(&["command", "args", "env", "headers"]);
        clear(&ADDRESSES);
        if client.types.is_some() || server.get("type").is_some() {
            set("type", client.types.unwrap_or(["stdio", "http"])[usize::from(is_url)].into());
        }
    }
    match (&held.way, &wanted.way) {
        (_, Way::Url(url)) if held.way != wanted.way => {
            let usual = client.url.unwrap_or(ADDRESSES[0]);
            set(address.filter(|_| !switches).unwrap_or(usual), url.as_str().into());
        }
        (Way::Command(had), Way::Command(words)) => {
            if had[0] != words[0] {
                set("command", words[0].as_str().into());
            }
            if had[1..] != words[1..] {
                set("args", list(&words[1..]));
            }
        }
        (Way::Url(_), Way::Command(words)) => {
            set("command", words[0].as_str().into());
            set("args", list(&words[1..]));
        }
        _ => {}
    }
    if held.variables != wanted.variables && !is_url {
        let odd = || "its variables are no object".to_owned();
        let values = server.object_value_or_create("env").ok_or_else(odd)?;
        for name in held.variables.difference(&wanted.variables) {
            if let Some(member) = values.get(name) {
                member.remove();
            }
        }
        for name in wanted.variables.iter().filter(|name| values.get(name).is_none()) {
            let value = client.reference.to(name).ok_or_else(odd)?;
            values.append(name, value.into());
        }
    }
    Ok(())
}

/// All comments of a text, sorted.
pub(super) fn comments(text: &str) -> Vec<String> {
    fn collect(node: &CstNode, found: &mut Vec<String>) {
        if let Some(comment) = node.as_comment() {
            found.push(comment.raw_value());
        }
        node.children().iter().for_each(|child| collect(child, found));
    }
    let mut found = Vec::new();
    if let Ok(root) = tree(text) {
        root.children().iter().for_each(|child| collect(child, &mut found));
    }
    found.sort_unstable();
    found
}
