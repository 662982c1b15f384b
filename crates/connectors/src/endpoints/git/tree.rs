//! A tree as one commit holds it, and edits on top of it that are not made yet.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;

use syncline_core::{ItemPath, Kind, PathError, Problem, Version};

/// The identifier of an object: a hash of 20 or 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ObjectId {
    bytes: [u8; 32],
    length: u8,
}

impl ObjectId {
    /// The identifier that no object has.
    pub(super) const ZERO: Self = Self { bytes: [0; 32], length: 20 };

    /// Reads hexadecimal digits.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let length = text.len() / 2;
        if !matches!(text.len(), 40 | 64) || !text.is_ascii() {
            return None;
        }
        let mut bytes = [0; 32];
        let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().as_chunks::<2>().0) {
            *byte = digit(digits[0])? << 4 | digit(digits[1])?;
        }
        Some(Self { bytes, length: u8::try_from(length).ok()? })
    }

    /// The bytes of the hash.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    fn from_bytes(hash: &[u8]) -> Option<Self> {
        let mut bytes = [0; 32];
        bytes.get_mut(..hash.len())?.copy_from_slice(hash);
        matches!(hash.len(), 20 | 32).then_some(Self { bytes, length: u8::try_from(hash.len()).ok()? })
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What an entry of a tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    File,
    Executable,
    Link,
    /// A commit of another repository.
    Submodule,
}

impl Mode {
    /// Reads the mode as `ls-tree` prints it.
    fn parse(text: &str) -> Option<Self> {
        match text {
            "100755" => Some(Self::Executable),
            "120000" => Some(Self::Link),
            "160000" => Some(Self::Submodule),
            // Old versions of Git have written other permission bits.
            text if text.starts_with("100") => Some(Self::File),
            _ => None,
        }
    }

    /// The mode as Git writes it.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::File => "100644",
            Self::Executable => "100755",
            Self::Link => "120000",
            Self::Submodule => "160000",
        }
    }

    /// The mode of an item; a directory has none.
    pub(super) const fn of(kind: Kind) -> Option<Self> {
        match kind {
            Kind::File { executable: false } => Some(Self::File),
            Kind::File { executable: true } => Some(Self::Executable),
            Kind::Symlink => Some(Self::Link),
            Kind::Directory => None,
        }
    }

    /// What the item is; a submodule is none.
    pub(super) const fn kind(self) -> Option<Kind> {
        match self {
            Self::File => Some(Kind::FILE),
            Self::Executable => Some(Kind::File { executable: true }),
            Self::Link => Some(Kind::Symlink),
            Self::Submodule => None,
        }
    }
}

/// One entry of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) mode: Mode,
    pub(super) object: ObjectId,
}

impl Entry {
    /// The version of the item: what it is, and the hash of its content.
    pub(super) fn version(&self) -> Version {
        let mut token = vec![match self.mode {
            Mode::File => 0,
            Mode::Executable => 1,
            Mode::Link => 2,
            Mode::Submodule => 3,
        }];
        token.extend_from_slice(self.object.as_bytes());
        Version::new(&token)
    }

    /// The entry that a version stands for.
    pub(super) fn of_version(version: &Version) -> Option<Self> {
        let (mode, hash) = version.as_bytes().split_first()?;
        let mode = match mode {
            0 => Mode::File,
            1 => Mode::Executable,
            2 => Mode::Link,
            _ => return None,
        };
        Some(Self { mode, object: ObjectId::from_bytes(hash)? })
    }
}

/// Everything below the root in one commit, directories left out.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) entries: BTreeMap<ItemPath, Entry>,
    /// Entries that cannot be items, for people; they stay as they are.
    pub(super) odd: Vec<Problem>,
    /// Set when the root is no directory.
    pub(super) root_is: Option<&'static str>,
}

impl Tree {
    /// Reads what `git ls-tree -r -z` printed; `root` is the folder of the repository that is taken as the root.
    /// Returns nothing when it is not of that form.
    pub(super) fn parse(printed: &[u8], root: Option<&ItemPath>) -> Option<Self> {
        let (mut tree, mut entries) = (Self::default(), Vec::new());
        for line in printed.split(|&byte| byte == 0).filter(|line| !line.is_empty()) {
            let tab = line.iter().position(|&byte| byte == b'\t')?;
            let (head, name) = (std::str::from_utf8(&line[..tab]).ok()?, &line[tab + 1..]);
            let mut words = head.split(' ');
            let (mode, _, object) = (Mode::parse(words.next()?)?, words.next()?, words.next()?);
            let entry = Entry { mode, object: ObjectId::parse(object)? };
            tree.add(name, entry, root, &mut entries);
        }
        // Nearly in order already, and all at once: that is much faster than one after the other.
        tree.entries = entries.into_iter().collect();
        Some(tree)
    }

    /// Adds what one line tells to `entries`, or to what is odd.
    fn add(
        &mut self,
        name: &[u8],
        entry: Entry,
        root: Option<&ItemPath>,
        entries: &mut Vec<(ItemPath, Entry)>,
    ) {
        let Ok(text) = std::str::from_utf8(name) else {
            let shown = String::from_utf8_lossy(name);
            let message = "the name is not UTF-8; rename it to have it synced";
            return self.odd.push(Problem::new(shown, "name_not_utf8", message));
        };
        let below = match root {
            None => text,
            Some(root) if text == root.as_str() => {
                self.root_is = Some(match entry.mode {
                    Mode::Link => "symbolic link",
                    Mode::Submodule => "submodule",
                    _ => "file",
                });
                return;
            }
            Some(root) => match text.strip_prefix(root.as_str()).and_then(|rest| rest.strip_prefix('/')) {
                Some(below) => below,
                None => return,
            },
        };
        match ItemPath::parse(below) {
            Ok(path) => {
                // The rules of every target leave these out without a word.
                if let Some(reason) = path.protected() {
                    self.odd.push(Problem::new(path.as_str(), "unsafe_name", reason));
                }
                entries.push((path, entry));
            }
            Err(error @ PathError::TooLong(_)) => {
                self.odd.push(Problem::new(below, "path_too_long", error.to_string()));
            }
            Err(error) => self.odd.push(Problem::new(below, "unsafe_name", error.to_string())),
        }
    }
}

