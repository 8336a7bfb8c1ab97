use std::{
    collections::HashSet,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use futures_util::FutureExt as _;

use super::*;
use crate::{
    clock::{Clock as _, ManualClock},
    random::SystemRandom,
    session::{store::contract::contract_tests, testing},
};

contract_tests!(|lifespan, clock| async move {
    let store: Arc<dyn SessionStore> = Arc::new(MemoryStore::new(lifespan, Arc::new(clock)));
    store
});

const MINUTE: Duration = Duration::from_mins(1);

/// A store with a clock that the test moves.
fn store(lifespan: Lifespan) -> (MemoryStore, ManualClock) {
    let clock = ManualClock::starting_at(Timestamp::from_unix_seconds(1_000_000));
    (MemoryStore::new(lifespan, Arc::new(clock.clone())), clock)
}

fn session(subject: &str, access: &str, now: Timestamp) -> Arc<Session> {
    Arc::new(testing::session(subject, access, now))
}

/// The memory store never waits, so threads without a runtime can drive it.
fn done<T>(future: BoxFuture<'_, T>) -> T {
    future.now_or_never().unwrap()
}

fn create(store: &MemoryStore, subject: &str) -> SessionKey {
    let now = store.clock.now();
    let (id, new) = NewSession::draw(&SystemRandom, session(subject, "0", now), Due::At(now), now);
    done(store.insert(new)).unwrap();
    id.key()
}

fn count_of(session: &Session) -> usize {
    session.tokens.access.expose().parse().unwrap()
}

/// The map shows exactly the decisions of the index.
fn assert_consistent(store: &MemoryStore) {
    let index = store.index.lock();
    index.assert_consistent();
    let entries = index.entries();
    assert_eq!(store.live.iter().count(), entries.len());
    for (key, version) in entries {
        assert_eq!(store.live.get(&key).unwrap().version, version);
    }
}

#[test]
fn parallel_writers_lose_no_write() {
    let (store, _) = store(Lifespan::default());
    let key = create(&store, "alice");
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let touching = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                done(store.touch(&key, store.clock.now())).unwrap();
                if let Claim::Claimed(claimed) = done(store.claim(&key, MINUTE)).unwrap() {
                    done(store.release(claimed.lease, Due::At(store.clock.now()))).unwrap();
                }
            }
        });
        let writers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..500 {
                        loop {
                            let stored = done(store.get(&key)).unwrap().unwrap();
                            let next = (count_of(&stored.session) + 1).to_string();
                            let next = session("alice", &next, store.clock.now());
                            match done(store.replace(&key, stored.version, next, Due::Never)) {
                                Ok(_) => break,
                                Err(ReplaceError::Conflict) => {}
                                Err(other) => panic!("{other}"),
                            }
                        }
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        touching.join().unwrap();
    });
    let stored = done(store.get(&key)).unwrap().unwrap();
    assert_eq!(count_of(&stored.session), 2_000);
    assert_consistent(&store);
}

#[test]
fn a_removal_wins_over_everything_that_runs_beside_it() {
    let (store, _) = store(Lifespan::default());
    for _ in 0..300 {
        let key = create(&store, "alice");
        let handed_out = AtomicUsize::new(0);
        let gone = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                // Writes and touches until it learns that the session has ended.
                loop {
                    let ended = gone.load(Ordering::Acquire);
                    let stored = done(store.get(&key)).unwrap();
                    assert!(!(ended && stored.is_some()), "found after its removal");
                    let Some(stored) = stored else { break };
                    done(store.touch(&key, store.clock.now())).unwrap();
                    let next = Arc::clone(&stored.session);
                    let written = done(store.replace(&key, stored.version, next, Due::Unchanged));
                    assert!(!(ended && written.is_ok()), "written after its removal");
                }
            });
            scope.spawn(|| {
                while !gone.load(Ordering::Acquire) {
                    if let Claim::Claimed(claimed) = done(store.claim(&key, MINUTE)).unwrap() {
                        done(store.release(claimed.lease, Due::Unchanged)).unwrap();
                    }
                    for claimed in done(store.claim_due(4, MINUTE)).unwrap() {
                        done(store.release(claimed.lease, Due::Unchanged)).unwrap();
                    }
                }
            });
            for _ in 0..2 {
                scope.spawn(|| {
                    if done(store.remove(&key, EndReason::Logout)).unwrap().is_some() {
                        handed_out.fetch_add(1, Ordering::Relaxed);
                        gone.store(true, Ordering::Release);
                    }
                });
            }
        });
        assert_eq!(handed_out.load(Ordering::Relaxed), 1);
        assert!(done(store.get(&key)).unwrap().is_none());
    }
    assert_eq!(done(store.usage()).unwrap(), Usage::default());
    assert_consistent(&store);
}

