//! The use cases: one file each, listed in [`crate::OPERATIONS`].
//!
//! Each file has a request, a response, the typed function that performs it, and the line for the list.

pub mod abort_conflict;
pub mod acknowledge_alert;
pub mod check_ci;
pub mod check_drift;
pub mod config_schema;
pub mod create_token;
pub mod doctor;
pub mod explain;
pub mod generate_ci;
pub mod history;
pub mod import_files;
pub mod list_alerts;
pub mod list_audit;
pub mod list_conflicts;
pub mod list_deliveries;
pub mod list_peers;
pub mod list_targets;
pub mod list_tokens;
pub mod list_versions;
pub mod list_webhooks;
pub mod make_plan;
pub mod merge_conflict;
pub mod pause;
pub mod replay_deliveries;
pub mod report_conflicts;
pub mod resolve_conflict;
pub mod restore;
pub mod resume;
pub mod revoke_token;
pub mod rollback;
pub mod scrub;
pub mod show_conflict;
pub mod start_run;
pub mod status;
pub mod stop_watch;
pub mod test_alerts;
pub mod test_webhooks;
pub mod trigger_event;
pub mod watch_status;
