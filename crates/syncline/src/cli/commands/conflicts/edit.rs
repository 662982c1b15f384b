//! Merging by hand: the versions are written into a private folder, and an editor or a merge tool makes one of them.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use syncline_core::merge::{VERSION_BYTES_MAX, has_open_markers};
use syncline_service::operations::merge_conflict::{Prepared, prepare};
use syncline_service::operations::resolve_conflict::{Response, resolve_conflict_with};
use syncline_service::{Class, Problem};
use tempfile::TempDir;

use crate::cli::args::Globals;
use crate::cli::output::Output;
use crate::cli::text::shown;
use crate::cli::{runtime, session};

/// Who asks, for the records of runs.
const CAUSE: &str = "command line";
/// The names of the files, as a merge tool is told them.
const NAMES: [&str; 4] = ["BASE", "LOCAL", "REMOTE", "MERGED"];
/// Longest extension that is kept, so that an editor knows what it edits.
const EXTENSION_MAX: usize = 16;

/// Lets a person merge the versions of a conflict, and settles it with what they made.
pub(super) fn edit(globals: &Globals, id: &str, output: &Output) -> Result<Response, Problem> {
    let service = session::open(globals, output, CAUSE)?;
    let prepared = runtime::block_on(prepare(&service, id))?;
    let desk = Desk::lay(&prepared)?;
    if let Some(note) = &prepared.note {
        output.note(format!("{}: {}", shown(&prepared.path), shown(note)));
    }
    desk.open(service.workspace().merge_tool.as_deref(), output)?;
    let merged = desk.take(&prepared)?;
    // Hours may have passed: the workspace is opened anew.
    let service = session::open_quietly(globals, output, CAUSE)?;
    let settled = runtime::block_on(resolve_conflict_with(&service, &prepared.id, merged, prepared.seen));
    match settled {
        Ok(response) if response.conflicts.iter().all(|conflict| conflict.resolved) => Ok(response),
        other => {
            // What somebody made by hand is not thrown away because it could not be used.
            output.warn(format!("what you merged is kept at {}", desk.keep().display()));
            other
        }
    }
}

/// A private folder with the versions.
struct Desk {
    folder: TempDir,
    files: [PathBuf; 4],
}

impl Desk {
    fn lay(prepared: &Prepared) -> Result<Self, Problem> {
        let failed = |error| Problem::io(error, "writing the versions into a temporary folder");
        let mut builder = tempfile::Builder::new();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(fs::Permissions::from_mode(0o700));
        }
        let folder = builder.prefix("syncline-merge-").tempdir().map_err(failed)?;
        let extension = extension(&prepared.path);
        let files = NAMES.map(|name| folder.path().join(format!("{name}{extension}")));
        let base = prepared.base.as_deref().unwrap_or_default();
        let contents = [base, &prepared.versions.local, &prepared.versions.remote, &prepared.merged];
        for (file, content) in files.iter().zip(contents) {
            fs::write(file, content).map_err(failed)?;
        }
        Ok(Self { folder, files })
    }

    fn merged(&self) -> &Path {
        &self.files[3]
    }

    /// Opens the merge tool, or else the editor, and waits until it ends.
    fn open(&self, tool: Option<&str>, output: &Output) -> Result<(), Problem> {
        let words = self.words(tool)?;
        let (program, arguments) = words.split_first().ok_or_else(no_editor)?;
        let mut command = Command::new(program);
        command.args(arguments).current_dir(session::current_folder()?);
        command.envs(NAMES.iter().zip(&self.files));
        if output.is_json() {
            command.stdout(Stdio::from(std::io::stderr()));
        }
        let name = program.to_string_lossy();
        let status = command
            .status()
            .map_err(|error| Problem::io(error, format_args!("starting {}", shown(&name))))?;
        if status.success() {
            return Ok(());
        }
        let message = format!(
            "{} ended with {status}; nothing was changed, and the conflict is still open",
            shown(&name)
        );
        Err(Problem::new(Class::Failed, "editor_failed", message))
    }

    fn words(&self, tool: Option<&str>) -> Result<Vec<OsString>, Problem> {
        if let Some(tool) = tool {
            let words = split("merge_tool", tool)?;
            return Ok(words.iter().map(|word| self.filled(word)).collect());
        }
        let named = |name: &'static str| {
            let value = std::env::var(name).ok().filter(|value| !value.trim().is_empty());
            value.map(|value| (name, value))
        };
        let (name, editor) = named("VISUAL").or_else(|| named("EDITOR")).ok_or_else(no_editor)?;
        let mut words: Vec<OsString> = split(name, &editor)?.into_iter().map(OsString::from).collect();
        words.push(self.merged().into());
        Ok(words)
    }

    /// A word with the paths in the places of their names. No shell reads the result.
    fn filled(&self, word: &str) -> OsString {
        let mut filled = OsString::new();
        let mut rest = word;
        while let Some(at) = rest.find('$') {
            filled.push(&rest[..at]);
            rest = &rest[at..];
            let found =
                NAMES.iter().zip(&self.files).find_map(|(name, file)| Some((after(rest, name)?, file)));
            match found {
                Some((after, file)) => {
                    filled.push(file);
                    rest = after;
                }
                None => {
                    filled.push("$");
                    rest = &rest[1..];
                }
            }
        }
        filled.push(rest);
        filled
    }

    /// What was made, when it can be used.
    fn take(&self, prepared: &Prepared) -> Result<Vec<u8>, Problem> {
        let failed = |error| Problem::io(error, "reading what was merged");
        let about = fs::metadata(self.merged()).map_err(failed)?;
        if about.len() > VERSION_BYTES_MAX as u64 {
            let message = format!(
                "what was merged has {} bytes, and at most {VERSION_BYTES_MAX} can be taken",
                about.len()
            );
            return Err(Problem::usage("too_large", message));
        }
        let merged = fs::read(self.merged()).map_err(failed)?;
        let stays = "nothing was changed, and the conflict is still open";
        if has_open_markers(&merged) {
            let message = format!("conflict markers are left; {stays}");
            return Err(Problem::new(Class::Stale, "open_markers", message)
                .with_hint("edit it again, and finish every marked place"));
        }
        if merged == prepared.merged {
            let problem =
                Problem::new(Class::Stale, "not_edited", format!("the file was left as it was; {stays}"));
            return Err(match prepared.clean {
                true => problem.with_hint("`--take merged` takes the clean merge as it is"),
                false => problem.with_hint("edit it, save it and leave the editor"),
            });
        }
        Ok(merged)
    }

    /// Leaves the folder where it is; the file that was made.
    fn keep(self) -> PathBuf {
        let merged = self.files[3].clone();
        let _ = self.folder.keep();
        merged
    }
}

