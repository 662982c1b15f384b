//! The texts that were shown in runs, by digest: what clients changed is shown in the text that was agreed on, not in what a
//! person has made of it since, or else the edits of both could not be told apart. Only a cache: without it, the text of the
//! workspace takes its place.

use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

use syncline_core::Digest;

use super::files;
use super::look::DOCUMENT_BYTES_MAX;

/// Most texts that are kept.
const TEXTS_MAX: usize = 64;

/// Where the texts are kept.
pub(super) struct Texts {
    pub(super) folder: PathBuf,
}

impl Texts {
    /// The text of a digest, if it is there and sound.
    pub(super) fn get(&self, digest: &Digest) -> Option<String> {
        let bytes = files::read(&self.path(digest), DOCUMENT_BYTES_MAX).ok()?;
        String::from_utf8(bytes).ok().filter(|text| Digest::of(text.as_bytes()) == *digest)
    }

    /// Keeps a text; that this fails costs no more than the cache.
    pub(super) fn put(&self, text: &str) {
        let digest = Digest::of(text.as_bytes());
        if self.get(&digest).is_some() {
            return;
        }
        let kept = fs::create_dir_all(&self.folder).and_then(|()| fs::write(self.path(&digest), text));
        if let Err(error) = kept {
            tracing::debug!(%error, "a text of the AI clients was not kept");
        }
        self.forget();
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(format!("{digest}.md"))
    }

    /// Removes the oldest texts when there are many.
    fn forget(&self) {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let age = |entry: &fs::DirEntry| entry.metadata().and_then(|metadata| metadata.modified());
        let mut texts: Vec<(SystemTime, PathBuf)> =
            entries.filter_map(|entry| Some((age(&entry).ok()?, entry.path()))).collect();
        texts.sort();
        let count = texts.len().saturating_sub(TEXTS_MAX);
        for (_, path) in texts.into_iter().take(count) {
            drop(fs::remove_file(path));
        }
    }
}
