//! Dependencies between crates point one way.

use toml::{Table, Value};

use super::Finding;
use crate::repository::SourceFile;

/// A crate, and the crates of this workspace that it may name.
struct Layer {
    name: &'static str,
    may_name: &'static [&'static str],
}

/// Every crate of the workspace; `connectors` is named by the binary alone, which wires everything together.
const LAYERS: &[Layer] = &[
    Layer { name: "core", may_name: &[] },
    Layer { name: "config", may_name: &["core"] },
    Layer { name: "connect", may_name: &["core"] },
    Layer { name: "store", may_name: &["core"] },
    Layer { name: "connectors", may_name: &["core", "connect"] },
    Layer { name: "engine", may_name: &["core", "connect", "store"] },
    Layer { name: "monitor", may_name: &["core", "connect", "store"] },
    Layer { name: "service", may_name: &["core", "config", "connect", "store", "engine", "monitor"] },
    Layer { name: "server", may_name: &["service"] },
    Layer {
        name: "syncline",
        may_name: &["core", "config", "connect", "connectors", "store", "engine", "service", "server"],
    },
];

/// What the core never needs: it does no input or output, waits for nothing and knows no serialisation.
const NOT_IN_CORE: &[&str] =
    &["tokio", "serde", "serde_json", "async-trait", "futures", "futures-util", "rustix", "sqlx", "tracing"];

/// Finds crates that name what they may not.
pub(super) fn check(files: &[SourceFile]) -> Vec<Finding> {
    let manifest = |file: &&SourceFile| {
        file.path.strip_prefix("crates/").and_then(|path| path.strip_suffix("/Cargo.toml")).is_some()
    };
    files.iter().filter(manifest).flat_map(one).collect()
}

fn one(file: &SourceFile) -> Vec<Finding> {
    let name = file.path.split('/').nth(1).unwrap_or_default();
    let manifest = match file.text.parse::<Table>() {
        Ok(manifest) => manifest,
        Err(error) => return vec![Finding::new(&file.path, 0, format!("cannot be parsed: {error}"))],
    };
    let Some(layer) = LAYERS.iter().find(|layer| layer.name == name) else {
        let message =
            format!("the crate {name} has no place in the layers; add it to xtask/src/tidy/layers.rs");
        return vec![Finding::new(&file.path, 0, message)];
    };
    let mut found = Vec::new();
    for dependency in dependencies(&manifest) {
        if name == "core" && NOT_IN_CORE.contains(&dependency.as_str()) {
            let message = format!("the core is pure: it may not depend on {dependency}");
            found.push(Finding::new(&file.path, 0, message));
        }
        let Some(own) = dependency.strip_prefix("syncline-") else { continue };
        // A crate names itself to have its own test features on while it is tested.
        if own != name && !layer.may_name.contains(&own) {
            let message = format!("{name} may not depend on {own}: dependencies point one way");
            found.push(Finding::new(&file.path, 0, message));
        }
    }
    found
}

/// The names of everything that a manifest depends on, for building, running and testing, on any system.
fn dependencies(manifest: &Table) -> Vec<String> {
    let systems = manifest.get("target").and_then(Value::as_table).into_iter().flat_map(Table::values);
    let tables = std::iter::once(manifest).chain(systems.filter_map(Value::as_table));
    let sections = ["dependencies", "dev-dependencies", "build-dependencies"];
    let mut names: Vec<String> = tables
        .flat_map(|table| sections.iter().filter_map(|section| table.get(*section)?.as_table()))
        .flat_map(Table::iter)
        .map(|(name, value)| value.get("package").and_then(Value::as_str).unwrap_or(name).to_owned())
        .collect();
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::super::tests::{files, messages};
    use super::*;

    fn found(name: &str, manifest: &str) -> Vec<String> {
        messages(&check(&files(&[(&format!("crates/{name}/Cargo.toml"), manifest)])))
    }

    #[test]
    fn a_dependency_against_the_direction_is_found_wherever_it_stands() {
        for section in ["dependencies", "dev-dependencies", "target.'cfg(unix)'.dependencies"] {
            let manifest = format!("[{section}]\nsyncline-engine.workspace = true\n");
            assert_eq!(found("store", &manifest).len(), 1, "{section}");
            assert_eq!(found("service", &manifest), [""; 0], "{section}");
        }
        let renamed =
            "[dependencies]\ninnocent = { package = \"syncline-connectors\", path = \"../connectors\" }";
        assert_eq!(found("engine", renamed).len(), 1);
        assert_eq!(found("service", renamed).len(), 1);
        assert_eq!(found("syncline", renamed), [""; 0]);
    }

    #[test]
    fn the_core_stays_pure() {
        assert_eq!(found("core", "[dependencies]\nserde.workspace = true\n").len(), 1);
        assert_eq!(found("core", "[dependencies]\nblake3.workspace = true\n"), [""; 0]);
    }

    #[test]
    fn a_crate_without_a_place_and_a_broken_manifest_are_found() {
        assert_eq!(found("surprise", "[dependencies]\n").len(), 1);
        assert_eq!(found("core", "[dependencies\n").len(), 1);
    }
}
