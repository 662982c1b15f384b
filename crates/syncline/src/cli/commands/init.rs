//! `syncline init`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use syncline_service::{Problem, wire};

use super::Direction;
use crate::cli::output::Output;
use crate::cli::report_file;
use crate::cli::session::{current_folder, normalised};
use crate::cli::text::{paint, quoted, shown, style};
use crate::wiring;

/// The configuration file.
const FILE: &str = "syncline.yaml";
/// The ignore file.
const IGNORE_FILE: &str = ".synclineignore";
/// The schema that editors use.
const SCHEMA_FILE: &str = "syncline.schema.json";
/// What the ignore file says at first.
const IGNORE_TEXT: &str = "\
# What is never synced, in the syntax of .gitignore. Git's and Syncline's own files never are anyway.
*.tmp
*.swp
*~
.DS_Store
Thumbs.db
";

/// Make a workspace of a folder: write a configuration to start from.
///
/// Nothing is synced yet, and no file that exists is touched.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  syncline init --remote /mnt/backup/notes          this folder and that one
  syncline init notes --remote ../copy --name notes
  syncline init --remote /mnt/nas --direction push  only ever write the remote
  syncline init --preset pair                       this clone and its upstream, which another machine has too")]
pub(crate) struct Init {
    /// The folder [default: the working directory]; made when it is missing.
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
    /// The folder to keep it in agreement with; a relative one starts at the working directory.
    #[arg(long, value_name = "PATH", required_unless_present = "preset")]
    remote: Option<PathBuf>,
    /// Start from a ready-made configuration instead.
    #[arg(long, value_name = "PRESET", value_enum, conflicts_with_all = ["remote", "direction"])]
    preset: Option<Preset>,
    /// The name of the target.
    #[arg(long, value_name = "TARGET", default_value = "main")]
    name: String,
    /// The name of this machine [default: its host name].
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// Which way changes may flow.
    #[arg(long, value_enum, default_value = "bidirectional")]
    direction: Direction,
    /// Also write the JSON Schema of the configuration, for editors.
    #[arg(long)]
    schema: bool,
}

/// A ready-made configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Preset {
    /// Two machines that work on clones of one Git repository: everything is committed, merged and pushed.
    Pair,
}

/// What was written.
#[derive(Serialize)]
struct Written {
    version: u32,
    workspace: String,
    config: String,
    files: Vec<String>,
}

impl Init {
    /// Runs the command.
    pub(crate) fn run(self, output: &Output) -> Result<u8, Problem> {
        let here = current_folder()?;
        let folder = self.folder.as_ref().map_or_else(|| here.clone(), |folder| here.join(folder));
        let file = folder.join(FILE);
        if let Some(there) =
            syncline_config::discover(&folder).filter(|there| there.parent() == file.parent())
        {
            let message = format!("{} exists already; nothing was written", there.display());
            return Err(Problem::usage("exists", message).with_hint("edit it, or remove it first"));
        }
        let text = self.text(&here, &file)?;
        std::fs::create_dir_all(&folder)
            .map_err(|error| Problem::io(error, format_args!("making {}", folder.display())))?;
        let mut files = vec![FILE];
        report_file::write(&file, text.as_bytes())?;
        if !folder.join(IGNORE_FILE).exists() {
            report_file::write(&folder.join(IGNORE_FILE), IGNORE_TEXT.as_bytes())?;
            files.push(IGNORE_FILE);
        }
        if self.schema {
            let schema = syncline_config::schema(&syncline_service::kind_schemas(&wiring::registry()));
            report_file::write_json(&folder.join(SCHEMA_FILE), &schema)?;
            files.push(SCHEMA_FILE);
        }
        let written = Written {
            version: wire::VERSION,
            workspace: folder.display().to_string(),
            config: file.display().to_string(),
            files: files.into_iter().map(str::to_owned).collect(),
        };
        output.result(&written, || self.next_steps(&here, &folder, &written));
        Ok(0)
    }

