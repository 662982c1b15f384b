//! What shells and `man` say to the completions and manual pages that the program makes.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::shell::{build_syncline, command, is_installed, quietly, say};

/// Shells that can check a script without running it.
const SHELLS: [&str; 3] = ["bash", "zsh", "fish"];

/// What the checks came to.
pub struct Checked {
    /// Whether nobody complained.
    pub done: bool,
    /// The programs that would have checked, had they been here.
    pub missing: Vec<&'static str>,
}

/// Lets everybody check who is installed here.
///
/// # Errors
/// When the program does not build or does not answer, or a checker cannot be started.
pub fn run() -> Result<Checked> {
    let program = build_syncline(false)?;
    let folder = tempfile::tempdir()?;
    say("\n== completions and manual pages");
    let mut complaints = Vec::new();
    for shell in SHELLS.into_iter().filter(|shell| is_installed(shell)) {
        let script = folder.path().join(shell);
        std::fs::write(&script, quietly(Command::new(&program).args(["completions", shell]))?)?;
        complaints.extend(check_script(shell, &script)?);
    }
    if is_installed("mandoc") {
        let pages = folder.path().join("man");
        quietly(Command::new(&program).arg("man").arg(&pages))?;
        complaints.extend(check_pages(&pages)?);
    }
    complaints.iter().for_each(say);
    let missing = SHELLS.into_iter().chain(["mandoc"]).filter(|checker| !is_installed(checker)).collect();
    Ok(Checked { done: complaints.is_empty(), missing })
}

/// What a shell says to a script.
fn check_script(shell: &str, script: &Path) -> Result<Vec<String>> {
    let checked = command(shell, ["-n"]).arg(script).output().with_context(|| format!("starting {shell}"))?;
    let mut said: Vec<String> = String::from_utf8_lossy(&checked.stderr).lines().map(str::to_owned).collect();
    if !checked.status.success() && said.is_empty() {
        said.push(format!("{shell} refuses its completions"));
    }
    Ok(said)
}

/// What is wrong with the manual pages in a folder.
fn check_pages(folder: &Path) -> Result<Vec<String>> {
    let mut pages: Vec<_> = std::fs::read_dir(folder)?.map(|page| Ok(page?.path())).collect::<Result<_>>()?;
    pages.sort();
    let mut lint = command("mandoc", ["-T", "lint", "-W", "warning"]);
    let checked = lint.args(&pages).output().context("starting mandoc")?;
    let said = String::from_utf8_lossy(&checked.stdout);
    // Pages of one version are the same whenever they are made, so they have no date.
    Ok(said.lines().filter(|line| !line.contains("missing date")).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_script_and_a_broken_page_are_complaints() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("script");
        std::fs::write(&script, "if true\nthen").unwrap();
        assert!(!check_script("bash", &script).unwrap().is_empty());
        std::fs::write(&script, "if true\nthen :; fi\n").unwrap();
        assert_eq!(check_script("bash", &script).unwrap(), [""; 0]);

        if !is_installed("mandoc") {
            return;
        }
        let pages = folder.path().join("man");
        std::fs::create_dir(&pages).unwrap();
        let page = pages.join("a.1");
        std::fs::write(&page, ".TH A 1 \"\" a a\n.SH NAME\na \\- b\n").unwrap();
        assert_eq!(check_pages(&pages).unwrap(), [""; 0]);
        std::fs::write(&page, ".TH A 1 \"\" a a\n.SH NAME\na \\- b\n.nonsense\n").unwrap();
        assert!(!check_pages(&pages).unwrap().is_empty());
    }
}
