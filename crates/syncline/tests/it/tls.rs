//! `serve` over TLS: certificates of the file, and those that take their place.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

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
