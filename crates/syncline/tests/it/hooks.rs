//! Webhooks that come in: deliveries to the running program, over its port.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{Connection as _, SqliteConnection};
use syncline_connect::signature::{sign, to_hex};

use crate::support::World;
use crate::watch_place::{Watched, eventually};

/// Deliveries of a storm.
const STORM: usize = 10_000;
const SECRET: &str = "hunter2-hunter2-hunter2";
const HOOKS: &str = "webhooks:
  code: { kind: github, secret: \"${file:../secret}\", targets: [main] }
  chat: { kind: slack, secret: \"${file:../secret}\", event: deploy }
  pages: { kind: notion, event: deploy }
";
/// A check before each run that counts the runs, and has them wait while there is a file `gate`.
const COUNTED: &str = "triggers: { events: [deploy] }\nsafety:\n  pre_sync_checks:\n    - name: Counted\n      \
                       command: \"echo run >> ../runs; while test -e ../gate; do sleep 0.05; done\"\n";

struct Server {
    serving: Watched,
    address: String,
}

impl Server {
    fn start(world: &World) -> Self {
        let serving = Watched::launch(world, &["serve", "--listen", "127.0.0.1:0"]);
        let mut address = None;
        eventually("it listens", || {
            let said = serving.said();
            let line = said.lines().find_map(|line| line.split_once("listening on http://"));
            address = line.map(|(_, address)| address.trim().to_owned());
            address.is_some() && said.contains("serving;")
        });
        Self { serving, address: address.unwrap() }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        stream
    }

    /// Sends a delivery as a proxy hands it on, from elsewhere and for another host; the status and the body.
    fn deliver(&self, hook: &str, headers: &str, body: &str) -> (u16, String) {
        let mut stream = self.connect();
        let length = body.len();
        let request = format!(
            "POST /hooks/{hook} HTTP/1.1\r\nHost: sync.example.org\r\nConnection: close\r\n\
             Content-Length: {length}\r\n{headers}\r\n{body}"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// The head of the answer to a delivery that is not signed.
    fn head(&self, hook: &str, body: &str) -> String {
        let mut stream = self.connect();
        let length = body.len();
        let request = format!(
            "POST /hooks/{hook} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text.split("\r\n\r\n").next().unwrap().to_lowercase() + "\r\n"
    }

    fn push(&self, body: &str) -> (u16, Value) {
        let (status, body) = self.deliver("code", &signed(body), body);
        (status, serde_json::from_str(&body).unwrap())
    }
}

fn signed(body: &str) -> String {
    let signature = to_hex(&sign(SECRET.as_bytes(), &[body.as_bytes()]));
    format!("X-Hub-Signature-256: sha256={signature}\r\nX-GitHub-Event: push\r\n")
}

fn world() -> World {
    world_with(COUNTED)
}

fn world_with(target: &str) -> World {
    let world = World::with(target);
    let text = world.read_local("syncline.yaml").unwrap();
    world.configure(&format!("{text}{HOOKS}"));
    fs::write(world.path("secret"), SECRET).unwrap();
    world.write_local("a.md", "a");
    world
}

fn runs(world: &World) -> usize {
    fs::read_to_string(world.path("runs")).unwrap_or_default().lines().count()
}

/// How many targets are asked to run and have not run yet.
fn asked_for(world: &World) -> i64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let file = format!("sqlite:{}", world.local(".syncline/state.db").display());
        let mut connection = SqliteConnection::connect(&file).await.unwrap();
        sqlx::query_scalar("SELECT count(*) FROM requests").fetch_one(&mut connection).await.unwrap()
    })
}

#[test]
fn a_genuine_delivery_has_its_targets_run_once_also_after_a_restart() {
    let world = world();
    let server = Server::start(&world);
    let recorded = (200, json!({ "version": 1, "status": "recorded" }));
    assert_eq!(server.push("{\"after\":\"1\"}"), recorded);
    eventually("it runs", || world.read_remote("a.md").is_some());
    assert_eq!(world.json(0, &["history"])["runs"][0]["cause"], "webhook code");
    assert_eq!(server.push("{\"after\":\"1\"}").1["status"], "known");
    // Who is killed before it has noted that it is done does it once more, which harms nobody.
    eventually("it is done", || asked_for(&world) == 0);
    drop(server);

    let server = Server::start(&world);
    assert_eq!(server.push("{\"after\":\"1\"}").1["status"], "known", "it is remembered");
    world.write_local("b.md", "b");
    assert_eq!(server.push("{\"after\":\"2\"}").1["status"], "recorded");
    eventually("it runs again", || world.read_remote("b.md").is_some());
    assert_eq!(runs(&world), 2, "what was known had no effect");
}

#[test]
fn what_is_not_signed_as_it_must_be_is_refused_and_no_secret_is_told() {
    let world = world();
    let server = Server::start(&world);
    let body = "{\"after\":\"1\"}";
    let right = signed(body);
    for (what, hook, headers, sent, status) in [
        ("no signature", "code", "", body, 401),
        ("of another body", "code", right.as_str(), "{\"after\":\"2\"}", 401),
        ("written anew", "code", right.as_str(), "{ \"after\": \"1\" }", 401),
        ("twice", "code", &format!("{right}{right}"), body, 401),
        ("only of SHA-1", "code", "X-Hub-Signature: sha1=00\r\n", body, 401),
        ("in capitals", "code", &right.replace("sha256=", "SHA256="), body, 401),
        ("of another kind", "chat", right.as_str(), body, 401),
        ("for nobody", "nobody", right.as_str(), body, 404),
    ] {
        assert_eq!(server.deliver(hook, headers, sent).0, status, "{what}");
    }
    assert_eq!(runs(&world), 0);
    assert!(!server.serving.said().contains(SECRET) && !server.serving.said().contains(&right[30..60]));
    // Everything else is still for this machine alone.
    let mut stream = server.connect();
    stream
        .write_all(b"GET /api/v1/status HTTP/1.1\r\nHost: sync.example.org\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
}

#[test]
fn senders_that_ask_back_when_they_are_set_up_get_their_answer() {
    let world = world();
    let server = Server::start(&world);
    let now = jiff::Timestamp::now().as_second().to_string();
    let body = "{\"type\":\"url_verification\",\"challenge\":\"3eZbrw1aB\"}";
    let signature = to_hex(&sign(SECRET.as_bytes(), &[b"v0:", now.as_bytes(), b":", body.as_bytes()]));
    let headers = format!("X-Slack-Request-Timestamp: {now}\r\nX-Slack-Signature: v0={signature}\r\n");
    assert_eq!(server.deliver("chat", &headers, body), (200, "3eZbrw1aB".to_owned()));

    let (status, _) = server.deliver("pages", "", "{\"verification_token\":\"secret_tMrlL1qK5\"}");
    assert_eq!(status, 200);
    let token = fs::read_to_string(world.local(".syncline/webhooks/pages.token")).unwrap();
    assert_eq!(token, "secret_tMrlL1qK5\n");
    assert!(!server.serving.said().contains("secret_tMrlL1qK5"), "{}", server.serving.said());
    assert_eq!(server.deliver("pages", "", "{\"id\":\"1\"}").0, 401, "nothing is believed without a secret");
    assert_eq!(runs(&world), 0);
}

#[test]
fn a_body_without_an_end_is_refused_at_its_limit_before_anybody_reads_it() {
    let world = world();
    let server = Server::start(&world);
    let before = server.serving.most_memory();
    let mut stream = server.connect();
    let head = "POST /hooks/code HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000000\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");

    let mut stream = server.connect();
    let head = "POST /hooks/code HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let chunk = [b"10000\r\n".as_slice(), &[b'0'; 65_536], b"\r\n"].concat();
    // It is cut off long before this is all.
    let sent = (0..16_384).take_while(|_| stream.write_all(&chunk).is_ok()).count();
    assert!(sent < 8_192, "{sent} chunks of 64 KiB were taken");
    let grown = server.serving.most_memory().saturating_sub(before);
    assert!(grown < 40_000, "{grown} KiB");
    assert_eq!(server.push("{\"after\":\"1\"}").0, 200, "others are still heard");
}

#[test]
fn a_storm_of_deliveries_is_a_handful_of_runs() {
    let world = world();
    fs::write(world.path("gate"), "").unwrap();
    let server = Server::start(&world);
    server.push("{\"after\":\"0\"}");
    eventually("the first run begins", || runs(&world) == 1);
    let before = server.serving.most_memory();
    // In any order, and each twice.
    let storm = |worker: usize| {
        let mut stream = server.connect();
        for number in (0..STORM / 4).rev().flat_map(|number| [number, number]) {
            let body = format!("{{\"after\":\"{worker}-{number}\"}}");
            let request = format!(
                "POST /hooks/code HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n{}\r\n{body}",
                body.len(),
                signed(&body)
            );
            stream.write_all(request.as_bytes()).unwrap();
            let mut answer = Vec::new();
            while !answer.ends_with(b"}") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                answer.push(byte[0]);
            }
            assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..2).map(|worker| scope.spawn(move || storm(worker))).collect();
        workers.into_iter().for_each(|worker| worker.join().unwrap());
    });
    fs::remove_file(world.path("gate")).unwrap();
    eventually("one run for all of it", || runs(&world) == 2);
    let grown = server.serving.most_memory().saturating_sub(before);
    assert!(grown < 30_000, "{grown} KiB");
    world.json(0, &["run", "--stop"]);
    assert_eq!(runs(&world), 2);
}

