use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures_util::stream;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc};

use super::*;
use crate::{
    clock::{Clock as _, ManualClock},
    random::SystemRandom,
    session::{
        Lifespan,
        store::{MemoryStore, contract::contract_tests},
        testing::session,
    },
};

contract_tests!(|lifespan, clock: ManualClock| async move {
    let store = MemoryStore::new(lifespan, Arc::new(clock.clone()));
    let store = Cached::new(store, 1 << 30, lifespan, Arc::new(clock));
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
        let store = Cached::new(store, 0, lifespan, Arc::new(clock));
        heard(&store).await;
        Arc::new(store) as Arc<dyn SessionStore>
    });
}

/// A store whose answers can be held back, and that counts.
#[derive(Debug)]
struct Slow {
    store: MemoryStore,
    /// An answer needs a permit of these.
    reads: Semaphore,
    writes: Semaphore,
    read: AtomicUsize,
    touched: Mutex<Vec<Timestamp>>,
    changes: Mutex<Option<mpsc::UnboundedReceiver<Change>>>,
}

impl Slow {
    async fn pass(gate: &Semaphore) {
        gate.acquire().await.unwrap().forget();
    }
}

impl SessionStore for Arc<Slow> {
    fn insert(&self, new: NewSession) -> BoxFuture<'_, Result<Version, InsertError>> {
        self.store.insert(new)
    }

    fn get<'a>(&'a self, key: &'a SessionKey) -> BoxFuture<'a, Result<Option<Stored>, StoreError>> {
        async move {
            self.read.fetch_add(1, Ordering::SeqCst);
            let found = self.store.get(key).await;
            Slow::pass(&self.reads).await;
            found
        }
        .boxed()
    }

    fn replace<'a>(
        &'a self,
        key: &'a SessionKey,
        expected: Version,
        session: Arc<Session>,
        due: Due,
    ) -> BoxFuture<'a, Result<Version, ReplaceError>> {
        async move {
            Slow::pass(&self.writes).await;
            self.store.replace(key, expected, session, due).await
        }
        .boxed()
    }

    fn touch<'a>(&'a self, key: &'a SessionKey, at: Timestamp) -> BoxFuture<'a, Result<(), StoreError>> {
        self.touched.lock().push(at);
        self.store.touch(key, at)
    }

    fn remove<'a>(
        &'a self,
        key: &'a SessionKey,
        why: EndReason,
    ) -> BoxFuture<'a, Result<Option<Arc<Session>>, StoreError>> {
        self.store.remove(key, why)
    }

    fn find<'a>(&'a self, whose: Whose<'a>) -> BoxFuture<'a, Result<Vec<Listed>, StoreError>> {
        self.store.find(whose)
    }

    fn claim_due(&self, limit: usize, lease: Duration) -> BoxFuture<'_, Result<Vec<Claimed>, StoreError>> {
        self.store.claim_due(limit, lease)
    }

    fn claim<'a>(&'a self, key: &'a SessionKey, lease: Duration) -> BoxFuture<'a, Result<Claim, StoreError>> {
        self.store.claim(key, lease)
    }

    fn extend<'a>(&'a self, lease: &'a Lease, duration: Duration) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.store.extend(lease, duration)
    }

    fn release(&self, lease: Lease, due: Due) -> BoxFuture<'_, Result<(), StoreError>> {
        self.store.release(lease, due)
    }

    fn overdue(&self, limit: usize) -> BoxFuture<'_, Result<Vec<SessionKey>, StoreError>> {
        self.store.overdue(limit)
    }

    fn cost(&self, session: &Session) -> usize {
        self.store.cost(session)
    }

    fn usage(&self) -> BoxFuture<'_, Result<Usage, StoreError>> {
        self.store.usage()
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.store.flush()
    }

    fn changes(&self) -> BoxStream<'static, Change> {
        let mut changes = self.changes.lock().take().unwrap();
        stream::poll_fn(move |context| changes.poll_recv(context)).boxed()
    }
}

struct Bench {
    slow: Arc<Slow>,
    tell: mpsc::UnboundedSender<Change>,
    heard: Mutex<BoxStream<'static, Change>>,
    cached: Arc<Cached<Arc<Slow>>>,
    clock: ManualClock,
    key: SessionKey,
    version: Version,
}

const ALL: usize = 1_000;

