//! The provider, the server and an API on free ports.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use bff::{
    app::{App, Listeners, Ports, RunError},
    clock::{Clock, ManualClock, SystemClock, Timestamp, timeout},
    config::{Config, Environment},
    health::Health,
    random::SystemRandom,
};
use http::StatusCode;
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    net::{TcpListener, TcpSocket},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::{Person, Provider, api::Api, logs::Logs};

/// The hosts on which people log in. All names below `localhost` are this machine.
pub const HOSTS: [&str; 3] = ["automate.localhost", "authn.localhost", "authz.localhost"];

/// How long the tests wait for something under way, in real time: the provider has its own clock.
const PATIENCE: Duration = Duration::from_secs(30);

const ROUTES: &str = r#"
services:
  api:
    base_url: "{api}"
    timeout: 5s
routes:
  - id: api
    path: /api/*
    target_service: api
    upstream_path: /v1/{path}
    auth: session
"#;

/// A running stack. Everything ends when it is dropped.
pub struct Stack {
    /// The provider.
    pub provider: Provider,
    /// The API behind the server.
    pub api: Api,
    /// The log of the server.
    pub logs: Logs,
    address: SocketAddr,
    _port_held: TcpSocket,
    variables: BTreeMap<String, String>,
    folder: TempDir,
    clock: Option<ManualClock>,
    health: Health,
    server: Option<JoinHandle<Result<(), RunError>>>,
    shutdown: CancellationToken,
}

// === impl Stack ===

impl Stack {
    /// Starts everything, with an initial access token and `changes` to the variables, and waits until the server is
    /// ready. `settings` are the provider's.
    pub async fn start(settings: &Value, changes: &[(&str, &str)]) -> Self {
        Self::prepare(settings).await.register(changes).await
    }

    /// Starts the prepared server with an initial access token and `changes` to the variables, and waits until it is
    /// ready.
    pub async fn register(mut self, changes: &[(&str, &str)]) -> Self {
        let token = self.provider.mint().await;
        self.set(changes);
        self.restart(&[("DCR_IAT", &token)]).await;
        self
    }

    /// Starts everything but the server.
    pub async fn prepare(settings: &Value) -> Self {
        let logs = Logs::capture();
        let folder = tempfile::tempdir().unwrap();
        let provider = Provider::start(settings, folder.path());
        let api = Api::start().await;
        let path = |name: &str| folder.path().join(name).display().to_string();
        std::fs::create_dir(path("config")).unwrap();
        std::fs::write(path("config/routes.yaml"), ROUTES.replace("{api}", &api.url())).unwrap();
        // Lets the server listen at the port while it is reserved.
        let port_held = TcpSocket::new_v4().unwrap();
        port_held.set_reuseaddr(true).unwrap();
        port_held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = port_held.local_addr().unwrap();
        let port = address.port();
        let redirect_uris = HOSTS.map(|host| format!("http://{host}:{port}/auth/callback"));
        let variables = [
            ("OIDC_ISSUER", provider.issuer.clone()),
            ("BFF_BASE_URL", format!("http://127.0.0.1:{port}")),
            ("BFF_CONFIG_DIR", path("config")),
            ("BFF_JWT_SIGNING_KEY", path("keys/bff-signing.pem")),
            ("BFF_KEY_TYPE", "p-256".to_owned()),
            // It gives refresh tokens only with consent, so that with `auto` the first login would get none.
            ("OIDC_PROMPT", "consent".to_owned()),
            ("DCR_CLIENT_ID", "bff-server".to_owned()),
            ("DCR_CLIENT_PROFILE", "code-flow-pkjwt".to_owned()),
            ("DCR_REDIRECT_URIS", redirect_uris.join(",")),
        ];
        Self {
            provider,
            api,
            logs,
            address,
            _port_held: port_held,
            variables: variables.map(|(name, value)| (name.to_owned(), value)).into(),
            folder,
            clock: None,
            health: Health::new(),
            server: None,
            shutdown: CancellationToken::new(),
        }
    }

    /// Replaces the routes of a prepared server; `{api}` is the address of the API.
    pub fn routes(&self, routes: &str) {
        let file = self.folder.path().join("config/routes.yaml");
        std::fs::write(file, routes.replace("{api}", &self.api.url())).unwrap();
    }

    /// Like [`prepare`](Self::prepare), in a time that only [`advance`](Self::advance) moves, for server and provider
    /// alike. It begins with the machine's time, which commands beside the server use.
    pub async fn prepare_in_stopped_time(settings: &Value) -> Self {
        let clock = ManualClock::starting_at(SystemClock.now());
        let mut settings = settings.clone();
        settings["now"] = clock.now().unix_millis().into();
        let mut stack = Self::prepare(&settings).await;
        stack.clock = Some(clock);
        // A disk takes real time.
        stack.set(&[("SESSION_STORE", "memory")]);
        stack
    }

    /// Moves the time. The provider never lives in the past, where our assertions and requests are from the future.
    pub async fn advance(&self, duration: Duration) {
        let clock = self.clock.as_ref().expect("the time is the machine's");
        self.provider.set_time(clock.now().saturating_add(duration)).await;
        clock.advance(duration);
    }

    /// The time of server and provider.
    pub fn now(&self) -> Timestamp {
        self.clock.as_ref().map_or_else(|| SystemClock.now(), Clock::now)
    }

    /// The origin of one of [`HOSTS`].
    pub fn origin(&self, host: usize) -> String {
        format!("http://{}:{}", HOSTS[host], self.address.port())
    }

    /// The credentials file.
    pub fn credentials_path(&self) -> PathBuf {
        self.keys().join("bff_client.json")
    }

    /// The content of the credentials file.
    pub fn credentials(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.credentials_path()).unwrap()).unwrap()
    }

    /// The id that the provider assigned.
    pub fn client_id(&self) -> String {
        self.credentials()["client_id"].as_str().unwrap().to_owned()
    }

    /// The registered metadata at the provider.
    pub async fn client(&self) -> Value {
        self.provider.client(&self.client_id()).await
    }

    /// The variables of a command beside the server.
    pub fn environment(&self) -> BTreeMap<String, String> {
        let mut variables = self.variables.clone();
        variables.insert("PORT".to_owned(), self.address.port().to_string());
        variables
    }

    /// The keys folder.
    pub fn keys(&self) -> PathBuf {
        self.folder.path().join("keys")
    }

    /// The same without a variable from the next start on.
    pub fn without(mut self, variable: &str) -> Self {
        self.variables.remove(variable);
        self
    }

    fn set(&mut self, changes: &[(&str, &str)]) {
        for (name, value) in changes {
            self.variables.insert((*name).to_owned(), (*value).to_owned());
        }
    }

    /// Stops the server if it runs, and starts it again on the same port and files with `changes` to the variables and
    /// a fresh page of log. An initial access token counts for one start. Waits until it is ready.
    pub async fn restart(&mut self, changes: &[(&str, &str)]) {
        self.launch(changes).await;
        let health = self.health.clone();
        let server = self.server.take().unwrap();
        until("the server is ready", async || {
            assert!(
                !server.is_finished(),
                "the server has ended:\n{}",
                self.logs.text()
            );
            health.report().ready
        })
        .await;
        self.server = Some(server);
    }

    /// Like [`restart`](Self::restart), for a start that ends with an error.
    pub async fn fail_to_start(&mut self, changes: &[(&str, &str)]) -> RunError {
        self.launch(changes).await;
        let server = self.server.take().unwrap();
        let Ok(ended) = timeout(&SystemClock, PATIENCE, server).await else {
            panic!("the server has not ended:\n{}", self.logs.text());
        };
        ended.unwrap().expect_err("the server ended without an error")
    }

    async fn launch(&mut self, changes: &[(&str, &str)]) {
        self.stop().await;
        self.logs.clear();
        self.variables.remove("DCR_IAT");
        self.set(changes);
        let environment: Environment = self.variables.clone().into_iter().collect();
        let (config, _) = Config::load(&environment).unwrap_or_else(|error| panic!("{error}"));
        let ports = self.clock.clone().map_or_else(Ports::default, |clock| Ports {
            clock: Arc::new(clock),
            random: Arc::new(SystemRandom),
            ..Ports::default()
        });
        let app = App::new(config, ports)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        self.health = app.health().clone();
        self.shutdown = CancellationToken::new();
        let listeners = Listeners {
            public: TcpListener::bind(self.address).await.unwrap(),
            internal: None,
            admin: None,
        };
        self.server = Some(tokio::spawn(app.run(listeners, self.shutdown.clone())));
    }

    async fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            self.shutdown.cancel();
            server.await.unwrap().unwrap();
        }
    }

    /// A person logs in, waits for a renewal, calls the API and logs out, which need the client's authentication at
    /// every endpoint. The provider has refused nothing on the way.
    pub async fn works(&self) {
        let ada = self.ada();
        ada.log_in().await;
        let before = ada.renewed_at().await;
        let token = self.call_api(&ada).await;
        self.renewed(&ada, &before).await;
        assert_ne!(self.call_api(&ada).await, token);
        ada.log_out(true).await;
        assert_eq!(self.provider.errors().await, [] as [Value; 0]);
    }

    /// Asks the token endpoint with this secret; returns status and `error`.
    pub async fn refresh_with(&self, client_id: &str, secret: &str) -> (StatusCode, String) {
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", "any"),
            ("client_id", client_id),
            ("client_secret", secret),
        ];
        let reply = self.provider.post("/token", &form).await;
        let error = reply.json()["error"].as_str().unwrap_or_default().to_owned();
        (reply.status, error)
    }

    /// Waits until the access token of a person's session was renewed after `before`, which [`Person::renewed_at`]
    /// returned.
    pub async fn renewed(&self, person: &Person, before: &str) {
        until("the access token is renewed", async || {
            person.renewed_at().await != before
        })
        .await;
    }

    /// Calls the API as a page does; the `Authorization` that arrives there.
    pub async fn call_api(&self, person: &Person) -> String {
        let reply = person.browser.get("/api/hello").await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        self.api.last().header("authorization").unwrap().to_owned()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.shutdown.cancel();
        if std::thread::panicking() {
            eprintln!("--- the server:\n{}", self.logs.text());
        }
    }
}

// === impl Person ===

impl Person {
    /// When the access token of the session was last renewed.
    pub async fn renewed_at(&self) -> String {
        let session = self.browser.session().await;
        assert_eq!(session["authenticated"], true, "the session has ended: {session}");
        session["refreshed_at"].to_string()
    }
}

/// Waits until another running part has made `condition` true.
pub async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let patiently = async {
        while !condition().await {
            SystemClock.sleep(Duration::from_millis(50)).await;
        }
    };
    // An unanswered request of the condition counts too.
    let waited = timeout(&SystemClock, PATIENCE, patiently).await;
    assert!(waited.is_ok(), "waited in vain until {what}");
}
