//! Every implementation of the contracts with the outside, and the visible lists of them.
//!
//! To add an endpoint: one file in [`endpoints`] and one line in [`ENDPOINTS`]. To add an alert channel: one file in
//! [`alerts`] and one line in [`CHANNELS`].

pub mod alerts;
mod carrying;
mod causes;
pub mod endpoints;
mod vetting;

use alerts::ping::open as ping;
use carrying::carry as courier;
use syncline_connect::{ChannelKind, EndpointKind, Registry};

/// Every kind of endpoint, in the order in which people read them.
pub const ENDPOINTS: &[EndpointKind] = &[
    endpoints::folder::KIND,
    endpoints::git::KIND,
    endpoints::upstream::KIND,
    endpoints::repositories::KIND,
    endpoints::ai_clients::KIND,
];

/// Every kind of alert channel, in the order in which people read them.
pub const CHANNELS: &[ChannelKind] = &[
    alerts::telegram::KIND,
    alerts::discord::KIND,
    alerts::slack::KIND,
    alerts::mattermost::KIND,
    alerts::email::KIND,
    alerts::webhook::KIND,
];

/// Everything that this crate offers.
#[must_use]
pub const fn registry() -> Registry {
    Registry { endpoints: ENDPOINTS, channels: CHANNELS, ping, courier }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_words() {
        let endpoints = ENDPOINTS.iter().map(|kind| kind.name).collect();
        let channels = CHANNELS.iter().map(|kind| kind.name).collect();
        for mut names in [endpoints, channels] {
            let names: &mut Vec<&str> = &mut names;
            let is_word = |name: &&str| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
            assert!(names.iter().all(|name| !name.is_empty() && is_word(name)));
            let count = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), count);
        }
    }

    #[test]
    fn every_kind_tells_what_it_is_in_one_line() {
        let endpoints = ENDPOINTS.iter().map(|kind| (kind.name, kind.summary));
        for (name, summary) in endpoints.chain(CHANNELS.iter().map(|kind| (kind.name, kind.summary))) {
            assert!(!summary.is_empty() && !summary.contains('\n'), "{name}");
        }
    }

    #[test]
    fn every_schema_is_a_closed_object_with_documented_settings() {
        let endpoints = ENDPOINTS.iter().map(|kind| (kind.name, (kind.schema)()));
        for (kind, schema) in endpoints.chain(CHANNELS.iter().map(|kind| (kind.name, (kind.schema)()))) {
            let schema = schema.to_value();
            assert_eq!(schema["type"], "object", "{kind}");
            assert_eq!(schema["additionalProperties"], false, "{kind}");
            for (name, setting) in schema["properties"].as_object().into_iter().flatten() {
                assert!(setting["description"].is_string(), "{kind}: {name} has no description");
            }
        }
    }

    #[test]
    fn the_registry_finds_kinds_by_name() {
        assert!(registry().endpoint("folder").is_some());
        assert!(registry().endpoint("floppy").is_none());
        assert!(registry().channel("webhook").is_some());
    }
}
