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
mod answers;
mod audit;
mod baseline_file;
mod bases;
mod codec;
mod conflicts;
mod database;
mod deliveries;
mod error;
mod fold;
mod journal;
mod layers;
mod lease;
mod merge;
mod news;
mod objects;
mod onlooker;
mod outgoing;
mod overlay;
mod pauses;
mod platform;
mod prune;
mod records;
mod requests;
mod rows;
mod runs;
mod schema;
mod seal;
mod store;
mod subscribers;
mod targets;
mod tokens;
mod totals;
mod watching;
mod writes;

pub use agenda::SeenTo;
pub use alerting::{
    Acknowledged, Acknowledgement, AgesRecord, AlertBook, AlertRecord, DeliveryRecord, HandleRecord,
    IncidentRecord, Inhibited, LineRecord, PeerRecord, PeersRecord,
};
pub use answers::{Answered, KEEP_ANSWERS, Question};
pub use audit::{AuditEntry, AuditLog, AuditRecord, Break};
pub use bases::{BASE_BYTES_MAX, BaseKeeper, Bases, FoundBases};
pub use deliveries::{Arrival, DELIVERIES_MAX, DELIVERY_TIME, Delivery, keep_token};
pub use error::{BASELINE_HINT, Error, ErrorKind, Result};
pub use journal::{Opening, Right};
pub use news::{Happening, NEWS_MAX, NewsRecord};
pub use objects::{ObjectReader, Objects, Total};
pub use onlooker::{Onlooker, Overview, TargetOverview};
pub use outgoing::{
    AttemptRecord, MESSAGES_KEPT_MAX, MESSAGES_WAITING_MAX, MessageQuery, MessageRecord, MessageState,
    NewMessage, Told, Verdict,
};
pub use prune::Pruned;
pub use records::{
    ConflictQuery, ConflictRecord, Decided, Delta, Lease, Lost, Pause, RunFinish, RunQuery, RunRecord,
    RunStart, RunState, TargetState,
};
pub use requests::Request;
pub use rows::{DamagedRow, RowAside, Table};
pub use store::{Store, WorkspaceLock, check_owner};
pub use subscribers::Subscriber;
pub use tokens::TokenRecord;
pub use totals::{DURATION_BOUNDS_MS, Ended, RECENT_MAX, RecentEnd, Totals};
pub use watching::{LastRun, RunningWatch, Taking, WatchAway, WatchLock, WatchRecord, WatchedTarget};
pub use writes::Writes;
