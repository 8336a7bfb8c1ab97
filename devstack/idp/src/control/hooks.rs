//! Hooks: falsify the next answers of the IdP.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Map, Value};

/// An ID token, a logout token or an answer about a token before it is signed.
#[derive(Clone, Debug)]
pub struct IdTokenDraft {
    /// The JOSE header.
    pub header: Map<String, Value>,
    /// The claims.
    pub claims: Map<String, Value>,
    /// Its signing key.
    pub signer: Signer,
    /// Whether it answers a refresh; otherwise it answers a code.
    pub refreshed: bool,
}

/// The signing key of an ID token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signer {
    /// The IdP's key, even if the header names another.
    Normal,
    /// A key that is not the IdP's ([`Control::other_jwk`](crate::Control::other_jwk)), under the IdP's `kid`.
    OtherKeySameKid,
    /// A foreign key, whose public half is in the `jwk` header.
    EmbeddedJwk,
    /// Nothing: `alg` becomes `none` and the signature is empty.
    None,
    /// HMAC keyed with the IdP's public key in PEM: `alg` becomes `HS256`.
    Hs256WithPublicKey,
    /// HMAC keyed with the IdP's public JWK as published: `alg` becomes `HS256`.
    Hs256WithPublicJwk,
    /// HMAC keyed with this, for example the client id or secret: `alg` becomes `HS256`.
    Hs256WithSecret(Vec<u8>),
    /// The IdP's key, then one bit of the signature is turned.
    BrokenSignature,
}

/// An answer about a token before it is sent.
#[derive(Clone, Debug)]
pub struct Introspection {
    /// The token that was asked about.
    pub token: String,
    /// The answer.
    pub answer: Value,
}

/// A registration answer before it is sent.
#[derive(Clone, Debug)]
pub struct RegistrationAnswer {
    /// Status.
    pub status: u16,
    /// Body.
    pub body: Value,
}

type Hook<T> = Arc<dyn Fn(&mut T) + Send + Sync>;

/// The hooks that are set. Each runs on every occasion until it is cleared, a `next` only once.
#[derive(Default)]
pub(crate) struct Hooks {
    pub(crate) id_token: Slot<IdTokenDraft>,
    pub(crate) userinfo: Slot<Value>,
    pub(crate) token_response: Slot<Value>,
    pub(crate) authorize_response: Slot<Vec<(String, String)>>,
    pub(crate) discovery: Slot<Value>,
    pub(crate) registration: Slot<RegistrationAnswer>,
    pub(crate) jwks: Slot<Value>,
    pub(crate) logout_token: Slot<IdTokenDraft>,
    pub(crate) introspection: Slot<Introspection>,
    pub(crate) signed_introspection: Slot<IdTokenDraft>,
}

pub(crate) struct Slot<T> {
    hooks: Mutex<Set<T>>,
}

struct Set<T> {
    always: Option<Hook<T>>,
    next: Option<Hook<T>>,
}

// === impl Hooks ===

impl Hooks {
    pub(crate) fn clear(&self) {
        self.id_token.clear();
        self.introspection.clear();
        self.signed_introspection.clear();
        self.userinfo.clear();
        self.token_response.clear();
        self.authorize_response.clear();
        self.discovery.clear();
        self.registration.clear();
        self.jwks.clear();
        self.logout_token.clear();
    }
}

// === impl Slot ===

impl<T> Slot<T> {
    pub(crate) fn always(&self, hook: impl Fn(&mut T) + Send + Sync + 'static) {
        self.hooks.lock().always = Some(Arc::new(hook));
    }

    pub(crate) fn next(&self, hook: impl Fn(&mut T) + Send + Sync + 'static) {
        self.hooks.lock().next = Some(Arc::new(hook));
    }

    /// Runs the hooks, without the lock, so that they may use the control.
    pub(crate) fn apply(&self, value: &mut T) {
        let (always, next) = {
            let mut hooks = self.hooks.lock();
            (hooks.always.clone(), hooks.next.take())
        };
        for hook in always.into_iter().chain(next) {
            hook(value);
        }
    }

    fn clear(&self) {
        *self.hooks.lock() = Set::default();
    }
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self {
            hooks: Mutex::default(),
        }
    }
}

// === impl Set ===

impl<T> Default for Set<T> {
    fn default() -> Self {
        Self {
            always: None,
            next: None,
        }
    }
}
