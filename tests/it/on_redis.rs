//! Several replicas of the real binary that share their sessions in a real Redis, and one folder.

mod clocks;
mod faults;
mod interrupted;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use devstack_idp::{Endpoint, Fault};
use http::{Method, StatusCode, header::HOST};
use tokio::sync::Notify;

use crate::support::{
    Browser, Events, Port, Process, Redis, Reply, Stack, pause,
    web_socket::{Echo, Socket, cookie},
};

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
            .set("BFF_STATE_STORE", "files")
            .start_without_waiting()
            .await;
        stack.idp.set_access_token_lifetime(TOKEN_LIFE);
        let ports: Vec<Port> = (0..COUNT).map(|_| Port::reserve()).collect();
        let uris: Vec<String> = ports.iter().map(|port| origin(port) + "/auth/callback").collect();
        set(&mut stack, "DCR_REDIRECT_URIS", &uris.join(","));
        // The address at which the IdP fetches the client's keys.
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

    /// How many refreshes there were. Each refresh token of Ada's was used once, and the last one is good: the IdP has seen
    /// no second use, which would have ended all.
    fn refreshes_once_each(&self) -> usize {
        let mut tokens = BTreeSet::new();
        for request in self.stack.idp.requests(Endpoint::Token) {
            if let Some(token) = request.field("refresh_token") {
                assert!(tokens.insert(token.to_owned()), "a refresh token was used twice");
            }
        }
        assert_eq!(self.stack.idp.issued_refresh_tokens_live("u-ada"), 1);
        tokens.len()
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
async fn an_open_page_learns_of_a_logout_at_another_replica() {
    let replicas = Replicas::start().await;
    let ada = replicas.ada();
    ada[0].log_in().await;
    let mut open = Vec::new();
    for there in &ada {
        let mut events = Events::open(there).await;
        events.more().await;
        open.push(events);
    }
    let last_id = open[0].last_id.clone();
    ada[1].post("/auth/logout").await;
    for mut events in open {
        let mut event = events.next().await;
        // The tokens may be renewed meanwhile.
        while matches!(&event, Some((name, _)) if name == "session-renewed") {
            event = events.next().await;
        }
        let (name, data) = event.unwrap();
        assert_eq!(
            (name.as_str(), &data["reason"]),
            ("session-ended", &"logout".into())
        );
        assert_eq!(events.next().await, None);
    }
    // Each of them knows why, also later.
    for there in &ada {
        let mut events = Events::after(there, &last_id).await;
        assert_eq!(events.next().await.unwrap().0, "session-ended");
    }
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn attack_48_a_logout_closes_websockets_at_other_replicas() {
    let echo = Echo::start().await;
    let mut replicas = Replicas::prepare(Redis::start().await).await;
    let routes = format!(
        "services:\n  live: {{ base_url: \"{}\" }}\nroutes:\n  - {{ id: live, path: /live/*, target_service: live, websocket: true }}\n",
        echo.url()
    );
    std::fs::write(replicas.stack.folder().join("config/routes.yaml"), routes).unwrap();
    replicas.start_all();
    replicas.all_are_ready().await;
    let ada = replicas.ada();
    ada[0].log_in().await;
    let mut sockets = Vec::new();
    for (there, port) in ada.iter().zip(&replicas.ports) {
        let cookie = cookie(&ada[0]);
        let host = there.origin().strip_prefix("http://").unwrap();
        let fields = [
            ("host", host),
            ("cookie", cookie.as_str()),
            ("origin", there.origin()),
        ];
        let mut socket = Socket::open(port.address(), "/live/x", &fields).await;
        assert_eq!(socket.status, StatusCode::SWITCHING_PROTOCOLS);
        socket.echo("open").await;
        sockets.push(socket);
    }
    ada[0].post("/auth/logout").await;
    for mut socket in sockets {
        assert_eq!(socket.hear().await.unwrap().status(), 4401);
    }
}

/// One allowance, whatever replica is asked: of a session, of an address, of a route, and of logins.
#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn rate_limits_count_over_all_replicas() {
    const ROUTES: &str = "services:\n  api: { base_url: '{api}' }\nroutes:\n\
        - { id: session, path: /session, target_service: api, rate_limit: { per_session: 4/d } }\n\
        - { id: address, path: /address, target_service: api, auth: none, rate_limit: { per_address: 4/d } }\n\
        - { id: route, path: /route, target_service: api, auth: none, rate_limit: { per_route: 4/d } }\n";
    let mut replicas = Replicas::prepare(Redis::start().await).await;
    set(&mut replicas.stack, "LOGIN_RATE_LIMIT", "4/d");
    let routes = ROUTES.replace("{api}", &replicas.stack.api.url());
    std::fs::write(replicas.stack.folder().join("config/routes.yaml"), routes).unwrap();
    replicas.start_all();
    replicas.all_are_ready().await;
    let ada = replicas.ada();
    // The first of the logins.
    ada[0].log_in().await;
    for path in ["/session", "/address", "/route"] {
        for left in (0..4).rev() {
            let reply = ada[left % COUNT].get(path).await;
            assert_eq!(reply.status, StatusCode::OK, "{path}: {}", reply.body);
            if path != "/route" {
                let limit = reply.header("ratelimit").unwrap();
                assert!(limit.contains(&format!("r={left};")), "{path}: {limit}");
            }
        }
        for there in &ada {
            let reply = there.get(path).await;
            assert_eq!(reply.refusal(), (429, "rate_limited".to_owned()), "{path}");
            let after: u64 = reply.header("retry-after").unwrap().parse().unwrap();
            assert!((21_000..=21_600).contains(&after), "{path}: {after}");
        }
    }
    for there in &ada {
        assert_eq!(there.get("/auth/login").await.status, StatusCode::FOUND);
    }
    for there in &ada {
        let reply = there.get_json("/auth/login").await;
        assert_eq!(reply.refusal(), (429, "rate_limited".to_owned()));
    }
    assert_eq!(replicas.stack.api.calls().len(), 12);
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn every_refresh_token_is_used_once_whatever_replica_is_asked() {
    let replicas = Replicas::start().await;
    let ada = replicas.ada();
    ada[0].log_in().await;
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
    assert!(replicas.refreshes_once_each() >= 4);
}

/// The log names a wrong URL.
#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn a_late_redis_is_waited_for() {
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
    ended.says(
        64,
        &[
            "does not take the user and the password",
            "correct them in REDIS_URL",
        ],
    );
    assert!(!ended.output.contains("hunter2"), "{}", ended.output);
}

/// Sends `callback`, which names the replica where `browser` is, to another one, as a load balancer does.
async fn at_another(replicas: &Replicas, browser: &Browser, callback: &str, index: usize) -> Reply {
    let host = browser.origin().replace("http://", "");
    let there = callback.replace(browser.origin(), &origin(&replicas.ports[index]));
    let request = browser.request(Method::GET, &there).header(HOST, host);
    browser.send(request).await
}

/// How many codes the IdP was sent.
fn codes(replicas: &Replicas) -> usize {
    let asked = replicas.stack.idp.requests(Endpoint::Token);
    asked.iter().filter(|asked| asked.field("code").is_some()).count()
}

/// And one token request.
#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn attack_46_one_callback_at_all_replicas_is_one_session() {
    let replicas = Replicas::start().await;
    let ada = &replicas.ada()[0];
    let callback = ada.authorize("/auth/login?return_to=/deep").await;
    let gate = Arc::new(Notify::new());
    let held = Fault::HoldAnswerUntil(Arc::clone(&gate));
    replicas.stack.idp.fail_next(Endpoint::Token, held);
    // Each tab has the cookies of the attempt, and keeps those of its answer to itself.
    let tabs: Vec<Browser> = (0..COUNT)
        .map(|_| {
            let tab = Browser::new("ada", &origin(&replicas.ports[0]));
            for (name, value) in ada.cookies(&origin(&replicas.ports[0])) {
                tab.set_cookie(&name, &value);
            }
            tab
        })
        .collect();
    let calls = tabs
        .iter()
        .enumerate()
        .map(|(index, tab)| at_another(&replicas, tab, &callback, index));
    let released = async {
        eventually("the code is sent", async || codes(&replicas) >= 1).await;
        for _ in 0..100 {
            pause().await;
        }
        assert_eq!(codes(&replicas), 1);
        gate.notify_one();
    };
    let (replies, ()) = tokio::join!(futures_util::future::join_all(calls), released);
    let first = tabs[0].session_cookie().unwrap();
    for (tab, reply) in tabs.iter().zip(replies) {
        let deep = format!("{}/deep", origin(&replicas.ports[0]));
        assert_eq!(reply.leads_on(), deep);
        assert_eq!(tab.session_cookie().as_ref(), Some(&first));
        assert!(tab.is_logged_in().await);
    }
    // A late one gets it, too.
    let late = Browser::new("ada", &origin(&replicas.ports[0]));
    for (name, value) in ada.cookies(&origin(&replicas.ports[0])) {
        late.set_cookie(&name, &value);
    }
    at_another(&replicas, &late, &callback, 1).await.leads_on();
    assert_eq!(late.session_cookie().as_ref(), Some(&first));
    assert_eq!(codes(&replicas), 1);
    // The messages contain nothing useful for a reader of Redis.
    let dump = replicas.redis.dump();
    let leaks = |part: &str| dump.windows(part.len()).any(|bytes| bytes == part.as_bytes());
    assert!(!leaks(&first) && !leaks("/deep"));
    // One session: nothing else is left when it ends.
    assert_eq!(tabs[0].post("/auth/logout").await.status, StatusCode::SEE_OTHER);
    assert!(!tabs[0].is_logged_in().await);
}

/// That one is storing it.
#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn attack_32_a_logout_ends_a_login_at_another_replica() {
    let replicas = Replicas::start().await;
    let ada = &replicas.ada()[1];
    let callback = ada.authorize("/auth/login").await;
    let gate = Arc::new(Notify::new());
    let held = Fault::HoldAnswerUntil(Arc::clone(&gate));
    replicas.stack.idp.fail_next(Endpoint::Token, held);
    let logged_out = async {
        eventually("the login is under way", async || codes(&replicas) == 1).await;
        // The IdP knows the address of the first replica.
        assert_eq!(replicas.stack.idp.log_out("u-ada").await, [Ok(200)]);
        gate.notify_one();
    };
    let (reply, ()) = tokio::join!(ada.get(&callback), logged_out);
    assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{}", reply.body);
    assert!(reply.body.contains("login_logged_out"), "{}", reply.body);
    eventually("what was granted is revoked", async || {
        replicas.stack.idp.issued_refresh_tokens_live("u-ada") == 0
    })
    .await;
}
