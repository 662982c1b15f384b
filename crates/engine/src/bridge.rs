//! Connects endpoints with the content store: where write steps get their content, and where old content goes.

use std::fs::File;
use std::io::Seek;
use std::sync::Arc;

use async_trait::async_trait;
use syncline_connect::{Content, Contents, Endpoint, Error, ErrorKind, History, Result};
use syncline_core::{Action, Digest, Side, Sides, Source, Step};
use syncline_store::Objects;

use crate::keeper::Keeper;

/// Opens the content of write steps: on the opposite side, or in the content store.
pub(crate) struct ContentsBridge {
    pub(crate) endpoints: Sides<Arc<dyn Endpoint>>,
    pub(crate) objects: Objects,
    /// Keeps what passes through, when a run is to remember it.
    pub(crate) keeper: Option<Arc<Keeper>>,
}

#[async_trait]
impl Contents for ContentsBridge {
    async fn open(&self, step: &Step) -> Result<Content> {
        match &step.action {
            Action::Write { source: Source::Opposite { path, version }, item } => {
                let side = step.side.other();
                let content =
                    self.endpoints[side].read(path, version).await.map_err(|error| error.on(side))?;
                let content = content.on(side);
                Ok(match &self.keeper {
                    Some(keeper) => keeper.tee(&step.path, item, content),
                    None => content,
                })
            }
            Action::Write { source: Source::Object(digest), .. } => {
                Ok(Content::reader(self.objects.open(digest).map_err(translate)?))
            }
            _ => Ok(Content::bytes(Vec::new())),
        }
    }
}

/// Keeps old content in the content store.
pub(crate) struct HistoryBridge {
    objects: Objects,
    /// How many syncs had failed before anything was kept here.
    failures: u64,
}

impl HistoryBridge {
    pub(crate) fn new(objects: Objects) -> Self {
        Self { failures: objects.failures(), objects }
    }
}

#[async_trait]
impl History for HistoryBridge {
    async fn keep_file(&self, digest: &Digest, file: &File) -> Result<()> {
        let mut file = file;
        file.rewind().map_err(|error| Error::io(error, "reading old content for history"))?;
        self.objects.put_reader(&mut file, Some(*digest)).map_err(translate)?;
        Ok(())
    }

    async fn keep(&self, digest: &Digest, content: Content) -> Result<()> {
        self.objects.put_reader(&mut content.into_reader(), Some(*digest)).map_err(translate)?;
        Ok(())
    }

    async fn sync(&self) -> Result<()> {
        self.objects.sync().map_err(translate)?;
        if self.objects.failures() == self.failures {
            return Ok(());
        }
        // The batch of the other side keeps its content in the same store.
        Err(Error::new(
            ErrorKind::Io,
            "old content was taken back from history, since it could not be made durable",
        )
        .with_hint("check the disk that holds the state folder, then run again"))
    }
}

/// The content store's error as an endpoint's. The store belongs to the workspace, so it fails on the local side.
pub(crate) fn translate(error: syncline_store::Error) -> Error {
    use syncline_store::ErrorKind as Kind;
    let kind = match error.kind() {
        Kind::Damaged => ErrorKind::Damaged,
        Kind::Locked => ErrorKind::Locked,
        Kind::NoSpace => ErrorKind::NoSpace,
        Kind::Denied => ErrorKind::Denied,
        Kind::NotFound => ErrorKind::NotFound,
        _ => ErrorKind::Io,
    };
    Error::new(kind, error.to_string()).with_hint(error.hint()).with_source(error).on(Side::Local)
}
