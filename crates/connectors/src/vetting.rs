//! Requests that go to public addresses alone, wherever their URLs would lead.
//!
//! A name is resolved once for each connection, every address that comes of it is vetted, and the connection is made to
//! one of exactly these: whoever answers something else a moment later is not asked again.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Url};
use syncline_connect::public_address::not_public;
use syncline_connect::{Error, ErrorKind, Result};

/// How long it may take to be connected.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// The addresses of a name.
type Lookup = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// A client that takes no proxy from the environment and follows no redirect, either of which would lead somewhere that
/// nobody has looked at.
pub(crate) fn client(allow_private: bool) -> Result<Client> {
    // Whoever comes second finds it installed, which is all the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = plain();
    if !allow_private {
        builder = builder.https_only(true).dns_resolver(Arc::new(Vetting(look_up)));
    }
    builder
        .build()
        .map_err(|error| Error::new(ErrorKind::Io, format!("no client can be made: {}", error.without_url())))
}

fn plain() -> ClientBuilder {
    Client::builder()
        .connect_timeout(CONNECT_MAX)
        .redirect(Policy::none())
        .no_proxy()
        // A connection that is kept was vetted some time ago.
        .pool_max_idle_per_host(0)
        .user_agent(concat!("syncline/", env!("CARGO_PKG_VERSION")))
}

/// Refuses what can be refused before anything is asked: an address that is written out is resolved by nobody.
pub(crate) fn check(url: &Url, allow_private: bool) -> Result<()> {
    if allow_private {
        return Ok(());
    }
    if url.scheme() != "https" {
        return Err(refused("only https goes out to others")
            .with_hint("set `allow_private: true` for a receiver of your own"));
    }
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    match host.parse::<IpAddr>() {
        Ok(address) => vet(address).map_err(|what| refused(what).with_hint(HINT)),
        Err(_) => Ok(()),
    }
}

/// What to do when a receiver is refused that is meant.
const HINT: &str = "set `allow_private: true` if it is meant to be there";

fn refused(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Denied, message)
}

fn vet(address: IpAddr) -> std::result::Result<(), String> {
    match not_public(address) {
        Some(what) => Err(format!("its address is not public ({what})")),
        None => Ok(()),
    }
}

/// Resolves names, and gives out none that leads to an address which is not public.
struct Vetting(fn(String) -> Lookup);

impl Resolve for Vetting {
    fn resolve(&self, name: Name) -> Resolving {
        let found = (self.0)(name.as_str().to_owned());
        Box::pin(async move {
            let found = found.await?;
            // One that answers with both is not to be trusted with either.
            for address in &found {
                vet(address.ip()).map_err(|what| io::Error::new(io::ErrorKind::PermissionDenied, what))?;
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

fn look_up(name: String) -> Lookup {
    Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) })
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;
    use std::net::TcpListener;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::causes::innermost;

    /// How often the name was asked for that rebinds.
    static ASKED: AtomicUsize = AtomicUsize::new(0);

    /// A name server of our own.
    fn names(name: String) -> Lookup {
        let addresses: &[&str] = match name.as_str() {
            "public.test" => &["1.1.1.1:0", "[2606:4700::1111]:0"],
            "inside.test" => &["10.0.0.7:0"],
            "cloud.test" => &["169.254.169.254:0"],
            "mapped.test" => &["[::ffff:127.0.0.1]:0"],
            "both.test" => &["1.1.1.1:0", "127.0.0.1:0"],
            // Public when it is looked at, and inside from then on.
            "rebinds.test" if ASKED.fetch_add(1, Ordering::SeqCst) == 0 => &["1.1.1.1:0"],
            "rebinds.test" => &["127.0.0.1:0"],
            _ => &[],
        };
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        Box::pin(async move { Ok(addresses) })
    }

    async fn resolved(name: &str) -> std::result::Result<Vec<SocketAddr>, String> {
        let found = Vetting(names).resolve(name.parse().unwrap()).await;
        found.map(Iterator::collect).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn a_name_is_worth_what_all_of_its_addresses_are() {
        assert_eq!(resolved("public.test").await.unwrap().len(), 2);
        for (name, what) in [
            ("inside.test", "private"),
            ("cloud.test", "link-local"),
            ("mapped.test", "this machine"),
            ("both.test", "this machine"),
        ] {
            let refused = resolved(name).await.unwrap_err();
            assert_eq!(refused, format!("its address is not public ({what})"), "{name}");
        }
        assert_eq!(resolved("rebinds.test").await.unwrap()[0].ip(), IpAddr::from([1, 1, 1, 1]));
        assert!(resolved("rebinds.test").await.is_err(), "each connection is vetted anew");
    }

    #[tokio::test]
    async fn no_connection_is_made_to_what_was_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = || {
            let _ = rustls::crypto::ring::default_provider().install_default();
            plain().dns_resolver(Arc::new(Vetting(names))).build().unwrap()
        };
        for host in ["both.test", "mapped.test"] {
            let error = client().get(format!("http://{host}:{port}/")).send().await.unwrap_err();
            assert_eq!(innermost(&error), "its address is not public (this machine)", "{host}");
            assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock, "{host}");
        }
        assert!(client().get("http://[::ffff:7f00:1]:1/").send().await.unwrap_err().source().is_some());
    }

    #[test]
    fn an_address_that_is_written_out_is_vetted_however_it_is_spelt() {
        for host in [
            "127.0.0.1",
            "127.1",
            "0177.0.0.1",
            "0x7f.0.0.1",
            "0x7f000001",
            "2130706433",
            "017700000001",
            "127.0.0.1.",
            "１２７.0.0.1",
            "%31%32%37.0.0.1",
            "0",
            "10.0.0.1",
            "169.254.169.254",
            "0xa9fea9fe",
            "100.100.100.200",
            "[::]",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:a9fe:a9fe]",
            "[::127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "[fd00:ec2::254]",
            "[fe80::1]",
        ] {
            let url = Url::parse(&format!("https://user@{host}:8443/hook")).unwrap();
            let refused = check(&url, false).unwrap_err();
            assert!(refused.to_string().starts_with("its address is not public ("), "{host}: {refused}");
            assert!(check(&url, true).is_ok());
        }
        for url in [
            "https://1.1.1.1/",
            "https://[2606:4700::1111]/",
            "https://example.org/",
            "https://127.example.org/",
        ] {
            assert!(check(&Url::parse(url).unwrap(), false).is_ok(), "{url}");
        }
        assert!(check(&Url::parse("http://example.org/").unwrap(), false).is_err());
    }
}
