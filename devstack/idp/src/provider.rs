//! The IdP itself: the state that all endpoints share.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;

use crate::{
    authorization_request::AuthorizationRequest,
    back_channel::Sender,
    client::Client,
    client_auth::source::KeySource,
    clients_file::Clients,
    clock::Clock,
    control::{fault::Faults, hooks::Hooks, recorded::RequestLog},
    keys::{KeyError, KeyRing, SigningKey},
    options::{ConfigError, DcrConfig, Options, OptionsError},
    secret::Secret,
    state::{Locked, State, StateError, kept::Kept},
};

/// Which audience of a client assertion the IdP accepts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AssertionAudience {
    /// The issuer, the token endpoint, or the endpoint that was called.
    #[default]
    Any,
    /// Only the issuer, as in FAPI 2.0.
    Issuer,
    /// Only the URL of the token endpoint, as some older IdPs insist.
    TokenEndpoint,
}

/// Why an IdP cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The options contradict themselves.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// `clients.yaml` cannot be used.
    #[error(transparent)]
    Clients(#[from] ConfigError),
    /// There is no state to start with.
    #[error(transparent)]
    State(#[from] StateError),
    /// The HTTP client that calls clients could not be built.
    #[error("cannot build the HTTP client: {0}")]
    HttpClient(#[from] reqwest::Error),
}

/// How an update of a registration is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UpdateMethod {
    /// RFC 7592, section 2.2; `PATCH` gets 405.
    #[default]
    Put,
    /// A JSON merge patch, as at some IdPs; `PUT` gets 405.
    Patch,
}

/// How the IdP behaves where good IdPs differ; a test turns the switches.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent switches, each turned by a test of its own"
)]
pub(crate) struct Switches {
    pub(crate) rotate_rat_on_update: bool,
    pub(crate) rotate_refresh_tokens: bool,
    pub(crate) issue_refresh_tokens: bool,
    pub(crate) offline_access_wants_prompt: bool,
    pub(crate) id_token_on_refresh: bool,
    pub(crate) fetch_jwks_at_registration: bool,
    pub(crate) update_method: UpdateMethod,
    pub(crate) assertion_audience: AssertionAudience,
    pub(crate) refuse_assertion_typ: bool,
    pub(crate) access_token_lifetime: Duration,
    pub(crate) refresh_token_lifetime: Duration,
    pub(crate) id_token_lifetime: Duration,
}

/// Everything that the endpoints share. Locks are never held across an await.
pub(crate) struct Provider {
    issuer: String,
    base_path: String,
    secure: bool,
    audience: String,
    resources: Vec<String>,
    exchanged_audiences: Vec<String>,
    admin_token: Secret,
    clock: Clock,
    dcr: Mutex<DcrConfig>,
    state: Mutex<State>,
    other_key: Mutex<Option<Arc<SigningKey>>>,
    key_source: KeySource,
    sender: Sender,
    switches: Mutex<Switches>,
    pub(crate) faults: Faults,
    pub(crate) hooks: Hooks,
    pub(crate) log: RequestLog,
}

// === impl Switches ===

impl Switches {
    fn new(options: &Options) -> Self {
        Self {
            rotate_rat_on_update: false,
            rotate_refresh_tokens: true,
            issue_refresh_tokens: true,
            offline_access_wants_prompt: false,
            id_token_on_refresh: true,
            fetch_jwks_at_registration: false,
            update_method: UpdateMethod::default(),
            assertion_audience: AssertionAudience::default(),
            refuse_assertion_typ: false,
            access_token_lifetime: options.access_token_lifetime,
            refresh_token_lifetime: options.refresh_token_lifetime,
            id_token_lifetime: options.id_token_lifetime,
        }
    }
}

// === impl Provider ===

