//! Agents and skills: files whose front matter says what they are.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use syncline_connect::{Error, ErrorKind, Result};

use super::files;
use super::held::is_plain;

/// Most files of one folder that are looked at.
const FILES_MAX: usize = 10_000;
/// The largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// The longest description that a line shows, in characters.
const DESCRIPTION_MAX: usize = 160;

/// The agents of a folder: each a Markdown file.
///
/// # Errors
/// When the folder or one of the files cannot be read.
pub(super) fn agents(folder: &Path) -> Result<BTreeMap<String, String>> {
    collect(folder, |name| {
        let stem = name.strip_suffix(".md")?;
        let is_agent = !stem.is_empty() && !stem.eq_ignore_ascii_case("readme");
        is_agent.then(|| (stem.to_owned(), name.to_owned()))
    })
}

/// The skills of a folder: each a folder with a `SKILL.md`.
///
/// # Errors
/// As [`agents`].
pub(super) fn skills(folder: &Path) -> Result<BTreeMap<String, String>> {
    collect(folder, |name| {
        let file = format!("{name}/SKILL.md");
        folder.join(&file).symlink_metadata().is_ok().then(|| (name.to_owned(), file))
    })
}

/// Names and descriptions of what `pick` takes for an item: it gives the name that an item has without front matter, and
/// its file.
fn collect(
    folder: &Path,
    pick: impl Fn(&str) -> Option<(String, String)>,
) -> Result<BTreeMap<String, String>> {
    let failed = |path: &Path, error| Error::io(error, format!("reading {}", path.display()));
    let odd = |what: String| Error::new(ErrorKind::Invalid, format!("{}: {what}", folder.display()));
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(failed(folder, error)),
    };
    let mut found = BTreeMap::new();
    for (count, entry) in entries.enumerate() {
        if count == FILES_MAX {
            return Err(odd(format!("it holds more than {FILES_MAX} files")));
        }
        let name = entry.map_err(|error| failed(folder, error))?.file_name();
        let Some((usual, file)) = name.to_str().filter(|name| !name.starts_with('.')).and_then(&pick) else {
            continue;
        };
        let path = folder.join(file);
        if !fs::metadata(&path).map_err(|error| failed(&path, error))?.is_file() {
            continue;
        }
        let bytes = files::read(&path, FILE_BYTES_MAX).map_err(|error| failed(&path, error))?;
        let text = String::from_utf8(bytes).map_err(|_| odd(format!("{usual:?} is no UTF-8 text")))?;
        let name = member(&text, "name").unwrap_or(usual);
        if !is_plain(&name) {
            return Err(odd("a name holds signs that no line can show".to_owned()));
        }
        if found.insert(name.clone(), member(&text, "description").unwrap_or_default()).is_some() {
            return Err(odd(format!("two files are called {name:?}")));
        }
    }
    Ok(found)
}

/// A member of the front matter, on one line. It is not read as YAML: clients take descriptions with colons in them that
/// no YAML reader does.
fn member(text: &str, name: &str) -> Option<String> {
    let mut lines = text.strip_prefix('\u{feff}').unwrap_or(text).lines();
    if lines.next()?.trim_end() != "---" {
        return None;
    }
    let mut lines = lines
        .take_while(|line| line.trim_end() != "---")
        .skip_while(|line| line.strip_prefix(name).is_none_or(|rest| !rest.starts_with(':')));
    let first = lines.next()?.strip_prefix(name)?.strip_prefix(':')?.trim();
    let folded = first.is_empty() || first.starts_with(['>', '|']);
    let value = if folded {
        let inner: Vec<&str> =
            lines.take_while(|line| line.starts_with([' ', '\t'])).map(str::trim).collect();
        inner.join(" ")
    } else {
        let quoted = |quote| first.strip_prefix(quote)?.strip_suffix(quote);
        quoted('"').or_else(|| quoted('\'')).unwrap_or(first).to_owned()
    };
    let line: String =
        value.replace("\\n", " ").chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    let short: String = line.chars().take(DESCRIPTION_MAX).collect();
    let cut = short.len() < line.len();
    (!line.is_empty()).then(|| if cut { format!("{}…", short.trim_end()) } else { short })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn front_matter_is_read_as_clients_read_it() {
        let text = "---\nname: reviewer\ndescription: Use this: when code\nother: 1\n---\n# name: no\n";
        assert_eq!(member(text, "name").as_deref(), Some("reviewer"));
        assert_eq!(member(text, "description").as_deref(), Some("Use this: when code"));
        assert_eq!(
            member("---\nname: \"q x\"\ndescription: >\n  two\n  lines\n---\n", "description").as_deref(),
            Some("two lines")
        );
        assert_eq!(member("# name: x\n", "name"), None);
        assert_eq!(member("---\nnames: x\n", "name"), None);
        assert!(
            member(&format!("---\nname: {}\n", "x".repeat(5000)), "name").unwrap().chars().count() <= 161
        );
    }

    #[test]
    fn agents_are_files_and_skills_are_folders() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        fs::create_dir_all(at("pdf")).unwrap();
        fs::create_dir_all(at("empty")).unwrap();
        fs::write(at("pdf/SKILL.md"), "---\nname: pdf-forms\ndescription: Fills forms\n---\n").unwrap();
        fs::write(at("plain.md"), "no front matter").unwrap();
        fs::write(at("README.md"), "about").unwrap();
        fs::write(at(".hidden.md"), "x").unwrap();
        assert_eq!(
            skills(folder.path()).unwrap().into_iter().collect::<Vec<_>>(),
            [("pdf-forms".to_owned(), "Fills forms".to_owned())]
        );
        assert_eq!(agents(folder.path()).unwrap().into_keys().collect::<Vec<_>>(), ["plain"]);
        assert!(agents(&at("nowhere")).unwrap().is_empty());
        fs::write(at("twice.md"), "---\nname: plain\n---\n").unwrap();
        assert!(agents(folder.path()).is_err());
    }
}
