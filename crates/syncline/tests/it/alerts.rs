//! Alerts of `syncline serve`: told once, edited when it is over, never lost, and heard of from the shell.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::http::Server;
use crate::support::World;
use crate::tokens::token;
use crate::watch_place::{Watched, eventually};

/// A webhook of Discord that remembers what it was asked for; it refuses everything as long as it is out of order.
struct Discord {
    address: String,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
    broken: Arc<Mutex<bool>>,
}

impl Discord {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/api/webhooks/1/secret-token", listener.local_addr().unwrap());
        let (asked, broken) = (Arc::default(), Arc::default());
        let discord = Self { address, asked: Arc::clone(&asked), broken: Arc::clone(&broken) };
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut reader = BufReader::new(stream);
                let (mut line, mut length) = (String::new(), 0);
                let mut lines = Vec::new();
                while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                    let lower = line.to_ascii_lowercase();
                    length = lower
                        .strip_prefix("content-length:")
                        .map_or(length, |text| text.trim().parse().unwrap());
                    lines.push(std::mem::take(&mut line));
                }
                let mut body = vec![0; length];
                if reader.read_exact(&mut body).is_err() || lines.is_empty() {
                    continue;
                }
                let answer = if *broken.lock().unwrap() {
                    "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                } else {
                    let request = lines[0].trim().trim_end_matches(" HTTP/1.1").to_owned();
                    asked.lock().unwrap().push((request, serde_json::from_slice(&body).unwrap()));
                    "HTTP/1.1 200 OK\r\nContent-Length: 11\r\nConnection: close\r\n\r\n{\"id\":\"77\"}"
                };
                let _ = reader.get_mut().write_all(answer.as_bytes());
            }
        });
        discord
    }

    fn asked(&self) -> Vec<(String, String)> {
        let text = |body: &Value| body["content"].as_str().unwrap_or_default().to_owned();
        self.asked.lock().unwrap().iter().map(|(request, body)| (request.clone(), text(body))).collect()
    }
}

/// A workspace whose only job fails at first; whether the machine that runs the tests is full is none of its trouble.
fn configure(world: &World, discord: &Discord, rest: &str) {
    fs::write(world.path("hook"), &discord.address).unwrap();
    world.configure(&format!(
        "version: \"1.0\"\nnode: {{ name: here }}\nalerts:\n  gather: 1s\n  calm: 1s\n  disk_free_percent: 0\n  \
         memory_free_percent: 0\n  channels:\n    \
         team: {{ kind: discord, webhook: \"${{file:../hook}}\" }}\ntargets:\n  job:\n    direction: pull\n    \
         entrypoint: job.sh\n    outputs: [\"out/**\"]\n    schedule: every 1s\n{rest}"
    ));
    job(world, true);
}

