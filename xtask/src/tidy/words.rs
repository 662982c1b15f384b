//! Words that do not belong into the project: promises of later, and places that exist on one machine only.

use super::Finding;
use crate::repository::SourceFile;

/// Where this list stands, which is the one place that may name the words.
const HERE: &str = "xtask/src/tidy/words.rs";

/// Words, and why they do not belong here. Upper and lower case count as the same when the word is lower case.
const WORDS: &[(&str, &str)] = &[
    ("coming soon", "say what works today, or nothing"),
    ("not yet implemented", "say what works today, or nothing"),
    ("FIXME", "mend it, or open an issue"),
    ("XXX", "mend it, or open an issue"),
    ("HACK", "say why it is so in a full sentence"),
    ("TODO", "do it, or open an issue"),
    ("lorem ipsum", "write the text"),
    ("/work/", "a path of one machine"),
    ("/root/", "a path of one machine"),
    ("/tmp/target", "a path of one machine"),
    ("../shared", "the project stands alone"),
];

/// Finds words that do not belong here.
pub(super) fn file(file: &SourceFile) -> Vec<Finding> {
    if file.path == HERE || file.path == "Cargo.lock" {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        for (word, why) in WORDS {
            if holds(line, word) {
                found.push(Finding::new(
                    &file.path,
                    index + 1,
                    format!("{word:?} does not belong here: {why}"),
                ));
            }
        }
    }
    found
}

/// Whether the line holds the word, and not merely as a part of a longer one.
fn holds(line: &str, word: &str) -> bool {
    let lower;
    let line = if word.chars().any(char::is_uppercase) {
        line
    } else {
        lower = line.to_lowercase();
        &lower
    };
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let starts = !word.starts_with(is_word) || !before.is_some_and(is_word);
        // A path of a machine starts a path: in `a/work/b` it is the name of somebody's folder.
        let starts_path =
            !word.starts_with('/') || !before.is_some_and(|c| is_word(c) || "./-<>}~".contains(c));
        starts && starts_path && (!word.ends_with(is_word) || !after.is_some_and(is_word))
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::files;
    use super::*;

    #[test]
    fn every_word_is_found() {
        for (word, _) in WORDS {
            let text = format!("first\nthen {word} \n");
            let found = file(&files(&[("docs/src/a.md", &text)])[0]);
            assert_eq!(found.len(), 1, "{word}");
            assert_eq!(found[0].line, 2);
        }
    }

    #[test]
    fn parts_of_longer_words_are_not() {
        for line in ["HACKED", "a/work/b", "TODOS", "xxx", "~/work/notes"] {
            assert_eq!(file(&files(&[("docs/src/a.md", line)])[0]), [], "{line}");
        }
        assert_eq!(file(&files(&[("a.md", "Coming Soon: more")])[0]).len(), 1);
    }
}
