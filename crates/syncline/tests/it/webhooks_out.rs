//! Webhooks that go out: what happens anywhere is told, signed, and again until it has arrived.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufReader, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use syncline_connect::standard_webhooks::Key;

use crate::support::World;
use crate::watch_place::{Watched, eventually};

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OLD_KEY: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// A request, as it came in.
#[derive(Clone)]
struct Asked {
    path: String,
    head: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Asked {
    fn id(&self) -> &str {
        &self.head["webhook-id"]
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Whether it is signed with a key, as of now.
    fn is_signed_with(&self, key: &str) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let (time, signature) = (&self.head["webhook-timestamp"], &self.head["webhook-signature"]);
        Key::parse(key).unwrap().verify(self.id(), time, signature, &self.body, now.try_into().unwrap())
    }
}

/// A program that is told what happens. It answers as it was told last, and with `None` never.
struct Receiver {
    address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    answer: Arc<Mutex<Option<&'static str>>>,
}

impl Receiver {
    fn start(answer: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/hooks/secret-path", listener.local_addr().unwrap());
        let (asked, answer) = (Arc::<Mutex<Vec<Asked>>>::default(), Arc::new(Mutex::new(answer)));
        let (remembered, answers) = (Arc::clone(&asked), Arc::clone(&answer));
        std::thread::spawn(move || {
            let mut kept = Vec::new();
            for stream in listener.incoming().map_while(Result::ok) {
                let mut reader = BufReader::new(stream);
                let Some(request) = read(&mut reader) else { continue };
                remembered.lock().unwrap().push(request);
                match *answers.lock().unwrap() {
                    None => kept.push(reader),
                    Some(answer) => {
                        let text =
                            format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                        let _ = reader.get_mut().write_all(text.as_bytes());
                    }
                }
            }
        });
        Self { address, asked, answer }
    }

