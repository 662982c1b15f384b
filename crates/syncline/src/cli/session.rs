//! What commands share: where the workspace is, and how it is opened.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use syncline_engine::Events;
use syncline_service::{Opening, Problem, Service};

use super::args::Globals;
use super::output::Output;
use super::progress::Bars;
use super::text::shown_lines;
use crate::wiring;

/// The working directory.
pub(crate) fn current_folder() -> Result<PathBuf, Problem> {
    std::env::current_dir().map_err(|error| Problem::io(error, "finding the working directory"))
}

/// Opens the workspace that the options name, and tells what its configuration warns of.
pub(crate) fn open(globals: &Globals, output: &Output, cause: &str) -> Result<Service, Problem> {
    Ok(warned(opened(globals, output, cause, Vec::new())?, output))
}

/// As [`open`]; the file of a saved plan belongs to no target, wherever it lies.
pub(crate) fn open_with_plan(
    globals: &Globals,
    output: &Output,
    plan: Option<&Path>,
) -> Result<Service, Problem> {
    let plan = plan.map(std::path::absolute).transpose();
    let plan = plan.map_err(|error| Problem::io(error, "finding the saved plan"))?;
    Ok(warned(opened(globals, output, "command line", plan.into_iter().collect())?, output))
}

fn warned(service: Service, output: &Output) -> Service {
    for warning in &service.workspace().warnings {
        output.note(shown_lines(&warning.to_string()));
    }
    service
}

/// Opens the workspace that the options name.
pub(crate) fn open_quietly(globals: &Globals, output: &Output, cause: &str) -> Result<Service, Problem> {
    opened(globals, output, cause, Vec::new())
}

fn opened(
    globals: &Globals,
    output: &Output,
    cause: &str,
    reserved: Vec<PathBuf>,
) -> Result<Service, Problem> {
    let environment = syncline_config::from_process();
    let config = syncline_config::locate(globals.config.as_deref(), &environment, &current_folder()?)?;
    let state = globals.state.as_deref().map(std::path::absolute).transpose();
    let state = state.map_err(|error| Problem::io(error, "finding the state folder"))?;
    let events: Arc<dyn Events> = if output.is_interactive() { Arc::new(Bars::new()) } else { Arc::new(()) };
    let (registry, cause) = (wiring::registry(), cause.to_owned());
    Service::open(Opening { config, environment, registry, state, events, cause, reserved })
}

/// The paths, relative to the workspace, that a path typed by a person may mean: relative to the working
/// directory first, then relative to the workspace.
pub(crate) fn meanings(service: &Service, typed: &Path) -> Result<Vec<String>, Problem> {
    let root = &service.workspace().root;
    let real = std::fs::canonicalize(root).unwrap_or_else(|_| root.clone());
    let mut found = Vec::new();
    for base in [current_folder()?, root.clone()] {
        let full = normalised(&base.join(typed));
        let relative = full.strip_prefix(root).or_else(|_| full.strip_prefix(&real));
        if let Some(relative) = relative.ok().and_then(Path::to_str) {
            let relative = if relative.is_empty() { "." } else { relative };
            if !found.iter().any(|known| known == relative) {
                found.push(relative.to_owned());
            }
        }
    }
    if found.is_empty() {
        let message = format!("{} does not lie in the workspace {}", typed.display(), root.display());
        return Err(Problem::usage("bad_path", message).with_hint("name a path inside the workspace"));
    }
    Ok(found)
}

/// Removes `.` and `..` without looking at the disk: the path may be one that was removed.
pub(crate) fn normalised(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => {
                clean.pop();
            }
            part => clean.push(part),
        }
    }
    clean
}
