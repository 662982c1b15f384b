//! Content on its way from one side to the other.

use std::io::Read;

use bytes::Bytes;

/// The content of one item at one version.
///
/// Whoever reads it to the end has read exactly that version: a reader of an item that changed meanwhile ends
/// with an error of kind [`std::io::ErrorKind::Other`] that wraps [`ChangedWhileRead`], never with a short or a
/// mixed content.
pub struct Content {
    /// The bytes.
    pub body: Body,
    /// Permission bits of the original where its endpoint has any, so that a private file stays private.
    pub mode: Option<u32>,
}

/// Where the bytes are.
pub enum Body {
    /// In memory.
    Bytes(Bytes),
    /// Behind a blocking reader; read it on a thread that may block.
    Reader(Box<dyn Read + Send>),
}

/// The item is no longer what it was when reading it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the item changed while it was being read")]
pub struct ChangedWhileRead;

impl Content {
    /// Content in memory.
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self { body: Body::Bytes(bytes.into()), mode: None }
    }

    /// Content behind a blocking reader.
    pub fn reader(reader: impl Read + Send + 'static) -> Self {
        Self { body: Body::Reader(Box::new(reader)), mode: None }
    }

    /// A blocking reader over the content, whatever it is behind.
    #[must_use]
    pub fn into_reader(self) -> Box<dyn Read + Send> {
        match self.body {
            Body::Bytes(bytes) => Box::new(std::io::Cursor::new(bytes)),
            Body::Reader(reader) => reader,
        }
    }
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Content").field("mode", &self.mode).finish_non_exhaustive()
    }
}
