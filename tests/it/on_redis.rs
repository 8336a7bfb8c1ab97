//! Several replicas of the real binary that share their sessions in a real Redis.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bff::clock::{Clock as _, SystemClock};
use devstack_idp::{Endpoint, Fault};
use http::StatusCode;
use tokio::sync::Notify;

use crate::support::{Browser, Port, Process, Redis, Stack, pause};

/// How many replicas there are.
const COUNT: usize = 3;

/// How long access tokens live. They are renewed at half of it.
const TOKEN_LIFE: Duration = Duration::from_secs(4);

/// So many calls go to each replica while tokens are renewed several times.
const ROUNDS: usize = 400;

/// An IdP, an API, a Redis, and replicas on one keys folder.
struct Replicas {
    stack: Stack,
    redis: Redis,
    ports: Vec<Port>,
    running: Vec<Process>,
}

// === impl Replicas ===

impl Replicas {
    async fn prepare(redis: Redis) -> Self {
        let mut stack = Stack::builder()
            .without_server()
            .set("SESSION_STORE", "redis")
            .set("REDIS_URL", redis.url())
            .set("SESSION_SECRET", "1a".repeat(32))
            .start_without_waiting()
            .await;
        stack.idp.set_access_token_lifetime(TOKEN_LIFE);
        let ports: Vec<Port> = (0..COUNT).map(|_| Port::reserve()).collect();
        let uris: Vec<String> = ports.iter().map(|port| origin(port) + "/auth/callback").collect();
        set(&mut stack, "DCR_REDIRECT_URIS", &uris.join(","));
        // Where the IdP fetches the keys of the client.
        let base = format!("http://{}", ports[0].address());
        set(&mut stack, "BFF_BASE_URL", &base);
        Self {
            stack,
            redis,
            ports,
            running: Vec::new(),
        }
    }

    async fn start() -> Self {
        let mut replicas = Self::prepare(Redis::start().await).await;
        replicas.start_all();
        replicas.all_are_ready().await;
        replicas
    }

    fn start_all(&mut self) {
        for index in 0..COUNT {
            self.start_one(index);
        }
    }

    fn start_one(&mut self, index: usize) {
        let port = self.ports[index].address().port().to_string();
        set(&mut self.stack, "PORT", &port);
        let process = Process::start(&self.stack.folder(), &[], &self.stack.variables);
        self.running.push(process);
    }

    async fn all_are_ready(&mut self) {
        for process in &mut self.running {
            process.says("listening").await;
        }
        for port in &self.ports {
            let probe = Browser::new("nobody", &origin(port));
            while probe.get("/health/ready").await.status != StatusCode::OK {
                pause().await;
            }
        }
    }

    /// Ada's browser, at each of the replicas.
    fn ada(&self) -> Vec<Browser> {
        let first = Browser::new("ada", &origin(&self.ports[0]));
        self.ports.iter().map(|port| first.at(&origin(port))).collect()
    }
}

fn origin(port: &Port) -> String {
    format!("http://automate.localhost:{}", port.address().port())
}

fn set(stack: &mut Stack, name: &str, value: &str) {
    stack.variables.retain(|(other, _)| other != name);
    stack.variables.push((name.to_owned(), value.to_owned()));
}

