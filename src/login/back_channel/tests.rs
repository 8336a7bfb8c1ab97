use std::{sync::atomic::Ordering, time::Duration};

use super::*;
use crate::{
    clock::{Clock as _, ManualClock, Timestamp},
    instruments::Tally,
    random::{SharedRandom, SystemRandom},
    seal::Sealer,
    session::{
        Lifespan, Limits, MemoryOnce, SessionStore as _,
        testing::{Gate, HeldStore, session},
    },
};

const ISSUER: &str = "https://idp.test";

struct Harness {
    logouts: Logouts,
    store: HeldStore,
    clock: ManualClock,
}

// === impl Harness ===

impl Harness {
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
        let store = HeldStore::new(lifespan, Arc::clone(&shared));
        let sealer = Sealer::new(&[[7; 32]], Arc::clone(&random)).unwrap();
        let sessions = Sessions::new(
            Arc::new(store.clone()),
            limits,
            sealer.clone(),
            Arc::clone(&shared),
            random,
            &Tally::default(),
        );
        let memories = Memories {
            once: Arc::new(MemoryOnce::new(Arc::clone(&shared))),
            passing: None,
        };
        Self {
            logouts: Logouts::new(sessions, memories, &sealer, shared),
            store,
            clock,
        }
    }

    fn session(&self, subject: &str, sid: Option<&str>) -> Session {
        Session {
            sid: sid.map(str::to_owned),
            ..session(subject, "access", self.clock.now())
        }
    }

    async fn open(&self, subject: &str, sid: Option<&str>) -> SessionKey {
        let session = self.session(subject, sid);
        let opened = self.logouts.sessions.open(session, Due::Never, None).await;
        opened.unwrap().key
    }

    /// Whether a login of alice leads to a session if a logout comes while `held` is held back: before the store has
    /// the session, or after that and before the login learns of it.
    async fn log_in(&self, held: &Gate, token: &LogoutToken) -> bool {
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
        held.close();
        let login = self.logouts.open(session, Due::Never, None, &course);
        let logout = async {
            tokio::task::yield_now().await;
            self.logouts.end(token).await.unwrap();
            held.open();
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
    let harness = Harness::new();
    let one = harness.open("alice", Some("sid-1")).await;
    let two = harness.open("alice", Some("sid-2")).await;
    let without = harness.open("alice", None).await;
    // Another issuer's account could not be here; another person of the same session can.
    let bob = harness.open("bob", Some("sid-1")).await;
    let end = async |id: &str, subject, sid| harness.logouts.end(&harness.token(id, subject, sid)).await;

    assert_eq!(end("a", Some("alice"), Some("sid-1")).await.unwrap(), 1);
    assert!(!harness.lives(&one).await && harness.lives(&bob).await);
    assert_eq!(end("b", None, Some("sid-1")).await.unwrap(), 1);
    assert!(!harness.lives(&bob).await && harness.lives(&two).await);
    assert_eq!(end("c", Some("bob"), Some("sid-2")).await.unwrap(), 0);
    assert_eq!(end("d", Some("alice"), None).await.unwrap(), 2);
    assert!(!harness.lives(&two).await && !harness.lives(&without).await);
    let again = end("d", Some("alice"), None).await;
    assert!(matches!(again, Err(BackChannelError::Replayed)));
}

#[tokio::test]
async fn an_unfinished_logout_token_counts_again() {
    let harness = Harness::new();
    let key = harness.open("alice", Some("sid-1")).await;
    for (subject, sid) in [
        (Some("alice"), None),
        (None, Some("sid-1")),
        (Some("alice"), Some("sid-1")),
    ] {
        let token = harness.token("a", subject, sid);
        harness.store.removes_fail.store(true, Ordering::Relaxed);
        let failed = harness.logouts.end(&token).await;
        assert!(matches!(failed, Err(BackChannelError::Store(_))));
        assert!(harness.lives(&key).await);
    }
    harness.store.removes_fail.store(false, Ordering::Relaxed);
    let token = harness.token("a", Some("alice"), None);
    assert_eq!(harness.logouts.end(&token).await.unwrap(), 1);
    assert!(!harness.lives(&key).await);
    let again = harness.logouts.end(&token).await;
    assert!(matches!(again, Err(BackChannelError::Replayed)));
}

/// The logout comes before or after the session is stored.
#[tokio::test]
async fn attack_32_a_logout_and_a_login_always_see_each_other() {
    for (subject, sid, lives) in [
        (Some("alice"), None, false),
        (None, Some("sid-1"), false),
        (Some("alice"), Some("sid-1"), false),
        (Some("bob"), None, true),
    ] {
        for before in [true, false] {
            let harness = Harness::new();
            let store = &harness.store;
            let held = if before {
                &store.before_insert
            } else {
                &store.after_insert
            };
            let opened = harness.log_in(held, &harness.token("a", subject, sid)).await;
            assert_eq!(opened, lives, "{subject:?} {sid:?} {before}");
            let stored = store.usage().await.unwrap().sessions;
            assert_eq!(stored, usize::from(lives), "{subject:?} {sid:?} {before}");
        }
    }
}
