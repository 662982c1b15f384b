//! What keeps a target from running by itself: a pause, or the time of the week.

use jiff::Timestamp;
use syncline_core::{Nanos, Window};
use syncline_store::Store;

use super::{is_open, opens};

/// The code of a pause.
pub const PAUSED: &str = "paused";
/// The code of a time outside of all windows.
const OUTSIDE_WINDOW: &str = "outside_window";

/// Why a target is not to run by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// `paused` or `outside_window`.
    pub code: &'static str,
    /// Why, for people.
    pub message: String,
    /// When it ends by itself; `None` when it does not.
    pub until: Option<Nanos>,
}

/// What keeps a target from running by itself at a moment; a pause before a window, since people asked for it.
///
/// A pause that cannot be read counts: whoever asked for it must be able to rely on it.
pub async fn hold(store: &Store, target: &str, windows: &[Window], now: Nanos) -> Option<Hold> {
    match store.paused(target).await {
        Ok(pause) => {
            if let Some(pause) = pause.filter(|pause| pause.is_on(now)) {
                let until = pause.until.map(|until| format!(" until {}", shown(until))).unwrap_or_default();
                let message = format!("paused since {}{until}: {}", shown(pause.since), pause.reason);
                return Some(Hold { code: PAUSED, message, until: pause.until });
            }
        }
        Err(error) => {
            let message = format!("its pause cannot be read: {error}; `syncline resume {target}` ends it");
            return Some(Hold { code: PAUSED, message, until: None });
        }
    }
    if is_open(windows, now) {
        return None;
    }
    let until = opens(windows, now);
    let next = until.map(|until| format!("; the next one opens at {}", shown(until))).unwrap_or_default();
    let all: Vec<String> = windows.iter().map(Window::to_string).collect();
    let message = format!("outside of its windows ({}){next}", all.join(", "));
    Some(Hold { code: OUTSIDE_WINDOW, message, until })
}

/// A moment to the second, in UTC.
fn shown(moment: Nanos) -> String {
    Timestamp::from_second(moment.div_euclid(1_000_000_000)).unwrap_or_default().to_string()
}
