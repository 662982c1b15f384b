//! Encryption: the certificate of the file, read again when its files change.

use std::fs::Metadata;
use std::time::SystemTime;

use syncline_service::{Problem, TlsConfig, answering};
use tokio_rustls::TlsAcceptor;

/// A certificate that is in force.
pub(crate) struct Keeper {
    files: TlsConfig,
    acceptor: TlsAcceptor,
    stamps: Stamps,
}

/// Both files, as they were when they were looked at last.
type Stamps = [Option<(SystemTime, u64)>; 2];

impl Keeper {
    /// Reads the certificate.
    ///
    /// # Errors
    /// When a file cannot be read, or both do not go together.
    pub(crate) fn open(files: TlsConfig) -> Result<Self, Problem> {
        let stamps = stamps(&files);
        let acceptor = acceptor(&files)?;
        Ok(Self { files, acceptor, stamps })
    }

    /// What takes the next connection. While changed files cannot be used, such as when one of them is still to be
    /// written, the certificate that was read last stays in force.
    pub(crate) fn acceptor(&mut self) -> TlsAcceptor {
        let now = stamps(&self.files);
        if now != self.stamps {
            self.stamps = now;
            match acceptor(&self.files) {
                Ok(acceptor) => self.acceptor = acceptor,
                Err(error) => tracing::warn!(%error, "the old certificate stays in force"),
            }
        }
        self.acceptor.clone()
    }
}

fn stamps(files: &TlsConfig) -> Stamps {
    let stamp = |metadata: Metadata| Some((metadata.modified().ok()?, metadata.len()));
    [&files.cert, &files.key].map(|file| std::fs::metadata(file).ok().and_then(stamp))
}

fn acceptor(files: &TlsConfig) -> Result<TlsAcceptor, Problem> {
    answering::certificate(files).map(TlsAcceptor::from)
}
