//! A replica that is killed, or stands still, while it renews tokens.

use std::{sync::Arc, time::Duration};

use bff::clock::{Clock as _, SystemClock, Timestamp};
use devstack_idp::{Endpoint, Fault};
use http::StatusCode;
use tokio::sync::Notify;

use super::Replicas;
use crate::support::Browser;

/// Replicas of which the one in the middle has got a signal while it renews tokens. The IdP has not got its request.
struct Interrupted {
    replicas: Replicas,
    ada: Vec<Browser>,
    /// When the login was.
    begun: Timestamp,
    /// Where the request waits that the IdP does not get.
    _held: Arc<Notify>,
}

// === impl Interrupted ===

impl Interrupted {
    /// How long access tokens live here.
    const LIFE: Duration = Duration::from_mins(1);
    /// The replicas that go on. The IdP fetches keys from the first one.
    const OTHERS: [usize; 2] = [0, 2];

    async fn by(signal: &str) -> Self {
        let replicas = Replicas::start().await;
        replicas.stack.idp.set_access_token_lifetime(Self::LIFE);
        let ada = replicas.ada();
        ada[1].log_in().await;
        // The others do not claim the session before the first has begun.
        for other in Self::OTHERS {
            replicas.running[other].signal("STOP");
        }
        let held = Arc::new(Notify::new());
        let fault = Fault::HoldUntil(Arc::clone(&held));
        replicas.stack.idp.fail_next(Endpoint::Token, fault);
        let scene = Self {
            replicas,
            ada,
            begun: SystemClock.now(),
            _held: held,
        };
        while scene.refreshes() == 0 {
            scene.are_served(&[1]).await;
        }
        scene.replicas.running[1].signal(signal);
        for other in Self::OTHERS {
            scene.replicas.running[other].signal("CONT");
        }
        scene
    }

    /// How many refreshes the IdP was asked for.
    fn refreshes(&self) -> usize {
        let asked = self.replicas.stack.idp.requests(Endpoint::Token);
        let refreshes = asked
            .iter()
            .filter(|asked| asked.field("refresh_token").is_some());
        refreshes.count()
    }

    /// A call at each of these replicas succeeds.
    async fn are_served(&self, at: &[usize]) {
        for index in at {
            let reply = self.ada[*index].get("/api/hello").await;
            assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
        }
        SystemClock.sleep(Duration::from_millis(200)).await;
    }

    /// The same until `end`.
    async fn are_served_until(&self, end: Timestamp, at: &[usize]) {
        while SystemClock.now() < end {
            self.are_served(at).await;
        }
    }

    /// One refresh was asked for in vain and one answered, and nothing was used twice.
    fn ends_well(&self) {
        assert_eq!(self.refreshes(), 2);
        assert_eq!(self.replicas.stack.idp.issued_refresh_tokens_live("u-ada"), 1);
    }
}

/// Takes more than a minute: as long as a lease.
#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn a_replica_killed_during_a_refresh_is_succeeded() {
    let scene = Interrupted::by("KILL").await;
    // Nobody notices anything, until well after the first access token has expired.
    let end = scene.begun.saturating_add(Interrupted::LIFE * 5 / 4);
    scene.are_served_until(end, &Interrupted::OTHERS).await;
    scene.ends_well();
}

/// Takes more than a minute: as long as a lease.
#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn a_stopped_replica_disturbs_nobody_when_it_continues() {
    let scene = Interrupted::by("STOP").await;
    let end = scene.begun.saturating_add(Interrupted::LIFE * 5 / 4);
    scene.are_served_until(end, &Interrupted::OTHERS).await;
    assert_eq!(scene.refreshes(), 2);
    // It finds its lease taken over and its request unanswered. Well before the next refresh is due.
    scene.replicas.running[1].signal("CONT");
    let end = SystemClock.now().saturating_add(Interrupted::LIFE / 12);
    scene.are_served_until(end, &[1, 0, 2]).await;
    scene.ends_well();
}
