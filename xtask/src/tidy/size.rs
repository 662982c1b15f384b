//! A file is read at a sitting.

use super::{Finding, is_test};
use crate::repository::SourceFile;

/// Most lines of a source file.
const LINES_MAX: usize = 600;
/// Most lines of a file of test code.
const TEST_LINES_MAX: usize = 900;

/// Finds a Rust file that is too long.
pub(super) fn file(file: &SourceFile) -> Option<Finding> {
    if !file.path.ends_with(".rs") {
        return None;
    }
    let lines = file.text.lines().count();
    let lines_max = if is_test(&file.path) { TEST_LINES_MAX } else { LINES_MAX };
    (lines > lines_max).then(|| {
        let message = format!("{lines} lines are more than {lines_max}; split the file by what its parts do");
        Finding::new(&file.path, 0, message)
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::files;
    use super::*;

    fn is_too_long(path: &str, lines: usize) -> bool {
        file(&files(&[(path, &"\n".repeat(lines))])[0]).is_some()
    }

    #[test]
    fn long_files_are_found() {
        assert!(!is_too_long("crates/core/src/a.rs", 600));
        assert!(is_too_long("crates/core/src/a.rs", 601));
        assert!(!is_too_long("crates/core/tests/it/a.rs", 900));
        assert!(is_too_long("crates/core/tests/it/a.rs", 901));
        assert!(!is_too_long("docs/src/long.md", 2000));
    }
}
