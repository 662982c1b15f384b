//! What a user may write in `syncline.yaml`, and how it becomes what will be done.
//!
//! The way is one: text, a tree of values that know their places (`document`), environment twins put in, the
//! tree held against the schema, then `written` types (one file per section), then the effective [`Workspace`].
//! The schema is derived from the written types, and everything else is derived from the schema: the check, the
//! twins and the reference page. A key is declared once.
//!
//! What is absent on purpose: expansion of `${…}` while parsing. References are resolved when an endpoint is opened,
//! so that listing targets needs no secret, and no secret is in memory that nobody needs.

mod check;
mod discover;
mod document;
mod error;
mod known;
mod load;
mod privacy;
mod reference;
mod schema;
mod secret;
mod sections;
mod source;
mod starter;
mod suggest;
mod twins;
mod workspace;

pub use discover::{discover, locate};
pub use error::{ConfigError, ConfigErrors, Location, Snippet, Warning};
pub use known::conceal;
pub use load::{FILE_BYTES_MAX, from_process, load, parse};
pub use reference::reference_markdown;
pub use schema::{KindSchema, Role, schema};
pub use secret::{Redacted, is_secret_key};
pub use sections::alerts::{AlertsConfig, Channel, DeadMan};
pub use sections::checks::{Check, Means, Phase};
pub use sections::committing::GitCommit;
pub use sections::endpoint::EndpointConfig;
pub use sections::history::HistoryConfig;
pub use sections::is_name;
pub use sections::notify::{NOTICES, Notification};
pub use sections::peers::{PeerConfig, PeersConfig};
pub use sections::quantity::span as read_span;
pub use sections::schedule::read_schedule;
pub use sections::script::{Script, ScriptLimits, literal_folder};
pub use sections::secrets::{Sanitize, SecretScan};
pub use sections::serve::{ServeConfig, TlsConfig};
pub use sections::webhooks::{Secret, Webhook, WebhookKind};
pub use starter::{starter, starter_pair};
pub use workspace::{Target, Workspace};
