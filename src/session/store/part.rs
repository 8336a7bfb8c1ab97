//! All sessions, a part at a time.

use crate::session::SessionKey;

/// One of 64 parts of all sessions, by their keys, so that a pass over all of them is many small ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Part(u8);

// === impl Part ===

impl Part {
    const COUNT: u8 = 64;
    pub(super) const FIRST: Self = Self(0);

    /// The part that a session belongs to.
    #[must_use]
    pub const fn of(key: &SessionKey) -> Self {
        Self(key.as_bytes()[0] % Self::COUNT)
    }

    /// Its number, below 64.
    pub(super) const fn number(self) -> u8 {
        self.0
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).map(Self)
    }
}
