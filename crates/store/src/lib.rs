//! State database, content store and journal: every disk format of Syncline.
//!
//! A [`Store`] is the `.syncline` folder of a workspace: `state.db` (SQLite) holds small rows and pointers,
//! `objects/` ([`Objects`]) holds content by digest. Baselines and the changes of runs are immutable objects;
//! the database holds the pointer to them, moved by compare-and-swap under a fencing epoch ([`Lease`]).
//!
//! Everything that is read back is validated: objects by their digest, blocks of a baseline by a checksum, rows
//! by a seal. What does not hold is [`ErrorKind::Damaged`], never a panic and never wrong data.

mod agenda;
mod alerting;
mod baseline_file;
mod bases;
mod codec;
mod conflicts;
mod database;
mod error;
mod fold;
mod journal;
mod layers;
mod lease;
mod merge;
mod objects;
mod overlay;
mod pauses;
mod platform;
mod prune;
mod records;
mod runs;
mod schema;
mod seal;
mod store;
mod targets;
mod watching;

pub use agenda::SeenTo;
pub use alerting::{
    Acknowledged, Acknowledgement, AgesRecord, AlertBook, AlertRecord, DeliveryRecord, HandleRecord,
    IncidentRecord, Inhibited, LineRecord, PeerRecord, PeersRecord,
};
pub use bases::{BASE_BYTES_MAX, BaseKeeper, Bases, FoundBases};
pub use error::{Error, ErrorKind, Result};
pub use journal::{Opening, Right};
pub use objects::{ObjectReader, Objects, Total};
pub use prune::Pruned;
pub use records::{
    ConflictQuery, ConflictRecord, Decided, Delta, Lease, Lost, Pause, RunFinish, RunQuery, RunRecord,
    RunStart, RunState, TargetState,
};
pub use store::{Store, WorkspaceLock};
pub use watching::{LastRun, RunningWatch, Taking, WatchAway, WatchLock, WatchRecord, WatchedTarget};
