//! What a heartbeat looks like on the wire, and who may have sent it.
//!
//! A datagram is, in this order: `SYNH`, the version of the format (1 byte), what it says (1 byte), the number of the boot
//! and the counter of its sender (8 bytes each, little endian), the digest of its state (32 bytes), the length of its name
//! (1 byte), its name, and over all of that a keyed BLAKE3 hash (32 bytes). It carries no time: only when it is received
//! counts, by the clock of whoever receives it.

use std::fmt;

/// The most bytes of a heartbeat; what is longer is none.
pub const BYTES_MAX: usize = 4 + 1 + 1 + 8 + 8 + 32 + 1 + NAME_MAX + 32;
/// The longest name, in bytes.
const NAME_MAX: usize = 64;
const MAGIC: &[u8; 4] = b"SYNH";
const VERSION: u8 = 1;
/// Where the name begins.
const HEAD: usize = 4 + 1 + 1 + 8 + 8 + 32 + 1;
const MAC: usize = 32;
/// What keeps keys of heartbeats apart from any other use of the same secret.
const CONTEXT: &str = "syncline 2026 heartbeat v1";

/// A key that sender and receiver share.
#[derive(Clone)]
pub struct Key([u8; 32]);

impl Key {
    /// The key that a secret stands for.
    #[must_use]
    pub fn of(secret: &str) -> Self {
        Self(blake3::derive_key(CONTEXT, secret.as_bytes()))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// What a heartbeat says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    /// The sender lives.
    Alive,
    /// The sender is about to end, as it should.
    Leaving,
}

/// A heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Who sends it.
    pub node: String,
    /// What it says.
    pub says: Says,
    /// Which life of the sender this is: greater than that of every life before.
    pub boot: u64,
    /// Greater than that of every heartbeat before in this life.
    pub counter: u64,
    /// What the sender has agreed on with others, as one digest.
    pub state: [u8; 32],
}

impl Heartbeat {
    /// The bytes of it; a name that is too long is cut.
    #[must_use]
    pub fn seal(&self, key: &Key) -> Vec<u8> {
        let name = &self.node.as_bytes()[..self.node.len().min(NAME_MAX)];
        let mut out = Vec::with_capacity(BYTES_MAX);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[VERSION, if self.says == Says::Alive { 0 } else { 1 }]);
        out.extend_from_slice(&self.boot.to_le_bytes());
        out.extend_from_slice(&self.counter.to_le_bytes());
        out.extend_from_slice(&self.state);
        out.push(u8::try_from(name.len()).unwrap_or_default());
        out.extend_from_slice(name);
        let mac = blake3::keyed_hash(&key.0, &out);
        out.extend_from_slice(mac.as_bytes());
        out
    }

    /// Who claims to have sent these bytes; `None` when they are no heartbeat at all. Nothing of it is proven yet.
    #[must_use]
    pub fn claims(bytes: &[u8]) -> Option<&str> {
        let is_right =
            bytes.len() <= BYTES_MAX && bytes.get(..5)? == [b"SYNH".as_slice(), &[VERSION]].concat();
        let length = usize::from(*bytes.get(HEAD - 1)?);
        let is_whole = length > 0 && bytes.len() == HEAD + length + MAC;
        if is_right && is_whole { std::str::from_utf8(&bytes[HEAD..HEAD + length]).ok() } else { None }
    }

    /// What these bytes say; `None` unless they were made with `key`.
    #[must_use]
    pub fn open(bytes: &[u8], key: &Key) -> Option<Self> {
        let node = Self::claims(bytes)?.to_owned();
        let (body, mac) = bytes.split_at(bytes.len() - MAC);
        // This comparison takes the same time wherever the first difference is.
        if blake3::keyed_hash(&key.0, body) != <[u8; 32]>::try_from(mac).ok()? {
            return None;
        }
        let number = |at: usize| Some(u64::from_le_bytes(body.get(at..at + 8)?.try_into().ok()?));
        let says = match body[5] {
            0 => Says::Alive,
            1 => Says::Leaving,
            _ => return None,
        };
        let state = body.get(22..54)?.try_into().ok()?;
        Some(Self { node, says, boot: number(6)?, counter: number(14)?, state })
    }
}
