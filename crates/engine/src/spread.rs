//! Spreads work that blocks while it reads over threads.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

/// Does `work` for each item, on as many threads as `workers` says; with none, on the calling task and in order, so that
/// a simulation stays deterministic. The results are in the order of the items.
pub(crate) async fn spread<T, R, F>(
    workers: usize,
    items: Vec<T>,
    work: impl Fn(T) -> F + Send + Sync + 'static,
) -> Vec<R>
where
    T: Send + 'static,
    R: Send + 'static,
    F: Future<Output = R>,
{
    if workers == 0 {
        let mut results = Vec::with_capacity(items.len());
        for item in items {
            results.push(work(item).await);
        }
        return results;
    }
    let count = items.len();
    let queue = Arc::new((Mutex::new(items.into_iter().enumerate()), work));
    let threads: Vec<_> = (0..workers.min(count))
        .map(|_| {
            let (queue, runtime) = (Arc::clone(&queue), Handle::current());
            spawn_blocking(move || {
                let mut done = Vec::new();
                while let Some((at, item)) = next(&queue.0) {
                    done.push((at, runtime.block_on((queue.1)(item))));
                }
                done
            })
        })
        .collect();
    let mut all = Vec::with_capacity(count);
    for thread in threads {
        match thread.await {
            Ok(part) => all.extend(part),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
    all.sort_unstable_by_key(|(at, _)| *at);
    all.into_iter().map(|(_, result)| result).collect()
}

fn next<T>(queue: &Mutex<T>) -> Option<T::Item>
where
    T: Iterator,
{
    queue.lock().unwrap_or_else(PoisonError::into_inner).next()
}
