//! Conflict markers in the form of `diff3`, and the way back.
//!
//! ```text
//! <<<<<<< local (helios)
//! what the workspace says
//! ||||||| agreed
//! what both said before
//! =======
//! what the remote says
//! >>>>>>> remote (chad)
//! ```
//!
//! A version with markers must give back both inputs. So once there is one overlap, **every** place where the sides
//! differ is marked, also the places that only one side edited, and:
//!
//! - markers are longer than anything in the inputs that looks like one, never shorter than seven characters;
//! - when a side's last line has no line break, the closing marker says so;
//! - a byte order mark that all versions have stays in front of everything.

use std::ops::Range;

use super::lines::{By, differences, lines, regions, united};
use super::{Input, Labels, Merged};
use crate::side::Sides;

const MARKER_LENGTH_MIN: usize = 7;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// What a closing marker ends with when a section's last line break was added.
const NOTE: &str = " (no final newline: ";

/// The versions that were taken out of a version with markers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// What was agreed on, as far as markers show it: where both sides made the same edit, that edit. `None` when no
    /// marked place shows a base, as where two sides created the file.
    pub base: Option<Vec<u8>>,
    /// The version of the workspace, exactly.
    pub local: Vec<u8>,
    /// The version of the endpoint outside, exactly.
    pub remote: Vec<u8>,
    /// How many marked places there are.
    pub hunks: usize,
}

/// Merges by lines; marks every difference when there is an overlap.
///
/// Without a base the lines that both sides have stay, and every other place is marked, with no section for the base.
pub(super) fn merge(input: &Input<'_>, labels: &Labels<'_>) -> Merged {
    let shared = [input.base.unwrap_or(input.local), input.local, input.remote]
        .iter()
        .all(|bytes| bytes.starts_with(BYTE_ORDER_MARK));
    let skip = if shared { BYTE_ORDER_MARK.len() } else { 0 };
    let versions = Versions {
        base: input.base.map(|base| lines(&base[skip..])),
        local: lines(&input.local[skip..]),
        remote: lines(&input.remote[skip..]),
    };
    let Versions { base, local, remote } = &versions;
    let blocks = match base {
        None => blocks_of_two(local, remote),
        Some(base) => {
            let regions = regions(base, local, remote);
            if regions.iter().all(|region| region.by != By::Both) {
                let rest = united(&regions, base, local, remote).concat();
                return Merged::clean([&input.local[..skip], &rest].concat());
            }
            let differ = regions.into_iter().filter(|region| region.by != By::Same);
            differ.map(|region| Block { base: Some(region.base), now: region.now }).collect()
        }
    };
    let mut bytes = input.local[..skip].to_vec();
    write(&mut bytes, &versions, &blocks, labels);
    Merged::Marked { bytes, hunks: blocks.len() }
}

struct Versions<'a> {
    base: Option<Vec<&'a [u8]>>,
    local: Vec<&'a [u8]>,
    remote: Vec<&'a [u8]>,
}

/// A place to mark: the lines of each version.
struct Block {
    base: Option<Range<usize>>,
    now: Sides<Range<usize>>,
}

fn blocks_of_two(local: &[&[u8]], remote: &[&[u8]]) -> Vec<Block> {
    let differences = differences(local, remote).into_iter();
    differences.map(|(local, remote)| Block { base: None, now: Sides { local, remote } }).collect()
}

fn write(out: &mut Vec<u8>, versions: &Versions<'_>, blocks: &[Block], labels: &Labels<'_>) {
    let Versions { base, local, remote } = versions;
    let all = || base.iter().flatten().chain(local).chain(remote).copied();
    let length = marker_length(all());
    let crlf = all().next().is_some_and(|line| line.ends_with(b"\r\n"));
    let marker = |out: &mut Vec<u8>, character: u8, label: &str| {
        out.extend(std::iter::repeat_n(character, length));
        if !label.is_empty() {
            out.push(b' ');
            out.extend(label.bytes());
        }
        out.extend(if crlf { &b"\r\n"[..] } else { b"\n" });
    };
    let mut from = 0;
    for block in blocks {
        out.extend(local[from..block.now.local.start].concat());
        from = block.now.local.end;
        let mut cut = Vec::new();
        marker(out, b'<', &clean_label(labels.local));
        section(out, &local[block.now.local.clone()], "local", &mut cut);
        if let (Some(base), Some(range)) = (base, &block.base) {
            marker(out, b'|', &clean_label(labels.base));
            section(out, &base[range.clone()], "base", &mut cut);
        }
        marker(out, b'=', "");
        section(out, &remote[block.now.remote.clone()], "remote", &mut cut);
        let mut label = clean_label(labels.remote);
        if !cut.is_empty() {
            label.push_str(&format!("{NOTE}{})", cut.join(", ")));
        }
        marker(out, b'>', label.trim_start());
    }
    out.extend(local[from..].concat());
}

/// Writes lines, and a line break where the last one has none: the next marker must begin a line.
fn section(out: &mut Vec<u8>, lines: &[&[u8]], name: &'static str, cut: &mut Vec<&'static str>) {
    out.extend(lines.concat());
    if lines.last().is_some_and(|line| !line.ends_with(b"\n")) {
        out.push(b'\n');
        cut.push(name);
    }
}

