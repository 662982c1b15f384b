//! The layer that takes secrets out: what it says of an item is what it gives.

use std::collections::HashSet;
use std::io::Read as _;
use std::sync::Arc;

use syncline_connect::layers::sanitize::{SanitizeLayer, Sanitizer};
use syncline_connect::{Endpoint, ErrorKind, MemoryEndpoint};
use syncline_core::secrets::Redactor;
use syncline_core::{Digest, MemoryBaseline, Seen, Snapshot};

use crate::{agreed, at, batch, changes, put, request};

fn layer(memory: &MemoryEndpoint, patterns: &[&str]) -> SanitizeLayer {
    let patterns: Vec<String> = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
    let redactor = Redactor::new(&patterns, None).unwrap();
    let sanitizer = Sanitizer::new(redactor, HashSet::new(), &patterns.join(" "));
    SanitizeLayer::new(Arc::new(memory.clone()), Arc::new(sanitizer))
}

async fn scan(layer: &SanitizeLayer, baseline: &MemoryBaseline) -> Snapshot {
    layer.scan(request(baseline.clone())).await.unwrap()
}

#[tokio::test]
async fn digest_size_and_version_are_those_of_what_is_read() {
    let memory = MemoryEndpoint::default();
    memory.put("a.env", "password=odoo\n", 1);
    memory.put("b.txt", "nothing", 1);
    let layer = layer(&memory, &[]);
    let snapshot = scan(&layer, &MemoryBaseline::default()).await;
    for change in &snapshot.changes {
        let Seen::Present(found) = &change.now else { panic!("{change:?}") };
        let mut content = Vec::new();
        let read = layer.read(&change.path, &found.version).await.unwrap();
        read.into_reader().read_to_end(&mut content).unwrap();
        assert_eq!(found.item.digest, Some(Digest::of(&content)));
        assert_eq!(found.item.size, content.len() as u64);
        assert!(!String::from_utf8(content).unwrap().contains("odoo"));
    }
    assert_eq!(snapshot.problems[0].code, "sanitized");
    // What was agreed on is not read again, and what is gone is told as that.
    let baseline = agreed(&snapshot);
    assert_eq!(changes(&scan(&layer, &baseline).await), []);
    memory.remove("b.txt");
    let snapshot = scan(&layer, &baseline).await;
    assert_eq!(changes(&snapshot), [("b.txt", "absent")]);
    assert_eq!(
        snapshot.changes[0].was.as_deref(),
        syncline_core::Baseline::get(&baseline, &at("b.txt")).unwrap().as_ref()
    );
}

#[tokio::test]
async fn everything_is_looked_at_again_when_the_rules_change() {
    let memory = MemoryEndpoint::default();
    memory.put("a.env", "OTHER=odoo\n", 1);
    let before = layer(&memory, &[]);
    let baseline = agreed(&scan(&before, &MemoryBaseline::default()).await);
    let after = layer(&memory, &["OTHER"]);
    let snapshot = scan(&after, &baseline).await;
    assert_eq!(changes(&snapshot), [("a.env", "present")]);
    assert_eq!(snapshot.changes[0].now.found().unwrap().item.size, "OTHER=<redacted:custom>\n".len() as u64);
    // Without the layer, what it has changed is seen as changed too.
    assert_eq!(changes(&memory.scan(request(baseline)).await.unwrap()), [("a.env", "present")]);
}

#[tokio::test]
async fn what_cannot_be_freed_of_its_secrets_is_unreadable_and_nothing_is_ever_written() {
    let memory = MemoryEndpoint::default();
    let wide: Vec<u8> = "password=odoo\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    memory.put("a.env", wide, 1);
    let layer = layer(&memory, &[]);
    let snapshot = scan(&layer, &MemoryBaseline::default()).await;
    assert_eq!(changes(&snapshot), [("a.env", "unreadable")]);
    assert!(!layer.capabilities().writable);
    assert_eq!(layer.apply(batch(vec![put("b")])).await.unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(memory.tree().len(), 1);
}
