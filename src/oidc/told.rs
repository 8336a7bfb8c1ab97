//! Warnings that are given once, although what they are about is met again and again.

use std::{collections::HashSet, fmt::Display};

use parking_lot::Mutex;

/// More different warnings than this are not remembered, and not given: somebody makes them up.
const MAX_KNOWN: usize = 100;

/// What has been said already.
#[derive(Default)]
pub(super) struct Told {
    known: Mutex<HashSet<String>>,
}

// === impl Told ===

impl Told {
    /// Whether `what` has not been said yet. It counts as said from now on.
    pub(super) fn first(&self, what: impl Display) -> bool {
        let what = what.to_string();
        let mut known = self.known.lock();
        known.len() < MAX_KNOWN && known.insert(what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_is_said_once_and_a_flood_ends() {
        let told = Told::default();
        assert!(told.first("a"));
        assert!(!told.first("a"));
        let said = (0..1000).filter(|number| told.first(number)).count();
        assert_eq!(said, MAX_KNOWN - 1);
    }
}
