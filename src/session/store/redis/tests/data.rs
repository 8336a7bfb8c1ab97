//! The data in Redis, and the handling of data that others have put there.

use redis::{Value, cmd};

use super::{harness::Server, *};
use crate::{session::Device, telemetry::testing::Logs};

const USER_AGENT: &[u8] = b"Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";

impl RedisStore {
    async fn ask(&self, words: &[&str]) -> Value {
        let mut command = cmd(words[0]);
        for word in &words[1..] {
            command.arg(word);
        }
        self.inner.link.try_once(&command).await.unwrap()
    }

    async fn ask_for<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        redis::from_redis_value(self.ask(words).await).unwrap()
    }

    fn name(&self, key: &SessionKey) -> String {
        self.inner.names.session(key)
    }

    async fn keys(&self) -> Vec<String> {
        let pattern = format!("{}:*", self.inner.link.options().prefix);
        self.ask_for(&["KEYS", &pattern]).await
    }
}

async fn own_store() -> (RedisStore, ManualClock) {
    let clock = clock();
    let store = connect(&shared().url_of_its_own(), Arc::new(clock.clone())).await;
    (store, clock)
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn nothing_in_redis_tells_who_is_logged_in_or_how() {
    let server = Server::start(&[]);
    let store = connect(&server.url(), Arc::new(clock())).await;
    let key = store.login("alice@example.org", MINUTE).await;
    store.login("bob", MINUTE).await;
    store.write(&key, "second-access").await.unwrap();
    drop(store.claim(&key, MINUTE).await.unwrap());
    let ended = store.login("carol", MINUTE).await;
    store.end(&ended).await;

    let mut all = Vec::new();
    for name in store.keys().await {
        all.extend(name.as_bytes());
        all.extend(store.ask_for::<Vec<u8>>(&["DUMP", &name]).await);
        // As it is stored, and as texts: a dump may be compressed.
        let plain = match store.ask_for::<String>(&["TYPE", &name]).await.as_str() {
            "string" => vec![store.ask_for::<Vec<u8>>(&["GET", &name]).await],
            "zset" => store.ask_for::<Vec<Vec<u8>>>(&["ZRANGE", &name, "0", "-1"]).await,
            other => panic!("{name} is a {other}"),
        };
        all.extend(plain.concat());
    }
    assert!(all.len() > 1_000);
    let session = session("alice", "access", Timestamp::EPOCH);
    let refresh = session.tokens.refresh.unwrap();
    for secret in [
        "alice",
        "bob",
        "carol",
        "example",
        "idp.test",
        "openid",
        "access",
        refresh.expose(),
        "nonce",
        "login",
    ] {
        let found = all.windows(secret.len()).any(|part| part == secret.as_bytes());
        assert!(!found, "{secret} can be read");
    }
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn a_session_takes_little_more_than_its_tokens() {
    let server = Server::start(&[]);
    let store = connect(&server.url(), Arc::new(clock())).await;
    let (mut before, mut tokens) = (0, 0);
    // The first sessions pay for the server's own needs: buffers, scripts, tables.
    for number in 0..2_000 {
        if number == 1_000 {
            (before, tokens) = (server.used_memory(), 0);
        }
        let now = store.inner.clock.now();
        // Of all lengths, because Redis allocates in steps of a quarter.
        let access = "a".repeat(700 + number % 1_000);
        let mut session = session(&format!("person-{number}"), &access, now);
        session.tokens.refresh = Some("r".repeat(800).into());
        session.tokens.id_token = "i".repeat(1_500).into();
        session.sid = Some(format!("login-{number}"));
        session.assurance.acr = Some("urn:example:password".to_owned());
        session.device = Device::new(USER_AGENT, [192, 0, 2, 7].into(), "application.example");
        let (_, new) = NewSession::draw(&SystemRandom, Arc::new(session), Due::At(now), now);
        store.insert(new).await.unwrap();
        tokens += access.len() + 800 + 1_500;
    }
    let mut usage = 0;
    let keys = store.keys().await;
    for name in &keys {
        usage += store
            .ask_for::<usize>(&["MEMORY", "USAGE", name, "SAMPLES", "0"])
            .await;
    }
    let (each, whole) = (
        (usage - 2 * tokens) / 2_000,
        (server.used_memory() - before - tokens) / 1_000,
    );
    println!("{each} bytes over the tokens by MEMORY USAGE, {whole} by used_memory");
    // The tables and buffers of the server do not belong to a session, but they must not grow without bound.
    assert!(each <= 1_536 && whole <= 1_792, "{each}, {whole}");
    let sessions = keys.iter().filter(|key| key.len() == 9 + 43).count();
    assert_eq!(sessions, 2_000);
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn calls_are_few_round_trips() {
    let (server, clock) = (Server::start(&[]), clock());
    let store = connect(&server.url(), Arc::new(clock.clone())).await;
    // The number of bytes that Redis has read at once. Its question counts as well.
    let reads = async || {
        let stats: String = store.ask_for(&["INFO", "stats"]).await;
        let line = stats
            .lines()
            .find_map(|line| line.strip_prefix("total_reads_processed:"));
        line.unwrap().parse::<usize>().unwrap()
    };
    let everything = async || {
        let start = reads().await;
        let key = store.login("alice", Duration::ZERO).await;
        let login = reads().await;
        let stored = store.get(&key).await.unwrap().unwrap();
        let get = reads().await;
        store
            .touch(&key, store.inner.clock.now().saturating_add(MINUTE))
            .await
            .unwrap();
        let touch = reads().await;
        let Claim::Claimed(claimed) = store.claim(&key, MINUTE).await.unwrap() else {
            panic!("not claimed");
        };
        let version = claimed.stored.version;
        let renewed = Arc::clone(&stored.session);
        let complete = store.complete(&claimed.lease, version, renewed, Due::Unchanged);
        complete.await.unwrap();
        let refresh = reads().await;
        let mut claimed = store.claim_due(10, MINUTE).await.unwrap();
        let claim_due = reads().await;
        store
            .release(claimed.pop().unwrap().lease, Due::Never)
            .await
            .unwrap();
        let nothing = reads().await;
        assert!(store.claim_due(10, MINUTE).await.unwrap().is_empty());
        let poll = reads().await;
        store.usage().await.unwrap();
        let usage = reads().await;
        store.usage().await.unwrap();
        let cached = reads().await;
        store.end(&key).await;
        let times = [
            start,
            login,
            get,
            touch,
            refresh,
            claim_due,
            nothing,
            poll,
            usage,
            cached,
            reads().await,
        ];
        times
            .windows(2)
            .map(|pair| pair[1] - pair[0] - 1)
            .collect::<Vec<_>>()
    };
    // Once, so that Redis knows the scripts.
    everything().await;
    clock.advance(MINUTE);
    let trips = everything().await;
    println!("login, get, touch, refresh, claim_due, release, poll, usage, usage again, end: {trips:?}");
    // Requests that are sent at once are usually read at once.
    for (trips, most) in trips.into_iter().zip([3, 1, 1, 2, 8, 1, 6, 6, 0, 3]) {
        assert!(trips <= most, "{trips} of at most {most}");
    }
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn what_arrives_twice_is_done_once() {
    let (store, clock) = own_store().await;
    let (_, new) = store.new_session("alice", HOUR);
    let key = new.key;
    let again = NewSession {
        session: Arc::clone(&new.session),
        ..new
    };
    store.insert(again).await.unwrap();
    // The same bytes once more, like a repeated command.
    let mut value: Vec<u8> = store.ask_for(&["GET", &store.name(&key)]).await;
    let insert = |value: &[u8]| {
        scripts::INSERT
            .about(&store.inner.names, &key)
            .arg(value.to_vec())
            .arg(60_000)
            .arg(entry::millis(clock.now()))
            .arg(0)
    };
    let run = async |call: &scripts::Call| store.inner.link.run(call).await.unwrap();
    assert_eq!(run(&insert(&value)).await, Value::Int(1));
    *value.last_mut().unwrap() ^= 1;
    assert_eq!(run(&insert(&value)).await, Value::Int(0));

    let number = 7_u64.to_be_bytes();
    let until = clock.now().saturating_add(MINUTE);
    let claim = |number: [u8; 8], only: &str| {
        scripts::CLAIM
            .about(&store.inner.names, &key)
            .arg(entry::millis(clock.now()))
            .arg([number, entry::packed(until)].concat())
            .arg(entry::millis(until))
            .arg(only)
    };
    for only in ["", "", "due"] {
        let Value::Array(answer) = run(&claim(number, only)).await else {
            panic!("not claimed");
        };
        assert_eq!(answer[1], Value::Int(1));
    }
    let Value::Array(answer) = run(&claim([8; 8], "")).await else {
        panic!("gone");
    };
    assert_eq!(answer[1], Value::Int(0));

    let replace = |sealed: &[u8]| {
        scripts::REPLACE
            .about(&store.inner.names, &key)
            .arg(entry::packed_version(Version(1)))
            .arg(entry::packed_version(Version(2)))
            .arg(entry::packed(until))
            .arg("")
            .arg(sealed.to_vec())
            .arg(60_000)
            .arg("me")
            .arg("channel")
    };
    for _ in 0..2 {
        assert_eq!(run(&replace(b"sealed")).await, Value::Int(1));
    }
    assert_eq!(run(&replace(b"other")).await, Value::Int(0));
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn what_cannot_be_read_is_no_session_and_harms_no_other() {
    let logs = Logs::capture();
    let (store, clock) = own_store().await;
    let good = store.login("alice", Duration::ZERO).await;
    let mut bad = Vec::new();
    for spoil in 0..5 {
        let key = store.login("bob", Duration::ZERO).await;
        let name = store.name(&key);
        match spoil {
            // Another type, a shorter value, a foreign value, a changed seal, the value of another session.
            0 => {
                store.ask(&["DEL", &name]).await;
                store.ask(&["HSET", &name, "a", "b"]).await;
            }
            1 => {
                store.ask(&["SET", &name, "S"]).await;
            }
            2 => {
                store.ask(&["SET", &name, "{\"access\":\"planted\"}"]).await;
            }
            3 => {
                store.ask(&["SETRANGE", &name, "120", "planted"]).await;
            }
            _ => {
                store.ask(&["COPY", &store.name(&good), &name, "REPLACE"]).await;
            }
        }
        bad.push(key);
    }
    store
        .ask(&[
            "ZADD",
            &store.inner.names.due(names::Shard::of(&good)),
            "0",
            "no session",
        ])
        .await;
    store
        .ask(&[
            "ZADD",
            &store.inner.names.ends(names::Shard::of(&good)),
            "0",
            "no session",
        ])
        .await;
    for key in &bad {
        assert!(!store.lives(key).await);
        assert!(matches!(store.claim(key, MINUTE).await.unwrap(), Claim::Gone));
    }
    assert!(store.lives(&good).await);
    assert_eq!(logs.lines("WARN").len(), bad.len(), "{}", logs.text());
    assert!(!logs.text().contains("planted"));

    let claimed = store.claim_due(1, MINUTE).await.unwrap();
    assert_eq!(claimed.len(), 1);
    assert_eq!(*claimed[0].lease.key(), good);
    clock.advance(2 * MINUTE);
    assert_eq!(store.claim_due(10, MINUTE).await.unwrap().len(), 1);
    assert_eq!(
        store
            .find(Whose::Subject {
                issuer: "https://idp.test",
                subject: "alice"
            })
            .await
            .unwrap()
            .len(),
        1
    );

    clock.advance(HOUR);
    assert_eq!(store.overdue(10).await.unwrap(), [good]);
    assert!(store.end(&good).await);
    assert!(store.overdue(10).await.unwrap().is_empty());
    clock.advance(MINUTE);
    assert_eq!(store.usage().await.unwrap().sessions, 0);
    for key in &bad {
        let state: Vec<u8> = store.ask_for(&["GETRANGE", &store.name(key), "0", "0"]).await;
        assert!(matches!(state.as_slice(), b"" | b"T"));
    }
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn what_is_gone_leaves_the_index_of_its_owner() {
    let (store, clock) = own_store().await;
    let whose = Whose::Subject {
        issuer: "https://idp.test",
        subject: "alice",
    };
    let count = async || store.find(whose).await.unwrap().len();
    let (lost, ended) = (store.login("alice", HOUR).await, store.login("alice", HOUR).await);
    let kept = store.login("alice", HOUR).await;
    assert_eq!(count().await, 3);
    store.ask(&["DEL", &store.name(&lost)]).await;
    store.ask(&["SET", &store.name(&ended), "T"]).await;
    // For all that is known, the first may be on its way.
    assert_eq!(count().await, 2);
    clock.advance(11 * MINUTE);
    assert_eq!(count().await, 1);
    assert!(store.end(&kept).await);
    assert_eq!(count().await, 0);
    let left = store.keys().await;
    // The index of the login still names the session that may be on its way.
    assert_eq!(
        left.iter().filter(|name| name.contains(":owner:")).count(),
        1,
        "{left:?}"
    );
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn everything_in_redis_has_an_end_beyond_its_own() {
    let (store, _) = own_store().await;
    let key = store.login("alice", HOUR).await;
    let day = 24 * 3_600_000;
    let ttl = async |name: &str| store.ask_for::<i64>(&["PTTL", name]).await;
    let lifetime = 8 * 3_600_000;
    let beyond = lifetime + day - 60_000..=lifetime + day;
    assert!(beyond.contains(&ttl(&store.name(&key)).await));
    for name in store.keys().await {
        assert!(!name.contains(":owner:") || beyond.contains(&ttl(&name).await));
    }
    store.write(&key, "second").await.unwrap();
    store
        .touch(&key, store.inner.clock.now().saturating_add(MINUTE))
        .await
        .unwrap();
    assert!(beyond.contains(&ttl(&store.name(&key)).await));
    store.end(&key).await;
    assert!((lifetime - 60_000..=lifetime + 60_000).contains(&ttl(&store.name(&key)).await));
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn a_full_redis_takes_no_login_and_keeps_those_that_are_there() {
    let server = Server::start(&[]);
    let store = connect(&server.url(), Arc::new(clock())).await;
    let key = store.login("alice", Duration::ZERO).await;
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let refused = store.try_login("bob", HOUR).await.unwrap_err();
    let InsertError::Store(StoreError::Unavailable(cause)) = refused else {
        panic!("{refused:?}");
    };
    assert!(cause.to_string().contains("maxmemory"), "{cause}");

    store
        .touch(&key, store.inner.clock.now().saturating_add(MINUTE))
        .await
        .unwrap();
    let claimed = store.claim_due(1, MINUTE).await.unwrap().pop().unwrap();
    store.write(&key, "second").await.unwrap();
    assert!(store.extend(&claimed.lease, MINUTE).await.unwrap());
    store
        .release(claimed.lease, Due::At(store.inner.clock.now()))
        .await
        .unwrap();
    let stored = store.get(&key).await.unwrap().unwrap();
    assert_eq!(stored.session.tokens.access.expose(), "second");
    assert_eq!(stored.last_seen, store.inner.clock.now().saturating_add(MINUTE));
    // A process that starts now can work with it.
    connect(&server.url(), Arc::new(clock())).await;
    assert!(store.end(&key).await);
    assert!(!store.lives(&key).await);
}
