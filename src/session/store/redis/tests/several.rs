//! Several processes that share a Redis, and their behaviour during an outage.

use futures_util::{FutureExt as _, StreamExt as _};

use super::{
    harness::Server,
    proxy::{Network, Proxy},
    *,
};
use crate::{session::store::Cached, telemetry::testing::Logs};

const SECOND: Duration = Duration::from_secs(1);

/// The changes of a store, from when it hears them.
async fn changes(store: &RedisStore) -> BoxStream<'static, Change> {
    let mut changes = store.changes();
    assert_eq!(changes.next().await, Some(Change::Heard));
    changes
}

/// Moves the clock until something comes; how long that took.
async fn moved_until(clock: &ManualClock, changes: &mut BoxStream<'static, Change>) -> (Change, Duration) {
    let step = Duration::from_millis(100);
    let start = clock.now();
    let coming = changes.next();
    tokio::pin!(coming);
    for _ in 0..1_000 {
        for _ in 0..50 {
            if let Some(change) = coming.as_mut().now_or_never() {
                return (change.unwrap(), clock.now().duration_since(start));
            }
            // For data on its way through the sockets of this machine.
            SystemClock.sleep(Duration::from_millis(1)).await;
        }
        clock.advance(step);
    }
    panic!("nothing comes");
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn processes_hear_changes_of_others_and_not_their_own() {
    let url = shared().url_of_its_own();
    let (one, two) = (connect_now(&url).await, connect_now(&url).await);
    let (mut at_one, mut at_two) = (changes(&one).await, changes(&two).await);
    let key = one.login("alice", Duration::ZERO).await;
    let mut times = Vec::new();
    for number in 0..11 {
        let begin = SystemClock.now();
        one.write(&key, &number.to_string()).await.unwrap();
        assert_eq!(at_two.next().await, Some(Change::Of(key)));
        times.push(SystemClock.now().duration_since(begin));
    }
    // The half of them: this machine may have other things to do.
    times.sort_unstable();
    assert!(times[5] < Duration::from_millis(100), "{times:?}");
    let claimed = one.claim_due(1, MINUTE).await.unwrap().pop().unwrap();
    let later = SystemClock.now().saturating_add(MINUTE);
    one.touch(&key, later).await.unwrap();
    one.release(claimed.lease, Due::Unchanged).await.unwrap();
    assert_eq!(at_two.next().await, Some(Change::Of(key)));
    one.remove(&key, EndReason::Everywhere).await.unwrap();
    assert_eq!(
        at_two.next().await,
        Some(Change::Ended(key, EndReason::Everywhere))
    );
    assert!(two.inner.ended.contains(&key));

    // The first thing that one process hears is the change of the other.
    let other = two.login("bob", HOUR).await;
    two.end(&other).await;
    assert_eq!(at_one.next().await, Some(Change::Ended(other, EndReason::Logout)));
    assert!(at_two.next().now_or_never().is_none());
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn a_lease_of_one_keeps_the_other_out_until_it_is_over() {
    let (url, clock) = (shared().url_of_its_own(), clock());
    let one = connect(&url, Arc::new(clock.clone())).await;
    let two = connect(&url, Arc::new(clock.clone())).await;
    let key = one.login("alice", Duration::ZERO).await;
    let late = one.claim_due(10, MINUTE).await.unwrap().pop().unwrap();
    assert!(two.claim_due(10, MINUTE).await.unwrap().is_empty());
    clock.advance(MINUTE / 4);
    match two.claim(&key, MINUTE).await.unwrap() {
        Claim::Held(_, rest) => assert_eq!(rest, MINUTE * 3 / 4),
        other => panic!("{other:?}"),
    }
    clock.advance(MINUTE);
    let taken = two.claim_due(10, MINUTE).await.unwrap().pop().unwrap();
    assert!(!one.extend(&late.lease, MINUTE).await.unwrap());
    one.release(late.lease, Due::Never).await.unwrap();
    assert!(two.extend(&taken.lease, MINUTE).await.unwrap());
    // One process cannot overwrite the change of another.
    let stored = two.get(&key).await.unwrap().unwrap();
    one.write(&key, "second").await.unwrap();
    let stale = two
        .replace(&key, stored.version, stored.session, Due::Never)
        .await;
    assert!(matches!(stale, Err(ReplaceError::Conflict)));
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn many_claims_at_once_hand_each_session_out_once() {
    let (url, clock) = (shared().url_of_its_own(), clock());
    let mut stores = Vec::new();
    for _ in 0..4 {
        stores.push(connect(&url, Arc::new(clock.clone())).await);
    }
    let mut expected = Vec::new();
    for _ in 0..100 {
        expected.push(stores[0].login("alice", Duration::ZERO).await);
    }
    let claims = stores.iter().map(async |store| {
        let mut claimed = Vec::new();
        loop {
            let some = store.claim_due(7, MINUTE).await.unwrap();
            let is_last = some.len() < 7;
            claimed.extend(some.iter().map(|claimed| *claimed.lease.key()));
            if is_last {
                return claimed;
            }
        }
    });
    let mut claimed = futures_util::future::join_all(claims).await.concat();
    claimed.sort_unstable();
    expected.sort_unstable();
    assert_eq!(claimed, expected);
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn a_connection_that_is_cut_is_noticed_at_once_and_made_again() {
    let logs = Logs::capture();
    let (server, clock) = (Server::start(&[]), clock());
    let proxy = Proxy::to(server.port).await;
    let store = connect(
        &format!("redis://127.0.0.1:{}", proxy.port),
        Arc::new(clock.clone()),
    )
    .await;
    let mut changes = changes(&store).await;
    let key = store.login("alice", HOUR).await;
    proxy.set(Network::IsCut);
    assert_eq!(changes.next().await, Some(Change::Lost));
    assert!(store.get(&key).await.is_err());
    assert!(store.try_login("bob", HOUR).await.is_err());
    // It tries again by the clock, and says once that it cannot.
    for _ in 0..20 {
        assert!(changes.next().now_or_never().is_none());
        SystemClock.sleep(Duration::from_millis(5)).await;
        clock.advance(SECOND);
    }
    logs.has_part("WARN", "Redis sends no changes");
    proxy.set(Network::Works);
    let (change, taken) = moved_until(&clock, &mut changes).await;
    assert_eq!(change, Change::Heard);
    assert!(taken <= 10 * SECOND, "{taken:?}");
    logs.has_part("INFO", "Redis sends changes again");
    assert!(store.lives(&key).await);
    let other = connect(&server.url(), Arc::new(clock.clone())).await;
    other.end(&key).await;
    assert_eq!(changes.next().await, Some(Change::Ended(key, EndReason::Logout)));
    assert!(!logs.text().contains("redis://"), "{}", logs.text());
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn a_connection_that_stands_still_is_noticed_within_two_seconds() {
    let (server, clock) = (Server::start(&[]), clock());
    let proxy = Proxy::to(server.port).await;
    let store = connect(
        &format!("redis://127.0.0.1:{}", proxy.port),
        Arc::new(clock.clone()),
    )
    .await;
    let mut changes = changes(&store).await;
    // Checks that are answered say nothing.
    for _ in 0..50 {
        assert!(changes.next().now_or_never().is_none());
        SystemClock.sleep(Duration::from_millis(2)).await;
        clock.advance(Duration::from_millis(100));
    }
    proxy.set(Network::StandsStill);
    let (change, taken) = moved_until(&clock, &mut changes).await;
    assert_eq!(change, Change::Lost);
    assert!((SECOND..=SECOND * 21 / 10).contains(&taken), "{taken:?}");
    proxy.set(Network::Works);
    assert_eq!(moved_until(&clock, &mut changes).await.0, Change::Heard);
    let key = connect(&server.url(), Arc::new(clock.clone()))
        .await
        .login("alice", HOUR)
        .await;
    store.end(&key).await;
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn a_call_whose_answer_is_lost_is_done_once() {
    let server = Server::start(&[]);
    let proxy = Proxy::to(server.port).await;
    let store = connect_now(&format!("redis://127.0.0.1:{}", proxy.port)).await;
    let lose = || proxy.set(Network::LosesAnAnswer);
    // So that Redis knows the scripts.
    let other = store.login("alice", HOUR).await;
    store.write(&other, "second").await.unwrap();
    store.end(&other).await;

    let (_, new) = store.new_session("alice", Duration::ZERO);
    let (key, session) = (new.key, Arc::clone(&new.session));
    lose();
    let version = store.insert(new).await.unwrap();
    lose();
    let version = store
        .replace(&key, version, session, Due::Unchanged)
        .await
        .unwrap();
    lose();
    assert_eq!(store.get(&key).await.unwrap().unwrap().version, version);
    lose();
    let Claim::Claimed(claimed) = store.claim(&key, MINUTE).await.unwrap() else {
        panic!("not claimed");
    };
    lose();
    assert!(store.extend(&claimed.lease, MINUTE).await.unwrap());
    lose();
    store.release(claimed.lease, Due::Unchanged).await.unwrap();
    lose();
    let claimed = store.claim_due(10, MINUTE).await.unwrap();
    assert_eq!(claimed.len(), 1);
    // With the tokens, which have to be revoked.
    lose();
    let ended = store.remove(&key, EndReason::Logout).await.unwrap().unwrap();
    assert_eq!(ended.tokens.refresh.as_ref().unwrap().expose(), "refresh");
    assert!(!store.lives(&key).await);
    assert!(store.remove(&key, EndReason::Logout).await.unwrap().is_none());
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn a_process_hears_only_its_unnoticed_changes() {
    let (url, clock) = (shared().url_of_its_own(), clock());
    let store = connect(&url, Arc::new(clock.clone())).await;
    let (key, other) = (store.login("alice", HOUR).await, store.login("bob", HOUR).await);
    let mut changes = changes(&store).await;
    // As if no answer had come in time.
    store.inner.unsure.note(&key);
    store.write(&key, "second").await.unwrap();
    assert_eq!(changes.next().await, Some(Change::Of(key)));
    store.write(&key, "third").await.unwrap();
    // Nothing before this is heard.
    let two = connect(&url, Arc::new(clock)).await;
    two.write(&other, "second").await.unwrap();
    assert_eq!(changes.next().await, Some(Change::Of(other)));
    store.inner.unsure.note(&key);
    store.end(&key).await;
    assert_eq!(changes.next().await, Some(Change::Ended(key, EndReason::Logout)));
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn a_change_without_an_answer_is_remembered() {
    let mut server = Server::start(&[]);
    let store = connect_now(&server.url()).await;
    let key = store.login("alice", HOUR).await;
    server.kill();
    assert!(store.try_end(&key).await.is_err());
    assert!(store.inner.unsure.take(&key) && !store.inner.unsure.take(&key));
    assert!(store.write(&key, "second").await.is_err());
    assert!(
        !store.inner.unsure.take(&key),
        "it was not read, so that nothing was sent"
    );
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn a_call_that_is_not_answered_ends_in_time() {
    let server = Server::start(&[]);
    let proxy = Proxy::to(server.port).await;
    let store = connect_now(&format!("redis://127.0.0.1:{}", proxy.port)).await;
    let key = store.login("alice", HOUR).await;
    proxy.set(Network::StandsStill);
    let begin = SystemClock.now();
    assert!(store.get(&key).await.is_err());
    let calls = (0..10).map(|_| store.get(&key));
    let answers = futures_util::future::join_all(calls).await;
    assert!(answers.iter().all(Result::is_err));
    let taken = SystemClock.now().duration_since(begin);
    assert!(taken < 6 * SECOND, "{taken:?}");
    proxy.set(Network::Works);
    assert!(store.lives(&key).await);
}

/// Redis was restored from it.
#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn an_ended_session_stays_ended_in_an_older_copy() {
    let logs = Logs::capture();
    let server = Server::start(&[]);
    let (one, two) = (connect_now(&server.url()).await, connect_now(&server.url()).await);
    let mut at_two = changes(&two).await;
    let (ended, kept) = (
        one.login("alice", Duration::ZERO).await,
        one.login("bob", HOUR).await,
    );
    let written = one.write(&ended, "second").await.unwrap();
    assert_eq!(at_two.next().await, Some(Change::Of(ended)));
    assert_eq!(server.cli(&["SAVE"]), "OK");
    one.end(&ended).await;
    assert_eq!(at_two.next().await, Some(Change::Ended(ended, EndReason::Logout)));
    drop(one);
    let server = server.into_copy();

    assert_eq!(at_two.next().await, Some(Change::Lost));
    // Before anything is restored there, the processes that know the end do not believe Redis.
    assert!(!two.lives(&ended).await);
    assert_eq!(at_two.next().await, Some(Change::Heard));
    let three = connect_now(&server.url()).await;
    let mut at_three = changes(&three).await;
    assert!(three.lives(&ended).await);
    let mending = tokio::spawn(async move { while at_two.next().await.is_some() {} });
    assert_eq!(
        at_three.next().await,
        Some(Change::Ended(ended, EndReason::Logout))
    );
    eventually("it is said", async || {
        logs.count("ended sessions were in Redis again") == 1
    })
    .await;
    mending.abort();
    assert!(!three.lives(&ended).await && three.lives(&kept).await);
    assert!(!three.end(&ended).await);
    let stored = three.get(&kept).await.unwrap().unwrap();
    for replay in [Version::FIRST, written] {
        let replay = three
            .replace(&ended, replay, Arc::clone(&stored.session), Due::Never)
            .await;
        assert!(matches!(replay, Err(ReplaceError::Gone)));
    }
    assert!(three.claim_due(10, MINUTE).await.unwrap().is_empty());
    assert_eq!(three.usage().await.unwrap().sessions, 1);
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn a_redis_that_was_emptied_gets_its_tombstones_back() {
    let (server, clock) = (Server::start(&[]), clock());
    let store = connect(&server.url(), Arc::new(clock.clone())).await;
    let (_, new) = store.new_session("alice", HOUR);
    let (key, late) = (
        new.key,
        NewSession {
            session: Arc::clone(&new.session),
            ..new
        },
    );
    let again = NewSession {
        key,
        session: Arc::clone(&late.session),
        due: late.due,
        last_seen: late.last_seen,
    };
    store.insert(late).await.unwrap();
    store.end(&key).await;
    let mut changes = changes(&store).await;
    server.cli(&["FLUSHALL"]);
    server.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    assert_eq!(changes.next().await, Some(Change::Lost));
    assert_eq!(changes.next().await, Some(Change::Heard));
    let name = store.inner.names.session(&key);
    eventually("they are there", async || {
        assert!(changes.next().now_or_never().is_none());
        server.cli(&["GET", &name]) == "T"
    })
    .await;
    // The very write that stored it comes once more, at another process.
    let other = connect(&server.url(), Arc::new(clock.clone())).await;
    assert!(matches!(other.insert(again).await, Err(InsertError::Taken)));
    assert!(!other.lives(&key).await);
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn a_redis_that_was_emptied_leaves_nothing_at_hand() {
    let (server, clock) = (Server::start(&[]), clock());
    let store = connect(&server.url(), Arc::new(clock.clone())).await;
    let lifespan = Lifespan::default();
    let at_hand = Cached::new(
        store.clone(),
        1 << 20,
        lifespan,
        Arc::new(clock.clone()),
        &Tally::default(),
    );
    let mut changes = at_hand.changes();
    assert_eq!(changes.next().await, Some(Change::Heard));
    let key = store.login("alice", HOUR).await;
    at_hand.flush().await.unwrap();
    at_hand.flush().await.unwrap();
    assert!(at_hand.get(&key).await.unwrap().is_some());
    server.cli(&["FLUSHALL"]);
    assert!(at_hand.get(&key).await.unwrap().is_some());
    at_hand.flush().await.unwrap();
    assert_eq!(moved_until(&clock, &mut changes).await.0, Change::Lost);
    assert_eq!(moved_until(&clock, &mut changes).await.0, Change::Heard);
    assert!(at_hand.get(&key).await.unwrap().is_none());
    // A mark that has gone by itself says nothing.
    server.cli(&["FLUSHALL"]);
    clock.advance(MINUTE);
    let losses = store.inner.link.losses();
    at_hand.flush().await.unwrap();
    assert_eq!(store.inner.link.losses(), losses);
}

/// Blocks this thread, as if the process stood still, and not Redis.
fn stand_still(server: &Server) {
    assert_eq!(server.cli(&["BLPOP", "nothing", "3"]), "");
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn a_process_that_stood_still_asks_redis_again() {
    let server = Server::start(&[]);
    let store = connect_now(&server.url()).await;
    let mut changes = changes(&store).await;
    let key = store.login("alice", HOUR).await;
    assert!(store.is_in_touch());
    let asked = store.get(&key);
    tokio::pin!(asked);
    assert!(asked.as_mut().now_or_never().is_none());
    stand_still(&server);
    assert!(!store.is_in_touch());
    assert!(asked.await.unwrap().is_some());
    // The next check finds that it hears everything, or makes the connection again.
    let listening = tokio::spawn(async move { while changes.next().await.is_some() {} });
    eventually("it is in touch again", async || store.is_in_touch()).await;
    listening.abort();
}

/// Nor claimed or swept.
#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn a_restored_session_is_never_handed_out() {
    let (url, clock) = (shared().url_of_its_own(), clock());
    let store = connect(&url, Arc::new(clock.clone())).await;
    let (back, good) = (
        store.login("alice", Duration::ZERO).await,
        store.login("bob", Duration::ZERO).await,
    );
    let names = &store.inner.names;
    let shard = names::Shard::of(&back);
    let copied = [names.session(&back), names.due(shard), names.ends(shard)];
    for name in &copied {
        shared().cli(&["COPY", name, &format!("{name}:copy")]);
    }
    assert!(store.end(&back).await);
    let come_back = || {
        for name in &copied {
            assert_eq!(
                shared().cli(&["COPY", &format!("{name}:copy"), name, "REPLACE"]),
                "1"
            );
        }
    };
    come_back();
    clock.advance(SECOND);
    let claimed = store.claim_due(1, MINUTE).await.unwrap();
    assert!(claimed.iter().all(|claimed| *claimed.lease.key() == good));
    assert_eq!(
        store.claim_due(10, MINUTE).await.unwrap().len() + claimed.len(),
        1
    );
    come_back();
    assert!(matches!(store.claim(&back, MINUTE).await.unwrap(), Claim::Gone));
    come_back();
    assert!(!store.end(&back).await);
    come_back();
    clock.advance(HOUR);
    assert_eq!(store.overdue(10).await.unwrap(), [good]);
    clock.advance(SECOND);
    assert_eq!(store.usage().await.unwrap().sessions, 1);
    assert_eq!(shared().cli(&["GET", &copied[0]]), "T");
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn the_sweep_names_each_of_many_once_and_spares_those_in_use() {
    let (url, clock) = (shared().url_of_its_own(), clock());
    let store = connect(&url, Arc::new(clock.clone())).await;
    let (mut over, mut used, mut broken) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..2_500 {
        clock.advance(Duration::from_millis(1));
        let key = store.login("alice", HOUR).await;
        match number % 5 {
            0 => used.push(key),
            1 => broken.push(key),
            _ => over.push(key),
        }
    }
    clock.advance(HOUR / 2);
    for key in &used {
        store.touch(key, clock.now()).await.unwrap();
    }
    for key in &broken {
        let mut spoil = redis::cmd("SETRANGE");
        spoil.arg(store.inner.names.session(key)).arg(120).arg("spoilt");
        store.inner.link.send(&spoil).await.unwrap();
    }
    clock.advance(HOUR / 2 + SECOND);
    let mut named = Vec::new();
    loop {
        let some = store.overdue(100).await.unwrap();
        assert!(some.len() <= 100);
        for key in &some {
            assert!(store.end(key).await);
        }
        named.extend_from_slice(&some);
        if some.len() < 100 {
            break;
        }
    }
    // The longest first, as they were made.
    assert_eq!(named, over);
    for key in &broken {
        assert!(!store.lives(key).await);
    }
    clock.advance(SECOND);
    assert_eq!(store.usage().await.unwrap().sessions, used.len());
    clock.advance(HOUR);
    assert_eq!(store.overdue(10_000).await.unwrap().len(), used.len());
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn an_ended_session_does_not_block_other_claims() {
    let (url, clock) = (shared().url_of_its_own(), clock());
    let store = connect(&url, Arc::new(clock.clone())).await;
    let ended = store.login("alice", HOUR).await;
    store.end(&ended).await;
    let due = store.inner.names.due(names::Shard::of(&ended));
    let name = names::member(&ended);
    shared().cli(&["ZADD", &due, "1", &name]);
    assert!(store.claim_due(1, MINUTE).await.unwrap().is_empty());
    assert_eq!(shared().cli(&["ZSCORE", &due, &name]), "");
    let alive = store.login("bob", Duration::ZERO).await;
    let claimed = store.claim_due(1, MINUTE).await.unwrap();
    assert_eq!(claimed.len(), 1);
    assert_eq!(*claimed[0].lease.key(), alive);
}
