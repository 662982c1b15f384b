//! From a configured target to one that can run: both sides opened and wrapped, filter and policy made.

use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde_json::json;
use syncline_config::Target as Configured;
use syncline_connect::layers::read_only::ReadOnlyLayer;
use syncline_connect::layers::retry::{Retries, RetryLayer};
use syncline_connect::layers::sanitize::SanitizeLayer;
use syncline_connect::layers::timeout::{TimeoutLayer, Timeouts};
use syncline_connect::{Endpoint, OpenRequest};
use syncline_core::{Direction, Filter, ItemPath, Policy, Side, Sides, Verdict};
use syncline_engine::Target;
use syncline_engine::checks::Checked;
use syncline_engine::scripts::Mode;

use crate::gates;
use crate::ignore_file;
use crate::problem::{Problem, Result};
use crate::scripts;
use crate::service::Service;

/// The kind of the local side.
pub(crate) const LOCAL_KIND: &str = "folder";

/// Opens both sides of a target and makes its filter and its policy; nothing outside is contacted yet.
pub(crate) fn open(
    service: &Service,
    target: &Configured,
    direction: Direction,
    mode: Mode,
) -> Result<Target> {
    let direction = if target.script.is_some() { scripts::way(direction) } else { direction };
    let local_root = local_root(service, target);
    let checked = Arc::default();
    let remote = open_remote(service, target, mode, &checked)?;
    let sides = Sides { local: open_local(service, target)?, remote };
    refuse_writing(target, direction, &sides.remote)?;
    let filter = Arc::new(filter(service, target, &local_root, &sides.remote)?);
    refuse_nesting(&target.name, &local_root, &sides.remote, &filter)?;
    let policy = Policy {
        target: target.name.clone(),
        direction,
        rules: target.conflicts.clone(),
        guard: target.guard.clone(),
        nodes: Sides {
            local: service.workspace().node.clone(),
            remote: target.remote.name.clone().unwrap_or_else(|| target.remote.kind.clone()),
        },
        abilities: sides.as_ref().map(|endpoint| endpoint.capabilities().abilities),
    };
    let endpoints = Sides::from_fn(|side| guarded(&sides[side], direction.may_write(side)));
    let gates = gates::of(service, target, direction, &filter, checked)?.map(Arc::new);
    let (name, windows) = (target.name.clone(), target.windows.clone());
    Ok(Target { name, endpoints, filter, policy, gates, windows })
}

/// The folder of a target on this machine.
pub(crate) fn local_root(service: &Service, target: &Configured) -> PathBuf {
    let root = &service.workspace().root;
    // The workspace may have been entered through a symbolic link; below it, links are never followed.
    let root = real(root);
    target.path.as_ref().map_or_else(|| root.clone(), |path| root.join(path.as_str()))
}

fn open_local(service: &Service, target: &Configured) -> Result<Arc<dyn Endpoint>> {
    let kind = service.registry().endpoint(LOCAL_KIND).ok_or_else(|| {
        Problem::new(crate::Class::Failed, "no_folder", "this program was built without the folder endpoint")
    })?;
    let root = local_root(service, target);
    let settings = json!({ "path": root.to_str().unwrap_or_default() });
    if root.to_str().is_none() {
        let message = format!("the path of the workspace ({}) is not UTF-8 text", root.display());
        return Err(Problem::usage("bad_path", message).with_hint("rename the folder that is not"));
    }
    let workspace = &service.workspace().root;
    let request = OpenRequest { settings: &settings, workspace, folder: &root, state: service.state() };
    Ok((kind.open)(&request)?)
}

fn open_remote(
    service: &Service,
    target: &Configured,
    mode: Mode,
    checked: &Arc<Mutex<Vec<Checked>>>,
) -> Result<Arc<dyn Endpoint>> {
    if let Some(script) = &target.script {
        return scripts::open(service, target, script, mode, Arc::clone(checked));
    }
    let kind = service.registry().endpoint(&target.remote.kind).ok_or_else(|| {
        Problem::usage("unknown_kind", format!("there is no endpoint of the kind {:?}", target.remote.kind))
    })?;
    let settings = target.remote.resolved_settings()?;
    let (workspace, folder) = (&service.workspace().root, local_root(service, target));
    let request = OpenRequest { settings: &settings, workspace, folder: &folder, state: service.state() };
    let opened = (kind.open)(&request)?;
    let limited = Arc::new(TimeoutLayer::new(opened, Timeouts::default()));
    let patient = Arc::new(RetryLayer::new(limited, Retries::default()));
    Ok(match gates::sanitizer(service, target)? {
        // Around all others: what it has not seen comes in nowhere.
        Some(sanitizer) => Arc::new(SanitizeLayer::new(patient, sanitizer)),
        None => patient,
    })
}

