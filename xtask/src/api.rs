//! What schemathesis says to the HTTP API: whether it does what its own document says, whatever it is asked.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

use crate::pages::Checked;
use crate::python::Program;
use crate::repository::root;
use crate::shell::{build_syncline, is_installed, say};

/// The tester.
pub(crate) const TESTER: Program =
    Program { name: "schemathesis", folder: "api-tester", requirements: include_str!("../schemathesis.txt") };

/// A target that has something to do, and that nothing runs by itself.
const TARGETS: &str = r#"version: "1.0"
targets:
  main: { path: notes, remote: { kind: folder, path: ../remote }, schedule: "@yearly" }
"#;

/// Lets the tester ask everything.
///
/// # Errors
/// When the program does not build or does not listen, or the tester cannot be started.
pub fn run() -> Result<Checked> {
    let program = build_syncline(false)?;
    say("\n== api");
    if !is_installed("python3") {
        return Ok(Checked { done: true, missing: vec!["python3"] });
    }
    let tester = match TESTER.installed() {
        Ok(tester) => tester,
        Err(error) => {
            say(format_args!("{} could not be installed: {error:#}", TESTER.name));
            return Ok(Checked { done: true, missing: vec![TESTER.name] });
        }
    };
    let folder = tempfile::tempdir()?;
    let workspace = folder.path().join("local");
    for made in [&workspace.join("notes"), &folder.path().join("remote")] {
        std::fs::create_dir_all(made)?;
    }
    std::fs::write(workspace.join("syncline.yaml"), TARGETS)?;
    std::fs::write(workspace.join("notes/a.md"), "a\n")?;
    let server = Server::start(&program, &workspace)?;
    let complaints = asked(&tester, &format!("{}/openapi.json", server.url), folder.path())?;
    complaints.iter().for_each(say);
    Ok(Checked { done: complaints.is_empty(), missing: Vec::new() })
}

/// What the tester says to a server whose document is at `document`.
fn asked(tester: &Path, document: &str, folder: &Path) -> Result<Vec<String>> {
    let mut ask = Command::new(tester);
    ask.arg("--config-file").arg(root().join("xtask/schemathesis.toml"));
    ask.args(["run", document, "--checks", "all", "--no-color"]).current_dir(folder);
    let done = ask.output().with_context(|| format!("starting {}", tester.display()))?;
    let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
    let lines = said.lines().map(str::to_owned);
    if done.status.success() {
        // How much was asked, so that it is seen when that comes to nothing.
        lines.filter(|line| line.contains("generated")).for_each(|line| say(line.trim()));
        return Ok(Vec::new());
    }
    Ok(lines.collect())
}

/// A server that ends when this does.
struct Server {
    process: Child,
    url: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    fn start(program: &Path, workspace: &Path) -> Result<Self> {
        let mut serve = Command::new(program);
        serve.args(["serve", "--listen", "127.0.0.1:0"]).current_dir(workspace);
        let mut process = serve.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(process.stderr.take().context("its output is piped")?).lines();
        let mut server = Self { process, url: String::new() };
        // It ends when the server does, so that nobody waits for one that will never listen.
        while let Some(line) = lines.next().transpose()? {
            if let Some(url) = line.strip_prefix("listening on ") {
                url.clone_into(&mut server.url);
            }
            if line.starts_with("serving") && !server.url.is_empty() {
                // What else it says is read, or it would wait for a reader some day.
                std::thread::spawn(move || lines.for_each(drop));
                return Ok(server);
            }
        }
        anyhow::bail!("the program does not listen")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tester_that_finds_something_is_a_complaint() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(asked(Path::new("true"), "a", folder.path()).unwrap(), [""; 0]);
        assert!(!asked(Path::new("ls"), "a", folder.path()).unwrap().is_empty());
    }
}
