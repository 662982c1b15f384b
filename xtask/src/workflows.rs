//! What GitHub's own schemas say to the workflows that the program makes, and to `action.yml`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::pages::Checked;
use crate::repository::root;
use crate::shell::{build_syncline, command, is_installed, quietly, say};

/// The checker, and what it needs: versions and digests of all of it.
const REQUIREMENTS: &str = include_str!("../requirements.txt");
const CHECKER: &str = "check-jsonschema";

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
    let checker = match environment(&root().join("target/workflow-checker"), REQUIREMENTS) {
        Ok(programs) => programs.join(CHECKER),
        Err(error) => {
            say(format_args!("{CHECKER} could not be installed: {error:#}"));
            return Ok(Checked { done: true, missing: vec![CHECKER] });
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

/// Programs from PyPI in an environment of their own in `folder`, made unless it is there already; the folder they are in.
///
/// # Errors
/// When they cannot be installed.
pub fn environment(folder: &Path, requirements: &str) -> Result<PathBuf> {
    let programs = folder.join("bin");
    let marker = folder.join("requirements.txt");
    if std::fs::read_to_string(&marker).is_ok_and(|there| there == requirements) {
        return Ok(programs);
    }
    if folder.exists() {
        std::fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    quietly(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
    let wanted = folder.join("wanted.txt");
    std::fs::write(&wanted, requirements)?;
    let mut install = Command::new(programs.join("python"));
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    quietly(install.args(["--require-hashes", "--only-binary", ":all:", "--requirement"]).arg(&wanted))?;
    // Last, so that an installation that was cut short is made anew.
    std::fs::rename(&wanted, &marker)?;
    Ok(programs)
}

/// What the checker says to a file.
fn check(checker: &Path, schema: &str, file: &Path) -> Result<Vec<String>> {
    let schema = format!("vendor.{schema}");
    let mut check = Command::new(checker);
    let checked = check.args(["--builtin-schema", &schema]).arg(file).output();
    let checked = checked.with_context(|| format!("starting {CHECKER}"))?;
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

    #[test]
    fn everything_that_is_installed_is_pinned_by_its_digest() {
        let packages = REQUIREMENTS.lines().filter(|line| !line.starts_with('#') && line.contains("=="));
        assert!(packages.clone().any(|line| line.starts_with(CHECKER)));
        assert!(packages.clone().all(|line| line.ends_with('\\')), "a digest follows each");
        assert!(REQUIREMENTS.matches("--hash=sha256:").count() >= packages.count());
    }
}
