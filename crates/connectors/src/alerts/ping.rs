//! A service elsewhere that tells people when nothing comes from here any more: each message is a request without content.

use std::sync::Arc;

use async_trait::async_trait;
use reqwest::Method;
use syncline_connect::{AlertChannel, AlertMessage, Result};

use super::post::{Address, Letter, Post};

struct Ping {
    post: Post,
    address: Address,
}

/// Opens the address of such a service.
///
/// # Errors
/// When it is none.
pub fn open(address: &str) -> Result<Arc<dyn AlertChannel>> {
    Ok(Arc::new(Ping { post: Post::new("the dead-man service")?, address: Address::read(address, "url")? }))
}

#[async_trait]
impl AlertChannel for Ping {
    async fn deliver(&self, _: &AlertMessage, _: Option<&str>) -> Result<Option<String>> {
        let letter = Letter { method: Method::GET, to: &self.address, body: Vec::new(), head: Vec::new() };
        self.post.send(letter).await?;
        Ok(None)
    }
}
