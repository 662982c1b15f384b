//! The list of repositories: where each one is, and the folder that it becomes.

use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;
use syncline_connect::{Error, ErrorKind, Result};
use syncline_core::ItemPath;

/// Most bytes of a list file.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Most repositories in one list.
const REPOSITORIES_MAX: usize = 10_000;

/// One repository as it is written into the configuration.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Written {
    /// Its address; the folder is called after it.
    Url(String),
    /// Its address, and what else is to be said.
    Full(Named),
}

/// A repository with a folder name or a branch of its own.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Named {
    /// Where the repository is, in any form that the kind `git` takes.
    url: String,
    /// The folder. Without it, the last part of the url, `.git` left out.
    name: Option<String>,
    /// The branch. Without it, that of the whole list, else the repository's default.
    branch: Option<String>,
}

/// One repository of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Repository {
    /// The folder that it becomes.
    pub(super) name: ItemPath,
    pub(super) url: String,
    pub(super) branch: Option<String>,
}

/// Checks a list that was written into the configuration.
///
/// # Errors
/// When a name cannot be a folder, or two are the same.
pub(super) fn from_settings(written: &[Written]) -> Result<Vec<Repository>> {
    let repositories = written.iter().enumerate().map(|(at, written)| {
        let named = match written.clone() {
            Written::Url(url) => Named { url, name: None, branch: None },
            Written::Full(named) => named,
        };
        named.check().map_err(|why| invalid(format!("entry {} of `urls`: {why}", at + 1)))
    });
    distinct(repositories.collect::<Result<_>>()?)
}

/// Reads a list file: in each line `url`, `name url` or `name url branch`; what follows a `#` at the start of a word is
/// for people.
///
/// # Errors
/// When it cannot be read, or a line cannot be understood.
pub(super) fn from_file(file: &Path) -> Result<Vec<Repository>> {
    let shown = file.display();
    let failed = |error| Error::io(error, format_args!("reading the list of repositories in {shown}"));
    if std::fs::metadata(file).map_err(failed)?.len() > FILE_BYTES_MAX {
        return Err(invalid(format!("{shown} is larger than {FILE_BYTES_MAX} bytes: it is no list")));
    }
    let text = std::fs::read_to_string(file).map_err(failed)?;
    parse(&text).map_err(|why| invalid(format!("{shown}, {why}")))
}

fn parse(text: &str) -> std::result::Result<Vec<Repository>, String> {
    let mut repositories = Vec::new();
    for (at, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let words: Vec<&str> = line.split_whitespace().take_while(|word| !word.starts_with('#')).collect();
        let named = match words[..] {
            [] => continue,
            [url] => Named { url: url.to_owned(), name: None, branch: None },
            [name, url] => Named { url: url.to_owned(), name: Some(name.to_owned()), branch: None },
            [name, url, branch] => {
                Named { url: url.to_owned(), name: Some(name.to_owned()), branch: Some(branch.to_owned()) }
            }
            _ => return Err(format!("line {}: write `url`, `name url` or `name url branch`", at + 1)),
        };
        repositories.push(named.check().map_err(|why| format!("line {}: {why}", at + 1))?);
    }
    distinct(repositories).map_err(|error| error.to_string())
}

impl Named {
    fn check(self) -> std::result::Result<Repository, String> {
        let name = self.name.unwrap_or_else(|| called_after(&self.url).to_owned());
        let refused =
            |why: &str| format!("{name:?} cannot be a folder: {why}; give the repository another name");
        let path =
            ItemPath::parse(name.trim_end_matches('/')).map_err(|error| refused(&error.to_string()))?;
        if let Some(why) = path.protected() {
            return Err(refused(why));
        }
        if name.contains('\\') || name.chars().any(char::is_control) {
            return Err(refused("a backslash or a control character is in it"));
        }
        Ok(Repository { name: path, url: self.url, branch: self.branch })
    }
}

/// The last part of an address, without `.git`.
fn called_after(url: &str) -> &str {
    let url = url.trim_end_matches('/');
    let last = url.rsplit(['/', ':']).next().unwrap_or_default();
    last.strip_suffix(".git").unwrap_or(last)
}

/// Refuses names that some file system takes for the same, and folders inside each other.
fn distinct(mut repositories: Vec<Repository>) -> Result<Vec<Repository>> {
    if repositories.len() > REPOSITORIES_MAX {
        return Err(invalid(format!("more than {REPOSITORIES_MAX} repositories in one list")));
    }
    repositories.sort_by(|a, b| a.name.cmp(&b.name));
    let folded = |repository: &Repository| repository.name.as_str().to_lowercase();
    let mut names: Vec<String> = repositories.iter().map(folded).collect();
    names.sort_by(|a, b| a.split('/').cmp(b.split('/')));
    for pair in names.windows(2) {
        if pair[0] == pair[1] {
            return Err(invalid(format!("two repositories are called {:?}; give one another name", pair[0])));
        }
        if pair[1].strip_prefix(pair[0].as_str()).is_some_and(|rest| rest.starts_with('/')) {
            return Err(invalid(format!("the folder {:?} lies inside that of {:?}", pair[1], pair[0])));
        }
    }
    Ok(repositories)
}

/// A refusal of the settings or the list.
pub(super) fn invalid(message: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Invalid, format!("repositories: {message}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> std::result::Result<Vec<String>, String> {
        let show = |r: Repository| format!("{} {} {}", r.name, r.url, r.branch.unwrap_or_else(|| "-".into()));
        Ok(parse(text)?.into_iter().map(show).collect())
    }

    #[test]
    fn lines_are_understood() {
        let text = "\u{feff}# all of them\n\nhttps://host/oca/web.git\r\n  crm\tgit@host:oca/crm.git  # a remark\n\
                    oca/hr ../hr.git 17.0\nhost:tools/\n";
        let expected = [
            "crm git@host:oca/crm.git -",
            "oca/hr ../hr.git 17.0",
            "tools host:tools/ -",
            "web https://host/oca/web.git -",
        ];
        assert_eq!(shown(text).unwrap(), expected);
    }

    #[test]
    fn names_that_are_no_folder_of_their_own_are_refused() {
        for (text, line) in [
            ("../x https://host/x", 1),
            ("ok https://host/x\n/etc https://host/y", 2),
            (".git https://host/x", 1),
            ("a/.GIT/b https://host/x", 1),
            ("a\\..\\b https://host/x", 1),
            ("https://host/..", 1),
            ("https://host/.git", 1),
            (".syncline https://host/x", 1),
            ("one two three four", 1),
        ] {
            let error = shown(text).expect_err(text);
            assert!(error.contains(&format!("line {line}: ")), "{error}");
        }
        for text in
            ["a https://h/x\na https://h/y", "a h:x\nA h:y", "a h:x\nb h:y\na/b h:z", "h:x.git\nh:y/x"]
        {
            assert!(shown(text).is_err(), "{text}");
        }
        assert!(shown("a h:x\na-b h:y\na.c h:z\nb h:x").is_ok(), "one repository may be two folders");
    }
}
