//! Puts the server together and runs it: the order of the start, the background work, the shutdown.
//!
//! Tests and the development stack start the same server: they provide a listener, a clock and a generator.
//!
//! The order: keys, store and routes ([`App::new`], nothing is bound yet) → the listener answers liveness and serves the
//! JWK Set → discovery → registration → ready. An IdP may fetch our keys while it registers us, and may be down when we
//! start, so the first two never wait for the last ones.

mod api_tokens;
pub mod descriptors;
mod discover;
mod error;
mod idps;
mod listeners;
mod look;
pub mod one_shot;
pub mod preflight;
mod proxies;
mod registering;
mod reload;
mod replicas;
mod routes;
mod session_secret;
mod settings;
mod static_client;
mod store;

use std::{num::NonZeroUsize, sync::Arc};

use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::reload::Reload;
pub use self::{
    error::{BindError, RunError, StartError},
    listeners::Listeners,
    routes::RoutesWarning,
    session_secret::SessionSecretError,
};

use crate::{
    admin::{self, Admin},
    clock::{SharedClock, SystemClock},
    config::Config,
    gateway::{Gateway, Routes},
    health::{Component, Health},
    instruments::{SharedInstruments, Tally},
    keys::{Announce, Keeper},
    limits::Limiter,
    login::Login,
    oidc::{ClientSlot, RelyingParty},
    outbound::Outbound,
    random::{SharedRandom, SystemRandom},
    registration::{RegisteredKeys, Registration, RunContext},
    replicas::Replicas,
    seal::Sealer,
    server::Server,
    session::{CookiePolicy, Sessions},
    telemetry::recent::Recent,
    tokens::Tokens,
    web::{Pages, Services, Web},
};

/// The server's dependencies from outside, beside its configuration.
#[derive(Clone, Debug)]
pub struct Ports {
    /// Time.
    pub clock: SharedClock,
    /// Randomness.
    pub random: SharedRandom,
    /// The instruments for its counters.
    pub instruments: SharedInstruments,
    /// The recent warnings.
    pub recent: Recent,
}

/// A server that is ready to be run.
#[derive(Debug)]
pub struct App {
    config: Config,
    ports: Ports,
    web: Web,
    /// The texts of `routes.yaml` and `idps.yaml` at the start.
    files: reload::Files,
    /// Notified to read them again.
    reload: Arc<Notify>,
    tokens: Tokens,
    relying_party: RelyingParty,
    registration: Option<Registration>,
    keeper: Option<Keeper>,
    replicas: Option<Replicas>,
    health: Health,
}

// === impl Ports ===

impl Default for Ports {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            instruments: Arc::new(Tally::default()),
            recent: Recent::default(),
        }
    }
}

// === impl App ===

impl App {
    /// Reads keys, secrets and routes and puts the server together. Blocks on small files; binds nothing and sends
    /// nothing. Another process that has the file of sessions open is waited for, up to 30 seconds.
    ///
    /// # Errors
    ///
    /// [`StartError`], with the fix.
    pub async fn new(config: Config, ports: Ports) -> Result<Self, StartError> {
        let started = Box::pin(Self::put_together(config.clone(), ports)).await;
        started.map_err(|error| preflight::why(&config, error))
    }

    async fn put_together(config: Config, ports: Ports) -> Result<Self, StartError> {
        let health = Health::new();
        let (ports, agreed) = replicas::one_clock(&config, ports);
        let in_files = replicas::open_keys_in_files(&config, &ports)?;
        let secrets = session_secret::load(
            &config.session,
            &config.keys.state_dir,
            config.keys.options.guard,
            &*ports.random,
        )?;
        let sealer = Sealer::new(&secrets, Arc::clone(&ports.random))?;
        let limits = settings::limits(&config);
        // Boxed: it may contain a connection being opened.
        let store = Box::pin(store::open(&config, &limits, &sealer, &ports)).await?;
        let replicas = replicas::join(&config, store.shared, &sealer, &ports, agreed).await;
        if replicas.is_none() {
            health.ok(Component::Replicas);
        }
        let (keeper, keys) = match in_files {
            Some(opened) => opened,
            None => replicas::open_shared_keys(&config, replicas.as_ref(), &ports).await?,
        };
        health.ok(Component::Keys);
        let outbound = Outbound::new(&settings::outbound(&config), Arc::clone(&ports.clock))?;
        let relying_party = RelyingParty::new(
            settings::relying_party(&config),
            outbound.clone(),
            ClientSlot::new(),
            keys.clone(),
            Arc::clone(&ports.clock),
            Arc::clone(&ports.random),
        );
        let sessions = Sessions::new(
            store.sessions,
            limits,
            sealer.clone(),
            Arc::clone(&ports.clock),
            Arc::clone(&ports.random),
            &*ports.instruments,
        );
        health.ok(Component::Store);
        let login = Login::new(
            settings::login(&config)?,
            relying_party.clone(),
            sessions.clone(),
            store.memories,
            sealer.clone(),
            Arc::clone(&ports.clock),
            Arc::clone(&ports.random),
        );
        let tokens = Tokens::new(
            settings::tokens(&config),
            relying_party.clone(),
            sessions.clone(),
            Arc::clone(&ports.clock),
            Arc::clone(&ports.random),
            &*ports.instruments,
        );
        let registration = registering::registration(&config, &outbound, &keys, &ports, replicas.as_ref())
            .map(|registration| registration.asking(relying_party.clone()));
        let files = reload::Files::read(&config)?;
        let (routes, idps) = files.parsed(&config, ports.clock.wall())?;
        let gateway = gateway(&config, &ports, &relying_party, routes)?;
        let bearers = idps::open(&config, &idps, &relying_party, &outbound, &keys, &ports);
        let web = Web::new(Services {
            keys,
            health: health.clone(),
            login,
            tokens: tokens.clone(),
            sessions,
            limits: Limiter::new(store.meter, sealer.clone(), Arc::clone(&ports.clock)),
            login_rate: config.login.rate,
            gateway,
            bearers,
            provider_alias: config.provider.alias.clone(),
            resource: idps::resource(&config),
            cookies: CookiePolicy::new(settings::cookies(&config))?,
            sealer,
            own_origins: settings::own_origins(&config),
            cors_origins: settings::cors_origins(&config),
            trusted_proxies: settings::trusted_proxies(&config),
            binding: config.binding,
            connections: settings::budget(&config).public,
            pages: Pages::new(&settings::pages(&config))?,
            instruments: Arc::clone(&ports.instruments),
            clock: Arc::clone(&ports.clock),
        });
        Ok(Self {
            config,
            ports,
            web,
            files,
            reload: Arc::default(),
            tokens,
            relying_party,
            registration,
            keeper: Some(keeper),
            replicas,
            health,
        })
    }

