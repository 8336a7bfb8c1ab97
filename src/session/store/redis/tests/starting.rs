//! The start names every problem of a Redis.

use futures_util::StreamExt as _;

use super::{
    harness::{Server, free_port},
    *,
};
use crate::{diagnostic::Explain as _, telemetry::testing::Logs, tls::testing as certificates};

async fn refusal(url: &str) -> RedisStartError {
    refusal_of(RedisOptions::parse(url).unwrap()).await
}

async fn refusal_of(options: RedisOptions) -> RedisStartError {
    let error = connect_with(options, Lifespan::default(), Arc::new(clock()))
        .await
        .unwrap_err();
    let said = format!("{error} {error:?}");
    assert!(!said.contains("hunter2"), "{said}");
    error
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn a_port_where_nothing_answers_is_named() {
    let port = free_port();
    for scheme in ["redis", "rediss", "redis+cluster"] {
        let error = refusal(&format!("{scheme}://:hunter2@127.0.0.1:{port}")).await;
        assert!(
            matches!(error, RedisStartError::Unreachable { .. }),
            "{scheme}: {error}"
        );
        assert!(error.told().contains(&format!("127.0.0.1:{port}")));
    }
    let error = refusal(&format!("redis+sentinel://127.0.0.1:{port}/main")).await;
    assert!(matches!(error, RedisStartError::Unreachable { .. }), "{error}");
    let error = refusal("redis://no-such-host.invalid").await;
    assert!(matches!(error, RedisStartError::Unreachable { .. }), "{error}");
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn passwords_are_asked_for_and_checked() {
    let server = Server::start(&["--requirepass", "hunter2"]);
    let url = |login: &str, rest: &str| format!("redis://{login}127.0.0.1:{}{rest}", server.port);
    for rest in ["", "/1"] {
        let error = refusal(&url("", rest)).await;
        assert!(matches!(error, RedisStartError::PasswordNeeded { .. }), "{error}");
    }
    for login in [":hunter22@", "default:hunter22@", "nobody:hunter2@"] {
        let error = refusal(&url(login, "")).await;
        assert!(matches!(error, RedisStartError::PasswordWrong { .. }), "{error}");
    }
    connect_now(&url(":hunter2@", "")).await;
    let error = refusal(&url(":hunter2@", "/99")).await;
    assert!(matches!(error, RedisStartError::Database { .. }), "{error}");
    // One that has no password does not take any.
    let error = refusal(&format!("redis://:hunter2@127.0.0.1:{}", shared().port)).await;
    assert!(matches!(error, RedisStartError::PasswordWrong { .. }), "{error}");
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn a_permission_that_is_missing_is_named() {
    let server = Server::start(&[]);
    let url = format!("redis://bff:hunter2@127.0.0.1:{}", server.port);
    let user = |rules: &[&str]| {
        let words = [
            "ACL", "SETUSER", "bff", "reset", "on", ">hunter2", "~bff:*", "&bff:*", "+@all",
        ];
        assert_eq!(server.cli(&[&words, rules].concat()), "OK");
    };
    for command in [
        "info",
        "get",
        "set",
        "getrange",
        "setrange",
        "pexpire",
        "pttl",
        "zadd",
        "zcard",
        "zrange",
        "zrem",
        "del",
        "eval",
        "evalsha",
        "ping",
        "publish",
        "subscribe",
    ] {
        user(&[&format!("-{command}")]);
        match refusal(&url).await {
            RedisStartError::CommandNotPermitted { command: named } => {
                assert_eq!(named.to_lowercase(), command);
            }
            error => panic!("{command}: {error}"),
        }
    }
    user(&["resetkeys", "~other:*"]);
    let error = refusal(&url).await;
    assert!(
        matches!(error, RedisStartError::KeysNotPermitted { .. }),
        "{error}"
    );
    user(&["resetchannels"]);
    let error = refusal(&url).await;
    assert!(
        matches!(error, RedisStartError::ChannelNotPermitted { .. }),
        "{error}"
    );
    user(&[]);
    connect_now(&url).await;
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn one_that_evicts_or_only_copies_is_refused() {
    let evicting = Server::start(&["--maxmemory-policy", "allkeys-lru"]);
    match refusal(&evicting.url()).await {
        RedisStartError::Evicts { policy, .. } => assert_eq!(policy, "allkeys-lru"),
        error => panic!("{error}"),
    }
    evicting.cli(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    connect_now(&evicting.url()).await;
    let replica = Server::start(&["--replicaof", &format!("127.0.0.1 {}", evicting.port)]);
    let error = refusal(&replica.url()).await;
    assert!(matches!(error, RedisStartError::Replica { .. }), "{error}");
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn a_scheme_that_does_not_fit_is_corrected() {
    let error = refusal(&format!("redis+cluster://127.0.0.1:{}", shared().port)).await;
    assert!(error.told().contains("write redis://"), "{error}");
    let error = refusal(&format!("redis+sentinel://127.0.0.1:{}/main", shared().port)).await;
    let told = error.told();
    assert!(
        told.contains("is a plain Redis, and no sentinel") && told.contains("write redis://HOST:PORT in"),
        "{told}"
    );
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn tls_is_spoken_with_the_own_authority_and_certificate() {
    let logs = Logs::capture_everything();
    let server = Server::start_tls(&[]);
    let plain = || RedisOptions::parse(&format!("rediss://localhost:{}", server.tls_port)).unwrap();
    let trusting = || plain().trust(certificates::CA.to_vec()).unwrap();
    let key = |pem: &[u8]| crate::secret::Secret::new(String::from_utf8(pem.to_vec()).unwrap());
    let full = || {
        trusting()
            .show(certificates::NAMED.to_vec(), key(certificates::NAMED_KEY))
            .unwrap()
    };

    let error = refusal_of(plain()).await;
    assert!(
        matches!(&error, RedisStartError::Tls { why, .. } if why.told().contains("[RedisCa]")),
        "{error}"
    );
    let error = refusal_of(trusting()).await;
    assert!(
        matches!(&error, RedisStartError::Tls { why, .. } if why.told().contains("[RedisClientCert]")),
        "{error}"
    );
    let by_address = RedisOptions::parse(&format!("rediss://127.0.0.1:{}", server.tls_port)).unwrap();
    let error = refusal_of(by_address.trust(certificates::CA.to_vec()).unwrap()).await;
    assert!(
        matches!(&error, RedisStartError::Tls { why, .. } if why.told().contains("other names")),
        "{error}"
    );
    let error =
        refusal_of(RedisOptions::parse(&format!("rediss://127.0.0.1:{}", shared().port)).unwrap()).await;
    assert!(
        matches!(
            error,
            RedisStartError::Tls { .. } | RedisStartError::Unreachable { .. }
        ),
        "{error}"
    );
    let error = refusal(&format!("redis://localhost:{}", server.tls_port)).await;
    assert!(error.told().contains("rediss://"), "{error}");
    let store = connect_with(full(), Lifespan::default(), Arc::new(SystemClock))
        .await
        .unwrap();
    let key = store.login("alice", HOUR).await;
    assert!(store.lives(&key).await);
    let other = connect_with(full(), Lifespan::default(), Arc::new(SystemClock))
        .await
        .unwrap();
    let mut changes = other.changes();
    assert_eq!(changes.next().await, Some(Change::Heard));
    store.end(&key).await;
    assert_eq!(changes.next().await, Some(Change::Ended(key, EndReason::Logout)));
    for secret in ["PRIVATE KEY", "access", "alice"] {
        assert!(!logs.text().contains(secret));
    }
}