impl Bench {
    /// One session, in the store and not in the cache.
    async fn new(reads: usize, writes: usize) -> Self {
        let clock = ManualClock::starting_at(Timestamp::from_unix_seconds(1_000_000));
        let (tell, changes) = mpsc::unbounded_channel();
        let slow = Arc::new(Slow {
            store: MemoryStore::new(Lifespan::default(), Arc::new(clock.clone())),
            reads: Semaphore::new(reads),
            writes: Semaphore::new(writes),
            read: AtomicUsize::new(0),
            touched: Mutex::default(),
            changes: Mutex::new(Some(changes)),
        });
        let alice = Arc::new(session("alice", "first", clock.now()));
        let (id, new) = NewSession::draw(&SystemRandom, alice, Due::Never, clock.now());
        let version = slow.insert(new).await.unwrap();
        let cached = Cached::new(
            Arc::clone(&slow),
            1 << 20,
            Lifespan::default(),
            Arc::new(clock.clone()),
        );
        let cached = Arc::new(cached);
        let bench = Self {
            heard: Mutex::new(cached.changes()),
            cached,
            slow,
            tell,
            clock,
            key: id.key(),
            version,
        };
        bench.hear(Change::Heard);
        bench
    }

    /// The store tells a change, and the cache has heard it.
    fn hear(&self, change: Change) {
        self.tell.send(change).unwrap();
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
        self.slow.read.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_session_in_use_is_read_once() {
    let bench = Bench::new(ALL, ALL).await;
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
    let bench = Arc::new(Bench::new(0, ALL).await);
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
    bench.slow.reads.add_permits(ALL);
    // It asked before.
    assert_eq!(reading.await.unwrap().unwrap(), "first");
    assert_eq!(bench.access().await.unwrap(), "second");
}

#[tokio::test]
async fn what_was_read_before_the_end_is_not_kept_after_it() {
    let bench = Arc::new(Bench::new(0, ALL).await);
    let reading = tokio::spawn({
        let bench = Arc::clone(&bench);
        async move { bench.access().await }
    });
    while bench.reads() == 0 {
        tokio::task::yield_now().await;
    }
    bench.cached.remove(&bench.key, EndReason::Logout).await.unwrap();
    bench.slow.reads.add_permits(ALL);
    reading.await.unwrap();
    assert_eq!(bench.access().await, None);
}

#[tokio::test]
async fn a_write_whose_caller_has_gone_is_seen_when_it_is_done() {
    let bench = Bench::new(ALL, 0).await;
    bench.access().await.unwrap();
    let second = bench.session("second");
    let mut write = bench
        .cached
        .replace(&bench.key, bench.version, second, Due::Never);
    assert!((&mut write).now_or_never().is_none());
    tokio::task::yield_now().await;
    drop(write);
    assert_eq!(bench.access().await.unwrap(), "first");
    bench.slow.writes.add_permits(ALL);
    while bench.access().await.unwrap() != "second" {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_write_that_did_not_come_about_is_read_again() {
    let bench = Bench::new(ALL, ALL).await;
    bench.access().await.unwrap();
    // Another process.
    let second = bench.session("second");
    let other = bench
        .slow
        .store
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
        let bench = Bench::new(ALL, ALL).await;
        bench.access().await.unwrap();
        let second = bench.session("second");
        let other = bench
            .slow
            .store
            .replace(&bench.key, bench.version, second, Due::Never);
        other.await.unwrap();
        bench.hear(change(bench.key));
        assert_eq!(bench.access().await.unwrap(), "second");
    }
}

#[tokio::test]
async fn nothing_is_kept_while_changes_are_not_heard() {
    let bench = Bench::new(ALL, ALL).await;
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
    let bench = Arc::new(Bench::new(0, ALL).await);
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
        .slow
        .store
        .replace(&bench.key, bench.version, second, Due::Never);
    other.await.unwrap();
    bench.hear(Change::Heard);
    bench.slow.reads.add_permits(ALL);
    reading.await.unwrap();
    assert_eq!(bench.access().await.unwrap(), "second");
}

#[tokio::test]
async fn many_uses_are_one_write() {
    let bench = Bench::new(ALL, ALL).await;
    bench.access().await.unwrap();
    for _ in 0..100 {
        bench.clock.advance(Duration::from_millis(10));
        bench.cached.touch(&bench.key, bench.clock.now()).await.unwrap();
    }
    assert!(bench.slow.touched.lock().is_empty());
    let seen = bench.cached.get(&bench.key).await.unwrap().unwrap().last_seen;
    assert_eq!(seen, bench.clock.now());
    bench.cached.flush().await.unwrap();
    bench.cached.flush().await.unwrap();
    assert_eq!(*bench.slow.touched.lock(), [bench.clock.now()]);
    bench.cached.touch(&bench.key, bench.clock.now()).await.unwrap();
    bench.cached.flush().await.unwrap();
    assert_eq!(bench.slow.touched.lock().len(), 2);
}

#[tokio::test]
async fn a_use_is_known_though_the_session_has_left_the_cache() {
    let bench = Bench::new(ALL, ALL).await;
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
    let bench = Bench::new(ALL, ALL).await;
    bench.access().await.unwrap();
    let idle = Lifespan::default().idle;
    bench.clock.advance(idle / 2);
    let used = bench.clock.now();
    bench.slow.store.touch(&bench.key, used).await.unwrap();
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
    let bench = Bench::new(100_000, ALL).await;
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
