//! `syncline token`.

use clap::{Subcommand, ValueEnum};
use syncline_service::operations::create_token::{self, create_token};
use syncline_service::operations::list_tokens::list_tokens;
use syncline_service::operations::revoke_token::{self, revoke_token};
use syncline_service::{Problem, wire};

use crate::cli::args::Globals;
use crate::cli::output::Output;
use crate::cli::text::{local_time, paint, shown, style};
use crate::cli::{runtime, session};

/// Make, list and revoke tokens, with which others may ask over HTTP.
///
/// A token says who asks, what that caller may do, and which targets there are for it. Only a digest of it is kept.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  syncline token create --name grafana --scope read
  syncline token create --name deploy --scope run --target 'site_*' --expires 30d
  syncline token list
  syncline token revoke deploy")]
pub(crate) struct Token {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(Create),
    List(List),
    Revoke(Revoke),
}

impl Token {
    /// Runs the command.
    pub(crate) fn run(self, globals: &Globals, output: &Output) -> Result<u8, Problem> {
        match self.command {
            Command::Create(command) => command.run(globals, output),
            Command::List(command) => command.run(globals, output),
            Command::Revoke(command) => command.run(globals, output),
        }
    }
}

/// What a token allows, as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Scope {
    /// To look.
    Read,
    /// To run targets, pause them, and take runs back; to look, too.
    Run,
    /// To settle conflicts; to look, too.
    Resolve,
    /// Everything.
    Admin,
}

impl From<Scope> for wire::TokenScope {
    fn from(typed: Scope) -> Self {
        match typed {
            Scope::Read => Self::Read,
            Scope::Run => Self::Run,
            Scope::Resolve => Self::Resolve,
            Scope::Admin => Self::Admin,
        }
    }
}

/// Make a token; it is shown once and never again.
///
/// The token is all of standard output; what it allows is told beside it.
#[derive(Debug, clap::Args)]
struct Create {
    /// What to call it, for you and for the audit log.
    #[arg(long, value_name = "NAME")]
    name: String,
    /// What it allows; may be given more than once.
    #[arg(long = "scope", value_name = "SCOPE", value_enum, required = true)]
    scopes: Vec<Scope>,
    /// Limit it to the targets of a name or a glob; may be given more than once [default: all targets].
    #[arg(long = "target", value_name = "NAME|GLOB")]
    targets: Vec<String>,
    /// After what span it counts no more, such as `30d` [default: never].
    #[arg(long, value_name = "SPAN")]
    expires: Option<String>,
}

impl Create {
    fn run(self, globals: &Globals, output: &Output) -> Result<u8, Problem> {
        let service = session::open(globals, output, "command line")?;
        let scopes = self.scopes.into_iter().map(Into::into).collect();
        let request =
            create_token::Request { name: self.name, scopes, targets: self.targets, expires: self.expires };
        let response = runtime::block_on(create_token(&service, &request))?;
        if !output.is_json() {
            output.note(format_args!("{}; it is shown this once:", described(&response.made)));
        }
        // Also to be read by a program, so that nothing else stands beside it.
        output.outcome(&response, true, || format!("{}\n", response.token));
        Ok(0)
    }
}

/// List tokens: what each allows, and when it was used.
#[derive(Debug, clap::Args)]
struct List {}

impl List {
    fn run(self, globals: &Globals, output: &Output) -> Result<u8, Problem> {
        let service = session::open(globals, output, "command line")?;
        let response = runtime::block_on(list_tokens(&service))?;
        output.result(&response, || match response.tokens.as_slice() {
            [] => "no tokens\n".to_owned(),
            tokens => tokens.iter().map(|token| format!("{}\n", described(token))).collect(),
        });
        Ok(0)
    }
}

/// Revoke a token: it counts no more, also for a process that serves.
#[derive(Debug, clap::Args)]
struct Revoke {
    /// Its name.
    #[arg(value_name = "NAME")]
    name: String,
}

impl Revoke {
    fn run(self, globals: &Globals, output: &Output) -> Result<u8, Problem> {
        let service = session::open(globals, output, "command line")?;
        let request = revoke_token::Request { name: self.name };
        let response = runtime::block_on(revoke_token(&service, &request))?;
        output
            .result(&response, || format!("{}  revoked\n", paint(style::STRONG, &shown(&response.revoked))));
        Ok(0)
    }
}

/// A token in one line.
fn described(token: &wire::Token) -> String {
    let mut parts = vec![token.scopes.join(", ")];
    if !token.targets.is_empty() {
        parts.push(format!("only {}", token.targets.join(", ")));
    }
    parts.extend(token.expires.as_deref().map(|expires| {
        let word = if token.expired { "expired" } else { "until" };
        format!("{word} {}", local_time(expires))
    }));
    parts.push(match token.used.as_deref() {
        Some(used) => format!("last used {}", local_time(used)),
        None => "never used".to_owned(),
    });
    format!("{}  {}", paint(style::STRONG, &shown(&token.name)), shown(&parts.join(" · ")))
}
