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

/// Has somebody follow the changes.
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

struct Bench {
    store: HeldStore,
    heard: Mutex<BoxStream<'static, Change>>,
    cached: Arc<Cached<HeldStore>>,
    clock: ManualClock,
    key: SessionKey,
    version: Version,
}

impl Bench {
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
        let bench = Self {
            heard: Mutex::new(cached.changes()),
            cached,
            store,
            clock,
            key: id.key(),
            version,
        };
        bench.hear(Change::Heard);
        bench
    }

    /// The store tells a change, and the cache has heard it.
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
async fn a_session_in_use_is_read_once() {
    let bench = Bench::new().await;
    for _ in 0..3 {
        assert_eq!(bench.access().await.unwrap(), "first");
    }
    let second = bench.session("second");
    let replaced = bench
        .cached
        .replace(&bench.key, bench.version, second, Due::Never);
    replaced.await.unwrap();
    assert_eq!(bench.access().await.unwrap(), "second");
    assert_eq!(bench.reads(), 1);
    bench.cached.remove(&bench.key, EndReason::Logout).await.unwrap();
    assert_eq!(bench.access().await, None);
}

#[tokio::test]
async fn what_was_read_before_a_write_is_not_kept_after_it() {
    let bench = Arc::new(Bench::new().await);
    bench.store.after_get.close();
    let reading = tokio::spawn({
        let bench = Arc::clone(&bench);
        async move { bench.access().await }
    });
    while bench.reads() == 0 {
        tokio::task::yield_now().await;
    }
    let second = bench.session("second");
    let replaced = bench
        .cached
        .replace(&bench.key, bench.version, second, Due::Never);
    replaced.await.unwrap();
    bench.store.after_get.open();
    // It asked before.
    assert_eq!(reading.await.unwrap().unwrap(), "first");
    assert_eq!(bench.access().await.unwrap(), "second");
}

#[tokio::test]
async fn what_was_read_before_the_end_is_not_kept_after_it() {
    let bench = Arc::new(Bench::new().await);
    bench.store.after_get.close();
    let reading = tokio::spawn({
        let bench = Arc::clone(&bench);
        async move { bench.access().await }
    });
    while bench.reads() == 0 {
        tokio::task::yield_now().await;
    }
    bench.cached.remove(&bench.key, EndReason::Logout).await.unwrap();
    bench.store.after_get.open();
    reading.await.unwrap();
    assert_eq!(bench.access().await, None);
}

