//! Whether there is room for another session.

use parking_lot::Mutex;

use super::super::{Limits, OpenError, Usage};

/// Counts the logins that are being stored, so that many at a time do not pass the limits together.
#[derive(Debug, Default)]
pub(super) struct Admission(Mutex<Usage>);

/// Room that was given to a login, until it is dropped.
#[derive(Debug)]
pub(super) struct Room<'a> {
    admission: &'a Admission,
    taken: Usage,
}

// === impl Admission ===

impl Admission {
    /// Gives room to a session of `weight` bytes beside those that are `used`. `freed` is what ends for it.
    ///
    /// # Errors
    ///
    /// [`OpenError`]: there is none.
    pub(super) fn enter(
        &self,
        limits: &Limits,
        used: Usage,
        freed: Usage,
        weight: usize,
    ) -> Result<Room<'_>, OpenError> {
        let mut coming = self.0.lock();
        let sessions = (used.sessions + coming.sessions).saturating_sub(freed.sessions);
        let memory = (used.memory + coming.memory).saturating_sub(freed.memory);
        if sessions >= limits.max {
            return Err(OpenError::TooMany);
        }
        if memory.saturating_add(weight) > limits.memory {
            return Err(OpenError::OutOfMemory);
        }
        let taken = Usage {
            sessions: 1,
            memory: weight,
        };
        coming.sessions += taken.sessions;
        coming.memory += taken.memory;
        drop(coming);
        Ok(Room {
            admission: self,
            taken,
        })
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        let mut coming = self.admission.0.lock();
        coming.sessions -= self.taken.sessions;
        coming.memory -= self.taken.memory;
    }
}
