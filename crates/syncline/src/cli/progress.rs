//! Progress on a terminal: what is going on, how far it is, how fast, and how long it will take.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use syncline_connect::Progress;
use syncline_engine::{Event, Events};

use super::text::shown;

/// How often the counters are looked at.
const TICK: Duration = Duration::from_millis(100);
/// What is over sooner than this is not worth a bar.
const PATIENCE: Duration = Duration::from_millis(250);

const SCANNING: &str = "{spinner} {prefix}: scanning, {pos} items";
const COMPARING: &str = "{prefix}: comparing {bar:24} {pos}/{len} items, {eta} left";
const SEARCHING: &str = "{prefix}: searching for secrets {bar:24} {pos}/{len} items, {eta} left";
const STEPS: &str = "{prefix}: applying {bar:24} {pos}/{len} steps, {eta} left";
const BYTES: &str =
    "{prefix}: applying {bar:24} {bytes}/{total_bytes}, {msg}, {binary_bytes_per_sec}, {eta} left";

/// Shows the progress of runs.
pub(crate) struct Bars(Mutex<Phase>);

struct Phase {
    progress: Arc<Progress>,
    shown: Option<Shown>,
}

/// A bar, and the thread that moves it; dropping it takes the bar away.
struct Shown(ProgressBar);

impl Drop for Shown {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

impl Bars {
    /// Nothing is shown yet.
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Phase { progress: Arc::default(), shown: None }))
    }

    fn show(&self, bar: ProgressBar, of_bytes: bool) {
        let progress = Arc::<Progress>::default();
        let mut phase = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        phase.progress = Arc::clone(&progress);
        phase.shown = Some(Shown(bar.clone()));
        std::thread::spawn(move || {
            std::thread::sleep(PATIENCE);
            while !bar.is_finished() {
                let (items, bytes) =
                    (progress.items.load(Ordering::Relaxed), progress.bytes.load(Ordering::Relaxed));
                if of_bytes {
                    bar.set_message(format!("{items} items"));
                }
                bar.set_position(if of_bytes { bytes } else { items });
                std::thread::sleep(TICK);
            }
        });
    }
}

impl Events for Bars {
    fn happened(&self, event: &Event) {
        match event {
            Event::Scanning { target } => {
                let bar = ProgressBar::new_spinner().with_style(style(SCANNING));
                self.show(bar.with_prefix(shown(target)), false);
            }
            Event::Comparing { target, items } => {
                let look = style(COMPARING);
                self.show(ProgressBar::new(*items).with_style(look).with_prefix(shown(target)), false);
            }
            Event::Searching { target, items } => {
                let look = style(SEARCHING);
                self.show(ProgressBar::new(*items).with_style(look).with_prefix(shown(target)), false);
            }
            Event::Applying { target, steps, bytes: 0 } => {
                let look = style(STEPS);
                self.show(ProgressBar::new(*steps).with_style(look).with_prefix(shown(target)), false);
            }
            Event::Applying { target, bytes, .. } => {
                let look = style(BYTES);
                self.show(ProgressBar::new(*bytes).with_style(look).with_prefix(shown(target)), true);
            }
            Event::Finished { .. } => {
                self.0.lock().unwrap_or_else(PoisonError::into_inner).shown = None;
            }
        }
    }

    fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner).progress)
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates are constants, and a test reads each of them.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_has_a_bar_that_goes_away() {
        let bars = Bars::new();
        let target = || "notes".to_owned();
        for event in [
            Event::Scanning { target: target() },
            Event::Comparing { target: target(), items: 3 },
            Event::Searching { target: target(), items: 3 },
            Event::Applying { target: target(), steps: 3, bytes: 0 },
            Event::Applying { target: target(), steps: 3, bytes: 7 },
        ] {
            bars.happened(&event);
            bars.progress().add(1, 1);
            assert!(bars.0.lock().unwrap().shown.is_some());
        }
        bars.happened(&Event::Finished { target: target() });
        assert!(bars.0.lock().unwrap().shown.is_none());
    }

    #[test]
    fn templates_are_understood() {
        for template in [SCANNING, COMPARING, SEARCHING, STEPS, BYTES] {
            ProgressStyle::with_template(template).unwrap();
        }
    }
}
