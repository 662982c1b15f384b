//! What attackers send over HTTP: requests that two programs would read in two ways, bodies that never end or grow, forms
//! of foreign pages, and words that would drive a terminal.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::http::{Server, documented};
use crate::support::World;
use crate::tokens::token;
use crate::watch_place::{Watched, eventually};

const DAEMON: &str = "schedule: \"@yearly\"";
/// A request that would run everything, hidden behind one that is read in two ways.
const HIDDEN: &str = "POST /api/v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                      Content-Length: 2\r\n\r\n{}";
/// `{}`, packed: whoever unpacks it has a request that runs everything.
const PACKED: [u8; 22] =
    [0x1f, 0x8b, 0x08, 0, 0, 0, 0, 0, 0, 0x03, 0xab, 0xae, 0x05, 0, 0x43, 0xbf, 0xa6, 0xa3, 0x02, 0, 0, 0];

/// Sends bytes, and reads whatever comes until the server has had enough.
fn answered(server: &Server, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(&server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    // The server may have closed it before it has read all.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// The status of each answer.
fn statuses(answers: &str) -> Vec<&str> {
    answers.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect()
}

#[test]
fn a_request_that_can_be_read_in_two_ways_is_refused_and_nothing_behind_it_is_read() {
    let world = World::with(DAEMON);
    world.write_local("a.md", "a");
    let server = Server::start(&world);
    let post = "POST /api/v1/pauses HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    let chunk = "e\r\n{\"nonsense\":1}\r\n0\r\n\r\n";
    let length = "Content-Length: 14\r\n";
    let (chunked, body) = ("Transfer-Encoding: chunked\r\n", "{\"nonsense\":1}");
    for (what, request) in [
        ("both, the length first", format!("{post}Content-Length: 4\r\n{chunked}\r\n{chunk}")),
        ("both, the length last", format!("{post}{chunked}Content-Length: 4\r\n\r\n{chunk}")),
        ("two lengths", format!("{post}{length}Content-Length: 5\r\n\r\n{body}")),
        ("a list of lengths", format!("{post}Content-Length: 14, 5\r\n\r\n{body}")),
        ("a length with a sign", format!("{post}Content-Length: +14\r\n\r\n{body}")),
        ("a negative length", format!("{post}Content-Length: -1\r\n\r\n{body}")),
        ("a length in hexadecimal", format!("{post}Content-Length: 0xe\r\n\r\n{body}")),
        ("a length beyond all numbers", format!("{post}Content-Length: 99999999999999999999\r\n\r\n{body}")),
        ("a space before the colon", format!("{post}Content-Length : 14\r\n\r\n{body}")),
        ("a folded header", format!("{post}Content-Length:\r\n 14\r\n\r\n{body}")),
        ("a folded header of ours", format!("{post}X-A: b\r\n\tc\r\n{length}\r\n{body}")),
        ("a name with a space", format!("{post}Content Length: 14\r\n{length}\r\n{body}")),
        ("a name of nothing", format!("{post}: x\r\n{length}\r\n{body}")),
        ("a name with a zero", format!("{post}X\0Y: x\r\n{length}\r\n{body}")),
        ("a value with a zero", format!("{post}X: a\0b\r\n{length}\r\n{body}")),
        ("a lone carriage return", format!("{post}X: a\rY: b\r\n{length}\r\n{body}")),
        ("chunked and something", format!("{post}Transfer-Encoding: chunked, identity\r\n\r\n{chunk}")),
        ("chunked by another name", format!("{post}Transfer-Encoding: xchunked\r\n\r\n{chunk}")),
        ("chunked with a tab", format!("{post}Transfer-Encoding: \x0bchunked\r\n\r\n{chunk}")),
        ("a size of a chunk with a sign", format!("{post}{chunked}\r\n+e\r\n{body}\r\n0\r\n\r\n")),
        ("a size of a chunk with a mark", format!("{post}{chunked}\r\n0xe\r\n{body}\r\n0\r\n\r\n")),
        ("a chunk beyond all numbers", format!("{post}{chunked}\r\nfffffffffffffffff0\r\n{body}")),
        ("a chunk longer than it says", format!("{post}{chunked}\r\n5\r\n{body}\r\n0\r\n\r\n")),
        ("a chunk of an older protocol", format!("{}\r\n{chunk}", post.replace("1.1", "1.0") + chunked)),
        ("no protocol", format!("POST /api/v1/pauses\r\nHost: localhost\r\n{length}\r\n{body}")),
        ("an unknown protocol", format!("{}{length}\r\n{body}", post.replace("1.1", "1.7"))),
    ] {
        let answers = answered(&server, format!("{request}{HIDDEN}").as_bytes());
        assert!(answers.is_empty() || statuses(&answers).len() == 1, "{what}: {answers}");
        let refused = answers.is_empty() || ["400", "413"].contains(&statuses(&answers)[0]);
        assert!(refused, "{what}: {answers}");
    }
    // The same request, said once and plainly, is understood, and the next one of the connection too.
    let plain = format!(
        "{post}{length}\r\n{body}GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    );
    assert_eq!(statuses(&answered(&server, plain.as_bytes())), ["400", "200"]);
    let many = "X-A: b\r\n".repeat(20_000);
    let refused =
        answered(&server, format!("GET /livez HTTP/1.1\r\nHost: localhost\r\n{many}\r\n").as_bytes());
    assert!(refused.is_empty() || statuses(&refused) == ["431"], "{refused}");
    assert_eq!(world.read_remote("a.md"), None, "nothing ran");
    assert_eq!(world.json(0, &["history"])["runs"], json!([]));
}

#[test]
fn a_body_without_an_end_costs_no_memory_and_a_packed_one_is_never_unpacked() {
    let world = World::with(DAEMON);
    world.write_local("a.md", "a");
    let text = fs::read_to_string(world.local("syncline.yaml")).unwrap();
    world.configure(&format!(
        "{text}serve: {{ listen: \"127.0.0.1:0\", require_token: true, body_max: 4MiB }}\n"
    ));
    let runner = token(&world, "runner", &["--scope", "run"]);
    let server = Server::listening(&world, &["serve"]);
    eventually("it is ready", || server.get("/readyz").status == 200);
    let before = server.serving.most_memory();
    let chunk = [b"10000\r\n".as_slice(), &[b' '; 65_536], b"\r\n"].concat();
    for (path, who, status) in [
        ("/api/v1/runs", String::new(), "401"),
        ("/mcp", String::new(), "401"),
        ("/api/v1/runs", format!("Authorization: Bearer {runner}\r\n"), "413"),
        ("/mcp", format!("Authorization: Bearer {runner}\r\n"), "413"),
    ] {
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{who}");
        let mut stream = TcpStream::connect(&server.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        stream.write_all(format!("{head}Transfer-Encoding: chunked\r\n\r\n").as_bytes()).unwrap();
        // It is cut off long before this gibibyte is through.
        let sent = (0..16_384).take_while(|_| stream.write_all(&chunk).is_ok()).count();
        assert!(sent < 4_096, "{path}: {sent} chunks of 64 KiB were taken");
        // Whoever waits with the body hears at once that it is not wanted.
        let head = format!("{head}Content-Length: 5000000000\r\nExpect: 100-continue\r\n\r\n");
        assert_eq!(statuses(&answered(&server, head.as_bytes()))[0], status, "{path}");
    }
    let grown = server.serving.most_memory().saturating_sub(before);
    assert!(grown < 40_000, "{grown} KiB");
    for path in ["/api/v1/runs", "/mcp"] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\nAuthorization: Bearer {runner}\r\n\
             Content-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
            PACKED.len()
        );
        let answer = answered(&server, &[head.as_bytes(), &PACKED].concat());
        assert!(["400", "415"].contains(&statuses(&answer)[0]), "{path}: {answer}");
    }
    assert_eq!(world.read_remote("a.md"), None, "nothing ran");
}

#[test]
fn no_page_of_another_origin_and_no_form_gets_anything_done_by_any_route() {
    let world = World::with(DAEMON);
    world.write_local("a.md", "a");
    let server = Server::start(&world);
    let (mut asked, form) = (0, "Content-Type: application/x-www-form-urlencoded\r\n");
    for (_, method, path) in documented(&server, "") {
        for (headers, code) in [
            ("Origin: https://example.org\r\n", "foreign_origin"),
            ("Origin: null\r\n", "foreign_origin"),
            ("Sec-Fetch-Site: cross-site\r\n", "foreign_origin"),
            ("Sec-Fetch-Site: same-site\r\n", "foreign_origin"),
            ("Host: rebound.example.org\r\n", "foreign_host"),
            ("Host: localhost\r\nHost: localhost\r\n", "foreign_host"),
        ] {
            let json_type = "Content-Type: application/json\r\n";
            let answer = server.ask(&method, &path, &format!("{json_type}{headers}"), "{}");
            let told = (answer.status, answer.json()["code"].clone());
            assert_eq!(told, (403, json!(code)), "{method} {path} {headers}");
        }
        if method != "POST" {
            continue;
        }
        asked += 1;
        for kind in [
            form,
            "Content-Type: text/plain\r\n",
            "Content-Type: text/plain; application/json\r\n",
            "Content-Type: multipart/form-data; boundary=x\r\n",
            "Content-Type: application/json, text/plain\r\n",
            "",
        ] {
            let answer = server.ask("POST", &path, kind, "{}");
            let told = (answer.status, answer.json()["code"].clone());
            assert_eq!(told, (415, json!("not_json")), "{path} {kind}");
        }
    }
    assert!(asked > 10, "{asked} routes");
    assert_eq!(server.ask("POST", "/mcp", form, "{}").status, 415);
    // What a page asks before it sends anything else is answered without leave.
    let preflight = "Origin: https://example.org\r\nAccess-Control-Request-Method: POST\r\n";
    let answer = server.ask("OPTIONS", "/api/v1/runs", preflight, "");
    assert!(answer.status == 403 && !answer.head.contains("access-control-"), "{}", answer.head);
    assert_eq!(world.read_remote("a.md"), None, "nothing ran");
    assert_eq!(world.json(0, &["history"])["runs"], json!([]));
}

/// How many files a server has open.
fn open_files(server: &Server) -> usize {
    fs::read_dir(format!("/proc/{}/fd", server.serving.child.id())).unwrap().count()
}

#[test]
fn hundreds_of_idle_and_slow_connections_keep_nobody_out_and_leave_files_for_the_runs() {
    let world = World::with("triggers: { events: [deploy] }\nschedule: \"@yearly\"");
    world.write_local("a.md", "a");
    // It may have 600 files, and takes a quarter of that for connections.
    let mut command = Command::new("prlimit");
    command.args(["--nofile=600:600", env!("CARGO_BIN_EXE_syncline"), "serve", "--listen", "127.0.0.1:0"]);
    command.current_dir(world.path("local"));
    let server = Server::of(Watched::of(command));
    eventually("it is ready", || server.get("/readyz").status == 200);
    let connect = |bytes: &[u8]| {
        let mut stream = TcpStream::connect(&server.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        let _ = stream.write_all(bytes);
        stream
    };
    // Those who are being answered come first: they are to stay.
    let events = format!("GET /api/v1/events HTTP/1.1\r\nHost: {}\r\n\r\n", server.address);
    let mut listening: Vec<TcpStream> = (0..20).map(|_| connect(events.as_bytes())).collect();
    for stream in &mut listening {
        stream.read_exact(&mut [0; 12]).unwrap();
    }
    let slow = [
        &b""[..],
        b"GET /livez HTT",
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\n",
        b"POST /hooks/none HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n{",
        b"POST /api/v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{",
        b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{",
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ];
    let mut held = Vec::new();
    for number in 0..400 {
        held.push(connect(slow[number % slow.len()]));
        if number % 50 == 49 {
            let files = open_files(&server);
            assert!(files < 300, "{files} files are open with {number} connections");
            assert_eq!(server.get("/livez").status, 200, "with {number} connections");
        }
    }
    let report = server.post("/api/v1/runs", &json!({ "targets": ["main"] }));
    assert_eq!((report.status, world.read_remote("a.md").as_deref()), (200, Some("a")), "{}", report.body);
    for stream in &mut listening {
        let mut text = String::new();
        while !text.contains("run_ended") {
            let mut some = [0; 1024];
            let count = stream.read(&mut some).unwrap();
            assert!(count > 0, "it is heard to the end: {text}");
            text.push_str(&String::from_utf8_lossy(&some[..count]));
        }
    }
    // Whoever waited longest had to go; it was told once.
    assert_eq!(held[0].read(&mut [0; 1]).unwrap_or_default(), 0);
    assert_eq!(server.serving.said().matches("too many connections").count(), 1, "{}", server.serving.said());
    // And those who never come to an end are given up after ten seconds, when nobody needs their place.
    let mut answer = String::new();
    let _ = held.last_mut().unwrap().read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// Ends a line and begins a forged one, clears the screen in two ways, turns the direction and hides something.
const HOSTILE: &str = "boom\n2026-01-01T00:00:00Z ERROR forged\u{1b}[2J\u{9b}2J\r\u{7}\u{202e}gnp.exe\u{2066}\u{200b}\u{2028}end";

/// What of a text would drive a terminal, or show something else than there is; lines may end.
fn drives(text: &str) -> Option<char> {
    let is_unsafe = |c: &char| {
        c.is_control() && *c != '\n'
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().find(is_unsafe)
}

#[test]
fn what_programs_say_and_files_are_called_drives_no_terminal_and_ends_no_record() {
    let world = World::new();
    fs::write(world.path("hostile"), HOSTILE).unwrap();
    world.write_local("boom.sh", "#!/bin/sh\ncat \"$HOSTILE\" >&2\nexit 1\n");
    world.expect(0, &["config", "check"]);
    let hostile = world.path("hostile").display().to_string();
    world.configure(&format!(
        "version: \"1.0\"\nnode: {{ name: here }}\nnotify: {{ webhooks: {{ team: {{ url: \"http://127.0.0.1:1/\", \
         secret: \"${{file:../key}}\", allow_private: true }} }} }}\ntargets:\n  script: {{ direction: pull, entrypoint: \
         boom.sh, outputs: [\"out/**\"], env: {{ HOSTILE: \"{hostile}\" }}, schedule: every 1h }}\n  main: {{ path: \
         main, remote: {{ kind: folder, path: ../remote }}, conflicts: manual, schedule: every 1h }}\n"
    ));
    fs::write(world.path("key"), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLjSw").unwrap();
    for (side, text) in [("local/main", "here"), ("remote", "there")] {
        fs::create_dir_all(world.path(side)).unwrap();
        fs::write(world.path(side).join(HOSTILE), text).unwrap();
    }
    let mut serving = Watched::launch(&world, &["serve", "-vv"]);
    eventually("both ran", || serving.said().matches("a target ran").count() >= 2);
    eventually("it is to be told", || {
        world.json(0, &["webhooks", "log"])["deliveries"].as_array().is_some_and(|all| !all.is_empty())
    });
    let pages = [
        &["status"][..],
        &["history"],
        &["conflicts"],
        &["conflicts", "report"],
        &["alerts"],
        &["peers"],
        &["webhooks"],
        &["webhooks", "log"],
        &["audit"],
        &["plan"],
        &["explain", HOSTILE],
        &["doctor"],
    ];
    for page in pages {
        let ran = world.run(page);
        assert_eq!(drives(&ran.out).or_else(|| drives(&ran.err)), None, "{page:?}: {ran:?}");
        assert!(!ran.out.lines().any(|line| line.starts_with("2026-01-01T")), "{page:?}: {}", ran.out);
    }
    serving.signal("-TERM");
    serving.ended();
    let said = serving.said();
    assert!(said.contains("forged"), "what was said is shown: {said}");
    assert_eq!(drives(&said), None, "{said}");
    assert!(!said.lines().any(|line| line.starts_with("2026-01-01T")), "{said}");
    let mut records = 0;
    for file in fs::read_dir(world.local(".syncline/logs")).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        assert_eq!(drives(&text), None, "{text}");
        for line in text.lines() {
            let record: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            records += usize::from(record.to_string().contains("forged"));
        }
    }
    assert!(records > 0, "what was said is in the files as well");
}

#[test]
fn a_token_of_somebody_else_is_none_and_what_one_caller_has_asked_is_answered_to_no_other() {
    let world = World::with(DAEMON);
    world.write_local("a.md", "a");
    let text = fs::read_to_string(world.local("syncline.yaml")).unwrap();
    world.configure(&format!("{text}serve: {{ listen: \"127.0.0.1:0\", require_token: true }}\n"));
    let [first, second] = ["first", "second"].map(|name| token(&world, name, &["--scope", "run"]));
    let server = Server::listening(&world, &["serve"]);
    eventually("it is ready", || server.get("/readyz").status == 200);
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": { "name": "sync_status", "arguments": { "fast": true } } });
    let mcp = |headers: &str, query: &str| {
        let common = "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n\
                      MCP-Protocol-Version: 2025-11-25\r\n";
        server.ask("POST", &format!("/mcp{query}"), &format!("{common}{headers}"), &call.to_string())
    };
    // Of another service, for another audience, in a place that ends up in logs, or of a session that somebody else has.
    let jwt = "eyJhbGciOiJub25lIn0.eyJhdWQiOiJodHRwczovL290aGVyLmV4YW1wbGUifQ.";
    for (what, headers, query) in [
        ("none", String::new(), String::new()),
        ("of another audience", format!("Authorization: Bearer {jwt}\r\n"), String::new()),
        ("by another scheme", format!("Authorization: Basic {first}\r\n"), String::new()),
        ("in the query", String::new(), format!("?access_token={first}")),
        ("in a cookie", format!("Cookie: token={first}\r\n"), String::new()),
        ("of a session", "Mcp-Session-Id: guessed\r\n".to_owned(), String::new()),
    ] {
        let answer = mcp(&headers, &query);
        assert_eq!(answer.status, 401, "{what}: {}", answer.body);
        assert!(answer.head.contains("www-authenticate: bearer"), "{what}: {}", answer.head);
    }
    assert_eq!(mcp(&format!("Authorization: Bearer {first}\r\n"), "").status, 200);
    // The key of a request is a handle of whoever chose it.
    let run = |token: &str| {
        let headers = format!(
            "Content-Type: application/json\r\nIdempotency-Key: guessable\r\nAuthorization: Bearer {token}\r\n"
        );
        server.ask("POST", "/api/v1/runs", &headers, "{}")
    };
    let asked = run(&first);
    assert_eq!((asked.status, asked.head.contains("idempotent-replayed")), (200, false), "{}", asked.body);
    assert!(run(&first).head.contains("idempotent-replayed: true"));
    assert!(!run(&second).head.contains("idempotent-replayed"), "another caller has asked nothing yet");
    // Nor does a name that is given anew inherit what its former owner was told.
    world.expect(0, &["token", "revoke", "first"]);
    let third = token(&world, "first", &["--scope", "run", "--target", "ma*"]);
    assert!(!run(&third).head.contains("idempotent-replayed"), "the name is the same, and the caller is not");
}
