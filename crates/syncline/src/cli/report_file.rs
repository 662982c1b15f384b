//! Files that commands write for other programs: whole, or not at all.

use std::io::Write;
use std::path::Path;

use serde::Serialize;
use syncline_service::Problem;
use syncline_service::wire::Report;

/// Writes a report: as Markdown when the name ends in `.md`, as JUnit XML when it ends in `.xml`, as JSON otherwise.
pub(crate) fn write_report(file: &Path, report: &Report) -> Result<(), Problem> {
    if is_markdown(file) {
        return write(file, report.to_markdown().as_bytes());
    }
    if has_extension(file, "xml") {
        return write(file, report.to_junit()?.as_bytes());
    }
    write_json(file, report)
}

/// Whether a file is to hold Markdown, by its name.
pub(crate) fn is_markdown(file: &Path) -> bool {
    has_extension(file, "md")
}

fn has_extension(file: &Path, wanted: &str) -> bool {
    file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(wanted))
}

/// Writes a JSON document.
pub(crate) fn write_json<T: Serialize>(file: &Path, value: &T) -> Result<(), Problem> {
    let mut text = serde_json::to_vec_pretty(value)
        .map_err(|error| Problem::usage("bad_document", format!("{}: {error}", file.display())))?;
    text.push(b'\n');
    write(file, &text)
}

/// Puts a file in its place with one rename, so that no reader ever sees half of it.
///
/// A device or a pipe, such as `/dev/stdout`, is written to: a rename would replace it.
pub(crate) fn write(file: &Path, bytes: &[u8]) -> Result<(), Problem> {
    let failed = |error: std::io::Error| failed(error, file);
    let there = std::fs::metadata(file).ok();
    if there.as_ref().is_some_and(|there| !there.is_file() && !there.is_dir()) {
        let opened = std::fs::File::options().write(true).open(file);
        return opened.and_then(|mut opened| opened.write_all(bytes)).map_err(failed);
    }
    // A link keeps leading to the file.
    let resolved = there.and_then(|_| file.canonicalize().ok());
    let file = resolved.as_deref().unwrap_or(file);
    staged(file, bytes).map_err(failed)?.persist(file).map_err(|error| failed(error.error))?;
    Ok(())
}

/// As [`write`], where nothing is yet; whether nothing was.
pub(crate) fn write_new(file: &Path, bytes: &[u8]) -> Result<bool, Problem> {
    match staged(file, bytes).map_err(|error| failed(error, file))?.persist_noclobber(file) {
        Ok(_) => Ok(true),
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(failed(error.error, file)),
    }
}

/// The bytes, safe on the disk beside the file that they become.
fn staged(file: &Path, bytes: &[u8]) -> std::io::Result<tempfile::NamedTempFile> {
    let folder =
        file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let mut temporary = builder.prefix(".syncline-").tempfile_in(folder)?;
    temporary.write_all(bytes)?;
    temporary.as_file().sync_all()?;
    Ok(temporary)
}

fn failed(error: std::io::Error, file: &Path) -> Problem {
    Problem::io(error, format_args!("writing {}", file.display()))
}
