//! A report as JUnit XML: what CI systems show as tests. A target is a test case, and what keeps it from success its
//! failure. The format: <https://github.com/testmoapp/junitxml>.

use std::time::Duration;

use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};

use super::{Report, TargetReport};
use crate::problem::{Class, Problem, Result};

impl Report {
    /// The report as JUnit XML.
    ///
    /// # Errors
    /// When it cannot be written as XML.
    pub fn to_junit(&self) -> Result<String> {
        let mut suite = TestSuite::new(if self.dry_run { "syncline dry run" } else { "syncline run" });
        suite.set_time(duration(self.total_duration));
        suite.add_test_cases(self.results.iter().map(TargetReport::to_test_case));
        let mut report = quick_junit::Report::new("syncline");
        report.set_time(duration(self.total_duration));
        report.add_test_suite(suite);
        report.to_string().map_err(|error| {
            Problem::new(
                Class::Failed,
                "bad_document",
                format!("the report cannot be written as XML: {error}"),
            )
        })
    }
}

impl TargetReport {
    fn to_test_case(&self) -> TestCase {
        let mut status = match (&self.error, self.success) {
            (_, true) => TestCaseStatus::success(),
            (Some(_), false) => TestCaseStatus::non_success(NonSuccessKind::Error),
            (None, false) => TestCaseStatus::non_success(NonSuccessKind::Failure),
        };
        if !self.success {
            let code = self.error.as_ref().map(|error| error.code.to_string());
            let halted = self.halts.first().map(|halt| halt.code.clone());
            status.set_type(code.or(halted).unwrap_or_else(|| self.state.clone()));
            status.set_message(self.message.as_str());
            status.set_description(self.lines().join("\n"));
        }
        let mut case = TestCase::new(self.target.as_str(), status);
        case.set_classname(format!("syncline.{}", self.direction.name()));
        case.set_time(duration(self.duration));
        case.set_system_out(self.message.as_str());
        case
    }

    /// Everything that kept the target from success, a line each.
    fn lines(&self) -> Vec<String> {
        let hints = self.error.iter().filter_map(|error| error.hint.clone());
        let halts = self.halts.iter().map(|halt| format!("halted: {}", halt.message));
        let problems = self.problems.iter().map(|problem| format!("{}: {}", problem.path, problem.message));
        // A halted run has nothing else to say than why.
        let message = self.halts.is_empty().then(|| self.message.clone());
        message.into_iter().chain(hints).chain(halts).chain(problems).collect()
    }
}

fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}