#[test]
fn parallel_claimers_share_out_what_is_due() {
    let (store, _) = store(Lifespan::default());
    let keys: HashSet<_> = (0..2_000).map(|_| create(&store, "alice")).collect();
    let claimed: Vec<SessionKey> = thread::scope(|scope| {
        let claimers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut mine = Vec::new();
                    loop {
                        let claimed = done(store.claim_due(7, MINUTE)).unwrap();
                        if claimed.is_empty() {
                            return mine;
                        }
                        mine.extend(claimed.iter().map(|claimed| *claimed.lease.key()));
                    }
                })
            })
            .collect();
        claimers
            .into_iter()
            .flat_map(|claimer| claimer.join().unwrap())
            .collect()
    });
    assert_eq!(claimed.len(), keys.len());
    assert_eq!(claimed.into_iter().collect::<HashSet<_>>(), keys);
    assert_consistent(&store);
}

#[test]
fn any_number_of_sessions_is_looked_through_in_strides() {
    let (store, clock) = store(Lifespan::default());
    let keys: Vec<_> = (0..3 * OVERDUE_STRIDE).map(|_| create(&store, "alice")).collect();
    clock.advance(Duration::from_mins(59));
    for key in &keys[1..] {
        done(store.touch(key, clock.now())).unwrap();
    }
    clock.advance(MINUTE);
    // All of them are up for a look, and only one has ended.
    assert_eq!(done(store.overdue(10)).unwrap(), [keys[0]]);
    assert_eq!(done(store.overdue(10)).unwrap(), [keys[0]]);
    assert_consistent(&store);
}

#[test]
fn a_replacement_is_found_under_what_it_says() {
    let (store, clock) = store(Lifespan::default());
    let key = create(&store, "alice");
    let stored = done(store.get(&key)).unwrap().unwrap();
    let mut next = (*session("alice", "1", clock.now())).clone();
    next.created_at = next.created_at.saturating_sub(MINUTE);
    next.expires_at = clock.now().saturating_add(MINUTE);
    done(store.replace(&key, stored.version, Arc::new(next), Due::Never)).unwrap();
    assert_consistent(&store);
    clock.advance(MINUTE);
    assert_eq!(done(store.overdue(10)).unwrap(), [key]);
    done(store.remove(&key, EndReason::Lifetime)).unwrap();
    assert_consistent(&store);
}

#[test]
fn a_touch_that_meets_a_write_is_not_lost() {
    let now = Timestamp::from_unix_seconds(1_000_000);
    let entry = Entry::new(session("alice", "0", now), now);
    // A reader holds the old version while the new one is being stored.
    let next = entry.next(session("alice", "1", now));
    let later = now.saturating_add(MINUTE);
    entry.life.touch(later);
    assert_eq!(next.last_seen(), later);
    // A clock that steps back takes nothing away.
    next.life.touch(now);
    assert_eq!(entry.last_seen(), later);
}

#[test]
fn debug_shows_no_session() {
    let (store, _) = store(Lifespan::default());
    create(&store, "alice");
    let text = format!("{store:?}");
    assert_eq!(text, "MemoryStore { .. }");
}
