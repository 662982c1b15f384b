//! Objects in memory: for simulation.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use syncline_core::Digest;

use super::absent;
use super::reader::ObjectReader;
use super::writer::mismatch;
use crate::error::{Error, ErrorKind, Result};

/// Objects in memory.
#[derive(Default)]
pub(super) struct Memory(Mutex<Contents>);

type Contents = BTreeMap<Digest, Content>;

struct Content {
    bytes: Arc<[u8]>,
    /// Whether it was put since objects last aged.
    young: bool,
    /// Whether a simulated power loss spares it.
    durable: bool,
}

impl Memory {
    fn objects(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put(&self, digest: Digest, bytes: Arc<[u8]>) {
        let mut objects = self.objects();
        let durable = objects.get(&digest).is_some_and(|content| content.durable);
        objects.insert(digest, Content { bytes, young: true, durable });
    }

    /// Puts an object of the store's own, which is durable at once.
    pub(super) fn put_durably(&self, digest: Digest, bytes: Arc<[u8]>) {
        self.objects().insert(digest, Content { bytes, young: true, durable: true });
    }

    pub(super) fn sync(&self) {
        self.objects().values_mut().for_each(|content| content.durable = true);
    }

    pub(super) fn lose_power(&self, survives: &mut dyn FnMut() -> bool) {
        self.objects().retain(|_, content| content.durable || survives());
    }

    pub(super) fn put_reader(
        &self,
        reader: &mut dyn Read,
        expected: Option<Digest>,
    ) -> Result<(Digest, u64)> {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).map_err(|error| {
            Error::new(ErrorKind::Io, format!("cannot read the content to keep: {error}"))
        })?;
        let digest = Digest::of(&bytes);
        if let Some(expected) = expected.filter(|expected| *expected != digest) {
            return Err(mismatch(&expected, &digest));
        }
        let size = bytes.len() as u64;
        self.put(digest, bytes.into());
        Ok((digest, size))
    }

    pub(super) fn get(&self, digest: &Digest) -> Option<Arc<[u8]>> {
        self.objects().get(digest).map(|content| Arc::clone(&content.bytes))
    }

    pub(super) fn open_object(&self, digest: &Digest) -> Result<ObjectReader> {
        let bytes = self.get(digest).ok_or_else(|| absent(digest))?;
        Ok(ObjectReader::of_memory(*digest, bytes))
    }

    pub(super) fn list(&self, each: &mut dyn FnMut(Digest, u64)) {
        let listed: Vec<_> =
            self.objects().iter().map(|(digest, content)| (*digest, content.bytes.len())).collect();
        for (digest, length) in listed {
            each(digest, length as u64);
        }
    }

    pub(super) fn remove(&self, digest: &Digest) -> bool {
        self.objects().remove(digest).is_some()
    }

    pub(super) fn remove_old(&self, digest: &Digest) -> Option<u64> {
        let mut objects = self.objects();
        if objects.get(digest).is_none_or(|content| content.young) {
            return None;
        }
        objects.remove(digest).map(|content| content.bytes.len() as u64)
    }

    pub(super) fn age(&self) {
        self.objects().values_mut().for_each(|content| content.young = false);
    }
}
