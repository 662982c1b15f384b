//! The audit log, and requests that name themselves.

use std::fs;

use serde_json::{Value, json};

use crate::http::Server;
use crate::support::World;
use crate::tokens::token;

/// Who asked for what by which way, and what came of it, oldest first.
fn records(world: &World) -> Vec<[String; 4]> {
    let listed = world.json(0, &["audit", "--limit", "1000"]);
    let word = |record: &Value, key: &str| record[key].as_str().unwrap().to_owned();
    let records = listed["records"].as_array().unwrap().iter().rev();
    let told = records.map(|record| ["caller", "face", "operation", "outcome"].map(|key| word(record, key)));
    told.collect()
}

#[test]
fn each_change_that_somebody_asked_for_is_written_down_once() {
    let world = World::with(
        "schedule: \"@yearly\"\ntriggers: { events: [deploy] }\nconflicts: [{ match: \"**\", policy: manual }]",
    );
    world.write_local("a.md", "a");
    world.expect(0, &["run", "--dry-run"]);
    assert_eq!(records(&world).len(), 0, "a dry run changes nothing");
    world.expect(0, &["run"]);
    world.expect(0, &["run"]);
    assert_eq!(records(&world).len(), 1, "there was nothing to do");
    world.write_local("a.md", "here");
    world.write_remote("a.md", "there");
    world.expect(5, &["run"]);
    world.expect(0, &["conflicts", "resolve", "a.md", "--take", "local"]);
    world.expect(0, &["rollback", "last"]);
    world.expect(0, &["pause", "--reason", "the disk is being replaced"]);
    world.expect(0, &["resume"]);
    let made = token(&world, "bot", &["--scope", "run"]);
    let server = Server::start(&world);
    world.write_local("b.md", "b");
    assert_eq!(server.ask_as(&made, "POST", "/api/v1/runs", &json!({})).status, 200);
    assert_eq!(world.json(0, &["history"])["runs"][0]["cause"], "http by bot");
    assert_eq!(server.ask_as(&made, "POST", "/api/v1/events", &json!({ "event": "deploy" })).status, 200);
    assert_eq!(server.post("/api/v1/tokens/revoke", &json!({ "name": "bot" })).status, 200);
    assert_eq!(server.ask_as(&made, "POST", "/api/v1/runs", &json!({})).status, 401);
    world.expect(2, &["run", "nobody"]);

    let told = records(&world);
    let asked: Vec<[&str; 3]> =
        told.iter().map(|[caller, face, operation, _]| [&**caller, &**face, &**operation]).collect();
    let by_hand = |operation| ["local", "command line", operation];
    assert_eq!(
        asked,
        [
            by_hand("start_run"),
            by_hand("start_run"),
            by_hand("resolve_conflict"),
            by_hand("rollback"),
            by_hand("pause"),
            by_hand("resume"),
            by_hand("create_token"),
            ["bot", "http", "start_run"],
            ["bot", "http", "trigger_event"],
            ["local", "http", "revoke_token"],
        ]
    );
    assert!(told[0][3].starts_with("main succeeded (run "), "{told:?}");
    assert_eq!(told[2][3], "1 of 1 settled");
    let page = world.expect(0, &["audit", "--limit", "1000"]).out;
    for line in ["  pause main (the disk is being replaced): done\n", "  resume main: done\n"] {
        assert!(page.contains(line), "a target and a reason are told apart: {page}");
    }
}

#[test]
fn a_request_that_failed_is_not_told_as_a_change_that_could_not_be_written_down() {
    let world = World::new();
    world.expect(0, &["run"]);
    // Neither the state nor the log can be written.
    let state = world.local(".syncline");
    fs::write(state.join("state.db"), "no database").unwrap();
    for left in ["state.db-wal", "state.db-shm", "audit.jsonl"] {
        let _ = fs::remove_file(state.join(left));
    }
    fs::create_dir(state.join("audit.jsonl")).unwrap();
    let refused = world.run(&["pause", "--reason", "the disk is being replaced"]);
    assert_eq!(refused.code, 1, "{}", refused.err);
    assert!(refused.err.contains("that a request failed could not be written"), "{}", refused.err);
    assert!(!refused.err.contains("what was changed"), "{}", refused.err);
}

#[test]
fn a_run_that_failed_is_written_down_and_so_is_an_approval() {
    let world = World::new();
    for number in 0..4 {
        world.write_local(&format!("{number}.md"), "text");
    }
    world.expect(0, &["run"]);
    for number in 0..4 {
        fs::remove_file(world.local(&format!("{number}.md"))).unwrap();
    }
    let halted = world.json(4, &["run"]);
    let hash = halted["results"][0]["plan_hash"].as_str().unwrap().to_owned();
    world.expect(0, &["run", "--approve", &hash]);
    let told = records(&world);
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[1][3].starts_with("main halted"), "{told:?}");
    let listed = world.json(0, &["audit", "--limit", "1"]);
    assert_eq!(listed["records"][0]["about"], format!("approved {hash}"));
}

