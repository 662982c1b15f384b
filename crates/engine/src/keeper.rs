//! Keeps contents while they are read anyway, so that a later conflict has a base to merge from.

use std::cell::Cell;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use syncline_connect::{Body, Content};
use syncline_core::merge::{VERSION_BYTES_MAX, is_binary};
use syncline_core::{Direction, Item, ItemPath, Kind, Nanos, Policy, Resolution};
use syncline_store::{BaseKeeper, Bases};

/// Most bytes that one run keeps: a first run over a large tree would otherwise write everything twice. What was
/// modified last comes first, since it is what people work on; the rest is kept when it is next edited.
const RUN_BYTES_MAX: i64 = 16 * 1024 * 1024;

/// Keeps what one run agrees on.
pub(crate) struct Keeper {
    bases: BaseKeeper,
    policy: Policy,
    /// Bytes that may still be kept.
    left: AtomicI64,
    /// Only what was modified since then is kept.
    since: AtomicI64,
    failed: AtomicBool,
}

impl Keeper {
    pub(crate) fn new(bases: &Bases, policy: &Policy) -> Self {
        Self {
            bases: bases.writer(),
            policy: policy.clone(),
            left: AtomicI64::new(RUN_BYTES_MAX),
            since: AtomicI64::new(Nanos::MIN),
            failed: AtomicBool::new(false),
        }
    }

    /// Prepares for these items: when they are more than may be kept, the youngest of them are.
    pub(crate) fn expect<'a>(&self, items: impl Iterator<Item = &'a Item>) {
        let kept = items.filter(|item| (1..=VERSION_BYTES_MAX as u64).contains(&item.size));
        let mut young: Vec<(Nanos, u64)> = kept.map(|item| (item.modified, item.size)).collect();
        young.sort_unstable_by(|a, b| b.cmp(a));
        let mut left = u64::try_from(self.left.load(Ordering::Relaxed)).unwrap_or(0);
        let too_old = young.iter().find(|(_, size)| match left.checked_sub(*size) {
            Some(rest) => {
                left = rest;
                false
            }
            None => true,
        });
        let since = too_old.map_or(Nanos::MIN, |(modified, _)| modified.saturating_add(1));
        self.since.store(since, Ordering::Relaxed);
    }

    /// Lets a content that is read to its end be kept, when it is one that may be merged one day.
    pub(crate) fn tee(self: &Arc<Self>, path: &ItemPath, item: &Item, content: Content) -> Content {
        if !self.wants(path, item) {
            return content;
        }
        let Content { body, mode } = content;
        let body = match body {
            Body::Bytes(bytes) => {
                self.keep(&bytes);
                Body::Bytes(bytes)
            }
            Body::Reader(reader) => {
                let (mut read, keeper) = (READ.take(), Some(Arc::clone(self)));
                read.clear();
                Body::Reader(Box::new(Tee { reader, read, keeper }))
            }
        };
        Content { body, mode }
    }

    fn wants(&self, path: &ItemPath, item: &Item) -> bool {
        matches!(item.kind, Kind::File { .. })
            && (1..=VERSION_BYTES_MAX as u64).contains(&item.size)
            && item.modified >= self.since.load(Ordering::Relaxed)
            && self.policy.direction == Direction::Bidirectional
            && may_be_merged(&self.policy.resolution(path))
            && self.left.load(Ordering::Relaxed) >= i64::try_from(item.size).unwrap_or(i64::MAX)
            && !self.failed.load(Ordering::Relaxed)
    }

    fn keep(&self, bytes: &[u8]) {
        if is_binary(bytes) {
            return;
        }
        self.left.fetch_sub(i64::try_from(bytes.len()).unwrap_or(i64::MAX), Ordering::Relaxed);
        if let Err(error) = self.bases.keep(bytes) {
            self.give_up(&error);
        }
    }

    /// Writes out what is still held back.
    pub(crate) fn finish(keeper: Arc<Self>) {
        if let Some(Self { bases, failed, .. }) = Arc::into_inner(keeper)
            && let Err(error) = bases.finish()
            && !failed.load(Ordering::Relaxed)
        {
            tracing::warn!(%error, "contents could not be kept: later conflicts about them cannot be merged");
        }
    }

    /// That nothing can be kept is no reason for a run to fail: later conflicts keep both versions.
    fn give_up(&self, error: &syncline_store::Error) {
        if !self.failed.swap(true, Ordering::Relaxed) {
            tracing::warn!(%error, "contents cannot be kept: later conflicts about them cannot be merged");
        }
    }
}

/// Whether a conflict may come to be merged: by the policy, or by a person who is asked.
const fn may_be_merged(resolution: &Resolution) -> bool {
    matches!(resolution, Resolution::Merge(_) | Resolution::KeepBoth | Resolution::Manual)
}

thread_local! {
    /// Memory for the next content that a thread reads, which was the last one's: most contents are small, and many.
    static READ: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Passes a content on, and keeps it when it was read to its end.
struct Tee {
    reader: Box<dyn Read + Send>,
    read: Vec<u8>,
    /// `None` once the content was kept, or is longer than it was said to be.
    keeper: Option<Arc<Keeper>>,
}

impl Read for Tee {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        if count > 0 {
            self.read.extend_from_slice(&buffer[..count]);
            if self.read.len() > VERSION_BYTES_MAX {
                (self.keeper, self.read) = (None, Vec::new());
            }
        } else if !buffer.is_empty()
            && let Some(keeper) = self.keeper.take()
        {
            keeper.keep(&self.read);
            READ.set(std::mem::take(&mut self.read));
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn kept(sizes: &[(u64, Nanos)]) -> Vec<bool> {
        let store = syncline_store::Store::in_memory().await.unwrap();
        let keeper = Keeper::new(store.bases(), &Policy::new(Direction::Bidirectional));
        let path = ItemPath::parse("x.txt").unwrap();
        let item = |&(size, modified): &(u64, Nanos)| Item { kind: Kind::FILE, digest: None, size, modified };
        let items: Vec<Item> = sizes.iter().map(item).collect();
        keeper.expect(items.iter());
        items.iter().map(|item| keeper.wants(&path, item)).collect()
    }

    #[tokio::test]
    async fn of_more_than_may_be_kept_the_youngest_are() {
        const MIB: u64 = 1 << 20;
        assert_eq!(kept(&[(5, 1), (7, -3), (0, 9)]).await, [true, true, false], "nothing is empty");
        let many: Vec<(u64, Nanos)> = (0..20).map(|number| (2 * MIB, number * 1_000)).collect();
        let wanted = kept(&many).await;
        assert_eq!(wanted.iter().filter(|wanted| **wanted).count(), 8, "{wanted:?}");
        assert!(wanted[12..].iter().all(|wanted| *wanted), "{wanted:?}");
        let old: Vec<(u64, Nanos)> = (0..20).map(|number| (2 * MIB, number - 40)).collect();
        assert_eq!(kept(&old).await.iter().filter(|wanted| **wanted).count(), 8, "before 1970 too");
        assert_eq!(
            kept(&[(9 * MIB, 5), (MIB, 4)]).await,
            [false, true],
            "one that is too large counts for nothing"
        );
    }
}
