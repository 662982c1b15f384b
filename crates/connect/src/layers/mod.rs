//! Layers: endpoints that wrap an endpoint and add one property.

pub mod fault;
pub mod read_only;
pub mod retry;
pub mod sanitize;
pub mod timeout;
