//! `syncline git resolve`.

use std::fmt::Write as _;
use std::path::PathBuf;

use syncline_service::Problem;
use syncline_service::git::abort::{Aborted, abort};
use syncline_service::git::resolve::{Resolved, ResolvedPath, resolve};
use syncline_service::git::stopped::{StoppedReport, stopped};

use super::{Policy, policies, repository};
use crate::cli::args::Globals;
use crate::cli::output::Output;
use crate::cli::report_file;
use crate::cli::text::{count, paint, shown, shown_lines, style};

/// Settle what a merge, rebase, cherry-pick, revert or am stopped at.
///
/// Applies the conflict policies of the workspace that the repository lies in, or merges as the content is: text by
/// lines, JSON by structure. What does not merge cleanly keeps both versions, the remote one beside the local one.
/// Files that were edited since Git stopped are left alone. Nothing is committed without --commit.
///
/// Local is one's own work: in a rebase that is the commit that is put on top, which Git calls theirs.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  syncline git resolve
  syncline git resolve --resolve
  syncline git resolve --resolve --policy markers
  syncline git resolve --report --out conflicts.md

Exit codes: 0 nothing is unmerged, 1 Git failed, 2 there is no repository, 5 paths are unmerged.")]
pub(super) struct Resolve {
    /// List unmerged paths; this is what happens without another of these options.
    #[arg(long, group = "what")]
    check: bool,
    /// Settle unmerged paths by their policies.
    #[arg(long, group = "what")]
    resolve: bool,
    /// Report on unmerged paths: Markdown, or JSON with `--format json`.
    #[arg(long, group = "what")]
    report: bool,
    /// Give up the merge, rebase, cherry-pick, revert or am; edited files are kept aside first.
    #[arg(long, group = "what")]
    abort: bool,
    /// The repository [default: the one here].
    #[arg(long, value_name = "DIR")]
    repository: Option<PathBuf>,
    /// The policy for all paths.
    #[arg(long, value_enum, value_name = "POLICY", requires = "resolve")]
    policy: Option<Policy>,
    /// Finish with a commit when nothing is left.
    #[arg(long, requires = "resolve")]
    commit: bool,
    /// Write the report to this file: as Markdown when its name ends in `.md`, as JSON otherwise.
    #[arg(long, value_name = "FILE", requires = "report")]
    out: Option<PathBuf>,
}

impl Resolve {
    /// Runs the command.
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<u8, Problem> {
        let repository = repository(self.repository.as_deref())?;
        if self.resolve {
            let policies = policies(globals, output, &repository.root, self.policy)?;
            let resolved = resolve(&repository, &policies, self.commit)?;
            output.outcome(&resolved, resolved.unmerged > 0, || resolved_page(&resolved));
            return Ok(code(resolved.unmerged));
        }
        if self.abort {
            let stamp = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S.%3fZ").to_string();
            let aborted = abort(&repository, &stamp)?;
            output.result(&aborted, || aborted_page(&aborted));
            return Ok(0);
        }
        let found = stopped(&repository)?;
        if self.report {
            return self.report(&found, output).map(|()| 0);
        }
        output.result(&found, || check_page(&found));
        Ok(code(found.unmerged.len() as u64))
    }

    fn report(&self, found: &StoppedReport, output: &Output) -> Result<(), Problem> {
        let Some(file) = &self.out else {
            output.result(found, || shown_lines(&found.to_markdown()));
            return Ok(());
        };
        if report_file::is_markdown(file) && !output.is_json() {
            report_file::write(file, found.to_markdown().as_bytes())?;
        } else {
            report_file::write_json(file, found)?;
        }
        let paths = count(found.unmerged.len() as u64, "unmerged path");
        output.note(format!("{paths} written to {}", shown(&file.display().to_string())));
        Ok(())
    }
}

const fn code(unmerged: u64) -> u8 {
    if unmerged == 0 { 0 } else { 5 }
}

fn check_page(found: &StoppedReport) -> String {
    let paths = count(found.unmerged.len() as u64, "unmerged path");
    let mut text = match &found.in_progress {
        Some(what) => {
            let (local, remote) = (shown(&found.local), shown(&found.remote));
            let article = if what.starts_with('a') { "an" } else { "a" };
            format!("{article} {what} is in progress (local: {local}, remote: {remote}); {paths}\n")
        }
        None => format!("nothing is in progress; {paths}\n"),
    };
    let width = found.unmerged.iter().map(|path| path.kind.len()).max().unwrap_or_default();
    for path in &found.unmerged {
        let kind = paint(style::WARN, &format!("{:width$}", path.kind));
        let _ = writeln!(text, "  {kind}  {}", shown(&path.path));
    }
    if !found.unmerged.is_empty() {
        let _ = writeln!(text, "{}", paint(style::FAINT, "settle them: syncline git resolve --resolve"));
    }
    text
}

fn resolved_page(resolved: &Resolved) -> String {
    let mut text = String::new();
    for path in &resolved.paths {
        let ResolvedPath { path, resolved, message, .. } = path;
        let sign = if *resolved { paint(style::GOOD, "✓") } else { paint(style::BAD, "✗") };
        let _ = writeln!(text, "{sign} {}  {}", shown(path), shown(message));
    }
    let state = match (resolved.paths.is_empty(), resolved.unmerged, resolved.committed) {
        (true, 0, false) => "nothing is unmerged".to_owned(),
        (_, 0, true) => "everything is merged and committed".to_owned(),
        (_, 0, false) => "everything is merged".to_owned(),
        (_, left, _) => format!("{} left", count(left, "unmerged path")),
    };
    let _ = writeln!(text, "{state}");
    if let Some(next) = &resolved.next {
        let _ = writeln!(text, "{}", paint(style::FAINT, &format!("go on with: {next}")));
    }
    text
}

fn aborted_page(aborted: &Aborted) -> String {
    let mut text = format!("the {} was given up\n", aborted.aborted);
    if let Some(folder) = &aborted.folder {
        let kept = count(aborted.kept.len() as u64, "edited file");
        let _ = writeln!(text, "{kept} kept in {}", shown(folder));
        for path in &aborted.kept {
            let _ = writeln!(text, "  {}", shown(path));
        }
    }
    text
}
