//! What `syncline serve` tells of itself: health, figures, and events as they happen.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::http::Server;
use crate::support::World;
use crate::watch_place::eventually;

const PATIENCE: Duration = Duration::from_secs(120);

/// A client that listens to server-sent events.
struct Listening {
    lines: BufReader<TcpStream>,
}

/// An event as it came over the wire.
#[derive(Debug)]
struct Heard {
    id: String,
    name: String,
    data: Value,
}

impl Listening {
    fn begin(server: &Server, query: &str, headers: &str) -> Self {
        let mut stream = TcpStream::connect(&server.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let host = &server.address;
        write!(stream, "GET /api/v1/events{query} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n").unwrap();
        let mut lines = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(lines.read_line(&mut head).unwrap() > 0, "{head}");
        }
        assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/event-stream"), "{head}");
        Self { lines }
    }

    /// The next event; `None` at the end of the stream.
    fn next(&mut self) -> Option<Heard> {
        let (mut id, mut name) = (String::new(), String::new());
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            if let Some(value) = line.strip_prefix("id: ") {
                id = value.trim().to_owned();
            } else if let Some(value) = line.strip_prefix("event: ") {
                name = value.trim().to_owned();
            } else if let Some(value) = line.strip_prefix("data: ") {
                return Some(Heard { id, name, data: serde_json::from_str(value).unwrap() });
            }
        }
    }

    /// The next event of that name; others are passed over.
    fn wait_for(&mut self, name: &str) -> Heard {
        loop {
            let heard = self.next().unwrap_or_else(|| panic!("the stream ended before {name}"));
            if heard.name == name {
                return heard;
            }
        }
    }
}

fn members(value: &Value, names: &[&str]) {
    for name in names {
        assert!(value.get(name).is_some(), "{name} is missing: {value}");
    }
}

#[test]
fn health_and_status_have_every_field_of_both_older_tools() {
    let world = World::with("schedule: \"@yearly\"");
    world.write_local("a.md", "a");
    let server = Server::start(&world);
    let before = server.get("/status").json();
    assert_eq!((&before["status"], &before["last_sync"]), (&json!("ok"), &Value::Null));
    assert_eq!(before["targets"]["main"], "never_run");
    assert_eq!(before["metrics"]["success_rate"], Value::Null);

    // From a shell, beside the daemon.
    world.expect(0, &["run"]);
    eventually("the run is told", || server.get("/status").json()["metrics"]["runs"] == 1);
    let (health, status) = (server.get("/health"), server.get("/status").json());
    assert_eq!(health.status, 200);
    let health = health.json();
    assert_eq!((&health["status"], &status["status"]), (&json!("healthy"), &json!("ok")));
    assert_eq!(server.get("/health?words=ok").json()["status"], "ok");
    assert_eq!(server.get("/status?words=well").status, 400);
    for answer in [&health, &status] {
        members(answer, &["status", "last_sync", "next_sync", "sources", "targets", "metrics"]);
        members(answer, &["node", "messages_pending", "uptime", "timestamp"]);
        assert!(answer["last_sync"].is_string() && answer["next_sync"].is_string(), "{answer}");
        assert_eq!((&answer["sources"]["main"], &answer["targets"]["main"]), (&json!("ok"), &json!("ok")));
        assert_eq!(answer["metrics"]["success_rate"], 1.0);
        assert!(answer["metrics"]["avg_duration_seconds"].as_f64().unwrap() > 0.0, "{answer}");
        assert!(answer["metrics"]["p99_duration_seconds"].as_f64().unwrap() > 0.0, "{answer}");
        assert_eq!((&answer["messages_pending"], &answer["version"]), (&json!(0), &json!(1)));
        assert!(answer["uptime"].is_u64() && answer["timestamp"].as_str().unwrap().ends_with('Z'));
    }

    // A run that finds nothing to do leaves no record, and is counted all the same.
    world.expect(0, &["run"]);
    eventually("it is counted", || server.get("/status").json()["metrics"]["runs"] == 2);
    assert_eq!(world.json(0, &["history"])["runs"].as_array().unwrap().len(), 1);
    // One that fails is told, and everything is known to the next process.
    let remote = world.remote("");
    std::fs::rename(&remote, world.path("away")).unwrap();
    world.expect(4, &["run"]);
    eventually("it is halted", || server.get("/health").json()["status"] == "degraded");
    drop(server);
    let server = Server::start(&world);
    let again = server.get("/status").json();
    assert_eq!((&again["metrics"]["runs"], &again["metrics"]["halted"]), (&json!(3), &json!(1)), "{again}");
    assert_eq!(again["details"][0]["state"], "halted", "{again}");
    assert_eq!(world.json(0, &["status", "--fast"])["figures"]["runs"], 3);
}

/// Figures by their names and labels.
fn figures(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let figures = lines.map(|line| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    });
    figures.collect()
}

