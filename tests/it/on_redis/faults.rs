//! Faults around several replicas: of their Redis, the network, the IdP. Clients call each replica all the time, and
//! refresh tokens work once. Each test measures how soon every person is served again after the end of the fault.
//!
//! `docs/reliability.md` has the bounds.

use std::{sync::Arc, time::Duration};

use devstack_idp::{Endpoint, Fault};
use http::StatusCode;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::{Notify, watch},
};

use super::{COUNT, Replicas, TOKEN_LIFE, eventually, origin, set};
use crate::support::{Browser, Callers, Process, Redis};

/// The answer to people while Redis does not respond.
const STORE: &str = "session_store_unavailable";

/// The answer to people whose access token has expired and could not be refreshed.
const TOKEN: &str = "token_refresh_pending";

/// A fault is over for everybody after so long.
const SOON: Duration = Duration::from_secs(5);

impl Replicas {
    /// Ada has logged in, and calls everywhere.
    async fn with_callers(redis: Redis) -> (Self, Vec<Browser>, Callers) {
        let mut replicas = Self::prepare(redis).await;
        replicas.start_all();
        replicas.all_are_ready().await;
        let ada = replicas.ada();
        ada[0].log_in().await;
        let callers = Callers::at(&ada);
        callers.go_on(TOKEN_LIFE).await;
        (replicas, ada, callers)
    }