impl Provider {
    pub(crate) fn new(options: Options) -> Result<Self, StartError> {
        let url = options.check()?;
        let switches = Switches::new(&options);
        let clients = Clients::load(options.clients_file)?;
        let kept = Kept::load(options.state_file)?;
        Ok(Self {
            base_path: url.path().trim_end_matches('/').to_owned(),
            secure: url.scheme() == "https",
            issuer: options.issuer,
            audience: options.audience,
            resources: options.resources,
            exchanged_audiences: options.exchanged_audiences,
            admin_token: options.admin_token,
            key_source: KeySource::new(Arc::clone(&options.clock))?,
            sender: Sender::new()?,
            clock: options.clock,
            dcr: Mutex::new(options.dcr),
            state: Mutex::new(State::new(options.users, clients, kept)),
            other_key: Mutex::default(),
            switches: Mutex::new(switches),
            faults: Faults::default(),
            hooks: Hooks::default(),
            log: RequestLog::default(),
        })
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Path of the issuer, empty for most; all endpoints live below it.
    pub(crate) fn base_path(&self) -> &str {
        &self.base_path
    }

    /// The URL of an endpoint.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.issuer)
    }

    /// Whether cookies need `Secure`.
    pub(crate) fn secure(&self) -> bool {
        self.secure
    }

    pub(crate) fn audience(&self) -> &str {
        &self.audience
    }

    /// The other APIs for which tokens can be asked.
    /// Whether any client may exchange tokens for `audience`.
    pub(crate) fn is_exchanged(&self, audience: &str) -> bool {
        self.exchanged_audiences.iter().any(|known| known == audience)
    }

    pub(crate) fn resources(&self) -> &[String] {
        &self.resources
    }

    pub(crate) fn is_admin(&self, token: &str) -> bool {
        self.admin_token.matches(token)
    }

    /// Seconds since the epoch.
    pub(crate) fn now(&self) -> u64 {
        (self.clock)()
    }

    pub(crate) fn dcr(&self) -> DcrConfig {
        self.dcr.lock().clone()
    }

    pub(crate) fn change_dcr(&self, change: impl FnOnce(&mut DcrConfig)) {
        change(&mut self.dcr.lock());
    }

    pub(crate) fn state(&self) -> Locked<'_> {
        Locked::new(&self.state)
    }

    pub(crate) fn client(&self, client_id: &str) -> Option<Client> {
        self.state().clients.get(client_id).cloned()
    }

    /// The answer of the signing keys.
    pub(crate) fn keys<T>(&self, ask: impl FnOnce(&KeyRing) -> T) -> T {
        ask(&self.state().kept.keys)
    }

    /// A foreign key, made at the first request of a test.
    pub(crate) fn other_key(&self) -> Result<Arc<SigningKey>, KeyError> {
        let mut slot = self.other_key.lock();
        if let Some(key) = &*slot {
            return Ok(Arc::clone(key));
        }
        let key = Arc::new(SigningKey::generate_rsa()?);
        *slot = Some(Arc::clone(&key));
        Ok(key)
    }

    pub(crate) fn key_source(&self) -> &KeySource {
        &self.key_source
    }

    pub(crate) fn sender(&self) -> &Sender {
        &self.sender
    }

    pub(crate) fn switches(&self) -> Switches {
        self.switches.lock().clone()
    }

    pub(crate) fn switch(&self, change: impl FnOnce(&mut Switches)) {
        change(&mut self.switches.lock());
    }

    /// The scopes and claims that a request will be granted.
    pub(crate) fn granted_scope(&self, request: &AuthorizationRequest, client: &Client) -> Vec<String> {
        let wants_prompt = self.switches.lock().offline_access_wants_prompt;
        request.granted_scope(client, wants_prompt)
    }

    pub(crate) fn refuses_assertion_typ(&self) -> bool {
        self.switches.lock().refuse_assertion_typ
    }

    pub(crate) fn assertion_audience(&self) -> AssertionAudience {
        self.switches.lock().assertion_audience
    }

    /// Whether a client's profile requires PKCE; without a profile it is required.
    pub(crate) fn requires_pkce(&self, client: &Client) -> bool {
        let dcr = self.dcr.lock();
        let profile = client
            .client_profile
            .as_ref()
            .and_then(|name| dcr.client_profiles.get(name));
        profile.is_none_or(|profile| profile.require_pkce)
    }
}
