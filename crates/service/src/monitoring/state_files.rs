//! How this node is doing, as small JSON files in the workspace, for programs that read files and ask nobody.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use syncline_core::Nanos;
use syncline_store::PeersRecord;

use crate::live::{Live, Words};
use crate::operations::list_alerts::list_alerts;
use crate::service::Service;
use crate::wire::{VERSION, timestamp};

/// After how long a file is written again although nothing in it has changed but its time: that is how readers see that
/// somebody still writes.
const WRITE_EVERY: Duration = Duration::from_secs(60);
/// By what a file is known to be one of these: no other is ever overwritten.
const MARK: (&str, &str) = ("written_by", "syncline");

/// The files, where the configuration asks for them.
pub(super) struct StateFiles {
    folder: Option<PathBuf>,
    written: BTreeMap<String, (Value, Instant)>,
    /// What could not be written, and was told.
    told: Option<String>,
}

impl StateFiles {
    pub(super) fn of(service: &Service) -> Self {
        let workspace = service.workspace();
        let folder = workspace.state_files.as_ref().map(|folder| workspace.root.join(folder));
        Self { folder, written: BTreeMap::new(), told: None }
    }

    /// Whether there are to be any.
    pub(super) const fn are_wanted(&self) -> bool {
        self.folder.is_some()
    }

    /// Writes what has changed. What cannot be written is told once.
    pub(super) async fn write(&mut self, service: &Service, live: &Live, wall: Nanos) {
        let Some(folder) = self.folder.clone() else { return };
        let now = Instant::now();
        let due: Vec<(String, Value)> = files(service, live, wall)
            .into_iter()
            .filter(|(name, content)| {
                self.written.get(name).is_none_or(|(before, at)| {
                    now.duration_since(*at) >= WRITE_EVERY || without_time(before) != without_time(content)
                })
            })
            .collect();
        if due.is_empty() {
            return;
        }
        self.written.extend(due.iter().map(|(name, content)| (name.clone(), (content.clone(), now))));
        let write = move || due.iter().try_for_each(|(name, content)| replace(&folder, name, content));
        // A disk may take its time, and nobody else is to wait for it.
        let wrong = tokio::task::spawn_blocking(write).await.unwrap_or(Ok(())).err();
        let wrong = wrong.map(|error| error.to_string());
        if let Some(error) = wrong.as_ref().filter(|error| self.told.as_ref() != Some(*error)) {
            tracing::error!(error, "the state files could not be written");
        }
        self.told = wrong;
    }
}

fn files(service: &Service, live: &Live, wall: Nanos) -> Vec<(String, Value)> {
    let node = &service.workspace().node;
    let record = PeersRecord::read(service.state());
    let mut files = Vec::new();
    if let Some(looked) = live.looked()
        && let Ok(health) = serde_json::to_value(looked.health(Words::Ok, wall))
    {
        files.push(("sync_state.json".to_owned(), health));
    }
    let alerts = list_alerts(service);
    let monitor = json!({ "node": node, "alerts": alerts.alerts, "waiting": alerts.waiting });
    files.push(("monitor_status.json".to_owned(), monitor));
    if !service.workspace().peers.nodes.is_empty() {
        let own = json!({ "node": node, "boot": record.boot, "dropped": record.dropped });
        files.push(("heartbeat_state.json".to_owned(), own));
    }
    for (name, state) in live.peers() {
        let heard = record.peers.get(&name).and_then(|peer| peer.heard).map(timestamp);
        files.push((
            format!("peer_{name}_state.json"),
            json!({ "node": name, "state": state, "last_heartbeat": heard }),
        ));
    }
    for (_, content) in &mut files {
        content["version"] = json!(VERSION);
        content["timestamp"] = json!(timestamp(wall));
        content[MARK.0] = json!(MARK.1);
    }
    files
}

/// What a file says, but for what changes with every moment.
fn without_time(content: &Value) -> Value {
    let mut content = content.clone();
    if let Some(fields) = content.as_object_mut() {
        fields.remove("timestamp");
        fields.remove("uptime");
    }
    content
}

/// Writes a file, whole or not at all, in place of one of its kind and of no other.
fn replace(folder: &Path, name: &str, content: &Value) -> io::Result<()> {
    let path = folder.join(name);
    // A repository that is synced could bring a link with it that leads anywhere.
    if fs::symlink_metadata(folder).is_ok_and(|metadata| metadata.is_symlink()) {
        let message = format!("{} is a link, and nothing is written through it", folder.display());
        return Err(io::Error::new(io::ErrorKind::NotADirectory, message));
    }
    let told = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    match fs::symlink_metadata(&path) {
        Ok(_) if !is_ours(&path) => {
            let message = format!(
                "{} is somebody else's file, and is left alone: move it away, or name another folder",
                path.display()
            );
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(folder).map_err(told)?;
        }
        Err(error) => return Err(told(error)),
    }
    let mut bytes = serde_json::to_vec_pretty(content)?;
    bytes.push(b'\n');
    // A name of our own, so that nothing that lies there is written through.
    let new = folder.join(format!(".{name}.{}.new", uuid::Uuid::now_v7().simple()));
    let written = fs::write(&new, bytes).and_then(|()| fs::rename(&new, &path));
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written.map_err(told)
}

fn is_ours(path: &Path) -> bool {
    let read = || serde_json::from_slice::<Value>(&fs::read(path).ok()?).ok();
    let is_file = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file());
    is_file && read().is_some_and(|content| content[MARK.0] == MARK.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_by_its_next_state_and_one_of_somebody_else_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("sync");
        let ours = json!({ "node": "a", "written_by": "syncline" });
        replace(&below, "sync_state.json", &ours).unwrap();
        replace(&below, "sync_state.json", &json!({ "node": "b", "written_by": "syncline" })).unwrap();
        let text = fs::read_to_string(below.join("sync_state.json")).unwrap();
        assert!(text.contains("\"b\"") && text.ends_with("}\n"), "{text}");
        for other in ["{}", "{\"node\": \"a\"}", "notes", ""] {
            fs::write(below.join("other.json"), other).unwrap();
            let error = replace(&below, "other.json", &ours).unwrap_err();
            assert!(error.to_string().contains("somebody else's"), "{error}");
            assert_eq!(fs::read_to_string(below.join("other.json")).unwrap(), other);
        }
        assert_eq!(fs::read_dir(&below).unwrap().count(), 2, "nothing is left behind");
        #[cfg(unix)]
        {
            let (link, elsewhere) = (folder.path().join("link"), tempfile::tempdir().unwrap());
            std::os::unix::fs::symlink(elsewhere.path(), &link).unwrap();
            assert!(replace(&link, "sync_state.json", &ours).is_err());
            assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0, "nothing goes through a link");
        }
    }

    #[test]
    fn only_what_is_more_than_the_time_counts_as_a_change() {
        let file = |time: &str, up: u64, state: &str| json!({ "timestamp": time, "uptime": up, "s": state });
        assert_eq!(without_time(&file("a", 1, "ok")), without_time(&file("b", 2, "ok")));
        assert_ne!(without_time(&file("a", 1, "ok")), without_time(&file("a", 1, "down")));
    }
}
