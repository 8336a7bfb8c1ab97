//! Sets of methods, which distinguish the routes of one path.

use std::fmt;

use http::Method;

use crate::quote::nearest;

/// A set of methods.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Methods(u8);

// === impl Methods ===

impl Methods {
    /// The methods that a route may name. `TRACE` would return the token in the answer, and `CONNECT` is not a call.
    const NAMES: [&'static str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    pub(super) const EMPTY: Self = Self(0);
    const GET: Self = Self(1);
    const HEAD: Self = Self(1 << 1);

    /// The methods of a folder.
    pub(super) const OF_FILES: Self = Self(0b11);

    /// The methods of a route without `methods`: all except `OPTIONS`, which the server answers.
    pub(super) const DEFAULT: Self = Self(0b11_1111);

    pub(super) fn named(name: &str) -> Option<Self> {
        let at = Self::NAMES.into_iter().position(|known| known == name)?;
        Some(Self(1 << at))
    }

    /// The method that `name` probably misspells.
    pub(super) fn nearest(name: &str) -> Option<&'static str> {
        nearest(&name.to_ascii_uppercase(), Self::NAMES.into_iter())
    }

    /// The set with only `method`; empty for a method that no route can name.
    pub(super) fn of(method: &Method) -> Self {
        Self::named(method.as_str()).unwrap_or(Self::EMPTY)
    }

    pub(super) const fn with(self, other: Self) -> Self {
        let both = Self(self.0 | other.0);
        // A route that takes GET takes HEAD too (RFC 9110 section 9.3.2).
        if both.0 & Self::GET.0 == 0 {
            both
        } else {
            Self(both.0 | Self::HEAD.0)
        }
    }

    pub(super) const fn contains(self, other: Self) -> bool {
        other.0 != 0 && self.0 & other.0 == other.0
    }

    pub(super) const fn overlap(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES
            .into_iter()
            .enumerate()
            .filter(move |(at, _)| self.0 & (1 << at) != 0)
            .map(|(_, name)| name)
    }
}

impl fmt::Display for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, name) in self.names().enumerate() {
            if at > 0 {
                f.write_str(", ")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
