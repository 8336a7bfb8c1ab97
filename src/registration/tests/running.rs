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
    around: Surroundings,
    task: tokio::task::JoinHandle<Result<(), RegistrationError>>,
    clock: ManualClock,
}

// === impl Driver ===

impl Driver {
    fn start(world: &World, change: impl FnOnce(&mut Options)) -> Self {
        let registration = world.registration(change);
        let around = Surroundings {
            relying_party: world.party.clone(),
            health: Health::new(),
            clock: Arc::new(world.clock.clone()),
            random: Arc::new(SystemRandom),
            pace: Pace::default(),
            shutdown: CancellationToken::new(),
        };
        let task = tokio::spawn({
            let around = around.clone();
            async move { registration.run(&around).await }
        });
        Self {
            around,
            task,
            clock: world.clock.clone(),
        }
    }

    fn status(&self) -> Status {
        let report = self.around.health.report();
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
    async fn sleeps_through(&self, duration: Duration, world: &World) {
        world.idp.seen();
        self.clock.advance(duration);
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        assert!(world.idp.calls().is_empty());
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
    let world = World::new(Habits::default()).await;
    for odd in [
        Odd::Text(503, "text/html", String::new()),
        Odd::RetryAfter(429, "90"),
        Odd::Text(200, "text/html", String::new()),
    ] {
        world.idp.odd("POST /register", odd);
    }
    let driver = Driver::start(&world, with_iat);
    tokio::task::yield_now().await;
    assert!(
        world.idp.calls().is_empty(),
        "nothing is registered before discovery"
    );
    world.party.discover().await.unwrap();
    driver.fails_with("503").await;
    let health = driver.around.health.clone();
    driver.finished().await.unwrap();
    assert_eq!(world.idp.calls().len(), 4);
    assert_eq!(world.party.client().get().unwrap().id, "bff-server");
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
    let world = World::new(Habits::default()).await;
    let other = CredentialsFile::new(world.path());
    let lock = other.lock(&world.clock).await.unwrap();
    world.party.discover().await.unwrap();
    let driver = Driver::start(&world, with_iat);
    // So that it waits already.
    driver.sleeps_through(Duration::ZERO, &world).await;
    driver.sleeps_through(Duration::from_secs(29), &world).await;
    assert_eq!(logs.count("has held the lock"), 0, "{}", logs.text());
    for (wait, told) in [(1, 1), (59, 1), (1, 2)] {
        driver.sleeps_through(Duration::from_secs(wait), &world).await;
        assert_eq!(logs.count("has held the lock"), told, "{}", logs.text());
    }
    driver.fails_with("bff_client.json for 90 s").await;
    drop(lock);
    driver.finished().await.unwrap();
    assert_eq!(world.idp.calls().len(), 1);
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
    let world = World::new(Habits::default()).await;
    world.idp.odd("POST /register", Odd::RetryAfter(429, "200"));
    world.party.discover().await.unwrap();
    let driver = Driver::start(&world, with_iat);
    driver.fails_with("429").await;
    driver.sleeps_through(Duration::from_secs(199), &world).await;
    driver.finished().await.unwrap();
}

#[tokio::test]
async fn a_refused_first_registration_stops_the_server() {
    let world = World::new(Habits::default()).await;
    world.idp.odd(
        "POST /register",
        Odd::Json(400, oauth_error("invalid_scope", "no")),
    );
    world.party.discover().await.unwrap();
    let error = Driver::start(&world, with_iat).finished().await.unwrap_err();
    assert_eq!(error.kind().exit_code(), 77);

    let error = Driver::start(&world, as_is).finished().await.unwrap_err();
    assert!(matches!(error, RegistrationError::NoToken { .. }), "{error}");
}

/// Readiness names it.
#[tokio::test]
async fn an_allowed_failure_is_retried_slowly() {
    let world = World::new(Habits::default()).await;
    world.idp.odd(
        "POST /register",
        Odd::Json(400, oauth_error("invalid_scope", "no")),
    );
    world.party.discover().await.unwrap();
    let driver = Driver::start(&world, |options| {
        with_iat(options);
        options.allow_failure = true;
    });
    driver.fails_with("[ProviderScopes]").await;
    assert!(!driver.around.health.report().ready);
    driver.sleeps_through(Duration::from_secs(149), &world).await;
    driver.finished().await.unwrap();
    assert_eq!(world.party.client().get().unwrap().id, "bff-server");
}

#[tokio::test]
async fn a_mistake_in_the_configuration_stops_the_server_in_any_case() {
    let world = World::new(Habits::default()).await;
    fs::write(world.path(), "broken").unwrap();
    world.party.discover().await.unwrap();
    let driver = Driver::start(&world, |options| {
        with_iat(options);
        options.allow_failure = true;
    });
    assert_eq!(driver.finished().await.unwrap_err().kind().exit_code(), 64);
}

/// It runs on until a person has looked.
#[tokio::test]
async fn after_a_lost_answer_the_server_sends_nothing() {
    let world = World::new(Habits::default()).await;
    world.idp.odd("POST /register", Odd::Cut(201));
    world.party.discover().await.unwrap();
    let driver = Driver::start(&world, with_iat);
    driver.fails_with("not known").await;
    for _ in 0..3 {
        driver.clock.advance(Duration::from_mins(5));
        tokio::task::yield_now().await;
    }
    assert!(!driver.task.is_finished());
    // The operator has restored the file.
    let other = World::registered(Habits::default()).await;
    let mut file = other.file();
    file["issuer"] = world.idp.issuer().into();
    file.as_object_mut().unwrap().remove("registration_client_uri");
    fs::write(world.path(), file.to_string()).unwrap();
    driver.finished().await.unwrap();
    assert_eq!(world.idp.calls(), ["POST /register"]);
    assert_eq!(world.party.client().get().unwrap().id, "bff-server");
}

/// The client serves meanwhile.
#[tokio::test]
async fn a_postponed_comparison_follows_later() {
    let world = World::registered(Habits::default()).await;
    world
        .idp
        .odd("GET /register", Odd::Text(503, "text/html", String::new()));
    world.party.discover().await.unwrap();
    let driver = Driver::start(&world, |options| options.scopes.push("email".to_owned()));
    driver.until(|status| *status == Status::Ok).await;
    assert_eq!(world.party.client().get().unwrap().id, "bff-server");
    driver.finished().await.unwrap();
    assert_eq!(
        world.idp.client("bff-server")["scope"],
        "openid profile offline_access email"
    );
}

#[tokio::test]
async fn shutdown_ends_every_wait_but_not_a_call_under_way() {
    // Before discovery.
    let world = World::new(Habits::default()).await;
    let driver = Driver::start(&world, with_iat);
    driver.around.shutdown.cancel();
    driver.task.await.unwrap().unwrap();

    // Between attempts.
    world.party.discover().await.unwrap();
    world
        .idp
        .odd("POST /register", Odd::Text(503, "text/html", String::new()));
    let driver = Driver::start(&world, with_iat);
    driver.fails_with("503").await;
    driver.around.shutdown.cancel();
    driver.task.await.unwrap().unwrap();

    // During a call.
    world.idp.seen();
    let gate = Arc::new(tokio::sync::Notify::new());
    world.idp.odd("POST /register", Odd::Later(Arc::clone(&gate)));
    let driver = Driver::start(&world, with_iat);
    world.idp.called("POST /register").await;
    driver.around.shutdown.cancel();
    gate.notify_one();
    driver.task.await.unwrap().unwrap();
    assert_eq!(world.file()["state"], "registered");
}

/// The number of attempts does not matter.
#[tokio::test]
async fn an_unused_secret_is_logged_once() {
    let world = World::new(Habits::default()).await;
    let basic = |options: &mut Options| options.auth_method = AuthMethod::ClientSecretBasic;
    world
        .ensure(|options| {
            with_iat(options);
            basic(options);
        })
        .await
        .unwrap();
    world
        .idp
        .odd("GET /register", Odd::Text(503, "text/html", String::new()));
    let logs = Logs::capture();
    let driver = Driver::start(&world, |options| {
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