#[tokio::test]
async fn a_write_whose_caller_has_gone_is_seen_when_it_is_done() {
    let bench = Bench::new().await;
    bench.access().await.unwrap();
    bench.store.before_replace.close();
    let second = bench.session("second");
    let mut write = bench
        .cached
        .replace(&bench.key, bench.version, second, Due::Never);
    assert!((&mut write).now_or_never().is_none());
    tokio::task::yield_now().await;
    drop(write);
    assert_eq!(bench.access().await.unwrap(), "first");
    bench.store.before_replace.open();
    while bench.access().await.unwrap() != "second" {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_write_that_takes_too_long_is_seen_when_it_is_done() {
    let bench = Bench::new().await;
    bench.access().await.unwrap();
    bench.store.before_replace.close();
    let second = bench.session("second");
    let mut write = bench
        .cached
        .replace(&bench.key, bench.version, second, Due::Never);
    assert!((&mut write).now_or_never().is_none());
    bench.clock.advance(ANSWER_WITHIN);
    assert!(matches!(write.await, Err(ReplaceError::Store(_))));
    assert_eq!(bench.access().await.unwrap(), "first");
    bench.store.before_replace.open();
    while bench.access().await.unwrap() != "second" {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_write_that_did_not_come_about_is_read_again() {
    let bench = Bench::new().await;
    bench.access().await.unwrap();
    // Another process.
    let second = bench.session("second");
    let other = bench
        .store
        .memory
        .replace(&bench.key, bench.version, second, Due::Never);
    other.await.unwrap();
    assert_eq!(bench.access().await.unwrap(), "first");
    let third = bench.session("third");
    let conflict = bench.cached.replace(&bench.key, bench.version, third, Due::Never);
    assert!(matches!(conflict.await, Err(ReplaceError::Conflict)));
    assert_eq!(bench.access().await.unwrap(), "second");
}

#[tokio::test]
async fn a_change_by_another_process_is_read_when_it_is_heard() {
    for change in [Change::Of as fn(SessionKey) -> Change, |_| Change::Heard] {
        let bench = Bench::new().await;
        bench.access().await.unwrap();
        let second = bench.session("second");
        let other = bench
            .store
            .memory
            .replace(&bench.key, bench.version, second, Due::Never);
        other.await.unwrap();
        bench.hear(change(bench.key));
        assert_eq!(bench.access().await.unwrap(), "second");
    }
}

#[tokio::test]
async fn nothing_is_kept_while_changes_are_not_heard() {
    let bench = Bench::new().await;
    bench.access().await.unwrap();
    bench.hear(Change::Lost);
    let reads = bench.reads();
    for _ in 0..2 {
        bench.access().await.unwrap();
    }
    assert_eq!(bench.reads(), reads + 2);
    bench.hear(Change::Heard);
    for _ in 0..2 {
        bench.access().await.unwrap();
    }
    assert_eq!(bench.reads(), reads + 3);
    // Nobody follows any more.
    *bench.heard.lock() = stream::pending().boxed();
    for _ in 0..2 {
        bench.access().await.unwrap();
    }
    assert_eq!(bench.reads(), reads + 5);
}

#[tokio::test]
async fn what_was_read_before_changes_were_lost_is_not_kept_after_they_are_heard_again() {
    let bench = Arc::new(Bench::new().await);
    bench.store.after_get.close();
    let reading = tokio::spawn({
        let bench = Arc::clone(&bench);
        async move { bench.access().await }
    });
    while bench.reads() == 0 {
        tokio::task::yield_now().await;
    }
    bench.hear(Change::Lost);
    let second = bench.session("second");
    let other = bench
        .store
        .memory
        .replace(&bench.key, bench.version, second, Due::Never);
    other.await.unwrap();
    bench.hear(Change::Heard);
    bench.store.after_get.open();
    reading.await.unwrap();
    assert_eq!(bench.access().await.unwrap(), "second");
}

#[tokio::test]
async fn many_uses_are_one_write() {
    let bench = Bench::new().await;
    bench.access().await.unwrap();
    for _ in 0..100 {
        bench.clock.advance(Duration::from_millis(10));
        bench.cached.touch(&bench.key, bench.clock.now()).await.unwrap();
    }
    assert!(bench.store.touched.lock().is_empty());
    let seen = bench.cached.get(&bench.key).await.unwrap().unwrap().last_seen;
    assert_eq!(seen, bench.clock.now());
    bench.cached.flush().await.unwrap();
    bench.cached.flush().await.unwrap();
    assert_eq!(*bench.store.touched.lock(), [bench.clock.now()]);
    bench.cached.touch(&bench.key, bench.clock.now()).await.unwrap();
    bench.cached.flush().await.unwrap();
    assert_eq!(bench.store.touched.lock().len(), 2);
}

#[tokio::test]
async fn a_use_is_known_though_the_session_has_left_the_cache() {
    let bench = Bench::new().await;
    bench.access().await.unwrap();
    bench.clock.advance(Duration::from_secs(1));
    bench.cached.touch(&bench.key, bench.clock.now()).await.unwrap();
    bench.cached.inner.entries.invalidate_all();
    let stored = bench.cached.get(&bench.key).await.unwrap().unwrap();
    assert_eq!(stored.last_seen, bench.clock.now());
    bench.cached.inner.entries.invalidate_all();
    match bench
        .cached
        .claim(&bench.key, Duration::from_secs(1))
        .await
        .unwrap()
    {
        Claim::Claimed(claimed) => assert_eq!(claimed.stored.last_seen, bench.clock.now()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_session_that_is_used_at_another_process_is_not_taken_for_idle() {
    let bench = Bench::new().await;
    bench.access().await.unwrap();
    let idle = Lifespan::default().idle;
    bench.clock.advance(idle / 2);
    let used = bench.clock.now();
    bench.store.memory.touch(&bench.key, used).await.unwrap();
    bench.clock.advance(idle / 2);
    let stored = bench.cached.get(&bench.key).await.unwrap().unwrap();
    assert_eq!(stored.last_seen, used);
    // From now on it is at hand again.
    let reads = bench.reads();
    bench.access().await.unwrap();
    assert_eq!(bench.reads(), reads);
}

#[tokio::test]
async fn the_memory_for_sessions_at_hand_is_bounded() {
    let bench = Bench::new().await;
    let weight = session("alice", "first", bench.clock.now()).weight() + OVERHEAD;
    for _ in 0..1_000 {
        let alice = bench.session("first");
        let (id, new) = NewSession::draw(&SystemRandom, alice, Due::Never, bench.clock.now());
        bench.cached.insert(new).await.unwrap();
        bench.cached.get(&id.key()).await.unwrap().unwrap();
    }
    bench.cached.inner.entries.run_pending_tasks();
    let kept = bench.cached.inner.entries.entry_count();
    assert!(
        kept > 0 && kept * u64::try_from(weight).unwrap() <= 1 << 20,
        "{kept}"
    );
}
