//! Programs and libraries from npm that check what the program makes, pinned with all that they need.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::repository::root;
use crate::shell::{command, quietly};

/// Packages from npm.
pub struct Packages {
    /// The folder below `target` in which they are.
    pub folder: &'static str,
    /// What is wanted: the `package.json`.
    pub wanted: &'static str,
    /// It and what it needs, versions and digests of all of it: the `package-lock.json`.
    pub lock: &'static str,
}

impl Packages {
    /// The folder that holds their `node_modules`; they are installed unless they are there already.
    ///
    /// # Errors
    /// When they cannot be installed, such as for want of a network.
    pub fn installed(&self) -> Result<PathBuf> {
        let folder = root().join("target").join(self.folder);
        let marker = folder.join("installed.json");
        if std::fs::read_to_string(&marker).is_ok_and(|there| there == self.lock) {
            return Ok(folder);
        }
        if folder.exists() {
            std::fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
        }
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("package.json"), self.wanted)?;
        std::fs::write(folder.join("package-lock.json"), self.lock)?;
        let mut install = command("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
        quietly(install.current_dir(&folder))?;
        // Last, so that an installation that was cut short is made anew.
        std::fs::write(&marker, self.lock)?;
        Ok(folder)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    #[test]
    fn everything_that_is_installed_is_pinned_by_its_digest() {
        for packages in [crate::mcp::SUITE, crate::chats::JUDGES] {
            let lock: Value = serde_json::from_str(packages.lock).unwrap();
            let wanted: Value = serde_json::from_str(packages.wanted).unwrap();
            let all = lock["packages"].as_object().unwrap();
            let mut installed = all.iter().filter(|(place, _)| !place.is_empty());
            assert!(all.len() > 1 && installed.all(|(_, package)| package["integrity"].is_string()));
            assert_eq!(all[""]["dependencies"], wanted["dependencies"], "{}", packages.folder);
        }
    }
}
