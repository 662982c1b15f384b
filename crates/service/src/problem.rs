//! The one place that maps an error of any layer to what every face shows of it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use syncline_config::{ConfigError, ConfigErrors, Location};

/// What a caller can do about a problem; every face's own code follows from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// The request or the configuration is wrong: change it.
    Usage,
    /// What was named does not exist.
    NotFound,
    /// The world is not what the request takes it for: look again.
    Stale,
    /// Somebody else is at work: wait.
    Busy,
    /// The system refuses it.
    Denied,
    /// Something outside cannot be reached or used now.
    Unavailable,
    /// No space is left.
    NoSpace,
    /// Something stored is damaged.
    Damaged,
    /// Anything else that did not work.
    #[default]
    Failed,
}

/// Where in the configuration a problem lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Place {
    /// A place in a file.
    File {
        /// The file.
        file: String,
        /// The line, counted from 1.
        line: u32,
        /// The column in characters, counted from 1.
        column: u32,
    },
    /// An environment variable.
    Variable {
        /// Its name.
        variable: String,
    },
}

/// A failure as people and programs are told of it: public, without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What a caller can do about it.
    pub class: Class,
    /// A stable code.
    pub code: &'static str,
    /// What is wrong, as a lower-case fragment.
    pub message: String,
    /// What to do about it, as a lower-case fragment.
    pub hint: Option<String>,
    /// What a problem in the configuration has besides.
    pub written: Option<Box<Written>>,
}

/// What a problem in the configuration has besides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Where it lies.
    pub place: Option<Place>,
    /// The whole of it for people, with the line that is wrong.
    pub excerpt: String,
    /// More of the same kind, found at the same time.
    pub others: Vec<Problem>,
}

/// The result of everything that the service does.
pub type Result<T> = std::result::Result<T, Problem>;

impl Problem {
    /// Makes a problem.
    pub fn new(class: Class, code: &'static str, message: impl Into<String>) -> Self {
        Self { class, code, message: message.into(), hint: None, written: None }
    }

    /// A request that cannot be understood.
    pub fn usage(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Class::Usage, code, message)
    }

    /// Something that was named and does not exist.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Class::NotFound, "not_found", message)
    }

    /// A failed operation of the operating system: `what` says what was being done, and where.
    pub fn io(error: std::io::Error, what: impl fmt::Display) -> Self {
        syncline_connect::Error::io(error, what).into()
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The exit code of a command that ends with it.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self.class {
            Class::Usage => 2,
            _ => 1,
        }
    }

    /// The HTTP status of a response that carries it.
    #[must_use]
    pub const fn http_status(&self) -> u16 {
        match self.class {
            // A target that a caller is kept from is none for it, as one that does not exist.
            Class::Usage if matches!(self.code.as_bytes(), b"unknown_target" | b"unknown_event") => 404,
            Class::Usage if matches!(self.code.as_bytes(), b"key_reused") => 422,
            Class::Usage => 400,
            Class::Denied => 403,
            Class::NotFound => 404,
            Class::Stale => 409,
            Class::Busy => 423,
            Class::Failed | Class::Damaged => 500,
            Class::Unavailable => 503,
            Class::NoSpace => 507,
        }
    }

    /// The JSON-RPC error code of an MCP response that carries it: -32602 is that of invalid parameters, -32002
    /// that of a missing resource, and the others lie in the range that JSON-RPC leaves to servers.
    #[must_use]
    pub const fn mcp_code(&self) -> i32 {
        match self.class {
            Class::Usage => -32602,
            Class::NotFound => -32002,
            Class::Failed => -32603,
            Class::Stale => -32010,
            Class::Busy => -32011,
            Class::Denied => -32012,
            Class::Unavailable => -32013,
            Class::NoSpace => -32014,
            Class::Damaged => -32015,
        }
    }

    /// The whole of it in one line, for logs: where it lies, what is wrong and what to do about it.
    #[must_use]
    pub fn in_one_line(&self) -> String {
        let written = self.written.as_deref();
        let mut line = written
            .and_then(|written| written.place.as_ref())
            .map_or_else(String::new, |at| format!("{at}: "));
        line.push_str(&self.message);
        if let Some(hint) = &self.hint {
            line.push_str("; ");
            line.push_str(hint);
        }
        let more = written.map_or(0, |written| written.others.len());
        if more > 0 {
            line.push_str(&format!("; {more} more: see `syncline config check`"));
        }
        line
    }

    /// The shape in which programs see it.
    #[must_use]
    pub fn to_wire(&self) -> WireProblem {
        let written = self.written.as_deref();
        WireProblem {
            code: self.code.to_owned(),
            class: self.class,
            message: self.message.clone(),
            hint: self.hint.clone(),
            location: written.and_then(|written| written.place.clone()),
            others: written
                .map(|written| written.others.iter().map(Self::to_wire).collect())
                .unwrap_or_default(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

impl WireProblem {
    /// Whether the request or the configuration is wrong, so that trying again cannot help.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        self.class == Class::Usage
    }
}

/// A failure as programs see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WireProblem {
    /// A stable code.
    pub code: String,
    /// What a caller can do about it.
    #[serde(default)]
    pub class: Class,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Where in the configuration it lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<Place>,
    /// More that was found at the same time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<Self>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Self::Variable { variable } => write!(f, "the environment variable {variable}"),
        }
    }
}

