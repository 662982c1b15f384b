//! Naming conflicts: by a beginning of the identifier, by path, or by a glob over paths.

use syncline_store::ConflictRecord;

use crate::problem::Result;
use crate::service::Service;

/// Digits of an identifier that its beginning must have at least, lest a short name be taken for one.
const DIGITS_MIN: usize = 4;

/// Whether a selector is a glob, which may name any number of conflicts.
pub(crate) fn is_glob(selector: &str) -> bool {
    selector.contains(['*', '?', '[', '{'])
}

/// The places of those `records` that `selector` names.
pub(crate) fn matching(service: &Service, records: &[ConflictRecord], selector: &str) -> Result<Vec<usize>> {
    let glob =
        if is_glob(selector) { Some(syncline_core::filter::glob(selector)?.compile_matcher()) } else { None };
    let is_match = |record: &ConflictRecord| {
        let folder = service.workspace().target(&record.target).and_then(|target| target.path.clone());
        let full =
            folder.map_or_else(|| record.path.to_string(), |folder| format!("{folder}/{}", record.path));
        let path = record.path.as_str();
        match &glob {
            Some(glob) => glob.is_match(path) || glob.is_match(&full),
            None => {
                selector == path
                    || selector == full
                    || selector.len() >= DIGITS_MIN && record.id.starts_with(selector)
            }
        }
    };
    Ok(records.iter().enumerate().filter(|(_, record)| is_match(record)).map(|(index, _)| index).collect())
}
