//! Tokens: who is let in, what each scope allows, and which targets there are for whom.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::http::{Server, documented};
use crate::support::World;
use crate::watch_place::eventually;

/// The target that a limited token is kept from; nothing else is called so.
pub(crate) const SEALED: &str = "sealed7";

/// Makes a token; what it is.
pub(crate) fn token(world: &World, name: &str, more: &[&str]) -> String {
    let ran = world.expect(0, &[&["token", "create", "--name", name], more].concat());
    assert!(ran.out.starts_with("syn_") && ran.out.lines().count() == 1, "{}", ran.out);
    ran.out.trim().to_owned()
}

/// Two targets that have run, each with a conflict that waits; the run and the conflict of the one that is sealed.
pub(crate) fn two_targets(more: &str) -> (World, String, String) {
    let world = World::new();
    let mut text = format!("version: \"1.0\"\nnode: {{ name: here }}\n{more}targets:\n");
    for name in ["open", SEALED] {
        fs::create_dir_all(world.remote(name)).unwrap();
        text.push_str(&format!(
            "  {name}: {{ path: {name}, remote: {{ kind: folder, path: ../remote/{name} }}, schedule: \"@yearly\", \
             triggers: {{ events: [{name}_asked] }}, conflicts: [{{ match: \"**\", policy: manual }}] }}\n"
        ));
        world.write_local(&format!("{name}/a.md"), name);
    }
    world.configure(&text);
    world.expect(0, &["run"]);
    for name in ["open", SEALED] {
        world.write_local(&format!("{name}/a.md"), "here");
        world.write_remote(&format!("{name}/a.md"), "there");
    }
    world.expect(5, &["run"]);
    let run = world.json(0, &["history", "--target", SEALED])["runs"][0]["run"].as_str().unwrap().to_owned();
    let conflicts = world.json(0, &["conflicts", "list"]);
    let all = conflicts["conflicts"].as_array().unwrap();
    let sealed = all.iter().find(|conflict| conflict["target"] == SEALED).unwrap();
    let conflict = sealed["id"].as_str().unwrap().to_owned();
    (world, run, conflict)
}

/// A webhook that is told of both, and whose receiver is never there.
pub(crate) const TOLD: &str = "notify: { webhooks: { team: { url: \"http://127.0.0.1:1/\", secret: \"${file:../key}\", \
                    allow_private: true, targets: [open, sealed7] } } }\n";

