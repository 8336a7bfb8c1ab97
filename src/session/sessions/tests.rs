//! The decisions of [`Sessions`], over the memory store, with many callers at a time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{FutureExt as _, StreamExt as _, stream};

use super::*;
use crate::{
    clock::{Clock as _, ManualClock, Timestamp},
    instruments::Tally,
    random::SystemRandom,
    session::{Change, Ended, MemoryStore, NewSession, Whose, testing::session},
};

const MINUTE: Duration = Duration::from_mins(1);

#[derive(Debug, Default)]
struct Count(AtomicUsize);

impl Listener for Count {
    fn ended(&self, _: &Sessions, _: &Ended) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn setup(limits: Limits) -> (Sessions, ManualClock, Arc<Count>) {
    let clock = ManualClock::starting_at(Timestamp::from_unix_seconds(1_000_000));
    let random: SharedRandom = Arc::new(SystemRandom);
    let sessions = Sessions::new(
        Arc::new(MemoryStore::new(limits.lifespan, Arc::new(clock.clone()))),
        limits,
        Sealer::new(&[[7; 32]], Arc::clone(&random)).unwrap(),
        Arc::new(clock.clone()),
        random,
        &Tally::default(),
    );
    let ended = Arc::<Count>::default();
    sessions.subscribe(ended.clone());
    (sessions, clock, ended)
}

/// Drives `future` on this thread.
fn done<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

fn open(sessions: &Sessions, subject: &str, access: &str) -> Result<SessionKey, OpenError> {
    let now = sessions.inner.clock.now();
    done(sessions.open(session(subject, access, now), Due::At(now), None)).map(|opened| opened.key)
}

fn lives(sessions: &Sessions, key: &SessionKey) -> bool {
    done(sessions.get(key)).unwrap().is_some()
}

fn stored(sessions: &Sessions) -> usize {
    done(sessions.inner.store.usage()).unwrap().sessions
}

fn kilobytes(count: usize) -> String {
    "x".repeat(count * 1024)
}

#[test]
fn every_session_ends_once_though_many_end_it() {
    let limits = Limits {
        lifespan: Lifespan {
            idle: MINUTE,
            ..Lifespan::default()
        },
        max: 200,
        max_per_user: 3,
        ..Limits::default()
    };
    let (sessions, clock, ended) = setup(limits);
    let opened = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for worker in 0..4_u32 {
            let (sessions, clock, opened) = (&sessions, &clock, &opened);
            scope.spawn(move || {
                let mut mine = Vec::new();
                for round in 0..1_000_u32 {
                    let subject = format!("person-{}", (round * 7 + worker) % 90);
                    if let Ok(key) = open(sessions, &subject, "0") {
                        opened.fetch_add(1, Ordering::Relaxed);
                        mine.push(key);
                    }
                    // Until the replaced session has ended, a login may be one too many.
                    assert!(stored(sessions) <= limits.max + 4);
                    if let Some(key) = mine.get(usize::try_from(round / 3).unwrap()) {
                        if let Some(stored) = done(sessions.get(key)).unwrap() {
                            done(sessions.touch(key, &stored)).unwrap();
                            let due = Due::At(clock.now().saturating_add(MINUTE));
                            let _ = done(sessions.update(key, stored, |_| due));
                        }
                        if round % 5 == 0 {
                            done(sessions.end(key, EndReason::Logout)).unwrap();
                        }
                    }
                    match round % 50 {
                        10 => {
                            let whose = Whose::Subject {
                                issuer: "https://idp.test",
                                subject: &subject,
                            };
                            done(sessions.end_all(whose, EndReason::Everywhere)).unwrap();
                        }
                        20 | 40 => {
                            done(sessions.sweep(20)).unwrap();
                        }
                        30 => clock.advance(MINUTE / 6),
                        _ => {}
                    }
                    drop(done(sessions.claim_due(2, MINUTE)).unwrap());
                }
            });
        }
    });
    let left = stored(&sessions);
    assert!(left <= limits.max);
    let ended = || ended.0.load(Ordering::Relaxed);
    assert_eq!(opened.into_inner(), ended() + left);
    clock.advance(MINUTE);
    let before = ended();
    assert!(!done(sessions.sweep(usize::MAX)).unwrap());
    assert_eq!(ended() - before, left);
    assert_eq!(stored(&sessions), 0);
}

