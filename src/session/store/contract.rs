//! What every store promises, and what [`Sessions`] make of it, as tests: `contract_tests!` runs each function here
//! against one store.
//!
//! A store's tests give it a way to make an empty store under a given lifespan and clock.

use std::{mem, sync::Arc, time::Duration};

use parking_lot::Mutex;

use super::{
    Claim, Claimed, Due, InsertError, NewSession, Part, ReplaceError, SessionStore, Stored, Version, Whose,
};
use crate::{
    clock::{Clock as _, ManualClock, Timestamp},
    instruments::Tally,
    random::{Random, SystemRandom},
    seal::Sealer,
    session::{
        EndReason, Ended, Lifespan, Limits, Listener, OpenError, Opened, Session, SessionKey, Sessions,
        UpdateError, testing::session,
    },
};

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const MILLISECOND: Duration = Duration::from_millis(1);

/// Makes one test of each contract, with further attributes where they are given behind a comma.
macro_rules! contract_tests {
    (@each $attributes:tt $make:expr; $($name:ident)+) => {
        $(contract_tests! { @one $attributes $make; $name })+
    };
    (@one [$($attribute:tt)*] $make:expr; $name:ident) => {
        $($attribute)*
        #[tokio::test]
        async fn $name() {
            $crate::session::store::contract::$name($make).await;
        }
    };
    ($make:expr $(, $($attribute:tt)*)?) => {
        contract_tests! { @each [$($($attribute)*)?] $make;
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
            one_session_too_many_of_a_person_ends_the_oldest
            an_expired_session_of_a_person_goes_before_one_that_is_in_use
            a_person_who_replaces_their_own_session_fits_into_a_full_store
            the_sweep_hands_out_what_has_expired_once
            the_sweep_is_bounded_and_says_when_it_is_done
            the_sweep_spares_what_was_used
            due_sessions_are_claimed_in_order_and_once
            a_lease_that_is_over_frees_the_session
            an_extended_lease_keeps_the_session
            a_released_session_is_due_when_its_holder_says
            a_late_holder_changes_nothing
            a_named_session_is_claimed_whether_due_or_not
            a_write_sets_the_next_due_time_and_keeps_the_lease
            a_release_makes_no_new_version
            an_idle_session_is_not_kept_alive
            a_session_that_ended_is_not_claimed
            a_lease_without_length_is_handed_out_once
            the_sessions_of_one_login_at_the_idp_are_found
            every_session_is_found_in_one_part
            a_session_that_is_replaced_ends_after_the_new_one_is_there
            the_cookie_of_a_session_that_has_ended_frees_no_place
            a_watch_is_woken_by_changes_and_the_end
        }
    };
}
pub(super) use contract_tests;

