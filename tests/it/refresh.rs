//! Tokens stay fresh; which failures end a session.

mod answers;
mod ceiling;
mod clock;
mod failures;
mod flights;
mod flood;
mod id_tokens;
mod life;
mod schedule;
mod shutdown;

use std::{sync::Arc, time::Duration};

use devstack_idp::{Endpoint, Recorded};
use http::StatusCode;
use parking_lot::Mutex;
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::support::{Browser, Builder, Reply, Stack, pause, times};

/// A stack whose clock stands at the moment of Ada's login. Her access token lives 60 s: it is due after 30 s, and
/// requests wait for a newer one when 6 s remain.
struct Harness {
    stack: Stack,
    ada: Browser,
}

/// After so many seconds the access token is due for renewal.
const DUE: u64 = times::DUE.as_secs();

/// The life of an access token, in seconds.
const LIFE: u64 = 60;

/// The answers of the token endpoint.
#[derive(Clone, Default)]
struct Answers(Arc<Mutex<Vec<Value>>>);

impl Harness {
    async fn start() -> Self {
        Self::of(Stack::builder()).await
    }

    async fn of(builder: Builder) -> Self {
        let stack = builder.start().await;
        let ada = stack.browser();
        ada.log_in().await;
        stack.idp.clear_requests();
        Self { stack, ada }
    }

    /// Advances the time second by second, with enough real time for most effects of each.
    async fn pass(&self, seconds: u64) {
        for _ in 0..seconds {
            self.stack.clock.advance(Duration::from_secs(1));
            pause().await;
        }
        pause().await;
    }

    /// The refreshes that the IdP has seen.
    fn refreshes(&self) -> Vec<Recorded> {
        let requests = self.stack.idp.requests(Endpoint::Token);
        requests
            .into_iter()
            .filter(|request| request.field("grant_type") == Some("refresh_token"))
            .collect()
    }

    /// Waits until the IdP has seen `count` refreshes.
    async fn refreshes_are(&self, count: usize) {
        eventually("the IdP is asked", async || self.refreshes().len() >= count).await;
        assert_eq!(self.refreshes().len(), count);
    }

    /// Waits until `what` was renewed since `before`.
    async fn renewed_since(&self, before: &str) {
        eventually("the token is renewed", async || {
            self.refreshed_at().await != before
        })
        .await;
    }

    /// Lets time pass until the token was renewed since `before`, within `seconds`.
    async fn is_renewed_within(&self, seconds: u64, before: &str) {
        for _ in 0..seconds {
            if self.refreshed_at().await != before {
                return;
            }
            self.pass(1).await;
        }
        self.renewed_since(before).await;
    }

    /// When the token was obtained, as `/auth/session` says.
    async fn refreshed_at(&self) -> String {
        let session = self.ada.session().await;
        session["refreshed_at"]
            .as_str()
            .unwrap_or("no session")
            .to_owned()
    }

    fn now(&self) -> u64 {
        bff::clock::Clock::now(&self.stack.clock).unix_seconds()
    }

    /// Calls the API, and lets time pass as long as that takes.
    async fn call(&self) -> Reply {
        self.while_time_passes(self.ada.get("/api/hello")).await
    }

    /// Lets time pass until `future` is done.
    async fn while_time_passes<F: Future>(&self, future: F) -> F::Output {
        let time = async {
            loop {
                for _ in 0..10 {
                    pause().await;
                }
                self.stack.clock.advance(Duration::from_millis(250));
            }
        };
        tokio::select! {
            output = future => output,
            () = time => unreachable!("time does not end"),
        }
    }

    /// Calls the API, which must work; the `Authorization` that it has seen.
    async fn token(&self) -> String {
        let reply = self.call().await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
        self.stack.api.last().header("authorization").unwrap().to_owned()
    }

    /// The session is over, as `/auth/session` and an API call see it, and the API sees nothing.
    async fn has_ended(&self) {
        let calls = self.stack.api.calls().len();
        assert!(!self.ada.is_logged_in().await);
        let reply = self.call().await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (StatusCode::UNAUTHORIZED, "unauthenticated")
        );
        assert_eq!(self.stack.api.calls().len(), calls);
    }

    /// There is no valid token at the moment: 503 with `Retry-After`, and the API receives nothing.
    async fn is_pending(&self) -> u64 {
        let calls = self.stack.api.calls().len();
        let reply = self.call().await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (StatusCode::SERVICE_UNAVAILABLE, "token_refresh_pending")
        );
        assert_eq!(self.stack.api.calls().len(), calls);
        assert!(self.ada.is_logged_in().await);
        reply.header("retry-after").unwrap().parse().unwrap()
    }

    /// The tokens that were revoked at the IdP.
    fn revoked(&self) -> Vec<String> {
        let requests = self.stack.idp.requests(Endpoint::Revoke);
        requests
            .iter()
            .map(|request| request.field("token").unwrap().to_owned())
            .collect()
    }
}

impl Answers {
    /// Remembers every answer of the token endpoint from now on.
    fn of(stack: &Stack) -> Self {
        let answers = Self::default();
        let inside = answers.clone();
        stack
            .idp
            .on_token_response(move |answer| inside.0.lock().push(answer.clone()));
        answers
    }

    fn text(&self, index: usize, member: &str) -> String {
        self.0.lock()[index][member].as_str().unwrap().to_owned()
    }
}

/// Waits until a running task has made `condition` true; time stands still.
async fn eventually(what: &str, condition: impl AsyncFn() -> bool) {
    for _ in 0..1_000 {
        if condition().await {
            return;
        }
        pause().await;
    }
    panic!("waited in vain until {what}");
}

/// A time as `/auth/session` shows it.
fn shown(unix_seconds: u64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(unix_seconds.try_into().unwrap()).unwrap();
    time.format(&Rfc3339).unwrap()
}
