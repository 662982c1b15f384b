//! Encryption: the certificate of the file, read again when its files change.

use std::fs::Metadata;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use syncline_service::{Problem, TlsConfig};
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
    let certificates = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| bad(&files.cert, &error))?;
    // The error names the kind of trouble and nothing of what is in the file.
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| bad(&files.key, &error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| bad(&files.cert, &error))?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(|error| bad(&files.cert, &error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn bad(file: &Path, error: &dyn std::fmt::Display) -> Problem {
    let message = format!("the certificate cannot be used: {}: {error}", file.display());
    Problem::usage("bad_certificate", message).with_hint(
        "`serve.tls` names two files of PEM: the certificate with those that vouch for it, and its key",
    )
}
