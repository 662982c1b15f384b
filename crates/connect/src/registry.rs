//! What a connector tells about itself, so that one line in a list adds it everywhere.

use std::path::Path;
use std::sync::Arc;

use crate::alert_channel::AlertChannel;
use crate::courier::Courier;
use crate::endpoint::Endpoint;
use crate::error::Result;

/// One kind of endpoint: the entry of the visible list in the connectors crate.
#[derive(Clone, Copy)]
pub struct EndpointKind {
    /// The word after `kind:` in the configuration.
    pub name: &'static str,
    /// What it is, in one line.
    pub summary: &'static str,
    /// The JSON Schema of its settings, `kind` left out.
    pub schema: fn() -> schemars::Schema,
    /// Opens an endpoint; nothing is contacted or changed yet.
    pub open: fn(&OpenRequest<'_>) -> Result<Arc<dyn Endpoint>>,
}

/// What is needed to open an endpoint.
pub struct OpenRequest<'a> {
    /// Its settings as written in the configuration, secrets resolved, `kind` left out.
    pub settings: &'a serde_json::Value,
    /// The root of the workspace: relative paths start there.
    pub workspace: &'a Path,
    /// The folder of the target inside the workspace, which is its local side.
    pub folder: &'a Path,
    /// The folder of Syncline's own state on this machine: what an endpoint keeps there is only ever a cache, in a
    /// folder of its own. It need not exist yet.
    pub state: &'a Path,
}

/// One kind of alert channel: the entry of the visible list in the connectors crate.
#[derive(Clone, Copy)]
pub struct ChannelKind {
    /// The word after `kind:` in the configuration.
    pub name: &'static str,
    /// What it is, in one line.
    pub summary: &'static str,
    /// The JSON Schema of its settings, `kind` left out.
    pub schema: fn() -> schemars::Schema,
    /// Opens a channel with its settings, secrets resolved, `kind` left out; nothing is sent yet.
    pub open: fn(&serde_json::Value) -> Result<Arc<dyn AlertChannel>>,
}

/// Everything outside that this program knows.
#[derive(Clone, Copy)]
pub struct Registry {
    /// The kinds of endpoint, by name.
    pub endpoints: &'static [EndpointKind],
    /// The kinds of alert channel, by name.
    pub channels: &'static [ChannelKind],
    /// Opens an address that is only to be asked for: every message that it delivers is such a request, and says nothing.
    pub ping: fn(&str) -> Result<Arc<dyn AlertChannel>>,
    /// Carries messages to programs elsewhere.
    pub courier: Courier,
}

impl Registry {
    /// Finds a kind of alert channel by its name.
    #[must_use]
    pub fn channel(&self, name: &str) -> Option<&'static ChannelKind> {
        self.channels.iter().find(|kind| kind.name == name)
    }

    /// Finds a kind of endpoint by its name.
    #[must_use]
    pub fn endpoint(&self, name: &str) -> Option<&'static EndpointKind> {
        self.endpoints.iter().find(|kind| kind.name == name)
    }
}
