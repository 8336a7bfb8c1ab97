//! Notifies watchers that a session has changed or ended.
//!
//! A watch begins before the session is read, so that no change between the two is missed.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, future::BoxFuture, stream::BoxStream};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{
    super::{Change, EndReason, SessionKey, store::BuildKeySpread},
    Sessions,
};

/// The number of separately locked parts of the map.
const SHARDS: usize = 16;

/// The pause after which a stream polls again if the store did not answer.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// The watchers by session. Uses no memory for a session without watchers.
#[derive(Clone, Debug)]
pub(super) struct Watchers {
    shards: Arc<[Shard; SHARDS]>,
}

type Shard = Mutex<HashMap<SessionKey, watch::Sender<State>, BuildKeySpread>>;

/// The events since the watch began.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    ended: bool,
    /// If this process knows it.
    why: Option<EndReason>,
}

/// Is woken when a session changes or ends.
#[derive(Debug)]
pub struct Watch {
    key: SessionKey,
    /// Let go of under the lock of the map, so that the last one is known for the last.
    changes: Option<watch::Receiver<State>>,
    watchers: Watchers,
}

// === impl Watchers ===

impl Default for Watchers {
    fn default() -> Self {
        Self {
            shards: Arc::new(std::array::from_fn(|_| Shard::default())),
        }
    }
}

impl Watchers {
    fn shard(&self, key: &SessionKey) -> &Shard {
        &self.shards[usize::from(key.as_bytes()[0]) % SHARDS]
    }

    fn watch(&self, key: &SessionKey) -> Watch {
        let changes = self
            .shard(key)
            .lock()
            .entry(*key)
            .or_insert_with(|| watch::Sender::new(State::default()))
            .subscribe();
        Watch {
            key: *key,
            changes: Some(changes),
            watchers: self.clone(),
        }
    }

    /// The session was written, or its lease is free.
    pub(super) fn changed(&self, key: &SessionKey) {
        if let Some(sender) = self.shard(key).lock().get(key) {
            sender.send_modify(|_| {});
        }
    }

    /// The session has ended.
    pub(super) fn ended(&self, key: &SessionKey, why: EndReason) {
        if let Some(sender) = self.shard(key).lock().get(key) {
            let why = Some(why);
            sender.send_replace(State { ended: true, why });
        }
    }

    /// Any session may have changed.
    fn all_changed(&self) {
        for shard in &*self.shards {
            for sender in shard.lock().values() {
                sender.send_modify(|_| {});
            }
        }
    }
}

#[cfg(test)]
impl Watchers {
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }
}

// === impl Watch ===

impl Watch {
    /// Resolves when the session has changed or ended since this was made, or since the last call.
    pub async fn changed(&mut self) {
        // Both exist while there is a watcher.
        if let Some(changes) = &mut self.changes {
            let _ = changes.changed().await;
        }
    }

    /// Whether the session has ended since this was made, and why if that is known.
    #[must_use]
    pub fn ended(&self) -> Option<Option<EndReason>> {
        let state = *self.changes.as_ref()?.borrow();
        state.ended.then_some(state.why)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut shard = self.watchers.shard(&self.key).lock();
        // Under the lock, or two that go at the same moment would each count the other.
        self.changes = None;
        if shard
            .get(&self.key)
            .is_some_and(|sender| sender.receiver_count() == 0)
        {
            shard.remove(&self.key);
        }
    }
}

// === impl Sessions ===

impl Sessions {
    /// Watches the session from now on.
    #[must_use]
    pub fn watch(&self, key: &SessionKey) -> Watch {
        self.inner.watchers.watch(key)
    }

    /// Resolves when the session has ended, for any reason; at once if there is none. Returns the reason if this
    /// process knows it. While the store does not answer, the session counts as alive.
    #[must_use]
    pub fn until_end(&self, key: &SessionKey) -> BoxFuture<'static, Option<EndReason>> {
        let (sessions, key) = (self.clone(), *key);
        Box::pin(async move {
            let mut watch = sessions.watch(&key);
            loop {
                if let Some(why) = watch.ended() {
                    return why;
                }
                let now = sessions.inner.clock.now();
                let look_again = match sessions.inner.store.get(&key).await {
                    Ok(Some(stored)) => match sessions.over(&stored) {
                        Some(why) => return Some(why),
                        None => sessions.lifespan().end_of(&stored.session, stored.last_seen),
                    },
                    Ok(None) => return watch.ended().flatten(),
                    Err(_) => now.saturating_add(LOOK_AGAIN),
                };
                // The limit may have moved when it is reached: the session was used.
                tokio::select! {
                    () = watch.changed() => {}
                    () = sessions.inner.clock.sleep_until(look_again) => {}
                }
            }
        })
    }

    /// Forwards the changes of other processes.
    pub(super) async fn follow(&self, mut changes: BoxStream<'static, Change>) {
        while let Some(change) = changes.next().await {
            match change {
                Change::Of(key) => self.inner.watchers.changed(&key),
                Change::Ended(key, why) => self.tell_end(&key, why),
                Change::Heard | Change::Lost => self.inner.watchers.all_changed(),
            }
        }
    }
}
