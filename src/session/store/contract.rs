//! What every store promises, as tests: `contract_tests!` runs each function here against one store.
//!
//! A store's tests give it a way to make an empty store under given limits and clock. Stores outside this process are
//! made with other limits by the same calls.

use std::{sync::Arc, time::Duration};

use super::{CreateError, Created, Limits, NewSession, ReplaceError, SessionStore, Version};
use crate::{
    clock::{Clock as _, ManualClock, Timestamp},
    jose::Claims,
    random::{Random, SystemRandom},
    secret::Secret,
    session::{Session, SessionKey, Tokens},
};

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const MILLISECOND: Duration = Duration::from_millis(1);

/// Makes one test of each contract.
macro_rules! contract_tests {
    ($make:expr) => {
        contract_tests! { $make;
            a_created_session_is_found_by_its_key_alone
            every_session_has_an_id_of_its_own
            a_drawn_id_that_is_in_use_is_refused
            a_replacement_needs_the_version_it_was_made_from
            of_several_writers_with_one_version_one_wins
            a_touch_never_disturbs_a_write
            a_touch_extends_the_idle_limit
            a_write_is_no_use_of_the_session
            reading_is_no_use_of_the_session
            a_session_ends_at_its_idle_limit
            a_session_ends_at_its_own_end_however_it_is_used
            a_session_ends_at_the_lifetime_however_it_is_used
            a_removed_session_stays_ended
            a_session_beyond_a_limit_stays_ended
            removal_returns_the_last_state_once
            an_expired_session_is_still_handed_out_by_removal
            a_person_loses_all_their_sessions_and_nobody_else_does
            the_end_of_a_session_is_told_to_all_who_wait_whatever_ends_it
            a_use_and_a_write_are_no_end
            subjects_of_other_issuers_are_other_people
            a_person_has_a_session_until_their_last_one_ends
            too_many_sessions_are_refused_and_nothing_is_evicted
            too_much_memory_is_refused_and_nothing_is_evicted
            a_write_is_never_refused_for_want_of_room
            one_session_too_many_of_a_person_ends_the_oldest
            an_expired_session_of_a_person_goes_before_one_that_is_in_use
            a_person_who_replaces_their_own_session_fits_into_a_full_store
            a_refused_login_ends_nobodys_session
            memory_that_a_login_frees_counts_for_it
            the_sweep_hands_out_what_has_expired_once
            the_sweep_is_bounded_and_says_when_it_is_done
            the_sweep_spares_what_was_used
            due_sessions_are_claimed_in_order_and_once
            a_lease_that_is_over_frees_the_session
            a_renewed_lease_keeps_the_session
            a_released_session_is_due_when_it_was
            a_late_holder_changes_nothing
            a_named_session_is_claimed_whether_due_or_not
            a_write_sets_the_next_due_time_and_keeps_the_lease
            rescheduling_makes_no_new_version
            an_idle_session_is_not_kept_alive
            a_session_that_ended_is_not_claimed
            a_lease_without_length_is_handed_out_once
        }
    };
    ($make:expr; $($name:ident)+) => {
        $(
            #[tokio::test]
            async fn $name() {
                $crate::session::store::contract::$name($make).await;
            }
        )+
    };
}
pub(super) use contract_tests;

