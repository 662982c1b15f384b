//! The ignore file: finding it, reading it with care, and what one of the workspace says about a folder below.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::Path;
use std::time::SystemTime;

use globset::GlobBuilder;
use syncline_core::ItemPath;

use crate::problem::{Problem, Result};

/// The name of the ignore file.
pub(crate) const NAME: &str = ".synclineignore";
/// Largest ignore file that is read, in bytes.
const BYTES_MAX: u64 = 1024 * 1024;

/// The ignore rules of a target whose folder is `local_root`: those of its own file, or when there is none, what
/// the file of the workspace says about `folder`, its path inside the workspace.
pub(crate) fn rules(
    workspace: &Path,
    local_root: &Path,
    folder: Option<&ItemPath>,
) -> Result<Option<String>> {
    if let Some(own) = read(&local_root.join(NAME))? {
        return Ok(Some(own));
    }
    let Some(folder) = folder else { return Ok(None) };
    let above = read(&workspace.join(NAME))?;
    Ok(above.map(|text| text.lines().map(|line| narrowed(line, folder)).collect()))
}

/// By what a change of the ignore file in `folder` is noticed.
pub(crate) fn stamp_in(folder: &Path) -> Stamp {
    stamp(&folder.join(NAME))
}

/// When a file was last modified, and its size; `None` when there is none.
pub(crate) type Stamp = Option<(SystemTime, u64)>;

/// The stamp of one file.
pub(crate) fn stamp(file: &Path) -> Stamp {
    let metadata = std::fs::symlink_metadata(file).ok()?;
    Some((metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH), metadata.len()))
}

/// Reads an ignore file: a regular one of bounded size, never through a symbolic link.
fn read(file: &Path) -> Result<Option<String>> {
    let failed = |error| Problem::io(error, format_args!("reading {}", file.display()));
    let refused = |what: &str| Err(Problem::usage("ignore_file", format!("{} {what}", file.display())));
    match std::fs::symlink_metadata(file) {
        // Looked at before it is opened: opening a pipe would wait for somebody to write.
        Ok(metadata) if !metadata.is_file() => return refused(not_regular(&metadata)),
        Ok(_) => {}
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(failed(error)),
    }
    let mut bytes = Vec::new();
    let opened = File::open(file).and_then(|file| file.take(BYTES_MAX + 1).read_to_end(&mut bytes));
    opened.map_err(failed)?;
    if bytes.len() as u64 > BYTES_MAX {
        return refused(&format!("is too large (at most {BYTES_MAX} bytes)"));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(text)),
        Err(_) => refused("is not UTF-8 text"),
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn not_regular(metadata: &Metadata) -> &'static str {
    if metadata.is_symlink() {
        "is a symbolic link, which is never followed: put the rules themselves there"
    } else {
        "is not a regular file"
    }
}

/// What a line of the workspace's ignore file says about paths relative to `folder`: lines of their own, or nothing.
///
/// A pattern without `/` is about names at any depth, so it stays. One with `/` is about the whole path, so what it
/// says of `folder` is taken off its front; see `gitignore(5)`. One that names `folder` itself, or a folder above
/// it, is dropped: who makes a target of a folder that others are to leave alone wants what is in it.
fn narrowed(line: &str, folder: &ItemPath) -> String {
    let (sign, pattern) = line.strip_prefix('!').map_or(("", line), |pattern| ("!", pattern));
    let pattern = without_trailing_spaces(pattern);
    let plain = pattern.strip_suffix('/').unwrap_or(pattern);
    if line.starts_with('#') || !plain.contains('/') {
        return format!("{line}\n");
    }
    let end = &pattern[plain.len()..];
    let parts: Vec<&str> = plain.strip_prefix('/').unwrap_or(plain).split('/').collect();
    let names: Vec<&str> = folder.as_str().split('/').collect();
    let mut rests = Vec::new();
    rests_below(&parts, &names, &mut rests);
    rests.dedup();
    rests.iter().map(|rest| format!("{sign}/{}{end}\n", rest.join("/"))).collect()
}

/// Spaces at the end say nothing, unless a backslash keeps them.
fn without_trailing_spaces(pattern: &str) -> &str {
    let plain = pattern.trim_end_matches(' ');
    if plain.ends_with('\\') { pattern } else { plain }
}

/// What is left of a pattern for paths below the folder of these names; `**` stands for any number of them.
fn rests_below<'a, 'p>(parts: &'a [&'p str], names: &[&str], rests: &mut Vec<&'a [&'p str]>) {
    let Some((first, after)) = parts.split_first() else { return };
    let Some((name, below)) = names.split_first() else {
        rests.push(parts);
        return;
    };
    if *first == "**" {
        rests_below(parts, below, rests);
        rests_below(after, names, rests);
    } else if names_it(first, name) {
        rests_below(after, below, rests);
    }
}

fn names_it(part: &str, name: &str) -> bool {
    let glob = GlobBuilder::new(part).literal_separator(true).backslash_escape(true).build();
    // What is no glob is told when the rules are compiled, if it applies at all.
    glob.map_or(part == name, |glob| glob.compile_matcher().is_match(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_the_workspace_are_narrowed_to_a_folder() {
        let rows = [
            ("names stay", "*.log", "shared", "*.log\n"),
            ("names of folders too", "!build/", "shared", "!build/\n"),
            ("comments stay", "# a/b", "shared", "# a/b\n"),
            ("the front is taken off", "shared/private/", "shared", "/private/\n"),
            ("a slash in front changes nothing", "!/shared/a/*.md  ", "shared", "!/a/*.md\n"),
            ("elsewhere", "other/private/", "shared", ""),
            ("anchored elsewhere", "/build", "shared", ""),
            ("the folder itself", "/shared/", "shared", ""),
            ("a folder above", "docs/a/", "docs/a/b", ""),
            ("deeper", "docs/a/b/c", "docs/a", "/b/c\n"),
            ("globs in front", "*/private", "shared", "/private\n"),
            ("globs elsewhere", "s*d/private", "other", ""),
            ("everything in it", "shared/**", "shared", "/**\n"),
            ("any depth", "**/tmp", "shared", "/**/tmp\n"),
            ("any depth, then the folder", "**/shared/x", "shared", "/**/shared/x\n/x\n"),
        ];
        for (what, line, folder, expected) in rows {
            assert_eq!(narrowed(line, &ItemPath::parse(folder).unwrap()), expected, "{what}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn only_a_regular_file_of_bounded_size_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(NAME);
        assert_eq!(read(&file).unwrap(), None);
        std::fs::write(folder.path().join("rules"), "*.o").unwrap();
        std::os::unix::fs::symlink("rules", &file).unwrap();
        assert_eq!(read(&file).unwrap_err().exit_code(), 2);
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(&file).unwrap();
        assert_eq!(read(&file).unwrap_err().code, "ignore_file");
        std::fs::remove_dir(&file).unwrap();
        File::create(&file).unwrap().set_len(BYTES_MAX + 1).unwrap();
        assert!(read(&file).unwrap_err().message.contains("too large"));
        std::fs::write(&file, [0xff]).unwrap();
        assert!(read(&file).unwrap_err().message.contains("UTF-8"));
        std::fs::write(&file, "*.o").unwrap();
        assert_eq!(read(&file).unwrap().as_deref(), Some("*.o"));
    }
}
