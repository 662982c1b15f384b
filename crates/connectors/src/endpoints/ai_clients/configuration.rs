//! Reading and changing the configuration of one client, whatever language it is written in.
//!
//! A change is made in the text that is there, and only counts when the text that came of it, read again, says what was
//! wanted, still says everything else, and has lost no comment.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::clients::{ADDRESSES, Client, Reference, Syntax};
use super::held::{Definition, Server, Servers, Way, is_plain};
use super::{json, toml};

/// What is to become of one server of a client.
pub(super) struct Change<'a> {
    pub(super) name: &'a str,
    pub(super) held: Option<&'a Server>,
    /// What it shall be; `None` when it shall go.
    pub(super) wanted: Option<&'a Definition>,
}

/// The members of a server that a document speaks of, its variables left out.
const MANAGED: [&str; 6] = ["command", "args", "type", ADDRESSES[0], ADDRESSES[1], ADDRESSES[2]];
/// The members that hold variables and their values.
const VALUES: [&str; 3] = ["env", "headers", "http_headers"];

/// Reads the servers of a client.
///
/// # Errors
/// What is wrong with the text, as a fragment without any value of it.
pub(super) fn read(client: &Client, text: &str) -> Result<Servers, String> {
    servers(client, &parse(client, text)?)
}

/// Why a change cannot be made; each a fragment that says what to do.
pub(super) fn refusals(client: &Client, change: &Change<'_>) -> Vec<String> {
    let (name, place) = (change.name, client.name);
    let by_hand = "take it away there by hand, or name it in the document";
    let Some(wanted) = change.wanted else {
        let Some(held) = change.held else { return Vec::new() };
        let lost: Vec<&str> = held.literal.iter().chain(&held.settings).map(String::as_str).collect();
        let told = format!(
            "`{name}` in {place} has values that no document could give back ({}): {by_hand}",
            lost.join(", ")
        );
        return if lost.is_empty() { Vec::new() } else { vec![told] };
    };
    let mut said = Vec::new();
    let is_url = matches!(wanted.way, Way::Url(_));
    if is_url && client.url.is_none() {
        said.push(format!("{place} starts programs alone, and `{name}` has an address: name the clients that are meant, such as in `cursor`"));
    }
    let before = change.held.filter(|held| is_same(held, is_url)).map(|held| &held.definition.variables);
    let none = BTreeSet::new();
    for variable in wanted.variables.difference(before.unwrap_or(&none)) {
        let is_name = variable.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && !variable.starts_with(|c: char| c.is_ascii_digit());
        if is_url {
            said.push(format!("`{name}` in {place} lacks the header {variable}, whose value no document knows: write it there by hand"));
        } else if client.reference == Reference::None {
            said.push(format!("`{name}` in {place} lacks the variable {variable}, and {place} takes values alone: write it there by hand"));
        } else if !is_name {
            said.push(format!(
                "{variable:?} of `{name}` is no name of a variable: letters, digits and `_` are"
            ));
        }
    }
    if let Some(held) = change.held {
        let gone = held
            .literal
            .iter()
            .filter(|variable| !is_same(held, is_url) || !wanted.variables.contains(*variable));
        let gone: Vec<&str> = gone.map(String::as_str).collect();
        if !gone.is_empty() {
            said.push(format!(
                "`{name}` in {place} has values that no document could give back ({}): {by_hand}",
                gone.join(", ")
            ));
        }
    }
    said
}

/// Whether a server is reached in the same way: started, or at an address.
fn is_same(held: &Server, is_url: bool) -> bool {
    matches!(held.definition.way, Way::Url(_)) == is_url
}

