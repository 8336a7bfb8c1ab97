//! Warnings that are given once, although their cause occurs repeatedly.

use std::{collections::HashSet, fmt::Display};

use parking_lot::Mutex;

/// The warnings given so far.
#[derive(Debug)]
pub struct Told {
    known: Mutex<HashSet<String>>,
    max: usize,
}

// === impl Told ===

impl Told {
    /// No warning given yet. More different warnings than `max` are not remembered, and not given: an attacker
    /// invents them.
    #[must_use]
    pub fn at_most(max: usize) -> Self {
        Self {
            known: Mutex::default(),
            max,
        }
    }

    /// Whether the warning `what` is new. It counts as given from now on.
    pub fn first(&self, what: impl Display) -> bool {
        let what = what.to_string();
        let mut known = self.known.lock();
        known.len() < self.max && known.insert(what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_is_said_once_and_a_flood_ends() {
        let told = Told::at_most(100);
        assert!(told.first("a"));
        assert!(!told.first("a"));
        let said = (0..1000).filter(|number| told.first(number)).count();
        assert_eq!(said, 99);
    }
}
