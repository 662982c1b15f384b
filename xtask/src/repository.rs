//! The files of this repository.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::shell::{command, quietly};

/// The folder that holds the workspace.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// A file of the repository, by its path from the root, with `/` on every system.
pub struct SourceFile {
    /// The path.
    pub path: String,
    /// The text.
    pub text: String,
}

/// Every text file that Git knows or would add, in the order of their paths.
///
/// # Errors
/// When Git cannot list them, or one of them cannot be read.
pub fn text_files() -> Result<Vec<SourceFile>> {
    let root = root();
    let listing = quietly(
        command("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(&root),
    )
    .context("listing the files of the repository")?;
    let mut paths: Vec<&str> = listing.split('\0').filter(|path| !path.is_empty()).collect();
    paths.sort_unstable();
    paths.dedup();
    let mut files = Vec::with_capacity(paths.len());
    for path in paths {
        let file = root.join(path);
        // A file that was removed but not yet committed is still listed.
        if !file.is_file() {
            continue;
        }
        let bytes = std::fs::read(&file).with_context(|| format!("reading {path}"))?;
        if let Ok(text) = String::from_utf8(bytes) {
            files.push(SourceFile { path: path.to_owned(), text });
        }
    }
    Ok(files)
}
