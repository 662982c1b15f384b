//! The two sides of a target.

use std::fmt;

/// One of the two sides that a target keeps in agreement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The workspace.
    Local,
    /// The endpoint outside.
    Remote,
}

impl Side {
    /// Both sides, local first.
    pub const BOTH: [Self; 2] = [Self::Local, Self::Remote];

    /// The opposite side.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Local => Self::Remote,
            Self::Remote => Self::Local,
        }
    }

    /// The name used in configuration, reports and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Remote => "remote",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A pair of values, one for each side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sides<T> {
    /// The value of the workspace.
    pub local: T,
    /// The value of the endpoint outside.
    pub remote: T,
}

impl<T> Sides<T> {
    /// Makes a pair by calling `make` for each side, local first.
    pub fn from_fn(mut make: impl FnMut(Side) -> T) -> Self {
        Self { local: make(Side::Local), remote: make(Side::Remote) }
    }

    /// Applies `change` to both values.
    pub fn map<U>(self, mut change: impl FnMut(T) -> U) -> Sides<U> {
        Sides { local: change(self.local), remote: change(self.remote) }
    }

    /// Borrows both values.
    pub const fn as_ref(&self) -> Sides<&T> {
        Sides { local: &self.local, remote: &self.remote }
    }
}

impl<T> std::ops::Index<Side> for Sides<T> {
    type Output = T;

    fn index(&self, side: Side) -> &T {
        match side {
            Side::Local => &self.local,
            Side::Remote => &self.remote,
        }
    }
}

impl<T> std::ops::IndexMut<Side> for Sides<T> {
    fn index_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::Local => &mut self.local,
            Side::Remote => &mut self.remote,
        }
    }
}

/// Which way changes may flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the remote to the workspace; the remote is never written.
    Pull,
    /// From the workspace to the remote; the workspace is never written.
    Push,
    /// Both ways.
    #[default]
    Bidirectional,
}

impl Direction {
    /// Whether this direction allows mutations of `side`.
    #[must_use]
    pub const fn may_write(self, side: Side) -> bool {
        !matches!((self, side), (Self::Pull, Side::Remote) | (Self::Push, Side::Local))
    }

    /// The authoritative side of a one-way direction; `None` when both are equal.
    #[must_use]
    pub const fn source(self) -> Option<Side> {
        match self {
            Self::Pull => Some(Side::Remote),
            Self::Push => Some(Side::Local),
            Self::Bidirectional => None,
        }
    }

    /// The name used in configuration, reports and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Bidirectional => "bidirectional",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