async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..5_000 {
        if is_so().await {
            return;
        }
        pause().await;
    }
    panic!("never: {what}");
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn a_login_at_one_replica_is_one_at_all_and_so_is_a_logout() {
    let replicas = Replicas::start().await;
    let ada = replicas.ada();
    for round in 0..10 {
        let here = &ada[round % COUNT];
        here.log_in().await;
        for there in &ada {
            assert_eq!(there.get("/api/hello").await.status, StatusCode::OK);
        }
        // As a program that has kept the cookie.
        let cookie = here.session_cookie().unwrap();
        let logout = ada[(round + 1) % COUNT].post("/auth/logout").await;
        assert_eq!(logout.status, StatusCode::SEE_OTHER, "{}", logout.body);
        for there in &ada {
            there.set_cookie("__Host-Http-bff_session", &cookie);
            eventually("it is seen everywhere", async || {
                there.get("/api/hello").await.status == StatusCode::UNAUTHORIZED
            })
            .await;
        }
        here.forget_cookies();
    }
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn every_refresh_token_is_used_once_whatever_replica_is_asked() {
    let replicas = Replicas::start().await;
    let ada = replicas.ada();
    ada[0].log_in().await;
    let mut tokens = BTreeSet::new();
    let mut calls = tokio::task::JoinSet::new();
    for there in ada {
        calls.spawn(async move {
            for _ in 0..ROUNDS {
                let reply = there.get("/api/hello").await;
                assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
                for _ in 0..20 {
                    pause().await;
                }
            }
        });
    }
    while let Some(called) = calls.join_next().await {
        called.unwrap();
    }
    let asked = replicas.stack.idp.requests(Endpoint::Token);
    let refreshes: Vec<_> = asked
        .iter()
        .filter_map(|request| request.field("refresh_token"))
        .collect();
    for token in &refreshes {
        assert!(
            tokens.insert((*token).to_owned()),
            "a refresh token was used twice"
        );
    }
    assert!(refreshes.len() >= 4, "{}", refreshes.len());
    assert_eq!(replicas.stack.idp.issued_refresh_tokens_live("u-ada"), 1);
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn a_replica_that_is_killed_and_one_that_is_new_cost_nobody_a_session() {
    let mut replicas = Replicas::start().await;
    let ada = replicas.ada();
    ada[0].log_in().await;
    let last = COUNT - 1;
    drop(replicas.running.remove(last));
    for there in &ada[..last] {
        assert_eq!(there.get("/api/hello").await.status, StatusCode::OK);
    }
    replicas.start_one(last);
    replicas.all_are_ready().await;
    for there in &ada {
        assert!(there.is_logged_in().await);
        assert_eq!(there.get("/api/hello").await.status, StatusCode::OK);
    }
}

/// Takes more than a minute: as long as a lease.
#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn a_replica_that_is_killed_while_it_renews_tokens_is_succeeded_by_another() {
    let replicas = Replicas::start().await;
    let life = Duration::from_mins(1);
    replicas.stack.idp.set_access_token_lifetime(life);
    // The IdP fetches keys from the first one, which stays.
    let ada = replicas.ada();
    ada[1].log_in().await;
    for stays in [0, 2] {
        replicas.running[stays].signal("STOP");
    }
    let hold = Arc::new(Notify::new());
    replicas
        .stack
        .idp
        .fail_next(Endpoint::Token, Fault::HoldUntil(Arc::clone(&hold)));
    let refreshes = || {
        let asked = replicas.stack.idp.requests(Endpoint::Token);
        let refreshes = asked
            .iter()
            .filter(|asked| asked.field("refresh_token").is_some());
        refreshes.count()
    };
    let begun = SystemClock.now();
    while refreshes() == 0 {
        assert_eq!(ada[1].get("/api/hello").await.status, StatusCode::OK);
        SystemClock.sleep(Duration::from_millis(200)).await;
    }
    replicas.running[1].signal("KILL");
    for stays in [0, 2] {
        replicas.running[stays].signal("CONT");
    }
    // Nobody notices anything, until well after the first access token has expired.
    while SystemClock.now() < begun.saturating_add(life + life / 4) {
        for stays in [0, 2] {
            let reply = ada[stays].get("/api/hello").await;
            assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
        }
        SystemClock.sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(refreshes(), 2);
    assert_eq!(replicas.stack.idp.issued_refresh_tokens_live("u-ada"), 1);
    hold.notify_one();
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn a_redis_that_is_killed_and_comes_back_costs_nobody_a_session() {
    let mut replicas = Replicas::start().await;
    let ada = replicas.ada();
    ada[0].log_in().await;
    replicas.redis.down();
    eventually("it is said", async || {
        let reply = ada[0].get_json("/api/hello").await;
        reply.status == StatusCode::SERVICE_UNAVAILABLE && reply.code() == "session_store_unavailable"
    })
    .await;
    // A browser that is turned away keeps its cookie.
    assert!(ada[0].session_cookie().is_some());
    let is_degraded = async || ada[1].get("/health").await.json()["status"] == "degraded";
    eventually("health shows it", is_degraded).await;
    replicas.redis.up().await;
    for there in &ada {
        eventually("it works again", async || {
            there.get("/api/hello").await.status == StatusCode::OK
        })
        .await;
    }
    eventually("health shows that, too", async || !is_degraded().await).await;
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn a_redis_that_starts_later_is_waited_for_and_a_wrong_url_is_told() {
    let mut replicas = Replicas::prepare(Redis::prepare()).await;
    replicas.start_one(0);
    replicas.running[0].says("cannot be reached").await;
    replicas.redis.up().await;
    replicas.running[0].says("Client registered: ").await;
    let right = replicas.redis.url();
    let url = right.replace("redis://", "redis://:hunter2@");
    set(&mut replicas.stack, "REDIS_URL", &url);
    set(
        &mut replicas.stack,
        "PORT",
        &replicas.ports[1].address().port().to_string(),
    );
    let ended = Process::start(&replicas.stack.folder(), &[], &replicas.stack.variables)
        .ended()
        .await;
    ended.says(64, &["does not take user and password of REDIS_URL"]);
    assert!(!ended.output.contains("hunter2"), "{}", ended.output);
}
