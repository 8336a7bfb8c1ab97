use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use futures_util::{future::BoxFuture, stream::BoxStream};
use tokio::sync::Semaphore;

use super::*;
use crate::{
    clock::{Clock as _, ManualClock, Timestamp},
    jose::Claims,
    random::{SharedRandom, SystemRandom},
    seal::Sealer,
    session::{
        Change, Claim, Claimed, InsertError, Lease, Lifespan, Limits, Listed, Memo, MemoryOnce, MemoryStore,
        NewSession, ReplaceError, SessionStore, Stored, Tokens, Usage, Version,
    },
};

const ISSUER: &str = "https://idp.test";

/// A store that removes nothing while it is broken, and inserts a session when it is let.
#[derive(Debug)]
struct Store {
    memory: MemoryStore,
    broken: AtomicBool,
    before_insert: Semaphore,
    after_insert: Semaphore,
}

impl SessionStore for Store {
    fn insert(&self, new: NewSession) -> BoxFuture<'_, Result<Version, InsertError>> {
        Box::pin(async {
            self.before_insert.acquire().await.unwrap().forget();
            let inserted = self.memory.insert(new).await;
            self.after_insert.acquire().await.unwrap().forget();
            inserted
        })
    }

    fn get<'a>(&'a self, key: &'a SessionKey) -> BoxFuture<'a, Result<Option<Stored>, StoreError>> {
        self.memory.get(key)
    }

    fn replace<'a>(
        &'a self,
        key: &'a SessionKey,
        expected: Version,
        session: Arc<Session>,
        due: Due,
    ) -> BoxFuture<'a, Result<Version, ReplaceError>> {
        self.memory.replace(key, expected, session, due)
    }

    fn touch<'a>(&'a self, key: &'a SessionKey, at: Timestamp) -> BoxFuture<'a, Result<(), StoreError>> {
        self.memory.touch(key, at)
    }

    fn remove<'a>(
        &'a self,
        key: &'a SessionKey,
        why: EndReason,
    ) -> BoxFuture<'a, Result<Option<Arc<Session>>, StoreError>> {
        if self.broken.load(Ordering::Relaxed) {
            return Box::pin(async { Err(StoreError::Unavailable("broken".into())) });
        }
        self.memory.remove(key, why)
    }

    fn find<'a>(&'a self, whose: Whose<'a>) -> BoxFuture<'a, Result<Vec<Listed>, StoreError>> {
        self.memory.find(whose)
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
        self.memory.changes()
    }
}

struct World {
    logouts: Logouts,
    store: Arc<Store>,
    clock: ManualClock,
}

// === impl World ===

impl World {
    fn new() -> Self {
        let clock = ManualClock::starting_at(Timestamp::from_unix_seconds(1_800_000_000));
        let shared: SharedClock = Arc::new(clock.clone());
        let random: SharedRandom = Arc::new(SystemRandom);
        let lifespan = Lifespan {
            lifetime: Duration::from_hours(8),
            idle: Duration::from_hours(1),
        };
        let limits = Limits {
            lifespan,
            max: 10,
            max_per_user: 10,
            memory: 1 << 20,
        };
        let store = Arc::new(Store {
            memory: MemoryStore::new(lifespan, Arc::clone(&shared)),
            broken: AtomicBool::new(false),
            before_insert: Semaphore::new(100),
            after_insert: Semaphore::new(100),
        });
        let sealer = Sealer::new(&[[7; 32]], Arc::clone(&random)).unwrap();
        let sessions = Sessions::new(store.clone(), limits, sealer, Arc::clone(&shared), random);
        let once = Arc::new(MemoryOnce::new(Arc::clone(&shared)));
        Self {
            logouts: Logouts::new(sessions, once, shared),
            store,
            clock,
        }
    }

    fn session(&self, subject: &str, sid: Option<&str>) -> Session {
        let now = self.clock.now();
        Session {
            issuer: ISSUER.to_owned(),
            subject: subject.to_owned(),
            sid: sid.map(str::to_owned),
            auth_time: None,
            nonce: "nonce".into(),
            user: Claims::new(),
            tokens: Tokens {
                access: "access".into(),
                access_obtained_at: now,
                access_expires_at: now.saturating_add(Duration::from_mins(5)),
                refresh: None,
                pending: None,
                id_token: "id".into(),
                scope: "openid".to_owned(),
                uncertain: false,
                strikes: None,
                later_auth_time: None,
            },
            created_at: now,
            expires_at: now.saturating_add(Duration::from_hours(8)),
            identity: Memo::default(),
        }
    }