#[test]
fn figures_are_what_prometheus_reads() {
    let world = World::with("schedule: \"@yearly\"");
    world.write_local("a.md", "four");
    let server = Server::start(&world);
    world.expect(0, &["run"]);
    eventually("the run is told", || server.get("/status").json()["metrics"]["runs"] == 1);
    let answer = server.get("/metrics");
    assert!(answer.head.contains("text/plain; version=0.0.4"), "{}", answer.head);
    let all = figures(&answer.body);
    let main = |name: &str| all.get(&format!("syncline_{name}{{target=\"main\"}}")).copied();
    assert_eq!(all["syncline_runs_total{target=\"main\",result=\"succeeded\"}"], 1.0);
    assert_eq!(all["syncline_runs_total{target=\"main\",result=\"failed\"}"], 0.0);
    assert_eq!(all["syncline_run_duration_seconds_bucket{target=\"main\",le=\"+Inf\"}"], 1.0);
    assert_eq!(main("run_duration_seconds_count"), Some(1.0));
    assert!(main("run_duration_seconds_sum").unwrap() > 0.0);
    assert_eq!((main("steps_total"), main("transferred_bytes_total")), (Some(1.0), Some(4.0)));
    assert_eq!((main("target_pending_changes"), main("target_open_conflicts")), (Some(0.0), Some(0.0)));
    assert_eq!((main("conflicts_resolved_total"), main("target_reachable")), (Some(0.0), Some(1.0)));
    assert_eq!(
        (main("target_agreed_items"), all["syncline_source_available{source=\"main\"}"]),
        (Some(1.0), 1.0)
    );
    assert!(main("target_freshness_seconds").unwrap() >= 0.0);
    assert!(main("target_last_success_timestamp_seconds").unwrap() > 1e9);
    for name in ["process_resident_memory_bytes", "process_cpu_seconds_total", "process_start_time_seconds"] {
        assert!(all.contains_key(name), "{name}");
    }
    let buckets = all.iter().filter(|(name, _)| name.contains("_bucket{"));
    assert!(buckets.clone().count() == 15 && buckets.clone().all(|(_, &count)| count <= 1.0));

    let checker = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut checker) = checker else {
        println!("left out: promtool is not installed (Debian: prometheus)");
        return;
    };
    checker.stdin.take().unwrap().write_all(answer.body.as_bytes()).unwrap();
    let judged = checker.wait_with_output().unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&judged.stdout), String::from_utf8_lossy(&judged.stderr));
    assert!(judged.status.success() && said.trim().is_empty(), "{said}");
}

#[test]
fn events_tell_of_every_run_and_can_be_gone_on_with() {
    let world = World::with("schedule: \"@yearly\"");
    world.write_local("a.md", "a");
    let server = Server::start(&world);
    let mut listening = Listening::begin(&server, "", "");
    let opening = listening.next().unwrap();
    assert_eq!(opening.name, "listening");

    let report = server.post("/api/v1/runs", &json!({ "targets": ["main"] }));
    assert_eq!(report.status, 200, "{}", report.body);
    let phase = listening.wait_for("phase");
    assert_eq!((&phase.data["target"], &phase.data["phase"]), (&json!("main"), &json!("scanning")));
    let started = listening.wait_for("run_started");
    assert_eq!((&started.data["target"], &started.data["steps"]), (&json!("main"), &json!(1)));
    let ended = listening.wait_for("run_ended");
    assert_eq!((&ended.data["run"], &ended.data["success"]), (&started.data["run"], &json!(true)));
    assert_eq!((&ended.data["steps"], &ended.data["message"]), (&json!(1), &json!("1 created")));

    // Of another process, with a conflict that waits for a decision.
    world.write_local("a.md", "here\n");
    world.write_remote("a.md", "there\n");
    world.expect(5, &["run"]);
    let started = listening.wait_for("run_started");
    assert_eq!(started.data["cause"], "command line");
    let conflict = listening.wait_for("conflict_opened");
    assert_eq!(conflict.data["path"], "a.md");
    let run = listening.wait_for("run_ended");
    assert_eq!(run.data["run"], started.data["run"]);
    let id = conflict.data["conflict"].as_str().unwrap();
    world.expect(0, &["conflicts", "resolve", id, "--take", "local"]);
    assert_eq!(listening.wait_for("conflict_resolved").data["conflict"], conflict.data["conflict"]);
    world.expect(0, &["pause", "main", "--reason", "moving house"]);
    assert_eq!(listening.wait_for("target_paused").data["reason"], "moving house");
    world.expect(0, &["resume", "main"]);
    listening.wait_for("target_resumed");

    // Whoever comes back hears everything behind what was heard last, once.
    let mut again = Listening::begin(&server, "", &format!("Last-Event-ID: {}\r\n", ended.id));
    assert_eq!(again.wait_for("run_started").id, started.id);
    let text = std::fs::read_to_string(world.local("syncline.yaml")).unwrap();
    let other = "  other: { path: other, remote: { kind: folder, path: ../other } }\n";
    world.configure(&format!("{text}{other}"));
    let reloaded = listening.wait_for("configuration_reloaded");
    assert_eq!(reloaded.data["targets"], json!(["main", "other"]));
    eventually("it is in force", || server.get("/api/v1/targets").body.contains("\"other\""));
    let mut behind = Listening::begin(&server, &format!("?after={}&target=other", started.id), "");
    assert_eq!(behind.next().unwrap().id, reloaded.id, "what is of other targets is not heard");
    let mut stranger = Listening::begin(&server, "?after=0123456789abcdef-7", "");
    assert_eq!(stranger.next().unwrap().data["reason"], "another_process");

    server.serving.signal("-TERM");
    assert_eq!(listening.wait_for("daemon_draining").data["event"], "daemon_draining");
    while let Some(heard) = listening.next() {
        assert!(!heard.id.is_empty());
    }
}

