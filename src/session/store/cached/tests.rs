use std::sync::{Arc, atomic::Ordering};

use futures_util::stream;
use parking_lot::Mutex;

use super::*;
use crate::{
    clock::{Clock as _, ManualClock},
    instruments::Tally,
    random::SystemRandom,
    session::{
        Lifespan,
        store::{MemoryStore, contract::contract_tests},
        testing::{HeldStore, session},
    },
};

contract_tests!(|lifespan, clock: ManualClock| async move {
    let store = MemoryStore::new(lifespan, Arc::new(clock.clone()));
    let store = Cached::new(store, 1 << 30, lifespan, Arc::new(clock), &Tally::default());
    heard(&store).await;
    Arc::new(store) as Arc<dyn SessionStore>
});

/// Follows the changes.
async fn heard<S: SessionStore>(store: &Cached<S>) {
    let mut changes = store.changes();
    assert_eq!(changes.next().await, Some(Change::Heard));
    tokio::spawn(async move { while changes.next().await.is_some() {} });
}

/// The contract with a cache that has room for nothing.
mod without_room {
    use super::*;

    contract_tests!(|lifespan, clock: ManualClock| async move {
        let store = MemoryStore::new(lifespan, Arc::new(clock.clone()));
        let store = Cached::new(store, 0, lifespan, Arc::new(clock), &Tally::default());
        heard(&store).await;
        Arc::new(store) as Arc<dyn SessionStore>
    });
}

struct Harness {
    store: HeldStore,
    heard: Mutex<BoxStream<'static, Change>>,
    cached: Arc<Cached<HeldStore>>,
    clock: ManualClock,
    key: SessionKey,
    version: Version,
}

impl Harness {
    /// One session, in the store and not in the cache.
    async fn new() -> Self {
        let clock = ManualClock::starting_at(Timestamp::from_unix_seconds(1_000_000));
        let lifespan = Lifespan::default();
        let store = HeldStore::new(lifespan, Arc::new(clock.clone()));
        let alice = Arc::new(session("alice", "first", clock.now()));
        let (id, new) = NewSession::draw(&SystemRandom, alice, Due::Never, clock.now());
        let version = store.insert(new).await.unwrap();
        let cached = Cached::new(
            store.clone(),
            1 << 20,
            lifespan,
            Arc::new(clock.clone()),
            &Tally::default(),
        );
        let cached = Arc::new(cached);
        let harness = Self {
            heard: Mutex::new(cached.changes()),
            cached,
            store,
            clock,
            key: id.key(),
            version,
        };
        harness.hear(Change::Heard);
        harness
    }

    /// The store announces a change, and the cache has heard it.
    fn hear(&self, change: Change) {
        self.store.tell.send(change).unwrap();
        let heard = self.heard.lock().next().now_or_never().flatten();
        assert_eq!(heard, Some(change));
    }

    fn session(&self, access: &str) -> Arc<Session> {
        Arc::new(session("alice", access, self.clock.now()))
    }

    async fn access(&self) -> Option<String> {
        let stored = self.cached.get(&self.key).await.unwrap()?;
        Some(stored.session.tokens.access.expose().to_owned())
    }

