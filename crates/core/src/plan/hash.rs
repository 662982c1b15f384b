//! The hash of a plan: what an approval and a saved plan bind to.

use crate::digest::Digest;
use crate::item::{Item, Kind};
use crate::step::{Action, Expected, Plan, Source, Step};

impl Plan {
    /// The hash over everything that the plan would do, and to what: contents count by their digest, or by size and
    /// time where nobody had to read them. Halts and problems do not count, nor do versions: a content that was
    /// only touched, or that an endpoint has come to know better, is still the one that a person approved.
    #[must_use]
    pub fn hash(&self) -> Digest {
        let mut writer =
            Writer { hasher: blake3::Hasher::new(), buffer: Vec::with_capacity(2 * BUFFER_BYTES) };
        writer.text("syncline-plan-1");
        writer.number(self.steps.len() as u64);
        for step in &self.steps {
            writer.step(step);
        }
        writer.number(self.conflicts.len() as u64);
        for conflict in &self.conflicts {
            writer.text(&conflict.id);
            writer.text(conflict.winner.map_or("-", |side| side.name()));
            writer.text(conflict.copy.as_ref().map_or("", |path| path.as_str()));
        }
        writer.hasher.update(&writer.buffer).finalize().into()
    }
}

/// Bytes that are hashed at once: the hasher is many times faster over a long run of bytes than over short ones.
const BUFFER_BYTES: usize = 64 * 1024;

/// Feeds values to the hasher so that no two different sequences look alike: lengths come first.
struct Writer {
    hasher: blake3::Hasher,
    buffer: Vec<u8>,
}

impl Writer {
    fn number(&mut self, number: u64) {
        self.put(&number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.put(bytes);
    }

    fn put(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER_BYTES {
            self.hasher.update(&self.buffer);
            self.buffer.clear();
        }
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn digest(&mut self, digest: Option<Digest>) {
        self.bytes(digest.as_ref().map_or(&[][..], |digest| &digest.0));
    }

    fn item(&mut self, item: &Item) {
        self.text(item.kind.name());
        self.number(u64::from(item.kind == Kind::File { executable: true }));
        self.digest(item.digest);
        self.number(item.size);
        self.number(if item.digest.is_none() { item.modified.cast_unsigned() } else { 0 });
    }

    fn step(&mut self, step: &Step) {
        self.text(step.side.name());
        self.text(step.path.as_str());
        match &step.expected {
            Expected::Absent => self.text("absent"),
            expected @ Expected::Present { .. } => {
                self.text("present");
                self.digest(expected.keep());
            }
        }
        match &step.action {
            Action::Write { item, source } => {
                self.text("write");
                self.item(item);
                match source {
                    Source::Opposite { path, .. } => self.text(path.as_str()),
                    Source::Object(digest) => self.digest(Some(*digest)),
                    Source::Nothing => self.text("nothing"),
                }
            }
            Action::Move { from, item, .. } => {
                self.text("move");
                self.text(from.as_str());
                self.item(item);
            }
            Action::Remove { item } => {
                self.text("remove");
                self.item(item);
            }
        }
    }
}
