//! Every use case once.
//!
//! Read [`operations`] first: one file for each use case, all of them listed in [`OPERATIONS`], from which every
//! face is derived. [`Service`] is an open workspace; [`problem`] maps every error to every face; [`wire`] holds
//! the shapes that leave the program, with their versions.

pub mod answering;
mod asked;
mod auditing;
mod beat;
mod caller;
pub mod ci;
mod clock;
mod conflict_choice;
mod conflict_closing;
mod conflict_places;
mod conflict_plan;
mod conflict_undoing;
mod conflict_versions;
mod gates;
pub mod git;
mod git_exclude;
mod glance;
mod housekeeping;
mod ignore_file;
pub mod import;
pub mod live;
mod lookout;
mod monitoring;
mod notifying;
pub mod operation;
pub mod operations;
pub mod problem;
mod replay;
mod runner;
mod scheduling;
mod scripts;
mod serve;
mod serve_once;
mod service;
mod targets;
mod tokens;
mod tripwire;
mod watch;
mod watch_post;
pub mod webhooks;
pub mod wire;
mod wishes;

/// Every use case, in the order in which people read them.
pub const OPERATIONS: &[Operation] = &[
    operations::list_targets::OPERATION,
    operations::make_plan::OPERATION,
    operations::start_run::OPERATION,
    operations::trigger_event::OPERATION,
    operations::check_drift::OPERATION,
    operations::status::OPERATION,
    operations::pause::OPERATION,
    operations::resume::OPERATION,
    operations::watch_status::OPERATION,
    operations::stop_watch::OPERATION,
    operations::history::OPERATION,
    operations::list_versions::OPERATION,
    operations::rollback::OPERATION,
    operations::restore::OPERATION,
    operations::explain::OPERATION,
    operations::list_conflicts::OPERATION,
    operations::show_conflict::OPERATION,
    operations::merge_conflict::OPERATION,
    operations::resolve_conflict::OPERATION,
    operations::abort_conflict::OPERATION,
    operations::report_conflicts::OPERATION,
    operations::list_alerts::OPERATION,
    operations::acknowledge_alert::OPERATION,
    operations::test_alerts::OPERATION,
    operations::list_webhooks::OPERATION,
    operations::list_deliveries::OPERATION,
    operations::replay_deliveries::OPERATION,
    operations::test_webhooks::OPERATION,
    operations::list_peers::OPERATION,
    operations::scrub::OPERATION,
    operations::doctor::OPERATION,
    operations::generate_ci::OPERATION,
    operations::check_ci::OPERATION,
    operations::import_files::OPERATION,
    operations::config_schema::OPERATION,
    operations::create_token::OPERATION,
    operations::list_tokens::OPERATION,
    operations::revoke_token::OPERATION,
    operations::list_audit::OPERATION,
];

pub use caller::Caller;
pub use operation::{Method, Operation, Route, Scope, ToolHints};
pub use problem::{Class, Place, Problem, WireProblem, Written};
pub use replay::{Replay, Ticket};
pub use serve::{Orders, check_place, serve};
pub use serve_once::serve_once;
pub use service::{Opening, Service, kind_schemas};
pub use syncline_config::{ServeConfig, TlsConfig};
pub use watch::{WatchNews, watch};
