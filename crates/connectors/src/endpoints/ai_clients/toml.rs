//! The configuration of clients that write TOML.

use serde_json::{Map, Value};
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike};

use super::clients::{ADDRESSES, Client};
use super::configuration::{Change, line};
use super::held::{Definition, Way};

/// Reads a text. What is wrong with it is told without quoting it, since it may hold secrets.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    Ok(table(document(text)?.as_table()))
}

fn document(text: &str) -> Result<DocumentMut, String> {
    text.parse().map_err(|error: toml_edit::TomlError| {
        let at = error.span().map_or(0, |span| span.start);
        format!("it is no TOML in line {}", line(text, at))
    })
}

fn table(table: &dyn TableLike) -> Value {
    let members = table.iter().map(|(name, item)| (name.to_owned(), value(item)));
    Value::Object(members.collect::<Map<_, _>>())
}

/// What is no text, list or table stands for itself as it is written.
fn value(item: &Item) -> Value {
    if let Some(members) = item.as_table_like() {
        return table(members);
    }
    match item {
        Item::ArrayOfTables(tables) => Value::Array(tables.iter().map(|members| table(members)).collect()),
        Item::Value(toml_edit::Value::String(text)) => Value::String(text.value().clone()),
        Item::Value(toml_edit::Value::Boolean(flag)) => Value::Bool(*flag.value()),
        Item::Value(toml_edit::Value::Array(items)) => {
            Value::Array(items.iter().map(|item| value(&Item::Value(item.clone()))).collect())
        }
        Item::Value(other) => serde_json::json!({ "written": other.to_string().trim() }),
        _ => Value::Null,
    }
}

/// Changes servers in a text; an empty one becomes a new configuration.
pub(super) fn edit(client: &Client, text: &str, changes: &[Change<'_>]) -> Result<String, String> {
    let mut document = document(text)?;
    let odd = || format!("its member {} is no table", client.member);
    let servers = document.entry(client.member).or_insert_with(|| {
        let mut table = Table::new();
        table.set_implicit(true);
        Item::Table(table)
    });
    let inline = servers.is_inline_table();
    let servers = servers.as_table_like_mut().ok_or_else(odd)?;
    for change in changes {
        match (servers.get_mut(change.name), change.held, change.wanted) {
            (Some(_), Some(_), None) => drop(servers.remove(change.name)),
            (Some(item), Some(held), Some(wanted)) => {
                update(client, item.as_table_like_mut().ok_or_else(odd)?, &held.definition, wanted);
            }
            (None, None, Some(wanted)) => {
                let mut made =
                    if inline { Item::Value(InlineTable::new().into()) } else { Item::Table(Table::new()) };
                let members = made.as_table_like_mut().ok_or_else(odd)?;
                write(client, members, wanted);
                servers.insert(change.name, made);
            }
            (None, None, None) => {}
            (Some(_), None, _) => {
                return Err(format!("{:?} is there in a form that is not known", change.name));
            }
            (None, Some(_), _) => return Err(format!("{:?} is not there any more", change.name)),
        }
    }
    Ok(document.to_string())
}

/// Sets a value, and keeps what is written around it.
fn set(table: &mut dyn TableLike, name: &str, made: impl Into<toml_edit::Value>) {
    let mut made = made.into();
    match table.get_mut(name) {
        Some(Item::Value(old)) => {
            *made.decor_mut() = old.decor().clone();
            *old = made;
        }
        _ => drop(table.insert(name, Item::Value(made))),
    }
}

fn list(words: &[String]) -> Array {
    words.iter().map(String::as_str).collect()
}

/// A server that was not there.
fn write(client: &Client, server: &mut dyn TableLike, wanted: &Definition) {
    match &wanted.way {
        Way::Url(url) => set(server, client.url.unwrap_or(ADDRESSES[0]), url.as_str()),
        Way::Command(words) => {
            set(server, "command", words[0].as_str());
            set(server, "args", list(&words[1..]));
            if !wanted.variables.is_empty() {
                let names: Vec<String> = wanted.variables.iter().cloned().collect();
                set(server, "env_vars", list(&names));
            }
        }
    }
}

fn update(client: &Client, server: &mut dyn TableLike, held: &Definition, wanted: &Definition) {
    match (&held.way, &wanted.way) {
        (Way::Command(had), Way::Command(words)) => {
            if had[0] != words[0] {
                set(server, "command", words[0].as_str());
            }
            if had[1..] != words[1..] {
                set(server, "args", list(&words[1..]));
            }
        }
        (Way::Url(had), Way::Url(url)) if had != url => {
            set(server, client.url.unwrap_or(ADDRESSES[0]), url.as_str())
        }
        (Way::Url(_), Way::Url(_)) => {}
        _ => {
            for member in ["command", "args", "env_vars", "env", "http_headers"].iter().chain(&ADDRESSES) {
                server.remove(member);
            }
            return write(client, server, wanted);
        }
    }
    if held.variables != wanted.variables && matches!(wanted.way, Way::Command(_)) {
        let forwarded = server.get("env_vars").and_then(Item::as_array).into_iter().flatten();
        let mut names: Vec<String> = forwarded.filter_map(|name| name.as_str().map(str::to_owned)).collect();
        names.retain(|name| wanted.variables.contains(name));
        names.extend(wanted.variables.difference(&held.variables).cloned());
        set(server, "env_vars", list(&names));
    }
}

/// What looks like a comment, line by line, sorted: to lose one by mistake is worse than to refuse a change.
pub(super) fn comments(text: &str) -> Vec<String> {
    let mut found: Vec<String> =
        text.lines().filter_map(|line| Some(line[line.find('#')?..].trim_end().to_owned())).collect();
    found.sort_unstable();
    found
}