    fn reads(&self) -> usize {
        self.store.read.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_cache_out_of_touch_is_not_used() {
    let harness = Harness::new().await;
    harness.access().await.unwrap();
    harness.store.is_out_of_touch.store(true, Ordering::SeqCst);
    harness
        .store
        .memory
        .remove(&harness.key, EndReason::Logout)
        .await
        .unwrap();
    assert_eq!(harness.access().await, None);
}

#[tokio::test]
async fn a_session_in_use_is_read_once() {
    let harness = Harness::new().await;
    for _ in 0..3 {
        assert_eq!(harness.access().await.unwrap(), "first");
    }
    let second = harness.session("second");
    let replaced = harness
        .cached
        .replace(&harness.key, harness.version, second, Due::Never);
    replaced.await.unwrap();
    assert_eq!(harness.access().await.unwrap(), "second");
    assert_eq!(harness.reads(), 1);
    harness
        .cached
        .remove(&harness.key, EndReason::Logout)
        .await
        .unwrap();
    assert_eq!(harness.access().await, None);
}

#[tokio::test]
async fn what_was_read_before_a_write_is_not_kept_after_it() {
    let harness = Arc::new(Harness::new().await);
    harness.store.after_get.close();
    let reading = tokio::spawn({
        let harness = Arc::clone(&harness);
        async move { harness.access().await }
    });
    while harness.reads() == 0 {
        tokio::task::yield_now().await;
    }
    let second = harness.session("second");
    let replaced = harness
        .cached
        .replace(&harness.key, harness.version, second, Due::Never);
    replaced.await.unwrap();
    harness.store.after_get.open();
    // It asked before.
    assert_eq!(reading.await.unwrap().unwrap(), "first");
    assert_eq!(harness.access().await.unwrap(), "second");
}

#[tokio::test]
async fn what_was_read_before_the_end_is_not_kept_after_it() {
    let harness = Arc::new(Harness::new().await);
    harness.store.after_get.close();
    let reading = tokio::spawn({
        let harness = Arc::clone(&harness);
        async move { harness.access().await }
    });
    while harness.reads() == 0 {
        tokio::task::yield_now().await;
    }
    harness
        .cached
        .remove(&harness.key, EndReason::Logout)
        .await
        .unwrap();
    harness.store.after_get.open();
    reading.await.unwrap();
    assert_eq!(harness.access().await, None);
}

#[tokio::test]
async fn a_write_whose_caller_has_gone_is_seen_when_it_is_done() {
    let harness = Harness::new().await;
    harness.access().await.unwrap();
    harness.store.before_replace.close();
    let second = harness.session("second");
    let mut write = harness
        .cached
        .replace(&harness.key, harness.version, second, Due::Never);
    assert!((&mut write).now_or_never().is_none());
    tokio::task::yield_now().await;
    drop(write);
    assert_eq!(harness.access().await.unwrap(), "first");
    harness.store.before_replace.open();
    while harness.access().await.unwrap() != "second" {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_write_that_takes_too_long_is_seen_when_it_is_done() {
    let harness = Harness::new().await;
    harness.access().await.unwrap();
    harness.store.before_replace.close();
    let second = harness.session("second");
    let mut write = harness
        .cached
        .replace(&harness.key, harness.version, second, Due::Never);
    assert!((&mut write).now_or_never().is_none());
    harness.clock.advance(ANSWER_WITHIN);
    assert!(matches!(write.await, Err(ReplaceError::Store(_))));
    assert_eq!(harness.access().await.unwrap(), "first");
    harness.store.before_replace.open();
    while harness.access().await.unwrap() != "second" {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_write_that_did_not_come_about_is_read_again() {
    let harness = Harness::new().await;
    harness.access().await.unwrap();
    // Another process.
    let second = harness.session("second");
    let other = harness
        .store
        .memory
        .replace(&harness.key, harness.version, second, Due::Never);
    other.await.unwrap();
    assert_eq!(harness.access().await.unwrap(), "first");
    let third = harness.session("third");
    let conflict = harness
        .cached
        .replace(&harness.key, harness.version, third, Due::Never);
    assert!(matches!(conflict.await, Err(ReplaceError::Conflict)));
    assert_eq!(harness.access().await.unwrap(), "second");
}

#[tokio::test]
async fn a_change_by_another_process_is_read_when_it_is_heard() {
    for change in [Change::Of as fn(SessionKey) -> Change, |_| Change::Heard] {
        let harness = Harness::new().await;
        harness.access().await.unwrap();
        let second = harness.session("second");
        let other = harness
            .store
            .memory
            .replace(&harness.key, harness.version, second, Due::Never);
        other.await.unwrap();
        harness.hear(change(harness.key));
        assert_eq!(harness.access().await.unwrap(), "second");
    }
}

#[tokio::test]
async fn nothing_is_kept_while_changes_are_not_heard() {
    let harness = Harness::new().await;
    harness.access().await.unwrap();
    harness.hear(Change::Lost);
    let reads = harness.reads();
    for _ in 0..2 {
        harness.access().await.unwrap();
    }
    assert_eq!(harness.reads(), reads + 2);
    harness.hear(Change::Heard);
    for _ in 0..2 {
        harness.access().await.unwrap();
    }
    assert_eq!(harness.reads(), reads + 3);
    // The changes are no longer followed.
    *harness.heard.lock() = stream::pending().boxed();
    for _ in 0..2 {
        harness.access().await.unwrap();
    }
    assert_eq!(harness.reads(), reads + 5);
}

/// Not after the changes are heard again.
#[tokio::test]
async fn reads_before_lost_changes_are_not_kept() {
    let harness = Arc::new(Harness::new().await);
    harness.store.after_get.close();
    let reading = tokio::spawn({
        let harness = Arc::clone(&harness);
        async move { harness.access().await }
    });
    while harness.reads() == 0 {
        tokio::task::yield_now().await;
    }
    harness.hear(Change::Lost);
    let second = harness.session("second");
    let other = harness
        .store
        .memory
        .replace(&harness.key, harness.version, second, Due::Never);
    other.await.unwrap();
    harness.hear(Change::Heard);
    harness.store.after_get.open();
    reading.await.unwrap();
    assert_eq!(harness.access().await.unwrap(), "second");
}

#[tokio::test]
async fn many_uses_are_one_write() {
    let harness = Harness::new().await;
    harness.access().await.unwrap();
    for _ in 0..100 {
        harness.clock.advance(Duration::from_millis(10));
        harness
            .cached
            .touch(&harness.key, harness.clock.now())
            .await
            .unwrap();
    }
    assert!(harness.store.touched.lock().is_empty());
    let seen = harness.cached.get(&harness.key).await.unwrap().unwrap().last_seen;
    assert_eq!(seen, harness.clock.now());
    harness.cached.flush().await.unwrap();
    harness.cached.flush().await.unwrap();
    assert_eq!(*harness.store.touched.lock(), [harness.clock.now()]);
    harness
        .cached
        .touch(&harness.key, harness.clock.now())
        .await
        .unwrap();
    harness.cached.flush().await.unwrap();
    assert_eq!(harness.store.touched.lock().len(), 2);
}

#[tokio::test]
async fn a_use_is_known_though_the_session_has_left_the_cache() {
    let harness = Harness::new().await;
    harness.access().await.unwrap();
    harness.clock.advance(Duration::from_secs(1));
    harness
        .cached
        .touch(&harness.key, harness.clock.now())
        .await
        .unwrap();
    harness.cached.inner.entries.invalidate_all();
    let stored = harness.cached.get(&harness.key).await.unwrap().unwrap();
    assert_eq!(stored.last_seen, harness.clock.now());
    harness.cached.inner.entries.invalidate_all();
    match harness
        .cached
        .claim(&harness.key, Duration::from_secs(1))
        .await
        .unwrap()
    {
        Claim::Claimed(claimed) => assert_eq!(claimed.stored.last_seen, harness.clock.now()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn use_in_another_process_counts_as_use() {
    let harness = Harness::new().await;
    harness.access().await.unwrap();
    let idle = Lifespan::default().idle;
    harness.clock.advance(idle / 2);
    let used = harness.clock.now();
    harness.store.memory.touch(&harness.key, used).await.unwrap();
    harness.clock.advance(idle / 2);
    let stored = harness.cached.get(&harness.key).await.unwrap().unwrap();
    assert_eq!(stored.last_seen, used);
    // From now on it is cached again.
    let reads = harness.reads();
    harness.access().await.unwrap();
    assert_eq!(harness.reads(), reads);
}

#[tokio::test]
async fn the_memory_for_sessions_at_hand_is_bounded() {
    let harness = Harness::new().await;
    let weight = session("alice", "first", harness.clock.now()).weight() + OVERHEAD;
    for _ in 0..1_000 {
        let alice = harness.session("first");
        let (id, new) = NewSession::draw(&SystemRandom, alice, Due::Never, harness.clock.now());
        harness.cached.insert(new).await.unwrap();
        harness.cached.get(&id.key()).await.unwrap().unwrap();
    }
    harness.cached.inner.entries.run_pending_tasks();
    let kept = harness.cached.inner.entries.entry_count();
    assert!(
        kept > 0 && kept * u64::try_from(weight).unwrap() <= 1 << 20,
        "{kept}"
    );
}
