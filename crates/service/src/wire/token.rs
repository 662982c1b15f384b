//! Tokens, as people and programs see them: without their secrets.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use syncline_core::Nanos;
use syncline_store::TokenRecord;

use super::timestamp;
use crate::operation::Scope;

/// What is kept of a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Token {
    /// Its name.
    pub name: String,
    /// What stands in it between `syn_` and the next `_`: enough to know it when it is found somewhere.
    pub id: String,
    /// What it allows: `read`, `run`, `resolve`, `admin`.
    pub scopes: Vec<String>,
    /// Names or globs of the targets that it is limited to; all targets when there are none.
    pub targets: Vec<String>,
    /// When it was made: RFC 3339.
    pub created: String,
    /// When it counts no more: RFC 3339; `null` when it never ends by itself.
    pub expires: Option<String>,
    /// Whether it counts no more.
    pub expired: bool,
    /// When it was used last, to the minute: RFC 3339; `null` when it never was.
    pub used: Option<String>,
}

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenScope {
    /// To look.
    Read,
    /// To run targets, pause them, and take runs back; to look, too.
    Run,
    /// To settle conflicts; to look, too.
    Resolve,
    /// Everything, tokens and the installation itself among it.
    Admin,
}

impl From<TokenScope> for Scope {
    fn from(scope: TokenScope) -> Self {
        match scope {
            TokenScope::Read => Self::Read,
            TokenScope::Run => Self::Run,
            TokenScope::Resolve => Self::Resolve,
            TokenScope::Admin => Self::Admin,
        }
    }
}

impl Token {
    pub(crate) fn new(record: TokenRecord, now: Nanos) -> Self {
        Self {
            name: record.name,
            id: record.id,
            scopes: record.scopes,
            targets: record.targets,
            created: timestamp(record.created),
            expires: record.expires.map(timestamp),
            expired: record.expires.is_some_and(|expires| expires <= now),
            used: record.used.map(timestamp),
        }
    }
}
