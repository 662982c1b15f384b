//! The clock of the operating system, and identifiers made from it.

use std::time::SystemTime;

use syncline_core::Nanos;
use syncline_engine::Clock;

/// Real time, and identifiers of UUID version 7.
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Nanos {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Nanos::try_from(since.as_nanos()).unwrap_or(Nanos::MAX)
    }

    fn identifier(&self) -> String {
        uuid::Uuid::now_v7().to_string()
    }
}
