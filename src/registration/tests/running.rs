//! The driver of a server.

use tokio_util::sync::CancellationToken;

use super::{
    fake::{Odd, oauth_error},
    *,
};
use crate::{
    health::{Component, Health, Status},
    telemetry::testing::Logs,
};

/// A driver under way, with a clock that can be moved.
struct Driver {
    context: RunContext,
    task: tokio::task::JoinHandle<Result<(), RegistrationError>>,
    clock: ManualClock,
}

// === impl Driver ===

impl Driver {
    fn start(harness: &Harness, change: impl FnOnce(&mut Options)) -> Self {
        let registration = harness.registration(change);
        let context = RunContext {
            relying_party: harness.party.clone(),
            health: Health::new(),
            clock: Arc::new(harness.clock.clone()),
            random: Arc::new(SystemRandom),
            retry: RetryPolicy::default(),
            shutdown: CancellationToken::new(),
        };
        let task = tokio::spawn({
            let context = context.clone();
            async move { registration.run(&context).await }
        });
        Self {
            context,
            task,
            clock: harness.clock.clone(),
        }
    }

    fn status(&self) -> Status {
        let report = self.context.health.report();
        let credentials = |(component, _): &(Component, Status)| *component == Component::Credentials;
        report.components.into_iter().find(credentials).unwrap().1
    }

    /// Waits until the last attempt shows in the health.
    async fn until(&self, is: impl Fn(&Status) -> bool) {
        while !is(&self.status()) {
            tokio::task::yield_now().await;
        }
    }

    async fn fails_with(&self, part: &str) {
        self.until(|status| match status {
            Status::Pending { reason } | Status::Degraded { reason } => reason.contains(part),
            Status::Ok => false,
        })
        .await;
    }

    /// Moves time forward by `duration`, which must not make the driver call.
    async fn sleeps_through(&self, duration: Duration, harness: &Harness) {
        harness.idp.seen();
        self.clock.advance(duration);
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        assert!(harness.idp.calls().is_empty());
    }

    /// Moves time forward until the driver is done.
    async fn finished(self) -> Result<(), RegistrationError> {
        while !self.task.is_finished() {
            self.clock.advance(Duration::from_secs(1));
            tokio::task::yield_now().await;
        }
        self.task.await.unwrap()
    }
}

/// It becomes ready by itself.
#[tokio::test]
async fn the_server_waits_for_an_idp_that_is_down() {
    let harness = Harness::new(Habits::default()).await;
    for odd in [
        Odd::Text(503, "text/html", String::new()),
        Odd::RetryAfter(429, "90"),
        Odd::Text(200, "text/html", String::new()),
    ] {
        harness.idp.odd("POST /register", odd);
    }
    let driver = Driver::start(&harness, with_iat);
    tokio::task::yield_now().await;
    assert!(
        harness.idp.calls().is_empty(),
        "nothing is registered before discovery"
    );
    harness.party.provider().discover().await.unwrap();
    driver.fails_with("503").await;
    let health = driver.context.health.clone();
    driver.finished().await.unwrap();
    assert_eq!(harness.idp.calls().len(), 4);
    assert_eq!(harness.party.client().get().unwrap().id, "bff-server");
    assert!(
        health
            .report()
            .components
            .contains(&(Component::Credentials, Status::Ok))
    );
}

/// The log says so once a minute.
#[tokio::test]
async fn a_held_lock_is_waited_for() {
    let logs = Logs::capture();
    let harness = Harness::new(Habits::default()).await;
    let other = CredentialsFile::new(harness.path());
    let lock = other.lock(&harness.clock).await.unwrap();
    harness.party.provider().discover().await.unwrap();
    let driver = Driver::start(&harness, with_iat);
    // So that it waits already.
    driver.sleeps_through(Duration::ZERO, &harness).await;
    driver.sleeps_through(Duration::from_secs(29), &harness).await;
    assert_eq!(logs.count("has held the lock"), 0, "{}", logs.text());
    for (wait, told) in [(1, 1), (59, 1), (1, 2)] {
        driver.sleeps_through(Duration::from_secs(wait), &harness).await;
        assert_eq!(logs.count("has held the lock"), told, "{}", logs.text());
    }
    driver.fails_with("bff_client.json for 90 s").await;
    drop(lock);
    driver.finished().await.unwrap();
    assert_eq!(harness.idp.calls().len(), 1);
}

#[test]
fn a_lock_in_redis_is_told_of_with_its_key() {
    let held = CredentialsError::Held {
        place: Place::Shared,
        seconds: 30,
    };
    let text = held.told();
    assert!(
        text.contains("the client record in Redis for 30 s") && text.contains("`bff:{client}:lock`"),
        "{text}"
    );
}

#[tokio::test]
async fn the_wait_that_the_idp_asks_for_is_kept() {
    let harness = Harness::new(Habits::default()).await;
    harness.idp.odd("POST /register", Odd::RetryAfter(429, "200"));
    harness.party.provider().discover().await.unwrap();
    let driver = Driver::start(&harness, with_iat);
    driver.fails_with("429").await;
    driver.sleeps_through(Duration::from_secs(199), &harness).await;
    driver.finished().await.unwrap();
}

