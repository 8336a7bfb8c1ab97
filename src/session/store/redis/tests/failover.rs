//! A primary that sentinels replace.

use futures_util::StreamExt as _;

use super::{harness::Watched, *};
use crate::diagnostic::Explain as _;

/// So soon after the promotion the new primary is written to.
const FOLLOWS: Duration = Duration::from_secs(10);

/// So soon after the end of the primary, which counts as lost after half a second, the new one is written to.
const RECOVERS: Duration = Duration::from_secs(30);

/// The primary ends, and its replica continues with the sessions.
async fn survives(mut watched: Watched, login: &str) {
    let url = watched.url(login);
    let (store, other) = (connect_now(&url).await, connect_now(&url).await);
    let mut changes = other.changes();
    assert_eq!(changes.next().await, Some(Change::Heard));
    let key = store.login("alice", Duration::ZERO).await;
    let ended = store.login("bob", HOUR).await;
    store.end(&ended).await;
    assert_eq!(
        changes.next().await,
        Some(Change::Ended(ended, EndReason::Logout))
    );
    let password = login.trim_matches([':', '@']);
    let password = Some(password).filter(|password| !password.is_empty());
    eventually("the replica has everything", async || {
        watched.primary.cli_as(password, &["WAIT", "1", "1000"]) == "1"
    })
    .await;

    watched.primary.kill();
    let ended_at = SystemClock.now();
    assert_eq!(changes.next().await, Some(Change::Lost));
    assert!(store.get(&key).await.is_err());
    eventually("the replica takes over", async || {
        watched
            .replica
            .cli_as(password, &["INFO", "replication"])
            .contains("role:master")
    })
    .await;
    let taken_over = SystemClock.now();
    eventually("it is written to", async || {
        store.write(&key, "second").await.is_ok()
    })
    .await;
    // Sentinels tell it when they have agreed on it, a moment later.
    harness::recovered("a primary that ended, from the promotion", taken_over, FOLLOWS);
    harness::recovered("a primary that ended", ended_at, RECOVERS);
    let stored = other.get(&key).await.unwrap().unwrap();
    assert_eq!(stored.session.tokens.access.expose(), "second");
    assert!(!other.lives(&ended).await);
    assert_eq!(store.claim_due(10, MINUTE).await.unwrap().len(), 1);
    // It listens there as well.
    assert_eq!(changes.next().await, Some(Change::Heard));
    store.end(&key).await;
    while changes.next().await != Some(Change::Ended(key, EndReason::Logout)) {}
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn sessions_survive_the_end_of_a_primary() {
    survives(Watched::start(1, None).await, "").await;
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn sessions_survive_it_with_three_sentinels_and_a_password() {
    survives(Watched::start(3, Some("hunter2")).await, ":hunter2@").await;
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn an_end_that_the_replica_has_not_heard_of_is_told_again() {
    let mut watched = Watched::start(1, None).await;
    let url = watched.url("");
    let (store, other) = (connect_now(&url).await, connect_now(&url).await);
    let mut changes = other.changes();
    assert_eq!(changes.next().await, Some(Change::Heard));
    let key = store.login("alice", HOUR).await;
    assert_eq!(watched.primary.cli(&["WAIT", "1", "1000"]), "1");
    watched.replica.signal("STOP");
    store.end(&key).await;
    assert_eq!(changes.next().await, Some(Change::Ended(key, EndReason::Logout)));
    watched.primary.kill();
    watched.replica.signal("CONT");
    tokio::spawn(async move { while changes.next().await.is_some() {} });
    eventually("the replica takes over", async || {
        watched
            .replica
            .cli(&["INFO", "replication"])
            .contains("role:master")
    })
    .await;
    let name = store.inner.names.session(&key);
    eventually("it learns of the end", async || {
        watched.replica.cli(&["GET", &name]) == "T"
    })
    .await;
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn a_primary_that_became_a_replica_is_left() {
    let watched = Watched::start(1, None).await;
    let store = connect_now(&watched.url("")).await;
    let key = store.login("alice", Duration::ZERO).await;
    watched.sentinels[0].cli(&["SENTINEL", "FAILOVER", "main"]);
    let begun = SystemClock.now();
    eventually("they change places", async || {
        watched
            .primary
            .cli(&["INFO", "replication"])
            .contains("role:slave")
    })
    .await;
    eventually("it is written to the new one", async || {
        store.write(&key, "second").await.is_ok()
    })
    .await;
    harness::recovered("primary and replica that change places", begun, RECOVERS);
    assert!(
        watched
            .replica
            .cli(&["INFO", "replication"])
            .contains("role:master")
    );
    let name = store.inner.names.session(&key);
    assert_eq!(watched.replica.cli(&["GETRANGE", &name, "0", "0"]), "S");
}

/// The error names those without an answer.
#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn sentinels_are_asked_in_turn() {
    let watched = Watched::start(1, None).await;
    let port = watched.sentinels[0].port;
    let gone = harness::free_port();
    let url = |name: &str| format!("redis+sentinel://127.0.0.1:{gone},127.0.0.1:{port}/{name}");
    let store = connect_now(&url("main")).await;
    store.login("alice", HOUR).await;
    let refused = |url: String| async move {
        let options = RedisOptions::parse(&url).unwrap();
        connect_with(options, Lifespan::default(), Arc::new(clock()))
            .await
            .unwrap_err()
    };
    let error = refused(format!("redis+sentinel://127.0.0.1:{port}/other")).await;
    assert!(
        matches!(&error, RedisStartError::NoPrimary { primary, .. } if primary == "other"),
        "{error}"
    );
    let error = refused(format!("redis://127.0.0.1:{port}")).await;
    assert!(
        error.told().contains("write redis+sentinel://"),
        "{}",
        error.told()
    );
}
