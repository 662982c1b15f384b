//! From the file to what will be done: read, parse, override, check, resolve.

use std::collections::BTreeMap;
use std::fs::File as FsFile;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use syncline_core::order::circle;
use syncline_core::{ItemPath, Standing};

use crate::check::check;
use crate::discover::root_of;
use crate::document::{self, Key, Node, Value};
use crate::error::{ConfigError, ConfigErrors, Warning};
use crate::privacy::private;
use crate::schema::{KindSchema, schema};
use crate::secret::{Lookup, Redacted};
use crate::sections::committing;
use crate::sections::endpoint::check_secrets;
use crate::sections::target::{self, Surroundings};
use crate::sections::timing;
use crate::sections::webhooks;
use crate::sections::{File, Resolver, VERSION, is_name, name_rule};
use crate::source::{Mark, Source};
use crate::suggest::{hint, quote};
use crate::twins;
use crate::workspace::{Target, Workspace};

/// Largest file that is read, in bytes.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Loads a file, in full or not at all.
///
/// `environment` holds the variables of the process: twins of settings, and what `${env:…}` refers to.
/// `kinds` are the endpoints that this program knows.
///
/// # Errors
/// Everything that is wrong with the file, each with its place.
pub fn load(
    file: &Path,
    environment: &BTreeMap<String, String>,
    kinds: &[KindSchema],
) -> Result<Workspace, ConfigErrors> {
    let text = read(file)?;
    let mut workspace = parse(&text, file, environment, kinds)?;
    workspace.warnings.extend(writable_by_all(file));
    Ok(workspace)
}

/// As [`load`], for text that was read (or is about to be written) elsewhere; `file` says where it belongs.
///
/// # Errors
/// As [`load`].
pub fn parse(
    text: &str,
    file: &Path,
    environment: &BTreeMap<String, String>,
    kinds: &[KindSchema],
) -> Result<Workspace, ConfigErrors> {
    let mut source = Source::new(file, text);
    let mut tree = document::parse(text, &source)?;
    if tree.is_null() {
        let start = Mark::File { line: 1, column: 1, width: 1 };
        let error = source.error(&start, "empty", "the file is empty");
        return Err(error.with_hint("run `syncline init` to get one to start from".to_owned()).into());
    }
    let schema = schema(kinds);
    source.protect(private(&tree, &schema));
    check_version(&tree, &source)?;
    ConfigErrors::check(twins::apply(&mut tree, &schema, environment))?;
    ConfigErrors::check(check(&tree, &schema, &source))?;
    let written: File = serde_json::from_value(tree.to_json()).map_err(|error| {
        // The schema and the written types come from one declaration, so this is a defect of ours.
        ConfigError::new("bad_value", format!("the file cannot be understood: {error}"))
    })?;
    resolve(written, &tree, &source, file, environment)
}

/// Refuses a file of another version before anything else: nothing is known of what else may stand in it.
fn check_version(tree: &Node, source: &Source<'_>) -> Result<(), ConfigError> {
    match tree.get("version") {
        Some(Node { value: Value::Number(number), at }) => {
            let message = format!("the version is text, not the number {}", quote(&number.to_string()));
            let hint = format!("this program reads `version: \"{VERSION}\"`, in quotes");
            Err(source.error(at, "unsupported_version", message).with_hint(hint))
        }
        Some(node) if node.as_text().is_some_and(|version| version != VERSION) => {
            let written = quote(node.as_text().unwrap_or_default());
            let message = format!("the version {written} of the file's format is not supported");
            let hint = format!("this program reads `version: \"{VERSION}\"`; a newer one may read this file");
            Err(source.error(&node.at, "unsupported_version", message).with_hint(hint))
        }
        _ => Ok(()),
    }
}

fn read(file: &Path) -> Result<String, ConfigError> {
    let failed = |error: std::io::Error| {
        ConfigError::new("unreadable", format!("{} cannot be read: {error}", file.display()))
    };
    let fault = |code, what: String| ConfigError::new(code, format!("{} {what}", file.display()));
    let metadata = std::fs::metadata(file).map_err(failed)?;
    if !metadata.is_file() {
        return Err(fault("unreadable", "is not a regular file".to_owned()));
    }
    let mut bytes = Vec::new();
    let opened = FsFile::open(file).map_err(failed)?;
    opened.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(fault("too_large", format!("is too large (at most {FILE_BYTES_MAX} bytes)")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.split(|byte| *byte == b'\n').count();
        fault("not_utf8", format!("is not UTF-8 text: line {line} holds other bytes"))
            .with_hint("save it as UTF-8".to_owned())
    })
}

