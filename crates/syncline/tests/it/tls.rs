//! `serve` over TLS: certificates of the file, and those that take their place.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::http::Server;
use crate::support::World;
use crate::watch_place::eventually;

/// Makes a certificate that vouches for itself.
fn certify(folder: &Path, name: &str) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
        .args(["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-keyout", &format!("{name}.key"), "-out", &format!("{name}.pem")])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// Asks for `/livez` with a certificate that is trusted; what the server answered.
fn asked(server: &Server, trusted: &Path) -> String {
    let mut client = Command::new("openssl")
        .args(["s_client", "-quiet", "-verify_return_error", "-verify_ip", "127.0.0.1", "-connect"])
        .arg(&server.address)
        .arg("-CAfile")
        .arg(trusted)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let request = format!("GET /livez HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", server.address);
    // A client that does not trust the server has gone by then.
    let _ = client.stdin.as_mut().unwrap().write_all(request.as_bytes());
    String::from_utf8_lossy(&client.wait_with_output().unwrap().stdout).into_owned()
}

#[test]
fn what_is_said_is_encrypted_and_another_certificate_takes_over() {
    let world = World::with("schedule: \"@yearly\"");
    let folder = world.path("certificates");
    fs::create_dir(&folder).unwrap();
    certify(&folder, "one");
    certify(&folder, "two");
    let place = |from: &str| {
        for kind in ["key", "pem"] {
            fs::copy(folder.join(format!("{from}.{kind}")), folder.join(format!("used.{kind}"))).unwrap();
        }
    };
    place("one");
    let text = fs::read_to_string(world.local("syncline.yaml")).unwrap();
    let tls = "tls: { cert: ../certificates/used.pem, key: ../certificates/used.key }";
    world.configure(&format!("{text}serve: {{ listen: \"127.0.0.1:0\", {tls} }}\n"));
    let server = Server::listening(&world, &["serve"]);
    assert!(server.serving.said().contains("listening on https://127.0.0.1:"), "{}", server.serving.said());
    let (one, two) = (folder.join("one.pem"), folder.join("two.pem"));
    assert!(asked(&server, &one).starts_with("HTTP/1.1 200"));
    assert_eq!(asked(&server, &two), "", "nobody trusts a certificate that is not there");

    // While only half of it is there, the old one stays in force.
    fs::write(folder.join("used.key"), "nonsense").unwrap();
    assert!(asked(&server, &one).starts_with("HTTP/1.1 200"));
    assert!(!server.serving.said().contains("nonsense"));
    place("two");
    eventually("the other one is in force", || asked(&server, &two).starts_with("HTTP/1.1 200"));
    assert_eq!(asked(&server, &one), "");
}

#[test]
fn a_certificate_that_cannot_be_used_is_told_before_anything_runs() {
    let world = World::with("schedule: every 1s");
    let text = fs::read_to_string(world.local("syncline.yaml")).unwrap();
    world.configure(&format!("{text}serve: {{ tls: {{ cert: none.pem, key: none.key }} }}\n"));
    let refused = world.json(2, &["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(refused["error"]["code"], "bad_certificate", "{refused}");
    assert!(refused["error"]["message"].as_str().unwrap().contains("none.pem"), "{refused}");
}

#[test]
fn doctor_finds_what_serve_would_refuse() {
    let world = World::with("schedule: \"@yearly\"");
    let folder = world.path("certificates");
    fs::create_dir(&folder).unwrap();
    certify(&folder, "one");
    certify(&folder, "two");
    fs::write(folder.join("text.pem"), "nonsense").unwrap();
    let text = fs::read_to_string(world.local("syncline.yaml")).unwrap();
    let with_tls = |cert: &str, key: &str| {
        let tls = format!("tls: {{ cert: ../certificates/{cert}, key: ../certificates/{key} }}");
        world.configure(&format!("{text}serve: {{ listen: \"127.0.0.1:0\", {tls} }}\n"));
    };
    let refused = |code: &str| {
        let problem = world.json(2, &["serve"])["error"].clone();
        assert_eq!(problem["code"], code, "{problem}");
        let checks = world.json(1, &["doctor"])["checks"].clone();
        let failed =
            checks.as_array().unwrap().iter().find(|check| check["status"] == "fail").unwrap().clone();
        assert_eq!(
            (&failed["name"], &failed["message"], &failed["hint"]),
            (&Value::from("serve"), &problem["message"], &problem["hint"])
        );
    };
    for (cert, key) in
        [("none.pem", "one.key"), ("one.pem", "none.key"), ("text.pem", "one.key"), ("one.pem", "two.key")]
    {
        with_tls(cert, key);
        refused("bad_certificate");
    }
    with_tls("one.pem", "one.key");
    world.expect(0, &["doctor"]);

    world.configure(&format!("{text}serve: {{ listen: \"0.0.0.0:0\" }}\n"));
    refused("open_address");
    assert!(!world.local(".syncline").join("state.db").exists(), "looking makes nothing");
    world.expect(0, &["token", "create", "--name", "one", "--scope", "read"]);
    world.expect(0, &["doctor"]);
}

#[test]
fn doctor_finds_peers_whose_heartbeats_have_no_key() {
    let world = World::new();
    let text = fs::read_to_string(world.local("syncline.yaml")).unwrap();
    world.configure(&format!(
        "{text}peers:\n  key: \"${{file:peers.key}}\"\n  nodes: {{ far: {{ address: \"127.0.0.1:9\" }} }}\n"
    ));
    for (key, told) in [(None, "does not exist"), (Some("short"), "is too short")] {
        key.into_iter().for_each(|key| world.write_local("peers.key", key));
        let told_by_doctor = world.expect(1, &["doctor"]).out;
        assert!(
            told_by_doctor.contains("FAIL  peer far: ") && told_by_doctor.contains(told),
            "{told_by_doctor}"
        );
        assert!(!told_by_doctor.contains("\"short\""), "{told_by_doctor}");
    }
    world.write_local("peers.key", &"k".repeat(16));
    world.expect(0, &["doctor"]);
}
