//! x
use super::{Input, Merged, Unclean};
pub(super) fn merge(_input: &Input<'_>, _key: Option<&str>) -> Merged {
    Merged::Unclean(Unclean::NoBase)
}
pub(super) fn is_json(_bytes: &[u8]) -> bool {
    false
}