/// Runs `$body` with an empty store under `$limits`.
macro_rules! contracts {
    ($($(#[$doc:meta])* async fn $name:ident($bench:ident: Bench = $limits:expr) $body:block)+) => {
        $(
            $(#[$doc])*
            pub(super) async fn $name<F: Future<Output = Arc<dyn SessionStore>>>(
                make: impl Fn(Limits, ManualClock) -> F,
            ) {
                let clock = ManualClock::starting_at(Timestamp::from_unix_seconds(1_000_000));
                let store = make($limits, clock.clone()).await;
                let $bench = Bench { store, clock };
                $body
            }
        )+
    };
}

/// A store and its clock.
struct Bench {
    store: Arc<dyn SessionStore>,
    clock: ManualClock,
}

/// A generator that has got stuck.
#[derive(Debug)]
struct Stuck;

// === impl Stuck ===

impl Random for Stuck {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

// === impl Bench ===

impl Bench {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn after(&self, duration: Duration) -> Timestamp {
        self.now().saturating_add(duration)
    }

    /// A session of `subject` that was logged in now, with the access token `access`.
    fn session(&self, subject: &str, access: &str) -> Session {
        Session {
            issuer: "https://idp.test".to_owned(),
            subject: subject.to_owned(),
            sid: None,
            auth_time: Some(self.now()),
            nonce: "nonce".into(),
            user: Claims::new(),
            tokens: Tokens {
                access: access.into(),
                access_obtained_at: self.now(),
                access_expires_at: self.after(Duration::from_mins(5)),
                refresh: Some(Secret::from("refresh")),
                pending: None,
                id_token: Secret::from("id"),
                scope: "openid".to_owned(),
                uncertain: false,
                strikes: None,
                later_auth_time: None,
            },
            created_at: self.now(),
            expires_at: self.after(100 * HOUR),
            identity: crate::session::Memo::default(),
        }
    }

    async fn create(&self, session: Session, due: Option<Timestamp>) -> Result<Created, CreateError> {
        let new = NewSession::new(&SystemRandom, Arc::new(session), due);
        self.store.create(new).await
    }

    /// Logs `subject` in, with tokens that are due in `due`.
    async fn login(&self, subject: &str, due: Duration) -> Created {
        let due = Some(self.after(due));
        self.create(self.session(subject, "first"), due).await.unwrap()
    }

    async fn alice(&self) -> SessionKey {
        self.login("alice", HOUR).await.key
    }

    async fn access(&self, key: &SessionKey) -> Option<String> {
        let stored = self.store.get(key).await.unwrap()?;
        Some(stored.session.tokens.access.expose().to_owned())
    }

    async fn lives(&self, key: &SessionKey) -> bool {
        self.access(key).await.is_some()
    }

    async fn version(&self, key: &SessionKey) -> Version {
        self.store.get(key).await.unwrap().unwrap().version
    }

    async fn replace(
        &self,
        key: &SessionKey,
        version: Version,
        access: &str,
    ) -> Result<Version, ReplaceError> {
        let session = Arc::new(self.session("alice", access));
        self.store.replace(key, version, session, None).await
    }

    async fn touch(&self, key: &SessionKey) {
        self.store.touch(key).await.unwrap();
    }

    /// What is claimed now, for a minute, in order.
    async fn claimed(&self, limit: usize) -> Vec<SessionKey> {
        let leases = self.store.claim_due(limit, MINUTE).await.unwrap();
        leases.iter().map(|lease| *lease.key()).collect()
    }

    async fn swept(&self, limit: usize) -> Vec<SessionKey> {
        let ended = self.store.sweep(limit).await.unwrap();
        ended.iter().map(|gone| gone.key).collect()
    }

    async fn len(&self) -> usize {
        self.store.len().await.unwrap()
    }
}

const fn just_before(limit: Duration) -> Duration {
    limit.saturating_sub(MILLISECOND)
}

fn limits() -> Limits {
    Limits {
        lifetime: 8 * HOUR,
        idle: HOUR,
        ..Limits::default()
    }
}

fn at_most(max: usize, max_per_user: usize) -> Limits {
    Limits {
        max,
        max_per_user,
        ..limits()
    }
}

contracts! {
    async fn a_created_session_is_found_by_its_key_alone(bench: Bench = limits()) {
        let created = bench.login("alice", HOUR).await;
        assert!(created.ended.is_empty());
        assert_eq!(created.key, created.id.key());
        let stored = bench.store.get(&created.key).await.unwrap().unwrap();
        assert_eq!(stored.session.subject, "alice");
        assert_eq!(stored.version, created.version);
        assert_eq!(stored.last_seen, bench.now());
        let other = NewSession::new(&SystemRandom, stored.session, None);
        assert!(!bench.lives(other.key()).await);
        assert_eq!(bench.len().await, 1);
    }

    async fn every_session_has_an_id_of_its_own(bench: Bench = limits()) {
        let (one, two) = (bench.alice().await, bench.alice().await);
        assert_ne!(one, two);
        assert_eq!(bench.len().await, 2);
    }

    async fn a_drawn_id_that_is_in_use_is_refused(bench: Bench = limits()) {
        let new = || NewSession::new(&Stuck, Arc::new(bench.session("alice", "first")), None);
        let created = bench.store.create(new()).await.unwrap();
        let refused = bench.store.create(new()).await.unwrap_err();
        assert!(matches!(refused, CreateError::Taken));
        assert_eq!(bench.version(&created.key).await, created.version);
        assert_eq!(bench.len().await, 1);
    }

    async fn a_replacement_needs_the_version_it_was_made_from(bench: Bench = limits()) {
        let key = bench.alice().await;
        let first = bench.version(&key).await;
        let second = bench.replace(&key, first, "second").await.unwrap();
        assert_ne!(first, second);
        assert_eq!(bench.access(&key).await.unwrap(), "second");
        assert_eq!(bench.version(&key).await, second);
        let stale = bench.replace(&key, first, "stale").await.unwrap_err();
        assert!(matches!(stale, ReplaceError::Conflict));
        assert_eq!(bench.access(&key).await.unwrap(), "second");
        assert_eq!(bench.len().await, 1);
    }

    async fn of_several_writers_with_one_version_one_wins(bench: Bench = limits()) {
        let key = bench.alice().await;
        let version = bench.version(&key).await;
        let writes = (0..10).map(|writer| {
            let session = Arc::new(bench.session("alice", &writer.to_string()));
            bench.store.replace(&key, version, session, None)
        });
        let outcomes = futures_util::future::join_all(writes).await;
        let mut winners = outcomes.iter().zip(0..).filter(|(outcome, _)| outcome.is_ok());
        let (_, winner) = winners.next().unwrap();
        assert!(winners.next().is_none());
        assert_eq!(bench.access(&key).await.unwrap(), winner.to_string());
    }

    async fn a_touch_never_disturbs_a_write(bench: Bench = limits()) {
        let key = bench.alice().await;
        let version = bench.version(&key).await;
        bench.clock.advance(MINUTE);
        bench.touch(&key).await;
        assert_eq!(bench.version(&key).await, version);
        bench.replace(&key, version, "second").await.unwrap();
        let stored = bench.store.get(&key).await.unwrap().unwrap();
        assert_eq!(stored.last_seen, bench.now());
    }

    async fn a_touch_extends_the_idle_limit(bench: Bench = limits()) {
        let key = bench.alice().await;
        for _ in 0..4 {
            bench.clock.advance(just_before(HOUR));
            bench.touch(&key).await;
        }
        assert!(bench.lives(&key).await);
        bench.clock.advance(HOUR);
        assert!(!bench.lives(&key).await);
    }

    async fn a_write_is_no_use_of_the_session(bench: Bench = limits()) {
        let key = bench.alice().await;
        let version = bench.version(&key).await;
        bench.clock.advance(just_before(HOUR));
        bench.replace(&key, version, "second").await.unwrap();
        bench.clock.advance(MILLISECOND);
        assert!(!bench.lives(&key).await);
    }

    async fn reading_is_no_use_of_the_session(bench: Bench = limits()) {
        let key = bench.alice().await;
        bench.clock.advance(just_before(HOUR));
        assert!(bench.lives(&key).await);
        bench.clock.advance(MILLISECOND);
        assert!(!bench.lives(&key).await);
    }

    async fn a_session_ends_at_its_idle_limit(bench: Bench = limits()) {
        let key = bench.alice().await;
        bench.clock.advance(just_before(HOUR));
        assert!(bench.lives(&key).await);
        bench.clock.advance(MILLISECOND);
        assert!(!bench.lives(&key).await);
    }

    async fn a_session_ends_at_its_own_end_however_it_is_used(bench: Bench = limits()) {
        let mut session = bench.session("alice", "first");
        session.expires_at = bench.after(MINUTE);
        let key = bench.create(session, None).await.unwrap().key;
        bench.clock.advance(just_before(MINUTE));
        bench.touch(&key).await;
        assert!(bench.lives(&key).await);
        bench.clock.advance(MILLISECOND);
        bench.touch(&key).await;
        assert!(!bench.lives(&key).await);
    }

    async fn a_session_ends_at_the_lifetime_however_it_is_used(bench: Bench = limits()) {
        let key = bench.alice().await;
        for _ in 0..15 {
            bench.clock.advance(HOUR / 2);
            bench.touch(&key).await;
            assert!(bench.lives(&key).await);
        }
        bench.clock.advance(HOUR / 2);
        assert!(!bench.lives(&key).await);
    }

    async fn a_removed_session_stays_ended(bench: Bench = limits()) {
        let key = bench.login("alice", Duration::ZERO).await.key;
        let version = bench.version(&key).await;
        let lease = bench.store.claim(&key, MINUTE).await.unwrap().unwrap();
        assert!(bench.store.remove(&key).await.unwrap().is_some());

        bench.touch(&key).await;
        let write = bench.replace(&key, version, "second").await.unwrap_err();
        assert!(matches!(write, ReplaceError::Gone));
        bench.store.reschedule(&key, Some(bench.now())).await.unwrap();
        assert!(!bench.store.renew(&lease, MINUTE).await.unwrap());
        bench.store.release(lease).await.unwrap();
        assert!(bench.store.claim(&key, MINUTE).await.unwrap().is_none());
        assert!(bench.claimed(10).await.is_empty());
        assert!(!bench.lives(&key).await);
        assert_eq!(bench.len().await, 0);
    }

    async fn a_session_beyond_a_limit_stays_ended(bench: Bench = limits()) {
        let key = bench.login("alice", Duration::ZERO).await.key;
        let version = bench.version(&key).await;
        let lease = bench.store.claim(&key, 2 * HOUR).await.unwrap().unwrap();
        bench.clock.advance(HOUR);

        bench.touch(&key).await;
        let write = bench.replace(&key, version, "second").await.unwrap_err();
        assert!(matches!(write, ReplaceError::Gone));
        assert!(!bench.store.renew(&lease, MINUTE).await.unwrap());
        bench.store.release(lease).await.unwrap();
        assert!(bench.store.claim(&key, MINUTE).await.unwrap().is_none());
        bench.store.reschedule(&key, Some(bench.now())).await.unwrap();
        assert!(bench.claimed(10).await.is_empty());
        assert!(!bench.lives(&key).await);
        assert_eq!(bench.swept(10).await, [key]);
    }

    async fn removal_returns_the_last_state_once(bench: Bench = limits()) {
        let key = bench.alice().await;
        let version = bench.version(&key).await;
        bench.replace(&key, version, "second").await.unwrap();
        let removed = bench.store.remove(&key).await.unwrap().unwrap();
        assert_eq!(removed.tokens.access.expose(), "second");
        assert!(bench.store.remove(&key).await.unwrap().is_none());
    }

    async fn an_expired_session_is_still_handed_out_by_removal(bench: Bench = limits()) {
        let key = bench.alice().await;
        bench.clock.advance(2 * HOUR);
        assert!(bench.store.remove(&key).await.unwrap().is_some());
        assert!(bench.swept(10).await.is_empty());
    }

    async fn a_person_loses_all_their_sessions_and_nobody_else_does(bench: Bench = limits()) {
        let (one, two) = (bench.alice().await, bench.alice().await);
        let bob = bench.login("bob", HOUR).await.key;
        let ended = bench.store.remove_by_subject("https://idp.test", "alice").await.unwrap();
        let mut ended: Vec<_> = ended.iter().map(|gone| gone.key).collect();
        ended.sort_unstable();
        let mut expected = vec![one, two];
        expected.sort_unstable();
        assert_eq!(ended, expected);
        assert!(!bench.lives(&one).await && !bench.lives(&two).await);
        assert!(bench.lives(&bob).await);
        let again = bench.store.remove_by_subject("https://idp.test", "alice").await.unwrap();
        assert!(again.is_empty());
    }

    async fn the_end_of_a_session_is_told_to_all_who_wait_whatever_ends_it(bench: Bench = at_most(100, 1)) {
        let wait = |key: &SessionKey| tokio::spawn(bench.store.until_end(key));
        let removed = bench.alice().await;
        let (one, two) = (wait(&removed), wait(&removed));
        tokio::task::yield_now().await;
        assert!(!one.is_finished());
        bench.store.remove(&removed).await.unwrap();
        one.await.unwrap();
        two.await.unwrap();
        // At once where it has ended already.
        wait(&removed).await.unwrap();

        let bob = wait(&bench.login("bob", HOUR).await.key);
        bench.store.remove_by_subject("https://idp.test", "bob").await.unwrap();
        bob.await.unwrap();

        let crowded_out = wait(&bench.login("carol", HOUR).await.key);
        tokio::task::yield_now().await;
        bench.login("carol", HOUR).await;
        crowded_out.await.unwrap();

        let idle = wait(&bench.login("dave", HOUR).await.key);
        tokio::task::yield_now().await;
        bench.clock.advance(HOUR);
        idle.await.unwrap();
    }

    async fn a_use_and_a_write_are_no_end(bench: Bench = limits()) {
        let key = bench.alice().await;
        let waiting = tokio::spawn(bench.store.until_end(&key));
        tokio::task::yield_now().await;
        bench.clock.advance(HOUR / 2);
        bench.touch(&key).await;
        let version = bench.version(&key).await;
        bench.replace(&key, version, "second").await.unwrap();
        bench.clock.advance(HOUR / 2);
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert!(!waiting.is_finished());
        bench.clock.advance(HOUR / 2);
        waiting.await.unwrap();
    }

    async fn subjects_of_other_issuers_are_other_people(bench: Bench = limits()) {
        let key = bench.alice().await;
        let ended = bench.store.remove_by_subject("https://other.test", "alice").await.unwrap();
        assert!(ended.is_empty());
        assert!(bench.lives(&key).await);
    }

    async fn a_person_has_a_session_until_their_last_one_ends(bench: Bench = limits()) {
        let has = async |issuer, subject| bench.store.has_session(issuer, subject).await.unwrap();
        assert!(!has("https://idp.test", "alice").await);
        let first = bench.alice().await;
        let _second = bench.alice().await;
        assert!(!has("https://other.test", "alice").await);
        assert!(!has("https://idp.test", "bob").await);
        bench.store.remove(&first).await.unwrap();
        assert!(has("https://idp.test", "alice").await);
        // Whether it was swept or not.
        bench.clock.advance(HOUR);
        assert!(!has("https://idp.test", "alice").await);
    }

    async fn too_many_sessions_are_refused_and_nothing_is_evicted(bench: Bench = at_most(3, 50)) {
        let mut keys = Vec::new();
        for subject in ["a", "b", "c"] {
            keys.push(bench.login(subject, HOUR).await.key);
        }
        let refused = bench.create(bench.session("d", "first"), None).await.unwrap_err();
        assert!(matches!(refused, CreateError::TooMany));
        for key in &keys {
            assert!(bench.lives(key).await);
        }
        bench.store.remove(&keys[0]).await.unwrap();
        bench.login("d", HOUR).await;
    }

    async fn too_much_memory_is_refused_and_nothing_is_evicted(
        bench: Bench = Limits { memory: 64 * 1024, ..limits() }
    ) {
        let key = bench.alice().await;
        let large = |bytes: usize| bench.session("bob", &"x".repeat(bytes));
        let refused = bench.create(large(100 * 1024), None).await.unwrap_err();
        assert!(matches!(refused, CreateError::OutOfMemory));
        let fits = bench.create(large(20 * 1024), None).await.unwrap();
        let refused = bench.create(large(20 * 1024), None).await.unwrap_err();
        assert!(matches!(refused, CreateError::OutOfMemory));
        assert!(bench.lives(&key).await);
        bench.store.remove(&fits.key).await.unwrap();
        bench.create(large(20 * 1024), None).await.unwrap();
    }

    async fn a_write_is_never_refused_for_want_of_room(
        bench: Bench = Limits { memory: 32 * 1024, max: 1, ..limits() }
    ) {
        let key = bench.alice().await;
        let version = bench.version(&key).await;
        bench.replace(&key, version, &"x".repeat(100 * 1024)).await.unwrap();
        assert!(bench.lives(&key).await);
    }

    async fn one_session_too_many_of_a_person_ends_the_oldest(bench: Bench = at_most(100, 3)) {
        let mut keys = Vec::new();
        for _ in 0..3 {
            keys.push(bench.alice().await);
            bench.clock.advance(MINUTE);
        }
        let bob = bench.login("bob", HOUR).await.key;
        // The oldest by login, even if it was used last.
        bench.touch(&keys[0]).await;
        let created = bench.login("alice", HOUR).await;
        let ended: Vec<_> = created.ended.iter().map(|gone| gone.key).collect();
        assert_eq!(ended, [keys[0]]);
        assert!(!bench.lives(&keys[0]).await);
        for key in [&keys[1], &keys[2], &created.key, &bob] {
            assert!(bench.lives(key).await);
        }
    }

    async fn an_expired_session_of_a_person_goes_before_one_that_is_in_use(bench: Bench = at_most(100, 2)) {
        let old = bench.alice().await;
        bench.clock.advance(MINUTE);
        let idle = bench.alice().await;
        bench.clock.advance(58 * MINUTE);
        bench.touch(&old).await;
        bench.clock.advance(3 * MINUTE);
        let created = bench.login("alice", HOUR).await;
        let ended: Vec<_> = created.ended.iter().map(|gone| gone.key).collect();
        assert_eq!(ended, [idle]);
        assert!(bench.lives(&old).await);
    }

    async fn a_person_who_replaces_their_own_session_fits_into_a_full_store(bench: Bench = at_most(1, 1)) {
        let first = bench.alice().await;
        let created = bench.login("alice", HOUR).await;
        assert_eq!(created.ended.len(), 1);
        assert!(!bench.lives(&first).await);
        assert!(bench.lives(&created.key).await);
    }

    async fn a_refused_login_ends_nobodys_session(
        bench: Bench = Limits { memory: 64 * 1024, ..at_most(100, 1) }
    ) {
        let key = bench.alice().await;
        let large = bench.session("alice", &"x".repeat(100 * 1024));
        let refused = bench.create(large, None).await.unwrap_err();
        assert!(matches!(refused, CreateError::OutOfMemory));
        assert!(bench.lives(&key).await);
    }

    async fn the_sweep_hands_out_what_has_expired_once(bench: Bench = limits()) {
        let key = bench.alice().await;
        bench.clock.advance(just_before(HOUR));
        assert!(bench.swept(10).await.is_empty());
        bench.clock.advance(MILLISECOND);
        let ended = bench.store.sweep(10).await.unwrap();
        assert_eq!(ended.len(), 1);
        assert_eq!(ended[0].key, key);
        assert_eq!(ended[0].session.tokens.access.expose(), "first");
        assert!(bench.swept(10).await.is_empty());
        assert!(bench.store.remove(&key).await.unwrap().is_none());
        assert_eq!(bench.len().await, 0);
    }

    async fn the_sweep_is_bounded_and_says_when_it_is_done(bench: Bench = limits()) {
        for _ in 0..10 {
            bench.alice().await;
        }
        bench.clock.advance(HOUR);
        assert_eq!(bench.swept(4).await.len(), 4);
        assert_eq!(bench.swept(4).await.len(), 4);
        assert_eq!(bench.swept(4).await.len(), 2);
        assert_eq!(bench.swept(4).await.len(), 0);
    }

    async fn the_sweep_spares_what_was_used(bench: Bench = limits()) {
        let (used, unused) = (bench.alice().await, bench.alice().await);
        bench.clock.advance(HOUR / 2);
        bench.touch(&used).await;
        bench.clock.advance(HOUR / 2);
        assert_eq!(bench.swept(10).await, [unused]);
        assert!(bench.lives(&used).await);
        bench.clock.advance(HOUR / 2);
        assert_eq!(bench.swept(10).await, [used]);
    }

    async fn due_sessions_are_claimed_in_order_and_once(bench: Bench = limits()) {
        let third = bench.login("c", 3 * MINUTE).await.key;
        let first = bench.login("a", MINUTE).await.key;
        let second = bench.login("b", 2 * MINUTE).await.key;
        bench.login("d", 5 * MINUTE).await;
        bench.create(bench.session("e", "first"), None).await.unwrap();
        bench.clock.advance(just_before(MINUTE));
        assert!(bench.claimed(10).await.is_empty());
        bench.clock.advance(2 * MINUTE + MILLISECOND);
        assert_eq!(bench.claimed(2).await, [first, second]);
        assert_eq!(bench.claimed(2).await, [third]);
        assert!(bench.claimed(2).await.is_empty());
    }

    async fn a_lease_that_is_over_frees_the_session(bench: Bench = limits()) {
        let key = bench.login("alice", Duration::ZERO).await.key;
        assert_eq!(bench.claimed(10).await, [key]);
        bench.clock.advance(just_before(MINUTE));
        assert!(bench.claimed(10).await.is_empty());
        bench.clock.advance(MILLISECOND);
        assert_eq!(bench.claimed(10).await, [key]);
    }

    async fn a_renewed_lease_keeps_the_session(bench: Bench = limits()) {
        let key = bench.login("alice", Duration::ZERO).await.key;
        let lease = bench.store.claim_due(1, MINUTE).await.unwrap().pop().unwrap();
        for _ in 0..3 {
            bench.clock.advance(just_before(MINUTE));
            assert!(bench.store.renew(&lease, MINUTE).await.unwrap());
        }
        assert!(bench.claimed(10).await.is_empty());
        // Nobody took it meanwhile, so even a late renewal counts.
        bench.clock.advance(2 * MINUTE);
        assert!(bench.store.renew(&lease, MINUTE).await.unwrap());
        assert!(bench.claimed(10).await.is_empty());
        bench.store.release(lease).await.unwrap();
        assert_eq!(bench.claimed(10).await, [key]);
    }

    async fn a_released_session_is_due_when_it_was(bench: Bench = limits()) {
        let key = bench.login("alice", Duration::ZERO).await.key;
        let lease = bench.store.claim_due(1, MINUTE).await.unwrap().pop().unwrap();
        bench.store.reschedule(&key, Some(bench.after(2 * MINUTE))).await.unwrap();
        bench.store.release(lease).await.unwrap();
        bench.clock.advance(just_before(2 * MINUTE));
        assert!(bench.claimed(10).await.is_empty());
        bench.clock.advance(MILLISECOND);
        assert_eq!(bench.claimed(10).await, [key]);
    }

    async fn a_late_holder_changes_nothing(bench: Bench = limits()) {
        let key = bench.login("alice", Duration::ZERO).await.key;
        let late = bench.store.claim(&key, MINUTE).await.unwrap().unwrap();
        bench.clock.advance(MINUTE);
        let current = bench.store.claim(&key, MINUTE).await.unwrap().unwrap();
        assert!(!bench.store.renew(&late, HOUR).await.unwrap());
        bench.store.release(late).await.unwrap();
        assert!(bench.store.claim(&key, MINUTE).await.unwrap().is_none());
        assert!(bench.store.renew(&current, MINUTE).await.unwrap());
    }

    async fn a_named_session_is_claimed_whether_due_or_not(bench: Bench = limits()) {
        let key = bench.create(bench.session("alice", "first"), None).await.unwrap().key;
        let lease = bench.store.claim(&key, MINUTE).await.unwrap().unwrap();
        assert_eq!(*lease.key(), key);
        assert!(bench.store.claim(&key, MINUTE).await.unwrap().is_none());
        bench.store.reschedule(&key, Some(bench.now())).await.unwrap();
        assert!(bench.claimed(10).await.is_empty());
        bench.store.release(lease).await.unwrap();
        assert_eq!(bench.claimed(10).await, [key]);
    }

    async fn a_write_sets_the_next_due_time_and_keeps_the_lease(bench: Bench = limits()) {
        let key = bench.login("alice", Duration::ZERO).await.key;
        let lease = bench.store.claim_due(1, 10 * MINUTE).await.unwrap().pop().unwrap();
        let version = bench.version(&key).await;
        let session = Arc::new(bench.session("alice", "second"));
        let due = Some(bench.after(MINUTE));
        bench.store.replace(&key, version, session, due).await.unwrap();
        bench.clock.advance(MINUTE);
        assert!(bench.claimed(10).await.is_empty());
        assert!(bench.store.claim(&key, MINUTE).await.unwrap().is_none());
        bench.store.release(lease).await.unwrap();
        assert_eq!(bench.claimed(10).await, [key]);
    }

    async fn rescheduling_makes_no_new_version(bench: Bench = limits()) {
        let key = bench.login("alice", Duration::ZERO).await.key;
        let version = bench.version(&key).await;
        bench.store.reschedule(&key, None).await.unwrap();
        assert!(bench.claimed(10).await.is_empty());
        assert_eq!(bench.version(&key).await, version);
        bench.replace(&key, version, "second").await.unwrap();
    }

    async fn an_idle_session_is_not_kept_alive(bench: Bench = limits()) {
        let idle = bench.login("alice", HOUR).await.key;
        let used = bench.login("bob", HOUR).await.key;
        bench.clock.advance(HOUR / 2);
        bench.touch(&used).await;
        bench.clock.advance(HOUR / 2);
        assert_eq!(bench.claimed(10).await, [used]);
        assert_eq!(bench.swept(10).await, [idle]);
    }

    async fn a_session_that_ended_is_not_claimed(bench: Bench = limits()) {
        let gone = bench.login("alice", Duration::ZERO).await.key;
        let alive = bench.login("bob", Duration::ZERO).await.key;
        bench.store.remove(&gone).await.unwrap();
        assert_eq!(bench.claimed(10).await, [alive]);
    }

    async fn memory_that_a_login_frees_counts_for_it(
        bench: Bench = Limits { memory: 64 * 1024, ..at_most(100, 1) }
    ) {
        let large = || bench.session("alice", &"x".repeat(20 * 1024));
        let first = bench.create(large(), None).await.unwrap();
        let second = bench.create(large(), None).await.unwrap();
        assert_eq!(second.ended.len(), 1);
        assert_eq!(second.ended[0].key, first.key);
    }

    async fn a_lease_without_length_is_handed_out_once(bench: Bench = limits()) {
        let key = bench.login("alice", Duration::ZERO).await.key;
        let leases = bench.store.claim_due(5, Duration::ZERO).await.unwrap();
        assert_eq!(leases.len(), 1);
        bench.clock.advance(MILLISECOND);
        assert_eq!(bench.claimed(5).await, [key]);
    }
}
