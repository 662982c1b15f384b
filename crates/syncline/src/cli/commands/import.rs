//! `syncline import`.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use syncline_service::Problem;
use syncline_service::import::{FILE_BYTES_MAX, Fate};
use syncline_service::operations::import_files::{self, File, Request, Response, import_files};

use crate::cli::output::Output;
use crate::cli::report_file;
use crate::cli::session::current_folder;
use crate::cli::text::{count, paint, shown, style};
use crate::wiring;

/// Most backups of one file.
const BACKUPS_MAX: usize = 1000;

/// Make a `syncline.yaml` of the files of older tools.
///
/// Each file is recognised by what it holds, and you are told what becomes of each of its keys. No secret gets into the
/// new file: it is referred to. The old files are only read.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  syncline import --dry-run .sync_env             only show what would be written, and why
  syncline import .sync_env sync/sync_state.json  make one file of both
  syncline import config/sync_config.json --out other.yaml")]
pub(crate) struct Import {
    /// state.json, sync_state.json, sync_config.json, .sync_env, or the sync-state.json of Claude.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The file to write.
    #[arg(long, value_name = "FILE", default_value = "syncline.yaml")]
    out: PathBuf,
    /// Show what would be written, and write nothing.
    #[arg(long)]
    dry_run: bool,
    /// Replace a file that is there; it is kept beside the new one.
    #[arg(long)]
    force: bool,
}

/// What was made, and where it is.
#[derive(Serialize)]
struct Made {
    #[serde(flatten)]
    response: Response,
    /// The file that was written; `null` when none was.
    written: Option<String>,
    /// What the file that was there is called now.
    backup: Option<String>,
}

impl Import {
    /// Runs the command.
    pub(crate) fn run(self, output: &Output) -> Result<u8, Problem> {
        let out = current_folder()?.join(&self.out);
        let is_there = std::fs::metadata(&out).is_ok_and(|there| !is_stream(&there));
        if is_there && !self.force && !self.dry_run {
            return Err(exists(&out));
        }
        let files = self.files.iter().map(|file| read(file)).collect::<Result<Vec<_>, _>>()?;
        let kinds = syncline_service::kind_schemas(&wiring::registry());
        let response = import_files(&Request { files }, &out, &kinds)?;
        let (mut written, mut backup) = (None, None);
        if !self.dry_run {
            backup = put(&out, response.text.as_bytes(), self.force)?;
            written = Some(out.display().to_string());
        }
        for warning in &response.warnings {
            output.warn(shown(warning));
        }
        let made = Made { response, written, backup: backup.map(|file| file.display().to_string()) };
        output.result(&made, || describe(&made));
        Ok(0)
    }
}

/// Reads a file that may be anything.
fn read(file: &Path) -> Result<File, Problem> {
    let name = file.display().to_string();
    let failed = |error| Problem::io(error, format_args!("reading {}", file.display()));
    // Asked first, because opening a pipe would wait for its writer.
    if !std::fs::metadata(file).map_err(failed)?.is_file() {
        let problem = Problem::usage("unknown_file", format!("{name} is no file"));
        return Err(problem.with_hint("name the files that are to be imported, one by one"));
    }
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file).map_err(failed)?;
    opened.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(import_files::too_large(&name));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(File { name, text }),
        Err(_) => Err(Problem::usage("not_utf8", format!("{name} is not UTF-8 text"))
            .with_hint("save it as UTF-8, or name another file")),
    }
}

/// Puts the configuration in its place; where the file that was there is kept.
fn put(out: &Path, bytes: &[u8], force: bool) -> Result<Option<PathBuf>, Problem> {
    let there = match std::fs::metadata(out) {
        Ok(there) if is_stream(&there) => return report_file::write(out, bytes).map(|()| None),
        Ok(_) if force => std::fs::read(out),
        // Whoever has made one meanwhile is not overwritten.
        _ if report_file::write_new(out, bytes)? => return Ok(None),
        _ if !force => return Err(exists(out)),
        _ => std::fs::read(out),
    };
    let there = there.map_err(|error| Problem::io(error, format_args!("reading {}", out.display())))?;
    let backup = keep(out, &there)?;
    report_file::write(out, bytes)?;
    Ok(Some(backup))
}

/// Keeps what a file holds under the first name beside it that is free.
fn keep(out: &Path, bytes: &[u8]) -> Result<PathBuf, Problem> {
    for number in 1..=BACKUPS_MAX {
        let mut name = out.as_os_str().to_owned();
        name.push(format!(".{number}.bak"));
        let backup = PathBuf::from(name);
        if report_file::write_new(&backup, bytes)? {
            return Ok(backup);
        }
    }
    let message = format!("{} has {BACKUPS_MAX} backups already; nothing was written", out.display());
    Err(Problem::usage("exists", message).with_hint("remove those that you do not need"))
}

fn is_stream(there: &std::fs::Metadata) -> bool {
    !there.is_file() && !there.is_dir()
}

fn exists(out: &Path) -> Problem {
    let message = format!("{} exists already; nothing was written", out.display());
    Problem::usage("exists", message)
        .with_hint("`--dry-run` shows what would be written, `--out` writes elsewhere, `--force` replaces it and keeps a backup")
}

fn describe(made: &Made) -> String {
    let mut text = String::new();
    for source in &made.response.files {
        let _ = writeln!(
            text,
            "{}  {}",
            paint(style::STRONG, &shown(&source.name)),
            source.recognised.describe()
        );
        let keys: Vec<_> = made.response.keys.iter().filter(|told| told.file == source.name).collect();
        let width = keys.iter().map(|told| shown(&told.key).chars().count()).max().unwrap_or_default();
        for told in keys {
            let sign = match told.fate {
                Fate::Taken => paint(style::GOOD, "✓ taken over"),
                Fate::Commented => paint(style::CHANGE, "# as comment"),
                Fate::Left => paint(style::FAINT, "- left      "),
            };
            let _ = writeln!(text, "  {sign}  {:<width$}  {}", shown(&told.key), shown(&told.message));
        }
    }
    let left = made.response.keys.iter().filter(|told| told.fate == Fate::Left).count();
    match (&made.written, &made.backup) {
        (None, _) => {
            let _ = writeln!(text, "\n{}\n", paint(style::FAINT, "nothing was written; this is the file:"));
            text.push_str(&made.response.text);
        }
        (Some(file), backup) => {
            let _ = writeln!(text, "\n{} wrote {}", paint(style::GOOD, "✓"), shown(file));
            if let Some(backup) = backup {
                let _ = writeln!(text, "  what was there is kept as {}", shown(backup));
            }
            let _ = writeln!(
                text,
                "  {} not taken over; the old files are as they were",
                count(left as u64, "key")
            );
            text.push_str(match made.response.targets {
                0 => "\nNothing in it can be run by this version: all of it is a comment. Add a target of yours.\n",
                _ => "\nNext:\n  syncline plan  see what would be done\n  syncline run   do it\n",
            });
        }
    }
    text
}
