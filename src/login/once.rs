//! An attempt comes back once: its code is sent to the token endpoint once, and it gives at most one session.
//!
//! An IdP may revoke everything when a code comes a second time (RFC 6749 section 4.1.2), and browsers send a callback
//! twice: by a double click, a prefetch, a proxy that tries again. So a callback with the same code that comes while
//! the first is under way, or shortly after, gets the answer of the first. Only callers with the attempt's cookie may
//! ask for it; the caller has to check it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use aws_lc_rs::digest;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::clock::{SharedClock, Timestamp};

/// How long late callers get the answer of an attempt.
const ANSWERS_FOR: Duration = Duration::from_mins(1);

/// With fewer attempts than this, expired ones are not removed.
const PRUNE_AT: usize = 1_024;

/// The completed attempts and their outcomes.
#[derive(Debug)]
pub(super) struct Once<T> {
    shared: Arc<Shared<T>>,
}

/// The reason for remembering an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remember {
    /// The code was sent, with any outcome. It is not sent again while the attempt is valid.
    Sent,
    /// The code was not sent.
    Nothing,
}

/// Why an attempt gives no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spent {
    /// It came back before, with another code or too long ago.
    Used,
    /// The task that completed it died.
    Abandoned,
}

#[derive(Debug)]
struct Shared<T> {
    attempts: Mutex<Attempts<T>>,
    clock: SharedClock,
}

#[derive(Debug)]
struct Attempts<T> {
    /// By the digest of `state`.
    map: HashMap<Digest, Entry<T>>,
    /// Always twice as many as were left when the map was last looked through.
    prune_at: usize,
}

#[derive(Debug)]
struct Entry<T> {
    /// The digest of the code.
    code: Digest,
    /// Let go of when it is not given any more.
    answer: Option<watch::Receiver<Option<T>>>,
    /// `None` while it is under way.
    over: Option<Over>,
}

#[derive(Clone, Copy, Debug)]
struct Over {
    answers_until: Timestamp,
    forget_at: Timestamp,
}

/// Neither states nor codes are kept.
type Digest = [u8; digest::SHA256_OUTPUT_LEN];

/// Notes the end however the task ends, also by a panic.
struct Cleanup<T> {
    shared: Arc<Shared<T>>,
    state: Digest,
    attempt_ends_at: Timestamp,
    remember: Remember,
}

// === impl Once ===

impl<T: Clone + Send + Sync + 'static> Once<T> {
    pub(super) fn new(clock: SharedClock) -> Self {
        let attempts = Attempts {
            map: HashMap::new(),
            prune_at: PRUNE_AT,
        };
        Self {
            shared: Arc::new(Shared {
                attempts: Mutex::new(attempts),
                clock,
            }),
        }
    }

    /// Completes the attempt of `state`, which is valid until `attempt_ends_at`, with `code`. Runs `complete` in its
    /// own task, so that a browser which hangs up after a double click loses nothing. Returns the earlier outcome if
    /// there is one.
    ///
    /// # Errors
    ///
    /// [`Spent`]: the attempt is no longer valid for this code.
    pub(super) async fn complete<F>(
        &self,
        state: &str,
        code: &str,
        attempt_ends_at: Timestamp,
        complete: impl FnOnce() -> F,
    ) -> Result<T, Spent>
    where
        F: Future<Output = (T, Remember)> + Send + 'static,
    {
        let mut answer = self.join(digest_of(state), digest_of(code), attempt_ends_at, complete)?;
        match answer.wait_for(Option::is_some).await {
            Ok(answer) => answer.clone().ok_or(Spent::Abandoned),
            Err(_) => Err(Spent::Abandoned),
        }
    }

    fn join<F>(
        &self,
        state: Digest,
        code: Digest,
        attempt_ends_at: Timestamp,
        complete: impl FnOnce() -> F,
    ) -> Result<watch::Receiver<Option<T>>, Spent>
    where
        F: Future<Output = (T, Remember)> + Send + 'static,
    {
        let now = self.shared.clock.now();
        let mut attempts = self.shared.attempts.lock();
        attempts.prune(now);
        if let Some(entry) = attempts.map.get(&state) {
            let answers = entry.over.is_none_or(|over| now < over.answers_until);
            let answer = entry.answer.as_ref().filter(|_| answers && entry.code == code);
            return answer.cloned().ok_or(Spent::Used);
        }
        let (sender, answer) = watch::channel(None);
        let entry = Entry {
            code,
            answer: Some(answer.clone()),
            over: None,
        };
        attempts.map.insert(state, entry);
        drop(attempts);

        let mut cleanup = Cleanup {
            shared: Arc::clone(&self.shared),
            state,
            attempt_ends_at,
            // It is unknown how far a task got that died.
            remember: Remember::Sent,
        };
        let complete = complete();
        tokio::spawn(async move {
            let (answer, remember) = complete.await;
            cleanup.remember = remember;
            sender.send_replace(Some(answer));
            drop(cleanup);
        });
        Ok(answer)
    }
}

impl<T> Drop for Cleanup<T> {
    fn drop(&mut self) {
        let now = self.shared.clock.now();
        let answers_until = now.saturating_add(ANSWERS_FOR);
        let mut attempts = self.shared.attempts.lock();
        if self.remember == Remember::Nothing {
            attempts.map.remove(&self.state);
        } else if let Some(entry) = attempts.map.get_mut(&self.state) {
            entry.over = Some(Over {
                answers_until,
                forget_at: answers_until.max(self.attempt_ends_at),
            });
        }
    }
}

// === impl Attempts ===

impl<T> Attempts<T> {
    fn prune(&mut self, now: Timestamp) {
        if self.map.len() < self.prune_at {
            return;
        }
        self.map.retain(|_, entry| {
            if entry.over.is_some_and(|over| over.answers_until <= now) {
                entry.answer = None;
            }
            entry.over.is_none_or(|over| now < over.forget_at)
        });
        self.map.shrink_to(PRUNE_AT.max(self.map.len()));
        self.prune_at = PRUNE_AT.max(self.map.len() * 2);
    }
}

fn digest_of(text: &str) -> Digest {
    let mut digest = [0; digest::SHA256_OUTPUT_LEN];
    digest.copy_from_slice(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
    digest
}

#[cfg(test)]
mod tests;
