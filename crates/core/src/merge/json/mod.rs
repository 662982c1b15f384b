//! Structural three-way merging of JSON.
//!
//! - Objects merge by key, however deep, and arrays of keyed records by key; see [`records::record_key`].
//! - Other arrays merge by element, as text does by line.
//! - The order is that of the local version; what only the remote has comes after what it follows there. Where only the
//!   remote reordered keyed records, its order is kept.
//! - Values keep their spelling: a number is never read as one.
//! - Without a base two objects unite when they say nothing different, and so do arrays of keyed records.
//! - The result is read again, and every edit of both sides is looked for in it, before it is given out.

pub(super) mod layout;
pub(super) mod parse;
pub(super) mod records;
mod verify;
pub(super) mod walk;

use super::{Input, Merged, Unclean, VERSION_VALUES_MAX};
use parse::{Document, Flaw};
use verify::Four;
use walk::Pointer;

/// Whether `bytes` is a document that can be merged by structure.
pub(super) fn is_json(bytes: &[u8]) -> bool {
    parse::parse(bytes).is_ok()
}

/// Merges by structure, or says where the edits meet.
pub(super) fn merge(input: &Input<'_>, key: Option<&str>) -> Merged {
    merged(input, key).map_or_else(Merged::Unclean, Merged::clean)
}

fn merged(input: &Input<'_>, key: Option<&str>) -> Result<Vec<u8>, Unclean> {
    let base = input.base.map(|base| read("base", base)).transpose()?;
    let local = read("local", input.local)?;
    let remote = read("remote", input.remote)?;
    let root = base.as_ref().map(|base| &base.root);
    let out = walk::value(root, &local.root, &remote.root, key, &mut Pointer::default())?;
    let text = layout::write(&local, &remote, &out);
    let Ok(again) = parse::parse(text.as_bytes()) else {
        return Err(Unclean::Lost { pointer: String::new() });
    };
    let four =
        Four { base: root, local: Some(&local.root), remote: Some(&remote.root), merged: Some(&again.root) };
    verify::survives(four, key, &mut Pointer::default()).map_err(|pointer| Unclean::Lost { pointer })?;
    Ok(text.into_bytes())
}

/// Reads a version, or says what is wrong with it.
pub(super) fn read<'a>(version: &'static str, bytes: &'a [u8]) -> Result<Document<'a>, Unclean> {
    parse::parse(bytes).map_err(|flaw| unreadable(version, bytes, flaw))
}

fn unreadable(version: &'static str, bytes: &[u8], flaw: Flaw) -> Unclean {
    if flaw.problem == parse::TOO_MANY {
        return Unclean::TooMany { version, lines_max: VERSION_VALUES_MAX };
    }
    let line = 1 + bytes[..flaw.at.min(bytes.len())].iter().filter(|&&byte| byte == b'\n').count();
    Unclean::NotJson { version, line, problem: flaw.problem }
}
