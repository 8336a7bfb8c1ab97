//! Rehearses faults: records requests, breaks endpoints, falsifies answers, changes the IdP's state.

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Value};

use crate::{
    client::Client,
    keys::{KeyError, KeyRing},
    options::DcrConfig,
    provider::{AssertionAudience, Provider, UpdateMethod},
    random,
};

pub(crate) mod endpoint;
pub(crate) mod fault;
pub(crate) mod hooks;
mod logouts;
pub(crate) mod recorded;

pub use endpoint::Endpoint;
pub use fault::Fault;
pub use hooks::{IdTokenDraft, Introspection, RegistrationAnswer, Signer};
pub use logouts::LogoutTokenError;
pub use recorded::{Recorded, RecordedBody};

/// The hand of a test inside a running IdP. Cheap to clone.
#[derive(Clone)]
pub struct Control {
    pub(crate) provider: Arc<Provider>,
}

/// An initial access token to be minted.
#[derive(Clone, Debug)]
pub struct MintIat {
    /// Its audience.
    pub label: String,
    /// Its lifetime.
    pub expires_in: Duration,
    /// How many registrations it allows.
    pub max_uses: u32,
}

/// Why a client could not be changed by hand.
#[derive(Debug, thiserror::Error)]
pub enum MutateError {
    /// No such client.
    #[error("no client has this id")]
    Unknown,
    /// The result of the change is not a client.
    #[error("the change does not leave a client: {0}")]
    Invalid(#[from] serde_json::Error),
    /// `clients.yaml` could not be written.
    #[error(transparent)]
    Store(#[from] crate::clients_file::StoreError),
}

// === impl MintIat ===

impl Default for MintIat {
    fn default() -> Self {
        Self {
            label: "test".to_owned(),
            expires_in: Duration::from_hours(2),
            max_uses: 1,
        }
    }
}

/// The recorded requests.
impl Control {
    /// The requests that an endpoint has seen (the last 2,000), the faulty ones too.
    #[must_use]
    pub fn requests(&self, endpoint: Endpoint) -> Vec<Recorded> {
        self.provider.log.requests(endpoint)
    }

    /// How many requests an endpoint has seen.
    #[must_use]
    pub fn count(&self, endpoint: Endpoint) -> usize {
        self.provider.log.count(endpoint)
    }

    /// Forgets all requests.
    pub fn clear_requests(&self) {
        self.provider.log.clear();
    }
}

/// Faults.
impl Control {
    /// The next request to the endpoint meets the fault; several calls queue up.
    pub fn fail_next(&self, endpoint: Endpoint, fault: Fault) {
        self.provider.faults.next(endpoint, fault);
    }

    /// Every request to the endpoint meets the fault, until it is healed.
    pub fn fail_always(&self, endpoint: Endpoint, fault: Fault) {
        self.provider.faults.always(endpoint, fault);
    }

    /// Ends all faults of the endpoint; requests that hang are processed now.
    pub fn heal(&self, endpoint: Endpoint) {
        self.provider.faults.heal(endpoint);
    }

    /// Ends all faults.
    pub fn heal_all(&self) {
        self.provider.faults.heal_all();
    }
}

/// Hooks. Each replaces the previous one.
impl Control {
    /// Changes every ID token before it is signed.
    pub fn on_id_token(&self, hook: impl Fn(&mut IdTokenDraft) + Send + Sync + 'static) {
        self.provider.hooks.id_token.always(hook);
    }

    /// Changes the next ID token only.
    pub fn on_next_id_token(&self, hook: impl Fn(&mut IdTokenDraft) + Send + Sync + 'static) {
        self.provider.hooks.id_token.next(hook);
    }

    /// Changes every answer of the UserInfo endpoint.
    pub fn on_userinfo(&self, hook: impl Fn(&mut Value) + Send + Sync + 'static) {
        self.provider.hooks.userinfo.always(hook);
    }

    /// Changes every successful answer of the token endpoint.
    pub fn on_token_response(&self, hook: impl Fn(&mut Value) + Send + Sync + 'static) {
        self.provider.hooks.token_response.always(hook);
    }

    /// Changes the next successful answer of the token endpoint only.
    pub fn on_next_token_response(&self, hook: impl Fn(&mut Value) + Send + Sync + 'static) {
        self.provider.hooks.token_response.next(hook);
    }

    /// Changes the parameters with which browsers are sent back, with a code or an error.
    pub fn on_authorize_response(&self, hook: impl Fn(&mut Vec<(String, String)>) + Send + Sync + 'static) {
        self.provider.hooks.authorize_response.always(hook);
    }

    /// Changes the metadata document.
    pub fn on_discovery(&self, hook: impl Fn(&mut Value) + Send + Sync + 'static) {
        self.provider.hooks.discovery.always(hook);
    }

    /// Changes every answer with JSON of registration and its management, errors too.
    pub fn on_registration_response(&self, hook: impl Fn(&mut RegistrationAnswer) + Send + Sync + 'static) {
        self.provider.hooks.registration.always(hook);
    }

    /// Changes the IdP's JWK Set.
    pub fn on_jwks(&self, hook: impl Fn(&mut Value) + Send + Sync + 'static) {
        self.provider.hooks.jwks.always(hook);
    }

    /// Changes every logout token before it is signed.
    pub fn on_logout_token(&self, hook: impl Fn(&mut IdTokenDraft) + Send + Sync + 'static) {
        self.provider.hooks.logout_token.always(hook);
    }

    /// Changes every answer about a token.
    pub fn on_introspection(&self, hook: impl Fn(&mut Introspection) + Send + Sync + 'static) {
        self.provider.hooks.introspection.always(hook);
    }

    /// Changes every signed answer about a token before it is signed.
    pub fn on_signed_introspection(&self, hook: impl Fn(&mut IdTokenDraft) + Send + Sync + 'static) {
        self.provider.hooks.signed_introspection.always(hook);
    }

    /// Removes all hooks.
    pub fn clear_hooks(&self) {
        self.provider.hooks.clear();
    }
}

/// Keys.
impl Control {
    /// New signing keys. The ones before stay published until the next rotation.
    ///
    /// # Errors
    ///
    /// If no key can be generated.
    pub fn rotate_keys(&self) -> Result<(), KeyError> {
        let fresh = KeyRing::generate()?;
        self.provider.state().kept.keys.rotate(fresh);
        Ok(())
    }

    /// Publishes only the keys that sign now.
    pub fn drop_previous_keys(&self) {
        self.provider.state().kept.keys.drop_previous();
    }

    /// `kid` of the RSA key that signs now.
    #[must_use]
    pub fn signing_kid(&self) -> String {
        self.provider.keys(KeyRing::rsa).kid.clone()
    }

    /// The public JWK of the key behind [`Signer::OtherKeySameKid`].
    ///
    /// # Errors
    ///
    /// If no key can be generated.
    pub fn other_jwk(&self) -> Result<Value, KeyError> {
        self.provider.other_key().map(|key| key.public_jwk())
    }

    /// Forgets the keys that were fetched from clients' `jwks_uri`.
    pub fn forget_client_keys(&self) {
        self.provider.key_source().forget();
    }

    /// Signs claims with the IdP's RSA key: for tokens that no endpoint issues, such as logout tokens, or an access
    /// token of a test's own making.
    ///
    /// # Errors
    ///
    /// If the key does not sign.
    pub fn sign(&self, typ: &str, claims: &Map<String, Value>) -> Result<String, KeyError> {
        let key = self.provider.keys(KeyRing::rsa);
        key.sign(&key.header(typ), claims)
    }
}

/// Tokens of other clients.
impl Control {
    /// An access token with these claims (RFC 9068), as if a client had obtained it: it is live until its `exp`, and can be
    /// exchanged.
    ///
    /// # Errors
    ///
    /// If the key does not sign.
    pub fn issue(&self, claims: &Map<String, Value>) -> Result<String, KeyError> {
        let token = self.sign("at+jwt", claims)?;
        let number = |name: &str| claims.get(name).and_then(Value::as_u64).unwrap_or_default();
        let jti = claims.get("jti").and_then(Value::as_str).unwrap_or_default();
        let now = self.provider.now();
        let mut state = self.provider.state();
        state.kept.grants.note_access(jti, "", number("exp"), now);
        Ok(token)
    }
}

/// Switches: where good IdPs differ.
impl Control {
    /// Whether keys fetched from a `jwks_uri` are kept for five minutes even where an assertion names an unknown one. Off
    /// at first.
    pub fn keep_client_keys(&self, on: bool) {
        self.provider.key_source().keep(on);
    }

    /// Whether every update of a registration answers with a new registration access token. Off at first.
    pub fn rotate_rat_on_update(&self, on: bool) {
        self.provider
            .switch(|switches| switches.rotate_rat_on_update = on);
    }

    /// Whether a refresh answers with a new refresh token and ends the old one. On at first.
    pub fn rotate_refresh_tokens(&self, on: bool) {
        self.provider
            .switch(|switches| switches.rotate_refresh_tokens = on);
    }

    /// Whether refresh tokens are issued at all, even for correct requests. On at first.
    pub fn issue_refresh_tokens(&self, on: bool) {
        self.provider
            .switch(|switches| switches.issue_refresh_tokens = on);
    }

    /// Whether `offline_access` is granted only if the request has `prompt=consent` (OpenID Connect Core 1.0 section
    /// 11). Off at first: an earlier consent to it is enough, which the section allows.
    pub fn offline_access_wants_prompt(&self, on: bool) {
        self.provider
            .switch(|switches| switches.offline_access_wants_prompt = on);
    }

    /// Whether a refresh answers with an ID token. On at first.
    pub fn id_token_on_refresh(&self, on: bool) {
        self.provider.switch(|switches| switches.id_token_on_refresh = on);
    }

    /// Whether `jwks_uri` is fetched while a client registers, and has to answer. Off at first.
    pub fn fetch_jwks_at_registration(&self, on: bool) {
        self.provider
            .switch(|switches| switches.fetch_jwks_at_registration = on);
    }

    /// Whether updates are `PUT` (at first) or `PATCH`; the other one gets 405.
    pub fn update_method(&self, method: UpdateMethod) {
        self.provider.switch(|switches| switches.update_method = method);
    }

    /// Which audience of client assertions is accepted. Any at first.
    pub fn require_assertion_audience(&self, audience: AssertionAudience) {
        self.provider
            .switch(|switches| switches.assertion_audience = audience);
    }

    /// Whether client assertions with a `typ` other than `JWT` are refused. Off at first.
    pub fn refuse_assertion_typ(&self, on: bool) {
        self.provider
            .switch(|switches| switches.refuse_assertion_typ = on);
    }

    /// Life of access tokens from now on.
    pub fn set_access_token_lifetime(&self, lifetime: Duration) {
        self.provider
            .switch(|switches| switches.access_token_lifetime = lifetime);
    }

    /// Life of grants, and so of refresh tokens, from now on.
    pub fn set_refresh_token_lifetime(&self, lifetime: Duration) {
        self.provider
            .switch(|switches| switches.refresh_token_lifetime = lifetime);
    }

    /// Life of ID tokens from now on.
    pub fn set_id_token_lifetime(&self, lifetime: Duration) {
        self.provider
            .switch(|switches| switches.id_token_lifetime = lifetime);
    }

    /// Changes policy and profiles, as an operator does with `dcr_config.yaml` and a restart.
    pub fn change_dcr(&self, change: impl FnOnce(&mut DcrConfig)) {
        self.provider.change_dcr(change);
    }
}

/// People.
impl Control {
    /// Ends the person's sessions at the IdP: the next login requires the password again. Tokens stay valid.
    pub fn revoke_session(&self, sub: &str) {
        self.provider
            .state()
            .kept
            .sessions
            .retain(|session| session.sub != sub);
    }

    /// Revokes all grants of the person: refresh tokens and access tokens.
    pub fn revoke_refresh_tokens(&self, sub: &str) {
        self.provider
            .state()
            .kept
            .grants
            .revoke_where(|grant| grant.sub == sub);
    }

    /// The roles of the person from the next token on. `false` if no person has this `sub`.
    #[must_use]
    pub fn set_roles(&self, sub: &str, roles: &[&str]) -> bool {
        let mut state = self.provider.state();
        let user = state.users.iter_mut().find(|user| user.sub == sub);
        let found = user.map(|user| user.roles = roles.iter().map(ToString::to_string).collect());
        found.is_some()
    }

    /// Removes the person: no further login and no further token.
    pub fn remove_user(&self, sub: &str) {
        self.revoke_session(sub);
        self.provider.state().users.retain(|user| user.sub != sub);
    }

    /// Forgets the consents of all people: the next login asks again.
    pub fn forget_consents(&self) {
        self.provider.state().kept.consents.clear();
    }

    /// How many refresh tokens of the person could be used now.
    #[must_use]
    pub fn issued_refresh_tokens_live(&self, sub: &str) -> usize {
        self.provider
            .state()
            .kept
            .grants
            .live_refresh_tokens(sub, self.provider.now())
    }

    /// Whether this refresh token could be used now.
    #[must_use]
    pub fn is_refresh_token_live(&self, token: &str) -> bool {
        self.provider
            .state()
            .kept
            .grants
            .is_refresh_live(token, self.provider.now())
    }
}

/// Clients.
impl Control {
    /// Mints an initial access token, as the admin API does.
    #[must_use]
    pub fn mint_iat(&self, mint: MintIat) -> String {
        let token = random::token();
        let now = self.provider.now();
        let expires_at = now.saturating_add(mint.expires_in.as_secs());
        self.provider
            .state()
            .kept
            .iats
            .add(&token, mint.label, expires_at, mint.max_uses, now);
        token
    }

    /// The registered metadata of a client, in the form of a registration answer.
    #[must_use]
    pub fn registered_client(&self, client_id: &str) -> Option<Value> {
        self.provider
            .client(client_id)
            .map(|client| Value::Object(client.wire()))
    }

    /// Ids of all registered clients.
    #[must_use]
    pub fn client_ids(&self) -> Vec<String> {
        self.provider.state().clients.ids()
    }

    /// Removes a client by hand, with all its tokens. Whether it was there.
    ///
    /// # Errors
    ///
    /// If `clients.yaml` cannot be written.
    pub fn remove_client(&self, client_id: &str) -> Result<bool, crate::clients_file::StoreError> {
        let mut state = self.provider.state();
        state.forget_client(client_id);
        state.clients.remove(client_id)
    }

    /// Changes a client by hand, as in an editor; the members are those of `clients.yaml`.
    ///
    /// # Errors
    ///
    /// If there is no such client, or the result is not a client.
    pub fn mutate_client(&self, client_id: &str, change: impl FnOnce(&mut Value)) -> Result<(), MutateError> {
        let mut state = self.provider.state();
        let client = state.clients.get(client_id).ok_or(MutateError::Unknown)?;
        let mut value = serde_json::to_value(client)?;
        change(&mut value);
        let client: Client = serde_json::from_value(value)?;
        if client.client_id != client_id {
            state.clients.remove(client_id)?;
        }
        Ok(state.clients.insert(client)?)
    }
}
