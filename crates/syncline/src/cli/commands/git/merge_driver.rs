//! `syncline git merge-driver`.

use std::path::PathBuf;

use syncline_service::Problem;
use syncline_service::git::driver::{Versions, drive};

use super::{Policy, policies};
use crate::cli::args::Globals;
use crate::cli::output::Output;
use crate::cli::session::current_folder;

/// Merge one path for Git, which runs this as a merge driver.
///
/// The result is written over the current version. See `syncline git install-driver`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 the result is clean, 1 it has conflict markers or is the current version.")]
pub(super) struct MergeDriver {
    /// The file with the common ancestor (%O).
    #[arg(value_name = "BASE")]
    base: PathBuf,
    /// The file with the current version, for the result (%A).
    #[arg(value_name = "CURRENT")]
    current: PathBuf,
    /// The file with the version of the other branch (%B).
    #[arg(value_name = "OTHER")]
    other: PathBuf,
    /// The path in the work tree (%P).
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// The policy, instead of that of the workspace or of the content.
    #[arg(long, value_enum, value_name = "POLICY")]
    policy: Option<Policy>,
}

impl MergeDriver {
    /// Runs the command.
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<u8, Problem> {
        let folder = current_folder()?;
        let policies = policies(globals, output, &folder, self.policy)?;
        let Self { base, current, other, path, .. } = self;
        let clean = drive(&folder, &Versions { base, current, other, path }, &policies)?;
        Ok(u8::from(!clean))
    }
}