    async fn open(&self, subject: &str, sid: Option<&str>) -> SessionKey {
        let session = self.session(subject, sid);
        let opened = self.logouts.sessions.open(session, Due::Never, None).await;
        opened.unwrap().key
    }

    /// Whether a login of alice leads to a session, where a logout comes while `held` is: before the store has
    /// the session, or after that and before the login hears of it.
    async fn log_in(&self, held: &Semaphore, token: &LogoutToken) -> bool {
        let now = self.clock.now();
        let course = Course {
            subject: "alice".to_owned(),
            sid: Some("sid-1".to_owned()),
            authenticated: None,
            began: now,
            exchanged: now,
            issued: now,
        };
        let session = self.session("alice", Some("sid-1"));
        let permits = held.forget_permits(100);
        let login = self.logouts.open(session, Due::Never, None, &course);
        let logout = async {
            tokio::task::yield_now().await;
            self.logouts.end(token).await.unwrap();
            held.add_permits(permits);
        };
        let (opened, ()) = tokio::join!(login, logout);
        opened.unwrap().is_some()
    }

    async fn lives(&self, key: &SessionKey) -> bool {
        self.logouts.sessions.get(key).await.unwrap().is_some()
    }

    fn token(&self, id: &str, subject: Option<&str>, sid: Option<&str>) -> LogoutToken {
        let now = self.clock.now();
        LogoutToken {
            issuer: ISSUER.to_owned(),
            subject: subject.map(str::to_owned),
            sid: sid.map(str::to_owned),
            id: id.to_owned(),
            issued_at: now,
            refused_from: now.saturating_add(Duration::from_mins(3)),
        }
    }
}

#[tokio::test]
async fn a_token_ends_what_it_names_and_nothing_else() {
    let world = World::new();
    let one = world.open("alice", Some("sid-1")).await;
    let two = world.open("alice", Some("sid-2")).await;
    let without = world.open("alice", None).await;
    // Another issuer's account could not be here; another person of the same session can.
    let bob = world.open("bob", Some("sid-1")).await;
    let end = async |id: &str, subject, sid| world.logouts.end(&world.token(id, subject, sid)).await;

    assert_eq!(end("a", Some("alice"), Some("sid-1")).await.unwrap(), 1);
    assert!(!world.lives(&one).await && world.lives(&bob).await);
    assert_eq!(end("b", None, Some("sid-1")).await.unwrap(), 1);
    assert!(!world.lives(&bob).await && world.lives(&two).await);
    assert_eq!(end("c", Some("bob"), Some("sid-2")).await.unwrap(), 0);
    assert_eq!(end("d", Some("alice"), None).await.unwrap(), 2);
    assert!(!world.lives(&two).await && !world.lives(&without).await);
    let again = end("d", Some("alice"), None).await;
    assert!(matches!(again, Err(BackChannelError::Replayed)));
}

#[tokio::test]
async fn a_token_whose_sessions_could_not_be_ended_counts_when_it_comes_again() {
    let world = World::new();
    let key = world.open("alice", Some("sid-1")).await;
    for (subject, sid) in [
        (Some("alice"), None),
        (None, Some("sid-1")),
        (Some("alice"), Some("sid-1")),
    ] {
        let token = world.token("a", subject, sid);
        world.store.broken.store(true, Ordering::Relaxed);
        let failed = world.logouts.end(&token).await;
        assert!(matches!(failed, Err(BackChannelError::Store(_))));
        assert!(world.lives(&key).await);
    }
    world.store.broken.store(false, Ordering::Relaxed);
    let token = world.token("a", Some("alice"), None);
    assert_eq!(world.logouts.end(&token).await.unwrap(), 1);
    assert!(!world.lives(&key).await);
    let again = world.logouts.end(&token).await;
    assert!(matches!(again, Err(BackChannelError::Replayed)));
}

#[tokio::test]
async fn attack_32_whether_a_logout_comes_before_or_after_the_session_is_stored_one_sees_the_other() {
    for (subject, sid, lives) in [
        (Some("alice"), None, false),
        (None, Some("sid-1"), false),
        (Some("alice"), Some("sid-1"), false),
        (Some("bob"), None, true),
    ] {
        for before in [true, false] {
            let world = World::new();
            let store = &world.store;
            let held = if before {
                &store.before_insert
            } else {
                &store.after_insert
            };
            let opened = world.log_in(held, &world.token("a", subject, sid)).await;
            assert_eq!(opened, lives, "{subject:?} {sid:?} {before}");
            let stored = store.usage().await.unwrap().sessions;
            assert_eq!(stored, usize::from(lives), "{subject:?} {sid:?} {before}");
        }
    }
}
