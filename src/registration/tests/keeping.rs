//! A server that is registered and runs on.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::BoxFuture;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{fake::Odd, *};
use crate::{
    clock::{Clock, ManualClock, Timestamp},
    health::Health,
    oidc::Client,
};

const FRESH: &str = "fresh-token";
const READ: &str = "GET /register/client-1";
const DELETE: &str = "DELETE /register/client-1";

/// A process that has a client and keeps it.
struct Keeper<'w> {
    harness: &'w Harness,
    registration: Registration,
    context: RunContext,
    asleep: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

/// The keeper's clock, which counts who waits by it.
#[derive(Debug)]
struct Watched {
    clock: ManualClock,
    asleep: Arc<AtomicUsize>,
}

struct Nap(Arc<AtomicUsize>);

// === impl Watched ===

impl Clock for Watched {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn sleep_until(&self, deadline: Timestamp) -> BoxFuture<'static, ()> {
        let sleep = self.clock.sleep_until(deadline);
        self.asleep.fetch_add(1, Ordering::SeqCst);
        let nap = Nap(self.asleep.clone());
        Box::pin(async move {
            let _nap = nap;
            sleep.await;
        })
    }
}

impl Drop for Nap {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

// === impl Keeper ===

impl<'w> Keeper<'w> {
    async fn start(harness: &'w Harness, change: impl FnOnce(&mut Options)) -> Self {
        let registration = harness.registration(change);
        harness.party.provider().discover().await.unwrap();
        let asleep = Arc::new(AtomicUsize::new(0));
        let clock = Watched {
            clock: harness.clock.clone(),
            asleep: asleep.clone(),
        };
        let context = RunContext {
            relying_party: harness.party.clone(),
            health: Health::new(),
            clock: Arc::new(clock),
            random: Arc::new(SystemRandom),
            retry: RetryPolicy::default(),
            shutdown: CancellationToken::new(),
        };
        registration.run(&context).await.unwrap();
        let task = tokio::spawn({
            let (context, registration) = (context.clone(), registration.clone());
            async move { registration.keep(&context).await }
        });
        harness.idp.seen();
        Self {
            harness,
            registration,
            context,
            asleep,
            task,
        }
    }

    fn client(&self) -> Arc<Client> {
        self.context.relying_party.client().get().unwrap()
    }

    /// Moves time forward until it is so.
    async fn until(&self, is: impl Fn() -> bool) {
        for _ in 0..50_000 {
            if is() {
                return;
            }
            self.step(Duration::from_secs(10)).await;
        }
        panic!("it never is");
    }

    /// Moves time forward by `duration`.
    async fn passes(&self, duration: Duration) {
        for _ in 0..20 {
            self.step(duration / 20).await;
        }
    }

    /// Advances the time and waits until the keeper has done the work that is due: it reads files and calls the IdP,
    /// and the paused clock would otherwise skip hours.
    async fn step(&self, duration: Duration) {
        self.harness.clock.advance(duration);
        // Each task that is due is woken.
        for _ in 0..5 {
            tokio::task::yield_now().await;
        }
        while self.asleep.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    }