#[test]
fn what_no_delivery_told_of_is_found_by_the_schedule() {
    let world = world_with("schedule: every 1s\ntriggers: { events: [deploy] }");
    let server = Server::start(&world);
    world.write_remote("a.md", "a");
    eventually("the schedule finds it", || world.read_local("a.md").is_some());
    drop(server);
}

#[test]
fn whoever_is_slow_or_unsigned_is_turned_away_and_an_honest_sender_is_not() {
    let world = world();
    let server = Server::start(&world);
    // Heads without an end, and bodies that were promised and do not come.
    let mut slow: Vec<TcpStream> = (0..60).map(|_| server.connect()).collect();
    for (number, stream) in slow.iter_mut().enumerate() {
        let head = "POST /hooks/code HTTP/1.1\r\nHost: x\r\n";
        let end = if number % 2 == 0 { "" } else { "Content-Length: 5000000\r\n\r\n{" };
        stream.write_all(format!("{head}{end}").as_bytes()).unwrap();
    }
    assert_eq!(server.push("{\"after\":\"1\"}").1["status"], "recorded");

    let (first, _) = server.deliver("code", "", "{}");
    let mut later = (0, String::new());
    for _ in 0..30 {
        later = server.deliver("code", "", "{}");
    }
    assert_eq!((first, later.0), (401, 429), "{}", later.1);
    assert_eq!(server.deliver("nobody", "", "{}").0, 429, "names are not to be found out either");
    assert!(server.head("code", "{}").contains("\r\nretry-after: "), "{}", server.head("code", "{}"));
    // It comes from the same address, as it does behind a proxy.
    assert_eq!(server.push("{\"after\":\"2\"}").1["status"], "recorded");
    let said = server.serving.said();
    let refused = said.matches("a delivery was refused").count();
    assert!(refused <= 20, "a flood of lines: {refused}");
    let line = said.lines().find(|line| line.contains("a delivery was refused")).unwrap();
    assert!(line.contains("the header with its signature is missing") && line.contains("code"), "{line}");

    for (number, stream) in slow.iter_mut().enumerate() {
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        let status = if number % 2 == 0 { "" } else { "HTTP/1.1 408" };
        assert!(answer.starts_with(status), "{number}: {answer}");
    }
}
