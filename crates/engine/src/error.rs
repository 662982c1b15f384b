//! What keeps a run from being carried out at all.

/// The result of the engine's operations.
pub type Result<T> = std::result::Result<T, Error>;

/// What keeps a run from being carried out at all. Trouble with single paths is data in the result instead.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An endpoint failed as a whole.
    #[error(transparent)]
    Connect(#[from] syncline_connect::Error),
    /// The state could not be read or written.
    #[error(transparent)]
    Store(#[from] syncline_store::Error),
    /// The world is no longer as the saved plan saw it.
    #[error("the plan for {target} no longer fits: it was {expected}, now it is {found}")]
    PlanMoved {
        /// The target.
        target: String,
        /// The hash of the saved plan.
        expected: String,
        /// The hash of the plan as it would be now.
        found: String,
    },
    /// The content that a rollback or restore needs is not in history any more.
    #[error("the content of {path} that is asked for ({digest}) is no longer in history")]
    ContentGone {
        /// The path.
        path: String,
        /// The digest.
        digest: String,
    },
    /// The run that was named is not known.
    #[error("there is no run {0}")]
    NoRun(String),
}

impl From<syncline_core::Damaged> for Error {
    fn from(damaged: syncline_core::Damaged) -> Self {
        Self::Connect(damaged.into())
    }
}
