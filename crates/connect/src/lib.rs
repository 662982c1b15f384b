//! The contracts between Syncline and the outside.
//!
//! Read [`endpoint`] first: five verbs and capability data. Everything that implements it lives in the
//! connectors crate, one file each.

pub mod alert_channel;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod content;
pub mod courier;
pub mod endpoint;
pub mod error;
pub mod layers;
pub mod listing;
pub mod memory;
pub mod public_address;
pub mod registry;
pub mod signature;
pub mod standard_webhooks;

pub use alert_channel::{AlertChannel, AlertLine, AlertMessage};
pub use content::{Body, ChangedWhileRead, Content, ReadFailed};
pub use courier::{Courier, Parcel, Receipt};
pub use endpoint::{
    Batch, Capabilities, Contents, Endpoint, Health, History, Progress, ScanRequest, Watch, WatchEvent,
    Watcher, Words,
};
pub use error::{Error, ErrorKind, Result, Retry};
pub use listing::{Listing, detect_moves, snapshot_from_listing};
pub use memory::{MemoryEndpoint, MemoryItem};
pub use registry::{ChannelKind, EndpointKind, OpenRequest, Registry};
