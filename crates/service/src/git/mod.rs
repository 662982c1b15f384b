//! Settling what Git stopped at: in a merge, a rebase, a cherry-pick, a revert.
//!
//! These use cases need no workspace, only a repository. Everything is read from the index and written through Git's own
//! plumbing, so that filters, line ends and the executable bit are as Git would have them, and no symbolic link is
//! followed. Nothing is committed unless somebody asks for it.
//!
//! - [`stopped`] tells what is in progress and which paths are unmerged.
//! - [`resolve`](mod@resolve) applies the policies to them.
//! - [`abort`](mod@abort) gives up, after keeping aside what people had edited.
//! - [`driver`] is the other way in: Git asks for one path at a time while it merges.

pub mod abort;
mod command;
pub(crate) mod committing;
pub mod driver;
mod policies;
pub mod resolve;
pub mod stopped;
mod written;

pub use command::Repository;
pub use policies::{Policies, Wanted};
