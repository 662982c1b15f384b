//! `syncline call`.

use std::io::Read as _;

use serde_json::{Value, json};
use syncline_service::{OPERATIONS, Operation, Problem};

use crate::cli::args::Globals;
use crate::cli::output::Output;
use crate::cli::text::{paint, style};
use crate::cli::{runtime, session};

/// Perform an operation by its name, with a JSON request: what the API and AI clients do.
///
/// Without a name, lists the operations. The response is JSON on standard output.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  syncline call                                       list the operations
  syncline call status
  syncline call start_run --json '{\"targets\": [\"notes\"]}'
  echo '{\"path\": \"plan.md\"}' | syncline call explain --json -
  syncline call start_run --schema                    what may be asked, and what comes back")]
pub(crate) struct Call {
    /// The operation.
    #[arg(value_name = "OPERATION")]
    operation: Option<String>,
    /// The request; `-` reads it from standard input [default: {}].
    #[arg(long, value_name = "JSON")]
    json: Option<String>,
    /// Print the JSON Schemas of request and response instead.
    #[arg(long, requires = "operation")]
    schema: bool,
}

impl Call {
    /// Runs the command.
    pub(crate) fn run(self, globals: &Globals, output: &Output) -> Result<u8, Problem> {
        let Some(name) = &self.operation else {
            output.result(&list(), table);
            return Ok(0);
        };
        let operation = OPERATIONS.iter().find(|operation| operation.name == name).ok_or_else(|| {
            let names: Vec<&str> = OPERATIONS.iter().map(|operation| operation.name).collect();
            Problem::usage("unknown_operation", format!("there is no operation {name:?}"))
                .with_hint(format!("there are: {}", names.join(", ")))
        })?;
        if self.schema {
            output.json(&describe(operation));
            return Ok(0);
        }
        let request = self.request()?;
        let service = session::open(globals, output, "call")?;
        let response = runtime::block_on((operation.call)(&service, request))?;
        output.json(&response);
        Ok(0)
    }

    fn request(&self) -> Result<Value, Problem> {
        let text = match self.json.as_deref() {
            None => return Ok(Value::Null),
            Some("-") => {
                let mut text = String::new();
                let read = std::io::stdin().read_to_string(&mut text);
                read.map_err(|error| Problem::io(error, "reading the request from standard input"))?;
                text
            }
            Some(text) => text.to_owned(),
        };
        serde_json::from_str(&text)
            .map_err(|error| Problem::usage("bad_request", format!("the request is not JSON: {error}")))
    }
}

fn describe(operation: &Operation) -> Value {
    json!({
        "version": 1,
        "name": operation.name,
        "summary": operation.summary,
        "scope": operation.scope.word(),
        "request": (operation.request)(),
        "response": (operation.response)(),
    })
}

fn list() -> Value {
    let line = |operation: &Operation| json!({ "name": operation.name, "summary": operation.summary, "scope": operation.scope.word() });
    json!({ "version": 1, "operations": OPERATIONS.iter().map(line).collect::<Vec<_>>() })
}

fn table() -> String {
    let width = OPERATIONS.iter().map(|operation| operation.name.len()).max().unwrap_or_default();
    let line = |operation: &Operation| {
        let gap = " ".repeat(width - operation.name.len());
        let scope = paint(style::FAINT, operation.scope.word());
        format!("{}{gap}  {}  {scope}\n", paint(style::STRONG, operation.name), operation.summary)
    };
    OPERATIONS.iter().map(line).collect()
}
