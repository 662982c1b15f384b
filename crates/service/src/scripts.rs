//! From a configured script to the remote side of its target.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value, json};
use syncline_config::{Script as Configured, ScriptLimits, Target, literal_folder};
use syncline_connect::{Endpoint, OpenRequest};
use syncline_core::{Direction, Filter};
use syncline_engine::checks::Checked;
use syncline_engine::process::Limits;
use syncline_engine::scripts::{Mode, OpenFolder, Script, ScriptEndpoint};

use crate::gates;
use crate::problem::{Problem, Result};
use crate::service::Service;
use crate::targets::{LOCAL_KIND, local_root};

/// The folder beneath the state in which scripts work.
const SCRATCH: &str = "scratch";
/// What stands in front of the name of a setting in the environment of a script.
const PREFIX: &str = "SYNCLINE_CONFIG_";

/// The remote side of a script's target.
pub(crate) fn open(
    service: &Service,
    target: &Target,
    script: &Configured,
    mode: Mode,
    checked: Arc<Mutex<Vec<Checked>>>,
) -> Result<Arc<dyn Endpoint>> {
    let home = std::env::var("HOME").unwrap_or_default();
    let config = with_home(&Value::Object(script.config.clone()), &home);
    let settings = target.remote.resolved_settings()?;
    let granted = texts(settings.get("env"));
    let mut environment = variables(&config);
    environment.extend(granted.clone());
    // What an environment holds may be secret, and what is short is no secret worth hiding.
    let secrets = granted.into_values().filter(|value| value.len() >= 6).collect();
    let outputs = Arc::new(filter(&script.outputs)?);
    let inputs = (!script.inputs.is_empty()).then(|| filter(&script.inputs)).transpose()?;
    let made = Script {
        target: target.name.clone(),
        entrypoint: script.entrypoint.clone(),
        direction: target.direction,
        mode,
        in_place: script.in_place,
        inputs: inputs.map(Arc::new),
        own: gates::own(service, target, &outputs),
        outputs,
        folders: script.outputs.iter().filter_map(|pattern| literal_folder(pattern)).collect(),
        config: config.to_string(),
        environment,
        secrets,
        checks: if gates::is_checked_early(target) { gates::after(target)? } else { Vec::new() },
        checked,
        sanitizer: gates::sanitizer(service, target)?,
        limits: limits(script.limits),
        writable: script.allow_write.iter().map(|path| expand(path, &home)).collect(),
        workspace: local_root(service, target),
        scratch: (mode == Mode::Run).then(|| scratch(service)),
    };
    Ok(Arc::new(ScriptEndpoint::new(made, open_folder(service)?)))
}

/// Which files belong to the target of a script: what it makes, or what it sends.
pub(crate) fn belonging(target: &Target, script: &Configured) -> Vec<String> {
    let globs = if target.direction == Direction::Push { &script.inputs } else { &script.outputs };
    globs.clone()
}

/// Which way the changes of a script's target flow: one that works both ways changes what is outside by itself.
pub(crate) const fn way(direction: Direction) -> Direction {
    match direction {
        Direction::Push => Direction::Push,
        Direction::Pull | Direction::Bidirectional => Direction::Pull,
    }
}

fn filter(globs: &[String]) -> Result<Filter> {
    Ok(Filter::new(globs, &[], None, Vec::new())?)
}

const fn limits(limits: ScriptLimits) -> Limits {
    let ScriptLimits { time, memory_bytes, processes, output_bytes } = limits;
    Limits { time, memory_bytes, processes, output_bytes }
}

/// Beside the state, on the disk of the workspace: copies may share their blocks there. Whoever only looks leaves nothing
/// behind, and works elsewhere.
pub(crate) fn scratch(service: &Service) -> PathBuf {
    let state = service.state();
    state.canonicalize().unwrap_or_else(|_| state.to_owned()).join(SCRATCH)
}

fn open_folder(service: &Service) -> Result<OpenFolder> {
    let kind = service.registry().endpoint(LOCAL_KIND).ok_or_else(|| {
        Problem::new(crate::Class::Failed, "no_folder", "this program was built without the folder endpoint")
    })?;
    let state = service.state().to_owned();
    Ok(Arc::new(move |folder: &Path| {
        let settings = json!({ "path": folder.to_str().unwrap_or_default() });
        (kind.open)(&OpenRequest { settings: &settings, workspace: folder, folder, state: &state })
    }))
}

fn expand(text: &str, home: &str) -> PathBuf {
    let text = text.replace("${HOME}", home).replace("$HOME", home);
    match text.strip_prefix("~/") {
        Some(rest) => Path::new(home).join(rest),
        None => PathBuf::from(text),
    }
}

/// The settings with the folder of the user in its places.
fn with_home(value: &Value, home: &str) -> Value {
    match value {
        Value::String(text) => expand(text, home).to_string_lossy().into_owned().into(),
        Value::Array(items) => items.iter().map(|item| with_home(item, home)).collect(),
        Value::Object(object) => object
            .iter()
            .map(|(key, value)| (key.clone(), with_home(value, home)))
            .collect::<Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

/// The settings that fit into a variable each: `agent_dir` is `SYNCLINE_CONFIG_AGENT_DIR`.
fn variables(config: &Value) -> BTreeMap<String, String> {
    let named = config.as_object().into_iter().flatten().filter_map(|(key, value)| {
        let name = key.to_ascii_uppercase().replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => return None,
        };
        Some((format!("{PREFIX}{name}"), text))
    });
    named.collect()
}

fn texts(value: Option<&Value>) -> BTreeMap<String, String> {
    let entries = value.and_then(Value::as_object).into_iter().flatten();
    entries.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_become_variables() {
        let config =
            json!({ "agent_dir": "$HOME/agents", "depth": 3, "deep": true, "more": [1], "a-b": "~/x" });
        let found = variables(&with_home(&config, "/home/ada"));
        let expected = [
            ("SYNCLINE_CONFIG_AGENT_DIR", "/home/ada/agents"),
            ("SYNCLINE_CONFIG_A_B", "/home/ada/x"),
            ("SYNCLINE_CONFIG_DEEP", "true"),
            ("SYNCLINE_CONFIG_DEPTH", "3"),
        ];
        let expected: Vec<(String, String)> =
            expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), expected);
    }
}