fn job(world: &World, fails: bool) {
    let text = format!("#!/bin/sh\nmkdir -p out\necho made > out/a.txt\nexit {}\n", u8::from(fails));
    // Whole or not at all: a script that is half written would fail on its own.
    fs::write(world.path("job.new"), text).unwrap();
    fs::set_permissions(world.path("job.new"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(world.path("job.new"), world.local("job.sh")).unwrap();
}

fn serve(world: &World) -> Watched {
    let serving = Watched::launch(world, &["serve"]);
    eventually("it serves", || serving.said().contains("serving"));
    serving
}

pub(crate) fn rules(world: &World) -> Vec<String> {
    let alerts = world.json(0, &["alerts"]);
    let rules = alerts["alerts"].as_array().unwrap().iter();
    rules.map(|alert| alert["rule"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_fails_is_told_once_and_its_message_is_edited_when_it_is_over() {
    let world = World::new();
    let discord = Discord::start();
    configure(&world, &discord, "");
    let serving = serve(&world);
    eventually("it is told", || !discord.asked().is_empty());
    let listed = world.json(0, &["alerts"]);
    assert!(world.expect(0, &["-q", "alerts"]).out.contains("runs in a row failed"));
    let alert = &listed["alerts"][0];
    assert_eq!((&alert["rule"], &alert["subject"]), (&json!("failing"), &json!("job")), "{listed}");
    let id = alert["id"].to_string();
    world.expect(0, &["alerts", "ack", &id, "--note", "on it"]);
    assert_eq!(world.json(0, &["alerts"])["alerts"][0]["note"], "on it");
    job(&world, false);
    eventually("its end is told", || discord.asked().len() >= 2);
    let asked = discord.asked();
    let requests: Vec<&str> = asked.iter().map(|(request, _)| request.as_str()).collect();
    let webhook = "/api/webhooks/1/secret-token";
    assert_eq!(requests, [format!("POST {webhook}?wait=true"), format!("PATCH {webhook}/messages/77")]);
    assert!(asked[0].1.contains("job: ") && asked[0].1.contains("runs in a row failed"), "{asked:?}");
    assert!(asked[1].1.contains(": over"), "{asked:?}");
    assert!(rules(&world).is_empty());
    assert_eq!(world.expect(0, &["-q", "alerts"]).out, "");
    assert!(!serving.said().contains("secret-token"), "{}", serving.said());
}

#[test]
fn what_could_not_be_sent_before_a_kill_is_sent_after_it_and_the_kill_is_told() {
    let world = World::new();
    let discord = Discord::start();
    *discord.broken.lock().unwrap() = true;
    configure(&world, &discord, "");
    let mut serving = serve(&world);
    eventually("it waits to be sent", || world.json(0, &["alerts"])["waiting"][0]["tries"] == 1);
    let waiting = world.json(0, &["alerts"]).to_string();
    assert!(waiting.contains("discord answered 500") && !waiting.contains("secret-token"), "{waiting}");
    serving.child.kill().unwrap();
    serving.ended();
    *discord.broken.lock().unwrap() = false;
    let mut serving = serve(&world);
    eventually("both are told", || {
        let told: String = discord.asked().into_iter().map(|(_, text)| text).collect();
        told.contains("runs in a row failed") && told.contains("was ended without having said so")
    });
    // One that ends as it should is nothing to be told of.
    serving.signal("-TERM");
    assert!(serving.ended().success());
}

#[test]
fn a_test_message_arrives_or_says_why_not_without_its_address() {
    let world = World::new();
    let discord = Discord::start();
    configure(&world, &discord, "");
    let ran = world.expect(0, &["alerts", "test"]);
    assert_eq!(ran.err, "", "nothing to warn of, and the audit log is begun");
    assert!(discord.asked()[0].1.contains("nothing is wrong"));
    *discord.broken.lock().unwrap() = true;
    let quiet = world.expect(1, &["-q", "alerts", "test"]);
    assert!(quiet.out.contains("discord answered 500"), "what is wrong is told also then: {quiet:?}");
    let failed = world.expect(1, &["alerts", "test", "team"]);
    assert!(
        failed.out.contains("discord answered 500") && !failed.out.contains("secret-token"),
        "{}",
        failed.out
    );
}

#[test]
fn two_nodes_hear_each_other_and_what_is_forged_is_counted() {
    let (here, there) = (World::new(), World::new());
    // No target runs by itself: to be heard and to listen is reason enough to go on. Ports that were free a moment ago.
    let free = || UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (first, second) = (free(), free());
    for (world, own, other, listen, address) in
        [(&here, "here", "there", first, second), (&there, "there", "here", second, first)]
    {
        fs::write(world.path("key"), "a secret of both").unwrap();
        world.configure(&format!(
            "version: \"1.0\"\nnode: {{ name: {own} }}\npeers:\n  listen: \"{listen}\"\n  every: 20s\n  key: \
             \"${{file:../key}}\"\n  nodes: {{ {other}: {{ address: \"{address}\" }} }}\ntargets:\n  main: {{ \
             remote: {{ kind: folder, path: ../remote }} }}\n"
        ));
    }
    let (server, mut away) = (Server::listening(&here, &["serve", "--listen", "127.0.0.1:0"]), serve(&there));
    eventually("they hear each other", || {
        [&here, &there].into_iter().all(|world| {
            let listed = world.json(0, &["peers"]);
            let state = listed["peers"][0]["state"].as_str().unwrap().to_owned();
            ["alive", "suspected"].contains(&state.as_str()) && listed["peers"][0]["heard"].is_string()
        })
    });
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(b"SYNH", first).unwrap();
    socket.send_to(&[b'x'; 1400], first).unwrap();
    eventually("what is none is counted", || {
        let dropped = here.json(0, &["peers"])["dropped"].clone();
        dropped["malformed"] == 1 && dropped["too_long"] == 1
    });
    socket.set_nonblocking(true).unwrap();
    let answered = socket.recv(&mut [0; 64]).unwrap_err().kind();
    assert_eq!(
        answered,
        std::io::ErrorKind::WouldBlock,
        "nothing is ever answered, so nothing can be reflected"
    );
    away.signal("-TERM");
    assert!(away.ended().success());
    eventually("it has said goodbye, and both say so", || {
        let listed = here.json(0, &["peers"])["peers"][0]["state"].clone();
        listed == "left" && server.get("/health").json()["peers"]["there"] == listed
    });
}

#[test]
fn a_token_that_is_limited_to_targets_hears_of_these_alone() {
    let world = World::new();
    let discord = Discord::start();
    let other =
        "  sealed7: { direction: pull, entrypoint: job.sh, outputs: [\"other/**\"], schedule: every 1s }\n";
    configure(&world, &discord, other);
    *discord.broken.lock().unwrap() = true;
    let scopes = ["--scope", "read", "--scope", "resolve"];
    let limited = token(&world, "limited", &[&scopes[..], &["--target", "job"]].concat());
    let whole = token(&world, "whole", &scopes);
    let server = Server::listening(&world, &["serve", "--listen", "127.0.0.1:0"]);
    let asked = |token: &str, path: &str| server.ask_as(token, "GET", path, &Value::Null);
    let subjects = |token: &str| {
        let alerts = asked(token, "/api/v1/alerts").json()["alerts"].clone();
        let mut names: Vec<String> = alerts
            .as_array()
            .unwrap()
            .iter()
            .map(|alert| alert["subject"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    };
    eventually("both fail", || subjects(&whole) == ["job", "sealed7"]);
    assert_eq!(subjects(&limited), ["job"]);
    eventually("it waits to be sent", || asked(&whole, "/api/v1/alerts").body.contains("sealed7: "));
    assert!(!asked(&limited, "/api/v1/alerts").body.contains("sealed7"));
    let alerts = asked(&whole, "/api/v1/alerts").json();
    for alert in alerts["alerts"].as_array().unwrap() {
        let body = json!({ "id": alert["id"] });
        let answer = server.ask_as(&limited, "POST", "/api/v1/alerts/acknowledgements", &body);
        let expected = if alert["subject"] == "job" { 200 } else { 404 };
        assert_eq!(answer.status, expected, "{}", answer.body);
    }
    assert_eq!((asked(&limited, "/api/v1/peers").status, asked(&whole, "/api/v1/peers").status), (403, 200));
    let audit = world.json(0, &["audit"]).to_string();
    assert!(audit.contains("acknowledge_alert") && audit.contains("limited"), "{audit}");
}

#[test]
fn doctor_tells_of_those_who_could_not_be_told() {
    let world = World::new();
    let text = fs::read_to_string(world.local("syncline.yaml")).unwrap();
    let channels = "alerts:\n  channels:\n    team: { kind: discord, webhook: \"${file:../team.url}\" }\n    \
                    office: { kind: email, server: mail.example.com, from: nobody, to: [ops@example.com] }\n";
    let notify = "notify: { webhooks: { desk: { url: \"https://desk.example.com/\", secret: \"${file:../desk.key}\" } } }\n";
    fs::write(world.local("syncline.yaml"), format!("{text}{channels}{notify}")).unwrap();
    let checks = |code: i32| {
        let checks = world.json(code, &["doctor"])["checks"].clone();
        let check = |name: &str| {
            let all = checks.as_array().unwrap();
            let check =
                all.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("{name}: {checks}"));
            (check["status"].as_str().unwrap().to_owned(), check["message"].as_str().unwrap().to_owned())
        };
        ["alerts, team", "alerts, office", "notify, desk"].map(check)
    };
    let found = checks(1);
    for (check, why) in found.iter().zip(["team.url", "`from`", "desk.key"]) {
        assert!(check.0 == "fail" && check.1.contains(why), "{found:?}");
    }
    fs::write(world.path("team.url"), "https://discord.example.com/api/webhooks/1/x").unwrap();
    fs::write(world.path("desk.key"), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLjSw").unwrap();
    let found = checks(1);
    assert_eq!(found.map(|(status, _)| status), ["ok", "fail", "ok"]);
}

/// A workspace with one target that runs every second, and whose remote is told of when it was tried twice in vain.
fn configure_remote(world: &World, remote: &str) {
    world.configure(&format!(
        "version: \"1.0\"\nnode: {{ name: here }}\nalerts: {{ gather: 1s, calm: 1s, failures: 2, disk_free_percent: 0, \
         memory_free_percent: 0 }}\ntargets:\n  main:\n    direction: pull\n    schedule: every 1s\n    remote: {remote}\n"
    ));
}

/// What is told of a remote that is away, on every face, and that nothing else is.
fn is_away(world: &World, server: &Server, reason: &str) {
    eventually("it is told", || !rules(world).is_empty());
    // Whatever else would be told of it is found by looks at the same and at later runs.
    let tries = || {
        let health = server.get("/health").json();
        health["details"][0]["offline"]["tries"].as_u64().unwrap_or(0)
    };
    let before = tries();
    eventually("it was tried again", || tries() > before);
    let listed = world.json(0, &["alerts"]);
    assert_eq!(rules(world), ["unreachable"], "{listed}");
    assert!(listed["alerts"][0]["message"].as_str().unwrap().contains(reason), "{listed}");
    let health = server.get("/health").json();
    assert_eq!(
        (&health["sources"]["main"], &health["targets"]["main"]),
        (&json!("unreachable"), &json!("offline"))
    );
    let metrics = server.get("/metrics").body;
    for line in [
        "syncline_target_offline{target=\"main\"} 1",
        "syncline_target_reachable{target=\"main\"} 0",
        "syncline_source_available{source=\"main\"} 0",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

#[test]
fn a_host_that_refuses_connections_is_unreachable_for_a_scheduled_target() {
    let world = World::new();
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    configure_remote(&world, &format!("{{ kind: git, url: \"https://127.0.0.1:{port}/x.git\" }}"));
    let server = Server::start(&world);
    is_away(&world, &server, "cannot be reached");
}

#[test]
fn a_remote_folder_that_is_gone_is_unreachable_until_it_is_back_and_waits_for_no_approval() {
    let world = World::new();
    configure_remote(&world, "{ kind: folder, path: ../remote }");
    world.write_remote("a.md", "a");
    world.expect(0, &["run"]);
    let server = Server::start(&world);
    fs::rename(world.path("remote"), world.path("unmounted")).unwrap();
    is_away(&world, &server, "the remote root is gone");
    fs::rename(world.path("unmounted"), world.path("remote")).unwrap();
    eventually("it is over", || rules(&world).is_empty());
    assert_eq!(server.get("/health").json()["sources"]["main"], "ok");
}
