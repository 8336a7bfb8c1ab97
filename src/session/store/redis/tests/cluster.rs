//! Sessions that are spread over the nodes of a cluster.

use futures_util::StreamExt as _;

use super::{
    harness::{Cluster, NODE_TIMEOUT, shared_cluster},
    *,
};
use crate::{diagnostic::Explain as _, tls::testing as certificates};

/// A call finds its session so soon after a slot has moved: it is sent twice, and nothing is waited for.
const MOVE: Duration = Duration::from_secs(2);

/// While a node is lost, each call is answered so soon, also those for its sessions.
const ANSWER: Duration = Duration::from_secs(5);

/// A replica serves the sessions of a lost node so soon: the others have to miss that node, agree on it, and vote.
const TAKE_OVER: Duration = Duration::from_secs(10 * NODE_TIMEOUT.as_secs());

mod contract {
    use super::{super::*, shared_cluster};

    async fn store(lifespan: Lifespan, clock: ManualClock) -> Arc<dyn SessionStore> {
        let url = format!("{}?prefix={}", shared_cluster().url(), harness::own_prefix());
        let options = RedisOptions::parse(&url).unwrap();
        Arc::new(connect_with(options, lifespan, Arc::new(clock)).await.unwrap())
    }

    contract_tests!(store, #[ignore = "needs redis-server; scripts/test stores runs it"]);
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn sessions_are_spread_and_changes_reach_every_node() {
    let cluster = Cluster::start(&[]);
    let store = connect_now(&cluster.url()).await;
    let elsewhere = format!("redis+cluster://127.0.0.1:{}", cluster.nodes[2].port);
    let other = connect_now(&elsewhere).await;
    let mut changes = other.changes();
    assert_eq!(changes.next().await, Some(Change::Heard));
    let mut keys = Vec::new();
    for _ in 0..60 {
        keys.push(store.login("alice", Duration::ZERO).await);
    }
    for node in &cluster.nodes {
        assert!(node.cli(&["DBSIZE"]).parse::<usize>().unwrap() > 10);
    }
    assert_eq!(other.usage().await.unwrap().sessions, 60);
    for key in &keys {
        store.write(key, "second").await.unwrap();
        assert_eq!(changes.next().await, Some(Change::Of(*key)));
    }
    assert_eq!(other.claim_due(100, MINUTE).await.unwrap().len(), 60);
    let whose = Whose::Subject {
        issuer: "https://idp.test",
        subject: "alice",
    };
    assert_eq!(other.find(whose).await.unwrap().len(), 60);
    for key in &keys {
        store.end(key).await;
        assert_eq!(changes.next().await, Some(Change::Ended(*key, EndReason::Logout)));
    }
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn a_slot_that_moves_takes_its_sessions_along() {
    let cluster = Cluster::start(&[]);
    let store = connect_now(&cluster.url()).await;
    let key = store.login("alice", Duration::ZERO).await;
    let name = store.inner.names.session(&key);
    let slot = cluster.nodes[0].cli(&["CLUSTER", "KEYSLOT", &name]);
    let (from, to) = cluster.holder(&slot);
    cluster.begin_move(&store.inner.names, &key);
    let moved = SystemClock.now();
    // Moved sessions are used at their new place, although the slot has not moved.
    assert!(store.lives(&key).await);
    store.write(&key, "third").await.unwrap();
    harness::recovered("sessions that moved", moved, MOVE);
    for node in [to, from] {
        assert_eq!(
            node.cli(&["CLUSTER", "SETSLOT", &slot, "NODE", &to.cli(&["CLUSTER", "MYID"])]),
            "OK"
        );
    }
    // And when the slot has gone too.
    let moved = SystemClock.now();
    store.write(&key, "fourth").await.unwrap();
    harness::recovered("a slot that moved", moved, MOVE);
    let stored = store.get(&key).await.unwrap().unwrap();
    assert_eq!(stored.session.tokens.access.expose(), "fourth");
    assert_eq!(to.cli(&["GETRANGE", &name, "0", "0"]), "S");
    assert_eq!(store.claim_due(10, MINUTE).await.unwrap().len(), 1);
    assert!(store.end(&key).await);
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn the_loss_of_a_node_costs_its_own_sessions_alone() {
    let mut cluster = Cluster::start(&["--cluster-require-full-coverage", "no"]);
    let store = connect_now(&cluster.url()).await;
    let mut keys = Vec::new();
    for _ in 0..60 {
        keys.push(store.login("alice", Duration::ZERO).await);
    }
    let mut changes = store.changes();
    assert_eq!(changes.next().await, Some(Change::Heard));
    cluster.nodes[1].kill();
    let lost = SystemClock.now();
    let answers = futures_util::future::join_all(keys.iter().map(|key| store.get(key))).await;
    harness::recovered("the loss of another node", lost, ANSWER);
    let living = answers
        .iter()
        .filter(|answer| matches!(answer, Ok(Some(_))))
        .count();
    let lost = answers.iter().filter(|answer| answer.is_err()).count();
    assert!(
        living > 10 && lost > 5 && living + lost == 60,
        "{living} live, {lost} lost"
    );
    // Any of them may have changed there.
    assert_eq!(changes.next().await, Some(Change::Heard));
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn a_replica_takes_over_and_learns_what_it_had_not_heard() {
    let mut cluster = Cluster::start(&[]);
    let mut replica = cluster.replicate(1);
    let store = connect_now(&cluster.url()).await;
    let mut kept = Vec::new();
    for _ in 0..60 {
        kept.push(store.login("alice", HOUR).await);
    }
    let ended = kept.split_off(30);
    assert_eq!(cluster.nodes[1].cli(&["WAIT", "1", "1000"]), "1");
    replica.signal("STOP");
    for key in &ended {
        assert!(store.end(key).await);
    }
    cluster.nodes[1].kill();
    replica.signal("CONT");
    let lost = SystemClock.now();
    let mut changes = store.changes();
    tokio::spawn(async move { while changes.next().await.is_some() {} });
    eventually("the replica takes over", async || {
        let answers = futures_util::future::join_all(kept.iter().map(|key| store.get(key))).await;
        answers.iter().all(|answer| matches!(answer, Ok(Some(_))))
    })
    .await;
    harness::recovered("a node that was lost", lost, TAKE_OVER);
    // As one sees it that knows of none of the ends.
    let other = connect_now(&cluster.url()).await;
    eventually("it learns of the ends", async || {
        let answers = futures_util::future::join_all(ended.iter().map(|key| other.get(key))).await;
        answers.iter().all(|answer| matches!(answer, Ok(None)))
    })
    .await;
    for key in &kept {
        store.write(key, "second").await.unwrap();
    }
    assert_eq!(other.usage().await.unwrap().sessions, 30);
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn a_cluster_is_spoken_to_over_tls_by_the_names_of_its_nodes() {
    let cluster = Cluster::start_tls();
    let url = format!("rediss+cluster://localhost:{}", cluster.nodes[0].tls_port);
    let key = String::from_utf8(certificates::NAMED_KEY.to_vec()).unwrap();
    let options = || {
        let options = RedisOptions::parse(&url)
            .unwrap()
            .trust(certificates::CA.to_vec())
            .unwrap();
        options
            .show(certificates::NAMED.to_vec(), key.as_str().into())
            .unwrap()
    };
    let store = connect_with(options(), Lifespan::default(), Arc::new(SystemClock))
        .await
        .unwrap();
    let other = connect_with(options(), Lifespan::default(), Arc::new(SystemClock))
        .await
        .unwrap();
    let mut changes = other.changes();
    assert_eq!(changes.next().await, Some(Change::Heard));
    for _ in 0..20 {
        let key = store.login("alice", HOUR).await;
        assert!(other.lives(&key).await);
        store.end(&key).await;
        assert_eq!(changes.next().await, Some(Change::Ended(key, EndReason::Logout)));
    }
    let untrusting = RedisOptions::parse(&url).unwrap();
    let error = connect_with(untrusting, Lifespan::default(), Arc::new(SystemClock))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, RedisStartError::Tls { why, .. } if why.told().contains("[RedisCa]")),
        "{error}"
    );
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn what_is_wrong_with_a_cluster_is_said_at_the_start() {
    let cluster = Cluster::start(&[]);
    for node in &cluster.nodes {
        let rule = ["on", ">hunter2", "~bff:*", "&bff:*", "+@all", "-cluster|slots"];
        assert_eq!(node.cli(&[&["ACL", "SETUSER", "bff"], &rule[..]].concat()), "OK");
        assert_eq!(node.cli(&["ACL", "SETUSER", "default", ">hunter2"]), "OK");
    }
    let port = cluster.nodes[0].port;
    let refused = |login: &str| {
        let options = RedisOptions::parse(&format!("redis+cluster://{login}127.0.0.1:{port}")).unwrap();
        async {
            connect_with(options, Lifespan::default(), Arc::new(clock()))
                .await
                .unwrap_err()
        }
    };
    let error = refused("bff:hunter2@").await;
    assert!(error.told().contains("may not run CLUSTER|SLOTS"), "{error}");
    let error = refused("bff:other@").await;
    assert!(matches!(error, RedisStartError::PasswordWrong { .. }), "{error}");
    let options = RedisOptions::parse(&format!("redis://bff:hunter2@127.0.0.1:{port}")).unwrap();
    let error = connect_with(options, Lifespan::default(), Arc::new(clock()))
        .await
        .unwrap_err();
    assert!(error.told().contains("write redis+cluster://"), "{error}");
}
