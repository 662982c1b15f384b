//! Content on its way from one side to the other.

use std::io::Read;

use bytes::Bytes;
use syncline_core::Side;

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

/// Reading content failed on a side that is not the one that is being written.
#[derive(Debug, thiserror::Error)]
#[error("reading it on the {side} side: {error}")]
pub struct ReadFailed {
    /// The side that was read.
    pub side: Side,
    /// What went wrong.
    #[source]
    pub error: std::io::Error,
}

impl Content {
    /// Content in memory.
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self { body: Body::Bytes(bytes.into()), mode: None }
    }

    /// Content behind a blocking reader.
    pub fn reader(reader: impl Read + Send + 'static) -> Self {
        Self { body: Body::Reader(Box::new(reader)), mode: None }
    }

    /// The same content, whose reader tells in its errors that they come from `side`.
    #[must_use]
    pub fn on(self, side: Side) -> Self {
        let body = match self.body {
            Body::Reader(reader) => Body::Reader(Box::new(SideReader { reader, side })),
            body @ Body::Bytes(_) => body,
        };
        Self { body, ..self }
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

/// Whoever copies content sees one error for both ends: this tells that it is the reading one.
struct SideReader {
    reader: Box<dyn Read + Send>,
    side: Side,
}

impl Read for SideReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.reader.read(buffer).map_err(|error| {
            let passes = error.kind() == std::io::ErrorKind::Interrupted
                || error.get_ref().is_some_and(|inner| inner.is::<ChangedWhileRead>());
            if passes {
                return error;
            }
            std::io::Error::new(error.kind(), ReadFailed { side: self.side, error })
        })
    }
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Content").field("mode", &self.mode).finish_non_exhaustive()
    }
}
