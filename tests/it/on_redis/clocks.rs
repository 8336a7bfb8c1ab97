//! Replicas whose clocks are 30 seconds apart: one ahead, one behind, and one that is right, as the IdP's and the API's are.

use std::{sync::Arc, time::Duration};

use axum::response::IntoResponse as _;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bff::{
    app::{App, Ports},
    clock::{Clock, SystemClock, Timestamp},
    config::{Config, Environment},
    instruments::Series,
    random::SystemRandom,
};
use devstack_idp::{Endpoint, Fault};
use futures_util::future::BoxFuture;
use http::{StatusCode, header::CONTENT_TYPE};
use serde_json::Value;
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::{Replicas, TOKEN_LIFE, at_another, eventually, origin, set};
use crate::support::{Browser, Callers, Redis, http_client};

/// How far clocks are ahead of the right one, in seconds.
const AHEAD: [i64; super::COUNT] = [0, -15, 15];

/// The times of tokens are whole seconds.
const A_SECOND: Duration = Duration::from_secs(1);

/// The machine's clock, set wrong.
#[derive(Clone, Copy, Debug)]
struct Wrong {
    /// In seconds.
    ahead: i64,
}

impl Wrong {
    fn moved(self, time: Timestamp) -> Timestamp {
        let difference = Duration::from_secs(self.ahead.unsigned_abs());
        if self.ahead < 0 {
            time.saturating_sub(difference)
        } else {
            time.saturating_add(difference)
        }
    }
}

impl Clock for Wrong {
    fn now(&self) -> Timestamp {
        self.moved(SystemClock.now())
    }

    fn wall(&self) -> Timestamp {
        self.moved(SystemClock.wall())
    }

    fn stopwatch(&self) -> Duration {
        SystemClock.stopwatch()
    }

    fn sleep_until(&self, deadline: Timestamp) -> BoxFuture<'static, ()> {
        SystemClock.sleep(deadline.duration_since(self.now()))
    }
}

/// Replicas in this process, each by a clock of its own.
struct Apart {
    replicas: Replicas,
    running: Vec<(JoinHandle<()>, CancellationToken)>,
}

impl Apart {
    async fn start() -> Self {
        let mut replicas = Replicas::prepare(Redis::start().await).await;
        refuse_expired_tokens(&replicas);
        let mut running = Vec::new();
        for (index, ahead) in AHEAD.into_iter().enumerate() {
            let port = replicas.ports[index].address().port().to_string();
            set(&mut replicas.stack, "PORT", &port);
            let environment: Environment = replicas.stack.variables.iter().cloned().collect();
            let (config, _) = Config::load(&environment).unwrap();
            let ports = Ports {
                clock: Arc::new(Wrong { ahead }),
                random: Arc::new(SystemRandom),
                instruments: Arc::clone(&replicas.stack.tally) as _,
                ..Ports::default()
            };
            let app = Box::pin(App::new(config, ports)).await.unwrap();
            let listeners = app.bind().await.unwrap();
            let stop = CancellationToken::new();
            let run = app.run(listeners, stop.clone());
            running.push((tokio::spawn(async move { run.await.unwrap() }), stop));
        }
        let apart = Self { replicas, running };
        for port in &apart.replicas.ports {
            let probe = Browser::new("nobody", &origin(port));
            eventually("it is ready", async || {
                probe.get("/health/ready").await.status == StatusCode::OK
            })
            .await;
        }
        apart
    }

    /// Ends the last of those that run.
    async fn stop_one(&mut self) {
        let (running, stop) = self.running.pop().unwrap();
        stop.cancel();
        running.await.unwrap();
    }
}

