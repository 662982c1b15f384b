//! Programs from PyPI that check what the program makes, pinned with all that they need.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::repository::root;
use crate::shell::quietly;

/// A program from PyPI.
pub struct Program {
    /// Its name, as it is started.
    pub name: &'static str,
    /// The folder below `target` in which it has an environment of its own.
    pub folder: &'static str,
    /// It and what it needs: versions and digests of all of it.
    pub requirements: &'static str,
}

impl Program {
    /// Where it is; it is installed unless it is there already.
    ///
    /// # Errors
    /// When it cannot be installed, such as for want of a network.
    pub fn installed(&self) -> Result<PathBuf> {
        let folder = root().join("target").join(self.folder);
        let program = folder.join("bin").join(self.name);
        let marker = folder.join("requirements.txt");
        if std::fs::read_to_string(&marker).is_ok_and(|there| there == self.requirements) {
            return Ok(program);
        }
        if folder.exists() {
            std::fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
        }
        install(&folder, self.requirements)?;
        Ok(program)
    }
}

fn install(folder: &Path, requirements: &str) -> Result<()> {
    quietly(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
    let wanted = folder.join("wanted.txt");
    std::fs::write(&wanted, requirements)?;
    let mut install = Command::new(folder.join("bin/python"));
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    quietly(install.args(["--require-hashes", "--only-binary", ":all:", "--requirement"]).arg(&wanted))?;
    // Last, so that an installation that was cut short is made anew.
    std::fs::rename(&wanted, folder.join("requirements.txt"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn everything_that_is_installed_is_pinned_by_its_digest() {
        for program in [crate::workflows::CHECKER, crate::api::TESTER, crate::mail::SERVER] {
            let lines = program.requirements.lines();
            let packages: Vec<&str> =
                lines.filter(|line| !line.starts_with('#') && line.contains("==")).collect();
            assert!(packages.iter().any(|line| line.starts_with(program.name)), "{}", program.name);
            assert!(packages.iter().all(|line| line.ends_with('\\')), "a digest follows each");
            assert!(program.requirements.matches("--hash=sha256:").count() >= packages.len());
        }
    }
}