#[test]
fn logins_at_the_same_time_do_not_pass_the_limit_together() {
    let (sessions, _, _) = setup(Limits {
        max: 50,
        ..Limits::default()
    });
    let opened = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let (sessions, opened) = (&sessions, &opened);
            scope.spawn(move || {
                for round in 0..100 {
                    if open(sessions, &format!("{worker}-{round}"), "0").is_ok() {
                        opened.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(opened.into_inner(), 50);
    assert_eq!(stored(&sessions), 50);
}

#[test]
fn too_much_memory_is_refused_and_nothing_is_evicted() {
    let (sessions, _, _) = setup(Limits {
        memory: 64 * 1024,
        ..Limits::default()
    });
    let alice = open(&sessions, "alice", "0").unwrap();
    let refused = open(&sessions, "bob", &kilobytes(100)).unwrap_err();
    assert!(matches!(refused, OpenError::OutOfMemory));
    let fits = open(&sessions, "bob", &kilobytes(20)).unwrap();
    let refused = open(&sessions, "carol", &kilobytes(20)).unwrap_err();
    assert!(matches!(refused, OpenError::OutOfMemory));
    assert!(lives(&sessions, &alice));
    done(sessions.end(&fits, EndReason::Logout)).unwrap();
    open(&sessions, "carol", &kilobytes(20)).unwrap();
}

#[test]
fn a_write_is_never_refused_for_want_of_room() {
    let (sessions, clock, _) = setup(Limits {
        memory: 32 * 1024,
        max: 1,
        ..Limits::default()
    });
    let key = open(&sessions, "alice", "0").unwrap();
    let stored = done(sessions.get(&key)).unwrap().unwrap();
    let larger = session("alice", &kilobytes(100), clock.now());
    done(sessions.update(&key, stored, |session| {
        *session = larger.clone();
        Due::Never
    }))
    .unwrap();
    assert!(lives(&sessions, &key));
}

#[test]
fn a_refused_login_ends_nobodys_session() {
    let (sessions, clock, ended) = setup(Limits {
        memory: 64 * 1024,
        max_per_user: 1,
        ..Limits::default()
    });
    let key = open(&sessions, "alice", "0").unwrap();
    let large = session("alice", &kilobytes(100), clock.now());
    let refused = done(sessions.open(large, Due::Never, Some(key))).unwrap_err();
    assert!(matches!(refused, OpenError::OutOfMemory));
    assert!(lives(&sessions, &key));
    assert_eq!(ended.0.load(Ordering::Relaxed), 0);
}

#[test]
fn memory_that_a_login_frees_counts_for_it() {
    let (sessions, clock, _) = setup(Limits {
        memory: 64 * 1024,
        max_per_user: 1,
        ..Limits::default()
    });
    let first = open(&sessions, "alice", &kilobytes(20)).unwrap();
    clock.advance(Duration::from_millis(1));
    open(&sessions, "alice", &kilobytes(20)).unwrap();
    assert!(!lives(&sessions, &first));
}

#[test]
fn of_many_logins_of_a_person_at_a_time_as_many_stay_as_may() {
    for most in 1..4 {
        let (sessions, _, _) = setup(Limits {
            max_per_user: most,
            ..Limits::default()
        });
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        open(&sessions, "alice", "0").unwrap();
                    }
                });
            }
        });
        assert_eq!(stored(&sessions), most);
        let last = open(&sessions, "alice", "0").unwrap();
        assert!(lives(&sessions, &last));
        assert_eq!(stored(&sessions), most);
    }
}

