//! A bell: whoever rests until something happens, as a thread, is woken by it.

use std::sync::{Condvar, Mutex, PoisonError};
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

    /// Waits for `period`, or until `is_enough`, which is asked with whether it was rung since the last wait.
    pub(crate) fn wait(&self, period: Duration, is_enough: impl Fn(bool) -> bool) {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(rung, period, |rung| !is_enough(*rung));
        let (mut rung, _) = waited.unwrap_or_else(PoisonError::into_inner);
        *rung = false;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;
    use std::time::Instant;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn whoever_waits_hears_it_once_whether_it_was_rung_before_or_while_it_waits() {
        let bell = Arc::new(Bell::default());
        let begun = Instant::now();
        bell.ring();
        bell.ring();
        bell.wait(LONG, |rung| rung);
        let other = Arc::clone(&bell);
        let ringing = thread::spawn(move || {
            thread::sleep(Duration::from_millis(20));
            other.ring();
        });
        bell.wait(LONG, |rung| rung);
        ringing.join().unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(20), "two rings before a wait are heard as one");
        assert!(begun.elapsed() < LONG);
    }

    #[test]
    fn whoever_does_not_listen_waits_for_the_time_and_asks_again_when_woken() {
        let bell = Bell::default();
        let begun = Instant::now();
        bell.ring();
        bell.wait(Duration::from_millis(20), |_| false);
        assert!(begun.elapsed() >= Duration::from_millis(20));
        let is_over = Mutex::new(false);
        thread::scope(|scope| {
            let waiting = scope.spawn(|| bell.wait(LONG, |_| *is_over.lock().unwrap()));
            *is_over.lock().unwrap() = true;
            bell.wake();
            waiting.join().unwrap();
        });
        assert!(begun.elapsed() < LONG);
    }
}