/// Changes the configuration of a client; an absent one is made.
///
/// # Errors
/// When the text cannot be changed without changing something else, as a fragment.
pub(super) fn edit(client: &Client, text: Option<&str>, changes: &[Change<'_>]) -> Result<String, String> {
    let old = text.unwrap_or_default();
    let made = match client.syntax {
        Syntax::Json => json::edit(client, old, changes)?,
        Syntax::Toml => toml::edit(client, old, changes)?,
    };
    let (before, after) = (parse(client, old)?, parse(client, &made)?);
    let (had, has) = (servers(client, &before)?, servers(client, &after)?);
    let changed: BTreeSet<&str> = changes.iter().map(|change| change.name).collect();
    let as_wanted =
        changes.iter().all(|change| has.get(change.name).map(|server| &server.definition) == change.wanted);
    let others = |servers: &Servers| -> Servers {
        servers
            .iter()
            .filter(|(name, _)| !changed.contains(name.as_str()))
            .map(|(n, s)| (n.clone(), s.clone()))
            .collect()
    };
    if !as_wanted
        || others(&had) != others(&has)
        || rest(client, before, changes) != rest(client, after, changes)
    {
        return Err("it cannot be changed without changing something else: change it by hand".to_owned());
    }
    let comments = |text: &str| match client.syntax {
        Syntax::Json => json::comments(text),
        Syntax::Toml => toml::comments(text),
    };
    if comments(old) != comments(&made) {
        return Err("a comment in it would be lost: change it by hand".to_owned());
    }
    Ok(made)
}

fn parse(client: &Client, text: &str) -> Result<Value, String> {
    if text.trim().is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    let value = match client.syntax {
        Syntax::Json => json::parse(client, text)?,
        Syntax::Toml => toml::parse(text)?,
    };
    if value.is_object() { Ok(value) } else { Err("it holds no object".to_owned()) }
}

fn servers(client: &Client, value: &Value) -> Result<Servers, String> {
    let member = client.member;
    let Some(table) = value.get(member) else { return Ok(Servers::new()) };
    let table = table.as_object().ok_or_else(|| format!("its member {member} is no object"))?;
    let mut servers = Servers::new();
    for (name, value) in table {
        if !is_plain(name) || name.trim().is_empty() {
            return Err("the name of a server is empty, or holds signs that no line can show".to_owned());
        }
        if let Some(server) = server(client, value).map_err(|why| format!("the server {name:?} {why}"))? {
            servers.insert(name.clone(), server);
        }
    }
    Ok(servers)
}

/// Reads one server; `None` when it is neither started nor has an address, as one that an extension brings.
fn server(client: &Client, value: &Value) -> Result<Option<Server>, &'static str> {
    let table = value.as_object().ok_or("is no object")?;
    let text = |value: &Value| {
        let text = value.as_str().ok_or("has something that is no text where a text belongs")?;
        if is_plain(text) { Ok(text.to_owned()) } else { Err("holds signs that no line can show") }
    };
    let address = ADDRESSES.iter().find_map(|member| table.get(*member));
    let way = match (table.get("command"), address) {
        (Some(command), _) => {
            let none = Vec::new();
            let args = match table.get("args") {
                None | Some(Value::Null) => &none,
                Some(args) => args.as_array().ok_or("has arguments that are no list")?,
            };
            Way::Command(std::iter::once(command).chain(args).map(text).collect::<Result<_, _>>()?)
        }
        (None, Some(url)) => Way::Url(text(url)?),
        (None, None) => return Ok(None),
    };
    let (mut variables, mut literal) = (BTreeSet::new(), BTreeSet::new());
    let is_url = matches!(way, Way::Url(_));
    for member in if is_url { &VALUES[1..] } else { &VALUES[..1] } {
        for (name, value) in table.get(*member).and_then(Value::as_object).into_iter().flatten() {
            if is_url || !is_reference(client, name, value) {
                literal.insert(name.clone());
            }
            variables.insert(name.clone());
        }
    }
    let mut known: Vec<&str> = MANAGED.iter().chain(&VALUES).copied().collect();
    if client.reference == Reference::Forwarded {
        known.extend(["env_vars", "env_http_headers", "bearer_token_env_var"]);
        for name in table.get("env_vars").and_then(Value::as_array).into_iter().flatten().filter(|_| !is_url)
        {
            variables
                .insert(name.as_str().ok_or("forwards a variable in a form that is not known")?.to_owned());
        }
        let headers =
            table.get("env_http_headers").and_then(Value::as_object).into_iter().flat_map(Map::keys).cloned();
        let bearer = table.get("bearer_token_env_var").map(|_| "Authorization".to_owned());
        let told: Vec<String> = headers.chain(bearer).filter(|_| is_url).collect();
        literal.extend(told.iter().cloned());
        variables.extend(told);
    }
    if !variables.iter().all(|name| is_plain(name) && !name.is_empty()) {
        return Err("has a variable whose name no line can show");
    }
    let others =
        table.iter().filter(|(name, value)| !known.contains(&name.as_str()) && !is_usual(name, value));
    let settings = others.map(|(name, _)| name.clone()).collect();
    Ok(Some(Server { definition: Definition { way, variables }, literal, settings }))
}

fn is_reference(client: &Client, name: &str, value: &Value) -> bool {
    let forms = [format!("${name}"), format!("${{{name}}}"), format!("${{env:{name}}}")];
    client.reference.to(name).is_some()
        && value.as_str().is_some_and(|value| forms.iter().any(|form| form == value))
}

