use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use futures_util::{future::BoxFuture, stream::BoxStream};

use super::*;
use crate::{
    clock::{Clock as _, ManualClock, Timestamp},
    jose::Claims,
    random::{SharedRandom, SystemRandom},
    seal::Sealer,
    session::{
        Change, Claim, Claimed, Due, InsertError, Lease, Lifespan, Limits, Listed, Memo, MemoryOnce,
        MemoryStore, NewSession, ReplaceError, Session, SessionKey, SessionStore, Stored, Tokens, Usage,
        Version,
    },
};

const ISSUER: &str = "https://idp.test";

/// A store that removes nothing while it is broken.
#[derive(Debug)]
struct Store {
    memory: MemoryStore,
    broken: AtomicBool,
}

impl SessionStore for Store {
    fn insert(&self, new: NewSession) -> BoxFuture<'_, Result<Version, InsertError>> {
        self.memory.insert(new)
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

    async fn open(&self, subject: &str, sid: Option<&str>) -> SessionKey {
        let now = self.clock.now();
        let session = Session {
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
        };
        let opened = self.logouts.sessions.open(session, Due::Never, None).await;
        opened.unwrap().key
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
