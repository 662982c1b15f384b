//! What answering over HTTP needs before anything is answered: an address that may be listened to, and a certificate.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use syncline_config::{ServeConfig, TlsConfig};

use crate::problem::{Problem, Result};
use crate::service::Service;

/// Where it listens unless it is said otherwise.
pub const LISTEN_DEFAULT: &str = "127.0.0.1:8080";

/// How a process listens for as long as it lives: other files may be read meanwhile, and it goes on listening so.
#[derive(Clone, Debug)]
pub struct Listens {
    /// The address that it was told when it was started; it counts instead of the one in the file.
    told: Option<SocketAddr>,
    written: Option<ServeConfig>,
}

impl Listens {
    /// How a process that serves a workspace listens, by its file and by the address that it was told.
    #[must_use]
    pub fn new(service: &Service, told: Option<SocketAddr>) -> Self {
        Self { told, written: service.workspace().serve.clone() }
    }

    /// Where; `None` when it does not.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.told.or(self.written.as_ref().map(|written| written.listen))
    }

    /// With which certificate.
    #[must_use]
    pub fn tls(&self) -> Option<&TlsConfig> {
        self.written.as_ref()?.tls.as_ref()
    }

    /// The keys of a file that was read meanwhile which would have it listen otherwise, and so count from the next start.
    pub(crate) fn left_for_the_next_start(&self, service: &Service) -> Vec<&'static str> {
        let next = Self::new(service, self.told);
        let address = (self.address() != next.address()).then_some("`serve.listen`");
        let tls = (self.tls() != next.tls()).then_some("`serve.tls`");
        address.into_iter().chain(tls).collect()
    }
}

/// Whether other machines can reach an address.
#[must_use]
pub fn is_exposed(address: SocketAddr) -> bool {
    !address.ip().to_canonical().is_loopback()
}

/// Refuses an address that can be reached from elsewhere while nobody has a token.
///
/// # Errors
/// When it is such a one, or the state cannot be read.
pub async fn check_address(service: &Service, address: SocketAddr) -> Result<()> {
    if !is_exposed(address) || service.has_tokens().await? {
        return Ok(());
    }
    let message = format!("{address} can be reached from other machines, and nobody has a token yet");
    Err(Problem::usage("open_address", message).with_hint(format!(
        "make one with `syncline token create`, or listen on this machine alone, such as on {LISTEN_DEFAULT}"
    )))
}

/// Reads a certificate and its key, ready to encrypt with.
///
/// # Errors
/// When a file cannot be read, or both do not go together.
pub fn certificate(files: &TlsConfig) -> Result<Arc<ServerConfig>> {
    let certificates = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
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
    Ok(Arc::new(config))
}

fn bad(file: &Path, error: &dyn std::fmt::Display) -> Problem {
    let message = format!("the certificate cannot be used: {}: {error}", file.display());
    Problem::usage("bad_certificate", message).with_hint(
        "`serve.tls` names two files of PEM: the certificate with those that vouch for it, and its key",
    )
}
