//! What the test runners say about how many tests passed.

/// Counts of tests, summed over everything that was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Replies {
    /// Tests that passed.
    pub passed: u64,
    /// Tests that failed, ran out of time, or ended by a signal.
    pub failed: u64,
    /// Tests that were left out.
    pub skipped: u64,
}

impl Replies {
    /// Takes one line of a runner's output into account.
    ///
    /// Understands the summaries of `cargo test` (`test result: ok. 5 passed; 0 failed; 1 ignored; …`) and of
    /// nextest (`Summary [ 1.2s] 7 tests run: 6 passed (1 slow), 1 failed, 2 skipped`).
    pub fn read(&mut self, line: &str) {
        // What is further in was said by a test that failed, and nextest counts that one itself.
        let counts = if line.starts_with("test result:") {
            line.split(['.', ';']).collect::<Vec<_>>()
        } else if line.trim_start().starts_with("Summary [") {
            line.split([':', ',']).collect()
        } else {
            return;
        };
        for part in counts {
            let mut words = part.split_whitespace();
            let (Some(count), Some(what)) =
                (words.next().and_then(|word| word.parse::<u64>().ok()), words.next())
            else {
                continue;
            };
            match what {
                "passed" => self.passed += count,
                "failed" | "timed" | "exec" => self.failed += count,
                "ignored" | "skipped" => self.skipped += count,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Replies {
        let mut replies = Replies::default();
        lines.iter().for_each(|line| replies.read(line));
        replies
    }

    #[test]
    fn the_summary_of_cargo_test_is_understood() {
        let replies = read(&[
            "running 3 tests",
            "test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 4 filtered out; finished in 0.01s",
        ]);
        assert_eq!(replies, Replies { passed: 7, failed: 1, skipped: 1 });
    }

    #[test]
    fn the_summary_of_nextest_is_understood() {
        let replies = read(&[
            "     Summary [  12.345s] 9 tests run: 6 passed (1 slow), 2 failed, 1 timed out, 3 skipped",
            "        PASS [   0.004s] syncline-core::it table",
            "    test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 8 filtered out; finished in 0.8s",
        ]);
        assert_eq!(replies, Replies { passed: 6, failed: 3, skipped: 3 });
    }
}
