//! Where the file is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::ConfigError;

/// The names under which the file is looked for in each folder, the first one that is there wins.
const NAMES: [&str; 2] = ["syncline.yaml", ".insightpulse/sync.yaml"];

/// The nearest file at or above the folder `start`.
#[must_use]
pub fn discover(start: &Path) -> Option<PathBuf> {
    let candidates = start.ancestors().flat_map(|folder| NAMES.map(|name| folder.join(name)));
    candidates.into_iter().find(|file| file.is_file())
}

/// The file to load: the one that was named, else that of `SYNCLINE_CONFIG`, else the nearest one at or above `start`.
///
/// # Errors
/// When the named file is not there, and when there is none at all.
pub fn locate(
    explicit: Option<&Path>,
    environment: &BTreeMap<String, String>,
    start: &Path,
) -> Result<PathBuf, ConfigError> {
    let variable = environment.get("SYNCLINE_CONFIG").filter(|value| !value.is_empty());
    let (named, by) = match (explicit, variable) {
        (Some(path), _) => (Some(start.join(path)), ""),
        (None, Some(path)) => (Some(start.join(path)), " (from SYNCLINE_CONFIG)"),
        (None, None) => (None, ""),
    };
    match named {
        Some(file) if file.exists() => Ok(file),
        Some(file) => Err(ConfigError::new("no_config", format!("{} does not exist{by}", file.display()))
            .with_hint("run `syncline init` to make one".to_owned())),
        None => discover(start).ok_or_else(|| {
            let message = format!("there is no syncline.yaml in {} or any folder above it", start.display());
            ConfigError::new("no_config", message)
                .with_hint("run `syncline init` to make one, or name it with `--config`".to_owned())
        }),
    }
}

/// The folder of the workspace that a file (absolute) describes.
pub(crate) fn root_of(file: &Path) -> PathBuf {
    let folder = file.parent().unwrap_or(file);
    match (folder.file_name(), folder.parent()) {
        (Some(name), Some(above)) if name == ".insightpulse" => above.to_owned(),
        _ => folder.to_owned(),
    }
}
