//! Over standard input and output: a client starts the program and talks to it.

use std::io::Read as _;

use rmcp::service::{QuitReason, ServerInitializeError, serve_server};
use syncline_service::{Class, Problem};
use tokio::io::{AsyncWriteExt as _, DuplexStream, duplex};
use tokio::runtime::Handle;

use super::{Face, Open};

/// How much of the input is read before it is worked on.
const INPUT_BYTES: usize = 64 * 1024;

/// Answers the client at standard input and output until that ends the input; what it asked for by then comes to its end.
///
/// # Errors
/// When what comes in is not the protocol.
pub async fn converse(open: Open) -> Result<(), Problem> {
    let face = Face::new(open);
    let failed = |what: String| {
        Problem::new(Class::Failed, "no_client", what).with_hint(
            "this command is for AI clients, which start it themselves; see `syncline mcp --print-config`",
        )
    };
    let running = match serve_server(face.clone(), (input(), tokio::io::stdout())).await {
        Ok(running) => running,
        Err(ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
        Err(error) => return Err(failed(format!("the client does not speak the protocol: {error}"))),
    };
    let ended = running.waiting().await;
    face.finish().await;
    match ended {
        Ok(QuitReason::JoinError(error)) | Err(error) => {
            Err(failed(format!("it ended unexpectedly: {error}")))
        }
        Ok(_) => Ok(()),
    }
}

/// Standard input, read by a thread of its own: one that waits for a client must not keep the process from ending.
fn input() -> DuplexStream {
    let (mut writer, reader) = duplex(INPUT_BYTES);
    let runtime = Handle::current();
    std::thread::spawn(move || {
        let mut buffer = vec![0; INPUT_BYTES];
        let mut input = std::io::stdin().lock();
        loop {
            match input.read(&mut buffer) {
                Ok(0) | Err(_) => return,
                Ok(read) if runtime.block_on(writer.write_all(&buffer[..read])).is_err() => return,
                Ok(_) => {}
            }
        }
    });
    reader
}
