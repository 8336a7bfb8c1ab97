//! A store for tests of the layers in front of a store.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{
    FutureExt as _, StreamExt as _,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc};

use crate::{
    clock::{SharedClock, Timestamp},
    session::{
        Change, Claim, Claimed, Due, EndReason, InsertError, Lease, Lifespan, Listed, MemoryStore,
        NewSession, Part, ReplaceError, Session, SessionKey, SessionStore, StoreError, Stored, Usage,
        Version, Whose,
    },
};

/// This many calls pass an open gate.
const OPEN: usize = 1_000_000;

/// A memory store whose answers a test holds back, lets fail and counts. Clones are one store.
#[derive(Clone, Debug)]
pub(crate) struct HeldStore(Arc<Held>);

#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) memory: MemoryStore,
    pub(crate) before_insert: Gate,
    pub(crate) after_insert: Gate,
    /// Between the read and the answer.
    pub(crate) after_get: Gate,
    pub(crate) before_replace: Gate,
    /// Writes fail.
    pub(crate) replaces_fail: AtomicBool,
    /// Removals fail.
    pub(crate) removes_fail: AtomicBool,
    /// Changes may be missed unnoticed.
    pub(crate) is_out_of_touch: AtomicBool,
    /// How often a session was read.
    pub(crate) read: AtomicUsize,
    /// How often a session was written after its login.
    pub(crate) replaced: AtomicUsize,
    /// The uses that were reported to it.
    pub(crate) touched: Mutex<Vec<Timestamp>>,
    /// The simulated changes of others.
    pub(crate) tell: mpsc::UnboundedSender<Change>,
    told: Mutex<Option<mpsc::UnboundedReceiver<Change>>>,
}

/// Lets calls pass unless it is closed.
#[derive(Debug)]
pub(crate) struct Gate(Semaphore);

// === impl Gate ===

impl Gate {
    fn new() -> Self {
        Self(Semaphore::new(OPEN))
    }

    pub(crate) fn close(&self) {
        self.0.forget_permits(OPEN);
    }

    pub(crate) fn open(&self) {
        self.0.add_permits(OPEN);
    }

    async fn pass(&self) {
        self.0.acquire().await.unwrap().forget();
    }
}

// === impl HeldStore ===

impl HeldStore {
    pub(crate) fn new(lifespan: Lifespan, clock: SharedClock) -> Self {
        let (tell, told) = mpsc::unbounded_channel();
        Self(Arc::new(Held {
            memory: MemoryStore::new(lifespan, clock),
            before_insert: Gate::new(),
            after_insert: Gate::new(),
            after_get: Gate::new(),
            before_replace: Gate::new(),
            replaces_fail: AtomicBool::new(false),
            removes_fail: AtomicBool::new(false),
            is_out_of_touch: AtomicBool::new(false),
            read: AtomicUsize::new(0),
            replaced: AtomicUsize::new(0),
            touched: Mutex::default(),
            tell,
            told: Mutex::new(Some(told)),
        }))
    }
}

impl std::ops::Deref for HeldStore {
    type Target = Held;

    fn deref(&self) -> &Held {
        &self.0
    }
}

impl SessionStore for HeldStore {
    fn insert(&self, new: NewSession) -> BoxFuture<'_, Result<Version, InsertError>> {
        async move {
            self.before_insert.pass().await;
            let inserted = self.memory.insert(new).await;
            self.after_insert.pass().await;
            inserted
        }
        .boxed()
    }

    fn get<'a>(&'a self, key: &'a SessionKey) -> BoxFuture<'a, Result<Option<Stored>, StoreError>> {
        async move {
            self.read.fetch_add(1, Ordering::SeqCst);
            let found = self.memory.get(key).await;
            self.after_get.pass().await;
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
            self.before_replace.pass().await;
            if self.replaces_fail.load(Ordering::SeqCst) {
                return Err(StoreError::Unavailable("writes fail".into()).into());
            }
            self.replaced.fetch_add(1, Ordering::SeqCst);
            self.memory.replace(key, expected, session, due).await
        }
        .boxed()
    }

    fn complete<'a>(
        &'a self,
        lease: &'a Lease,
        expected: Version,
        session: Arc<Session>,
        due: Due,
    ) -> BoxFuture<'a, Result<Version, ReplaceError>> {
        async move {
            self.before_replace.pass().await;
            if self.replaces_fail.load(Ordering::SeqCst) {
                return Err(StoreError::Unavailable("writes fail".into()).into());
            }
            self.replaced.fetch_add(1, Ordering::SeqCst);
            self.memory.complete(lease, expected, session, due).await
        }
        .boxed()
    }

    fn touch<'a>(&'a self, key: &'a SessionKey, at: Timestamp) -> BoxFuture<'a, Result<(), StoreError>> {
        self.touched.lock().push(at);
        self.memory.touch(key, at)
    }

    fn remove<'a>(
        &'a self,
        key: &'a SessionKey,
        why: EndReason,
    ) -> BoxFuture<'a, Result<Option<Arc<Session>>, StoreError>> {
        if self.removes_fail.load(Ordering::SeqCst) {
            return async { Err(StoreError::Unavailable("removals fail".into())) }.boxed();
        }
        self.memory.remove(key, why)
    }

    fn find<'a>(&'a self, whose: Whose<'a>) -> BoxFuture<'a, Result<Vec<Listed>, StoreError>> {
        self.memory.find(whose)
    }

    fn part(&self, part: Part) -> BoxFuture<'_, Result<Vec<SessionKey>, StoreError>> {
        self.memory.part(part)
    }

    fn claim_due(&self, limit: usize, lease: Duration) -> BoxFuture<'_, Result<Vec<Claimed>, StoreError>> {
        self.memory.claim_due(limit, lease)
    }

    fn claim<'a>(&'a self, key: &'a SessionKey, lease: Duration) -> BoxFuture<'a, Result<Claim, StoreError>> {
        self.memory.claim(key, lease)
    }

    fn extend<'a>(&'a self, lease: &'a Lease, duration: Duration) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.memory.extend(lease, duration)
    }

    fn release(&self, lease: Lease, due: Due) -> BoxFuture<'_, Result<(), StoreError>> {
        self.memory.release(lease, due)
    }

    fn overdue(&self, limit: usize) -> BoxFuture<'_, Result<Vec<SessionKey>, StoreError>> {
        self.memory.overdue(limit)
    }

    fn cost(&self, session: &Session) -> usize {
        self.memory.cost(session)
    }

    fn usage(&self) -> BoxFuture<'_, Result<Usage, StoreError>> {
        self.memory.usage()
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.memory.flush()
    }

    fn changes(&self) -> BoxStream<'static, Change> {
        let mut told = self.told.lock().take().unwrap();
        stream::poll_fn(move |context| told.poll_recv(context)).boxed()
    }

    fn is_in_touch(&self) -> bool {
        !self.0.is_out_of_touch.load(Ordering::SeqCst)
    }
}
