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

/// The place of a login among those that are being stored, until it is dropped.
#[derive(Debug)]
pub(super) struct Place<'a> {
    admission: &'a Admission,
    /// Those that came before this one.
    before: Usage,
    weight: usize,
}

// === impl Admission ===

impl Admission {
    /// Takes a place for a session of `weight` bytes. It has to be taken before it is read how much is stored: a login
    /// that came before is then counted among those that are coming, or among those that are stored, or twice.
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
    /// Whether there is room beside what is `used`, of which `freed` goes.
    ///
    /// # Errors
    ///
    /// [`OpenError`]: there is none.
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
