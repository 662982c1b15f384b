//! Rights: every route and every tool, asked by every kind of token. The routes come from the description of the server, so
//! that a new one is tried by itself.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::http::{Answer, Server, documented};
use crate::support::World;
use crate::tokens::{SEALED, TOLD, query, sealed_message, token, two_targets};

const SCOPES: [&str; 4] = ["read", "run", "resolve", "admin"];
/// Routes that answer everybody.
const OPEN: [&str; 2] = ["/livez", "/readyz"];
/// A name as long as that of the target that is sealed, and of none.
const ABSENT: &str = "absent7";

/// A kind of token: its scope, whether it is limited to targets, and the token.
struct Kind {
    scope: &'static str,
    limited: bool,
    token: String,
}

/// Tokens of every scope, whole and limited; only a whole one can have all rights.
fn kinds(world: &World) -> Vec<Kind> {
    let mut kinds = Vec::new();
    for scope in SCOPES {
        for limited in [false, true] {
            let (name, limits) = match limited {
                true if scope == "admin" => continue,
                true => (format!("{scope}-limited"), &["--target", "ma*"][..]),
                false => (scope.to_owned(), &[][..]),
            };
            let token = token(world, &name, &[&["--scope", scope], limits].concat());
            kinds.push(Kind { scope, limited, token });
        }
    }
    kinds
}

impl Kind {
    fn may(&self, needs: &str) -> bool {
        needs == "read" || needs == self.scope || self.scope == "admin"
    }
}

#[test]
fn every_route_and_every_tool_asks_every_kind_of_token_for_its_right() {
    let world = World::with("schedule: \"@yearly\"");
    let kinds = kinds(&world);
    let admin = &kinds.last().unwrap().token;
    let server = Server::start(&world);
    let list = world.json(0, &["call"]);
    let scope_of = |name: &str| {
        let found = list["operations"].as_array().unwrap().iter().find(|one| one["name"] == name);
        found.map(|operation| operation["scope"].as_str().unwrap().to_owned())
    };
    let mut operations = 0;
    for (name, method, path) in documented(&server, admin) {
        for kind in &kinds {
            let who = format!("{} (limited: {}) for {method} {path}", kind.scope, kind.limited);
            let Some(needs) = scope_of(&name) else {
                // Whatever is no use case tells of all targets, or of none.
                let is_open = OPEN.contains(&path.as_str());
                if path.starts_with("/api/v1/events") && !kind.limited {
                    continue;
                }
                let answer = server.ask_as(&kind.token, &method, &path, &Value::Null);
                assert_eq!(
                    answer.status,
                    if kind.limited && !is_open { 403 } else { 200 },
                    "{who}: {}",
                    answer.body
                );
                continue;
            };
            operations += 1;
            // What no use case understands: whoever is let through is told so, and nothing is done.
            let answer =
                server.ask_as(&kind.token, &method, &format!("{path}?nonsense=1"), &json!({ "nonsense": 1 }));
            let expected = if kind.may(&needs) { (400, "bad_request") } else { (403, "forbidden") };
            assert_eq!(
                (answer.status, answer.json()["code"].as_str().unwrap()),
                expected,
                "{who}: {}",
                answer.body
            );
        }
    }
    assert_eq!(
        operations,
        list["operations"].as_array().unwrap().len() * kinds.len(),
        "every use case is a route"
    );

    let tools = mcp(&server, admin, "tools/list", json!({}))["result"]["tools"].as_array().unwrap().clone();
    assert!(tools.len() > 10, "{tools:?}");
    for kind in &kinds {
        let listed = mcp(&server, &kind.token, "tools/list", json!({}))["result"]["tools"].to_string();
        for tool in &tools {
            let name = tool["name"].as_str().unwrap();
            // Seen is what may be called, and nothing else.
            let is_seen = listed.contains(&format!("\"name\":\"{name}\""));
            let params = json!({ "name": name, "arguments": { "nonsense": 1, "dry_run": true } });
            let answer = mcp(&server, &kind.token, "tools/call", params);
            let code = answer["result"]["_meta"]["syncline/problem"]["code"].as_str().unwrap_or_default();
            let expected = if is_seen { "bad_request" } else { "forbidden" };
            assert_eq!(code, expected, "{} for the tool {name}: {answer}", kind.scope);
        }
        assert_eq!(listed.contains("\"sync_trigger\""), kind.may("run"), "{}: {listed}", kind.scope);
        assert_eq!(listed.contains("\"conflict_resolve\""), kind.may("resolve"), "{}: {listed}", kind.scope);
    }
}

