//! A bell: whoever rests until something happens, as a thread, is woken by it.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Remembers that it was rung until somebody has waited for it.
#[derive(Default)]
pub(crate) struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Bell {
    /// Tells that something happened.
    pub(crate) fn ring(&self) {
        let mut rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        if !*rung {
            *rung = true;
            self.changed.notify_all();
        }
    }

    /// Has whoever waits ask again whether that is enough.
    pub(crate) fn wake(&self) {
        let _rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        self.changed.notify_all();
    }

    /// Waits for `period`, until it is rung, or until it `is_over`, which is asked again at each [`Bell::wake`].
    pub(crate) fn listen(&self, period: Duration, is_over: impl Fn() -> bool) {
        *self.wait_until(period, |rung| rung || is_over()) = false;
    }

    /// Waits for `period`, or until it `is_over`. That it was rung stays to be heard.
    pub(crate) fn wait(&self, period: Duration, is_over: impl Fn() -> bool) {
        drop(self.wait_until(period, |_| is_over()));
    }

    fn wait_until(&self, period: Duration, is_enough: impl Fn(bool) -> bool) -> MutexGuard<'_, bool> {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(rung, period, |rung| !is_enough(*rung));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;
    use std::time::Instant;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn whoever_listens_hears_it_once_whether_it_was_rung_before_or_while_it_listens() {
        let bell = Arc::new(Bell::default());
        let begun = Instant::now();
        bell.ring();
        bell.ring();
        bell.wait(Duration::ZERO, || false);
        bell.listen(LONG, || false);
        let other = Arc::clone(&bell);
        let ringing = thread::spawn(move || {
            thread::sleep(Duration::from_millis(20));
            other.ring();
        });
        bell.listen(LONG, || false);
        ringing.join().unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(20), "two rings are heard as one");
        assert!(begun.elapsed() < LONG);
    }

    #[test]
    fn whoever_waits_hears_nothing_and_is_woken_when_it_is_over() {
        let bell = Bell::default();
        let begun = Instant::now();
        bell.ring();
        bell.wait(Duration::from_millis(20), || false);
        assert!(begun.elapsed() >= Duration::from_millis(20));
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let waiting = scope.spawn(|| bell.wait(LONG, || is_over.load(Ordering::Acquire)));
            is_over.store(true, Ordering::Release);
            bell.wake();
            waiting.join().unwrap();
        });
        assert!(begun.elapsed() < LONG);
    }
}
