//! Settling what both sides changed differently.

use crate::digest::Digest;
use crate::item::{Item, Kind, Nanos};
use crate::path::{ItemPath, NAME_BYTES_MAX};
use crate::policy::Resolution;
use crate::side::{Direction, Side, Sides};
use crate::snapshot::Found;
use crate::step::{MergeNeed, MergeResult};

use super::observe::Node;
use super::{Input, Take};

/// A conflict and how it is settled.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Settled {
    pub(super) id: String,
    pub(super) kind: &'static str,
    pub(super) policy: &'static str,
    pub(super) items: Sides<Item>,
    /// The side whose version keeps the name; `None` when nothing is touched.
    pub(super) winner: Option<Side>,
    /// Where the loser's version goes as well, when it stays.
    pub(super) copy: Option<ItemPath>,
    /// What both sides shall hold, when the versions were merged.
    pub(super) merged: Option<Item>,
    pub(super) note: Option<String>,
    pub(super) open: bool,
    pub(super) clamped: bool,
}

impl Settled {
    /// Whether both versions stay where they are until a person decides.
    pub(super) const fn is_untouched(&self) -> bool {
        self.winner.is_none() && self.merged.is_none()
    }
}

/// Settles the conflict at `node` between two items that are known and differ.
pub(super) fn settle(input: &Input<'_>, node: &Node<'_>, items: &Sides<&Item>) -> Settled {
    let id = identifier(input, node, items);
    let policy = input.policy.resolution(&node.path);
    let taken = input.choices.takes.get(&id).copied();
    let resolution = match taken {
        Some(Take::Side(side)) => Resolution::Prefer(side),
        Some(Take::Both) => Resolution::KeepBoth,
        Some(Take::Merged) => Resolution::default(),
        None => policy.clone(),
    };
    let (mut merged, mut note, mut marked) = (None, None, false);
    // One way only: what is merged would have to be written on both sides.
    if matches!(resolution, Resolution::Merge(_))
        && input.policy.direction == Direction::Bidirectional
        && let Some(result) = input.choices.merges.get(&id)
    {
        match result {
            MergeResult::Unclean(why) => note = Some(why.clone()),
            MergeResult::Merged { digest, size, marked: has_markers, note: decided } => {
                (note, marked) = (decided.clone(), *has_markers);
                merged = Some(merged_item(node, items, *digest, *size));
            }
        }
    }
    let newer = newer(input, items);
    let (winner, keep_loser) = match resolution {
        Resolution::Merge(_) if merged.is_some() => (None, false),
        Resolution::Manual => (None, false),
        Resolution::Prefer(side) => (Some(side), false),
        Resolution::Newest => (Some(newer), false),
        // One way only: the source keeps the name, whatever the clocks say.
        Resolution::KeepBoth | Resolution::Merge(_) => {
            (Some(input.policy.direction.source().unwrap_or(newer)), true)
        }
    };
    // A directory keeps its name whatever was chosen: what it holds cannot live under a file.
    let directory = Side::BOTH.into_iter().find(|&side| items[side].kind.is_directory());
    let (winner, keep_loser) = match (winner, directory) {
        (Some(_), Some(directory)) => (Some(directory), true),
        (winner, _) => (winner, keep_loser),
    };
    // A copy has no place on a side that holds none. Both ways, a person decides; one way, history alone keeps the loser.
    let roomless = Side::BOTH.into_iter().any(|side| !input.policy.abilities[side].copies);
    let (winner, keep_loser) = match (keep_loser && roomless, input.policy.direction.source()) {
        (true, None) => (None, false),
        (true, Some(_)) => (winner, false),
        (false, _) => (winner, keep_loser),
    };
    // A version that may not go to the other side cannot win there: both stay, and a person has to look.
    let winner = winner.filter(|winner| input.policy.direction.may_write(winner.other()));
    let copy = winner.filter(|_| keep_loser).map(|winner| {
        let loser = winner.other();
        conflict_path(&node.path, items[loser], &input.policy.nodes[loser])
    });
    Settled {
        id,
        kind: kind(node, items),
        policy: policy.name(),
        items: items.map(Clone::clone),
        winner,
        open: taken.is_none() && if merged.is_some() { marked } else { winner.is_none() || copy.is_some() },
        copy,
        merged,
        note,
        clamped: Side::BOTH.iter().any(|&side| items[side].modified > input.now),
    }
}

/// What has to be merged before the conflict at `node` can be settled; `None` when nothing has to be, or it was.
pub(super) fn missing_merge(input: &Input<'_>, node: &Node<'_>, found: &Sides<&Found>) -> Option<MergeNeed> {
    let Resolution::Merge(merging) = input.policy.resolution(&node.path) else { return None };
    // One way only: what is merged would have to be written on both sides.
    let both_ways = input.policy.direction == Direction::Bidirectional;
    let items = found.map(|found| &found.item);
    let files = Side::BOTH.iter().all(|&side| matches!(items[side].kind, Kind::File { .. }));
    let id = identifier(input, node, &items);
    if !both_ways || !files || input.choices.takes.contains_key(&id) || input.choices.merges.contains_key(&id)
    {
        return None;
    }
    let was = node.was.as_ref().filter(|was| matches!(was.kind, Kind::File { .. }));
    Some(MergeNeed {
        conflict: id,
        path: node.path.clone(),
        merging,
        base: was.map(|was| was.digest),
        found: found.map(Clone::clone),
    })
}