/// Runs `$body` with an empty store under `$limits`.
macro_rules! contracts {
    ($($(#[$doc:meta])* async fn $name:ident($bench:ident: Bench = $limits:expr) $body:block)+) => {
        $(
            $(#[$doc])*
            pub(super) async fn $name<F: Future<Output = Arc<dyn SessionStore>>>(
                make: impl Fn(Lifespan, ManualClock) -> F,
            ) {
                let clock = ManualClock::starting_at(Timestamp::from_unix_seconds(1_000_000));
                let limits = $limits;
                let $bench = Bench::new(make(limits.lifespan, clock.clone()).await, limits, clock);
                $body
            }
        )+
    };
}

/// A store and its clock.
struct Bench {
    store: Arc<dyn SessionStore>,
    sessions: Sessions,
    clock: ManualClock,
    ended: Arc<Record>,
}

/// What has ended.
#[derive(Debug, Default)]
struct Record(Mutex<Vec<Ended>>);

/// A generator that has got stuck.
#[derive(Debug)]
struct Stuck;

// === impl Stuck ===

impl Random for Stuck {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

impl Listener for Record {
    fn ended(&self, _: &Sessions, ended: &Ended) {
        self.0.lock().push(ended.clone());
    }
}

// === impl Bench ===

impl Bench {
    fn new(store: Arc<dyn SessionStore>, limits: Limits, clock: ManualClock) -> Self {
        let random = Arc::new(SystemRandom);
        let sealer = Sealer::new(&[[7; 32]], random.clone()).unwrap();
        let sessions = Sessions::new(
            Arc::clone(&store),
            limits,
            sealer,
            Arc::new(clock.clone()),
            random,
            &Tally::default(),
        );
        let ended = Arc::<Record>::default();
        sessions.subscribe(ended.clone());
        Self {
            store,
            sessions,
            clock,
            ended,
        }
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn after(&self, duration: Duration) -> Timestamp {
        self.now().saturating_add(duration)
    }

    /// A session of `subject` that was logged in now, with the access token `access`.
    fn session(&self, subject: &str, access: &str) -> Session {
        session(subject, access, self.now())
    }

    async fn open(&self, session: Session, due: Due) -> Result<Opened, OpenError> {
        self.sessions.open(session, due, None).await
    }

    /// Logs `subject` in, with tokens that are due in `due`.
    async fn login(&self, subject: &str, due: Duration) -> Opened {
        let due = Due::At(self.after(due));
        self.open(self.session(subject, "first"), due).await.unwrap()
    }

    async fn alice(&self) -> SessionKey {
        self.login("alice", HOUR).await.key
    }

    async fn stored(&self, key: &SessionKey) -> Stored {
        self.store.get(key).await.unwrap().unwrap()
    }

    async fn access(&self, key: &SessionKey) -> Option<String> {
        let stored = self.sessions.get(key).await.unwrap()?;
        Some(stored.session.tokens.access.expose().to_owned())
    }

    async fn lives(&self, key: &SessionKey) -> bool {
        self.access(key).await.is_some()
    }

    async fn version(&self, key: &SessionKey) -> Version {
        self.stored(key).await.version
    }

    async fn replace(
        &self,
        key: &SessionKey,
        version: Version,
        access: &str,
    ) -> Result<Version, ReplaceError> {
        let session = Arc::new(self.session("alice", access));
        self.store.replace(key, version, session, Due::Never).await
    }

    async fn touch(&self, key: &SessionKey) {
        if let Some(stored) = self.store.get(key).await.unwrap() {
            self.sessions.touch(key, &stored).await.unwrap();
        }
    }

    async fn end(&self, key: &SessionKey) -> bool {
        self.sessions.end(key, EndReason::Logout).await.unwrap().is_some()
    }

    async fn end_all_of(&self, issuer: &str, subject: &str) -> usize {
        let whose = Whose::Subject { issuer, subject };
        self.sessions.end_all(whose, EndReason::Everywhere).await.unwrap()
    }

    async fn claim(&self, key: &SessionKey, lease: Duration) -> Option<Claimed> {
        match self.sessions.claim(key, lease).await.unwrap() {
            Claim::Claimed(claimed) => Some(claimed),
            Claim::Held(..) | Claim::Gone => None,
        }
    }

    /// What is claimed now, for a minute, in order.
    async fn claimed(&self, limit: usize) -> Vec<SessionKey> {
        let claimed = self.sessions.claim_due(limit, MINUTE).await.unwrap();
        claimed.iter().map(|claimed| *claimed.lease.key()).collect()
    }

    /// What has ended since the last call, in order, and why.
    fn ended(&self) -> Vec<(SessionKey, EndReason)> {
        let ended = mem::take(&mut *self.ended.0.lock());
        ended.iter().map(|ended| (ended.key, ended.why)).collect()
    }

    async fn swept(&self, limit: usize) -> Vec<SessionKey> {
        self.ended();
        self.sessions.sweep(limit).await.unwrap();
        self.ended().into_iter().map(|(key, _)| key).collect()
    }

    async fn len(&self) -> usize {
        self.store.usage().await.unwrap().sessions
    }
}

const fn just_before(limit: Duration) -> Duration {
    limit.saturating_sub(MILLISECOND)
}

fn limits() -> Limits {
    Limits {
        lifespan: Lifespan {
            lifetime: 8 * HOUR,
            idle: HOUR,
        },
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
        assert!(bench.ended().is_empty());
        assert_eq!(created.key, created.id.key());
        let stored = bench.stored(&created.key).await;
        assert_eq!(stored.session.subject, "alice");
        assert_eq!(stored.last_seen, bench.now());
        let (other, _) = NewSession::draw(&SystemRandom, stored.session, Due::Never, bench.now());
        assert!(!bench.lives(&other.key()).await);
        assert_eq!(bench.len().await, 1);
    }

    async fn every_session_has_an_id_of_its_own(bench: Bench = limits()) {
        let (one, two) = (bench.alice().await, bench.alice().await);
        assert_ne!(one, two);
        assert_eq!(bench.len().await, 2);
    }

    async fn a_drawn_id_that_is_in_use_is_refused(bench: Bench = limits()) {
        let new = || {
            let session = Arc::new(bench.session("alice", "first"));
            NewSession::draw(&Stuck, session, Due::Never, bench.now())
        };
        let (id, first) = new();
        let version = bench.store.insert(first).await.unwrap();
        let refused = bench.store.insert(new().1).await.unwrap_err();
        assert!(matches!(refused, InsertError::Taken));
        assert_eq!(bench.version(&id.key()).await, version);
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
            bench.store.replace(&key, version, session, Due::Never)
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
        let stored = bench.stored(&key).await;
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
        let key = bench.open(session, Due::Never).await.unwrap().key;
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

    async fn every_session_is_found_in_one_part(bench: Bench = limits()) {
        let mut keys = Vec::new();
        for number in 0..100 {
            keys.push(bench.login(&format!("person-{number}"), HOUR).await.key);
        }
        let gone = keys.pop().unwrap();
        assert!(bench.end(&gone).await);
        let mut found = Vec::new();
        for part in Part::all() {
            let of_part = bench.store.part(part).await.unwrap();
            assert!(of_part.iter().all(|key| Part::of(key) == part));
            found.extend(of_part);
        }
        // One that is gone may be named.
        found.retain(|key| *key != gone);
        found.sort_unstable();
        keys.sort_unstable();
        assert_eq!(found, keys);
    }

    async fn a_removed_session_stays_ended(bench: Bench = limits()) {
        let key = bench.login("alice", Duration::ZERO).await.key;
        let version = bench.version(&key).await;
        let lease = bench.claim(&key, MINUTE).await.unwrap().lease;
        assert!(bench.end(&key).await);

        bench.touch(&key).await;
        let write = bench.replace(&key, version, "second").await.unwrap_err();
        assert!(matches!(write, ReplaceError::Gone));
        assert!(!bench.sessions.extend(&lease, MINUTE).await.unwrap());
        bench.sessions.release(lease, Due::At(bench.now())).await.unwrap();
        assert!(bench.claim(&key, MINUTE).await.is_none());
        assert!(bench.claimed(10).await.is_empty());
        assert!(!bench.lives(&key).await);
        assert_eq!(bench.len().await, 0);
    }

    async fn a_session_beyond_a_limit_stays_ended(bench: Bench = limits()) {
        let key = bench.login("alice", Duration::ZERO).await.key;
        let stored = bench.stored(&key).await;
        let lease = bench.claim(&key, 2 * HOUR).await.unwrap().lease;
        bench.clock.advance(HOUR);

        bench.touch(&key).await;
        let write = bench.sessions.update(&key, stored, |_| Due::Never).await.unwrap_err();
        assert!(matches!(write, UpdateError::Gone));
        assert!(!bench.lives(&key).await);
        assert!(bench.len().await == 1);
        bench.sessions.release(lease, Due::At(bench.now())).await.unwrap();
        assert!(bench.claimed(10).await.is_empty());
        assert!(bench.claim(&key, MINUTE).await.is_none());
        assert_eq!(bench.ended(), [(key, EndReason::Idle)]);
        assert!(bench.swept(10).await.is_empty());
    }

    async fn removal_returns_the_last_state_once(bench: Bench = limits()) {
        let key = bench.alice().await;
        let version = bench.version(&key).await;
        bench.replace(&key, version, "second").await.unwrap();
        let removals = (0..5).map(|_| bench.store.remove(&key, EndReason::Logout));
        let removed = futures_util::future::join_all(removals).await;
        let mut removed = removed.into_iter().filter_map(Result::unwrap);
        assert_eq!(removed.next().unwrap().tokens.access.expose(), "second");
        assert!(removed.next().is_none());
    }

    async fn an_expired_session_is_still_handed_out_by_removal(bench: Bench = limits()) {
        let key = bench.alice().await;
        bench.clock.advance(2 * HOUR);
        assert!(bench.end(&key).await);
        assert!(bench.swept(10).await.is_empty());
    }

    async fn a_person_loses_all_their_sessions_and_nobody_else_does(bench: Bench = limits()) {
        let (one, two) = (bench.alice().await, bench.alice().await);
        let bob = bench.login("bob", HOUR).await.key;
        assert_eq!(bench.end_all_of("https://idp.test", "alice").await, 2);
        let mut ended: Vec<_> = bench.ended().into_iter().map(|(key, _)| key).collect();
        ended.sort_unstable();
        let mut expected = vec![one, two];
        expected.sort_unstable();
        assert_eq!(ended, expected);
        assert!(!bench.lives(&one).await && !bench.lives(&two).await);
        assert!(bench.lives(&bob).await);
        assert_eq!(bench.end_all_of("https://idp.test", "alice").await, 0);
    }

    async fn the_end_of_a_session_is_told_to_all_who_wait_whatever_ends_it(bench: Bench = at_most(100, 1)) {
        let wait = |key: &SessionKey| tokio::spawn(bench.sessions.until_end(key));
        let removed = bench.alice().await;
        let (one, two) = (wait(&removed), wait(&removed));
        tokio::task::yield_now().await;
        assert!(!one.is_finished());
        bench.end(&removed).await;
        assert_eq!(one.await.unwrap(), Some(EndReason::Logout));
        assert_eq!(two.await.unwrap(), Some(EndReason::Logout));
        // At once where it has ended already.
        assert_eq!(wait(&removed).await.unwrap(), None);

        let bob = wait(&bench.login("bob", HOUR).await.key);
        tokio::task::yield_now().await;
        bench.end_all_of("https://idp.test", "bob").await;
        bob.await.unwrap();

        let crowded_out = wait(&bench.login("carol", HOUR).await.key);
        tokio::task::yield_now().await;
        bench.clock.advance(MILLISECOND);
        bench.login("carol", HOUR).await;
        assert_eq!(crowded_out.await.unwrap(), Some(EndReason::Crowded));

        let idle = wait(&bench.login("dave", HOUR).await.key);
        tokio::task::yield_now().await;
        bench.clock.advance(HOUR);
        assert_eq!(idle.await.unwrap(), Some(EndReason::Idle));
    }

    async fn a_use_and_a_write_are_no_end(bench: Bench = limits()) {
        let key = bench.alice().await;
        let waiting = tokio::spawn(bench.sessions.until_end(&key));
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
        assert_eq!(bench.end_all_of("https://other.test", "alice").await, 0);
        assert!(bench.lives(&key).await);
    }

    async fn a_person_has_a_session_until_their_last_one_ends(bench: Bench = limits()) {
        let has = async |issuer, subject| {
            bench.sessions.has_any(Whose::Subject { issuer, subject }).await.unwrap()
        };
        assert!(!has("https://idp.test", "alice").await);
        let first = bench.alice().await;
        let _second = bench.alice().await;
        assert!(!has("https://other.test", "alice").await);
        assert!(!has("https://idp.test", "bob").await);
        bench.end(&first).await;
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
        let refused = bench.open(bench.session("d", "first"), Due::Never).await.unwrap_err();
        assert!(matches!(refused, OpenError::TooMany));
        for key in &keys {
            assert!(bench.lives(key).await);
        }
        bench.end(&keys[0]).await;
        bench.login("d", HOUR).await;
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
        assert_eq!(bench.ended(), [(keys[0], EndReason::Crowded)]);
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
        bench.login("alice", HOUR).await;
        assert_eq!(bench.ended(), [(idle, EndReason::Idle)]);
        assert!(bench.lives(&old).await);
    }

    async fn a_person_who_replaces_their_own_session_fits_into_a_full_store(bench: Bench = at_most(1, 1)) {
        let first = bench.alice().await;
        bench.clock.advance(MILLISECOND);
        let created = bench.login("alice", HOUR).await;
        assert_eq!(bench.ended(), [(first, EndReason::Crowded)]);
        assert!(!bench.lives(&first).await);
        assert!(bench.lives(&created.key).await);
    }

    async fn the_sweep_hands_out_what_has_expired_once(bench: Bench = limits()) {
        let key = bench.alice().await;
        bench.clock.advance(just_before(HOUR));
        assert!(bench.swept(10).await.is_empty());
        bench.clock.advance(MILLISECOND);
        assert_eq!(bench.swept(10).await, [key]);
        assert!(bench.swept(10).await.is_empty());
        assert!(!bench.end(&key).await);
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
        bench.open(bench.session("e", "first"), Due::Never).await.unwrap();
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

    async fn an_extended_lease_keeps_the_session(bench: Bench = limits()) {
        let key = bench.login("alice", Duration::ZERO).await.key;
        let lease = bench.sessions.claim_due(1, MINUTE).await.unwrap().pop().unwrap().lease;
        for _ in 0..3 {
            bench.clock.advance(just_before(MINUTE));
            assert!(bench.sessions.extend(&lease, MINUTE).await.unwrap());
        }
        assert!(bench.claimed(10).await.is_empty());
        // Nobody took it meanwhile, so even a late extension counts.
        bench.clock.advance(2 * MINUTE);
        assert!(bench.sessions.extend(&lease, MINUTE).await.unwrap());
        assert!(bench.claimed(10).await.is_empty());
        bench.sessions.release(lease, Due::Unchanged).await.unwrap();
        assert_eq!(bench.claimed(10).await, [key]);
    }

    async fn a_released_session_is_due_when_its_holder_says(bench: Bench = limits()) {
        let key = bench.login("alice", Duration::ZERO).await.key;
        let lease = bench.sessions.claim_due(1, MINUTE).await.unwrap().pop().unwrap().lease;
        bench.sessions.release(lease, Due::Unchanged).await.unwrap();
        let lease = bench.sessions.claim_due(1, MINUTE).await.unwrap().pop().unwrap().lease;
        bench.sessions.release(lease, Due::At(bench.after(2 * MINUTE))).await.unwrap();
        bench.clock.advance(just_before(2 * MINUTE));
        assert!(bench.claimed(10).await.is_empty());
        bench.clock.advance(MILLISECOND);
        assert_eq!(bench.claimed(10).await, [key]);
    }

    async fn a_late_holder_changes_nothing(bench: Bench = limits()) {
        let key = bench.login("alice", Duration::ZERO).await.key;
        let late = bench.claim(&key, MINUTE).await.unwrap().lease;
        bench.clock.advance(MINUTE);
        let current = bench.claim(&key, MINUTE).await.unwrap().lease;
        assert!(!bench.sessions.extend(&late, HOUR).await.unwrap());
        bench.sessions.release(late, Due::Never).await.unwrap();
        assert!(bench.claim(&key, MINUTE).await.is_none());
        assert!(bench.sessions.extend(&current, MINUTE).await.unwrap());
    }

    async fn a_named_session_is_claimed_whether_due_or_not(bench: Bench = limits()) {
        let key = bench.open(bench.session("alice", "first"), Due::Never).await.unwrap().key;
        assert!(bench.claimed(10).await.is_empty());
        let claimed = bench.claim(&key, MINUTE).await.unwrap();
        assert_eq!(*claimed.lease.key(), key);
        assert_eq!(claimed.stored.version, bench.version(&key).await);
        bench.clock.advance(MINUTE / 3);
        match bench.sessions.claim(&key, MINUTE).await.unwrap() {
            Claim::Held(stored, held_for) => {
                assert_eq!(stored.session.subject, "alice");
                assert_eq!(held_for, 2 * MINUTE / 3);
            }
            other => panic!("{other:?}"),
        }
        bench.sessions.release(claimed.lease, Due::At(bench.now())).await.unwrap();
        assert_eq!(bench.claimed(10).await, [key]);
    }

    async fn a_write_sets_the_next_due_time_and_keeps_the_lease(bench: Bench = limits()) {
        let key = bench.login("alice", Duration::ZERO).await.key;
        let lease = bench.sessions.claim_due(1, 10 * MINUTE).await.unwrap().pop().unwrap().lease;
        let version = bench.version(&key).await;
        let session = Arc::new(bench.session("alice", "second"));
        let due = Due::At(bench.after(MINUTE));
        bench.store.replace(&key, version, session, due).await.unwrap();
        bench.clock.advance(MINUTE);
        assert!(bench.claimed(10).await.is_empty());
        assert!(bench.claim(&key, MINUTE).await.is_none());
        bench.sessions.release(lease, Due::Unchanged).await.unwrap();
        assert_eq!(bench.claimed(10).await, [key]);
    }

    async fn a_release_makes_no_new_version(bench: Bench = limits()) {
        let key = bench.login("alice", Duration::ZERO).await.key;
        let version = bench.version(&key).await;
        let lease = bench.claim(&key, MINUTE).await.unwrap().lease;
        bench.sessions.release(lease, Due::Never).await.unwrap();
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
        assert_eq!(bench.ended(), [(idle, EndReason::Idle)]);
    }

    async fn a_session_that_ended_is_not_claimed(bench: Bench = limits()) {
        let gone = bench.login("alice", Duration::ZERO).await.key;
        let alive = bench.login("bob", Duration::ZERO).await.key;
        bench.end(&gone).await;
        assert_eq!(bench.claimed(10).await, [alive]);
    }

    async fn a_lease_without_length_is_handed_out_once(bench: Bench = limits()) {
        let key = bench.login("alice", Duration::ZERO).await.key;
        let claimed = bench.sessions.claim_due(5, Duration::ZERO).await.unwrap();
        assert_eq!(claimed.len(), 1);
        bench.clock.advance(MILLISECOND);
        assert_eq!(bench.claimed(5).await, [key]);
    }

    async fn the_sessions_of_one_login_at_the_idp_are_found(bench: Bench = limits()) {
        let with_sid = |sid: &str| Session {
            sid: Some(sid.to_owned()),
            ..bench.session("alice", "first")
        };
        let one = bench.open(with_sid("one"), Due::Never).await.unwrap().key;
        let two = bench.open(with_sid("two"), Due::Never).await.unwrap().key;
        let none = bench.alice().await;
        let sid = |issuer, sid| Whose::Sid { issuer, sid };
        let end = async |whose| bench.sessions.end_all(whose, EndReason::Logout).await.unwrap();
        assert_eq!(end(sid("https://other.test", "one")).await, 0);
        // A name of one kind is none of the other.
        assert_eq!(end(sid("https://idp.test", "alice")).await, 0);
        assert_eq!(bench.end_all_of("https://idp.test", "one").await, 0);
        assert_eq!(end(sid("https://idp.test", "one")).await, 1);
        assert_eq!(bench.ended(), [(one, EndReason::Logout)]);
        assert!(bench.lives(&two).await && bench.lives(&none).await);
    }

    async fn a_session_that_is_replaced_ends_after_the_new_one_is_there(bench: Bench = at_most(1, 50)) {
        let old = bench.alice().await;
        let new = bench.session("bob", "first");
        let new = bench.sessions.open(new, Due::Never, Some(old)).await.unwrap().key;
        assert_eq!(bench.ended(), [(old, EndReason::Replaced)]);
        assert!(bench.lives(&new).await);
    }

    async fn the_cookie_of_a_session_that_has_ended_frees_no_place(bench: Bench = at_most(2, 50)) {
        let (old, other) = (bench.alice().await, bench.login("bob", HOUR).await.key);
        bench.end(&old).await;
        let carol = bench.login("carol", HOUR).await.key;
        bench.ended();
        let new = bench.session("dave", "first");
        let refused = bench.sessions.open(new, Due::Never, Some(old)).await.unwrap_err();
        assert!(matches!(refused, OpenError::TooMany));
        assert!(bench.ended().is_empty());
        assert!(bench.lives(&other).await && bench.lives(&carol).await);
    }

    async fn a_watch_is_woken_by_changes_and_the_end(bench: Bench = limits()) {
        let key = bench.login("alice", Duration::ZERO).await.key;
        let mut watch = bench.sessions.watch(&key);
        let stored = bench.stored(&key).await;
        bench.sessions.update(&key, stored, |_| Due::Unchanged).await.unwrap();
        watch.changed().await;
        let lease = bench.claim(&key, MINUTE).await.unwrap().lease;
        bench.sessions.release(lease, Due::Never).await.unwrap();
        watch.changed().await;
        assert_eq!(watch.ended(), None);
        bench.end(&key).await;
        watch.changed().await;
        assert_eq!(watch.ended(), Some(Some(EndReason::Logout)));
    }
}
