//! Puts the server together and runs it: the order of the start, the background work, the shutdown.
//!
//! Tests and the development stack start the very same server: they bring a listener, a clock and a generator.
//!
//! The order: keys, store and routes ([`App::new`], nothing is bound yet) → the listener answers liveness and serves the
//! JWK Set → discovery → registration → ready. An IdP may fetch our keys while it registers us, and may be down when we
//! start, so the first two never wait for the last ones.

mod discover;
pub mod one_shot;
mod proxies;
mod session_secret;
mod settings;
mod static_client;

use std::{io, net::SocketAddr, num::NonZeroUsize, sync::Arc};

use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::session_secret::SessionSecretError;
use crate::{
    clock::{SharedClock, SystemClock},
    config::Config,
    gateway::{self, Gateway},
    health::{Component, Health},
    keys::{Announce, Keeper, KeysError},
    login::{Login, hosts::HostsError},
    oidc::{ClientSlot, RelyingParty},
    outbound::{self, Outbound},
    random::{SharedRandom, SystemRandom},
    registration::{ErrorKind, RegisteredKeys, Registration, RegistrationError, Surroundings},
    seal::{Sealer, SealerError},
    server::Server,
    session::{CookieOptionsError, CookiePolicy, MemoryStore, SessionStore},
    tokens::Tokens,
    web::{Pages, PagesError, Parts, Web},
};

/// What the server takes from outside beside its configuration.
#[derive(Clone, Debug)]
pub struct Ports {
    /// Time.
    pub clock: SharedClock,
    /// Randomness.
    pub random: SharedRandom,
}

/// The sockets that the server listens on.
#[derive(Debug)]
pub struct Listeners {
    /// The one that browsers reach.
    pub public: TcpListener,
    /// The one that is never published.
    pub internal: Option<TcpListener>,
}

/// A server that is ready to be run.
#[derive(Debug)]
pub struct App {
    config: Config,
    ports: Ports,
    web: Web,
    tokens: Tokens,
    relying_party: RelyingParty,
    registration: Option<Registration>,
    keeper: Option<Keeper>,
    health: Health,
}

