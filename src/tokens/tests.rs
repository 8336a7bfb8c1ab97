//! Refreshes with a store that the test holds back.

mod apis;
mod callers;

use std::{sync::atomic::Ordering, time::Duration};

use http::StatusCode;
use serde_json::json;

use super::{
    attempt::{Attempt, Wanted},
    *,
};
use crate::{
    clock::{Clock as _, ManualClock, SystemClock},
    instruments::Tally,
    oidc::testing::{Answer, FakeIdp},
    random::SystemRandom,
    seal::Sealer,
    session::{
        Claim, Claimed, Due, EndReason, Lifespan, Limits, SessionStore as _,
        testing::{HeldStore, session},
    },
};

const LEASE: Duration = Duration::from_secs(30);

struct Harness {
    idp: FakeIdp,
    store: HeldStore,
    sessions: Sessions,
    tokens: Tokens,
    clock: ManualClock,
}

fn session_of(access: &str, clock: &ManualClock) -> Session {
    session("alice", access, clock.now())
}

impl Harness {
    async fn with(concurrency: usize) -> Self {
        let idp = FakeIdp::start().await;
        idp.change_metadata(|document| drop(document.remove("userinfo_endpoint")));
        let answer = json!({
            "access_token": "second", "token_type": "Bearer", "expires_in": 300, "refresh_token": "rotated",
        });
        idp.answer("/token", StatusCode::OK, &answer);
        Self::at(idp, concurrency).await
    }

    async fn at(idp: FakeIdp, concurrency: usize) -> Self {
        let clock = idp.clock.clone();
        let shared: SharedClock = Arc::new(clock.clone());
        let random: SharedRandom = Arc::new(SystemRandom);
        let store = HeldStore::new(Lifespan::default(), Arc::clone(&shared));
        let sessions = Sessions::new(
            Arc::new(store.clone()),
            Limits::default(),
            Sealer::new(&[[7; 32]], Arc::clone(&random)).unwrap(),
            Arc::clone(&shared),
            Arc::clone(&random),
            &Tally::default(),
        );
        let options = Options {
            concurrency,
            lease: LEASE,
            ..Options::default()
        };
        let party = idp.party().await;
        let tokens = Tokens::new(
            options,
            party,
            sessions.clone(),
            shared,
            random,
            &Tally::default(),
        );
        Self {
            idp,
            store,
            sessions,
            tokens,
            clock,
        }
    }

    /// Logs somebody in, whose tokens are due.
    async fn login(&self) -> SessionKey {
        let due = Due::At(self.clock.now());
        let session = session("alice", "first", self.clock.now());
        self.sessions.open(session, due, None).await.unwrap().key
    }

    async fn claim(&self, key: &SessionKey) -> Claimed {
        match self.sessions.claim(key, LEASE).await.unwrap() {
            Claim::Claimed(claimed) => claimed,
            other => panic!("{other:?}"),
        }
    }

    async fn refresh(&self, key: &SessionKey) -> Outcome {
        let stored = self.sessions.get(key).await.unwrap().unwrap();
        self.tokens.fly(*key, &stored.session).outcome().await
    }

    async fn stored(&self, key: &SessionKey) -> Arc<Session> {
        self.sessions.get(key).await.unwrap().unwrap().session
    }

    fn writes(&self) -> usize {
        self.store.replaced.load(Ordering::SeqCst)
    }

    fn requests(&self) -> usize {
        self.idp.requests_to("/token").len()
    }