fn guarded(endpoint: &Arc<dyn Endpoint>, writable: bool) -> Arc<dyn Endpoint> {
    if writable { Arc::clone(endpoint) } else { Arc::new(ReadOnlyLayer::new(Arc::clone(endpoint))) }
}

/// Refuses a direction that would write what can only be read.
fn refuse_writing(target: &Configured, direction: Direction, remote: &Arc<dyn Endpoint>) -> Result<()> {
    if remote.capabilities().writable || !direction.may_write(Side::Remote) {
        return Ok(());
    }
    let (name, kind) = (&target.name, &target.remote.kind);
    let message = format!("the remote of {name:?} ({kind}) can only be read, as it is set");
    Err(Problem::usage("read_only_remote", message).with_hint("set `direction: pull` for the target"))
}

/// Which paths belong to the target.
fn filter(
    service: &Service,
    target: &Configured,
    local_root: &Path,
    remote: &Arc<dyn Endpoint>,
) -> Result<Filter> {
    let ignore = ignore_file::rules(&service.workspace().root, local_root, target.path.as_ref())?;
    let remote_root = folder_of(remote);
    let roots = [Some(local_root.to_owned()), remote_root];
    let mut own = vec![service.workspace().file.as_path(), service.state()];
    own.extend(service.reserved().iter().map(PathBuf::as_path));
    let reserved =
        roots.iter().flatten().flat_map(|root| own.iter().filter_map(|path| below(root, path))).collect();
    let ignore = ignore.as_deref().map(|text| (ignore_file::NAME, text));
    let only = remote.capabilities().only.as_ref().map(|path| vec![format!("/{path}")]);
    let include = target.script.as_ref().map(|script| scripts::belonging(target, script)).or(only);
    Ok(Filter::new(include.as_ref().unwrap_or(&target.include), &target.exclude, ignore, reserved)?)
}

/// The path of `file` relative to `root`, when it lies below it.
fn below(root: &Path, file: &Path) -> Option<ItemPath> {
    let real = real(file);
    let relative = real.strip_prefix(root).or_else(|_| file.strip_prefix(root)).ok()?;
    ItemPath::parse(relative.to_str()?).ok()
}

/// The folder on this machine that an endpoint is, when it is one.
fn folder_of(endpoint: &Arc<dyn Endpoint>) -> Option<PathBuf> {
    let capabilities = endpoint.capabilities();
    (capabilities.kind == LOCAL_KIND).then(|| real(Path::new(&capabilities.location)))
}

/// The path without links, `.` and `..`; what does not exist yet is taken as it is written.
fn real(path: &Path) -> PathBuf {
    for above in path.ancestors() {
        let Ok(mut real) = std::fs::canonicalize(above) else { continue };
        for part in path.strip_prefix(above).unwrap_or(path).components() {
            match part {
                Component::ParentDir => {
                    real.pop();
                }
                Component::Normal(name) => real.push(name),
                _ => {}
            }
        }
        return real;
    }
    path.to_owned()
}

/// Refuses a folder that would be copied into itself.
fn refuse_nesting(name: &str, local: &Path, remote: &Arc<dyn Endpoint>, filter: &Filter) -> Result<()> {
    let Some(remote) = folder_of(remote) else { return Ok(()) };
    let local = real(local);
    let kept_apart = |outer: &Path, inner: &Path| {
        let inside =
            inner.strip_prefix(outer).ok().and_then(Path::to_str).and_then(|path| ItemPath::parse(path).ok());
        inside.is_some_and(|path| matches!(filter.decide_deep(&path, true), Verdict::Ignored(_)))
    };
    let clash = if local == remote {
        "are the same folder"
    } else if remote.starts_with(&local) && !kept_apart(&local, &remote) {
        "lie one inside the other: the remote is below the local folder"
    } else if local.starts_with(&remote) && !kept_apart(&remote, &local) {
        "lie one inside the other: the local folder is below the remote"
    } else {
        return Ok(());
    };
    let message = format!("the two sides of {name:?} {clash} ({} and {})", local.display(), remote.display());
    Err(Problem::usage("nested_sides", message)
        .with_hint("name a folder elsewhere, or exclude the inner one"))
}
