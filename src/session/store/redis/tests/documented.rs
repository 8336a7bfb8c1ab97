//! Tests the promises of `docs/redis.md`.

use futures_util::StreamExt as _;

use super::{
    harness::{Cluster, Server},
    *,
};
use crate::{shared::contract, telemetry::testing::Logs};

const DOCUMENT: &str = include_str!("../../../../../docs/redis.md");

/// The words of a block of the document that begins with `begin`, without that.
fn block(begin: &str) -> Vec<&'static str> {
    let block = DOCUMENT
        .split("```")
        .find(|block| block.trim_start().starts_with(begin));
    block.unwrap().split_whitespace().collect()
}

/// The words of `ACL SETUSER` for the documented user.
fn rule() -> Vec<&'static str> {
    let rule = block("user bff on >PASSWORD");
    rule[1..].to_vec()
}

/// Everything that the server does with a session.
async fn live(url: &str) {
    let (store, other) = (connect_now(url).await, connect_now(url).await);
    let mut changes = other.changes();
    assert_eq!(changes.next().await, Some(Change::Heard));
    for _ in 0..20 {
        let key = store.login("alice", Duration::ZERO).await;
        let lost = store.login("bob", HOUR).await;
        let claimed = store.claim_due(10, MINUTE).await.unwrap().pop().unwrap();
        store.write(&key, "second").await.unwrap();
        assert_eq!(changes.next().await, Some(Change::Of(key)));
        let later = store.inner.clock.now().saturating_add(MINUTE);
        store.touch(&key, later).await.unwrap();
        assert!(store.extend(&claimed.lease, MINUTE).await.unwrap());
        store.release(claimed.lease, Due::Unchanged).await.unwrap();
        assert_eq!(changes.next().await, Some(Change::Of(key)));
        let whose = Whose::Subject {
            issuer: "https://idp.test",
            subject: "alice",
        };
        assert_eq!(store.find(whose).await.unwrap().len(), 1);
        store.usage().await.unwrap();
        store.overdue(10).await.unwrap();
        assert!(store.end(&key).await && store.end(&lost).await);
        // In any order: they may come from different nodes.
        let ends = [changes.next().await.unwrap(), changes.next().await.unwrap()];
        for key in [key, lost] {
            assert!(ends.contains(&Change::Ended(key, EndReason::Logout)));
        }
    }
    assert_eq!(store.inner.bury().await.unwrap(), 0);
    contract::records_are_swapped(&store, &other).await;
    contract::locks_have_one_holder(&store, &other).await;
    contract::notes_are_seen_by_all(&store, &other).await;
    contract::time_is_one_for_all(&store, &other).await;
    contract::values_pass(&store, &other).await;
    // A session beyond its end, and an unreadable one.
    let late = ManualClock::starting_at(store.inner.clock.now());
    let store = connect(url, Arc::new(late.clone())).await;
    let key = store.login("carol", HOUR).await;
    late.advance(2 * HOUR);
    assert_eq!(store.overdue(10).await.unwrap(), [key]);
    store.end(&key).await;
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn the_documented_user_has_exactly_the_needed_rights() {
    let server = Server::start(&[]);
    let set = |rule: &[&str]| {
        assert_eq!(
            server.cli(&[&["ACL", "SETUSER"], rule].concat()),
            "OK",
            "{rule:?}"
        );
    };
    set(&rule());
    let url = format!("redis://bff:PASSWORD@127.0.0.1:{}", server.port);
    live(&url).await;
    assert_eq!(server.cli(&["ACL", "LOG"]), "");
    // The index of a shard is looked through with each of the commands, and a start without any of them fails.
    for command in rule().iter().filter(|word| word.starts_with('+')) {
        set(&[&["bff", "reset"], &rule()[1..], &[&command.replace('+', "-")]].concat());
        let options = RedisOptions::parse(&url).unwrap();
        let refused = connect_with(options, Lifespan::default(), Arc::new(clock())).await;
        let error = refused.err().unwrap_or_else(|| panic!("{command} is not needed"));
        let named = format!("may not run {}", command[1..].to_uppercase());
        assert!(error.to_string().contains(&named), "{command}: {error}");
    }
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn the_documented_user_can_do_all_that_is_needed_in_a_cluster() {
    let logs = Logs::capture_everything();
    let cluster = Cluster::start(&[]);
    let further = block("+asking");
    for node in &cluster.nodes {
        let words = [&["ACL", "SETUSER"], &rule()[..], &further].concat();
        assert_eq!(node.cli(&words), "OK");
    }
    let url = format!("redis+cluster://bff:PASSWORD@127.0.0.1:{}", cluster.nodes[0].port);
    live(&url).await;
    let store = connect_now(&url).await;
    let key = store.login("alice", Duration::ZERO).await;
    cluster.begin_move(&store.inner.names, &key);
    store.write(&key, "second").await.unwrap();
    for node in &cluster.nodes {
        assert_eq!(node.cli(&["ACL", "LOG"]), "");
    }
    for secret in ["PASSWORD", "alice", "access"] {
        assert!(!logs.text().contains(secret), "{secret} in\n{}", logs.text());
    }
}

#[test]
fn the_forms_of_the_url_are_read() {
    let forms: Vec<_> = DOCUMENT
        .split('`')
        .filter(|code| code.starts_with("redis") && code.contains("://"))
        .collect();
    assert!(forms.len() >= 5);
    for form in forms {
        assert!(RedisOptions::parse(form).is_ok(), "{form}");
    }
}