/// Asks for a WebSocket; the connection, and the head of the answer.
fn upgrade(server: &Server, query: &str, origin: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(&server.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let host = &server.address;
    write!(
        stream,
        "GET /api/v1/events/ws{query} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{origin}\r\n"
    )
    .unwrap();
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    (stream, String::from_utf8(head).unwrap().to_lowercase())
}

/// A frame of a server: its kind and what it holds.
fn frame(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut head = [0; 2];
    stream.read_exact(&mut head).unwrap();
    let length = match head[1] {
        126 => {
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            usize::from(u16::from_be_bytes(length))
        }
        short => usize::from(short),
    };
    let mut data = vec![0; length];
    stream.read_exact(&mut data).unwrap();
    (head[0] & 0x0f, data)
}

#[test]
fn a_websocket_hears_the_same_and_pages_of_other_origins_get_none() {
    let world = World::with("schedule: \"@yearly\"");
    world.write_local("a.md", "a");
    let server = Server::start(&world);
    let (_, refused) = upgrade(&server, "", "Origin: http://example.org\r\n");
    assert!(refused.starts_with("http/1.1 403"), "{refused}");
    let (_, unknown) = upgrade(&server, "?target=nope", "");
    assert!(unknown.starts_with("http/1.1 404"), "{unknown}");
    let plain = server.get("/api/v1/events/ws");
    assert_eq!(plain.json()["code"], "no_websocket", "{}", plain.body);
    let (mut socket, head) = upgrade(&server, "", &format!("Origin: http://{}\r\n", server.address));
    assert!(head.starts_with("http/1.1 101") && head.contains("s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
    let mut next = || {
        let (kind, data) = frame(&mut socket);
        (kind, serde_json::from_slice::<Value>(&data).unwrap_or_default())
    };
    assert_eq!(next().1["event"], "listening");
    world.expect(0, &["run"]);
    loop {
        let (kind, event) = next();
        assert_eq!(kind, 1, "text");
        if event["event"] == "run_ended" {
            assert!(event["id"].is_string() && event["success"] == true, "{event}");
            break;
        }
    }
    server.serving.signal("-TERM");
    loop {
        let (kind, event) = next();
        if kind == 8 {
            break;
        }
        assert_eq!(event["event"], "daemon_draining");
    }
}

#[test]
fn a_thousand_listeners_hear_a_run_and_others_are_answered_meanwhile() {
    // Whoever holds a thousand connections needs more open files than most systems begin with.
    let own = std::process::id().to_string();
    let raised = Command::new("prlimit").args(["--pid", &own, "--nofile=4096:"]).status();
    assert!(raised.is_ok_and(|raised| raised.success()), "the limit of open files cannot be raised");
    let world = World::with("schedule: \"@yearly\"");
    world.write_local("a.md", "a");
    let server = Server::start(&world);
    let mut all: Vec<Listening> = (0..1_000).map(|_| Listening::begin(&server, "", "")).collect();
    // One more that never reads harms nobody.
    let mut deaf = TcpStream::connect(&server.address).unwrap();
    write!(deaf, "GET /api/v1/events HTTP/1.1\r\nHost: {}\r\n\r\n", server.address).unwrap();
    world.expect(0, &["run"]);
    assert_eq!(server.get("/livez").status, 200);
    let mut ids: Vec<String> = all.iter_mut().map(|listening| listening.wait_for("run_ended").id).collect();
    ids.dedup();
    assert_eq!(ids.len(), 1, "all hear the same event");
}

#[test]
fn a_target_that_there_is_not_is_not_listened_to() {
    let world = World::with("schedule: \"@yearly\"");
    let server = Server::start(&world);
    let elsewhere = server.get("/api/v1/runs?target=mian");
    for path in ["/api/v1/events?target=mian", "/api/v1/events?target=main&target=mian"] {
        let answer = server.get(path);
        assert_eq!((answer.status, &answer.body), (404, &elsewhere.body), "{path}");
    }
    assert_eq!(server.get("/api/v1/events?target=m*").status, 404, "a pattern is no name");
    Listening::begin(&server, "?target=main", "").wait_for("listening");
}