/// The extension of a path with its dot, when it has nothing in it that a program could trip over.
fn extension(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or_default();
    match name.rsplit_once('.') {
        Some((stem, extension))
            if !stem.is_empty()
                && extension.len() <= EXTENSION_MAX
                && extension.bytes().all(|byte| byte.is_ascii_alphanumeric()) =>
        {
            format!(".{extension}")
        }
        _ => String::new(),
    }
}

/// What follows `$NAME` or `${NAME}` at the beginning of `text`.
fn after<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let text = text.strip_prefix('$')?;
    if let Some(braced) = text.strip_prefix('{') {
        return braced.strip_prefix(name)?.strip_prefix('}');
    }
    let rest = text.strip_prefix(name)?;
    (!rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')).then_some(rest)
}

fn split(name: &str, command: &str) -> Result<Vec<String>, Problem> {
    let words = shlex::split(command).ok_or_else(|| {
        Problem::usage("bad_command", format!("{name} is no command: a quote is not closed in {command:?}"))
    })?;
    if words.is_empty() { Err(no_editor()) } else { Ok(words) }
}

fn no_editor() -> Problem {
    Problem::usage("no_editor", "no editor is known")
        .with_hint("set EDITOR or VISUAL, or `merge_tool` in syncline.yaml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_for_the_files_and_nothing_else() {
        let files = ["/t/a b/BASE", "/t/LOCAL", "/t/REMOTE", "/t/MERGED"].map(PathBuf::from);
        let desk = Desk { folder: tempfile::tempdir().unwrap(), files };
        let filled = |word: &str| desk.filled(word).into_string().unwrap();
        assert_eq!(filled("$BASE"), "/t/a b/BASE");
        assert_eq!(filled("--out=${MERGED}.new"), "--out=/t/MERGED.new");
        assert_eq!(filled("$LOCALE $5 $"), "$LOCALE $5 $");
        assert_eq!(filled("$LOCAL$REMOTE"), "/t/LOCAL/t/REMOTE");
    }

    #[test]
    fn only_harmless_extensions_are_kept() {
        assert_eq!(extension("a/b.md"), ".md");
        assert_eq!(extension("a.b/.env"), "");
        assert_eq!(extension("x.$(reboot)"), "");
        assert_eq!(extension("x"), "");
    }
}
