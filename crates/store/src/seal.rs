//! Seals: a checksum in every row of the database, because SQLite itself has none over its pages.

use crate::error::{Error, Result};

/// Collects the fields of a row and makes its seal: the first 16 bytes of BLAKE3 over the table's name and the
/// fields, each with its type and length in front.
pub(crate) struct Seal(blake3::Hasher);

impl Seal {
    /// Starts the seal of a row of `table`.
    pub(crate) fn of(table: &str) -> Self {
        Self(blake3::Hasher::new()).text(table)
    }

    fn field(mut self, tag: u8, bytes: &[u8]) -> Self {
        self.0.update(&[tag]);
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    /// Adds a text.
    pub(crate) fn text(self, text: &str) -> Self {
        self.field(1, text.as_bytes())
    }

    /// Adds a text that may be missing.
    pub(crate) fn text_option(self, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.text(text),
            None => self.field(0, &[]),
        }
    }

    /// Adds a number.
    pub(crate) fn number(self, number: i64) -> Self {
        self.field(2, &number.to_le_bytes())
    }

    /// Adds a number that may be missing.
    pub(crate) fn number_option(self, number: Option<i64>) -> Self {
        match number {
            Some(number) => self.number(number),
            None => self.field(0, &[]),
        }
    }

    /// Adds bytes.
    pub(crate) fn bytes(self, bytes: &[u8]) -> Self {
        self.field(3, bytes)
    }

    /// The seal to be stored.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.0.finalize().as_bytes()[..16].to_vec()
    }

    /// Checks the stored seal of a row that `what` describes.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Damaged`] when it does not hold.
    pub(crate) fn check(self, stored: &[u8], what: &str) -> Result<()> {
        if self.finish() == stored {
            Ok(())
        } else {
            Err(Error::damaged(format!("{what} is damaged in the state database")))
        }
    }
}
