//! What carries a message to a program elsewhere.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::error::Result;

/// A message on its way, and how far it may go.
pub struct Parcel {
    /// Where to; nothing shows it.
    pub url: String,
    /// Whether it may go to addresses that are not public, and without TLS.
    pub allow_private: bool,
    /// How long all of it may take.
    pub timeout: Duration,
    /// What stands in its head besides what it is.
    pub head: Vec<(&'static str, String)>,
    /// A JSON document.
    pub body: Vec<u8>,
}

/// What the receiver answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The status of the answer.
    pub status: u16,
    /// How long it wants to be left alone.
    pub retry_after: Option<Duration>,
}

/// Carries a message to its receiver, once.
///
/// - It goes to an address that was vetted, and nowhere else: it follows no redirect and takes no proxy.
/// - Any answer is a receipt, whatever its status; it is an error when there was none, and that names no address.
pub type Courier = fn(Parcel) -> Pin<Box<dyn Future<Output = Result<Receipt>> + Send>>;
