//! The development IdP, the server and an API, all on free ports and on one clock.

mod watch;

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use bff::{
    app::{App, Listeners, Ports, RunError, StartError},
    clock::{Clock as _, ManualClock, Timestamp},
    config::{Config, Environment},
    instruments::{Instruments as _, Reading, Series, Tally},
    random::SystemRandom,
};
use devstack_idp::{Control, Idp, MintIat, Options};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::{
    Api, Browser, Reply,
    idp::{IdpServer, Port},
};

/// The hosts on which people log in. All names below `localhost` are this machine.
pub const HOSTS: [&str; 3] = ["automate.localhost", "authn.localhost", "authz.localhost"];

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
  - id: public
    path: /public/*
    target_service: api
    preserve_path: true
    auth: none
"#;

/// Changes the variables of the server, knowing the issuer.
type ChangeVariables = Box<dyn FnOnce(&mut Vec<(String, String)>, &str)>;

/// The parts of a stack; everything can be changed before it starts.
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent switches, each turned by a method of its own"
)]
pub struct Builder {
    variables: Vec<(String, String)>,
    routes: String,
    idps: Option<String>,
    mints_iat: bool,
    idp: Box<dyn FnOnce(&mut Options)>,
    prepare: Box<dyn FnOnce(&Control)>,
    with: ChangeVariables,
    folder: Option<TempDir>,
    internal: bool,
    idp_is_down: bool,
    has_server: bool,
}

/// A running stack. Everything ends when it is dropped.
pub struct Stack {
    /// The IdP.
    pub idp: Control,
    /// Its issuer identifier.
    pub issuer: String,
    /// The API behind the server.
    pub api: Api,
    /// The time of all of them.
    pub clock: ManualClock,
    /// The counters of the server.
    pub tally: Arc<Tally>,
    /// The address of the server.
    pub address: SocketAddr,
    /// Its internal listener.
    pub internal: Option<SocketAddr>,
    /// The variables that the server was started with.
    pub variables: Vec<(String, String)>,
    folder: Option<TempDir>,
    idp_server: IdpServer,
    idp_of_the_start: Idp,
    _port: Port,
    health: bff::health::Health,
    server: Option<JoinHandle<Result<(), RunError>>>,
    shutdown: CancellationToken,
}

// === impl Builder ===

impl Builder {
    fn new() -> Self {
        Self {
            variables: Vec::new(),
            routes: ROUTES.to_owned(),
            idps: None,
            mints_iat: true,
            idp: Box::new(|_| {}),
            prepare: Box::new(|_| {}),
            with: Box::new(|_, _| {}),
            folder: None,
            internal: false,
            idp_is_down: false,
            has_server: true,
        }
    }

    /// Sets a variable; an empty value takes a default of the stack away.
    pub fn set(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    /// Replaces `routes.yaml`; `{api}` stands for the API's URL.
    pub fn routes(mut self, routes: &str) -> Self {
        routes.clone_into(&mut self.routes);
        self
    }

    /// Writes `idps.yaml`; `{issuer}` stands for the issuer of the logins.
    pub fn idps(mut self, idps: &str) -> Self {
        self.idps = Some(idps.to_owned());
        self
    }

    /// Starts in a folder that holds files already.
    pub fn in_folder(mut self, folder: TempDir) -> Self {
        self.folder = Some(folder);
        self
    }

    /// Starts without an initial access token.
    pub fn without_iat(mut self) -> Self {
        self.mints_iat = false;
        self
    }

    /// Opens the internal listener too.
    pub fn with_internal_listener(mut self) -> Self {
        self.internal = true;
        self
    }

    /// Changes the IdP's options.
    pub fn idp(mut self, change: impl FnOnce(&mut Options) + 'static) -> Self {
        self.idp = Box::new(change);
        self
    }

    /// Prepares the running IdP before the server starts.
    pub fn prepare(mut self, prepare: impl FnOnce(&Control) + 'static) -> Self {
        self.prepare = Box::new(prepare);
        self
    }

    /// Changes the variables when the issuer is known, which is passed on.
    pub fn variables(mut self, change: impl FnOnce(&mut Vec<(String, String)>, &str) + 'static) -> Self {
        self.with = Box::new(change);
        self
    }

    /// Starts while the IdP is down: connections to it are refused until [`Stack::idp_comes_up`].
    pub fn with_idp_down(mut self) -> Self {
        self.idp_is_down = true;
        self
    }

    /// Starts no server: a test starts the binary with [`Stack::variables`]. The IdP has the time of the machine then.
    pub fn without_server(mut self) -> Self {
        self.has_server = false;
        self
    }

    /// Starts everything and waits until the server is ready.
    pub async fn start(self) -> Stack {
        let mut stack = self.start_without_waiting().await;
        stack.ready().await;
        stack
    }

    /// Starts everything.
    pub async fn start_without_waiting(self) -> Stack {
        let clock = ManualClock::starting_at(Timestamp::from_unix_seconds(1_800_000_000));
        let idp_port = Port::reserve();
        let issuer = format!("http://{}", idp_port.address());
        let mut options = Options::sample(issuer.clone(), "admin-token").unwrap();
        let idp_clock = clock.clone();
        if self.has_server {
            options.clock = Arc::new(move || idp_clock.wall().unix_seconds());
        }
        (self.idp)(&mut options);
        let issuer = options.issuer.clone();
        let mut idp_server = IdpServer::new(options, idp_port);
        let idp = idp_server.idp();
        let control = idp.control().clone();
        (self.prepare)(&control);
        if !self.idp_is_down {
            idp_server.up(idp.clone());
        }

        let api = Api::start().await;
        let folder = self.folder.unwrap_or_else(|| tempfile::tempdir().unwrap());
        std::fs::create_dir_all(folder.path().join("config")).unwrap();
        std::fs::write(
            folder.path().join("config/routes.yaml"),
            self.routes.replace("{api}", &api.url()),
        )
        .unwrap();

        if let Some(idps) = &self.idps {
            let file = folder.path().join("config/idps.yaml");
            std::fs::write(file, idps.replace("{issuer}", &issuer)).unwrap();
        }

        let port = Port::reserve();
        let address = port.address();
        let internal = if self.internal {
            Some(TcpListener::bind("127.0.0.1:0").await.unwrap())
        } else {
            None
        };
        let number = address.port();
        let mut redirect_uris = vec![format!("http://127.0.0.1:{number}/auth/callback")];
        redirect_uris.extend(HOSTS.map(|host| format!("http://{host}:{number}/auth/callback")));

        let path = |name: &str| folder.path().join(name).display().to_string();
        let mut variables: Vec<(String, String)> = [
            ("OIDC_ISSUER", issuer.clone()),
            ("BFF_BASE_URL", format!("http://127.0.0.1:{number}")),
            ("PORT", number.to_string()),
            ("BFF_CONFIG_DIR", path("config")),
            ("BFF_JWT_SIGNING_KEY", path("keys/bff-signing.pem")),
            ("BFF_KEY_TYPE", "p-256".to_owned()),
            ("DCR_CLIENT_ID", "bff-server".to_owned()),
            ("DCR_CLIENT_PROFILE", "code-flow-pkjwt".to_owned()),
            ("DCR_REDIRECT_URIS", redirect_uris.join(",")),
            // Their clock stands still until it is moved, and a disk takes real time; `restarts` tests the default.
            ("SESSION_STORE", "memory".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec();
        if self.mints_iat {
            variables.push(("DCR_IAT".to_owned(), control.mint_iat(MintIat::default())));
        }
        variables.retain(|(name, _)| self.variables.iter().all(|(other, _)| other != name));
        variables.extend(self.variables);
        (self.with)(&mut variables, &issuer);

        let held = port.held();
        let listener = self.has_server.then(|| port.listen());
        let mut stack = Stack {
            idp: control,
            issuer,
            api,
            clock,
            tally: Arc::default(),
            address,
            internal: internal.as_ref().map(|listener| listener.local_addr().unwrap()),
            variables,
            folder: Some(folder),
            idp_server,
            idp_of_the_start: idp,
            _port: held,
            health: bff::health::Health::new(),
            server: None,
            shutdown: CancellationToken::new(),
        };
        if let Some(public) = listener {
            stack
                .serve(Listeners {
                    public,
                    internal,
                    admin: None,
                })
                .await;
        }
        stack
    }
}

// === impl Stack ===

impl Stack {
    /// A stack to be changed before it starts.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// The usual stack.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// The folder of the server's files.
    pub fn folder(&self) -> PathBuf {
        self.folder.as_ref().unwrap().path().to_owned()
    }

    /// The origin of one of [`HOSTS`].
    pub fn origin(&self, host: usize) -> String {
        format!("http://{}:{}", HOSTS[host], self.address.port())
    }

    /// A fresh browser of Ada on the first host.
    pub fn browser(&self) -> Browser {
        Browser::new("ada", &self.origin(0))
    }

    /// The path of the credentials file.
    pub fn credentials(&self) -> PathBuf {
        self.folder().join("keys/bff_client.json")
    }

    /// Waits until the server is ready.
    ///
    /// The clock stands still meanwhile, so a server never reaches its next attempt.
    pub async fn ready(&mut self) {
        self.until("the server is ready", |stack| stack.health.report().ready)
            .await;
    }

    /// Moves the time until the server is ready, for at most `duration`.
    pub async fn ready_within(&mut self, duration: Duration) {
        let step = Duration::from_secs(10);
        let mut left = duration;
        while !self.health.report().ready && !left.is_zero() {
            self.advance(step).await;
            left = left.saturating_sub(step);
        }
        self.ready().await;
    }

    /// Waits until another running part has made `condition` true.
    pub async fn until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        for _ in 0..2_000 {
            if condition(self) {
                return;
            }
            if self.server.as_ref().is_some_and(JoinHandle::is_finished) {
                let ended = self.server.take().unwrap().await;
                panic!("the server has ended while waiting until {what}: {ended:?}");
            }
            pause().await;
        }
        panic!("waited in vain until {what}: {:?}", self.health.report());
    }

    /// Moves the time for all, a step at a time, so that everything that is due in between happens in its order.
    pub async fn advance(&self, duration: Duration) {
        let step = Duration::from_secs(1);
        let mut left = duration;
        while !left.is_zero() {
            let now = left.min(step);
            self.clock.advance(now);
            left -= now;
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
        }
        pause().await;
    }

    /// Moves the time until `task` ends, and returns its outcome: for tasks that end by the clock.
    pub async fn advance_until_done<T>(&self, task: JoinHandle<T>) -> T {
        for _ in 0..600 {
            if task.is_finished() {
                return task.await.unwrap();
            }
            self.advance(Duration::from_secs(1)).await;
        }
        panic!("ten minutes have passed and it goes on");
    }

    /// Stops the server and waits for its end.
    pub async fn stop(&mut self) -> Result<(), RunError> {
        self.shutdown.cancel();
        let server = self.server.take().unwrap();
        server.await.unwrap()
    }

    /// Waits for the server to end by itself.
    pub async fn ended(&mut self) -> RunError {
        let server = self.server.take().unwrap();
        server
            .await
            .unwrap()
            .expect_err("the server ended without an error")
    }

    /// Starts the server again on the same port and files, with variables changed (an empty value removes one).
    pub async fn restart_with(&mut self, changes: &[(&str, &str)]) {
        self.restart_without_waiting(changes).await;
        self.ready().await;
    }

    /// Like [`restart_with`](Self::restart_with), without waiting until it is ready.
    pub async fn restart_without_waiting(&mut self, changes: &[(&str, &str)]) {
        if self.server.is_some() {
            self.stop().await.unwrap();
        }
        for (name, value) in changes {
            self.variables.retain(|(other, _)| other != name);
            if !value.is_empty() {
                self.variables.push(((*name).to_owned(), (*value).to_owned()));
            }
        }
        let public = listen_again(self.address).await;
        let internal = match self.internal {
            Some(address) => Some(listen_again(address).await),
            None => None,
        };
        self.serve(Listeners {
            public,
            internal,
            admin: None,
        })
        .await;
    }

    /// How often the server has counted something.
    pub fn counted(&self, series: Series) -> u64 {
        let all = self.tally.read();
        match all.iter().find(|(known, _)| *known == series) {
            Some((_, Reading::Count(count) | Reading::Times { count, .. })) => *count,
            Some((_, Reading::Last(_))) | None => panic!("nothing is counted as {series:?}"),
        }
    }

    /// The server with the variables of now, not yet running.
    pub async fn app(&self) -> Result<App, StartError> {
        let environment: Environment = self.variables.iter().cloned().collect();
        let (config, _) = Config::load(&environment).unwrap_or_else(|error| panic!("{error}"));
        let ports = Ports {
            clock: Arc::new(self.clock.clone()),
            random: Arc::new(SystemRandom),
            instruments: Arc::clone(&self.tally) as _,
            ..Ports::default()
        };
        App::new(config, ports).await
    }

    async fn serve(&mut self, listeners: Listeners) {
        let app = self.app().await.unwrap_or_else(|error| panic!("{error}"));
        self.health = app.health().clone();
        self.shutdown = CancellationToken::new();
        self.server = Some(tokio::spawn(app.run(listeners, self.shutdown.clone())));
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// Listens at an address that was left just now. A process that another test starts has a copy of each of our sockets until it
/// executes its program, and that copy keeps the address for a moment.
async fn listen_again(address: SocketAddr) -> TcpListener {
    for _ in 0..1_000 {
        match TcpListener::bind(address).await {
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => pause().await,
            bound => return bound.unwrap(),
        }
    }
    panic!("{address} stays taken");
}

/// Lets everything that waits for a socket progress. Only here a test spends real time: sockets do not use our clock.
#[expect(
    clippy::disallowed_methods,
    reason = "sockets take real time, which no clock of ours moves"
)]
pub async fn pause() {
    tokio::time::sleep(Duration::from_millis(2)).await;
}
