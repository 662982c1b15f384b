//! `syncline conflicts resolve`.

use clap::ValueEnum;
use syncline_service::Problem;
use syncline_service::operations::resolve_conflict::{self, Request, Response, resolve_conflict};

use crate::cli::args::Globals;
use crate::cli::output::Output;
use crate::cli::text::{count, paint, shown, style};
use crate::cli::{runtime, session};

use super::edit::edit;

/// Settle conflicts by taking one version, both, or what they become when they are merged.
///
/// The version that is not taken stays in history, and the conflict copy, where there is one, is removed. Taking
/// both settles the conflict and leaves both versions where they are. Taking the merged version merges both; where
/// that is not clean, nothing is changed. A file that was merged with markers is taken as merged once no marker is
/// left in it.
///
/// With --edit, the versions and what they become are opened in the program that `merge_tool` in syncline.yaml names,
/// or else in VISUAL or EDITOR. What is saved is taken when the program ends well and no marker is left.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  syncline conflicts resolve 3f2a --take local
  syncline conflicts resolve plan.md --take remote
  syncline conflicts resolve 'docs/**' --take both
  syncline conflicts resolve settings.json --take merged
  syncline conflicts resolve plan.md --edit

Exit codes: 0 all of them are settled, 1 some could not be, 2 one that was named is unknown.")]
pub(crate) struct Resolve {
    /// Identifiers or beginnings of them, paths, or globs over paths.
    #[arg(value_name = "ID|PATH|GLOB", required = true)]
    conflicts: Vec<String>,
    /// Which version to take.
    #[arg(long, value_enum, required_unless_present = "edit")]
    take: Option<Take>,
    /// Merge the versions of one conflict in an editor.
    #[arg(long, conflicts_with_all = ["take", "target"])]
    edit: bool,
    /// Only conflicts of this target.
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
}

/// Which version to take, as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Take {
    /// That of the workspace.
    Local,
    /// That of the remote.
    Remote,
    /// Both of them.
    Both,
    /// What both become when they are merged.
    Merged,
}

impl From<Take> for resolve_conflict::Take {
    fn from(typed: Take) -> Self {
        match typed {
            Take::Local => Self::Local,
            Take::Remote => Self::Remote,
            Take::Both => Self::Both,
            Take::Merged => Self::Merged,
        }
    }
}

impl Resolve {
    /// Runs the command.
    pub(crate) fn run(self, globals: &Globals, output: &Output) -> Result<u8, Problem> {
        let response = match self.take {
            Some(take) => {
                let service = session::open(globals, output, "command line")?;
                let (conflicts, target) = (self.conflicts, self.target);
                let request = Request {
                    conflicts,
                    take: take.into(),
                    target,
                    content: None,
                    dry_run: false,
                    plan_hash: None,
                };
                runtime::block_on(resolve_conflict(&service, &request))?
            }
            None => match self.conflicts.as_slice() {
                [id] => edit(globals, id, output)?,
                _ => return Err(Problem::usage("bad_arguments", "--edit takes one conflict at a time")),
            },
        };
        let failed = response.conflicts.iter().any(|conflict| !conflict.resolved);
        output.outcome(&response, failed, || page(&response));
        Ok(u8::from(failed))
    }
}

fn page(response: &Response) -> String {
    let line = |conflict: &resolve_conflict::Settled| {
        let sign = if conflict.resolved { paint(style::GOOD, "✓") } else { paint(style::BAD, "✗") };
        let id = paint(style::FAINT, &conflict.id);
        format!("{sign} {}  {}  {id}\n", shown(&conflict.path), shown(&conflict.message))
    };
    let mut text: String = response.conflicts.iter().map(line).collect();
    if response.open > 0 {
        let rest = format!("{} left: syncline conflicts", count(response.open, "open conflict"));
        text.push_str(&format!("{}\n", paint(style::FAINT, &rest)));
    }
    text
}
