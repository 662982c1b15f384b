//! Heartbeats, alert rules and the outbox of notices.
//!
//! It listens, and never touches an endpoint. Everything here is pure: what was observed and how much time has passed are
//! arguments, and what is to be told is a result. Read [`observed`] first, then [`conditions`], the table of rules, then
//! [`alerts`], what becomes of them over time, and [`outbox`], how they get to people.
//!
//! A look takes in everything that can be observed at one moment, not what changed: what was missed once is seen the next
//! time. What could not be observed is not the same as what is well: an alert about it stays as it is.

pub mod alerts;
pub mod conditions;
pub mod heartbeat;
pub mod observed;
pub mod outbox;
pub mod peers;
pub mod rule;

pub use alerts::{Alerts, Look, Notice};
pub use observed::{ConflictSeen, Observed, PeerSeen, Room, TargetSeen};
pub use peers::{PeerState, Peers};
pub use rule::{Limits, Rule};
