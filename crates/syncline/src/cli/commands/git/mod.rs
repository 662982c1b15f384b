//! `syncline git`.

mod install_driver;
mod merge_driver;
mod resolve;

use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};
use syncline_service::Problem;
use syncline_service::git::{Policies, Repository, Wanted};

use crate::cli::args::Globals;
use crate::cli::output::Output;
use crate::cli::session::current_folder;
use crate::cli::text::shown;
use crate::wiring;

/// Settle what Git stops at, in any repository: a workspace is not needed.
#[derive(Debug, clap::Args)]
pub(crate) struct Git {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Resolve(resolve::Resolve),
    MergeDriver(merge_driver::MergeDriver),
    InstallDriver(install_driver::InstallDriver),
}

impl Git {
    /// Runs the command.
    pub(crate) fn run(self, globals: &Globals, output: &Output) -> Result<u8, Problem> {
        match self.command {
            Command::Resolve(command) => command.run(globals, output),
            Command::MergeDriver(command) => command.run(globals, output),
            Command::InstallDriver(command) => command.run(output),
        }
    }
}

/// A policy, as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Policy {
    /// Merged as the content is: text by lines, JSON by structure.
    Auto,
    /// Merged by lines.
    Merge,
    /// Merged by lines, with diff3 markers where that is not clean.
    Markers,
    /// Merged by structure.
    Json,
    /// All records of both.
    Union,
    /// Both versions stay, the remote one under a name of its own.
    KeepBoth,
    /// The version that was committed later.
    Newest,
    /// One's own version.
    Local,
    /// The version that is brought in.
    Remote,
}

impl From<Policy> for Wanted {
    fn from(typed: Policy) -> Self {
        match typed {
            Policy::Auto => Self::Auto,
            Policy::Merge => Self::Merge,
            Policy::Markers => Self::Markers,
            Policy::Json => Self::Json,
            Policy::Union => Self::Union,
            Policy::KeepBoth => Self::KeepBoth,
            Policy::Newest => Self::Newest,
            Policy::Local => Self::Local,
            Policy::Remote => Self::Remote,
        }
    }
}

/// The repository that is named, or the one here.
fn repository(named: Option<&Path>) -> Result<Repository, Problem> {
    let here = current_folder()?;
    Repository::at(&named.map_or_else(|| here.clone(), |named| here.join(named)))
}

/// The policies for a repository: the one that is wanted, or those of the workspace that it lies in.
///
/// A configuration that cannot be read is no reason to leave a repository stopped, since it may be what is unmerged.
fn policies(
    globals: &Globals,
    output: &Output,
    folder: &Path,
    wanted: Option<Policy>,
) -> Result<Policies, Problem> {
    let wanted = wanted.map(Wanted::from);
    let environment = syncline_config::from_process();
    let named = globals.config.is_some() || environment.contains_key("SYNCLINE_CONFIG");
    let config: Option<PathBuf> = if named {
        Some(syncline_config::locate(globals.config.as_deref(), &environment, &current_folder()?)?)
    } else {
        syncline_config::discover(folder)
    };
    let Some(config) = config.filter(|_| wanted.is_none()) else {
        return Ok(Policies::new(wanted, None));
    };
    let kinds = syncline_service::kind_schemas(&wiring::registry());
    match syncline_config::load(&config, &environment, &kinds) {
        Ok(workspace) => Ok(Policies::new(None, Some(&workspace))),
        Err(errors) if named => Err(errors.into()),
        Err(_) => {
            let file = shown(&config.display().to_string());
            output.warn(format!("{file} cannot be used, so files are merged as their content is"));
            Ok(Policies::new(None, None))
        }
    }
}
