//! Every implementation of the contracts with the outside, and the visible lists of them.
//!
//! To add an endpoint: one file in [`endpoints`] and one line in [`ENDPOINTS`].

pub mod endpoints;

use syncline_connect::{EndpointKind, Registry};

/// Every kind of endpoint, in the order in which people read them.
pub const ENDPOINTS: &[EndpointKind] = &[
    endpoints::folder::KIND,
    endpoints::git::KIND,
    endpoints::upstream::KIND,
    endpoints::repositories::KIND,
    endpoints::ai_clients::KIND,
];

/// Everything that this crate offers.
#[must_use]
pub const fn registry() -> Registry {
    Registry { endpoints: ENDPOINTS }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_words() {
        let mut names: Vec<_> = ENDPOINTS.iter().map(|kind| kind.name).collect();
        assert!(
            names
                .iter()
                .all(|name| !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
        );
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ENDPOINTS.len());
    }

    #[test]
    fn every_kind_tells_what_it_is_in_one_line() {
        for kind in ENDPOINTS {
            assert!(!kind.summary.is_empty() && !kind.summary.contains('\n'), "{}", kind.name);
        }
    }

    #[test]
    fn every_schema_is_a_closed_object_with_documented_settings() {
        for kind in ENDPOINTS {
            let schema = (kind.schema)().to_value();
            assert_eq!(schema["type"], "object", "{}", kind.name);
            assert_eq!(schema["additionalProperties"], false, "{}", kind.name);
            for (name, setting) in schema["properties"].as_object().into_iter().flatten() {
                assert!(setting["description"].is_string(), "{}: {name} has no description", kind.name);
            }
        }
    }

    #[test]
    fn the_registry_finds_kinds_by_name() {
        assert!(registry().endpoint("folder").is_some());
        assert!(registry().endpoint("floppy").is_none());
    }
}
