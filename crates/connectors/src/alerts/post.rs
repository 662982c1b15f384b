//! Sending a message over HTTP, so that no address and no token gets into an error.

use std::fmt;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response, StatusCode, Url};
use serde_json::Value;
use syncline_connect::{Error, ErrorKind, Result, Retry};

use crate::causes::innermost;
use crate::vetting;

/// How long it may take to be connected.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// How long a delivery may take in all.
const DELIVER_MAX: Duration = Duration::from_secs(30);
/// Most bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// The longest wait that a refusal can ask for.
const AFTER_MAX: Duration = Duration::from_hours(24);

/// A client of one channel.
pub(super) struct Post {
    client: Client,
    channel: &'static str,
}

/// An address that may hold a token, and that nothing shows.
#[derive(Clone)]
pub(super) struct Address(Url);

impl Address {
    /// Reads an address of a setting; `setting` names it.
    pub(super) fn read(text: &str, setting: &str) -> Result<Self> {
        let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "https" | "http"));
        let message = || format!("`{setting}` is no address that begins with https://");
        url.map(Self).ok_or_else(|| Error::new(ErrorKind::Invalid, message()))
    }

    /// The address with more words at the end of its path.
    pub(super) fn with(&self, words: &[&str]) -> Self {
        let mut url = self.0.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(words);
        }
        Self(url)
    }

    /// The address with one more parameter.
    pub(super) fn asking(&self, name: &str, value: &str) -> Self {
        let mut url = self.0.clone();
        url.query_pairs_mut().append_pair(name, value);
        Self(url)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Address(..)")
    }
}

/// What is sent.
pub(super) struct Letter<'a> {
    /// How.
    pub(super) method: Method,
    /// Where to.
    pub(super) to: &'a Address,
    /// A JSON document.
    pub(super) body: Vec<u8>,
    /// What else stands in its head.
    pub(super) head: Vec<(&'static str, String)>,
}

impl Post {
    /// A client of the channel `channel`, for messages.
    pub(super) fn new(channel: &'static str) -> Result<Self> {
        // Whoever comes second finds it installed, which is all the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .connect_timeout(CONNECT_MAX)
            .redirect(Policy::none())
            .user_agent(concat!("syncline/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| {
                Error::new(
                    ErrorKind::Io,
                    format!("no client for {channel} can be made: {}", error.without_url()),
                )
            })?;
        Ok(Self { client, channel })
    }

    /// A client of the channel `channel` for a receiver of somebody's own: it goes to public addresses alone, unless it is
    /// meant to go to private ones.
    pub(super) fn vetted(channel: &'static str, to: &Address, allow_private: bool) -> Result<Self> {
        vetting::check(&to.0, allow_private)?;
        Ok(Self { client: vetting::client(allow_private)?, channel })
    }

    /// Sends it, and returns the answer; `None` where it is no JSON.
    pub(super) async fn send(&self, letter: Letter<'_>) -> Result<Option<Value>> {
        self.ask(letter).await?.map_err(|refusal| self.refused(&refusal))
    }

    /// Sends it, and returns the answer as `send` does, or what was said against it.
    pub(super) async fn ask(&self, letter: Letter<'_>) -> Result<Answered> {
        let request = self.client.request(letter.method, letter.to.0.clone()).timeout(DELIVER_MAX);
        let mut request = request.body(letter.body);
        request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in letter.head {
            request = request.header(HeaderName::from_static(name), value);
        }
        let response = request.send().await.map_err(|error| self.unsent(error))?;
        let status = response.status();
        if status.is_success() {
            // That it has arrived is known by now, whatever becomes of the rest of the answer.
            return Ok(Ok(answer(response).await));
        }
        let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        Ok(Err(Refusal { status, after, said: answer(response).await }))
    }

    fn unsent(&self, error: reqwest::Error) -> Error {
        let kind = if error.is_timeout() { ErrorKind::TimedOut } else { ErrorKind::Unreachable };
        let cause = innermost(&error.without_url());
        Error::new(kind, format!("{} cannot be reached: {cause}", self.channel))
    }

    /// A refusal as an error. What was said is no part of it: it may quote the address.
    pub(super) fn refused(&self, refusal: &Refusal) -> Error {
        let message = format!("{} answered {}", self.channel, refusal.status.as_u16());
        match refusal.status.as_u16() {
            429 | 500..=599 => {
                Error::new(ErrorKind::Unreachable, message).with_retry(Retry::Soon(refusal.after()))
            }
            401 | 403 => Error::new(ErrorKind::Denied, message).with_hint("check its token or address"),
            404 | 410 => Error::new(ErrorKind::NotFound, message)
                .with_hint("check its address: the channel may have been removed"),
            _ => Error::new(ErrorKind::Invalid, message),
        }
    }
}

/// An answer, or a refusal.
pub(super) type Answered = std::result::Result<Option<Value>, Refusal>;

/// What was said against a message.
pub(super) struct Refusal {
    status: StatusCode,
    /// What its head says about when to try again, in seconds.
    after: Option<f64>,
    /// The rest of it, where that is JSON.
    pub(super) said: Option<Value>,
}

impl Refusal {
    /// How long it wants to be left alone: Discord says so in what it answers, Telegram among its `parameters`, and either
    /// may say something else in its head, such as when a proxy stands between. The longest counts.
    fn after(&self) -> Option<Duration> {
        let said = self.said.as_ref();
        let within = |path: &str| said.and_then(|said| said.pointer(path)).and_then(Value::as_f64);
        let all = [self.after, within("/retry_after"), within("/parameters/retry_after")];
        // What is no number is one to Rust as well, and stays so when it is clamped.
        let known = all.into_iter().flatten().filter(|seconds| seconds.is_finite());
        let clamped =
            known.map(|seconds| Duration::from_secs_f64(seconds.clamp(0.0, AFTER_MAX.as_secs_f64())));
        clamped.max()
    }
}

async fn answer(mut response: Response) -> Option<Value> {
    let mut bytes = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
            return None;
        }
        bytes.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&bytes).ok()
}