fn resolve(
    written: File,
    tree: &Node,
    source: &Source<'_>,
    file: &Path,
    environment: &BTreeMap<String, String>,
) -> Result<Workspace, ConfigErrors> {
    let file = std::path::absolute(file)
        .map_err(|error| ConfigError::new("unreadable", format!("{}: {error}", file.display())))?;
    let root = root_of(&file);
    let mut resolver = Resolver::new(source, tree);
    let lookup = Lookup { root: root.clone(), environment: Arc::new(Redacted::new(environment.clone())) };
    let (node, state_files) = written.node.resolve(&host_name(environment), &mut resolver);
    for name in written.endpoints.keys() {
        check_endpoint(name, &mut resolver);
    }
    let serve = written.serve.map(|serve| serve.resolve(&root, &mut resolver));
    let alerts = written.alerts.resolve(&lookup, &mut resolver);
    let peers = written.peers.resolve(&lookup, &mut resolver);
    let safety = written.safety.resolve(&["safety"], &mut resolver);
    let timing =
        written.defaults.timing().resolve(&["defaults"], &timing::Resolved::default(), &mut resolver);
    let around = Surroundings {
        idempotent: written.defaults.idempotent,
        git_commit: written.defaults.git_commit.and_then(committing::Written::resolve),
        safety: &safety,
        timing: &timing,
        direction: written.defaults.direction.into(),
        endpoints: &written.endpoints,
        lookup: &lookup,
    };
    let mut targets = written.targets;
    let order = tree.get("targets").map(Node::entries).unwrap_or_default();
    check_waiting(order, &targets, &mut resolver);
    let in_order =
        order.iter().filter_map(|(key, _)| targets.remove(&key.name).map(|target| (&key.name, target)));
    let targets: Vec<Target> =
        in_order.filter_map(|(name, target)| target.resolve(name, &around, &mut resolver)).collect();
    let webhooks = webhooks::resolve(written.webhooks, &targets, &lookup, &mut resolver);
    let notify = written.notify.resolve(&targets, &lookup, &mut resolver);
    ConfigErrors::check(in_file_order(resolver.errors))?;
    resolver.errors = Vec::new();
    warn_of_overlaps(&targets, &mut resolver);
    warn_of_literal_references(&mut resolver);
    Ok(Workspace {
        root,
        file,
        node,
        state_files,
        fail_on_diff: written.defaults.fail_on_diff,
        dry_run: written.defaults.dry_run,
        concurrency: usize::try_from(written.defaults.concurrency).unwrap_or(1),
        history: written.history.resolve(),
        serve,
        alerts,
        peers,
        merge_tool: written.merge_tool,
        targets,
        webhooks,
        notify,
        warnings: resolver.warnings,
    })
}

/// Reports targets that wait for ones that do not exist, or for each other in a circle.
fn check_waiting(
    order: &[(Key, Node)],
    targets: &BTreeMap<String, target::Target>,
    resolver: &mut Resolver<'_>,
) {
    let in_order = order.iter().filter_map(|(key, _)| targets.get_key_value(&key.name));
    let standings: Vec<Standing<'_>> = in_order.map(|(name, target)| target.standing(name)).collect();
    for standing in &standings {
        for (index, name) in
            standing.after.iter().enumerate().filter(|(_, name)| !targets.contains_key(*name))
        {
            let known = targets.keys().map(String::as_str).filter(|known| *known != standing.name);
            let message = format!("there is no target {} to wait for", quote(name));
            let at = ["targets", standing.name, "triggers", "after", &index.to_string()];
            resolver.error(&at, "unknown_target", message, hint(name, known, "known targets"));
        }
    }
    let names = circle(&standings).unwrap_or_default();
    if let [first, second, ..] = names.as_slice() {
        let waits = targets.get(*first).map(|target| target.standing(first).after).unwrap_or_default();
        let index = waits.iter().position(|name| name == second).unwrap_or_default();
        let message = format!("targets wait for each other: {}", names.join(" -> "));
        let hint = "none of them could ever go first; take one of these names out of `after`".to_owned();
        let at = ["targets", first, "triggers", "after", &index.to_string()];
        resolver.error(&at, "circular", message, hint);
    }
}

