//! `valid_files`: what calls itself JSON, YAML or TOML by its extension can be read as that.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use serde::de::IgnoredAny;
use serde_saphyr::options::NonFiniteFloatPolicy;
use syncline_core::Filter;

use super::Files;
use crate::checks::Ground;

/// The largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// How deep YAML may be nested: deeper is written to exhaust whoever reads it.
const DEPTH_MAX: usize = 128;

/// What is wrong with a text, and on which line, counted from 1.
type Fault = (usize, String);

/// Reads a text as one format.
type Parse = fn(&str) -> Result<(), Fault>;

/// Formats by extension.
const FORMATS: &[(&[&str], Parse)] =
    &[(&["json"], json), (&["jsonl", "ndjson"], json_lines), (&["yaml", "yml"], yaml), (&["toml"], toml)];

pub(super) async fn make(ground: &Ground, paths: Option<Arc<Filter>>) -> Result<(), String> {
    let files = match paths {
        Some(filter) => Files { root: ground.root.clone(), prefix: String::new(), filter },
        None => Files::own(ground),
    };
    files.look(|path, place| Ok(look(path, place)?.into_iter().collect())).await
}

/// What is wrong with a file; a link says nothing by itself.
fn look(path: &str, place: &Path) -> io::Result<Option<String>> {
    let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension).to_ascii_lowercase();
    let format = FORMATS.iter().find(|(extensions, _)| extensions.contains(&extension.as_str()));
    let metadata = fs::symlink_metadata(place)?;
    let Some((_, parse)) = format.filter(|_| metadata.is_file()) else { return Ok(None) };
    if metadata.len() > FILE_BYTES_MAX {
        let most = FILE_BYTES_MAX >> 20;
        return Ok(Some(format!("{path}: is larger than {most} MiB, too large to be read")));
    }
    let bytes = fs::read(place)?;
    let fault = match std::str::from_utf8(&bytes) {
        Ok(text) => parse(text).err(),
        Err(error) => {
            let line = 1 + bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
            Some((line, "is not UTF-8 text".to_owned()))
        }
    };
    Ok(fault.map(|(line, why)| format!("{path}:{line}: {why}")))
}

fn json(text: &str) -> Result<(), Fault> {
    if text.trim().is_empty() {
        return Err((1, "is empty, which is no JSON".to_owned()));
    }
    let parsed = serde_json::from_str::<IgnoredAny>(text);
    parsed.map(drop).map_err(|error| (error.line().max(1), told_by_json(&error)))
}

/// Lines of JSON each; blank ones between them say nothing.
fn json_lines(text: &str) -> Result<(), Fault> {
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        serde_json::from_str::<IgnoredAny>(line).map_err(|error| (index + 1, told_by_json(&error)))?;
    }
    Ok(())
}

/// The message without its place, which is told before it.
fn told_by_json(error: &serde_json::Error) -> String {
    let message = error.to_string();
    message.split(" at line ").next().unwrap_or_default().to_owned()
}

/// Any number of documents; a file without any is a valid one.
fn yaml(text: &str) -> Result<(), Fault> {
    // How large a file may be is limited already: only what would grow out of it is.
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEPTH_MAX,
            max_nodes: usize::MAX,
            max_events: usize::MAX,
            max_documents: usize::MAX,
            max_merge_keys: usize::MAX,
        },
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        with_snippet: false,
    };
    let parsed = serde_saphyr::from_multiple_with_options::<IgnoredAny>(text, options);
    parsed.map(drop).map_err(|error| {
        let error = error.without_snippet();
        let line = error.location().map_or(1, |location| usize::try_from(location.line()).unwrap_or(1));
        let message = error.to_string();
        // Its first line says what, and the place at its end was told before.
        let message = message.lines().next().unwrap_or_default();
        let told = message.split(" at line ").next().unwrap_or_default();
        (line.max(1), told.trim_start_matches("error: ").to_owned())
    })
}

fn toml(text: &str) -> Result<(), Fault> {
    let parsed = ::toml::from_str::<::toml::Table>(text);
    parsed.map(drop).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start).min(text.len());
        let line = 1 + text.as_bytes()[..start].iter().filter(|byte| **byte == b'\n').count();
        (line, error.message().lines().next().unwrap_or_default().to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(format: &str, text: &str) -> String {
        let (_, parse) = FORMATS.iter().find(|(extensions, _)| extensions.contains(&format)).unwrap();
        parse(text).map_or_else(|(line, why)| format!("{line}: {why}"), |()| "valid".to_owned())
    }

    #[test]
    fn what_can_be_read_is_valid() {
        for (format, text) in [
            ("json", "{\"a\": [1, 2.5e400, null], \"b\": {\"a\": \"\\ud800 é\"}}\n"),
            ("json", " 7 "),
            ("jsonl", ""),
            ("jsonl", "{\"a\": 1}\n\n[2]\r\n3"),
            ("yaml", ""),
            ("yaml", "# nothing\n"),
            ("yaml", "---\n---\n"),
            ("yaml", "\u{feff}a: &x [1, ~]\nb: *x\nc: |\n  text\n1: one\n? [complex]\n: key\n"),
            ("yaml", "a: 1\n---\n- b\n...\n---\nc\n"),
            (
                "yaml",
                "%YAML 1.2\n---\nvpc: !Ref Name\nlist: !Sub [a, b]\nmap: !Own {a: 1}\ndate: 2024-01-01\nn: .nan\n",
            ),
            ("yaml", "base: &b {a: 1}\nmore:\n  <<: *b\n  c: 2\n"),
            ("toml", ""),
            ("toml", "a = 1979-05-27\n[b]\nc = [1, 2,]\n[[d]]\n"),
        ] {
            assert_eq!(told(format, text), "valid", "{format} {text:?}");
        }
        let large = "- {a: 1, b: [x, y, z]}\n".repeat(60_000);
        assert_eq!(told("yaml", &large), "valid");
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_line() {
        for (format, text, expected) in [
            ("json", "", "1: is empty, which is no JSON"),
            ("json", "{\n  \"a\": 1,\n}\n", "3: key must be a string"),
            ("json", "{\"a\": 1} {}", "1: trailing characters"),
            ("json", "{\n\"a\": [1", "2: EOF while parsing a list"),
            ("jsonl", "{\"a\": 1}\n{\"a\":\n2}\n", "2: EOF while parsing a value"),
            ("toml", "a = 1\na = 2\n", "2: duplicate key"),
            ("toml", "a = 1\n\nb = \n", "3: string values must be quoted, expected literal string"),
        ] {
            assert_eq!(told(format, text), expected, "{format} {text:?}");
        }
        for (text, line) in [
            ("a: 1\nb: [1, 2\n", 2),
            ("a: 1\na: 2\n", 2),
            ("a: 1\n---\nb: *missing\n", 3),
            ("a:\n\t- b\n", 2),
            ("a: 1\n b: 2\n", 2),
        ] {
            let told = told("yaml", text);
            assert!(told.starts_with(&format!("{line}: ")) && !told.contains("at line"), "{text:?}: {told}");
        }
        let bomb = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
        assert_ne!(told("yaml", &bomb), "valid");
        // It is skipped without recursion.
        assert_eq!(told("json", &bomb), "valid");
        let laughs: String = (0..12)
            .map(|n| {
                format!(
                    "a{}: &a{} [{}]\n",
                    n + 1,
                    n + 1,
                    vec![if n == 0 { "x".to_owned() } else { format!("*a{n}") }; 9].join(", ")
                )
            })
            .collect();
        assert_ne!(told("yaml", &laughs), "valid");
    }
}