fn clean_label(label: &str) -> String {
    let plain: String = label.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    plain.replace(NOTE.trim(), "[").trim().to_owned()
}

/// A length that none of `lines` could be mistaken for: above every opening marker, and unlike every other one.
fn marker_length<'a>(lines: impl Iterator<Item = &'a [u8]>) -> usize {
    let mut length = MARKER_LENGTH_MIN;
    let mut taken = std::collections::BTreeSet::new();
    for line in lines {
        match marker(line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line)) {
            Some((b'<', found, _)) => length = length.max(found + 1),
            Some((_, found, _)) => _ = taken.insert(found),
            None => {}
        }
    }
    while taken.contains(&length) {
        length += 1;
    }
    length
}

/// Reads a line as a marker: its character, its length, and its label.
fn marker(line: &[u8]) -> Option<(u8, usize, &[u8])> {
    let character = *line.first().filter(|first| b"<|=>".contains(first))?;
    let length = line.iter().take_while(|&&byte| byte == character).count();
    let rest = &line[length..];
    let rest = rest.strip_suffix(b"\n").unwrap_or(rest);
    let rest = rest.strip_suffix(b"\r").unwrap_or(rest);
    let is_marker = length >= MARKER_LENGTH_MIN && rest.first().is_none_or(|&byte| byte == b' ');
    is_marker.then_some((character, length, rest))
}

/// Whether `bytes` holds a merge that nobody finished: an opening marker, and later the closing one of its length.
///
/// Whatever tool wrote them, at the beginning of a line. A text that quotes a whole conflict counts too: to take it for
/// open costs a question, to take an open one for text would merge it again.
#[must_use]
pub fn has_open_markers(bytes: &[u8]) -> bool {
    let mut open = std::collections::BTreeSet::new();
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    bytes.split_inclusive(|&byte| byte == b'\n').filter_map(marker).any(|(character, length, _)| {
        match character {
            b'<' => {
                open.insert(length);
                false
            }
            b'>' => open.contains(&length),
            _ => false,
        }
    })
}

/// Gives back the versions that [`Strategy::Markers`](super::Strategy::Markers) wrote into `bytes`.
///
/// Also reads what other tools wrote, where every difference is marked only as far as they marked it. `None` when there
/// are no markers, or a marker is missing or out of order.
#[must_use]
pub fn take_from_markers(bytes: &[u8]) -> Option<Taken> {
    let start = if bytes.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
    let lines = lines(&bytes[start..]);
    let opening = |line: &&[u8]| marker(line).filter(|found| found.0 == b'<').map(|found| found.1);
    // Inputs hold no opening marker as long as ours; see `marker_length`.
    let length = lines.iter().filter_map(opening).max()?;
    let mut reader = Reader { at: Section::Outside, versions: Default::default(), hunks: 0, based: false };
    reader.versions.iter_mut().for_each(|version| version.extend(&bytes[..start]));
    for line in lines {
        match marker(line).filter(|found| found.1 == length) {
            None => reader.content(line),
            Some((character, _, label)) => reader.turn(character, label)?,
        }
    }
    let [base, local, remote] = reader.versions;
    let base = reader.based.then_some(base);
    (reader.at == Section::Outside).then_some(Taken { base, local, remote, hunks: reader.hunks })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Outside,
    Local,
    Base,
    Remote,
}

struct Reader {
    at: Section,
    /// Base, local, remote.
    versions: [Vec<u8>; 3],
    hunks: usize,
    based: bool,
}

impl Reader {
    fn content(&mut self, line: &[u8]) {
        let versions: &[usize] = match self.at {
            Section::Outside => &[0, 1, 2],
            Section::Base => &[0],
            Section::Local => &[1],
            Section::Remote => &[2],
        };
        versions.iter().for_each(|&version| self.versions[version].extend(line));
    }

    /// Goes on to the next section, or `None` when this marker cannot stand here.
    fn turn(&mut self, character: u8, label: &[u8]) -> Option<()> {
        self.at = match (self.at, character) {
            (Section::Outside, b'<') => Section::Local,
            (Section::Local, b'|') => {
                self.based = true;
                Section::Base
            }
            (Section::Local | Section::Base, b'=') => Section::Remote,
            (Section::Remote, b'>') => {
                self.hunks += 1;
                self.cut(label);
                Section::Outside
            }
            _ => return None,
        };
        Some(())
    }

    /// Takes away the line breaks that were added, as the closing marker says.
    fn cut(&mut self, label: &[u8]) {
        let label = String::from_utf8_lossy(label);
        let Some((_, names)) = label.strip_suffix(')').and_then(|label| label.rsplit_once(NOTE)) else {
            return;
        };
        for name in names.split(", ") {
            let Some(version) = ["base", "local", "remote"].iter().position(|known| *known == name) else {
                continue;
            };
            self.versions[version].pop_if(|byte| *byte == b'\n');
        }
    }
}
