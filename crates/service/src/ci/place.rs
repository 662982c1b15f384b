//! Where a workflow belongs, and how it names what lies in the repository.

use std::path::{Path, PathBuf};

use syncline_config::Workspace;

use crate::problem::{Problem, Result};

/// Where GitHub looks for the workflow, relative to the repository.
const PATH: &str = ".github/workflows/syncline.yml";

/// Where a workflow belongs.
pub(crate) struct Place {
    /// The repository that the workspace lies in; the workspace itself when it lies in none.
    pub(crate) folder: PathBuf,
    /// The configuration file, relative to the repository.
    pub(crate) config: String,
    /// The state, relative to the repository.
    pub(crate) state: String,
}

impl Place {
    /// The place of the workflow of a workspace.
    ///
    /// # Errors
    /// When a path holds characters that mean something in a workflow.
    pub(crate) fn of(workspace: &Workspace) -> Result<Self> {
        let root = workspace.root.as_path();
        let folder = root.ancestors().find(|folder| folder.join(".git").exists()).unwrap_or(root);
        Ok(Self {
            config: relative(folder, &workspace.file)?,
            state: relative(folder, &root.join(".syncline"))?,
            folder: folder.to_owned(),
        })
    }

    /// The path of the workflow, relative to the repository.
    pub(crate) const fn path() -> &'static str {
        PATH
    }

    /// The file of the workflow.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.join(PATH)
    }
}

/// A path as a workflow names it. In the steps that get it, a star is a pattern and a line is a path.
fn relative(folder: &Path, file: &Path) -> Result<String> {
    let inside = file.strip_prefix(folder).ok().and_then(Path::to_str);
    let is_plain =
        |text: &&str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/ ".contains(&byte));
    inside.filter(is_plain).map(str::to_owned).ok_or_else(|| {
        let message = format!(
            "a workflow of the repository {} cannot name the path {}",
            folder.display(),
            file.display()
        );
        Problem::usage("bad_path", message).with_hint(
            "keep the configuration inside the repository, in folders named with letters, digits, `.`, `_` and `-`",
        )
    })
}
