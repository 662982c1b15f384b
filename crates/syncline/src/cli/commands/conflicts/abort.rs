//! `syncline conflicts abort`.

use syncline_service::Problem;
use syncline_service::operations::abort_conflict::{Reopened, Request, Response, abort_conflict};

use crate::cli::args::Globals;
use crate::cli::output::Output;
use crate::cli::text::{count, paint, shown, style};
use crate::cli::{runtime, session};

/// Take back how conflicts were settled.
///
/// Whether a policy, a merge or a person settled it: both versions are side by side again, the local one under the name
/// and the remote one under its conflict name, and the conflict is open. It is a run, so what was there is in history.
/// Among the conflicts that a glob names, those whose file was edited since are left alone.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  syncline conflicts abort 3f2a
  syncline conflicts abort plan.md
  syncline conflicts abort 'docs/**'

Exit codes: 0 all of them are open again, 1 some could not be, 2 one that was named is unknown.")]
pub(crate) struct Abort {
    /// Identifiers or beginnings of them, paths, or globs over paths; of several conflicts at one path, the last.
    #[arg(value_name = "ID|PATH|GLOB", required = true)]
    conflicts: Vec<String>,
    /// Only conflicts of this target.
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
}

impl Abort {
    /// Runs the command.
    pub(crate) fn run(self, globals: &Globals, output: &Output) -> Result<u8, Problem> {
        let service = session::open(globals, output, "command line")?;
        let request =
            Request { conflicts: self.conflicts, target: self.target, dry_run: false, plan_hash: None };
        let response = runtime::block_on(abort_conflict(&service, &request))?;
        let failed = response.conflicts.iter().any(|conflict| !conflict.reopened);
        output.outcome(&response, failed, || page(&response));
        Ok(u8::from(failed))
    }
}

fn page(response: &Response) -> String {
    if response.conflicts.is_empty() {
        return "nothing to take back\n".to_owned();
    }
    let line = |conflict: &Reopened| {
        let sign = if conflict.reopened { paint(style::GOOD, "✓") } else { paint(style::BAD, "✗") };
        let id = paint(style::FAINT, &conflict.id);
        format!("{sign} {}  {}  {id}\n", shown(&conflict.path), shown(&conflict.message))
    };
    let mut text: String = response.conflicts.iter().map(line).collect();
    if response.open > 0 {
        let rest = format!("{}: syncline conflicts", count(response.open, "open conflict"));
        text.push_str(&format!("{}\n", paint(style::FAINT, &rest)));
    }
    text
}
