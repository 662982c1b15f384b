//! Streams of records in the order of their directories and names, and merging them.
//!
//! The order is that of base objects: directories by [`syncline_core::path::compare`], names in a directory by
//! their bytes. It is not the order of paths, because a directory's items come before those of the directories
//! below it.

use std::cmp::Ordering;
use std::ops::Range;

use syncline_core::path::compare;

use crate::codec::{Reader, Record};
use crate::error::{Error, Result};

/// Records of one directory at a time; a directory may come several times in a row.
pub(crate) trait Frames: Send {
    /// Replaces `directory` and `records` with the next frame; `false` at the end, which is only told when
    /// everything that was read turned out to be sound.
    fn next(&mut self, directory: &mut String, records: &mut Vec<u8>) -> Result<bool>;
}

/// Compares two places in the order of the streams.
pub(crate) fn compare_places(a: (&str, &str), b: (&str, &str)) -> Ordering {
    // Neighbours are mostly in the same directory, and equality is quicker to see than order.
    let directories = if a.0 == b.0 { Ordering::Equal } else { compare(a.0, b.0) };
    directories.then_with(|| a.1.cmp(b.1))
}

/// A stream with its current record.
pub(crate) struct Cursor {
    frames: Box<dyn Frames>,
    directory: String,
    records: Vec<u8>,
    current: Range<usize>,
    name: Range<usize>,
}

impl Cursor {
    /// Positions a stream on its first record; `None` when it is empty.
    pub(crate) fn start(frames: Box<dyn Frames>) -> Result<Option<Self>> {
        let mut cursor =
            Self { frames, directory: String::new(), records: Vec::new(), current: 0..0, name: 0..0 };
        Ok(cursor.advance()?.then_some(cursor))
    }

    /// Goes to the next record; `false` at the end.
    pub(crate) fn advance(&mut self) -> Result<bool> {
        while self.current.end == self.records.len() {
            if !self.frames.next(&mut self.directory, &mut self.records)? {
                return Ok(false);
            }
            self.current = 0..0;
        }
        let start = self.current.end;
        let mut reader = Reader(&self.records[start..]);
        let name = reader.record()?.name.len();
        self.current = start..self.records.len() - reader.0.len();
        // Flags and length come before the name, one byte each.
        self.name = start + 2..start + 2 + name;
        Ok(true)
    }

    /// Where the stream is: directory and name.
    fn place(&self) -> (&str, &str) {
        let name = std::str::from_utf8(&self.records[self.name.clone()]).unwrap_or_default();
        (&self.directory, name)
    }

    /// The directory of the current record.
    pub(crate) fn directory(&self) -> &str {
        &self.directory
    }

    /// The bytes of the current record.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.records[self.current.clone()]
    }

    /// The current record.
    pub(crate) fn record(&self) -> Result<Record<'_>> {
        Reader(self.bytes()).record()
    }
}

/// The records of one path in several streams, the oldest first.
pub(crate) struct Group<'a> {
    cursors: &'a [Cursor],
    members: &'a [usize],
}

impl<'a> Group<'a> {
    /// The streams that hold the path, the oldest first.
    pub(crate) fn members(&self) -> impl Iterator<Item = &'a Cursor> + use<'a> {
        let cursors = self.cursors;
        self.members.iter().map(move |&member| &cursors[member])
    }

    /// The newest stream that holds the path: it decides.
    pub(crate) fn newest(&self) -> &'a Cursor {
        // A group is never empty.
        &self.cursors[self.members[self.members.len() - 1]]
    }

    /// Whether only one stream holds the path.
    pub(crate) fn is_single(&self) -> bool {
        self.members.len() == 1
    }
}

/// Merges streams, the oldest first, and calls `each` for every path in order. Memory is bounded by the number
/// of streams.
pub(crate) fn merge(
    streams: Vec<Box<dyn Frames>>,
    mut each: impl FnMut(&Group<'_>) -> Result<()>,
) -> Result<()> {
    let mut cursors = Vec::with_capacity(streams.len());
    for stream in streams {
        cursors.extend(Cursor::start(stream)?);
    }
    let mut heap = Heap::of(&cursors);
    let mut members = Vec::new();
    while let Some(&top) = heap.0.first() {
        members.clear();
        members.push(top);
        if heap.is_alone(&cursors) {
            each(&Group { cursors: &cursors, members: &members })?;
            if cursors[top].advance()? {
                heap.sink(0, &cursors)
            } else {
                heap.pop(&cursors)
            }
            continue;
        }
        heap.pop(&cursors);
        while let Some(&next) = heap.0.first().filter(|&&next| cursors[next].place() == cursors[top].place())
        {
            members.push(next);
            heap.pop(&cursors);
        }
        each(&Group { cursors: &cursors, members: &members })?;
        for &member in &members {
            if cursors[member].advance()? {
                heap.push(member, &cursors);
            }
        }
    }
    Ok(())
}

/// A binary heap of cursors by place, then by age. The standard one cannot compare through borrowed cursors.
struct Heap(Vec<usize>);

impl Heap {
    fn of(cursors: &[Cursor]) -> Self {
        let mut heap = Self(Vec::with_capacity(cursors.len()));
        (0..cursors.len()).for_each(|cursor| heap.push(cursor, cursors));
        heap
    }

    fn less(a: usize, b: usize, cursors: &[Cursor]) -> bool {
        compare_places(cursors[a].place(), cursors[b].place()).then(a.cmp(&b)).is_lt()
    }

    /// Whether no other cursor is at the place of the first one.
    fn is_alone(&self, cursors: &[Cursor]) -> bool {
        let place = cursors[self.0[0]].place();
        self.0.iter().skip(1).take(2).all(|&other| cursors[other].place() != place)
    }

    fn sink(&mut self, mut at: usize, cursors: &[Cursor]) {
        loop {
            let children = [2 * at + 1, 2 * at + 2].into_iter().filter(|&child| child < self.0.len());
            let least = children.reduce(|a, b| if Self::less(self.0[b], self.0[a], cursors) { b } else { a });
            match least {
                Some(child) if Self::less(self.0[child], self.0[at], cursors) => {
                    self.0.swap(at, child);
                    at = child;
                }
                _ => return,
            }
        }
    }

    fn pop(&mut self, cursors: &[Cursor]) {
        self.0.swap_remove(0);
        self.sink(0, cursors);
    }

    fn push(&mut self, cursor: usize, cursors: &[Cursor]) {
        let mut at = self.0.len();
        self.0.push(cursor);
        while at > 0 && Self::less(self.0[at], self.0[(at - 1) / 2], cursors) {
            self.0.swap(at, (at - 1) / 2);
            at = (at - 1) / 2;
        }
    }
}

/// Sees to it that what is written is in order.
#[derive(Default)]
pub(crate) struct Order {
    last: Option<(String, String)>,
}

impl Order {
    /// Notes the next place; `true` when it begins another directory.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Damaged`] when it does not come after the one before.
    pub(crate) fn next(&mut self, directory: &str, name: &str) -> Result<bool> {
        let Some((last_directory, last_name)) = &mut self.last else {
            self.last = Some((directory.to_owned(), name.to_owned()));
            return Ok(true);
        };
        if compare_places((last_directory, last_name), (directory, name)).is_ge() {
            return Err(Error::damaged(format!("the records of {directory:?} are out of order at {name:?}")));
        }
        last_name.clear();
        last_name.push_str(name);
        if last_directory == directory {
            return Ok(false);
        }
        last_directory.clear();
        last_directory.push_str(directory);
        Ok(true)
    }
}
