//! The folder endpoint.
