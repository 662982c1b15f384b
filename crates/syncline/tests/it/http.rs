//! The HTTP face of `syncline serve`: the use cases, their description, problems, and who is refused.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::World;
use crate::watch_place::{Watched, eventually};

/// A server on a port of its own.
pub(crate) struct Server {
    pub(crate) serving: Watched,
    pub(crate) address: String,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

impl Server {
    pub(crate) fn start(world: &World) -> Self {
        let server = Self::listening(world, &["serve", "--listen", "127.0.0.1:0"]);
        eventually("it is ready", || server.get("/readyz").status == 200);
        server
    }

    /// Starts a command that listens, and waits until it does.
    pub(crate) fn listening(world: &World, arguments: &[&str]) -> Self {
        Self::of(Watched::launch(world, arguments))
    }

    /// Waits until a command listens.
    pub(crate) fn of(mut serving: Watched) -> Self {
        let mut address = None;
        eventually("it listens", || {
            let ended = serving.child.try_wait().unwrap();
            let said = serving.said();
            assert!(ended.is_none(), "{said}");
            let line = said.lines().find_map(|line| line.strip_prefix("listening on "));
            address =
                line.and_then(|url| Some(url.split_once("://")?.1.trim().replace("0.0.0.0", "127.0.0.1")));
            address.is_some() && said.contains("serving;")
        });
        Self { serving, address: address.unwrap() }
    }

    /// As [`Server::ask`], with a token.
    pub(crate) fn ask_as(&self, token: &str, method: &str, path: &str, body: &Value) -> Answer {
        let headers = format!("Authorization: Bearer {token}\r\nContent-Type: application/json\r\n");
        let body = if method == "GET" { String::new() } else { body.to_string() };
        self.ask(method, path, &headers, &body)
    }

    pub(crate) fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        asked_at(&self.address, method, path, headers, body).unwrap()
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "", "")
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask("POST", path, "Content-Type: application/json\r\n", &body.to_string())
    }
}

/// Every route that the description of a server names: its name, method and path.
pub(crate) fn documented(server: &Server, token: &str) -> Vec<(String, String, String)> {
    let who = if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
    let description = server.ask("GET", "/openapi.json", &who, "").json();
    let mut routes = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, described) in methods.as_object().unwrap() {
            let name = described["operationId"].as_str().unwrap().to_owned();
            routes.push((name, method.to_uppercase(), path.clone()));
        }
    }
    assert!(routes.len() > 40, "{routes:?}");
    routes
}

/// What a server at `address` answers.
pub(crate) fn asked_at(
    address: &str,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(120)))?;
    let host = if headers.contains("Host:") { String::new() } else { format!("Host: {address}\r\n") };
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\n{host}Connection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    );
    stream.write_all(request.as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Ok(Answer { status, head: head.to_lowercase(), body: body.to_owned() })
}

#[test]
fn every_use_case_can_be_asked_for_and_what_watches_over_it_too() {
    let world = World::with("schedule: \"@yearly\"");
    world.write_local("a.md", "a");
    let server = Server::start(&world);
    assert_eq!((server.get("/livez").status, server.get("/readyz").status), (200, 200));
    let document = server.get("/openapi.json").json();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["paths"]["/api/v1/runs"]["post"]["operationId"], "start_run");

    let status = server.get("/api/v1/status?targets=main&fast=true").json();
    assert_eq!((&status["version"], &status["targets"][0]["state"]), (&json!(1), &json!("never_run")));
    let report = server.post("/api/v1/runs", &json!({ "targets": ["main"] }));
    assert_eq!((report.status, &report.json()["successful"]), (200, &json!(1)), "{}", report.body);
    assert_eq!(world.agreed("a.md").as_deref(), Some("a"));
    assert!(report.head.contains("cache-control: no-store"), "{}", report.head);
    assert_eq!(server.get("/api/v1/runs?limit=1").json()["runs"].as_array().unwrap().len(), 1);
    let metrics = server.get("/metrics");
    assert!(
        metrics.body.contains("syncline_target_failures_in_a_row{target=\"main\"} 0\n"),
        "{}",
        metrics.body
    );
}

#[test]
fn what_is_wrong_is_a_problem_with_a_code() {
    let world = World::with("schedule: \"@yearly\"");
    let server = Server::start(&world);
    let wrong = server.post("/api/v1/runs", &json!({ "targets": ["mian"] }));
    assert!(wrong.head.contains("content-type: application/problem+json"), "{}", wrong.head);
    let problem = wrong.json();
    assert_eq!(
        (wrong.status, &problem["status"], &problem["code"]),
        (404, &json!(404), &json!("unknown_target"))
    );
    assert!(problem["hint"].as_str().unwrap().contains("main"), "{problem}");
    for (answer, status, code) in [
        (server.post("/api/v1/runs", &json!({ "tragets": [] })), 400, "bad_request"),
        (server.get("/api/v1/status?fast=maybe"), 400, "bad_request"),
        (server.get("/api/v1/nothing"), 404, "unknown_route"),
        (server.ask("DELETE", "/api/v1/runs", "", ""), 405, "wrong_method"),
        (server.ask("POST", "/api/v1/runs", "Content-Type: application/json\r\n", "{"), 400, "bad_request"),
    ] {
        assert_eq!((answer.status, &answer.json()["code"]), (status, &json!(code)), "{}", answer.body);
    }
}

#[test]
fn pages_of_other_origins_and_other_machines_are_refused() {
    let world = World::with("schedule: \"@yearly\"");
    world.write_local("a.md", "a");
    let server = Server::start(&world);
    let json_type = "Content-Type: application/json\r\n";
    for (headers, status, code) in [
        ("Host: example.org\r\n", 403, "foreign_host"),
        ("Origin: http://example.org\r\n", 403, "foreign_origin"),
        ("Sec-Fetch-Site: cross-site\r\n", 403, "foreign_origin"),
    ] {
        let answer = server.ask("POST", "/api/v1/runs", &format!("{json_type}{headers}"), "{}");
        assert_eq!((answer.status, &answer.json()["code"]), (status, &json!(code)), "{headers}");
    }
    // What a form of any page can send.
    let form = server.ask("POST", "/api/v1/runs", "Content-Type: text/plain\r\n", "{}");
    assert_eq!((form.status, &form.json()["code"]), (415, &json!("not_json")));
    assert_eq!(world.read_remote("a.md"), None, "nothing ran");
    let open = world.json(2, &["serve", "--listen", "0.0.0.0:0"]);
    assert_eq!(open["error"]["code"], "open_address", "{open}");
}
