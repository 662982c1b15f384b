//! The least that an endpoint can do: a body that never changes. `cargo xtask bench status` measures `/status` beside it.
//!
//! Called with a file, it answers `GET /status` on a port of its own with what that file holds, as JSON.

use std::io::{Error, Result, Write as _};

use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::runtime::Builder;

fn main() -> Result<()> {
    let file = std::env::args_os().nth(1).ok_or_else(|| Error::other("tell the file that holds the body"))?;
    let body = Bytes::from(std::fs::read(file)?);
    let answer = move || {
        let body = body.clone();
        async move { ([(CONTENT_TYPE, "application/json")], body) }
    };
    // As many threads as `syncline serve` answers with.
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        writeln!(std::io::stderr(), "listening on http://{}", listener.local_addr()?)?;
        axum::serve(listener, Router::new().route("/status", get(answer))).await
    })
}