/// Whether a member says what would be so without it.
fn is_usual(name: &str, value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => name == "enabled",
        Value::String(text) => text.is_empty() || (name, text.as_str()) == ("source", "custom"),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Number(_) => false,
    }
}

/// Everything that a change must leave as it is.
fn rest(client: &Client, mut value: Value, changes: &[Change<'_>]) -> Value {
    let Some(table) = value.get_mut(client.member).and_then(Value::as_object_mut) else { return value };
    for change in changes {
        let (Some(held), Some(wanted)) = (change.held, change.wanted) else {
            table.remove(change.name);
            continue;
        };
        let Some(server) = table.get_mut(change.name).and_then(Value::as_object_mut) else { continue };
        for member in MANAGED.iter().chain(&["env_vars"]) {
            server.remove(*member);
        }
        for member in VALUES {
            let Some(values) = server.get_mut(member).and_then(Value::as_object_mut) else { continue };
            let both =
                |name: &String| held.definition.variables.contains(name) && wanted.variables.contains(name);
            values.retain(|name, _| both(name));
            if values.is_empty() {
                server.remove(member);
            }
        }
    }
    if table.is_empty() {
        value.as_object_mut().map(|root| root.remove(client.member));
    }
    value
}

/// In which line of a text a byte stands, counted from 1.
pub(super) fn line(text: &str, at: usize) -> usize {
    1 + text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(way: &str, variables: &[&str]) -> Definition {
        let way = match way.starts_with("http") {
            true => Way::Url(way.to_owned()),
            false => Way::Command(way.split(' ').map(str::to_owned).collect()),
        };
        Definition { way, variables: variables.iter().map(|&name| name.to_owned()).collect() }
    }

    /// Makes one change as a push does.
    fn change(client: &str, text: &str, name: &str, wanted: Option<&Definition>) -> Result<String, String> {
        let client = Client::named(client).unwrap();
        let servers = read(client, text)?;
        let change = Change { name, held: servers.get(name), wanted };
        let refused = refusals(client, &change);
        if refused.is_empty() { edit(client, Some(text), &[change]) } else { Err(refused.join("; ")) }
    }

    const ZED: &str = "// mine\n{\n\t\"theme\": \"One\", // nice\n\t\"context_servers\": {\n\t\t\"a\": {\n\t\t\t\"command\": \"old\", /* why */\n\t\t\t\"env\": { \"KEY\": \"s3cret\" },\n\t\t\t\"timeout\": 5,\n\t\t},\n\t\t\"ext\": { \"settings\": { \"x\": 1 } },\n\t},\n}\n";

    #[test]
    fn a_change_touches_nothing_else_of_a_text_with_comments() {
        let made = change("zed", ZED, "a", Some(&definition("new --flag", &["KEY"]))).unwrap();
        let args = "\t\t\t\"timeout\": 5,\n\t\t\t\"args\": [\"--flag\"],\n";
        assert_eq!(made, ZED.replace("\"old\"", "\"new\"").replace("\t\t\t\"timeout\": 5,\n", args));
        let made = change("zed", ZED, "b", Some(&definition("run", &[]))).unwrap();
        assert!(made.starts_with(&ZED[..ZED.find("\t},\n}").unwrap()]), "{made}");
    }

    #[test]
    fn key_order_and_indentation_of_plain_json_stay() {
        let text = "{\n    \"z\": 1e400,\n    \"mcpServers\": {\n        \"a\": { \"command\": \"x\", \"args\": [] }\n    },\n    \"a\": [1,2]\n}\n";
        let made = change("cursor", text, "b", Some(&definition("npx -y pkg", &["TOKEN"]))).unwrap();
        let added = ",\n        \"b\": {\n            \"command\": \"npx\",\n            \"args\": [\"-y\", \"pkg\"],\n            \"env\": {\n                \"TOKEN\": \"${env:TOKEN}\"\n            }\n        }\n    },";
        assert_eq!(made, text.replacen("\n    },", added, 1));
        assert_eq!(change("cursor", &made, "b", None).unwrap(), text);
    }

    #[test]
    fn a_configuration_that_is_empty_or_not_there_is_begun() {
        let client = Client::named("vscode").unwrap();
        let wanted = definition("https://example.org/mcp", &[]);
        for text in [None, Some(""), Some("\n")] {
            let made =
                edit(client, text, &[Change { name: "a", held: None, wanted: Some(&wanted) }]).unwrap();
            assert_eq!(read(client, &made).unwrap()["a"].definition, wanted);
            assert!(made.contains("\"type\": \"http\"") && made.ends_with("}\n"), "{made}");
        }
    }

    #[test]
    fn toml_keeps_comments_and_forwards_variables() {
        let text = "# mine\nmodel = \"o\" # best\n\n[mcp_servers.a] # first\ncommand = \"x\" # why\nargs = []\nenv = { KEY = \"s3cret\" }\nstartup_timeout_sec = 20\n";
        let made = change("codex", text, "a", Some(&definition("y", &["KEY", "NEW"]))).unwrap();
        assert_eq!(made, text.replace("\"x\"", "\"y\"") + "env_vars = [\"NEW\"]\n");
        let made = change("codex", text, "b", Some(&definition("https://example.org/mcp", &[]))).unwrap();
        assert_eq!(made, format!("{text}\n[mcp_servers.b]\nurl = \"https://example.org/mcp\"\n"));
        assert_eq!(
            change("codex", "", "b", Some(&definition("run it", &[]))).unwrap(),
            "[mcp_servers.b]\ncommand = \"run\"\nargs = [\"it\"]\n"
        );
    }

    #[test]
    fn what_a_document_could_not_give_back_is_never_taken_away() {
        let secret = r#"{"mcpServers":{"a":{"command":"x","env":{"KEY":"s3cret","OTHER":"${env:OTHER}"}},"b":{"command":"x","timeout":9},"c":{"command":"x","env":{"OTHER":"${env:OTHER}"},"disabled":false}}}"#;
        for (name, wanted) in [
            ("a", None),
            ("a", Some(definition("x", &["OTHER"]))),
            ("a", Some(definition("https://example.org", &[]))),
            ("b", None),
        ] {
            let said = change("cursor", secret, name, wanted.as_ref()).unwrap_err();
            assert!(said.contains("give back") && !said.contains("s3cret"), "{said}");
        }
        assert!(!change("cursor", secret, "c", None).unwrap().contains("\"c\""));
        let made = change("cursor", secret, "a", Some(&definition("x", &["KEY"]))).unwrap();
        assert!(made.contains("s3cret") && made.contains("\"b\""), "{made}");
    }

    #[test]
    fn what_a_client_cannot_be_told_is_refused() {
        for (client, wanted, said) in [
            ("cline", definition("x", &["NEW"]), "takes values alone"),
            ("cursor", definition("x", &["NO-NAME"]), "no name of a variable"),
            ("cursor", definition("https://example.org", &["Authorization"]), "header Authorization"),
            ("claude_desktop", definition("https://example.org", &[]), "has an address"),
        ] {
            let told = change(client, "{}", "a", Some(&wanted)).unwrap_err();
            assert!(told.contains(said), "{told}");
        }
        let odd = r#"{"mcpServers":{"a":{"settings":1}}}"#;
        assert!(change("cursor", odd, "a", Some(&definition("x", &[]))).unwrap_err().contains("not known"));
        let comment = "{\n  \"mcpServers\": {\n    \"a\": { \"command\": \"x\" /* keep me */ }\n  }\n}\n";
        assert!(change("cursor", comment, "a", None).unwrap_err().contains("comment"));
    }

    #[test]
    fn hostile_texts_are_told_without_quoting_them() {
        let deep = format!("{{\"mcpServers\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        let long = format!("{{\"mcpServers\":{{\"a\":{{\"command\":\"{}\"}}}}}}", "\\n");
        for text in [
            "{\"token\": \"s3cret\"",
            "{'mcpServers': {}}",
            "[]",
            "s3cret",
            "{\"mcpServers\": [\"s3cret\"]}",
            "{\"mcpServers\": {\"a\": \"s3cret\"}}",
            "{\"mcpServers\": {\"a\": {\"command\": [\"s3cret\"]}}}",
            "{\"mcpServers\": {\"a\": {\"command\": \"x\"}, \"a\": {\"command\": \"s3cret\"}}}",
            "{\"mcpServers\": {\"\\u001b[2J\": {\"command\": \"s3cret\"}}}",
            &deep,
            &long,
        ] {
            let said = read(Client::named("cursor").unwrap(), text).unwrap_err();
            assert!(!said.contains("s3cret") && is_plain(&said), "{said}");
        }
        let deep = format!("a = {}1{}", "[".repeat(100_000), "]".repeat(100_000));
        for text in ["token = s3cret", "mcp_servers = \"s3cret\"", "[mcp_servers.a]\ncommand = 3", &deep] {
            let said = read(Client::named("codex").unwrap(), text).unwrap_err();
            assert!(!said.contains("s3cret"), "{said}");
        }
    }
}
