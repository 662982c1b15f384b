//! Events of a workspace that is served.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Direction;

/// Something that happened. On the wire each also has `version`, `id` and `at`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum News {
    /// Somebody listens from here on; the first event of a stream that goes on from nowhere.
    Listening {},
    /// Events were lost: what they told is in `/status`.
    Gap {
        /// `lost` when too many have happened since, `another_process` when the daemon was started anew.
        reason: String,
    },
    /// A run that has something to do began, of this process or of another one.
    RunStarted {
        /// The target.
        target: String,
        /// The run.
        run: String,
        /// Which way changes may flow.
        direction: Direction,
        /// Who or what asked for it.
        cause: String,
        /// How many steps are planned.
        steps: u64,
    },
    /// A run of this process does something else from now on.
    Phase {
        /// The target.
        target: String,
        /// `scanning`, `comparing`, `searching` or `applying`.
        phase: String,
        /// How many items, or steps, there are.
        items: Option<u64>,
        /// How many bytes are to be transferred.
        bytes: Option<u64>,
    },
    /// How far this process is in its phase, told at most four times a second.
    Progress {
        /// The target; `null` while several are at work at once.
        target: Option<String>,
        /// Items looked at, or steps done.
        items: u64,
        /// Bytes transferred.
        bytes: u64,
    },
    /// A run ended, of this process or of another one, also one that found nothing to do.
    RunEnded {
        /// The target.
        target: String,
        /// The run; `null` when nothing was to be recorded.
        run: Option<String>,
        /// `succeeded`, `partial`, `failed`, `halted` or `interrupted`.
        state: String,
        /// Whether it did all that it was to do.
        success: bool,
        /// What happened, in one line.
        message: String,
        /// How many steps were done.
        steps: u64,
        /// Bytes transferred.
        bytes: u64,
        /// Seconds from beginning to end; `null` where that is not known.
        duration: Option<f64>,
    },
    /// A conflict was found, or found open again.
    ConflictOpened {
        /// The target.
        target: String,
        /// The conflict.
        conflict: String,
        /// The path in the target.
        path: String,
        /// `edit-edit`, `create-create` or `type-type`.
        kind: String,
    },
    /// A conflict was settled.
    ConflictResolved {
        /// The target.
        target: String,
        /// The conflict.
        conflict: String,
        /// The path in the target.
        path: String,
        /// How.
        resolution: Option<String>,
    },
    /// A target is left alone from now on.
    TargetPaused {
        /// The target.
        target: String,
        /// Why.
        reason: String,
        /// When that ends by itself; `null` when somebody has to end it.
        until: Option<String>,
    },
    /// A target is no longer left alone.
    TargetResumed {
        /// The target.
        target: String,
    },
    /// The remote of a target is away.
    TargetOffline {
        /// The target.
        target: String,
        /// Why.
        reason: String,
    },
    /// The remote of a target is there again.
    TargetOnline {
        /// The target.
        target: String,
    },
    /// The configuration was read anew, and is in force.
    ConfigurationReloaded {
        /// The targets.
        targets: Vec<String>,
    },
    /// The configuration was read anew and is wrong: the old one stays in force.
    ConfigurationRefused {
        /// What is wrong.
        message: String,
    },
    /// What is going on comes to its end, and the process with it.
    DaemonDraining {},
}

impl News {
    /// The name of the event.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Listening {} => "listening",
            Self::Gap { .. } => "gap",
            Self::RunStarted { .. } => "run_started",
            Self::Phase { .. } => "phase",
            Self::Progress { .. } => "progress",
            Self::RunEnded { .. } => "run_ended",
            Self::ConflictOpened { .. } => "conflict_opened",
            Self::ConflictResolved { .. } => "conflict_resolved",
            Self::TargetPaused { .. } => "target_paused",
            Self::TargetResumed { .. } => "target_resumed",
            Self::TargetOffline { .. } => "target_offline",
            Self::TargetOnline { .. } => "target_online",
            Self::ConfigurationReloaded { .. } => "configuration_reloaded",
            Self::ConfigurationRefused { .. } => "configuration_refused",
            Self::DaemonDraining {} => "daemon_draining",
        }
    }

    /// The target that it is about, when it is about one.
    #[must_use]
    pub fn target(&self) -> Option<&str> {
        match self {
            Self::RunStarted { target, .. }
            | Self::Phase { target, .. }
            | Self::RunEnded { target, .. }
            | Self::ConflictOpened { target, .. }
            | Self::ConflictResolved { target, .. }
            | Self::TargetPaused { target, .. }
            | Self::TargetResumed { target }
            | Self::TargetOffline { target, .. }
            | Self::TargetOnline { target } => Some(target),
            Self::Progress { target, .. } => target.as_deref(),
            Self::Listening {}
            | Self::Gap { .. }
            | Self::ConfigurationReloaded { .. }
            | Self::ConfigurationRefused { .. }
            | Self::DaemonDraining {} => None,
        }
    }
}
