//! What is said of a script that failed: how it ended, its last words, and what to do.

use std::collections::BTreeMap;

use syncline_connect::{Error, ErrorKind};

use super::Script;
use crate::process::{End, Finished, one_line};

/// How many of its last lines are shown of a script that failed.
pub(super) const LAST_LINES: usize = 8;
/// What programs say of a file or folder that is not there.
const NOT_THERE: &[&str] =
    &["No such file or directory", "Directory nonexistent", "can't cd to", "Not a directory", "ENOENT"];
/// What programs say of a variable that is not there.
const NOT_SET: &[&str] = &[
    "unbound variable",
    "parameter not set",
    "parameter null or not set",
    "KeyError",
    "not set",
    "not found",
    "missing",
];
/// Variables that a shell keeps for itself, in our environment as in that of the script.
const OF_THE_SHELL: &[&str] = &["PWD", "OLDPWD", "SHLVL"];

/// A variable that a script has missed.
#[derive(Debug, PartialEq, Eq)]
enum Missed<'a> {
    /// Our own environment has it, and the script was not granted it.
    NotGranted(&'a str),
    /// Nobody has it.
    Unknown(&'a str),
}

/// What is said of a script that failed; `environment` is all that it was given.
pub(super) fn failure(script: &Script, finished: &Finished, environment: &BTreeMap<String, String>) -> Error {
    let how = finished.end.describe(&script.limits);
    let words = script.redacted(&finished.last_words(LAST_LINES));
    let said = if words.is_empty() { String::new() } else { format!("; it said: {}", one_line(&words)) };
    let kind = match finished.end {
        End::TimedOut => ErrorKind::TimedOut,
        _ => ErrorKind::Io,
    };
    let hint = match finished.end {
        End::Exited(code) => exited(script, code, &words, environment),
        End::Signal(_) => usual(),
        End::Cancelled => "nothing was changed".to_owned(),
        _ => "nothing was changed; `limits` of the target say how much it may take".to_owned(),
    };
    Error::new(kind, format!("{} {how}{said}", script.entrypoint)).with_hint(hint)
}

fn usual() -> String {
    "nothing was changed; its environment holds what the target grants under `env`, and little else"
        .to_owned()
}

/// What to do about a script that ended by itself.
fn exited(script: &Script, code: i32, words: &str, environment: &BTreeMap<String, String>) -> String {
    match missed(words, environment, |name| std::env::var_os(name).is_some()) {
        Some(Missed::NotGranted(name)) => {
            return format!(
                "{name} is set here, and was not granted to it: the environment of a script is given, not inherited; write \
                 `env: {{ {name}: \"${{env:{name}}}\" }}` into the target {}",
                script.target
            );
        }
        Some(Missed::Unknown(name)) => {
            return format!(
                "{name} is not set here either: set it where Syncline is started, and write \
                 `env: {{ {name}: \"${{env:{name}}}\" }}` into the target {}",
                script.target
            );
        }
        None => {}
    }
    if words.contains("Permission denied") || words.contains("Read-only file system") {
        return "it may write in its scratch copy, in its TMPDIR, and in the folders that `allow_write` of the target names"
            .to_owned();
    }
    if code == 126 {
        return "it may not be executed: `chmod +x` it, or begin it with `#!/bin/sh`".to_owned();
    }
    if code == 127 {
        return "a program that it calls is not there, or not in PATH".to_owned();
    }
    if NOT_THERE.iter().any(|said| words.contains(said)) {
        let inputs = if script.inputs.is_some() { "what `inputs` and `outputs` name of " } else { "" };
        return format!(
            "nothing was changed; its copy holds {inputs}the workspace, and each folder that `outputs` name before a wildcard \
             is made: name it there, or have the script make it with `mkdir -p`"
        );
    }
    usual()
}

/// The variable that a script has missed, by its last words.
fn missed<'a>(
    words: &'a str,
    granted: &BTreeMap<String, String>,
    is_here: impl Fn(&str) -> bool,
) -> Option<Missed<'a>> {
    let is_name = |word: &&str| {
        word.len() >= 3
            && word.starts_with(|c: char| c.is_ascii_uppercase())
            && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
            && !granted.contains_key(*word)
            && !OF_THE_SHELL.contains(word)
    };
    let names = |line: &'a str| line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(is_name);
    // The last line is the likeliest to say why.
    let lines = || words.lines().rev();
    let complains = |line: &str| NOT_SET.iter().any(|said| line.contains(said));
    // A word such as DEBUG is more often just that, unless the line says that something is missing.
    let likely = |line: &'a str| names(line).filter(move |name| name.contains('_') || complains(line));
    let here = lines().flat_map(likely).find(|name| is_here(name));
    here.map(Missed::NotGranted).or_else(|| {
        lines()
            .filter(|line| complains(line))
            .flat_map(names)
            .find(|name| name.contains('_'))
            .map(Missed::Unknown)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_that_was_missed_is_found_in_the_last_words() {
        let granted =
            BTreeMap::from([("HOME".to_owned(), String::new()), ("A_TOKEN".to_owned(), String::new())]);
        let here = |name: &str| matches!(name, "NOTION_API_TOKEN" | "HOME" | "PWD" | "DEBUG" | "TERM");
        for (words, expected) in [
            (
                "scripts/x.sh: line 3: NOTION_API_TOKEN: unbound variable",
                Some(Missed::NotGranted("NOTION_API_TOKEN")),
            ),
            ("KeyError: 'NOTION_API_TOKEN'", Some(Missed::NotGranted("NOTION_API_TOKEN"))),
            ("please export $NOTION_API_TOKEN\nand run again", Some(Missed::NotGranted("NOTION_API_TOKEN"))),
            ("x: 4: GITHUB_TOKEN: parameter not set", Some(Missed::Unknown("GITHUB_TOKEN"))),
            ("KeyError: 'DB_ID'", Some(Missed::Unknown("DB_ID"))),
            ("A_TOKEN is not set", None),
            ("HOME and PWD are missing", None),
            ("SOME_CONSTANT is 3", None),
            ("FATAL: not found", None),
            ("MY_NOTION_API_TOKEN_2 was refused", None),
            ("DEBUG: connecting", None),
            ("TERM environment variable not set.", Some(Missed::NotGranted("TERM"))),
            ("", None),
        ] {
            assert_eq!(missed(words, &granted, here), expected, "{words}");
        }
    }
}
