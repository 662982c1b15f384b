//! Tests of what a user may write and what becomes of it.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod bad_files;
mod environment;
mod generated;
mod good_files;
mod hostile;
mod notify;
mod secrets;
mod support;
mod webhooks;