/// Why the server cannot be put together. All of it is a matter of configuration: exit code 64.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The keys.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The master secret of sessions.
    #[error(transparent)]
    SessionSecret(#[from] SessionSecretError),
    /// The master secret of sessions is too short.
    #[error("SESSION_SECRET: {0}")]
    Sealer(#[from] SealerError),
    /// The client for the IdP.
    #[error(transparent)]
    Outbound(#[from] outbound::BuildError),
    /// The client for the APIs.
    #[error(transparent)]
    Gateway(#[from] gateway::BuildError),
    /// Cookie names and attributes.
    #[error("the cookie settings contradict each other: {0}")]
    Cookies(#[from] CookieOptionsError),
    /// No host to log in on.
    #[error("{0}: set BFF_BASE_URL, or DCR_REDIRECT_URIS with one URI per host")]
    Hosts(#[from] HostsError),
    /// The routes.
    #[error("{path}: {error}")]
    Routes {
        /// The file.
        path: String,
        /// What is wrong with it.
        error: gateway::RoutesError,
    },
    /// Templates or texts of the pages.
    #[error("BFF_TEMPLATES_DIR: {0}")]
    Pages(#[from] PagesError),
    /// The routes cannot be read.
    #[error("{path} cannot be read: {error}")]
    RoutesFile {
        /// The file.
        path: String,
        /// The cause.
        error: io::Error,
    },
}

/// A socket that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} ({variable}): {cause}; {}", way_out(.cause, .variable))]
pub struct BindError {
    address: SocketAddr,
    variable: &'static str,
    cause: io::Error,
}

/// What to do about a socket that cannot be listened on.
fn way_out(cause: &io::Error, variable: &str) -> String {
    let variable = variable.rsplit(", ").next().unwrap_or(variable);
    match cause.kind() {
        io::ErrorKind::AddrInUse => format!(
            "another process listens there (`ss -ltnp` shows it): end it, or set {variable} to a port that is free"
        ),
        io::ErrorKind::PermissionDenied => {
            format!("ports below 1024 need a permission: set {variable} to a port from 1024")
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address: write one that it has, or `0.0.0.0` for all".to_owned()
        }
        _ => format!("correct {variable}"),
    }
}

/// Why a running server had to stop.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is no usable registration, and the IdP refuses one.
    #[error(transparent)]
    Registration(#[from] RegistrationError),
    /// The signing key and the IdP have no algorithm in common.
    #[error(transparent)]
    StaticClient(#[from] static_client::StaticClientError),
    /// It was asked to stop, and not everything finished in time.
    #[error("stopped; requests that did not finish in time were cut off: {requests}")]
    CutOff {
        /// How many.
        requests: NonZeroUsize,
    },
}

// === impl Ports ===

impl Default for Ports {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
        }
    }
}

// === impl App ===

impl App {
    /// Reads keys, secrets and routes and puts the server together. Blocks on small files; binds nothing and sends
    /// nothing.
    ///
    /// # Errors
    ///
    /// [`StartError`], with what to mend.
    pub fn new(config: Config, ports: Ports) -> Result<Self, StartError> {
        let health = Health::new();
        let (keeper, keys, warnings) =
            Keeper::open(config.keys.options.clone(), config.rotation(), ports.clock.wall())?;
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        health.ok(Component::Keys);

        let secrets = session_secret::load(
            &config.session,
            &config.keys.state_dir,
            config.keys.options.guard,
            &*ports.random,
        )?;
        let sealer = Sealer::new(&secrets, Arc::clone(&ports.random))?;
        let outbound = Outbound::new(&settings::outbound(&config), Arc::clone(&ports.clock))?;
        let relying_party = RelyingParty::new(
            settings::relying_party(&config),
            outbound.clone(),
            ClientSlot::new(),
            keys.clone(),
            Arc::clone(&ports.clock),
            Arc::clone(&ports.random),
        );
        let limits = settings::limits(&config);
        let store: Arc<dyn SessionStore> = Arc::new(MemoryStore::new(limits, Arc::clone(&ports.clock)));
        health.ok(Component::Store);
        let login = Login::new(
            settings::login(&config)?,
            relying_party.clone(),
            Arc::clone(&store),
            sealer.clone(),
            Arc::clone(&ports.clock),
            Arc::clone(&ports.random),
        );
        let tokens = Tokens::new(
            settings::tokens(&config),
            relying_party.clone(),
            Arc::clone(&store),
            sealer.clone(),
            Arc::clone(&ports.clock),
            Arc::clone(&ports.random),
        );
        let registration = config.registration.enabled.then(|| {
            Registration::new(
                settings::registration(&config),
                outbound,
                keys.clone(),
                Arc::clone(&ports.clock),
            )
        });
        let routes = settings::routes(&config)?;
        let gateway = Gateway::new(routes, settings::gateway(&config), Arc::clone(&ports.clock))?;
        proxies::tell(&config, &gateway);
        let web = Web::new(Parts {
            keys,
            health: health.clone(),
            login,
            tokens: tokens.clone(),
            store,
            limits,
            gateway,
            cookies: CookiePolicy::new(settings::cookies(&config))?,
            sealer,
            own_origins: settings::own_origins(&config),
            cors_origins: settings::cors_origins(&config),
            trusted_proxies: settings::trusted_proxies(&config),
            pages: Pages::new(&settings::pages(&config))?,
            clock: Arc::clone(&ports.clock),
        });
        Ok(Self {
            config,
            ports,
            web,
            tokens,
            relying_party,
            registration,
            keeper: Some(keeper),
            health,
        })
    }

    /// Checks what only the modules themselves can check, without touching keys or the network: hosts, cookies, routes,
    /// pages.
    ///
    /// # Errors
    ///
    /// [`StartError`], with what to mend.
    pub fn check(config: &Config) -> Result<(), StartError> {
        settings::login(config)?;
        CookiePolicy::new(settings::cookies(config))?;
        settings::routes(config)?;
        Pages::new(&settings::pages(config))?;
        Ok(())
    }

    /// Opens the sockets that the configuration names.
    ///
    /// # Errors
    ///
    /// [`BindError`] with address and variable.
    pub async fn bind(&self) -> Result<Listeners, BindError> {
        let server = &self.config.server;
        let internal = match server.internal {
            Some(address) => Some(bind(address, "BFF_INTERNAL_ADDR").await?),
            None => None,
        };
        Ok(Listeners {
            public: bind(server.listen, "HOST, PORT").await?,
            internal,
        })
    }

    /// What the server knows of its own state.
    #[must_use]
    pub const fn health(&self) -> &Health {
        &self.health
    }

    /// Serves until `shutdown`, then lets requests and refreshes finish.
    ///
    /// # Errors
    ///
    /// [`RunError`]: the server must not go on, or it could not finish everything. It has stopped serving then.
    pub async fn run(mut self, listeners: Listeners, shutdown: CancellationToken) -> Result<(), RunError> {
        let work = TaskTracker::new();
        // Ends with `shutdown`, and with a reason of our own too.
        let stop = shutdown.child_token();
        let (public, internal) = settings::servers(&self.config);
        let serve = |options, listener, endpoints| {
            Server::new(options, Arc::clone(&self.ports.clock)).serve(listener, endpoints, stop.clone())
        };
        let public = work.spawn(serve(public, listeners.public, self.web.public()));
        let internal = listeners
            .internal
            .map(|listener| work.spawn(serve(internal, listener, self.web.internal())));
        // Its first use gathers entropy for some 30 milliseconds, for which no request should wait.
        let random = Arc::clone(&self.ports.random);
        tokio::task::spawn_blocking(move || random.fill(&mut [0]));
        let tokens = self.tokens.clone();
        let tokens_stop = stop.clone();
        work.spawn(async move { tokens.run(tokens_stop).await });
        if let Some(keeper) = self.keeper.take() {
            let clock = Arc::clone(&self.ports.clock);
            work.spawn(keeper.run(clock, stop.clone(), self.announce(&stop)));
        }
        work.spawn(discover::keep_discovered(
            self.relying_party.clone(),
            self.health.clone(),
            self.ports.clone(),
            stop.clone(),
        ));

        let outcome = self.become_a_client(&stop).await;
        if outcome.is_ok() {
            stop.cancelled().await;
        }
        stop.cancel();
        work.close();
        work.wait().await;
        // Last: a request that was still served may have started one.
        self.tokens.drain().await;
        outcome?;
        let mut cut_off = public.await.unwrap_or_default();
        if let Some(internal) = internal {
            cut_off += internal.await.unwrap_or_default();
        }
        match NonZeroUsize::new(cut_off) {
            None => Ok(()),
            Some(requests) => Err(RunError::CutOff { requests }),
        }
    }

    /// Who tells the IdP of new keys.
    fn announce(&self, stop: &CancellationToken) -> Arc<dyn Announce> {
        match &self.registration {
            Some(registration) => Arc::new(RegisteredKeys::new(
                registration.clone(),
                self.relying_party.clone(),
                stop.clone(),
            )),
            None => Arc::new(static_client::StaticKeys {
                config: self.config.clone(),
                keys: self.web.keys.clone(),
                relying_party: self.relying_party.clone(),
            }),
        }
    }

    /// Registers, or takes the client that the configuration names.
    async fn become_a_client(&self, stop: &CancellationToken) -> Result<(), RunError> {
        match &self.registration {
            Some(registration) => {
                let around = Surroundings {
                    relying_party: self.relying_party.clone(),
                    health: self.health.clone(),
                    clock: Arc::clone(&self.ports.clock),
                    random: Arc::clone(&self.ports.random),
                    pace: crate::registration::Pace::default(),
                    shutdown: stop.clone(),
                };
                registration.run(&around).await?;
                registration.keep(&around).await;
            }
            None => {
                tokio::select! {
                    () = stop.cancelled() => {}
                    client = static_client::client(&self.config, self.web.keys.clone(), &self.relying_party) => {
                        self.relying_party.client().set(client?);
                        self.health.ok(Component::Credentials);
                    }
                }
            }
        }
        Ok(())
    }
}

async fn bind(address: SocketAddr, variable: &'static str) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|cause| BindError {
        address,
        variable,
        cause,
    })
}

// === impl RunError ===

impl RunError {
    /// Whether the cause is the configuration (exit code 64) rather than a refusal of the IdP (77).
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::Registration(error) => error.kind() == ErrorKind::Configuration,
            Self::StaticClient(_) => true,
            Self::CutOff { .. } => false,
        }
    }
}
