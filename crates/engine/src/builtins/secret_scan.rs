//! `secret_scan`: nothing of the target looks like a secret, by the rules of the search in what leaves.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use syncline_core::secrets::SCAN_BYTES_MAX;

use super::Files;
use crate::checks::Ground;
use crate::secrets::{places, remedy};

pub(super) async fn make(ground: &Ground) -> Result<(), String> {
    let secrets = Arc::clone(&ground.own.secrets);
    let scanner = secrets.scanner().map_err(|error| format!("nothing can be searched: {error}"))?;
    let (allowed, remedy) = (secrets.allowed(), remedy(secrets.baseline_name()));
    let look = move |path: &str, place: &Path| {
        let found = scanner.scan(&content(place)?);
        let found: Vec<_> = found.iter().filter(|finding| !allowed.contains(&finding.fingerprint)).collect();
        Ok(found.into_iter().map(|finding| places([(path, finding)].into_iter())).collect())
    };
    let found = Files::own(ground).look(look).await;
    found.map_err(|faults| format!("there is what looks like a secret: {faults}; {remedy}"))
}

/// What is searched of a file or a link: nothing of what is too large.
fn content(place: &Path) -> std::io::Result<Vec<u8>> {
    let metadata = fs::symlink_metadata(place)?;
    if metadata.is_symlink() {
        return Ok(fs::read_link(place)?.into_os_string().into_encoded_bytes());
    }
    if metadata.len() > SCAN_BYTES_MAX { Ok(Vec::new()) } else { fs::read(place) }
}
