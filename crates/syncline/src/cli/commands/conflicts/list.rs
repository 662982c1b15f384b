//! `syncline conflicts list`.

use syncline_service::Problem;
use syncline_service::operations::list_conflicts::{Request, list_conflicts};
use syncline_service::wire::ConflictList;

use crate::cli::args::Globals;
use crate::cli::output::Output;
use crate::cli::render::conflict::line;
use crate::cli::text::{paint, style};
use crate::cli::{runtime, session};

/// List conflicts, the oldest first.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Only conflicts of this target.
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// Settled ones too.
    #[arg(long)]
    all: bool,
}

impl List {
    /// Runs the command.
    pub(crate) fn run(self, globals: &Globals, output: &Output) -> Result<u8, Problem> {
        let service = session::open(globals, output, "command line")?;
        let request = Request { target: self.target, all: self.all };
        let list = runtime::block_on(list_conflicts(&service, &request))?;
        output.result(&list, || page(&list));
        Ok(0)
    }
}

fn page(list: &ConflictList) -> String {
    if list.conflicts.is_empty() {
        return "no open conflicts\n".to_owned();
    }
    let mut text: String = list.conflicts.iter().map(line).collect();
    if list.conflicts.iter().any(|conflict| conflict.open) {
        let next = "look at one: syncline conflicts show ID\nsettle it:   syncline conflicts resolve ID --take local|remote|both|merged";
        text.push_str(&format!("{}\n", paint(style::FAINT, next)));
    }
    text
}
