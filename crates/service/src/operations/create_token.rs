//! Makes a token, with which others may ask over HTTP.

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use syncline_core::Nanos;
use syncline_store::TokenRecord;

use crate::auditing::{Asked, Became, audited};
use crate::caller::is_token_name;
use crate::operation::{Operation, Scope, answer, post, question};
use crate::problem::{Class, Problem, Result};
use crate::service::Service;
use crate::tokens::make;
use crate::wire::{Token, TokenScope, VERSION};

/// The line of this use case in the list.
pub const OPERATION: Operation = Operation {
    name: "create_token",
    summary: "Make a token with which others may ask over HTTP",
    scope: Scope::Admin,
    route: post("/tokens"),
    // An AI client would be shown the secret.
    tool: None,
    request: || schema_for!(Request),
    response: || schema_for!(Response),
    call: |service, value| Box::pin(async move { answer(&create_token(service, &question(value)?).await?) }),
};

/// Most targets that a token names.
const TARGETS_MAX: usize = 100;

/// What a token is to allow.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// What to call it: letters, digits, `.`, `_` and `-`.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$"))]
    pub name: String,
    /// What it allows.
    #[schemars(length(min = 1))]
    pub scopes: Vec<TokenScope>,
    /// Names or globs of the targets that it is limited to; all targets when there are none.
    #[serde(default)]
    pub targets: Vec<String>,
    /// After what span it counts no more, such as `30d`; never when nothing is given.
    #[serde(default)]
    #[schemars(regex(pattern = r"^[1-9][0-9]{0,3}[smhd]$"))]
    pub expires: Option<String>,
}

/// The token.
#[derive(Clone, Serialize, JsonSchema)]
pub struct Response {
    /// The version of this shape.
    pub version: u32,
    /// The token itself. It is told here and never again.
    pub token: String,
    /// What is kept of it.
    pub made: Token,
}

/// Makes a token.
///
/// # Errors
/// When the name is taken or the request wrong, or the state cannot be written.
pub async fn create_token(service: &Service, request: &Request) -> Result<Response> {
    let scopes: Vec<&str> = request.scopes.iter().map(|scope| Scope::from(*scope).word()).collect();
    let about = format!("{}: {}", request.name, scopes.join(", "));
    let asked = Asked { operation: OPERATION.name, targets: &request.targets, about };
    let became = |_: &Response| Some(Became { targets: request.targets.clone(), outcome: "done".to_owned() });
    audited(service, asked, became, create(service, request)).await
}

async fn create(service: &Service, request: &Request) -> Result<Response> {
    check(request)?;
    // A pattern that matches nothing is a mistake that nobody would notice until the token is used.
    service.workspace().select(&request.targets, None)?;
    let now = service.clock().now();
    let expires = request.expires.as_deref().map(|text| end(text, now)).transpose()?;
    let mut scopes: Vec<Scope> = request.scopes.iter().map(|scope| Scope::from(*scope)).collect();
    scopes.sort_unstable();
    scopes.dedup();
    let made = make()?;
    let record = TokenRecord {
        id: made.id,
        name: request.name.clone(),
        hash: made.hash,
        scopes: scopes.iter().map(|scope| scope.word().to_owned()).collect(),
        targets: request.targets.clone(),
        created: now,
        expires,
        used: None,
    };
    if !service.stored().await?.add_token(&record).await? {
        let message = format!("there is a token {:?} already", record.name);
        return Err(Problem::new(Class::Stale, "name_taken", message)
            .with_hint("choose another name, or revoke that one first"));
    }
    service.leave_out_of_git();
    Ok(Response { version: VERSION, token: made.token, made: Token::new(record, now) })
}

fn check(request: &Request) -> Result<()> {
    if !is_token_name(&request.name) {
        let message = format!("{:?} cannot be the name of a token", request.name);
        return Err(Problem::usage("bad_name", message).with_hint(
            "use letters, digits, `.`, `_` and `-`, the first one a letter, digit or `_`; `local` is taken",
        ));
    }
    if request.scopes.is_empty() {
        return Err(Problem::usage("no_scope", "a token without a scope allows nothing")
            .with_hint("give it `read`, `run`, `resolve` or `admin`"));
    }
    if request.targets.len() > TARGETS_MAX
        || request.targets.iter().any(|name| name.contains(char::is_control))
    {
        let message = format!("a token names at most {TARGETS_MAX} targets, each on one line");
        return Err(Problem::usage("bad_request", message));
    }
    if !request.targets.is_empty() && request.scopes.contains(&TokenScope::Admin) {
        let message = "`admin` concerns the whole workspace, so it goes with no limit to targets";
        return Err(Problem::usage("bad_request", message)
            .with_hint("give it `run` and `resolve` instead, or no targets"));
    }
    Ok(())
}

fn end(text: &str, now: Nanos) -> Result<Nanos> {
    let span = syncline_config::read_span(text.trim());
    let moment = span.and_then(|span| now.checked_add(Nanos::try_from(span.as_nanos()).ok()?));
    moment.ok_or_else(|| {
        Problem::usage("bad_time", format!("{text:?} is no span after which a token could expire"))
            .with_hint("write a whole number and `h` or `d`, such as `30d`")
    })
}
