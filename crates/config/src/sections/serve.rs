//! `serve`: how `syncline serve` answers over HTTP.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::Resolver;
use super::quantity::{BYTES_HINT, SPAN_HINT, bytes, span};
use crate::suggest::quote;

/// Where it listens unless it is said otherwise.
const LISTEN: &str = "127.0.0.1:8080";
/// Most bytes of a request unless it is said otherwise: a saved plan is the largest.
const BODY_MAX: u64 = 16 << 20;
/// How long a client may take for a request unless it is said otherwise.
const BODY_TIME: Duration = Duration::from_secs(30);

/// How `syncline serve` answers over HTTP; with this section it does, also without `--listen`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Serve {
    /// The address and the port; `--listen` counts instead. One that other machines can reach needs a token, and should
    /// have `tls`.
    #[schemars(example = &"0.0.0.0:8443")]
    listen: String,
    /// Names of hosts that a request may be addressed to, besides those of this machine, such as that of a proxy.
    #[schemars(example = &["sync.example.org"])]
    hosts: Vec<String>,
    /// Whether everybody needs a token, also on this machine; only `/livez` and `/readyz` answer without one.
    require_token: bool,
    /// Encrypt what is said.
    tls: Option<Tls>,
    /// Most bytes of a request's body.
    #[schemars(example = &"16MiB")]
    body_max: Option<String>,
    /// How long a client may take for the body of a request.
    #[schemars(example = &"30s")]
    body_time: Option<String>,
}

/// With which certificate; both files are read again when they change.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    /// The file of the certificate and those that vouch for it, as PEM; relative to the workspace.
    #[schemars(example = &"/etc/ssl/sync.example.org.pem")]
    cert: String,
    /// The file of its private key, as PEM; relative to the workspace.
    #[schemars(example = &"/etc/ssl/private/sync.example.org.pem")]
    key: String,
}

impl Default for Serve {
    fn default() -> Self {
        let listen = LISTEN.to_owned();
        Self { listen, hosts: Vec::new(), require_token: false, tls: None, body_max: None, body_time: None }
    }
}

/// How it answers over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServeConfig {
    /// Where it listens.
    pub listen: SocketAddr,
    /// More names of hosts that a request may be addressed to, in lower case.
    pub hosts: Vec<String>,
    /// Whether everybody needs a token.
    pub require_token: bool,
    /// With which files what is said is encrypted.
    pub tls: Option<TlsConfig>,
    /// Most bytes of a request's body.
    pub body_max: u64,
    /// How long a client may take for the body of a request.
    pub body_time: Duration,
}

/// The files of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// That of the certificate and those that vouch for it.
    pub cert: PathBuf,
    /// That of its private key.
    pub key: PathBuf,
}

impl Default for ServeConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            hosts: Vec::new(),
            require_token: false,
            tls: None,
            body_max: BODY_MAX,
            body_time: BODY_TIME,
        }
    }
}

impl Serve {
    pub(crate) fn resolve(self, root: &Path, resolver: &mut Resolver<'_>) -> ServeConfig {
        let usual = ServeConfig::default();
        let listen = self.listen.parse().unwrap_or_else(|_| {
            let message = format!("{} is no address to listen to", quote(&self.listen));
            let hint = format!("write an IP address and a port, such as {LISTEN} or \"[::1]:8080\"");
            resolver.error(&["serve", "listen"], "bad_address", message, hint);
            usual.listen
        });
        for (index, host) in self.hosts.iter().enumerate() {
            if !is_host(host) {
                let message = format!("{} is no name of a host", quote(host));
                let hint = "write the name alone, without scheme, port and path: sync.example.org".to_owned();
                resolver.error(&["serve", "hosts", &index.to_string()], "bad_host", message, hint);
            }
        }
        let body_max = self.body_max.map_or(Some(usual.body_max), |text| bytes(&text)).unwrap_or_else(|| {
            let message = "not an amount of bytes".to_owned();
            resolver.error(&["serve", "body_max"], "bad_value", message, BYTES_HINT.to_owned());
            usual.body_max
        });
        let body_time =
            self.body_time.map_or(Some(usual.body_time), |text| span(&text)).unwrap_or_else(|| {
                let message = "not a span of time".to_owned();
                resolver.error(&["serve", "body_time"], "bad_value", message, SPAN_HINT.to_owned());
                usual.body_time
            });
        let tls = self.tls.map(|tls| TlsConfig { cert: root.join(tls.cert), key: root.join(tls.key) });
        let hosts = self.hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
        ServeConfig { listen, hosts, require_token: self.require_token, tls, body_max, body_time }
    }
}

/// Whether it may stand in a `Host` header without a port.
fn is_host(host: &str) -> bool {
    let is_name = |host: &str| {
        host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
    };
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match address {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.len() <= 253 && is_name(host),
    }
}