impl From<&Location> for Place {
    fn from(location: &Location) -> Self {
        match location {
            Location::File { file, line, column } => {
                Self::File { file: file.display().to_string(), line: *line, column: *column }
            }
            Location::Variable(name) => Self::Variable { variable: name.to_string() },
        }
    }
}

impl From<ConfigError> for Problem {
    fn from(error: ConfigError) -> Self {
        let place = error.location.as_ref().map(Place::from);
        let written = Written { place, excerpt: error.to_string(), others: Vec::new() };
        Self { hint: error.hint, written: Some(Box::new(written)), ..Self::usage(error.code, error.message) }
    }
}

impl From<ConfigErrors> for Problem {
    fn from(errors: ConfigErrors) -> Self {
        let excerpt = errors.to_string();
        let mut problems = errors.into_iter().map(Self::from);
        let mut first =
            problems.next().unwrap_or_else(|| Self::usage("bad_config", "the configuration is wrong"));
        let written = first.written.get_or_insert_default();
        written.excerpt = excerpt;
        written.others = problems.collect();
        first
    }
}

impl From<syncline_store::Error> for Problem {
    fn from(error: syncline_store::Error) -> Self {
        Self::from(&error)
    }
}

impl From<&syncline_store::Error> for Problem {
    fn from(error: &syncline_store::Error) -> Self {
        use syncline_store::ErrorKind as Kind;
        let class = match error.kind() {
            Kind::Damaged | Kind::SetAside => Class::Damaged,
            Kind::Locked => Class::Busy,
            Kind::NoSpace => Class::NoSpace,
            Kind::Denied => Class::Denied,
            Kind::NotFound => Class::NotFound,
            Kind::Mismatch => Class::Stale,
            Kind::NewerVersion | Kind::Io => Class::Failed,
        };
        Self::new(class, error.code(), error.to_string()).with_hint(error.hint())
    }
}

impl From<syncline_connect::Error> for Problem {
    fn from(error: syncline_connect::Error) -> Self {
        Self::from(&error)
    }
}

impl From<&syncline_connect::Error> for Problem {
    fn from(error: &syncline_connect::Error) -> Self {
        use syncline_connect::ErrorKind as Kind;
        let class = match error.kind() {
            Kind::NotFound => Class::NotFound,
            Kind::Changed => Class::Stale,
            Kind::Denied => Class::Denied,
            Kind::NoSpace => Class::NoSpace,
            Kind::Unsupported | Kind::Io => Class::Failed,
            Kind::Invalid => Class::Usage,
            Kind::Unreachable | Kind::TimedOut => Class::Unavailable,
            Kind::Damaged => Class::Damaged,
            Kind::Locked => Class::Busy,
        };
        let hint = error.hint().map(str::to_owned);
        Self { hint, ..Self::new(class, error.code(), error.to_string()) }
    }
}

impl From<syncline_engine::Error> for Problem {
    fn from(error: syncline_engine::Error) -> Self {
        Self::from(&error)
    }
}

impl From<&syncline_engine::Error> for Problem {
    fn from(error: &syncline_engine::Error) -> Self {
        use syncline_engine::Error;
        let message = error.to_string();
        match error {
            Error::Connect(error) => error.into(),
            Error::Store(error) => error.into(),
            Error::PlanMoved { .. } => Self::new(Class::Stale, "plan_moved", message)
                .with_hint("something changed since the plan was made; nothing was touched: make a new plan"),
            Error::ContentGone { .. } => Self::new(Class::NotFound, "content_gone", message)
                .with_hint("history keeps versions for `history.keep_days`; see `syncline history`"),
            Error::NoRun(_) => Self::new(Class::NotFound, "unknown_run", message)
                .with_hint("see `syncline history` for the runs that there are"),
        }
    }
}

impl From<syncline_core::Damaged> for Problem {
    fn from(damaged: syncline_core::Damaged) -> Self {
        syncline_connect::Error::from(damaged).into()
    }
}

impl From<syncline_core::filter::PatternError> for Problem {
    fn from(error: syncline_core::filter::PatternError) -> Self {
        let problem = Self::usage("bad_glob", error.to_string());
        match error.hint {
            Some(hint) => problem.with_hint(hint),
            None => problem,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Class; 9] = [
        Class::Usage,
        Class::NotFound,
        Class::Stale,
        Class::Busy,
        Class::Denied,
        Class::Unavailable,
        Class::NoSpace,
        Class::Damaged,
        Class::Failed,
    ];

    #[test]
    fn every_class_has_a_code_of_its_own_in_mcp_and_a_failing_one_elsewhere() {
        let mut codes: Vec<i32> = ALL
            .iter()
            .map(|&class| {
                let problem = Problem::new(class, "test", "test");
                assert!(problem.http_status() >= 400, "{class:?}");
                assert!(matches!(problem.exit_code(), 1 | 2), "{class:?}");
                problem.mcp_code()
            })
            .collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), ALL.len());
    }

    #[test]
    fn a_saved_plan_that_no_longer_fits_is_stale() {
        let error = syncline_engine::Error::PlanMoved {
            target: "notes".into(),
            expected: "a".into(),
            found: "b".into(),
        };
        let problem = Problem::from(error);
        assert_eq!((problem.class, problem.code, problem.exit_code()), (Class::Stale, "plan_moved", 1));
    }
}