#[tokio::test]
async fn a_login_that_another_one_has_crowded_out_ends_none_itself() {
    let (sessions, clock, _) = setup(Limits {
        max_per_user: 1,
        ..Limits::default()
    });
    // Both are stored before either of them looks.
    let store = async || {
        let stored = Arc::new(session("alice", "0", clock.now()));
        let (id, new) = NewSession::draw(&SystemRandom, Arc::clone(&stored), Due::Never, clock.now());
        sessions.inner.store.insert(new).await.unwrap();
        (id.key(), stored)
    };
    let (one, two) = (store().await, store().await);
    let turn_of_one = sessions.inner.admission.crowding.lock().await;
    let mut waiting = std::pin::pin!(sessions.make_place(&two.0, &two.1, None));
    assert!((&mut waiting).now_or_never().is_none());
    sessions.end(&two.0, EndReason::Crowded).await.unwrap();
    drop(turn_of_one);
    waiting.await.unwrap();
    assert!(sessions.get(&one.0).await.unwrap().is_some());
}

#[test]
fn a_slow_login_counts_in_spite_of_a_quicker_one() {
    let (sessions, clock, _) = setup(Limits {
        max_per_user: 1,
        ..Limits::default()
    });
    let slow = session("alice", "0", clock.now());
    clock.advance(MINUTE);
    let quick = open(&sessions, "alice", "0").unwrap();
    let slow = done(sessions.open(slow, Due::Never, None)).unwrap().key;
    assert!(lives(&sessions, &slow));
    assert!(!lives(&sessions, &quick));
}

#[tokio::test]
async fn what_other_processes_change_reaches_those_who_wait() {
    let (sessions, clock, ended) = setup(Limits::default());
    let now = clock.now();
    let opened = sessions.open(session("alice", "0", now), Due::At(now), None);
    let key = opened.await.unwrap().key;
    let store = Arc::clone(&sessions.inner.store);
    let follow = async |change| sessions.follow(stream::iter([change]).boxed()).await;

    let mut watch = sessions.watch(&key);
    follow(Change::Of(key)).await;
    watch.changed().await;
    let waiting = tokio::spawn(sessions.until_end(&key));
    tokio::task::yield_now().await;
    store.remove(&key, EndReason::Everywhere).await.unwrap();
    follow(Change::Ended(key, EndReason::Everywhere)).await;
    assert_eq!(waiting.await.unwrap(), Some(EndReason::Everywhere));
    // The process that ended it revokes its tokens.
    assert_eq!(ended.0.load(Ordering::Relaxed), 0);

    // An unannounced end is found by polling.
    let opened = sessions.open(session("alice", "0", now), Due::At(now), None);
    let key = opened.await.unwrap().key;
    let waiting = tokio::spawn(sessions.until_end(&key));
    tokio::task::yield_now().await;
    store.remove(&key, EndReason::Logout).await.unwrap();
    follow(Change::Heard).await;
    assert_eq!(waiting.await.unwrap(), None);
}

#[test]
fn watches_that_go_at_the_same_moment_leave_nothing_behind() {
    let (sessions, _, _) = setup(Limits::default());
    for round in 0..2_000 {
        let key = open(&sessions, "alice", &round.to_string()).unwrap();
        let watches: Vec<_> = (0..4).map(|_| sessions.watch(&key)).collect();
        std::thread::scope(|threads| {
            for watch in watches {
                threads.spawn(move || drop(watch));
            }
        });
        assert_eq!(sessions.inner.watchers.len(), 0, "{round}");
    }
}

#[test]
fn an_unwatched_session_takes_no_memory() {
    let (sessions, _, _) = setup(Limits::default());
    let key = open(&sessions, "alice", "0").unwrap();
    let (one, two) = (sessions.watch(&key), sessions.watch(&key));
    drop(one);
    assert_eq!(sessions.inner.watchers.len(), 1);
    drop(two);
    assert_eq!(sessions.inner.watchers.len(), 0);
    assert!(sessions.until_end(&key).now_or_never().is_none());
    assert_eq!(sessions.inner.watchers.len(), 0);
}
