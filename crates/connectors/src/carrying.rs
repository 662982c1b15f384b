//! Carrying messages to programs elsewhere, over HTTP.

use std::pin::Pin;
use std::sync::OnceLock;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Url};
use syncline_connect::{Error, ErrorKind, Parcel, Receipt, Result};

use crate::causes::innermost;
use crate::vetting;

/// The clients: one that goes to public addresses alone, and one that goes anywhere.
static CLIENTS: [OnceLock<Client>; 2] = [OnceLock::new(), OnceLock::new()];

/// Carries a message to its receiver, as [`syncline_connect::Courier`] says.
pub(crate) fn carry(parcel: Parcel) -> Pin<Box<dyn Future<Output = Result<Receipt>> + Send>> {
    Box::pin(deliver(parcel))
}

async fn deliver(parcel: Parcel) -> Result<Receipt> {
    let url = Url::parse(&parcel.url).ok().filter(|url| matches!(url.scheme(), "https" | "http"));
    let url = url
        .ok_or_else(|| Error::new(ErrorKind::Invalid, "its `url` is no address that begins with https://"))?;
    vetting::check(&url, parcel.allow_private)?;
    let mut request = client(parcel.allow_private)?.post(url).timeout(parcel.timeout).body(parcel.body);
    request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in parcel.head {
        request = request.header(HeaderName::from_static(name), value);
    }
    let response = request.send().await.map_err(unsent)?;
    Ok(Receipt { status: response.status().as_u16(), retry_after: retry_after(response.headers()) })
}

fn client(allow_private: bool) -> Result<&'static Client> {
    let cell = &CLIENTS[usize::from(allow_private)];
    if let Some(client) = cell.get() {
        return Ok(client);
    }
    let made = vetting::client(allow_private)?;
    Ok(cell.get_or_init(|| made))
}

/// How long the receiver wants to be left alone: a number of seconds, or a date.
fn retry_after(head: &HeaderMap) -> Option<Duration> {
    let text = head.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Some(date.duration_since(Timestamp::now()).try_into().unwrap_or_default())
}

fn unsent(error: reqwest::Error) -> Error {
    if error.is_timeout() {
        return Error::new(ErrorKind::TimedOut, "it did not answer in time");
    }
    let cause = innermost(&error.without_url());
    Error::new(ErrorKind::Unreachable, format!("it cannot be reached: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_it_wants_to_be_left_alone_is_understood_either_way() {
        let read = |text: &str| {
            let head = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_str(text).unwrap())]);
            retry_after(&head)
        };
        assert_eq!(read("120"), Some(Duration::from_secs(120)));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO), "it is over");
        let far = read("Fri, 01 Jan 2100 00:00:00 GMT").unwrap();
        assert!(far > Duration::from_secs(365 * 24 * 3600), "{far:?}");
        for wrong in ["", "soon", "-5", "1e9", "99999999999999999999999"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