    /// Nobody has lost a session, tokens are renewed, and none was ever used twice.
    async fn have_lost_nothing(&self, ada: &[Browser]) {
        for there in ada {
            assert!(there.is_logged_in().await);
        }
        assert!(self.refreshes_once_each() >= 2);
    }
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn a_killed_redis_costs_nobody_a_session() {
    let (mut replicas, ada, callers) = Replicas::with_callers(Redis::start().await).await;
    replicas.redis.down();
    eventually("it is said", async || {
        let reply = ada[0].get_json("/api/hello").await;
        reply.status == StatusCode::SERVICE_UNAVAILABLE && reply.code() == STORE
    })
    .await;
    // A browser that is turned away keeps its cookie.
    assert!(ada[0].session_cookie().is_some());
    let is_degraded = async || ada[1].get("/health").await.json()["status"] == "degraded";
    eventually("health shows it", is_degraded).await;
    callers.go_on(TOKEN_LIFE * 2).await;
    replicas.redis.up().await;
    callers.are_served_again("a Redis that was killed", SOON).await;
    eventually("health shows that, too", async || !is_degraded().await).await;
    callers.go_on(TOKEN_LIFE).await;
    callers.were_told_nothing_but(&[STORE, TOKEN]);
    replicas.have_lost_nothing(&ada).await;
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn a_redis_killed_during_a_refresh_costs_no_session() {
    let (mut replicas, ada, callers) = Replicas::with_callers(Redis::start().await).await;
    // The IdP has exchanged a refresh token, and its answer is still on its way.
    let gate = Arc::new(Notify::new());
    let held = Fault::HoldAnswerUntil(Arc::clone(&gate));
    let before = replicas.stack.idp.count(Endpoint::Token);
    replicas.stack.idp.fail_next(Endpoint::Token, held);
    eventually("tokens are being renewed", async || {
        replicas.stack.idp.count(Endpoint::Token) > before
    })
    .await;
    replicas.redis.down();
    gate.notify_one();
    callers.go_on(TOKEN_LIFE * 2).await;
    replicas.redis.up().await;
    callers
        .are_served_again("a Redis that was killed in the middle of a refresh", SOON)
        .await;
    callers.go_on(TOKEN_LIFE).await;
    callers.were_told_nothing_but(&[STORE, TOKEN]);
    // One session was being renewed, and the log says so once, however often the store is asked.
    let told = |process: &Process| {
        process
            .output()
            .matches("renewed tokens are kept in memory")
            .count()
    };
    assert_eq!(replicas.running.iter().map(told).sum::<usize>(), 1);
    replicas.have_lost_nothing(&ada).await;
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn a_frozen_redis_costs_nobody_a_session() {
    let (replicas, ada, callers) = Replicas::with_callers(Redis::start().await).await;
    replicas.redis.signal("STOP");
    callers.go_on(Duration::from_secs(10)).await;
    replicas.redis.signal("CONT");
    callers.are_served_again("a Redis that stood still", SOON).await;
    callers.go_on(TOKEN_LIFE).await;
    callers.were_told_nothing_but(&[STORE, TOKEN]);
    replicas.have_lost_nothing(&ada).await;
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn a_full_redis_affects_only_logins() {
    let (replicas, ada, callers) = Replicas::with_callers(Redis::start().await).await;
    let grace = Browser::new("grace", &origin(&replicas.ports[1]));
    assert_eq!(replicas.redis.command(&["CONFIG", "SET", "maxmemory", "1"]), "OK");
    let callback = grace.authorize("/auth/login").await;
    let refused = grace.get(&callback).await;
    assert_eq!(
        refused.status,
        StatusCode::SERVICE_UNAVAILABLE,
        "{}",
        refused.body
    );
    callers.go_on(TOKEN_LIFE * 2).await;
    assert_eq!(replicas.redis.command(&["CONFIG", "SET", "maxmemory", "0"]), "OK");
    callers.are_served_again("a Redis that was full", SOON).await;
    grace.log_in().await;
    // Those who were logged in have noticed nothing at all.
    callers.were_told_nothing_but(&[]);
    replicas.have_lost_nothing(&ada).await;
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn a_read_only_redis_costs_nobody_a_session() {
    let (replicas, ada, callers) = Replicas::with_callers(Redis::start().await).await;
    // Of a primary that there is not.
    assert_eq!(replicas.redis.command(&["REPLICAOF", "127.0.0.1", "1"]), "OK");
    callers.go_on(TOKEN_LIFE * 2).await;
    assert_eq!(replicas.redis.command(&["REPLICAOF", "NO", "ONE"]), "OK");
    callers.are_served_again("a Redis that was a replica", SOON).await;
    callers.go_on(TOKEN_LIFE).await;
    callers.were_told_nothing_but(&[STORE, TOKEN]);
    replicas.have_lost_nothing(&ada).await;
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn an_emptied_redis_logs_everybody_out() {
    let replicas = Replicas::start().await;
    let ada = replicas.ada();
    ada[0].log_in().await;
    for there in &ada {
        assert_eq!(there.get("/api/hello").await.status, StatusCode::OK);
    }
    let cookie = ada[0].session_cookie().unwrap();
    assert_eq!(replicas.redis.command(&["FLUSHALL"]), "OK");
    // Also where the session was cached, without a restart.
    for there in &ada {
        eventually("it is noticed", async || {
            there.set_cookie("__Host-Http-bff_session", &cookie);
            there.get("/api/hello").await.status == StatusCode::UNAUTHORIZED
        })
        .await;
    }
    ada[1].log_in().await;
    Callers::at(&ada)
        .are_served_again("a Redis that was emptied", SOON)
        .await;
}

/// A way to Redis that can be cut.
struct Wire {
    url: String,
    is_cut: watch::Sender<bool>,
}

impl Wire {
    async fn to(redis: &Redis) -> Self {
        let target = redis.url().replace("redis://", "");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let (is_cut, seen) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let (target, mut seen) = (target.clone(), seen.clone());
                tokio::spawn(async move {
                    let Ok(mut far) = TcpStream::connect(target).await else {
                        return;
                    };
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        _ = seen.wait_for(|is_cut| *is_cut) => {}
                    }
                });
            }
        });
        Self { url, is_cut }
    }
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn a_cut_network_costs_nobody_a_session() {
    let redis = Redis::start().await;
    let wire = Wire::to(&redis).await;
    let mut replicas = Replicas::prepare(redis).await;
    set(&mut replicas.stack, "REDIS_URL", &wire.url);
    replicas.start_all();
    replicas.all_are_ready().await;
    let ada = replicas.ada();
    ada[0].log_in().await;
    let callers = Callers::at(&ada);
    callers.go_on(TOKEN_LIFE).await;
    wire.is_cut.send_replace(true);
    callers.go_on(TOKEN_LIFE * 2).await;
    wire.is_cut.send_replace(false);
    callers.are_served_again("a network that was cut", SOON).await;
    callers.go_on(TOKEN_LIFE).await;
    callers.were_told_nothing_but(&[STORE, TOKEN]);
    replicas.have_lost_nothing(&ada).await;
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn an_idp_outage_costs_nobody_a_session() {
    let (replicas, ada, callers) = Replicas::with_callers(Redis::start().await).await;
    let idp = &replicas.stack.idp;
    idp.fail_always(Endpoint::Token, Fault::status(503));
    callers.go_on(TOKEN_LIFE * 3).await;
    idp.heal_all();
    // Attempts pause for up to 12.5 seconds.
    callers
        .are_served_again("an IdP that was down", Duration::from_secs(15))
        .await;
    callers.go_on(TOKEN_LIFE).await;
    callers.were_told_nothing_but(&[TOKEN]);
    for there in &ada {
        assert!(there.is_logged_in().await);
    }
    assert_eq!(idp.issued_refresh_tokens_live("u-ada"), 1);
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn a_killed_replica_costs_nobody_a_session() {
    let (mut replicas, ada, callers) = Replicas::with_callers(Redis::start().await).await;
    callers.were_told_nothing_but(&[]);
    let last = COUNT - 1;
    let others = Callers::at(&ada[..last]);
    drop(replicas.running.remove(last));
    others.go_on(TOKEN_LIFE).await;
    others.were_told_nothing_but(&[]);
    replicas.start_one(last);
    replicas.all_are_ready().await;
    let all = Callers::at(&ada);
    all.are_served_again("a replica that was killed", SOON).await;
    all.were_told_nothing_but(&[]);
    for there in &ada {
        assert!(there.is_logged_in().await);
    }
}
