//! Tests of what a user may write and what becomes of it.

mod bad_files;
mod environment;
mod generated;
mod good_files;
mod hostile;
mod secrets;
mod support;
