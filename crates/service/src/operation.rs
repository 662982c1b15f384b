//! What a use case tells about itself, so that every face can be derived from one list.

use std::future::Future;
use std::pin::Pin;

use schemars::Schema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::problem::{Problem, Result};
use crate::service::Service;

/// A use case.
pub struct Operation {
    /// Its name: a verb and a noun, `snake_case`; the word of `syncline call`, and the name of the tool unless that has
    /// one of its own.
    pub name: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    /// What a caller must be allowed to do.
    pub scope: Scope,
    /// Its HTTP route.
    pub route: Route,
    /// What an AI client is told about it; `None` when it is no tool.
    pub tool: Option<ToolHints>,
    /// The JSON Schema of its request.
    pub request: fn() -> Schema,
    /// The JSON Schema of its response.
    pub response: fn() -> Schema,
    /// Performs it.
    pub call: Call,
}

/// Performs an operation: from a JSON request to a JSON response.
pub type Call = for<'a> fn(&'a Service, Value) -> BoxFuture<'a, Result<Value>>;

/// A future on the heap.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a caller must be allowed to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// To look.
    Read,
    /// To run targets, pause them, and take runs back.
    Run,
    /// To settle conflicts.
    Resolve,
    /// To change or inspect the installation itself, and everything else.
    Admin,
}

/// An HTTP route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path below the API's root.
    pub path: &'static str,
}

/// An HTTP method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// Reads; the request is the query.
    Get,
    /// Acts; the request is the body.
    Post,
}

/// What an AI client is told about a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToolHints {
    /// The name by which such clients know it, where that is not the name of the use case.
    pub name: Option<&'static str>,
    /// It changes nothing.
    pub read_only: bool,
    /// It may overwrite or remove something.
    pub destructive: bool,
    /// Asking for the same again changes nothing more.
    pub idempotent: bool,
    /// What it would do must have been seen: the request has a `dry_run`, and without that it needs the `plan_hash` that
    /// came of it.
    pub needs_plan: bool,
    /// Fields of the request that are none of the tool's: only a person decides about them, or a program needs them.
    pub without: &'static [&'static str],
}

impl ToolHints {
    /// A tool that only looks.
    pub const READ_ONLY: Self = Self {
        name: None,
        read_only: true,
        destructive: false,
        idempotent: true,
        needs_plan: false,
        without: &[],
    };
    /// A tool that changes something, but overwrites and removes nothing; asking again changes nothing more.
    pub const CHANGING: Self = Self { read_only: false, ..Self::READ_ONLY };
    /// A tool that may overwrite or remove something; history keeps it.
    pub const DESTRUCTIVE: Self =
        Self { read_only: false, destructive: true, idempotent: false, ..Self::READ_ONLY };

    /// With a name of its own.
    #[must_use]
    pub const fn named(self, name: &'static str) -> Self {
        Self { name: Some(name), ..self }
    }

    /// Asking for the same again changes nothing more.
    #[must_use]
    pub const fn idempotent(self) -> Self {
        Self { idempotent: true, ..self }
    }

    /// What it would do must have been seen.
    #[must_use]
    pub const fn needing_a_plan(self) -> Self {
        Self { needs_plan: true, ..self }
    }

    /// Without some fields of the request.
    #[must_use]
    pub const fn without(self, fields: &'static [&'static str]) -> Self {
        Self { without: fields, ..self }
    }
}

/// A route that reads.
pub(crate) const fn get(path: &'static str) -> Route {
    Route { method: Method::Get, path }
}

/// A route that acts.
pub(crate) const fn post(path: &'static str) -> Route {
    Route { method: Method::Post, path }
}

/// Reads a request; `null` is the request that leaves everything open.
pub(crate) fn question<Q: DeserializeOwned>(value: Value) -> Result<Q> {
    let value = if value.is_null() { Value::Object(serde_json::Map::new()) } else { value };
    serde_json::from_value(value).map_err(|error| {
        Problem::usage("bad_request", format!("the request cannot be understood: {error}"))
            .with_hint("its schema says what may stand in it")
    })
}

/// Writes a response.
pub(crate) fn answer<R: Serialize>(response: &R) -> Result<Value> {
    serde_json::to_value(response).map_err(|error| {
        Problem::new(crate::Class::Failed, "bad_response", format!("the response cannot be written: {error}"))
    })
}
