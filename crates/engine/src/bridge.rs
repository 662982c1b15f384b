//! Connects endpoints with the content store: where write steps get their content, and where old content goes.

use std::fs::File;
use std::io::Seek;
use std::sync::Arc;

use async_trait::async_trait;
use syncline_connect::{Content, Contents, Endpoint, Error, ErrorKind, History, Result};
use syncline_core::{Action, Digest, Side, Sides, Source, Step};
use syncline_store::Objects;

/// Opens the content of write steps: on the opposite side, or in the content store.
pub(crate) struct ContentsBridge {
    pub(crate) endpoints: Sides<Arc<dyn Endpoint>>,
    pub(crate) objects: Objects,
}

#[async_trait]
impl Contents for ContentsBridge {
    async fn open(&self, step: &Step) -> Result<Content> {
        match &step.action {
            Action::Write { source: Source::Opposite { path, version }, .. } => {
                let side = step.side.other();
                let content = self.endpoints[side].read(path, version).await;
                content.map(|content| content.on(side)).map_err(|error| error.on(side))
            }
            Action::Write { source: Source::Object(digest), .. } => {
                Ok(Content::reader(self.objects.open(digest).map_err(translate)?))
            }
            _ => Ok(Content::bytes(Vec::new())),
        }
    }
}

/// Keeps old content in the content store.
pub(crate) struct HistoryBridge(pub(crate) Objects);

#[async_trait]
impl History for HistoryBridge {
    async fn keep_file(&self, digest: &Digest, file: &File) -> Result<()> {
        let mut file = file;
        file.rewind().map_err(|error| Error::io(error, "reading old content for history"))?;
        self.0.put_reader(&mut file, Some(*digest)).map_err(translate)?;
        Ok(())
    }

    async fn keep(&self, digest: &Digest, content: Content) -> Result<()> {
        self.0.put_reader(&mut content.into_reader(), Some(*digest)).map_err(translate)?;
        Ok(())
    }

    async fn sync(&self) -> Result<()> {
        self.0.sync().map_err(translate)
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