/// As every API should, to the second: tokens count in whole ones.
fn refuse_expired_tokens(replicas: &Replicas) {
    replicas.stack.api.answer(|call| {
        let token = call.header("authorization").unwrap();
        let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        if claims["exp"].as_u64().unwrap() >= SystemClock.wall().unix_seconds() {
            StatusCode::OK.into_response()
        } else {
            (StatusCode::UNAUTHORIZED, r#"{"code":"token_expired"}"#).into_response()
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn clocks_thirty_seconds_apart_affect_nobody() {
    let mut apart = Apart::start().await;
    let (replicas, idp) = (&apart.replicas, &apart.replicas.stack.idp);
    // An IdP this strict refuses assertions dated 15 seconds ahead. The replica learns from that, once.
    for port in &replicas.ports {
        let grace = Browser::new("grace", &origin(port));
        grace.log_in().await;
        assert_eq!(grace.post("/auth/logout").await.status, StatusCode::SEE_OTHER);
    }
    let ada = replicas.ada();
    ada[0].log_in().await;
    let callers = Callers::at(&ada);
    // Tokens are renewed by whichever replica comes first. A slow IdP gives the others time to take it for dead.
    for _ in 0..6 {
        let gate = Arc::new(Notify::new());
        let before = idp.count(Endpoint::Token);
        idp.fail_next(Endpoint::Token, Fault::HoldUntil(Arc::clone(&gate)));
        eventually("tokens are being renewed", async || {
            idp.count(Endpoint::Token) > before
        })
        .await;
        callers.go_on(TOKEN_LIFE / 4).await;
        assert_eq!(
            idp.count(Endpoint::Token),
            before + 1,
            "one refresh at a time, with one try"
        );
        gate.notify_one();
        callers.go_on(TOKEN_LIFE / 4).await;
    }
    callers.were_told_nothing_but(&[]);
    assert!(replicas.refreshes_once_each() >= 6);
    let taken_over = Series::of("bff_token_lease_takeovers_total");
    assert_eq!(replicas.stack.counted(taken_over), 0);

    // A login that begins at one and comes back to another; a logout at a third one.
    for (from, to) in [(0, 1), (1, 0), (2, 1)] {
        let grace = Browser::new("grace", &origin(&replicas.ports[from]));
        let callback = grace.authorize("/auth/login").await;
        at_another(replicas, &grace, &callback, to).await.leads_on();
        assert_eq!(grace.get("/api/hello").await.status, StatusCode::OK);
        let elsewhere = grace.at(&origin(&replicas.ports[3 - from - to]));
        let logout = elsewhere.post("/auth/logout").await;
        assert_eq!(logout.status, StatusCode::SEE_OTHER, "{}", logout.body);
        assert!(!grace.is_logged_in().await);
    }
    // The IdP logs out a person, who logs in again at once.
    assert_eq!(idp.log_out("u-ada").await, [Ok(200)]);
    for there in &ada {
        assert!(!there.is_logged_in().await);
    }
    ada[1].log_in().await;
    for there in &ada {
        assert!(there.is_logged_in().await);
    }

    // The one whose clock is ahead has renewed the tokens, and ends: the others know when they expire.
    let before = replicas.refreshes_once_each();
    eventually("tokens are renewed", async || {
        replicas.refreshes_once_each() > before
    })
    .await;
    apart.stop_one().await;
    let others = Callers::at(&ada[..2]);
    others.go_on(TOKEN_LIFE * 4).await;
    others.were_told_nothing_but(&[]);
    apart.replicas.refreshes_once_each();
    apart.stop_one().await;
    apart.stop_one().await;
}

/// Logs a person out at the replica `index`, by one session at the IdP, which goes on there and still answers.
async fn logged_out_at(replicas: &Replicas, index: usize, sid: &str) {
    let idp = &replicas.stack.idp;
    let token = idp.logout_token("bff-server", None, Some(sid), |_| {}).unwrap();
    let url = format!(
        "http://{}/auth/backchannel-logout",
        replicas.ports[index].address()
    );
    let request = http_client()
        .post(url)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(format!("logout_token={token}"));
    assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
    // In the same second of the IdP, a logout counts as later than a login.
    SystemClock.sleep(A_SECOND).await;
}

/// The login begins at a replica whose clock is ahead and comes back to one that is behind, or the other way round.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn attack_32_clocks_apart_tell_a_logout_before_from_one_during() {
    let mut apart = Apart::start().await;
    let replicas = &apart.replicas;
    for (from, to) in [(2, 1), (1, 2)] {
        let grace = Browser::new("grace", &origin(&replicas.ports[from]));
        grace.log_in().await;
        let sid = replicas.stack.idp.sids("u-grace").remove(0);

        // During a login.
        let callback = grace.authorize("/auth/login?prompt=none").await;
        logged_out_at(replicas, 0, &sid).await;
        let reply = at_another(replicas, &grace, &callback, to).await;
        assert_eq!(
            reply.status,
            StatusCode::BAD_REQUEST,
            "{from} {to}: {}",
            reply.body
        );
        assert!(reply.body.contains("login_logged_out"), "{}", reply.body);

        // Before a login.
        logged_out_at(replicas, 0, &sid).await;
        let callback = grace.authorize("/auth/login?prompt=none").await;
        at_another(replicas, &grace, &callback, to).await.leads_on();
        assert!(grace.is_logged_in().await, "{from} {to}");
        assert_eq!(replicas.stack.idp.log_out("u-grace").await, [Ok(200)]);
    }
    for _ in 0..super::COUNT {
        apart.stop_one().await;
    }
}
