//! Whether Redis takes what it is given, and still has it the next time.
//!
//! A Redis that is emptied loses no connection and tells nobody. Each process leaves a mark of its own every few seconds, and
//! looks whether the mark of before is there.

use std::time::Duration;

use parking_lot::Mutex;
use redis::{Value, cmd};

use super::{Inner, entry};
use crate::{clock::Timestamp, session::StoreError};

/// How long Redis keeps a mark.
const KEPT: Duration = Duration::from_mins(1);

/// A mark that is younger has not gone by itself, also where the clocks of both run apart.
const CERTAINLY_KEPT: Duration = Duration::from_secs(30);

/// When this process left its last mark.
#[derive(Debug, Default)]
pub(super) struct Trial(Mutex<Option<Timestamp>>);

// === impl Inner ===

impl Inner {
    pub(super) async fn try_it(&self) -> Result<(), StoreError> {
        let before = self.clock.now();
        let mut mark = cmd("SET");
        mark.arg(self.names.trial(&format!("try:{}", self.process)))
            .arg("try")
            .arg("PX")
            .arg(entry::length(KEPT))
            .arg("GET");
        let found = self.link.send(&mark).await?;
        let last = self.trial.0.lock().replace(before);
        let should_be_there = last.is_some_and(|last| before.duration_since(last) < CERTAINLY_KEPT);
        if should_be_there && found == Value::Nil {
            tracing::warn!("Redis has lost its data, as after FLUSHALL; its sessions are gone");
            // The local copies are as doubtful as after a lost connection.
            self.link.has_lost_something();
        }
        Ok(())
    }
}
