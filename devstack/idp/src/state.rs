//! What the IdP remembers while it runs. Only clients outlive it.

use std::collections::{BTreeSet, HashMap};

use crate::{
    authorization_request::AuthorizationRequest, clients_file::Clients, expiring::Expiring, options::User,
    secret::Digest,
};

pub(crate) mod grants;
pub(crate) mod iats;

/// Everything behind one lock, which is never held across an await.
pub(crate) struct State {
    pub(crate) users: Vec<User>,
    pub(crate) clients: Clients,
    pub(crate) iats: iats::InitialAccessTokens,
    pub(crate) grants: grants::Grants,
    /// Used `jti` of client assertions.
    pub(crate) jtis: Expiring<String, ()>,
    /// Pushed authorization requests by `request_uri`.
    pub(crate) pushed: Expiring<String, AuthorizationRequest>,
    /// Logins in progress by the id in their form.
    pub(crate) interactions: Expiring<String, Interaction>,
    /// Sessions of browsers by the digest of their cookie.
    pub(crate) sessions: Expiring<Digest, Session>,
    /// Scopes that a person (`sub`) has allowed a client.
    pub(crate) consents: HashMap<(String, String), BTreeSet<String>>,
}

/// A browser that has logged in here.
#[derive(Clone, Debug)]
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
    pub(crate) fn new(users: Vec<User>, clients: Clients) -> Self {
        Self {
            users,
            clients,
            iats: iats::InitialAccessTokens::default(),
            grants: grants::Grants::default(),
            jtis: Expiring::default(),
            pushed: Expiring::default(),
            interactions: Expiring::default(),
            sessions: Expiring::default(),
            consents: HashMap::new(),
        }
    }

    pub(crate) fn user(&self, sub: &str) -> Option<&User> {
        self.users.iter().find(|user| user.sub == sub)
    }

    /// Whether the person has allowed the client all of these scopes before.
    pub(crate) fn has_consent(&self, sub: &str, client_id: &str, scopes: &[String]) -> bool {
        let key = (sub.to_owned(), client_id.to_owned());
        self.consents
            .get(&key)
            .is_some_and(|given| scopes.iter().all(|scope| given.contains(scope)))
    }

    pub(crate) fn give_consent(&mut self, sub: &str, client_id: &str, scopes: &[String]) {
        let key = (sub.to_owned(), client_id.to_owned());
        self.consents
            .entry(key)
            .or_default()
            .extend(scopes.iter().cloned());
    }

    /// All that a client has here ends with it.
    pub(crate) fn forget_client(&mut self, client_id: &str) {
        self.grants.revoke_where(|grant| grant.client_id == client_id);
        self.consents.retain(|(_, client), _| client != client_id);
    }
}