fn check_endpoint(name: &str, resolver: &mut Resolver<'_>) {
    if !is_name(name) {
        let at = resolver.key("endpoints", name);
        let message = format!("{} cannot be the name of an endpoint", quote(name));
        resolver.error_at(&at, "bad_name", message, name_rule());
    }
    check_secrets(&["endpoints", name], resolver);
}

fn in_file_order(mut errors: Vec<ConfigError>) -> Vec<ConfigError> {
    errors.sort_by_key(|error| match &error.location {
        Some(crate::Location::File { line, column, .. }) => (*line, *column),
        _ => (0, 0),
    });
    errors
}

fn warn_of_overlaps(targets: &[Target], resolver: &mut Resolver<'_>) {
    // A script says file by file what it makes: its folder is the whole workspace.
    let mirrors: Vec<&Target> = targets.iter().filter(|target| target.script.is_none()).collect();
    for (index, target) in mirrors.iter().enumerate() {
        let overlapping =
            mirrors[..index].iter().find(|other| overlap(target.path.as_ref(), other.path.as_ref()));
        if let Some(other) = overlapping {
            let message =
                format!("the targets {} and {} share files", quote(&other.name), quote(&target.name));
            let hint = "that is allowed, but a change made by one is seen by the other; `include` and `exclude` part them";
            resolver.warn(&["targets", &target.name, "path"], "targets_overlap", message, hint);
        }
    }
}

/// Warns of references where nothing resolves them: they are for the settings of endpoints alone.
fn warn_of_literal_references(resolver: &mut Resolver<'_>) {
    let tree = resolver.tree;
    // In `merge_tool` the files that the program is given look like references; in a section of its own it is known where
    // they are looked up.
    let known = ["endpoints", "targets", "merge_tool", "safety", "webhooks", "notify", "alerts", "peers"];
    let elsewhere = tree.entries().iter().filter(|(key, _)| !known.contains(&key.name.as_str()));
    let targets = tree.get("targets").map(Node::entries).unwrap_or_default();
    let in_targets = targets.iter().flat_map(|(_, target)| target.entries());
    // In commands a shell understands it.
    let elsewhere_too = ["remote", "description", "env", "config", "verification", "safety"];
    let in_targets = in_targets.filter(|(key, _)| !elsewhere_too.contains(&key.name.as_str()));
    let mut waiting: Vec<&Node> = elsewhere.chain(in_targets).map(|(_, node)| node).collect();
    while let Some(node) = waiting.pop() {
        if node.as_text().is_some_and(|text| text.contains("${")) {
            let message = "`${…}` is taken literally here".to_owned();
            let hint = "references work in the settings of endpoints; a single value is set by its variable, \
                        such as SYNCLINE_NODE__NAME";
            resolver.warnings.push(resolver.source.warning(&node.at, "literal_reference", message, hint));
        }
        waiting.extend(node.below());
    }
}

fn overlap(one: Option<&ItemPath>, other: Option<&ItemPath>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => {
            one == other || one.is_below(other.as_str()) || other.is_below(one.as_str())
        }
        _ => true,
    }
}

#[cfg(unix)]
fn writable_by_all(file: &Path) -> Option<Warning> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(file).ok()?.permissions().mode();
    (mode & 0o002 != 0).then(|| Warning {
        code: "writable_by_all",
        message: format!("every user of this machine may change {}", file.display()),
        location: None,
        hint: Some(format!("chmod o-w {}", file.display())),
    })
}

#[cfg(not(unix))]
fn writable_by_all(_file: &Path) -> Option<Warning> {
    None
}

#[cfg(unix)]
fn host_name(_environment: &BTreeMap<String, String>) -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(not(unix))]
fn host_name(environment: &BTreeMap<String, String>) -> String {
    environment.get("COMPUTERNAME").cloned().unwrap_or_default()
}

/// The variables of this process that are text: what [`load`] takes as its environment.
#[must_use]
pub fn from_process() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
