//! Whether there is room for another session.

use parking_lot::Mutex;

use super::super::{Limits, OpenError, Usage};

/// Counts the logins that are being stored, so that many at a time do not pass the limits together.
#[derive(Debug, Default)]
pub(super) struct Admission {
    coming: Mutex<Usage>,
    /// Held while it is decided who is crowded out. Without it, each of two logins would count the other one.
    pub(super) crowding: tokio::sync::Mutex<()>,
}

/// The place of a login among those being stored, until it is dropped.
#[derive(Debug)]
pub(super) struct Place<'a> {
    admission: &'a Admission,
    /// Those that came before this one.
    before: Usage,
    weight: usize,
}

// === impl Admission ===

impl Admission {
    /// Reserves a place for a session of `weight` bytes. Reserve it before reading the number of stored sessions: an
    /// earlier login is then counted among the reserved ones, among the stored ones, or in both.
    pub(super) fn enter(&self, weight: usize) -> Place<'_> {
        let mut coming = self.coming.lock();
        let before = *coming;
        coming.sessions += 1;
        coming.memory += weight;
        Place {
            admission: self,
            before,
            weight,
        }
    }
}

// === impl Place ===

impl Place<'_> {
    /// Whether there is room beside the `used` sessions, of which `freed` will end.
    ///
    /// # Errors
    ///
    /// [`OpenError`]: there is no room.
    pub(super) fn check(&self, limits: &Limits, used: Usage, freed: Usage) -> Result<(), OpenError> {
        let sessions = (used.sessions + self.before.sessions).saturating_sub(freed.sessions);
        let memory = (used.memory + self.before.memory).saturating_sub(freed.memory);
        if sessions >= limits.max {
            return Err(OpenError::TooMany);
        }
        if memory.saturating_add(self.weight) > limits.memory {
            return Err(OpenError::OutOfMemory);
        }
        Ok(())
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut coming = self.admission.coming.lock();
        coming.sessions -= 1;
        coming.memory -= self.weight;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The order of storing does not matter.
    #[test]
    fn a_login_counts_the_earlier_logins() {
        let limits = Limits {
            max: 10,
            memory: 1_000,
            ..Limits::default()
        };
        let used = |sessions, memory| Usage { sessions, memory };
        let none = Usage::default();
        let admission = Admission::default();
        let (first, second) = (admission.enter(100), admission.enter(100));
        assert!(first.check(&limits, used(9, 0), none).is_ok());
        assert!(matches!(
            second.check(&limits, used(9, 0), none),
            Err(OpenError::TooMany)
        ));
        assert!(first.check(&limits, used(0, 900), none).is_ok());
        assert!(matches!(
            second.check(&limits, used(0, 900), none),
            Err(OpenError::OutOfMemory)
        ));
        assert!(second.check(&limits, used(9, 900), used(1, 100)).is_ok());
        // The first is stored between the moment in which the second read how much is, and its check.
        drop(first);
        assert!(second.check(&limits, used(9, 0), none).is_err());
        let third = admission.enter(100);
        drop(second);
        let fourth = admission.enter(100);
        drop(third);
        assert!(admission.enter(100).check(&limits, used(8, 0), none).is_ok());
        drop(fourth);
        assert!(admission.enter(100).check(&limits, used(9, 0), none).is_ok());
    }
}