    /// The file's text, as it will be understood.
    fn text(&self, here: &Path, file: &Path) -> Result<String, Problem> {
        let Some(remote) = &self.remote else {
            let text = syncline_config::starter_pair(self.node.as_deref(), &self.name);
            parse(&text, file)?;
            return Ok(text);
        };
        let node = match &self.node {
            Some(node) => node.clone(),
            None => host_name(file)?,
        };
        refuse_address(remote)?;
        let whole = normalised(&here.join(remote));
        refuse_other_things(&whole)?;
        let remote = whole.to_str().ok_or_else(|| {
            Problem::usage("bad_path", format!("the path {} is not UTF-8 text", remote.display()))
        })?;
        let text = syncline_config::starter(&node, remote, &self.name);
        let chosen = format!("direction: {}", wire::Direction::from(self.direction).name());
        let text = text.replacen("direction: bidirectional", &chosen, 1);
        parse(&text, file)?;
        Ok(text)
    }

    fn next_steps(&self, here: &Path, folder: &Path, written: &Written) -> String {
        let mut text = format!("{} wrote {}\n", paint(style::GOOD, "✓"), written.files.join(", "));
        let _ = writeln!(text, "  in {}", shown(&written.workspace));
        if let Some(remote) = self.remote.as_ref().filter(|remote| !here.join(remote).exists()) {
            let note = format!("{} does not exist yet; the first run makes it", remote.display());
            let _ = writeln!(text, "  {}", paint(style::FAINT, &shown(&note)));
        }
        text.push_str("\nNext:\n");
        if folder != here {
            let _ = writeln!(text, "  cd {}", quoted(&folder.display().to_string()));
        }
        let again = match self.preset {
            Some(Preset::Pair) => "syncline run --watch --interval 60s",
            None => "syncline run --watch",
        };
        let width = again.len() + 2;
        for (command, what) in
            [("syncline plan", "see what would be done"), ("syncline run", "do it"), (again, "keep doing it")]
        {
            let _ = writeln!(text, "  {command:<width$}{}", paint(style::FAINT, what));
        }
        text
    }
}

/// Understands a configuration as a run would.
fn parse(text: &str, file: &Path) -> Result<syncline_config::Workspace, Problem> {
    let kinds = syncline_service::kind_schemas(&wiring::registry());
    Ok(syncline_config::parse(text, file, &std::collections::BTreeMap::new(), &kinds)?)
}

/// The name that this machine has when the file does not give it one.
fn host_name(file: &Path) -> Result<String, Problem> {
    Ok(parse("version: \"1.0\"\n", file)?.node)
}

/// Refuses what is plainly the address of something else than a folder: it would become the name of one.
fn refuse_address(remote: &Path) -> Result<(), Problem> {
    let text = remote.to_string_lossy();
    let host = text.split_once(':').is_some_and(|(host, _)| host.len() > 1 && !host.contains('/'));
    if text.contains("://") || host || text.starts_with('~') {
        let message = format!("{text} is no folder on this machine");
        let hint = if text.contains("://") || text.contains('@') {
            "name a folder by its path; for a Git repository, write `remote: { kind: git, url: … }` into syncline.yaml"
        } else {
            "name a folder by its path; write ./ in front when its name really looks like this"
        };
        return Err(Problem::usage("bad_remote", message).with_hint(hint));
    }
    Ok(())
}

/// Refuses what is there and no folder: no run could ever use it.
fn refuse_other_things(remote: &Path) -> Result<(), Problem> {
    let (what, hint) = match std::fs::symlink_metadata(remote) {
        Ok(found) if found.is_symlink() => ("a symbolic link", "name the folder itself"),
        Ok(found) if !found.is_dir() => {
            ("a file", "name a folder; one that is missing is made by the first run")
        }
        _ => return Ok(()),
    };
    let message = format!("{} is {what}, not a folder", remote.display());
    Err(Problem::usage("bad_remote", message).with_hint(hint))
}