    /// The server's knowledge of its own state.
    #[must_use]
    pub const fn health(&self) -> &Health {
        &self.health
    }

    /// A notification makes the server read `routes.yaml` and `idps.yaml` again at once.
    #[must_use]
    pub fn reload(&self) -> Arc<Notify> {
        Arc::clone(&self.reload)
    }

    /// Serves until `shutdown`, then lets requests and refreshes finish.
    ///
    /// # Errors
    ///
    /// [`RunError`]: the server must not continue, or it could not finish everything. It has stopped serving then.
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
        if let Some(socket) = listeners.admin {
            work.spawn(self.admin().serve(socket, stop.clone()));
        }
        // Its first use gathers entropy for some 30 milliseconds, for which no request should wait.
        let random = Arc::clone(&self.ports.random);
        tokio::task::spawn_blocking(move || random.fill(&mut [0]));
        let sessions = self.web.sessions.clone();
        let sessions_stop = stop.clone();
        let health = self.health.clone();
        work.spawn(async move { sessions.run(&health, sessions_stop).await });
        let reload = Reload {
            config: self.config.clone(),
            web: self.web.clone(),
            clock: Arc::clone(&self.ports.clock),
            asked: Arc::clone(&self.reload),
            relying_party: self.relying_party.clone(),
            registration: self.registration.clone(),
        };
        work.spawn(reload.run(std::mem::take(&mut self.files), stop.clone()));
        let tokens = self.tokens.clone();
        let tokens_stop = stop.clone();
        work.spawn(async move { tokens.run(tokens_stop).await });
        if let Some(replicas) = self.replicas.clone() {
            let (keys, health, stop) = (self.web.keys.clone(), self.health.clone(), stop.clone());
            work.spawn(async move { replicas.run(keys, &health, stop).await });
        }
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

        // In its own function: inline, the future would be too large for a stack.
        let outcome = Box::pin(self.become_a_client(&stop)).await;
        if outcome.is_ok() {
            stop.cancelled().await;
        }
        stop.cancel();
        work.close();
        work.wait().await;
        // Last: a request that was still served may have started one.
        self.tokens.drain().await;
        self.web.sessions.flush().await;
        if let Some(replicas) = &self.replicas {
            replicas.leave().await;
        }
        outcome.map_err(|error| preflight::why_stopped(&self.config, error))?;
        let mut cut_off = public.await.unwrap_or_default();
        if let Some(internal) = internal {
            cut_off += internal.await.unwrap_or_default();
        }
        match NonZeroUsize::new(cut_off) {
            None => Ok(()),
            Some(requests) => Err(RunError::CutOff { requests }),
        }
    }

    /// The service on the operator's socket.
    fn admin(&self) -> Admin {
        Admin::new(admin::Services {
            sessions: self.web.sessions.clone(),
            login: self.web.login.clone(),
            issuer: self.relying_party.issuer().into(),
            instruments: Arc::clone(&self.ports.instruments),
            health: self.health.clone(),
            replicas: self.replicas.clone(),
            recent: self.ports.recent.clone(),
            clock: Arc::clone(&self.ports.clock),
        })
    }

    /// The announcer of new keys to the IdP.
    fn announce(&self, stop: &CancellationToken) -> Arc<dyn Announce> {
        let idp: Arc<dyn Announce> = match &self.registration {
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
        };
        match &self.replicas {
            Some(replicas) => replicas.known_by_peers(idp),
            None => idp,
        }
    }

    /// Registers, or takes the client that the configuration names.
    async fn become_a_client(&self, stop: &CancellationToken) -> Result<(), RunError> {
        match &self.registration {
            Some(registration) => {
                let context = RunContext {
                    relying_party: self.relying_party.clone(),
                    health: self.health.clone(),
                    clock: Arc::clone(&self.ports.clock),
                    random: Arc::clone(&self.ports.random),
                    retry: crate::registration::RetryPolicy::default(),
                    shutdown: stop.clone(),
                };
                registration.run(&context).await?;
                registration.keep(&context).await;
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

/// The gateway to the APIs; logs notes for the operator.
fn gateway(
    config: &Config,
    ports: &Ports,
    relying_party: &RelyingParty,
    routes: Routes,
) -> Result<Gateway, StartError> {
    relying_party.ask_for(api_tokens::audiences(&routes));
    let gateway = Gateway::new(routes, settings::gateway(config), Arc::clone(&ports.clock))?;
    proxies::tell(config, &gateway);
    Ok(gateway)
}