    fn answers(&self, answer: &'static str) {
        *self.answer.lock().unwrap() = Some(answer);
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn read(reader: &mut impl std::io::BufRead) -> Option<Asked> {
    let mut lines = Vec::new();
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
        lines.push(std::mem::take(&mut line));
    }
    let path = lines.first()?.split(' ').nth(1)?.to_owned();
    let fields = lines[1..].iter().filter_map(|line| line.split_once(':'));
    let head: BTreeMap<String, String> =
        fields.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
    let mut body = vec![0; head.get("content-length")?.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    Some(Asked { path, head, body })
}

/// A workspace of the target `main`, whose conflicts wait for people, and of webhooks: their names, their receivers, and
/// what else is said of them.
fn world(webhooks: &[(&str, &Receiver, &str)]) -> World {
    let world = World::new();
    fs::write(world.path("key"), KEY).unwrap();
    fs::write(world.path("old-key"), OLD_KEY).unwrap();
    let mut text = "version: \"1.0\"\nnode: { name: here }\ntargets:\n  main: { remote: { kind: folder, path: ../remote }, \
                    schedule: \"@yearly\", conflicts: [{ match: \"**\", policy: manual }] }\nnotify:\n  webhooks:\n"
        .to_owned();
    for (name, receiver, more) in webhooks {
        fs::write(world.path(&format!("{name}-url")), &receiver.address).unwrap();
        text.push_str(&format!(
            "    {name}: {{ url: \"${{file:../{name}-url}}\", secret: \"${{file:../key}}\", allow_private: true{more} }}\n"
        ));
    }
    world.configure(&text);
    world
}

fn serve(world: &World) -> Watched {
    let serving = Watched::launch(world, &["serve"]);
    eventually("it serves", || serving.said().contains("serving"));
    serving
}

/// The messages of the log, the newest first.
fn log(world: &World) -> Vec<Value> {
    world.json(0, &["webhooks", "log", "-n", "1000"])["deliveries"].as_array().unwrap().clone()
}

fn states(world: &World) -> BTreeSet<String> {
    log(world).iter().map(|delivery| delivery["state"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_happened_while_nobody_served_is_told_signed_and_again_under_the_same_identifier_until_it_arrives() {
    let receiver = Receiver::start(Some("500 Oops"));
    let world = world(&[("team", &receiver, ", previous_secret: \"${file:../old-key}\"")]);
    world.write_local("a.md", "a");
    world.expect(0, &["run"]);
    assert!(receiver.asked().is_empty(), "only the process that serves sends");
    let mut serving = serve(&world);
    let tries = || log(&world).first().map_or(0, |one| one["attempts"].as_array().unwrap().len());
    eventually("the first try is recorded", || tries() == 1);
    let waiting = log(&world)[0].clone();
    assert_eq!((&waiting["state"], &waiting["attempts"][0]["status"]), (&"waiting".into(), &500.into()));
    assert!(waiting["retry"].is_string(), "{waiting}");
    receiver.answers("204 Fine");
    serving.child.kill().unwrap();
    serving.ended();
    let serving = serve(&world);
    eventually("it arrived", || log(&world)[0]["state"] == "delivered");
    let asked = receiver.asked();
    assert_eq!(asked.len(), 2);
    assert_eq!((asked[0].id(), &asked[0].body), (asked[1].id(), &asked[1].body));
    assert_eq!(waiting["id"], asked[1].id());
    for request in &asked {
        assert!(request.is_signed_with(KEY) && request.is_signed_with(OLD_KEY), "{:?}", request.head);
        assert_eq!(request.path, "/hooks/secret-path");
        assert_eq!(request.head["content-type"], "application/json");
    }
    let told = asked[1].json();
    assert_eq!(told["type"], "run.succeeded");
    let data = &told["data"];
    assert_eq!((&data["node"], &data["target"], &data["steps"]), (&"here".into(), &"main".into(), &1.into()));
    let run = world.json(0, &["history"])["runs"][0].clone();
    assert_eq!((&data["run"], &data["version"]), (&run["run"], &1.into()));
    // What a program elsewhere was told it is told again only when somebody wants it.
    let id = waiting["id"].as_str().unwrap();
    let replayed = world.json(0, &["webhooks", "replay", id]);
    assert_eq!((&replayed["deliveries"][0], &replayed["handed_over"]), (&id.into(), &true.into()));
    eventually("it is sent again", || receiver.asked().len() == 3);
    assert_eq!((receiver.asked()[2].id(), &receiver.asked()[2].body), (id, &asked[0].body));
    let audit = world.json(0, &["audit"])["records"][0].clone();
    assert_eq!((&audit["operation"], &audit["targets"][0]), (&"replay_deliveries".into(), &"main".into()));
    let shown = format!("{}{}{audit}", serving.said(), world.expect(0, &["webhooks", "log"]).out);
    assert!(!shown.contains("secret-path") && !shown.contains(&KEY[6..]), "{shown}");
}

#[test]
fn conflicts_and_pauses_are_told_to_those_who_want_to_know() {
    let (everything, conflicts) = (Receiver::start(Some("200 OK")), Receiver::start(Some("200 OK")));
    let world = world(&[("all", &everything, ""), ("some", &conflicts, ", events: [\"conflict.*\"]")]);
    world.write_local("a.md", "a");
    world.expect(0, &["run"]);
    world.write_local("a.md", "here");
    world.write_remote("a.md", "there");
    for _ in 0..4 {
        world.expect(5, &["run"]);
    }
    let conflict = world.conflict();
    world.expect(0, &["conflicts", "resolve", &conflict, "--take", "local"]);
    world.expect(0, &["pause", "main", "--reason", "holidays"]);
    let _serving = serve(&world);
    // And while somebody serves, in another process.
    world.expect(0, &["resume", "main"]);
    let types = |receiver: &Receiver| -> BTreeSet<String> {
        receiver.asked().iter().map(|asked| asked.json()["type"].as_str().unwrap().to_owned()).collect()
    };
    let expected = ["conflict.opened", "conflict.resolved"];
    eventually("both are told", || types(&conflicts).len() == 2);
    assert_eq!(types(&conflicts), expected.map(str::to_owned).into());
    eventually("all is told", || {
        let told = types(&everything);
        ["conflict.opened", "conflict.resolved", "run.succeeded", "target.paused", "target.resumed"]
            .into_iter()
            .all(|event| told.contains(event))
    });
    eventually("all of it arrived", || states(&world) == BTreeSet::from(["delivered".to_owned()]));
    let opened: Vec<Asked> =
        conflicts.asked().into_iter().filter(|asked| asked.json()["type"] == "conflict.opened").collect();
    assert_eq!(opened.len(), 1, "once");
    let data = opened[0].json()["data"].clone();
    assert_eq!((&data["conflict"], &data["path"]), (&conflict.as_str().into(), &"a.md".into()));
    let resolved = conflicts.asked().into_iter().find(|asked| asked.json()["type"] == "conflict.resolved");
    assert_eq!(resolved.unwrap().json()["data"]["resolution"], "took local");
    // That it still waits is told once, however often that is found.
    let waits = |asked: &&Asked| asked.json()["data"]["message"] == "1 open conflict";
    assert_eq!(everything.asked().iter().filter(waits).count(), 1);
    let all = world.json(0, &["webhooks", "log", "all", "-n", "2"]);
    let next = all["next"].as_str().unwrap();
    let more = world.json(0, &["webhooks", "log", "all", "-n", "2", "--before", next]);
    assert_ne!(all["deliveries"][1]["id"], more["deliveries"][0]["id"]);
    assert!(world.expect(1, &["webhooks", "log", "--before", "msg_none"]).err.contains("no message"));
    assert!(world.expect(1, &["webhooks", "log", "nope"]).err.contains("names no webhook \"nope\""));
}

#[test]
fn a_receiver_that_never_answers_holds_up_no_other_and_a_kill_meanwhile_loses_nothing() {
    let (slow, quick) = (Receiver::start(None), Receiver::start(Some("200 OK")));
    let world = world(&[("slow", &slow, ", timeout: 60s"), ("quick", &quick, "")]);
    world.write_local("a.md", "a");
    let mut serving = serve(&world);
    world.expect(0, &["run"]);
    eventually("it is on its way", || slow.asked().len() == 1);
    world.write_local("b.md", "b");
    world.expect(0, &["run"]);
    eventually("the others are told", || quick.asked().len() == 2);
    let quick_ones = || world.json(0, &["webhooks"])["webhooks"][0].clone();
    eventually("that is recorded", || quick_ones()["delivered"] == 2);
    assert_eq!(slow.asked().len(), 1, "it is still waited for");
    serving.child.kill().unwrap();
    serving.ended();
    slow.answers("200 OK");
    let mut serving = serve(&world);
    eventually("nothing was lost", || states(&world) == BTreeSet::from(["delivered".to_owned()]));
    let asked = slow.asked();
    let ids: BTreeSet<&str> = asked.iter().map(Asked::id).collect();
    assert_eq!((asked.len(), ids.len()), (3, 2), "what was on its way came twice, under one identifier");
    assert_eq!(quick.asked().len(), 2, "what had arrived comes no second time");
    serving.signal("-TERM");
    assert!(serving.ended().success());
}

#[test]
fn a_receiver_that_wants_nothing_more_is_left_alone_until_a_test_arrives() {
    let (receiver, other) = (Receiver::start(Some("410 Gone")), Receiver::start(Some("200 OK")));
    let world = world(&[("other", &other, ""), ("team", &receiver, "")]);
    let serving = serve(&world);
    world.write_local("a.md", "a");
    world.expect(0, &["run"]);
    let team = || world.json(0, &["webhooks"])["webhooks"][1].clone();
    eventually("it is left alone", || team()["gone"].is_string());
    assert!(serving.said().contains("410") && !serving.said().contains("secret-path"), "{}", serving.said());
    world.write_local("b.md", "b");
    world.expect(0, &["run"]);
    eventually("others are told", || other.asked().len() == 2);
    receiver.answers("307 Elsewhere\r\nLocation: /elsewhere");
    let failed = world.expect(1, &["webhooks", "test", "team"]);
    assert!(failed.out.contains("it answered 307"), "{}", failed.out);
    assert!(world.expect(1, &["-q", "webhooks", "test", "team"]).out.contains("it answered 307"));
    assert!(team()["gone"].is_string());
    // What is to be sent again waits as well, and whoever asked for it hears so.
    let refused =
        log(&world).into_iter().find(|one| one["webhook"] == "team" && one["event"] == "run.succeeded");
    let id = refused.unwrap()["id"].as_str().unwrap().to_owned();
    let waits = world.expect(0, &["webhooks", "replay", &id]).out;
    assert!(waits.contains("only when `syncline webhooks test team` has arrived"), "{waits}");
    assert!(!waits.contains("will be sent again now"), "{waits}");
    let gone = world.json(0, &["webhooks", "replay", &id])["gone"].clone();
    assert_eq!((&gone[0]["webhook"], &gone[0]["deliveries"]), (&"team".into(), &1.into()));
    receiver.answers("200 OK");
    assert!(world.expect(0, &["webhooks", "test", "team"]).out.contains("team: arrived"));
    assert_eq!(team()["gone"], Value::Null);
    world.write_local("c.md", "c");
    world.expect(0, &["run"]);
    // The test, what was to be sent again, and the run.
    eventually("it is told again", || team()["delivered"] == 3);
    let replayed = world.json(0, &["webhooks", "replay", "--failed-since", "1h", "--webhook", "team"]);
    // The tests that were refused.
    assert_eq!(replayed["deliveries"].as_array().unwrap().len(), 2, "{replayed}");
    eventually("all of it arrived", || states(&world) == BTreeSet::from(["delivered".to_owned()]));
    let asked = receiver.asked();
    assert!(asked.iter().all(|asked| asked.path == "/hooks/secret-path"), "no redirect is followed");
    let runs = asked.iter().filter(|asked| asked.json()["type"] == "run.succeeded");
    let runs: Vec<String> = runs.map(|asked| asked.json()["data"]["run"].to_string()).collect();
    assert_eq!((runs.len(), runs.iter().collect::<BTreeSet<_>>().len()), (3, 2), "{runs:?}");
}

#[test]
fn nothing_goes_to_this_machine_unless_it_is_meant_to() {
    let receiver = Receiver::start(Some("200 OK"));
    let world = world(&[("team", &receiver, "")]);
    let private = fs::read_to_string(world.local("syncline.yaml")).unwrap();
    let port = receiver.address.split(['/', ':']).nth(4).unwrap();
    world.configure(&private.replace(", allow_private: true", ""));
    for host in ["127.0.0.1", "2130706433", "0177.1", "[::ffff:127.0.0.1]", "localhost"] {
        fs::write(world.path("team-url"), format!("https://{host}:{port}/hooks/secret-path")).unwrap();
        let refused = world.json(1, &["webhooks", "test"])["webhooks"][0]["error"].to_string();
        assert!(refused.contains("its address is not public (this machine)"), "{host}: {refused}");
        assert!(!refused.contains("secret-path"), "{refused}");
    }
    fs::write(world.path("team-url"), &receiver.address).unwrap();
    let plain = world.expect(1, &["webhooks", "test"]);
    assert!(plain.out.contains("only https") && !plain.out.contains("secret-path"), "{}", plain.out);
    assert!(receiver.asked().is_empty());
    fs::write(world.path("key"), "whsec_short").unwrap();
    assert!(world.expect(1, &["webhooks", "test"]).out.contains("its `secret` is no key"));
    fs::remove_file(world.path("team-url")).unwrap();
    assert!(world.expect(1, &["webhooks", "test"]).out.contains("does not exist"));
}
