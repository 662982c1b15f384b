//! The Git endpoint over bare repositories.