/// The item that both sides shall hold. The executable bit is merged like everything else: whoever changed it wins.
fn merged_item(node: &Node<'_>, items: &Sides<&Item>, digest: Digest, size: u64) -> Item {
    let kind = merged_kind(node.was.as_ref().map(|was| was.kind), items.map(|item| item.kind));
    let modified = items.local.modified.max(items.remote.modified);
    Item { kind, digest: Some(digest), size, modified }
}

/// What kind of file two versions of a file become; `was` is what both sides had agreed on.
#[must_use]
pub fn merged_kind(was: Option<Kind>, kinds: Sides<Kind>) -> Kind {
    let bit = |kind: Kind| kind == Kind::File { executable: true };
    let (local, remote) = (bit(kinds.local), bit(kinds.remote));
    let executable = match was.map(bit) {
        Some(was) if local == was => remote,
        Some(_) => local,
        None => local || remote,
    };
    Kind::File { executable }
}

/// Settles a directory that still holds something against a file that was to take its place.
pub(super) fn settle_held_directory(input: &Input<'_>, node: &Node<'_>, directory: Side) -> Option<Settled> {
    let file = node.held(directory.other())?.item;
    file.digest?;
    let held = Item::directory();
    let items = match directory {
        Side::Local => Sides { local: &held, remote: &file },
        Side::Remote => Sides { local: &file, remote: &held },
    };
    Some(settle(input, node, &items))
}

fn kind(node: &Node<'_>, items: &Sides<&Item>) -> &'static str {
    if !items.local.kind.is_same_type(items.remote.kind) {
        "type-type"
    } else if node.was.is_some() {
        "edit-edit"
    } else {
        "create-create"
    }
}

/// The side with the newer version: by time stamp, then node name, then digest: a total order, so that every
/// node decides alike. Stamps from the future are taken for now.
fn newer(input: &Input<'_>, items: &Sides<&Item>) -> Side {
    let key = |side: Side| {
        let item = items[side];
        (item.modified.min(input.now), &input.policy.nodes[side], item.digest)
    };
    if key(Side::Local) >= key(Side::Remote) { Side::Local } else { Side::Remote }
}

fn identifier(input: &Input<'_>, node: &Node<'_>, items: &Sides<&Item>) -> String {
    let mut hasher = blake3::Hasher::new();
    let mut text = |part: &str| {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    };
    text(&input.policy.target);
    text(node.path.as_str());
    text(&node.was.as_ref().map_or_else(String::new, |was| was.digest.to_string()));
    for side in Side::BOTH {
        text(items[side].kind.name());
        text(&items[side].digest.map_or_else(String::new, |digest| digest.to_string()));
        text(if items[side].kind == (Kind::File { executable: true }) { "x" } else { "-" });
    }
    hasher.finalize().to_hex()[..16].to_owned()
}

/// The name beside `path` under which `loser`, a version that `node` made, stays:
/// `name.conflict-<UTC time>-<node>-<digest8>.ext`. It is the same on whichever node decides.
#[must_use]
pub fn conflict_path(path: &ItemPath, loser: &Item, node: &str) -> ItemPath {
    let digest = loser.digest.unwrap_or(Digest([0; 32])).short();
    let node: String = node.chars().map(|c| if c.is_alphanumeric() || c == '-' { c } else { '_' }).collect();
    let node: String = node.chars().take(32).collect();
    let mark = format!(".conflict-{}-{node}-{digest}", utc(loser.modified));
    let name = path.name();
    let (stem, extension) = match name.rfind('.') {
        Some(at) if at > 0 && name.len() - at <= 16 => name.split_at(at),
        _ => (name, ""),
    };
    let room = NAME_BYTES_MAX.saturating_sub(mark.len() + extension.len());
    let mut end = stem.len().min(room);
    while !stem.is_char_boundary(end) {
        end -= 1;
    }
    let name = format!("{}{mark}{extension}", &stem[..end]);
    ItemPath::child(path.parent(), &name).unwrap_or_else(|_| path.clone())
}

/// `20261120T134937Z`: the civil date of a number of days since 1970 in the proleptic Gregorian calendar.
///
/// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
fn utc(nanos: Nanos) -> String {
    let seconds = nanos.div_euclid(1_000_000_000);
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utc_matches_known_dates() {
        assert_eq!(utc(0), "19700101T000000Z");
        assert_eq!(utc(951_782_400_000_000_000), "20000229T000000Z");
        assert_eq!(utc(1_795_182_577_000_000_000), "20261120T134937Z");
        assert_eq!(utc(-1), "19691231T235959Z");
    }

    #[test]
    fn conflict_names_keep_extension_and_fit() {
        let item = Item { kind: Kind::FILE, digest: Some(Digest::of(b"x")), size: 1, modified: 0 };
        let short = Digest::of(b"x").short();
        let path = |text: &str| ItemPath::parse(text).unwrap();
        assert_eq!(
            conflict_path(&path("a/notes.md"), &item, "he/lios").as_str(),
            format!("a/notes.conflict-19700101T000000Z-he_lios-{short}.md")
        );
        assert_eq!(
            conflict_path(&path(".env"), &item, "n").as_str(),
            format!(".env.conflict-19700101T000000Z-n-{short}")
        );
        let long = path(&"é".repeat(127));
        assert!(conflict_path(&long, &item, "node").name().len() <= NAME_BYTES_MAX);
    }
}
