//! Rot that no version betrays, as a disk makes it: only an endpoint that pretends can show it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};

use async_trait::async_trait;
use serde_json::json;
use syncline_connect::{
    Batch, Capabilities, Content, Endpoint, EndpointKind, Health, MemoryEndpoint, OpenRequest, Registry,
    Result, ScanRequest,
};
use syncline_core::{Expected, ItemPath, Outcome, Seen, Snapshot, Version};
use syncline_service::operations::scrub::{FindingKind, Request, scrub};
use syncline_service::operations::start_run::{self, start_run};
use syncline_service::{Opening, Service};

/// The endpoints that were opened, by the path in their settings.
static OPENED: LazyLock<Mutex<HashMap<String, Arc<Rotting>>>> = LazyLock::new(Mutex::default);

static KINDS: [EndpointKind; 1] = [EndpointKind {
    name: "folder",
    summary: "a folder whose contents may rot",
    schema: || {
        schemars::json_schema!({
            "type": "object", "required": ["path"], "additionalProperties": false,
            "properties": { "path": { "type": "string", "description": "The path." } }
        })
    },
    open,
}];

fn open(request: &OpenRequest<'_>) -> Result<Arc<dyn Endpoint>> {
    let path = request.settings["path"].as_str().unwrap_or_default();
    Ok(opened(path))
}

fn opened(path: &str) -> Arc<Rotting> {
    let mut opened = OPENED.lock().expect("no test panics while it opens");
    Arc::clone(opened.entry(path.to_owned()).or_default())
}

/// An endpoint in memory; what rotted there keeps the version that it had.
#[derive(Default)]
struct Rotting {
    inner: MemoryEndpoint,
    /// For each rotten path: the version that it pretends to have, and the one that it has.
    rotten: Mutex<BTreeMap<ItemPath, (Version, Version)>>,
}

impl Rotting {
    fn rot(&self, path: &str, bytes: &'static str) {
        let before = self.inner.version(path).expect("it is there");
        let modified = self.inner.tree()[path].modified;
        self.inner.put(path, bytes, modified);
        let after = self.inner.version(path).expect("it is there");
        let path = ItemPath::parse(path).expect("a path");
        self.rotten.lock().expect("one thread").insert(path, (before, after));
    }

    fn real(&self, path: &ItemPath, version: &Version) -> Version {
        match self.rotten.lock().expect("one thread").get(path) {
            Some((pretended, real)) if pretended == version => real.clone(),
            _ => version.clone(),
        }
    }
}

#[async_trait]
impl Endpoint for Rotting {
    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    async fn check(&self) -> Result<Health> {
        self.inner.check().await
    }

    async fn scan(&self, request: ScanRequest) -> Result<Snapshot> {
        let mut snapshot = self.inner.scan(request).await?;
        let rotten = self.rotten.lock().expect("one thread");
        snapshot.changes.retain(|change| match (&change.now, rotten.get(&change.path)) {
            (Seen::Present(found), Some((_, real))) => found.version != *real || change.was.is_none(),
            _ => true,
        });
        Ok(snapshot)
    }

    async fn read(&self, path: &ItemPath, version: &Version) -> Result<Content> {
        self.inner.read(path, &self.real(path, version)).await
    }

    async fn apply(&self, mut batch: Batch) -> Result<Vec<Outcome>> {
        for step in Arc::make_mut(&mut batch.steps) {
            if let Expected::Present { version, .. } = &mut step.expected {
                *version = self.real(&step.path, version);
            }
        }
        self.inner.apply(batch).await
    }
}

fn service(folder: &Path) -> Service {
    let config = folder.join("syncline.yaml");
    let remote = folder.join("far").display().to_string();
    let text = json!({ "version": "1.0", "targets": { "main": { "remote": { "kind": "folder", "path": remote } } } });
    std::fs::write(&config, text.to_string()).expect("written");
    Service::open(Opening {
        reserved: Vec::new(),
        config,
        environment: BTreeMap::new(),
        registry: Registry {
            endpoints: &KINDS,
            channels: &[],
            ping: |_| panic!("nothing is asked for"),
            courier: |_| panic!("nothing is sent"),
        },
        state: None,
        events: Arc::new(()),
        cause: "test".to_owned(),
    })
    .unwrap_or_else(|problem| panic!("{problem:?}"))
}

#[tokio::test]
async fn rot_that_no_version_betrays_is_found_and_repaired() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = std::fs::canonicalize(folder.path()).expect("it exists");
    let service = service(&root);
    let local = opened(&root.display().to_string());
    let remote = opened(&root.join("far").display().to_string());
    local.inner.put("a.md", "precious", 1);
    let report = start_run(&service, &start_run::Request::default()).await.expect("a run");
    assert_eq!(report.successful, 1, "{report:?}");
    remote.rot("a.md", "pretious");

    let again = start_run(&service, &start_run::Request::default()).await.expect("a run");
    assert_eq!(again.results[0].steps.total(), 0, "a run cannot see it");
    let found = scrub(&service, &Request::default()).await.expect("a scrub");
    assert!(!found.sound);
    let finding = &found.targets[0].findings[0];
    assert_eq!((finding.kind, finding.path.as_str(), finding.repaired), (FindingKind::Rotten, "a.md", false));
    assert_eq!(remote.inner.get("a.md").as_deref(), Some(&b"pretious"[..]), "looking changes nothing");

    let request = Request { repair: true, ..Request::default() };
    let repaired = scrub(&service, &request).await.expect("a scrub");
    assert!(repaired.sound, "{repaired:?}");
    assert_eq!(remote.inner.get("a.md").as_deref(), Some(&b"precious"[..]));
    assert_eq!(local.inner.get("a.md").as_deref(), Some(&b"precious"[..]));
    let after = scrub(&service, &Request::default()).await.expect("a scrub");
    assert!(after.sound && after.targets[0].findings.is_empty(), "{after:?}");
    let last = start_run(&service, &start_run::Request::default()).await.expect("a run");
    assert_eq!(last.results[0].steps.total(), 0);
}
