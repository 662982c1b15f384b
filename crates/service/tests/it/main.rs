//! The list of use cases.

mod operations;
mod scrub;