fn mcp(server: &Server, token: &str, method: &str, params: Value) -> Value {
    let headers = format!(
        "Authorization: Bearer {token}\r\nContent-Type: application/json\r\nAccept: application/json, \
         text/event-stream\r\nMCP-Protocol-Version: 2025-11-25\r\n"
    );
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    server.ask("POST", "/mcp", &headers, &request.to_string()).json()
}

#[test]
fn without_a_token_nothing_is_told_by_any_route() {
    let world = World::with("schedule: \"@yearly\"");
    let text = world.read_local("syncline.yaml").unwrap();
    world.configure(&format!("{text}serve: {{ listen: \"127.0.0.1:0\", require_token: true }}\n"));
    let admin = token(&world, "admin", &["--scope", "admin"]);
    let server = Server::listening(&world, &["serve"]);
    let mut routes = documented(&server, &admin);
    for (method, path) in
        [("POST", "/mcp"), ("GET", "/mcp"), ("GET", "/openapi.json"), ("GET", "/api/v1/nothing")]
    {
        routes.push((String::new(), method.to_owned(), path.to_owned()));
    }
    let mut told = Vec::new();
    for (_, method, path) in routes.iter().filter(|(.., path)| !OPEN.contains(&path.as_str())) {
        let answer = server.ask(method, path, "Content-Type: application/json\r\n", "{}");
        assert!([401, 429].contains(&answer.status), "{method} {path}: {} {}", answer.status, answer.body);
        told.push(answer.body);
    }
    told.dedup();
    assert_eq!(told.len(), 2, "the same words for all, and others when it is too often: {told:?}");
}

/// What names something of the target that is sealed, each with what names nothing and looks the same.
fn names(run: &str, conflict: &str, message: &str) -> Vec<(String, String)> {
    let other = |id: &str| {
        let (rest, last) = id.split_at(id.len() - 1);
        format!("{rest}{}", if last == "0" { "1" } else { "0" })
    };
    vec![
        (SEALED.to_owned(), ABSENT.to_owned()),
        (format!("{SEALED}/a.md"), format!("{ABSENT}/a.md")),
        (format!("{SEALED}/**"), format!("{ABSENT}/**")),
        (format!("{SEALED}_asked"), format!("{ABSENT}_asked")),
        (run.to_owned(), other(run)),
        (conflict.to_owned(), other(conflict)),
        (message.to_owned(), other(message)),
    ]
}

/// Whether a member of a request may be a text, or a list of such.
fn holds_text(document: &Value, schema: &Value) -> (bool, bool) {
    let kinds = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let mut found = (kinds.contains(&"string"), kinds.contains(&"array"));
    for one in schema["anyOf"].as_array().into_iter().flatten() {
        let one = holds_text(document, one);
        found = (found.0 || one.0, found.1 || one.1);
    }
    if let Some(place) = schema["$ref"].as_str() {
        let one = holds_text(document, document.pointer(&place[1..]).unwrap());
        found = (found.0 || one.0, found.1 || one.1);
    }
    found
}

