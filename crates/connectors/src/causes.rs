//! What is at the bottom of an error: libraries wrap what the system said in layers that say less.

use std::error::Error;

/// The innermost cause, in its own words.
pub(crate) fn innermost(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