    /// Waits until the IdP has seen so many requests.
    async fn requests_are(&self, count: usize) {
        let seen = async {
            while self.requests() < count {
                SystemClock.sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(&SystemClock, Duration::from_secs(20), seen)
            .await
            .unwrap();
        assert_eq!(self.requests(), count);
    }
}

#[tokio::test]
async fn a_renewal_is_one_write_and_gives_the_lease_back_with_it() {
    let harness = Harness::with(1).await;
    let key = harness.login().await;
    assert_eq!(harness.refresh(&key).await, Outcome::Refreshed);
    assert_eq!(harness.writes(), 1);
    let stored = harness.stored(&key).await;
    assert_eq!(stored.tokens.access.expose(), "second");
    assert_eq!(stored.tokens.refresh_token().unwrap().expose(), "rotated");
    assert!(stored.tokens.pending.is_none() && !stored.tokens.uncertain);
    assert!(!harness.claim(&key).await.taken_over);
}

/// Of the rotated token no other copy exists, and the answer may take its time.
#[tokio::test]
async fn a_renewal_that_asks_user_info_stores_the_rotated_token_first() {
    let harness = Harness::with(1).await;
    harness.idp.change_metadata(|_| {});
    harness.idp.answers(
        "/userinfo",
        [Answer::json(StatusCode::SERVICE_UNAVAILABLE, &json!({}))],
    );
    let harness = Harness::at(harness.idp, 1).await;
    let key = harness.login().await;
    assert_eq!(harness.refresh(&key).await, Outcome::Refreshed);
    assert_eq!(harness.writes(), 2);
    assert_eq!(harness.idp.requests_to("/userinfo").len(), 1);
    let stored = harness.stored(&key).await;
    assert_eq!(stored.tokens.refresh_token().unwrap().expose(), "rotated");
}

#[tokio::test]
async fn a_slow_store_leaves_the_idp_to_other_sessions() {
    let harness = Harness::with(1).await;
    let keys = [harness.login().await, harness.login().await];
    harness.store.before_replace.close();
    let stored = [harness.stored(&keys[0]).await, harness.stored(&keys[1]).await];
    let first = harness.tokens.fly(keys[0], &stored[0]);
    let second = harness.tokens.fly(keys[1], &stored[1]);
    // One call at a time, and none of the answers is stored.
    harness.requests_are(2).await;
    assert_eq!(harness.writes(), 0);
    harness.store.before_replace.open();
    assert_eq!(first.outcome().await, Outcome::Refreshed);
    assert_eq!(second.outcome().await, Outcome::Refreshed);
}

/// A process that stood still beyond its lease: another one has refreshed meanwhile, or is about to.
#[tokio::test]
async fn attack_10_a_lost_lease_sends_no_refresh_token() {
    let harness = Harness::with(1).await;
    let key = harness.login().await;
    let late = harness.claim(&key).await;
    harness.clock.advance(LEASE);
    let current = harness.claim(&key).await;
    assert!(current.taken_over);
    let inner = &harness.tokens.inner;
    let attempt = inner
        .refresh(&late.lease, late.stored, late.taken_over, Wanted::Session)
        .await;
    assert!(matches!(attempt, Ok(Attempt::Lost)));
    assert_eq!(harness.requests(), 0);
    // The process that has the lease goes on.
    let attempt = inner.refresh(
        &current.lease,
        current.stored,
        current.taken_over,
        Wanted::Session,
    );
    assert!(matches!(attempt.await, Ok(Attempt::Renewed)));
    assert_eq!(harness.requests(), 1);
}

/// Otherwise nobody would ask an IdP that is back until the trial counts as lost.
#[tokio::test]
async fn an_attempt_that_sends_nothing_is_no_trial_of_the_idp() {
    let harness = Harness::with(1).await;
    let key = harness.login().await;
    let late = harness.claim(&key).await;
    let breaker = &harness.tokens.inner.breaker;
    while !breaker.failure(harness.clock.now()) {}
    assert!(breaker.check(harness.clock.now()).is_err());
    harness.clock.advance(LEASE);
    let _current = harness.claim(&key).await;
    let attempt = harness
        .tokens
        .inner
        .refresh(&late.lease, late.stored, false, Wanted::Session)
        .await;
    assert!(matches!(attempt, Ok(Attempt::Lost)));
    assert!(breaker.check(harness.clock.now()).is_ok());
}

#[tokio::test]
async fn attack_10_a_lease_that_nobody_took_is_good_after_its_end() {
    let harness = Harness::with(1).await;
    let key = harness.login().await;
    let late = harness.claim(&key).await;
    harness.clock.advance(LEASE * 2);
    let attempt = harness
        .tokens
        .inner
        .refresh(&late.lease, late.stored, false, Wanted::Session)
        .await;
    assert!(matches!(attempt, Ok(Attempt::Renewed)));
}

#[tokio::test]
async fn a_session_that_ended_meanwhile_sends_no_refresh_token() {
    let harness = Harness::with(1).await;
    let key = harness.login().await;
    let stored = harness.stored(&key).await;
    harness.sessions.end(&key, EndReason::Logout).await.unwrap();
    assert_eq!(harness.tokens.fly(key, &stored).outcome().await, Outcome::Ended);
    assert_eq!(harness.requests(), 0);
}

#[tokio::test]
async fn a_refusal_after_a_holder_that_died_is_told_apart() {
    let harness = Harness::with(1).await;
    let refused = |status, error| Answer::json(status, &json!({ "error": error }));
    harness.idp.answers(
        "/token",
        [
            // It says nothing about the refresh token.
            refused(StatusCode::UNAUTHORIZED, "invalid_client"),
            refused(StatusCode::BAD_REQUEST, "invalid_grant"),
        ],
    );
    let key = harness.login().await;
    let _dies = harness.claim(&key).await;
    harness.clock.advance(LEASE);
    let Outcome::Kept(pause) = harness.refresh(&key).await else {
        panic!("the session stays");
    };
    assert!(harness.stored(&key).await.tokens.uncertain);
    harness.clock.advance(pause);
    let mut watch = harness.sessions.watch(&key);
    assert_eq!(harness.refresh(&key).await, Outcome::Ended);
    watch.changed().await;
    assert_eq!(watch.ended(), Some(Some(EndReason::AnswerLost)));
}

/// A lease does not stop the write of a former holder.
#[tokio::test]
async fn attack_10_a_late_answer_keeps_the_next_holder_from_asking() {
    let harness = Harness::with(1).await;
    let key = harness.login().await;
    let late = harness.claim(&key).await;
    harness.clock.advance(LEASE);
    let current = harness.claim(&key).await;
    let inner = &harness.tokens.inner;
    let permit = inner.permits.acquire().await.unwrap();
    let mut attempt = Box::pin(inner.refresh(
        &current.lease,
        current.stored,
        current.taken_over,
        Wanted::Session,
    ));
    assert!(futures_util::poll!(&mut attempt).is_pending());
    assert!(harness.stored(&key).await.tokens.uncertain);
    let renewed = |session: &mut Session| {
        session.tokens = session_of("late", &harness.clock).tokens;
        Due::Unchanged
    };
    let completed = harness.sessions.complete(&late.lease, late.stored, renewed);
    completed.await.unwrap();
    drop(permit);
    assert!(matches!(attempt.await, Ok(Attempt::Overtaken)));
    assert_eq!(harness.requests(), 0);
    assert!(!harness.stored(&key).await.tokens.uncertain);
}

/// The process may have stored it itself, without learning of that.
#[tokio::test]
async fn attack_10_a_late_answer_replaces_no_newer_tokens() {
    for asks_user_info in [false, true] {
        let harness = Harness::with(1).await;
        if asks_user_info {
            harness.idp.change_metadata(|_| {});
            let unavailable = Answer::json(StatusCode::SERVICE_UNAVAILABLE, &json!({}));
            harness.idp.answers("/userinfo", [unavailable]);
        }
        let harness = Harness::at(harness.idp, 1).await;
        let key = harness.login().await;
        harness.store.before_replace.close();
        let stored = harness.stored(&key).await;
        let flight = harness.tokens.fly(key, &stored);
        harness.requests_are(1).await;
        harness.clock.advance(Duration::from_secs(1));
        let newer = Arc::new(session_of("newer", &harness.clock));
        let version = harness.sessions.get(&key).await.unwrap().unwrap().version;
        let memory = &harness.store.memory;
        memory
            .replace(&key, version, newer, Due::Unchanged)
            .await
            .unwrap();
        harness.store.before_replace.open();
        assert_eq!(flight.outcome().await, Outcome::Refreshed);
        let stored = harness.stored(&key).await;
        assert_eq!(stored.tokens.access.expose(), "newer");
        assert_eq!(stored.tokens.refresh_token().unwrap().expose(), "refresh");
    }
}

#[tokio::test]
async fn a_lease_stays_if_the_answer_was_not_stored() {
    let harness = Harness::with(1).await;
    let key = harness.login().await;
    harness.store.before_replace.close();
    harness.store.replaces_fail.store(true, Ordering::SeqCst);
    let stored = harness.stored(&key).await;
    let flight = harness.tokens.fly(key, &stored);
    harness.requests_are(1).await;
    // The server stops, and does not wait for the store.
    harness.tokens.inner.permits.close();
    harness.store.before_replace.open();
    assert!(matches!(flight.outcome().await, Outcome::Kept(_)));
    harness.clock.advance(LEASE * 2);
    assert!(harness.claim(&key).await.taken_over);
}

/// The next claim says nothing of the holder that died.
#[tokio::test]
async fn a_claim_that_is_not_used_leaves_its_mark() {
    let harness = Harness::with(1).await;
    let key = harness.login().await;
    let before = harness.stored(&key).await;
    harness.clock.advance(Duration::from_secs(1));
    let stored = harness.sessions.get(&key).await.unwrap().unwrap();
    let renewed = |session: &mut Session| {
        session.tokens = session_of("second", &harness.clock).tokens;
        Due::Unchanged
    };
    harness.sessions.update(&key, stored, renewed).await.unwrap();
    let _dies = harness.claim(&key).await;
    harness.clock.advance(LEASE);
    // For a request that has seen the former token, there is nothing to do.
    assert_eq!(
        harness.tokens.fly(key, &before).outcome().await,
        Outcome::Refreshed
    );
    assert_eq!(harness.requests(), 0);
    assert!(harness.stored(&key).await.tokens.uncertain);
    assert!(!harness.claim(&key).await.taken_over);
}
