//! What GitHub's own schemas say to the workflows that the program makes, and to `action.yml`.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::pages::Checked;
use crate::python::Program;
use crate::repository::root;
use crate::shell::{build_syncline, command, is_installed, quietly, say};

/// The checker.
pub(crate) const CHECKER: Program = Program {
    name: "check-jsonschema",
    folder: "workflow-checker",
    requirements: include_str!("../requirements.txt"),
};

/// Targets of every kind of schedule, one that may commit, and secrets.
const TARGETS: &str = r#"version: "1.0"
targets:
  pull:
    direction: pull
    entrypoint: scripts/pull.sh
    outputs: ["docs/**"]
    schedule: every 15m
    env: { TOKEN: "${env:TOKEN}" }
  upstream:
    remote: { kind: upstream, token: "${env:GITHUB_TOKEN}" }
    schedule: "0 5 * * 7"
  by_hand:
    direction: push
    path: docs
    remote: { kind: folder, path: ../copy }
"#;

/// Lets the checker look at everything; it comes with the schemas.
///
/// # Errors
/// When the program does not build or does not answer.
pub fn run() -> Result<Checked> {
    let program = build_syncline(false)?;
    say("\n== workflows");
    if !is_installed("python3") {
        return Ok(Checked { done: true, missing: vec!["python3"] });
    }
    let checker = match CHECKER.installed() {
        Ok(checker) => checker,
        Err(error) => {
            say(format_args!("{} could not be installed: {error:#}", CHECKER.name));
            return Ok(Checked { done: true, missing: vec![CHECKER.name] });
        }
    };
    let folder = tempfile::tempdir()?;
    let mut complaints = check(&checker, "github-actions", &root().join("action.yml"))?;
    for (name, targets) in [("all", TARGETS), ("none", "version: \"1.0\"\n")] {
        let workspace = folder.path().join(name);
        std::fs::create_dir(&workspace)?;
        let config = workspace.join("syncline.yaml");
        std::fs::write(&config, targets)?;
        let mut generate =
            command(&program.to_string_lossy(), ["ci", "generate", "github", "--action", "./"]);
        quietly(generate.arg("--config").arg(&config))?;
        complaints.extend(check(
            &checker,
            "github-workflows",
            &workspace.join(".github/workflows/syncline.yml"),
        )?);
    }
    complaints.iter().for_each(say);
    Ok(Checked { done: complaints.is_empty(), missing: Vec::new() })
}

/// What the checker says to a file.
fn check(checker: &Path, schema: &str, file: &Path) -> Result<Vec<String>> {
    let schema = format!("vendor.{schema}");
    let mut check = Command::new(checker);
    let checked = check.args(["--builtin-schema", &schema]).arg(file).output();
    let checked = checked.with_context(|| format!("starting {}", CHECKER.name))?;
    if checked.status.success() {
        return Ok(Vec::new());
    }
    let said = [checked.stdout, checked.stderr].concat();
    Ok(String::from_utf8_lossy(&said).lines().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checker_that_refuses_is_a_complaint() {
        assert_eq!(check(Path::new("true"), "github-actions", Path::new("a")).unwrap(), [""; 0]);
        let folder = tempfile::tempdir().unwrap();
        let failing = check(Path::new("ls"), "github-actions", &folder.path().join("missing")).unwrap();
        assert!(!failing.is_empty());
    }
}