/// The message about the target that is sealed, once there is one.
pub(crate) fn sealed_message(world: &World) -> String {
    let mut found = None;
    eventually("it is to be told", || {
        let log = world.json(0, &["webhooks", "log"]);
        let of_sealed = |delivery: &&Value| delivery["target"] == SEALED;
        found = log["deliveries"].as_array().unwrap().iter().find(of_sealed).cloned();
        found.is_some()
    });
    found.unwrap()["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_token_that_is_limited_to_targets_sees_and_changes_no_others() {
    let (world, run, conflict) = two_targets(TOLD);
    let scopes = ["--scope", "read", "--scope", "run", "--scope", "resolve"];
    let limited = token(&world, "limited", &[&scopes[..], &["--target", "op*"]].concat());
    let whole = token(&world, "whole", &scopes);
    let server = Server::start(&world);
    let before = world.read_local(&format!("{SEALED}/a.md"));
    let sealed_path = format!("{SEALED}/a.md");
    // For each operation: requests that name nothing, and requests that name what is sealed.
    let (of, named) = (json!({ "target": SEALED }), json!({ "targets": [SEALED] }));
    let run_of = json!({ "run": run });
    let dry_run = json!({ "dry_run": true });
    let one = json!({ "id": conflict });
    let path = json!({ "path": sealed_path });
    let take = json!({ "conflicts": [conflict], "take": "local" });
    let globs = json!({ "conflicts": [format!("{SEALED}/**")], "take": "local" });
    let github = json!({ "system": "github" });
    let reason = json!({ "reason": "test", "targets": [SEALED] });
    let message = sealed_message(&world);
    let requests: [(&str, Vec<Value>, Vec<Value>); 24] = [
        ("list_targets", vec![json!({})], vec![named.clone()]),
        ("make_plan", vec![json!({})], vec![named.clone()]),
        ("start_run", vec![dry_run], vec![named.clone(), json!({ "targets": ["sealed*"] })]),
        ("trigger_event", vec![], vec![json!({ "event": format!("{SEALED}_asked") })]),
        ("check_drift", vec![json!({})], vec![named.clone()]),
        ("status", vec![json!({}), json!({ "fast": true })], vec![named.clone()]),
        ("pause", vec![json!({ "reason": "test" })], vec![reason]),
        ("resume", vec![json!({})], vec![named]),
        ("watch_status", vec![json!({})], vec![]),
        ("history", vec![json!({})], vec![of.clone(), json!({ "before": run })]),
        ("list_versions", vec![json!({ "path": "." })], vec![]),
        ("rollback", vec![], vec![run_of]),
        ("restore", vec![], vec![path.clone(), json!({ "path": "open/a.md", "at": run })]),
        ("explain", vec![], vec![path]),
        ("list_conflicts", vec![json!({}), json!({ "all": true })], vec![of.clone()]),
        ("show_conflict", vec![], vec![one.clone()]),
        ("merge_conflict", vec![], vec![one]),
        ("resolve_conflict", vec![], vec![take, globs]),
        ("abort_conflict", vec![], vec![json!({ "conflicts": [conflict] })]),
        ("report_conflicts", vec![json!({})], vec![of]),
        ("generate_ci", vec![github], vec![]),
        ("list_webhooks", vec![json!({})], vec![]),
        ("list_deliveries", vec![json!({})], vec![json!({ "before": message })]),
        ("replay_deliveries", vec![], vec![json!({ "id": message })]),
    ];
    // Those that concern no target, or the workspace as a whole.
    let others = ["config_schema", "check_ci", "list_alerts", "acknowledge_alert", "list_peers"];
    let mut known: BTreeSet<&str> = requests.iter().map(|(name, ..)| *name).collect();
    known.extend(others);
    let list = world.json(0, &["call"]);
    for operation in list["operations"].as_array().unwrap() {
        let name = operation["name"].as_str().unwrap();
        assert!(operation["scope"] == "admin" || known.contains(name), "{name} is not tried here");
    }
    let routes = documented(&server, &limited);
    for (name, plain, naming) in &requests {
        let (_, method, path) = routes.iter().find(|(route, ..)| route == name).unwrap();
        let ask = |token: &str, request: &Value| {
            let path = if method == "GET" { format!("{path}{}", query(request)) } else { path.clone() };
            server.ask_as(token, method, &path, request)
        };
        for request in plain {
            let answer = ask(&limited, request);
            assert_eq!(answer.status, 200, "{name} {request}: {}", answer.body);
            assert!(!answer.body.contains(SEALED), "{name} {request}: {}", answer.body);
            assert!(ask(&whole, request).body.contains(SEALED), "{name} {request} shows it to others");
        }
        for request in naming {
            let answer = ask(&limited, request);
            // A path of no target is no mistake: it is explained as that.
            let is_of_none = *name == "explain" && answer.json()["targets"] == json!([]);
            assert!(answer.status == 404 || is_of_none, "{name} {request}: {}", answer.body);
        }
    }
    // Nothing of it was changed, and what names no target is about those that there are.
    assert_eq!(world.read_local(&sealed_path), before);
    assert_eq!(world.read_remote(&format!("{SEALED}/a.md")).as_deref(), Some("there"));
    let started = server.ask_as(&limited, "POST", "/api/v1/runs", &json!({})).json();
    assert_eq!(started["total_targets"], 1, "{started}");
    let history = world.json(0, &["history", "--target", "open"]);
    assert!(history["runs"].as_array().unwrap().iter().all(|run| run["target"] == "open"));
    // What tells of all targets at once is not for it.
    for path in ["/metrics", "/health", "/status", "/api/v1/events", "/api/v1/events/ws"] {
        let answer = server.ask_as(&limited, "GET", path, &Value::Null);
        assert_eq!((answer.status, answer.body.contains(SEALED)), (403, false), "{path}: {}", answer.body);
    }
    for path in ["/metrics", "/health", "/status"] {
        assert!(server.ask_as(&whole, "GET", path, &Value::Null).body.contains(SEALED), "{path}");
    }
}

pub(crate) fn query(request: &Value) -> String {
    let mut pairs = Vec::new();
    for (key, value) in request.as_object().unwrap() {
        let values = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        pairs.extend(values.iter().map(|value| format!("{key}={}", text(value).replace('*', "%2A"))));
    }
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

#[test]
fn where_tokens_are_required_nobody_else_is_let_in_and_nobody_is_told_why() {
    let world = World::with("schedule: \"@yearly\"");
    let text = fs::read_to_string(world.local("syncline.yaml")).unwrap();
    world.configure(&format!("{text}serve: {{ listen: \"127.0.0.1:0\", require_token: true }}\n"));
    let good = token(&world, "good", &["--scope", "read"]);
    let short = token(&world, "short", &["--scope", "read", "--expires", "1s"]);
    let gone = token(&world, "gone", &["--scope", "admin"]);
    let server = Server::listening(&world, &["serve"]);
    assert_eq!(server.ask_as(&gone, "GET", "/api/v1/tokens", &Value::Null).status, 200);
    world.expect(0, &["token", "revoke", "gone"]);
    for open in ["/livez", "/readyz", "/docs", "/docs/page.js"] {
        assert_eq!(server.get(open).status, 200, "{open}");
    }
    let ask = |token: &str| server.ask_as(token, "GET", "/api/v1/targets", &Value::Null);
    eventually("it expires", || ask(&short).status != 200);
    let other_secret = format!("{}{}", &good[..21], "0".repeat(64));
    let answers =
        [ask(&short), ask(&gone), ask(""), ask("syn_1"), ask(&other_secret), server.get("/api/v1/targets")];
    for answer in &answers {
        assert_eq!((answer.status, &answer.body), (401, &answers[0].body));
        assert!(answer.head.contains("www-authenticate: bearer"), "{}", answer.head);
    }
    for closed in ["/openapi.json", "/metrics", "/api/v1/nothing", "/nothing"] {
        assert_eq!(server.get(closed).status, 401, "{closed}");
    }
    assert_eq!(ask(&good).status, 200);
    // Whoever goes on trying is told less and less, and others are not kept out by that.
    eventually("it is limited", || server.get("/api/v1/targets").status == 429);
    assert!(server.get("/api/v1/targets").head.contains("retry-after: "));
    assert_eq!(ask(&good).status, 200);
    let listed = world.json(0, &["token", "list"]);
    let names: Vec<_> = listed["tokens"].as_array().unwrap().iter().map(|token| &token["name"]).collect();
    assert_eq!(names, ["good", "short"]);
    assert!(listed["tokens"][0]["used"].is_string() && listed["tokens"][1]["expired"] == true, "{listed}");
}

#[test]
fn a_token_that_is_wrong_counts_for_nobody_even_where_none_is_needed() {
    let world = World::with("schedule: \"@yearly\"");
    let server = Server::start(&world);
    assert_eq!(server.get("/api/v1/targets").status, 200);
    assert_eq!(server.ask_as("syn_wrong", "GET", "/api/v1/targets", &Value::Null).status, 401);
}

#[test]
fn other_machines_are_only_answered_when_there_is_a_token() {
    let world = World::with("schedule: \"@yearly\"");
    let listen = ["serve", "--listen", "0.0.0.0:0"];
    assert_eq!(world.json(2, &listen)["error"]["code"], "open_address");
    let good = token(&world, "good", &["--scope", "read"]);
    let server = Server::listening(&world, &listen);
    assert!(server.serving.said().contains("set `serve.tls`"), "{}", server.serving.said());
    assert_eq!(server.get("/api/v1/targets").status, 401, "not even somebody of this machine");
    assert_eq!(server.ask_as(&good, "GET", "/api/v1/targets", &Value::Null).status, 200);
    let named = server.ask("GET", "/livez", "Host: sync.example.org\r\n", "");
    assert_eq!(named.json()["code"], "foreign_host");
}

#[test]
fn hosts_that_the_file_names_are_answered() {
    let world = World::with("schedule: \"@yearly\"");
    let text = fs::read_to_string(world.local("syncline.yaml")).unwrap();
    world.configure(&format!("{text}serve: {{ listen: \"127.0.0.1:0\", hosts: [Sync.example.org] }}\n"));
    let server = Server::listening(&world, &["serve"]);
    for (headers, status) in [
        ("Host: sync.example.org\r\n", 200),
        ("Host: sync.example.org\r\nOrigin: https://sync.example.org\r\n", 200),
        ("Host: sync.example.org\r\nOrigin: https://other.example.org\r\n", 403),
        ("Host: other.example.org\r\n", 403),
    ] {
        assert_eq!(server.ask("GET", "/api/v1/targets", headers, "").status, status, "{headers}");
    }
}

#[test]
fn a_token_is_kept_nowhere_and_wrong_ones_are_not_made() {
    let world = World::with("schedule: \"@yearly\"");
    let made = token(&world, "good", &["--scope", "admin"]);
    let server = Server::start(&world);
    let secret = made.rsplit('_').next().unwrap();
    assert_eq!(server.ask_as(&made, "GET", "/api/v1/audit", &Value::Null).status, 200);
    let created =
        server.ask_as(&made, "POST", "/api/v1/tokens", &json!({ "name": "two", "scopes": ["read"] }));
    let other = created.json()["token"].as_str().unwrap().rsplit('_').next().unwrap().to_owned();
    let mut waiting = vec![world.local(".syncline")];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                assert!(!holds(&path, secret) && !holds(&path, &other), "{}", path.display());
            }
        }
    }
    assert!(!server.serving.said().contains(secret));
    for (arguments, code) in [
        (&["--name", "good", "--scope", "read"][..], "name_taken"),
        (&["--name", "local", "--scope", "read"], "bad_name"),
        (&["--name", "a", "--scope", "read", "--target", "mian"], "unknown_target"),
        (&["--name", "a", "--scope", "admin", "--target", "main"], "bad_request"),
        (&["--name", "a", "--scope", "read", "--expires", "soon"], "bad_time"),
    ] {
        let exit = if code == "name_taken" { 1 } else { 2 };
        let refused = world.json(exit, &[&["token", "create"], arguments].concat());
        assert_eq!(refused["error"]["code"], code, "{refused}");
    }
    assert_eq!(world.json(1, &["token", "revoke", "nobody"])["error"]["code"], "unknown_token");
}

fn holds(file: &Path, text: &str) -> bool {
    let content = fs::read(file).unwrap_or_default();
    content.windows(text.len()).any(|window| window == text.as_bytes())
}