#[test]
fn what_is_changed_in_the_list_is_found() {
    let world = World::new();
    for text in ["1", "2", "3"] {
        world.write_local("a.md", text);
        world.expect(0, &["run"]);
    }
    let file = world.local(".syncline/audit.jsonl");
    let whole = fs::read_to_string(&file).unwrap();
    let head = world.json(0, &["audit", "--verify"])["head"].as_str().unwrap().to_owned();
    let pinned = ["audit", "--verify", "--pinned", &head];
    world.expect(0, &pinned);

    fs::write(&file, whole.replacen("command line", "somebody else", 1)).unwrap();
    let broken = world.json(1, &["audit", "--verify"]);
    assert_eq!((&broken["sound"], &broken["broken"]["record"]), (&json!(false), &json!(1)), "{broken}");
    assert!(world.expect(1, &["audit", "--verify"]).err.contains("the audit log is broken"));
    let lines: Vec<&str> = whole.lines().collect();
    fs::write(&file, format!("{}\n{}\n", lines[0], lines[2])).unwrap();
    assert_eq!(world.json(1, &["audit", "--verify"])["broken"]["record"], 2);
    // Cut off at its end it follows from itself; whoever has the hash knows better.
    fs::write(&file, format!("{}\n{}\n", lines[0], lines[1])).unwrap();
    world.expect(0, &["audit", "--verify"]);
    assert_eq!(world.json(1, &pinned)["broken"]["record"], Value::Null);
    assert_eq!(world.json(2, &["audit", "--pinned", "abc"])["error"]["code"], "bad_hash");
}

#[test]
fn a_request_that_names_itself_acts_once_also_after_a_restart() {
    let world = World::with("schedule: \"@yearly\"");
    world.write_local("a.md", "a");
    let ask = |server: &Server, key: &str, body: &Value| {
        let headers = format!("Content-Type: application/json\r\nIdempotency-Key: {key}\r\n");
        server.ask("POST", "/api/v1/runs", &headers, &body.to_string())
    };
    let runs = || world.json(0, &["history"])["runs"].as_array().unwrap().len();
    let server = Server::start(&world);
    let first = ask(&server, "one", &json!({}));
    assert_eq!((first.status, runs()), (200, 1), "{}", first.body);
    assert!(!first.head.contains("idempotent-replayed"));
    world.write_local("b.md", "b");
    let again = ask(&server, "one", &json!({}));
    assert_eq!((again.status, &again.body, runs()), (200, &first.body, 1));
    assert!(again.head.contains("idempotent-replayed: true"), "{}", again.head);
    let other = ask(&server, "one", &json!({ "targets": ["main"] }));
    assert_eq!((other.status, &other.json()["code"]), (422, &json!("key_reused")));
    drop(server);

    let server = Server::start(&world);
    assert_eq!((ask(&server, "one", &json!({})).body, runs()), (first.body, 1));
    // What was refused has done nothing, and may be asked for again, also for something else.
    assert_eq!(ask(&server, "two", &json!({ "targets": ["mian"] })).status, 404);
    assert_eq!((ask(&server, "two", &json!({})).status, runs()), (200, 2));
    assert_eq!(ask(&server, "", &json!({})).json()["code"], "bad_key");
    let headers = "Content-Type: application/json\r\nIdempotency-Key: three\r\n";
    let secret = server.ask("POST", "/api/v1/tokens", headers, "{\"name\":\"a\",\"scopes\":[\"read\"]}");
    assert_eq!(secret.json()["code"], "bad_key");
}

#[test]
fn history_is_read_page_by_page() {
    let world = World::with("schedule: \"@yearly\"");
    for text in ["1", "2", "3", "4", "5"] {
        world.write_local("a.md", text);
        world.expect(0, &["run"]);
    }
    let server = Server::start(&world);
    for (route, list) in [("runs", "runs"), ("audit", "records")] {
        let whole = server.get(&format!("/api/v1/{route}")).json();
        assert_eq!(whole["next"], Value::Null);
        let (mut pages, mut path) = (Vec::new(), format!("/api/v1/{route}?limit=2"));
        loop {
            let page = server.get(&path).json();
            pages.push(page[list].as_array().unwrap().clone());
            let next = match &page["next"] {
                Value::Null => break,
                Value::String(next) => next.clone(),
                next => next.to_string(),
            };
            path = format!("/api/v1/{route}?limit=2&before={next}");
        }
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
        assert_eq!(Value::from(pages.concat()), whole[list]);
        // What fills the last page to the brim is not followed by an empty one.
        assert_eq!(server.get(&format!("/api/v1/{route}?limit=5")).json()["next"], Value::Null);
    }
}

#[test]
fn the_page_to_try_it_loads_nothing_from_elsewhere() {
    let world = World::with("schedule: \"@yearly\"");
    let server = Server::start(&world);
    let page = server.get("/docs");
    assert!(
        page.head.contains("script-src 'self'") && page.head.contains("default-src 'none'"),
        "{}",
        page.head
    );
    assert!(page.body.contains("/docs/page.js") && !page.body.contains("<script>"), "{}", page.body);
    for (path, kind) in [("/docs/page.js", "text/javascript"), ("/docs/page.css", "text/css")] {
        let file = server.get(path);
        assert!(file.status == 200 && file.head.contains(kind), "{}", file.head);
        assert!(!file.body.contains("http://") && !file.body.contains("https://"), "{path}");
        for hole in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
            assert!(!file.body.contains(hole), "{path} has {hole}");
        }
    }
}
