//! Gates: what a check must come to, whether it did, and which checks Syncline makes itself.

use regex::Regex;

/// A check that Syncline makes itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Builtin {
    /// Nothing of the target is changed in Git and not committed.
    GitClean,
    /// Nothing of the target looks like a secret.
    SecretScan,
    /// What calls itself JSON, YAML or TOML is.
    ValidFiles,
}

impl Builtin {
    /// All of them.
    pub const ALL: &[Self] = &[Self::GitClean, Self::SecretScan, Self::ValidFiles];

    /// The word for it in files and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::GitClean => "git_clean",
            Self::SecretScan => "secret_scan",
            Self::ValidFiles => "valid_files",
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|builtin| builtin.name() == name)
    }

    /// Whether it makes sense only before a run: what a run has just brought in is not committed yet.
    #[must_use]
    pub const fn is_only_before(self) -> bool {
        matches!(self, Self::GitClean)
    }

    /// Whether it may be made of other files of the workspace than the target's.
    #[must_use]
    pub const fn takes_paths(self) -> bool {
        matches!(self, Self::ValidFiles)
    }
}

/// What a check must come to.
#[derive(Clone, Debug, Default)]
pub struct Expectation {
    /// The exit code; `None` when it does not matter.
    pub exit_code: Option<i32>,
    /// The smallest number that it may print.
    pub min: Option<f64>,
    /// The largest number that it may print.
    pub max: Option<f64>,
    /// What its output must match.
    pub pattern: Option<Regex>,
}

impl Expectation {
    /// Why what a check came to is not what was expected; `None` when it is.
    ///
    /// The number that counts is the last word of the last line that the check printed.
    #[must_use]
    pub fn failure(&self, exit_code: i32, printed: &str) -> Option<String> {
        if let Some(expected) = self.exit_code
            && expected != exit_code
        {
            return Some(format!("ended with exit code {exit_code}, and {expected} was expected"));
        }
        if let Some(pattern) = &self.pattern
            && !pattern.is_match(printed)
        {
            return Some(format!("printed nothing that matches {:?}", pattern.as_str()));
        }
        if self.min.is_none() && self.max.is_none() {
            return None;
        }
        // A check whose exit code says nothing else may say by it how much is wrong.
        let number = last_number(printed).or_else(|| self.exit_code.is_none().then(|| f64::from(exit_code)));
        let Some(number) = number else {
            return Some("printed no number at the end of its output".to_owned());
        };
        match (self.min, self.max) {
            (Some(min), _) if number < min => {
                Some(format!("came to {number}, and at least {min} was expected"))
            }
            (_, Some(max)) if number > max => {
                Some(format!("came to {number}, and at most {max} was expected"))
            }
            _ => None,
        }
    }
}

fn last_number(printed: &str) -> Option<f64> {
    let word = printed.split_whitespace().next_back()?;
    word.parse().ok().filter(|number: &f64| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(expectation: &Expectation, exit_code: i32, printed: &str) -> String {
        expectation.failure(exit_code, printed).unwrap_or_else(|| "passed".to_owned())
    }

    #[test]
    fn every_check_of_its_own_is_found_by_its_name() {
        for builtin in Builtin::ALL {
            assert_eq!(Builtin::named(builtin.name()), Some(*builtin));
        }
        assert_eq!(Builtin::named("git_clear"), None);
    }

    #[test]
    fn each_expectation_counts_for_itself() {
        let zero = Expectation { exit_code: Some(0), ..Expectation::default() };
        let at_least = Expectation { min: Some(100.0), ..zero.clone() };
        let at_most = Expectation { max: Some(0.0), ..Expectation::default() };
        let matches = Expectation { pattern: Regex::new("^ok").ok(), ..zero.clone() };
        for (expectation, exit_code, printed, expected) in [
            (&zero, 0, "", "passed"),
            (&zero, 1, "", "ended with exit code 1, and 0 was expected"),
            (&at_least, 0, "100\n", "passed"),
            (&at_least, 0, "  99\n", "came to 99, and at least 100 was expected"),
            (&at_least, 0, "found 120", "passed"),
            (&at_least, 0, "none", "printed no number at the end of its output"),
            (&at_least, 0, "NaN", "printed no number at the end of its output"),
            (&at_least, 2, "120", "ended with exit code 2, and 0 was expected"),
            (&at_most, 0, "", "passed"),
            (&at_most, 3, "", "came to 3, and at most 0 was expected"),
            (&at_most, 1, "drift score: 0", "passed"),
            (&at_most, 0, "drift score: 2.5", "came to 2.5, and at most 0 was expected"),
            (&matches, 0, "ok then", "passed"),
            (&matches, 0, "not ok", "printed nothing that matches \"^ok\""),
            (&Expectation::default(), 9, "", "passed"),
        ] {
            assert_eq!(failure(expectation, exit_code, printed), expected, "{exit_code} {printed:?}");
        }
    }
}