    async fn ends(self) {
        self.context.shutdown.cancel();
        self.task.await.unwrap();
    }
}

fn hourly(options: &mut Options) {
    options.check_interval = Some(Duration::from_hours(1));
}

fn forced(options: &mut Options) {
    options.force_replace = true;
    options.initial_access_token = Some(Secret::from(FRESH));
}

/// Whether the client still has its former fields.
fn is_as(harness: &Harness, before: &Value) -> bool {
    let now = harness.idp.client("client-1");
    ["redirect_uris", "token_endpoint_auth_method", "scope"]
        .iter()
        .all(|name| now[*name] == before[*name])
}

/// Puts `content` into the file at once, as this server does.
fn write(harness: &Harness, content: &[u8]) {
    crate::private_file::replace(&harness.path(), content).unwrap();
}

fn edit(harness: &Harness, change: impl FnOnce(&mut Value)) {
    let mut file = harness.file();
    change(&mut file);
    write(harness, file.to_string().as_bytes());
}

async fn harness() -> Harness {
    let harness = Harness::registered(Habits {
        own_ids: true,
        ..Habits::default()
    })
    .await;
    harness.idp.allow(FRESH);
    harness
}

#[tokio::test]
async fn a_client_that_another_process_replaced_is_noticed_and_used() {
    let harness = harness().await;
    let keeper = Keeper::start(&harness, as_is).await;
    let logs = Logs::capture();
    harness.ensure(forced).await.unwrap();
    assert_eq!(keeper.client().id, "client-1");
    keeper.until(|| keeper.client().id == "client-2").await;
    logs.has("the client was replaced by another process: it is client-2 from now on");
    check_no_secret(&logs.text());

    // The keeper also adopts a secret or method that another process received.
    edit(&harness, |file| {
        file["token_endpoint_auth_signing_alg"] = json!("PS256");
    });
    keeper.until(|| logs.count("ERROR") == 1).await;
    assert_eq!(
        keeper.client().id,
        "client-2",
        "what cannot be used is not taken over"
    );
    edit(&harness, |file| {
        file["client_id"] = json!("client-3");
        file["token_endpoint_auth_signing_alg"] = json!("ES256");
    });
    keeper.until(|| keeper.client().id == "client-3").await;
    keeper.ends().await;
}

/// Without it, the other process would have a client that is gone until its next look.
/// It waits until every process has followed.
#[tokio::test]
async fn a_running_server_deletes_the_replaced_client() {
    let harness = harness().await;
    let keeper = Keeper::start(&harness, as_is).await;
    let logs = Logs::capture();
    harness.ensure(forced).await.unwrap();
    assert_eq!(harness.idp.calls(), ["POST /register"]);
    harness
        .idp
        .odd(DELETE, Odd::Text(503, "text/html", String::new()));
    for _ in 0..2 {
        keeper.step(Duration::from_secs(10)).await;
        assert_eq!(keeper.client().id, "client-2", "it has looked");
        assert!(harness.idp.calls().is_empty(), "nothing is deleted yet");
    }
    keeper.until(|| logs.text().contains("is deleted later")).await;
    keeper.until(|| harness.file().get("superseded").is_none()).await;
    assert_eq!(harness.idp.calls(), [DELETE, DELETE], "not at every look");
    assert_eq!(harness.idp.clients(), ["client-2"]);
    logs.has("the replaced client client-1 was deleted");
    check_no_secret(&logs.text());
    keeper.ends().await;
}

#[tokio::test]
async fn a_server_without_calls_leaves_the_deletion_to_others() {
    let harness = harness().await;
    harness.ensure(forced).await.unwrap();
    let keeper = Keeper::start(&harness, |options| options.skip = true).await;
    keeper.passes(Duration::from_hours(1)).await;
    assert!(harness.idp.calls().is_empty());
    assert_eq!(keeper.client().id, "client-2");
    keeper.ends().await;
    harness.ensure(as_is).await.unwrap();
    assert_eq!(harness.idp.clients(), ["client-2"]);
}

/// The file breaks or vanishes.
#[tokio::test]
async fn a_running_server_survives_a_lost_credentials_file() {
    let harness = harness().await;
    let good = fs::read(harness.path()).unwrap();
    let keeper = Keeper::start(&harness, |options| {
        hourly(options);
        options.admin_token = Some(Secret::from("admin-token"));
    })
    .await;
    let logs = Logs::capture();
    write(&harness, b"broken");
    keeper.until(|| logs.count("ERROR") == 1).await;
    logs.has("restore it from a backup");
    keeper.passes(Duration::from_mins(5)).await;
    assert_eq!(logs.count("ERROR"), 1, "once until it changes: {}", logs.text());

    fs::remove_file(harness.path()).unwrap();
    keeper.until(|| logs.count("ERROR") == 2).await;
    logs.has("no longer contains a client");
    keeper.passes(Duration::from_hours(3)).await;
    assert_eq!(logs.count("ERROR"), 2, "{}", logs.text());
    assert_eq!(keeper.client().id, "client-1");
    assert!(harness.idp.calls().is_empty(), "a running server makes no client");

    write(&harness, &good);
    keeper.until(|| !harness.idp.calls().is_empty()).await;
    assert_eq!(keeper.client().id, "client-1");
    keeper.ends().await;
}

/// The log names them.
#[tokio::test]
async fn the_periodic_comparison_repairs_changes() {
    let harness = harness().await;
    let keeper = Keeper::start(&harness, hourly).await;
    let before = harness.idp.client("client-1");
    let logs = Logs::capture();
    let only_one = json!(["https://a.example/auth/callback"]);
    harness.idp.edit("client-1", "redirect_uris", only_one);
    harness.idp.edit(
        "client-1",
        "token_endpoint_auth_method",
        json!("client_secret_basic"),
    );
    keeper.passes(Duration::from_mins(29)).await;
    assert!(harness.idp.calls().is_empty(), "not before it is due");
    keeper.until(|| is_as(&harness, &before)).await;
    keeper
        .until(|| logs.text().contains("registration updated: "))
        .await;
    logs.has("WARN");
    logs.has("the registration of client-1 was changed at the IdP: redirect_uris is [\"https://a.example/auth/callback\"], wanted is [\"");
    logs.has("; token_endpoint_auth_method is \"client_secret_basic\", wanted is \"private_key_jwt\"");
    harness.idp.seen();

    // And again an hour later, also if one comparison did not take place.
    harness
        .idp
        .odd("GET /register", Odd::Text(503, "text/html", String::new()));
    harness.idp.edit("client-1", "scope", json!("openid"));
    keeper.until(|| is_as(&harness, &before)).await;
    assert_eq!(harness.idp.calls(), [READ, READ, "PUT /register/client-1", READ]);
    keeper.ends().await;
}

/// Values in a form of the IdP's own, and a field that it keeps: no reason to write and to warn in every hour.
#[tokio::test]
async fn another_form_of_a_value_causes_no_repeated_update() {
    let own = [
        ("client_name", json!("BFF")),
        ("jwks", json!({"keys": []})),
        ("redirect_uris", json!(["https://a.example:443/auth/callback"])),
    ];
    for (name, value) in own {
        let harness = harness().await;
        let keeper = Keeper::start(&harness, hourly).await;
        harness.idp.habits(|habits| {
            habits.reads_as.insert(name.to_owned(), value);
        });
        let logs = Logs::capture();
        keeper.passes(Duration::from_hours(10)).await;
        let calls = harness.idp.calls();
        let updates = calls.iter().filter(|call| call.starts_with("PUT")).count();
        assert_eq!(updates, 1, "{name}: {calls:?}");
        assert_eq!(logs.count("WARN"), 2, "{name}: {}", logs.text());
        logs.has("was changed at the IdP");
        logs.has(&format!("other values than requested in {name}"));
        assert_eq!(logs.count("ERROR"), 0);
        // The keeper reverts a person's changes as well.
        harness.idp.habits(|habits| habits.reads_as.clear());
        harness.idp.edit("client-1", "scope", json!("openid"));
        keeper
            .until(|| harness.idp.client("client-1")["scope"] == "openid profile offline_access")
            .await;
        keeper.ends().await;
    }
}

/// A method that a reading shows in another form locks nobody out: the answer to the update decides.
#[tokio::test]
async fn another_form_of_a_method_does_not_stop_the_start() {
    let harness = harness().await;
    let method = json!("client_secret_basic");
    harness.idp.habits(|habits| {
        habits
            .reads_as
            .insert("token_endpoint_auth_method".to_owned(), method);
    });
    for _ in 0..2 {
        assert!(matches!(harness.event(as_is).await, Event::Updated(_)));
    }
}

/// It is off too while registration is skipped.
#[tokio::test]
async fn the_periodic_comparison_is_off_by_default() {
    for skip in [false, true] {
        let harness = harness().await;
        let keeper = Keeper::start(&harness, |options| {
            if skip {
                hourly(options);
                options.skip = true;
            }
        })
        .await;
        keeper.passes(Duration::from_hours(48)).await;
        assert!(harness.idp.calls().is_empty());
        keeper.ends().await;
    }
}

/// A change that ends everybody's refresh tokens happens at a start or not at all.
#[tokio::test]
async fn the_periodic_comparison_never_replaces_the_client() {
    let harness = harness().await;
    let keeper = Keeper::start(&harness, |options| {
        hourly(options);
        options.initial_access_token = Some(Secret::from(FRESH));
        options.admin_token = Some(Secret::from("admin-token"));
    })
    .await;
    harness.idp.forget_tokens();
    let logs = Logs::capture();
    keeper.until(|| logs.count("ERROR") == 1).await;
    logs.has("[ForceReplace]=true");
    // This IdP has no API that would renew the token.
    let renew = "POST /api/admin/dcr/clients/client-1/tokens";
    assert_eq!(harness.idp.calls(), [READ, renew]);
    assert_eq!(keeper.client().id, "client-1");
    keeper.ends().await;
}

#[tokio::test]
async fn a_token_that_a_comparison_brings_is_stored() {
    let harness = Harness::registered(Habits {
        own_ids: true,
        rotates: true,
        ..Habits::default()
    })
    .await;
    let keeper = Keeper::start(&harness, hourly).await;
    assert_eq!(harness.file()["registration_access_token"], "rat-2");
    for token in ["rat-3", "rat-4"] {
        keeper
            .until(|| harness.file()["registration_access_token"] == token)
            .await;
    }
    keeper.ends().await;
}

fn needs(grants: &[&'static str]) -> Needs {
    Needs {
        scopes: options().scopes,
        grants: grants.to_vec(),
    }
}

fn granted(harness: &Harness) -> Value {
    harness.idp.client("client-1")["grant_types"].clone()
}

/// Without `DCR_CHECK_INTERVAL`, and at once.
#[tokio::test]
async fn another_grant_is_registered_in_place() {
    let harness = harness().await;
    let keeper = Keeper::start(&harness, as_is).await;
    let grants = keeper.registration.watch_grants();
    let before = granted(&harness);
    keeper.registration.ask_for(needs(&[]));
    keeper.passes(Duration::from_mins(1)).await;
    assert_eq!(harness.idp.seen().len(), 0, "nothing is new");
    keeper.registration.ask_for(needs(&["client_credentials"]));
    assert_eq!(*grants.borrow(), None);
    let wanted = json!(["authorization_code", "refresh_token", "client_credentials"]);
    keeper.until(|| granted(&harness) == wanted).await;
    keeper
        .until(|| grants.borrow().as_ref().is_some_and(|grants| grants.len() == 3))
        .await;
    assert_eq!(keeper.client().id, "client-1");
    // A later comparison wants the same.
    keeper.registration.ask_for(needs(&[]));
    keeper.until(|| granted(&harness) == before).await;
    keeper.ends().await;
}

#[tokio::test]
async fn another_grant_is_asked_for_until_the_idp_answers() {
    let harness = harness().await;
    let keeper = Keeper::start(&harness, as_is).await;
    harness.idp.odd(READ, Odd::Text(503, "text/plain", String::new()));
    keeper.registration.ask_for(needs(&["client_credentials"]));
    keeper
        .until(|| granted(&harness).as_array().unwrap().len() == 3)
        .await;
    keeper.ends().await;
}

/// As configured: the registration belongs to somebody else.
#[tokio::test]
async fn a_skipped_registration_asks_for_no_grant() {
    let harness = harness().await;
    let keeper = Keeper::start(&harness, |options| options.skip = true).await;
    keeper.registration.ask_for(needs(&["client_credentials"]));
    keeper.passes(Duration::from_hours(1)).await;
    assert_eq!(harness.idp.seen().len(), 0);
    keeper.ends().await;
}
