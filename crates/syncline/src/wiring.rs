//! The one place that knows which connectors this program was built with.

use syncline_connect::Registry;

/// Every connector of this program.
pub(crate) const fn registry() -> Registry {
    syncline_connectors::registry()
}
