//! The contract of every store, and its effects in [`Sessions`], as tests: `contract_tests!` runs each function here
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

/// Makes a test of each contract, with the further attributes after a comma.
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
            every_end_of_a_session_is_announced
            a_use_and_a_write_are_no_end
            subjects_of_other_issuers_are_other_people
            a_person_has_a_session_until_their_last_one_ends
            too_many_sessions_are_refused_and_nothing_is_evicted
            one_session_too_many_of_a_person_ends_the_oldest
            an_expired_session_goes_before_a_used_one
            a_full_store_accepts_a_replacement_session
            the_sweep_hands_out_what_has_expired_once
            the_sweep_is_bounded_and_says_when_it_is_done
            the_sweep_spares_what_was_used
            due_sessions_are_claimed_in_order_and_once
            many_due_sessions_are_claimed_in_order
            a_lease_that_is_over_frees_the_session
            an_extended_lease_keeps_the_session
            a_released_session_is_due_when_its_holder_says
            a_late_holder_changes_nothing
            a_named_session_is_claimed_whether_due_or_not
            a_write_sets_the_next_due_time_and_keeps_the_lease
            a_release_makes_no_new_version
            a_completing_write_ends_the_lease
            a_completing_write_that_is_refused_keeps_the_lease
            a_late_holder_completes_without_ending_another_lease
            a_claim_that_was_not_given_back_is_taken_over
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
    ($($(#[$doc:meta])* async fn $name:ident($harness:ident: Harness = $limits:expr) $body:block)+) => {
        $(
            $(#[$doc])*
            pub(super) async fn $name<F: Future<Output = Arc<dyn SessionStore>>>(
                make: impl Fn(Lifespan, ManualClock) -> F,
            ) {
                let clock = ManualClock::starting_at(Timestamp::from_unix_seconds(1_000_000));
                let limits = $limits;
                let $harness = Harness::new(make(limits.lifespan, clock.clone()).await, limits, clock);
                $body
            }
        )+
    };
}

/// A store and its clock.
struct Harness {
    store: Arc<dyn SessionStore>,
    sessions: Sessions,
    clock: ManualClock,
    ended: Arc<Record>,
}

/// The ended sessions.
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

// === impl Harness ===

impl Harness {
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

    /// Claims the due sessions for a minute; returns them in order.
    async fn claimed(&self, limit: usize) -> Vec<SessionKey> {
        let claimed = self.sessions.claim_due(limit, MINUTE).await.unwrap();
        claimed.iter().map(|claimed| *claimed.lease.key()).collect()
    }

    /// The sessions that have ended since the last call, in order, with reasons.
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
    async fn a_created_session_is_found_by_its_key_alone(harness: Harness = limits()) {
        let created = harness.login("alice", HOUR).await;
        assert!(harness.ended().is_empty());
        assert_eq!(created.key, created.id.key());
        let stored = harness.stored(&created.key).await;
        assert_eq!(stored.session.subject, "alice");
        assert_eq!(stored.last_seen, harness.now());
        let (other, _) = NewSession::draw(&SystemRandom, stored.session, Due::Never, harness.now());
        assert!(!harness.lives(&other.key()).await);
        assert_eq!(harness.len().await, 1);
    }

    async fn every_session_has_an_id_of_its_own(harness: Harness = limits()) {
        let (one, two) = (harness.alice().await, harness.alice().await);
        assert_ne!(one, two);
        assert_eq!(harness.len().await, 2);
    }

    async fn a_drawn_id_that_is_in_use_is_refused(harness: Harness = limits()) {
        let new = || {
            let session = Arc::new(harness.session("alice", "first"));
            NewSession::draw(&Stuck, session, Due::Never, harness.now())
        };
        let (id, first) = new();
        let version = harness.store.insert(first).await.unwrap();
        let refused = harness.store.insert(new().1).await.unwrap_err();
        assert!(matches!(refused, InsertError::Taken));
        assert_eq!(harness.version(&id.key()).await, version);
        assert_eq!(harness.len().await, 1);
    }

    async fn a_replacement_needs_the_version_it_was_made_from(harness: Harness = limits()) {
        let key = harness.alice().await;
        let first = harness.version(&key).await;
        let second = harness.replace(&key, first, "second").await.unwrap();
        assert_ne!(first, second);
        assert_eq!(harness.access(&key).await.unwrap(), "second");
        assert_eq!(harness.version(&key).await, second);
        let stale = harness.replace(&key, first, "stale").await.unwrap_err();
        assert!(matches!(stale, ReplaceError::Conflict));
        assert_eq!(harness.access(&key).await.unwrap(), "second");
        assert_eq!(harness.len().await, 1);
    }

    async fn of_several_writers_with_one_version_one_wins(harness: Harness = limits()) {
        let key = harness.alice().await;
        let version = harness.version(&key).await;
        let writes = (0..10).map(|writer| {
            let session = Arc::new(harness.session("alice", &writer.to_string()));
            harness.store.replace(&key, version, session, Due::Never)
        });
        let outcomes = futures_util::future::join_all(writes).await;
        let mut winners = outcomes.iter().zip(0..).filter(|(outcome, _)| outcome.is_ok());
        let (_, winner) = winners.next().unwrap();
        assert!(winners.next().is_none());
        assert_eq!(harness.access(&key).await.unwrap(), winner.to_string());
    }

    async fn a_touch_never_disturbs_a_write(harness: Harness = limits()) {
        let key = harness.alice().await;
        let version = harness.version(&key).await;
        harness.clock.advance(MINUTE);
        harness.touch(&key).await;
        assert_eq!(harness.version(&key).await, version);
        harness.replace(&key, version, "second").await.unwrap();
        let stored = harness.stored(&key).await;
        assert_eq!(stored.last_seen, harness.now());
    }

    async fn a_touch_extends_the_idle_limit(harness: Harness = limits()) {
        let key = harness.alice().await;
        for _ in 0..4 {
            harness.clock.advance(just_before(HOUR));
            harness.touch(&key).await;
        }
        assert!(harness.lives(&key).await);
        harness.clock.advance(HOUR);
        assert!(!harness.lives(&key).await);
    }

    async fn a_write_is_no_use_of_the_session(harness: Harness = limits()) {
        let key = harness.alice().await;
        let version = harness.version(&key).await;
        harness.clock.advance(just_before(HOUR));
        harness.replace(&key, version, "second").await.unwrap();
        harness.clock.advance(MILLISECOND);
        assert!(!harness.lives(&key).await);
    }

    async fn reading_is_no_use_of_the_session(harness: Harness = limits()) {
        let key = harness.alice().await;
        harness.clock.advance(just_before(HOUR));
        assert!(harness.lives(&key).await);
        harness.clock.advance(MILLISECOND);
        assert!(!harness.lives(&key).await);
    }

    async fn a_session_ends_at_its_idle_limit(harness: Harness = limits()) {
        let key = harness.alice().await;
        harness.clock.advance(just_before(HOUR));
        assert!(harness.lives(&key).await);
        harness.clock.advance(MILLISECOND);
        assert!(!harness.lives(&key).await);
    }

    async fn a_session_ends_at_its_own_end_however_it_is_used(harness: Harness = limits()) {
        let mut session = harness.session("alice", "first");
        session.expires_at = harness.after(MINUTE);
        let key = harness.open(session, Due::Never).await.unwrap().key;
        harness.clock.advance(just_before(MINUTE));
        harness.touch(&key).await;
        assert!(harness.lives(&key).await);
        harness.clock.advance(MILLISECOND);
        harness.touch(&key).await;
        assert!(!harness.lives(&key).await);
    }

    async fn a_session_ends_at_the_lifetime_however_it_is_used(harness: Harness = limits()) {
        let key = harness.alice().await;
        for _ in 0..15 {
            harness.clock.advance(HOUR / 2);
            harness.touch(&key).await;
            assert!(harness.lives(&key).await);
        }
        harness.clock.advance(HOUR / 2);
        assert!(!harness.lives(&key).await);
    }

    async fn every_session_is_found_in_one_part(harness: Harness = limits()) {
        let mut keys = Vec::new();
        for number in 0..100 {
            keys.push(harness.login(&format!("person-{number}"), HOUR).await.key);
        }
        let gone = keys.pop().unwrap();
        assert!(harness.end(&gone).await);
        let mut found = Vec::new();
        for part in Part::all() {
            let of_part = harness.store.part(part).await.unwrap();
            assert!(of_part.iter().all(|key| Part::of(key) == part));
            found.extend(of_part);
        }
        // One that is gone may be named.
        found.retain(|key| *key != gone);
        found.sort_unstable();
        keys.sort_unstable();
        assert_eq!(found, keys);
    }

    async fn a_removed_session_stays_ended(harness: Harness = limits()) {
        let key = harness.login("alice", Duration::ZERO).await.key;
        let version = harness.version(&key).await;
        let lease = harness.claim(&key, MINUTE).await.unwrap().lease;
        assert!(harness.end(&key).await);

        harness.touch(&key).await;
        let write = harness.replace(&key, version, "second").await.unwrap_err();
        assert!(matches!(write, ReplaceError::Gone));
        assert!(!harness.sessions.extend(&lease, MINUTE).await.unwrap());
        harness.sessions.release(lease, Due::At(harness.now())).await.unwrap();
        assert!(harness.claim(&key, MINUTE).await.is_none());
        assert!(harness.claimed(10).await.is_empty());
        assert!(!harness.lives(&key).await);
        assert_eq!(harness.len().await, 0);
    }

    async fn a_session_beyond_a_limit_stays_ended(harness: Harness = limits()) {
        let key = harness.login("alice", Duration::ZERO).await.key;
        let stored = harness.stored(&key).await;
        let lease = harness.claim(&key, 2 * HOUR).await.unwrap().lease;
        harness.clock.advance(HOUR);

        harness.touch(&key).await;
        let write = harness.sessions.update(&key, stored, |_| Due::Never).await.unwrap_err();
        assert!(matches!(write, UpdateError::Gone));
        assert!(!harness.lives(&key).await);
        assert!(harness.len().await == 1);
        harness.sessions.release(lease, Due::At(harness.now())).await.unwrap();
        assert!(harness.claimed(10).await.is_empty());
        assert!(harness.claim(&key, MINUTE).await.is_none());
        assert_eq!(harness.ended(), [(key, EndReason::Idle)]);
        assert!(harness.swept(10).await.is_empty());
    }

    async fn removal_returns_the_last_state_once(harness: Harness = limits()) {
        let key = harness.alice().await;
        let version = harness.version(&key).await;
        harness.replace(&key, version, "second").await.unwrap();
        let removals = (0..5).map(|_| harness.store.remove(&key, EndReason::Logout));
        let removed = futures_util::future::join_all(removals).await;
        let mut removed = removed.into_iter().filter_map(Result::unwrap);
        assert_eq!(removed.next().unwrap().tokens.access.expose(), "second");
        assert!(removed.next().is_none());
    }

    async fn an_expired_session_is_still_handed_out_by_removal(harness: Harness = limits()) {
        let key = harness.alice().await;
        harness.clock.advance(2 * HOUR);
        assert!(harness.end(&key).await);
        assert!(harness.swept(10).await.is_empty());
    }

    async fn a_person_loses_all_their_sessions_and_nobody_else_does(harness: Harness = limits()) {
        let (one, two) = (harness.alice().await, harness.alice().await);
        let bob = harness.login("bob", HOUR).await.key;
        assert_eq!(harness.end_all_of("https://idp.test", "alice").await, 2);
        let mut ended: Vec<_> = harness.ended().into_iter().map(|(key, _)| key).collect();
        ended.sort_unstable();
        let mut expected = vec![one, two];
        expected.sort_unstable();
        assert_eq!(ended, expected);
        assert!(!harness.lives(&one).await && !harness.lives(&two).await);
        assert!(harness.lives(&bob).await);
        assert_eq!(harness.end_all_of("https://idp.test", "alice").await, 0);
    }

    async fn every_end_of_a_session_is_announced(harness: Harness = at_most(100, 1)) {
        let wait = |key: &SessionKey| tokio::spawn(harness.sessions.until_end(key));
        let removed = harness.alice().await;
        let (one, two) = (wait(&removed), wait(&removed));
        tokio::task::yield_now().await;
        assert!(!one.is_finished());
        harness.end(&removed).await;
        assert_eq!(one.await.unwrap(), Some(EndReason::Logout));
        assert_eq!(two.await.unwrap(), Some(EndReason::Logout));
        // At once if it has ended already.
        assert_eq!(wait(&removed).await.unwrap(), None);

        let bob = wait(&harness.login("bob", HOUR).await.key);
        tokio::task::yield_now().await;
        harness.end_all_of("https://idp.test", "bob").await;
        bob.await.unwrap();

        let crowded_out = wait(&harness.login("carol", HOUR).await.key);
        tokio::task::yield_now().await;
        harness.clock.advance(MILLISECOND);
        harness.login("carol", HOUR).await;
        assert_eq!(crowded_out.await.unwrap(), Some(EndReason::Crowded));

        let idle = wait(&harness.login("dave", HOUR).await.key);
        tokio::task::yield_now().await;
        harness.clock.advance(HOUR);
        assert_eq!(idle.await.unwrap(), Some(EndReason::Idle));
    }

    async fn a_use_and_a_write_are_no_end(harness: Harness = limits()) {
        let key = harness.alice().await;
        let waiting = tokio::spawn(harness.sessions.until_end(&key));
        tokio::task::yield_now().await;
        harness.clock.advance(HOUR / 2);
        harness.touch(&key).await;
        let version = harness.version(&key).await;
        harness.replace(&key, version, "second").await.unwrap();
        harness.clock.advance(HOUR / 2);
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert!(!waiting.is_finished());
        harness.clock.advance(HOUR / 2);
        waiting.await.unwrap();
    }

    async fn subjects_of_other_issuers_are_other_people(harness: Harness = limits()) {
        let key = harness.alice().await;
        assert_eq!(harness.end_all_of("https://other.test", "alice").await, 0);
        assert!(harness.lives(&key).await);
    }

    async fn a_person_has_a_session_until_their_last_one_ends(harness: Harness = limits()) {
        let has = async |issuer, subject| {
            harness.sessions.has_any(Whose::Subject { issuer, subject }).await.unwrap()
        };
        assert!(!has("https://idp.test", "alice").await);
        let first = harness.alice().await;
        let _second = harness.alice().await;
        assert!(!has("https://other.test", "alice").await);
        assert!(!has("https://idp.test", "bob").await);
        harness.end(&first).await;
        assert!(has("https://idp.test", "alice").await);
        // Whether it was swept or not.
        harness.clock.advance(HOUR);
        assert!(!has("https://idp.test", "alice").await);
    }

    async fn too_many_sessions_are_refused_and_nothing_is_evicted(harness: Harness = at_most(3, 50)) {
        let mut keys = Vec::new();
        for subject in ["a", "b", "c"] {
            keys.push(harness.login(subject, HOUR).await.key);
        }
        let refused = harness.open(harness.session("d", "first"), Due::Never).await.unwrap_err();
        assert!(matches!(refused, OpenError::TooMany));
        for key in &keys {
            assert!(harness.lives(key).await);
        }
        harness.end(&keys[0]).await;
        harness.login("d", HOUR).await;
    }

    async fn one_session_too_many_of_a_person_ends_the_oldest(harness: Harness = at_most(100, 3)) {
        let mut keys = Vec::new();
        for _ in 0..3 {
            keys.push(harness.alice().await);
            harness.clock.advance(MINUTE);
        }
        let bob = harness.login("bob", HOUR).await.key;
        // The oldest by login, even if it was used last.
        harness.touch(&keys[0]).await;
        let created = harness.login("alice", HOUR).await;
        assert_eq!(harness.ended(), [(keys[0], EndReason::Crowded)]);
        assert!(!harness.lives(&keys[0]).await);
        for key in [&keys[1], &keys[2], &created.key, &bob] {
            assert!(harness.lives(key).await);
        }
    }

    /// Both belong to one person.
    async fn an_expired_session_goes_before_a_used_one(harness: Harness = at_most(100, 2)) {
        let old = harness.alice().await;
        harness.clock.advance(MINUTE);
        let idle = harness.alice().await;
        harness.clock.advance(58 * MINUTE);
        harness.touch(&old).await;
        harness.clock.advance(3 * MINUTE);
        harness.login("alice", HOUR).await;
        assert_eq!(harness.ended(), [(idle, EndReason::Idle)]);
        assert!(harness.lives(&old).await);
    }

    async fn a_full_store_accepts_a_replacement_session(harness: Harness = at_most(1, 1)) {
        let first = harness.alice().await;
        harness.clock.advance(MILLISECOND);
        let created = harness.login("alice", HOUR).await;
        assert_eq!(harness.ended(), [(first, EndReason::Crowded)]);
        assert!(!harness.lives(&first).await);
        assert!(harness.lives(&created.key).await);
    }

    async fn the_sweep_hands_out_what_has_expired_once(harness: Harness = limits()) {
        let key = harness.alice().await;
        harness.clock.advance(just_before(HOUR));
        assert!(harness.swept(10).await.is_empty());
        harness.clock.advance(MILLISECOND);
        assert_eq!(harness.swept(10).await, [key]);
        assert!(harness.swept(10).await.is_empty());
        assert!(!harness.end(&key).await);
        assert_eq!(harness.len().await, 0);
    }

    async fn the_sweep_is_bounded_and_says_when_it_is_done(harness: Harness = limits()) {
        for _ in 0..10 {
            harness.alice().await;
        }
        harness.clock.advance(HOUR);
        assert_eq!(harness.swept(4).await.len(), 4);
        assert_eq!(harness.swept(4).await.len(), 4);
        assert_eq!(harness.swept(4).await.len(), 2);
        assert_eq!(harness.swept(4).await.len(), 0);
    }

    async fn the_sweep_spares_what_was_used(harness: Harness = limits()) {
        let (used, unused) = (harness.alice().await, harness.alice().await);
        harness.clock.advance(HOUR / 2);
        harness.touch(&used).await;
        harness.clock.advance(HOUR / 2);
        assert_eq!(harness.swept(10).await, [unused]);
        assert!(harness.lives(&used).await);
        harness.clock.advance(HOUR / 2);
        assert_eq!(harness.swept(10).await, [used]);
    }

    async fn due_sessions_are_claimed_in_order_and_once(harness: Harness = limits()) {
        let third = harness.login("c", 3 * MINUTE).await.key;
        let first = harness.login("a", MINUTE).await.key;
        let second = harness.login("b", 2 * MINUTE).await.key;
        harness.login("d", 5 * MINUTE).await;
        harness.open(harness.session("e", "first"), Due::Never).await.unwrap();
        harness.clock.advance(just_before(MINUTE));
        assert!(harness.claimed(10).await.is_empty());
        harness.clock.advance(2 * MINUTE + MILLISECOND);
        assert_eq!(harness.claimed(2).await, [first, second]);
        assert_eq!(harness.claimed(2).await, [third]);
        assert!(harness.claimed(2).await.is_empty());
    }

    async fn many_due_sessions_are_claimed_in_order(harness: Harness = limits()) {
        let mut due = Vec::new();
        for number in 0..300_u32 {
            // In no order of time.
            let after = MINUTE + MILLISECOND * (number * 7 % 300);
            due.push((after, harness.login(&number.to_string(), after).await.key));
        }
        due.sort_unstable();
        harness.clock.advance(2 * MINUTE);
        let mut claimed = Vec::new();
        for limit in (1..40).cycle() {
            let some = harness.claimed(limit).await;
            let is_last = some.len() < limit;
            claimed.extend(some);
            if is_last {
                break;
            }
        }
        let due: Vec<_> = due.into_iter().map(|(_, key)| key).collect();
        assert!(claimed == due);
    }

    async fn a_lease_that_is_over_frees_the_session(harness: Harness = limits()) {
        let key = harness.login("alice", Duration::ZERO).await.key;
        assert_eq!(harness.claimed(10).await, [key]);
        harness.clock.advance(just_before(MINUTE));
        assert!(harness.claimed(10).await.is_empty());
        harness.clock.advance(MILLISECOND);
        assert_eq!(harness.claimed(10).await, [key]);
    }

    async fn an_extended_lease_keeps_the_session(harness: Harness = limits()) {
        let key = harness.login("alice", Duration::ZERO).await.key;
        let lease = harness.sessions.claim_due(1, MINUTE).await.unwrap().pop().unwrap().lease;
        for _ in 0..3 {
            harness.clock.advance(just_before(MINUTE));
            assert!(harness.sessions.extend(&lease, MINUTE).await.unwrap());
        }
        assert!(harness.claimed(10).await.is_empty());
        // No process took it meanwhile, so even a late extension counts.
        harness.clock.advance(2 * MINUTE);
        assert!(harness.sessions.extend(&lease, MINUTE).await.unwrap());
        assert!(harness.claimed(10).await.is_empty());
        harness.sessions.release(lease, Due::Unchanged).await.unwrap();
        assert_eq!(harness.claimed(10).await, [key]);
    }

    async fn a_released_session_is_due_when_its_holder_says(harness: Harness = limits()) {
        let key = harness.login("alice", Duration::ZERO).await.key;
        let lease = harness.sessions.claim_due(1, MINUTE).await.unwrap().pop().unwrap().lease;
        harness.sessions.release(lease, Due::Unchanged).await.unwrap();
        let lease = harness.sessions.claim_due(1, MINUTE).await.unwrap().pop().unwrap().lease;
        harness.sessions.release(lease, Due::At(harness.after(2 * MINUTE))).await.unwrap();
        harness.clock.advance(just_before(2 * MINUTE));
        assert!(harness.claimed(10).await.is_empty());
        harness.clock.advance(MILLISECOND);
        assert_eq!(harness.claimed(10).await, [key]);
    }

    async fn a_late_holder_changes_nothing(harness: Harness = limits()) {
        let key = harness.login("alice", Duration::ZERO).await.key;
        let late = harness.claim(&key, MINUTE).await.unwrap().lease;
        harness.clock.advance(MINUTE);
        let current = harness.claim(&key, MINUTE).await.unwrap().lease;
        assert!(!harness.sessions.extend(&late, HOUR).await.unwrap());
        harness.sessions.release(late, Due::Never).await.unwrap();
        assert!(harness.claim(&key, MINUTE).await.is_none());
        assert!(harness.sessions.extend(&current, MINUTE).await.unwrap());
    }

    async fn a_named_session_is_claimed_whether_due_or_not(harness: Harness = limits()) {
        let key = harness.open(harness.session("alice", "first"), Due::Never).await.unwrap().key;
        assert!(harness.claimed(10).await.is_empty());
        let claimed = harness.claim(&key, MINUTE).await.unwrap();
        assert_eq!(*claimed.lease.key(), key);
        assert_eq!(claimed.stored.version, harness.version(&key).await);
        harness.clock.advance(MINUTE / 3);
        match harness.sessions.claim(&key, MINUTE).await.unwrap() {
            Claim::Held(stored, held_for) => {
                assert_eq!(stored.session.subject, "alice");
                assert_eq!(held_for, 2 * MINUTE / 3);
            }
            other => panic!("{other:?}"),
        }
        harness.sessions.release(claimed.lease, Due::At(harness.now())).await.unwrap();
        assert_eq!(harness.claimed(10).await, [key]);
    }

    async fn a_write_sets_the_next_due_time_and_keeps_the_lease(harness: Harness = limits()) {
        let key = harness.login("alice", Duration::ZERO).await.key;
        let lease = harness.sessions.claim_due(1, 10 * MINUTE).await.unwrap().pop().unwrap().lease;
        let version = harness.version(&key).await;
        let session = Arc::new(harness.session("alice", "second"));
        let due = Due::At(harness.after(MINUTE));
        harness.store.replace(&key, version, session, due).await.unwrap();
        harness.clock.advance(MINUTE);
        assert!(harness.claimed(10).await.is_empty());
        assert!(harness.claim(&key, MINUTE).await.is_none());
        harness.sessions.release(lease, Due::Unchanged).await.unwrap();
        assert_eq!(harness.claimed(10).await, [key]);
    }

    async fn a_release_makes_no_new_version(harness: Harness = limits()) {
        let key = harness.login("alice", Duration::ZERO).await.key;
        let version = harness.version(&key).await;
        let lease = harness.claim(&key, MINUTE).await.unwrap().lease;
        harness.sessions.release(lease, Due::Never).await.unwrap();
        assert!(harness.claimed(10).await.is_empty());
        assert_eq!(harness.version(&key).await, version);
        harness.replace(&key, version, "second").await.unwrap();
    }

    async fn a_completing_write_ends_the_lease(harness: Harness = limits()) {
        let key = harness.login("alice", Duration::ZERO).await.key;
        let Claimed { lease, stored, .. } = harness.claim(&key, HOUR).await.unwrap();
        assert_eq!(lease.since(), harness.now());
        let session = Arc::new(harness.session("alice", "second"));
        let due = Due::At(harness.after(MINUTE));
        let version = harness.store.complete(&lease, stored.version, session, due).await.unwrap();
        assert_eq!(harness.access(&key).await.unwrap(), "second");
        assert_eq!(harness.version(&key).await, version);
        assert!(!harness.sessions.extend(&lease, HOUR).await.unwrap());
        assert!(harness.claimed(10).await.is_empty());
        harness.clock.advance(MINUTE);
        let again = harness.sessions.claim_due(10, MINUTE).await.unwrap();
        assert_eq!(again.len(), 1);
        assert!(!again[0].taken_over);
    }

    async fn a_completing_write_that_is_refused_keeps_the_lease(harness: Harness = limits()) {
        let key = harness.alice().await;
        let Claimed { lease, stored, .. } = harness.claim(&key, MINUTE).await.unwrap();
        harness.replace(&key, stored.version, "second").await.unwrap();
        let complete = async |version| {
            let session = Arc::new(harness.session("alice", "third"));
            harness.store.complete(&lease, version, session, Due::Never).await
        };
        assert!(matches!(complete(stored.version).await, Err(ReplaceError::Conflict)));
        assert_eq!(harness.access(&key).await.unwrap(), "second");
        assert!(harness.claim(&key, MINUTE).await.is_none());
        harness.end(&key).await;
        assert!(matches!(complete(stored.version).await, Err(ReplaceError::Gone)));
        assert!(!harness.lives(&key).await);
    }

    async fn a_late_holder_completes_without_ending_another_lease(harness: Harness = limits()) {
        let key = harness.alice().await;
        let late = harness.claim(&key, MINUTE).await.unwrap();
        harness.clock.advance(MINUTE);
        let current = harness.claim(&key, HOUR).await.unwrap();
        let session = Arc::new(harness.session("alice", "second"));
        harness.store.complete(&late.lease, late.stored.version, session, Due::Never).await.unwrap();
        assert_eq!(harness.access(&key).await.unwrap(), "second");
        assert!(harness.claim(&key, MINUTE).await.is_none());
        assert!(harness.sessions.extend(&current.lease, HOUR).await.unwrap());
    }

    async fn a_claim_that_was_not_given_back_is_taken_over(harness: Harness = limits()) {
        let key = harness.login("alice", Duration::ZERO).await.key;
        assert!(!harness.claim(&key, MINUTE).await.unwrap().taken_over);
        harness.clock.advance(MINUTE);
        let named = harness.claim(&key, MINUTE).await.unwrap();
        assert!(named.taken_over);
        harness.clock.advance(MINUTE);
        let due = harness.sessions.claim_due(1, MINUTE).await.unwrap().pop().unwrap();
        assert!(due.taken_over);
        harness.sessions.release(due.lease, Due::Unchanged).await.unwrap();
        assert!(!harness.claim(&key, MINUTE).await.unwrap().taken_over);
    }

    async fn an_idle_session_is_not_kept_alive(harness: Harness = limits()) {
        let idle = harness.login("alice", HOUR).await.key;
        let used = harness.login("bob", HOUR).await.key;
        harness.clock.advance(HOUR / 2);
        harness.touch(&used).await;
        harness.clock.advance(HOUR / 2);
        assert_eq!(harness.claimed(10).await, [used]);
        assert_eq!(harness.ended(), [(idle, EndReason::Idle)]);
    }

    async fn a_session_that_ended_is_not_claimed(harness: Harness = limits()) {
        let gone = harness.login("alice", Duration::ZERO).await.key;
        let alive = harness.login("bob", Duration::ZERO).await.key;
        harness.end(&gone).await;
        assert_eq!(harness.claimed(10).await, [alive]);
    }

    async fn a_lease_without_length_is_handed_out_once(harness: Harness = limits()) {
        let key = harness.login("alice", Duration::ZERO).await.key;
        let claimed = harness.sessions.claim_due(5, Duration::ZERO).await.unwrap();
        assert_eq!(claimed.len(), 1);
        harness.clock.advance(MILLISECOND);
        assert_eq!(harness.claimed(5).await, [key]);
    }

    async fn the_sessions_of_one_login_at_the_idp_are_found(harness: Harness = limits()) {
        let with_sid = |sid: &str| Session {
            sid: Some(sid.to_owned()),
            ..harness.session("alice", "first")
        };
        let one = harness.open(with_sid("one"), Due::Never).await.unwrap().key;
        let two = harness.open(with_sid("two"), Due::Never).await.unwrap().key;
        let none = harness.alice().await;
        let sid = |issuer, sid| Whose::Sid { issuer, sid };
        let end = async |whose| harness.sessions.end_all(whose, EndReason::Logout).await.unwrap();
        assert_eq!(end(sid("https://other.test", "one")).await, 0);
        // A name of one kind never equals one of another kind.
        assert_eq!(end(sid("https://idp.test", "alice")).await, 0);
        assert_eq!(harness.end_all_of("https://idp.test", "one").await, 0);
        assert_eq!(end(sid("https://idp.test", "one")).await, 1);
        assert_eq!(harness.ended(), [(one, EndReason::Logout)]);
        assert!(harness.lives(&two).await && harness.lives(&none).await);
    }

    async fn a_session_that_is_replaced_ends_after_the_new_one_is_there(harness: Harness = at_most(1, 50)) {
        let old = harness.alice().await;
        let new = harness.session("bob", "first");
        let new = harness.sessions.open(new, Due::Never, Some(old)).await.unwrap().key;
        assert_eq!(harness.ended(), [(old, EndReason::Replaced)]);
        assert!(harness.lives(&new).await);
    }

    async fn the_cookie_of_a_session_that_has_ended_frees_no_place(harness: Harness = at_most(2, 50)) {
        let (old, other) = (harness.alice().await, harness.login("bob", HOUR).await.key);
        harness.end(&old).await;
        let carol = harness.login("carol", HOUR).await.key;
        harness.ended();
        let new = harness.session("dave", "first");
        let refused = harness.sessions.open(new, Due::Never, Some(old)).await.unwrap_err();
        assert!(matches!(refused, OpenError::TooMany));
        assert!(harness.ended().is_empty());
        assert!(harness.lives(&other).await && harness.lives(&carol).await);
    }

    async fn a_watch_is_woken_by_changes_and_the_end(harness: Harness = limits()) {
        let key = harness.login("alice", Duration::ZERO).await.key;
        let mut watch = harness.sessions.watch(&key);
        let stored = harness.stored(&key).await;
        harness.sessions.update(&key, stored, |_| Due::Unchanged).await.unwrap();
        watch.changed().await;
        let lease = harness.claim(&key, MINUTE).await.unwrap().lease;
        harness.sessions.release(lease, Due::Never).await.unwrap();
        watch.changed().await;
        assert_eq!(watch.ended(), None);
        harness.end(&key).await;
        watch.changed().await;
        assert_eq!(watch.ended(), Some(Some(EndReason::Logout)));
    }
}