/// Every request of a route that has `name` in one of its members, and what else it needs.
fn requests(document: &Value, described: &Value, name: &str) -> Vec<Value> {
    let body = &described["requestBody"]["content"]["application/json"]["schema"];
    let mut members: Vec<(String, Value, bool)> = Vec::new();
    for parameter in described["parameters"].as_array().into_iter().flatten() {
        let name = parameter["name"].as_str().unwrap().to_owned();
        members.push((name, parameter["schema"].clone(), parameter["required"] == true));
    }
    for (name, schema) in body["properties"].as_object().into_iter().flatten() {
        let required = body["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
        members.push((name.clone(), schema.clone(), required));
    }
    let value = |schema: &Value, text: &str| match holds_text(document, schema) {
        (_, true) => Some(json!([text])),
        (true, false) => Some(json!(text)),
        (false, false) => None,
    };
    let mut requests = Vec::new();
    for (place, (member, schema, _)) in members.iter().enumerate() {
        let Some(named) = value(schema, name) else { continue };
        let mut request = Map::new();
        for (other, (member, schema, required)) in members.iter().enumerate() {
            if *required && other != place {
                request.insert(member.clone(), value(schema, "local").unwrap_or(json!(1)));
            }
        }
        // What has to be decided with it.
        if request.contains_key("conflicts") || member == "conflicts" {
            request.insert("take".to_owned(), json!("local"));
        }
        request.insert(member.clone(), named);
        requests.push(Value::Object(request));
    }
    requests
}

/// An answer, with what it says of the name and of the time taken out.
fn blurred(answer: &Answer, name: &str) -> String {
    let text = answer.body.replace(name, "NAME").replace(SEALED, "SEALED").replace(ABSENT, "ABSENT");
    let mut blurred = format!("{} ", answer.status);
    for c in text.chars() {
        if !c.is_ascii_digit() {
            blurred.push(c);
        } else if !blurred.ends_with('#') {
            blurred.push('#');
        }
    }
    blurred
}

#[test]
fn to_a_limited_token_what_is_sealed_and_what_is_not_there_are_the_same_for_every_member_of_every_request() {
    let (world, run, conflict) = two_targets(TOLD);
    let rights = ["--scope", "read", "--scope", "run", "--scope", "resolve", "--target", "op*"];
    let (limited, admin) = (token(&world, "limited", &rights), token(&world, "admin", &["--scope", "admin"]));
    let server = Server::start(&world);
    let message = sealed_message(&world);
    let document = server.ask_as(&admin, "GET", "/openapi.json", &Value::Null).json();
    let names = names(&run, &conflict, &message);
    // How many use cases find what is sealed for one who may see it, or look for it in vain for one who may not.
    let (mut tried, mut found, mut missed) = (0, BTreeSet::new(), BTreeSet::new());
    for (operation, method, path) in documented(&server, &admin) {
        let described = &document["paths"][&path][method.to_lowercase()];
        let needs_admin = described["description"].as_str().is_some_and(|text| text.contains("`admin`"));
        if !path.starts_with("/api/v1/") || operation == "events" || needs_admin {
            continue;
        }
        let ask = |token: &str, request: &Value| {
            let path = if method == "GET" { format!("{path}{}", query(request)) } else { path.clone() };
            server.ask_as(token, &method, &path, request)
        };
        for (sealed, absent) in &names {
            let absent_requests = requests(&document, described, absent);
            for (of_sealed, of_absent) in requests(&document, described, sealed).iter().zip(&absent_requests)
            {
                let answer = ask(&limited, of_sealed);
                let told = blurred(&answer, sealed);
                assert_eq!(told, blurred(&ask(&limited, of_absent), absent), "{operation} {of_sealed}");
                tried += 1;
                if answer.status == 404 {
                    missed.insert(operation.clone());
                }
                if method == "GET" && ask(&admin, of_sealed).status == 200 && told.starts_with("404") {
                    found.insert(operation.clone());
                }
            }
        }
    }
    assert!(tried > 100 && found.len() >= 8 && missed.len() >= 16, "{tried} requests; {found:?}; {missed:?}");
    assert_eq!(world.read_local(&format!("{SEALED}/a.md")).as_deref(), Some("here"));
    assert_eq!(world.read_remote(&format!("{SEALED}/a.md")).as_deref(), Some("there"));
    let history = world.json(0, &["history", "--target", SEALED]);
    assert_eq!(history["runs"][0]["run"], run, "nothing ran: {history}");
    let conflicts = world.json(0, &["conflicts", "list"])["conflicts"].to_string();
    assert!(conflicts.contains(&conflict), "and its conflict is open: {conflicts}");
}
