//! How results look to people.

pub(crate) mod conflict;
pub(crate) mod diff;
pub(crate) mod drift;
pub(crate) mod plan;
pub(crate) mod report;
