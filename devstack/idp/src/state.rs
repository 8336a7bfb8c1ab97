//! The IdP's memory while it runs. Clients outlive it, and so does everything in [`Kept`].

use std::ops::{Deref, DerefMut};

use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};

use crate::{
    authorization_request::AuthorizationRequest, clients_file::Clients, expiring::Expiring, options::User,
    secret::Digest,
};

pub(crate) mod grants;
pub(crate) mod iats;
pub(crate) mod kept;

pub use kept::StateError;

use kept::Kept;

/// Everything behind one lock, which is never held across an await.
pub(crate) struct State {
    pub(crate) users: Vec<User>,
    pub(crate) clients: Clients,
    /// The state that survives a restart.
    pub(crate) kept: Kept,
    /// Used `jti` of client assertions.
    pub(crate) jtis: Expiring<String, ()>,
    /// Pushed authorization requests by `request_uri`.
    pub(crate) pushed: Expiring<String, AuthorizationRequest>,
    /// Logins in progress by the id in their form.
    pub(crate) interactions: Expiring<String, Interaction>,
}

/// The locked state. A change is in the file before the lock is released, and so before anybody learns of it.
pub(crate) struct Locked<'s>(MutexGuard<'s, State>);

/// A browser that has logged in here.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) sub: String,
    pub(crate) sid: String,
    pub(crate) auth_time: u64,
}

/// A page that waits for its form.
#[derive(Clone, Debug)]
pub(crate) struct Interaction {
    pub(crate) request: AuthorizationRequest,
    /// Digest of the cookie of the browser that opened the page: no other browser may send the form.
    pub(crate) browser: Digest,
    /// Who has logged in; `None` while the login form is open.
    pub(crate) session: Option<Session>,
    pub(crate) failures: u8,
    /// The name that was given with a wrong password.
    pub(crate) typed_name: Option<String>,
}

// === impl State ===

impl State {
    pub(crate) fn new(users: Vec<User>, clients: Clients, kept: Kept) -> Self {
        Self {
            users,
            clients,
            kept,
            jtis: Expiring::default(),
            pushed: Expiring::default(),
            interactions: Expiring::default(),
        }
    }

    pub(crate) fn user(&self, sub: &str) -> Option<&User> {
        self.users.iter().find(|user| user.sub == sub)
    }

    /// Whether the person has allowed the client all of these scopes before.
    pub(crate) fn has_consent(&self, sub: &str, client_id: &str, scopes: &[String]) -> bool {
        let clients = self.kept.consents.get(sub);
        clients
            .and_then(|clients| clients.get(client_id))
            .is_some_and(|given| scopes.iter().all(|scope| given.contains(scope)))
    }

    pub(crate) fn give_consent(&mut self, sub: &str, client_id: &str, scopes: &[String]) {
        let clients = self.kept.consents.entry(sub.to_owned()).or_default();
        clients
            .entry(client_id.to_owned())
            .or_default()
            .extend(scopes.iter().cloned());
    }

    /// All that a client has here ends with it.
    pub(crate) fn forget_client(&mut self, client_id: &str) {
        self.kept
            .grants
            .revoke_where(|grant| grant.client_id == client_id);
        for clients in self.kept.consents.values_mut() {
            clients.remove(client_id);
        }
    }
}

// === impl Locked ===

impl<'s> Locked<'s> {
    pub(crate) fn new(state: &'s Mutex<State>) -> Self {
        Self(state.lock())
    }
}

impl Deref for Locked<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.0
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.0
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.0.kept.write_changes();
    }
}
