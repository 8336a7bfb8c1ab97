//! Remembers one-time events as long as they matter.
//!
//! A port, because several processes have to share it: an event that one of them has seen is not accepted by another.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    time::Duration,
};

use aws_lc_rs::digest;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;

use super::StoreError;
use crate::clock::{SharedClock, Timestamp};

/// At most this many are remembered at a time: some 15 MiB.
const MOST: usize = 100_000;

/// Tells the first time from every other one.
pub trait Once: fmt::Debug + Send + Sync + 'static {
    /// Whether `id` comes for the first time. It is remembered for `keep` from now on; of several callers exactly one
    /// gets `true`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the answer is unknown. It may be remembered then.
    fn first<'a>(&'a self, id: &'a [u8], keep: Duration) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// Forgets `id`, because the event did not complete.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it may still be remembered.
    fn forget<'a>(&'a self, id: &'a [u8]) -> BoxFuture<'a, Result<(), StoreError>>;
}

/// A memory of this process only. When it is full, it drops the entry that would expire first.
pub struct MemoryOnce {
    known: Mutex<Known>,
    most: usize,
    clock: SharedClock,
}

#[derive(Debug, Default)]
struct Known {
    until: HashMap<Digest, Timestamp>,
    in_order: BTreeSet<(Timestamp, Digest)>,
}

/// Ids may be long, and may reveal something.
pub(super) type Digest = [u8; digest::SHA256_OUTPUT_LEN];

// === impl MemoryOnce ===

impl MemoryOnce {
    /// An empty memory.
    #[must_use]
    pub fn new(clock: SharedClock) -> Self {
        Self::of(MOST, clock)
    }

    fn of(most: usize, clock: SharedClock) -> Self {
        Self {
            known: Mutex::default(),
            most,
            clock,
        }
    }
}

impl Once for MemoryOnce {
    fn first<'a>(&'a self, id: &'a [u8], keep: Duration) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let now = self.clock.now();
            let mut known = self.known.lock();
            known.forget_until(now);
            let is_first = known.add(digest_of(id), now.saturating_add(keep));
            while known.until.len() > self.most {
                known.forget_next();
            }
            Ok(is_first)
        })
    }

    fn forget<'a>(&'a self, id: &'a [u8]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.known.lock().remove(&digest_of(id));
            Ok(())
        })
    }
}

impl fmt::Debug for MemoryOnce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryOnce").finish_non_exhaustive()
    }
}

// === impl Known ===

impl Known {
    /// Whether it was not known.
    fn add(&mut self, id: Digest, until: Timestamp) -> bool {
        if self.until.contains_key(&id) {
            return false;
        }
        self.until.insert(id, until);
        self.in_order.insert((until, id));
        true
    }

    fn remove(&mut self, id: &Digest) {
        if let Some(until) = self.until.remove(id) {
            self.in_order.remove(&(until, *id));
        }
    }

    fn forget_until(&mut self, now: Timestamp) {
        while self.in_order.first().is_some_and(|(until, _)| *until <= now) {
            self.forget_next();
        }
    }

    fn forget_next(&mut self) {
        if let Some((_, id)) = self.in_order.pop_first() {
            self.until.remove(&id);
        }
    }
}

pub(super) fn digest_of(id: &[u8]) -> Digest {
    let mut digest = [0; digest::SHA256_OUTPUT_LEN];
    digest.copy_from_slice(digest::digest(&digest::SHA256, id).as_ref());
    digest
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::ManualClock;

    const MINUTE: Duration = Duration::from_mins(1);

    fn once(most: usize) -> (MemoryOnce, ManualClock) {
        let clock = ManualClock::starting_at(Timestamp::from_unix_seconds(1_800_000_000));
        (MemoryOnce::of(most, Arc::new(clock.clone())), clock)
    }

    #[tokio::test]
    async fn an_id_is_first_once_until_it_is_forgotten() {
        let (once, clock) = once(10);
        assert!(once.first(b"a", MINUTE).await.unwrap());
        assert!(!once.first(b"a", MINUTE * 9).await.unwrap());
        assert!(once.first(b"b", MINUTE).await.unwrap());
        clock.advance(Duration::from_secs(59));
        assert!(!once.first(b"a", MINUTE).await.unwrap());
        clock.advance(Duration::from_secs(1));
        // A second time prolongs nothing.
        assert!(once.first(b"a", MINUTE).await.unwrap());
        once.forget(b"a").await.unwrap();
        once.forget(b"never seen").await.unwrap();
        assert!(once.first(b"a", MINUTE).await.unwrap());
    }

    #[tokio::test]
    async fn a_full_memory_forgets_what_would_go_first() {
        let (once, clock) = once(2);
        for (id, keep) in [(b"a", 3), (b"b", 1), (b"c", 2)] {
            assert!(once.first(id, MINUTE * keep).await.unwrap());
        }
        assert!(!once.first(b"a", MINUTE).await.unwrap());
        assert!(!once.first(b"c", MINUTE).await.unwrap());
        assert!(once.first(b"b", MINUTE * 9).await.unwrap());
        clock.advance(MINUTE * 3);
        assert!(!once.first(b"b", MINUTE).await.unwrap());
        let known = once.known.lock();
        assert_eq!((known.until.len(), known.in_order.len()), (1, 1));
    }

    #[tokio::test]
    async fn of_many_at_the_same_moment_one_is_first() {
        let (once, _) = once(10);
        let once: Arc<dyn Once> = Arc::new(once);
        let tasks = (0..20).map(|_| {
            let once = Arc::clone(&once);
            tokio::spawn(async move { once.first(b"a", MINUTE).await.unwrap() })
        });
        let mut firsts = 0;
        for task in tasks.collect::<Vec<_>>() {
            firsts += usize::from(task.await.unwrap());
        }
        assert_eq!(firsts, 1);
    }
}