#[tokio::test]
async fn a_refused_first_registration_stops_the_server() {
    let harness = Harness::new(Habits::default()).await;
    harness.idp.odd(
        "POST /register",
        Odd::Json(400, oauth_error("invalid_scope", "no")),
    );
    harness.party.provider().discover().await.unwrap();
    let error = Driver::start(&harness, with_iat).finished().await.unwrap_err();
    assert_eq!(error.kind().exit_code(), 77);

    let error = Driver::start(&harness, as_is).finished().await.unwrap_err();
    assert!(matches!(error, RegistrationError::NoToken { .. }), "{error}");
}

/// Readiness names it.
#[tokio::test]
async fn an_allowed_failure_is_retried_slowly() {
    let harness = Harness::new(Habits::default()).await;
    harness.idp.odd(
        "POST /register",
        Odd::Json(400, oauth_error("invalid_scope", "no")),
    );
    harness.party.provider().discover().await.unwrap();
    let driver = Driver::start(&harness, |options| {
        with_iat(options);
        options.allow_failure = true;
    });
    driver.fails_with("[ProviderScopes]").await;
    assert!(!driver.context.health.report().ready);
    driver.sleeps_through(Duration::from_secs(149), &harness).await;
    driver.finished().await.unwrap();
    assert_eq!(harness.party.client().get().unwrap().id, "bff-server");
}

#[tokio::test]
async fn a_mistake_in_the_configuration_stops_the_server_in_any_case() {
    let harness = Harness::new(Habits::default()).await;
    fs::write(harness.path(), "broken").unwrap();
    harness.party.provider().discover().await.unwrap();
    let driver = Driver::start(&harness, |options| {
        with_iat(options);
        options.allow_failure = true;
    });
    assert_eq!(driver.finished().await.unwrap_err().kind().exit_code(), 64);
}

/// It runs on until a person has looked.
#[tokio::test]
async fn after_a_lost_answer_the_server_sends_nothing() {
    let harness = Harness::new(Habits::default()).await;
    harness.idp.odd("POST /register", Odd::Cut(201));
    harness.party.provider().discover().await.unwrap();
    let driver = Driver::start(&harness, with_iat);
    driver.fails_with("is unknown").await;
    for _ in 0..3 {
        driver.clock.advance(Duration::from_mins(5));
        tokio::task::yield_now().await;
    }
    assert!(!driver.task.is_finished());
    // The operator has restored the file.
    let other = Harness::registered(Habits::default()).await;
    let mut file = other.file();
    file["issuer"] = harness.idp.issuer().into();
    file.as_object_mut().unwrap().remove("registration_client_uri");
    fs::write(harness.path(), file.to_string()).unwrap();
    driver.finished().await.unwrap();
    assert_eq!(harness.idp.calls(), ["POST /register"]);
    assert_eq!(harness.party.client().get().unwrap().id, "bff-server");
}

/// The client serves meanwhile.
#[tokio::test]
async fn a_postponed_comparison_follows_later() {
    let harness = Harness::registered(Habits::default()).await;
    harness
        .idp
        .odd("GET /register", Odd::Text(503, "text/html", String::new()));
    harness.party.provider().discover().await.unwrap();
    let driver = Driver::start(&harness, |options| options.scopes.push("email".to_owned()));
    driver.until(|status| *status == Status::Ok).await;
    assert_eq!(harness.party.client().get().unwrap().id, "bff-server");
    driver.finished().await.unwrap();
    assert_eq!(
        harness.idp.client("bff-server")["scope"],
        "openid profile offline_access email"
    );
}

#[tokio::test]
async fn shutdown_ends_every_wait_but_not_a_call_under_way() {
    // Before discovery.
    let harness = Harness::new(Habits::default()).await;
    let driver = Driver::start(&harness, with_iat);
    driver.context.shutdown.cancel();
    driver.task.await.unwrap().unwrap();

    // Between attempts.
    harness.party.provider().discover().await.unwrap();
    harness
        .idp
        .odd("POST /register", Odd::Text(503, "text/html", String::new()));
    let driver = Driver::start(&harness, with_iat);
    driver.fails_with("503").await;
    driver.context.shutdown.cancel();
    driver.task.await.unwrap().unwrap();

    // During a call.
    harness.idp.seen();
    let gate = Arc::new(tokio::sync::Notify::new());
    harness.idp.odd("POST /register", Odd::Later(Arc::clone(&gate)));
    let driver = Driver::start(&harness, with_iat);
    harness.idp.called("POST /register").await;
    driver.context.shutdown.cancel();
    gate.notify_one();
    driver.task.await.unwrap().unwrap();
    assert_eq!(harness.file()["state"], "registered");
}

/// The number of attempts does not matter.
#[tokio::test]
async fn an_unused_secret_is_logged_once() {
    let harness = Harness::new(Habits::default()).await;
    let basic = |options: &mut Options| options.auth_method = AuthMethod::ClientSecretBasic;
    harness
        .ensure(|options| {
            with_iat(options);
            basic(options);
        })
        .await
        .unwrap();
    harness
        .idp
        .odd("GET /register", Odd::Text(503, "text/html", String::new()));
    let logs = Logs::capture();
    let driver = Driver::start(&harness, |options| {
        basic(options);
        options.client_secret = Some("of my own".into());
    });
    driver.finished().await.unwrap();
    logs.has("registration unchanged");
    assert_eq!(
        logs.count("the configured client secret is not used"),
        1,
        "{}",
        logs.text()
    );
}