impl Tree {
    /// The tree after these edits.
    pub(super) fn edited(&self, edits: BTreeMap<ItemPath, Option<Entry>>) -> Self {
        let mut entries = self.entries.clone();
        for (path, entry) in edits {
            match entry {
                Some(entry) => entries.insert(path, entry),
                None => entries.remove(&path),
            };
        }
        Self { entries, odd: self.odd.clone(), root_is: None }
    }
}

/// A tree with edits that are not made yet.
pub(super) struct Draft<'a> {
    tree: &'a Tree,
    pub(super) edits: BTreeMap<ItemPath, Option<Entry>>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(tree: &'a Tree) -> Self {
        Self { tree, edits: BTreeMap::new() }
    }

    /// What the root is, when it is no directory.
    pub(super) const fn root_is(&self) -> Option<&'static str> {
        self.tree.root_is
    }

    /// What is at a path now.
    pub(super) fn get(&self, path: &ItemPath) -> Option<Entry> {
        match self.edits.get(path) {
            Some(edited) => *edited,
            None => self.tree.entries.get(path).copied(),
        }
    }

    /// Whether anything lies below a path, so that it is a directory.
    pub(super) fn is_directory(&self, path: &ItemPath) -> bool {
        let range = || (Bound::Excluded(path.clone()), Bound::Unbounded);
        let added = self.edits.range(range()).take_while(|(below, _)| below.is_below(path.as_str()));
        let kept = self.tree.entries.range(range()).take_while(|(below, _)| below.is_below(path.as_str()));
        added.into_iter().any(|(_, entry)| entry.is_some())
            || kept.into_iter().any(|(below, _)| !self.edits.contains_key(below))
    }

    /// The entry above a path that is no directory, when there is one.
    pub(super) fn in_the_way(&self, path: &ItemPath) -> Option<(ItemPath, Entry)> {
        path.ancestors().find_map(|above| self.get(&above).map(|entry| (above, entry)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(path: &str) -> ItemPath {
        ItemPath::parse(path).unwrap()
    }

    const HASH: &str = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391";

    fn tree(lines: &[(&str, &[u8])], root: Option<&str>) -> Tree {
        let mut printed = Vec::new();
        for (mode, name) in lines {
            printed.extend_from_slice(format!("{mode} blob {HASH}\t").as_bytes());
            printed.extend_from_slice(name);
            printed.push(0);
        }
        Tree::parse(&printed, root.map(at).as_ref()).unwrap()
    }

    #[test]
    fn object_ids_are_read_and_written() {
        let wide = HASH.repeat(2)[..64].to_owned();
        for text in [HASH, &wide] {
            assert_eq!(ObjectId::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "e6", &HASH[1..], &HASH.replace('e', "x"), &"é".repeat(20)] {
            assert_eq!(ObjectId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_version_stands_for_mode_and_content() {
        let object = ObjectId::parse(HASH).unwrap();
        let versions = [Mode::File, Mode::Executable, Mode::Link].map(|mode| {
            let entry = Entry { mode, object };
            assert_eq!(Entry::of_version(&entry.version()), Some(entry));
            entry.version()
        });
        assert!(versions[0] != versions[1] && versions[1] != versions[2]);
        assert_eq!(Entry::of_version(&Version::none()), None);
        assert_eq!(Entry::of_version(&Version::new(&[0; 9])), None);
    }

    #[test]
    fn odd_entries_are_told_and_never_items() {
        let made = tree(
            &[
                ("100644", b"fine\nname"),
                ("100664", b"old"),
                ("100644", b"a/../b"),
                ("100644", b"\xff"),
                ("100644", b".GIT/config"),
            ],
            None,
        );
        let names: Vec<&str> = made.entries.keys().map(ItemPath::as_str).collect();
        assert_eq!(names, [".GIT/config", "fine\nname", "old"]);
        let codes: Vec<&str> = made.odd.iter().map(|problem| problem.code).collect();
        assert_eq!(codes, ["unsafe_name", "name_not_utf8", "unsafe_name"]);
    }

    #[test]
    fn a_folder_of_the_repository_can_be_the_root() {
        let made =
            tree(&[("100644", b"docs/a"), ("100755", b"docs/b/c"), ("100644", b"docsx/d")], Some("docs"));
        assert_eq!(made.entries.keys().map(ItemPath::as_str).collect::<Vec<_>>(), ["a", "b/c"]);
        assert_eq!(tree(&[("120000", b"docs")], Some("docs")).root_is, Some("symbolic link"));
    }

    #[test]
    fn a_draft_sees_its_edits() {
        let made = tree(&[("100644", b"a/b"), ("100644", b"c")], None);
        let mut draft = Draft::new(&made);
        assert!(draft.is_directory(&at("a")) && !draft.is_directory(&at("c")));
        assert!(draft.in_the_way(&at("c/d")).is_some());
        draft.edits.insert(at("a/b"), None);
        assert!(!draft.is_directory(&at("a")));
        draft.edits.insert(at("c"), None);
        draft.edits.insert(at("c/d"), draft.get(&at("a/b")).or(Some(made.entries[&at("c")])));
        assert!(draft.is_directory(&at("c")) && draft.in_the_way(&at("c/d")).is_none());
    }
}
