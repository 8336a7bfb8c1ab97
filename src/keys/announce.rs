//! Announces a key to the IdP before it may sign.

use std::fmt::Debug;

use futures_util::future::BoxFuture;

use crate::{
    diagnostic::{Explain, Explained, Fix, Knob, fix},
    jose::{Algorithm, SigningKey},
};

/// Announces the published keys to the IdP if publishing them is not enough (inline `jwks`), and knows the registered
/// algorithm of the client.
pub trait Announce: Debug + Send + Sync {
    /// Returns `Ok` once the IdP knows all published keys, or will fetch them by itself; with a `candidate`, only if
    /// that key may sign next.
    ///
    /// # Errors
    ///
    /// [`AnnounceError`]: the candidate must not sign yet. The keeper asks again later.
    fn announce<'a>(&'a self, candidate: Option<&'a SigningKey>) -> BoxFuture<'a, Result<(), AnnounceError>>;
}

/// Why a key must not sign yet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnnounceError {
    /// There is no client yet, or the server stops.
    #[error("there is no registered client yet")]
    NotYet,
    /// The client is registered with an algorithm that the key does not do.
    #[error(
        "the key {kid} cannot sign with {registered}, the algorithm that the client is registered with at the IdP"
    )]
    Algorithm {
        /// The key.
        kid: String,
        /// The registered algorithm.
        registered: Algorithm,
    },
    /// Another replica does not have the key, or does not answer.
    #[error("not every replica is known to publish the key {kid}: {cause}")]
    Peers {
        /// The key.
        kid: String,
        /// Which one, or why it is not known.
        cause: String,
    },
    /// The IdP does not have the keys.
    #[error("the keys could not be registered at the IdP: {0}")]
    Registration(Explained),
}

// === impl AnnounceError ===

impl AnnounceError {
    /// The IdP does not have the keys because of `cause`.
    pub fn by(cause: &impl Explain) -> Self {
        Self::Registration(Explained::of(cause))
    }
}

impl Explain for AnnounceError {
    fn fix(&self) -> Option<Fix> {
        match self {
            Self::NotYet => None,
            Self::Algorithm { kid, .. } => Some(fix!(
                "set {} to a type that can, retire this key with `bff keys retire {}` and make another one; or change the type of \
                 key on purpose: `bff keys rotate --now` makes it sign at once, and the registration follows (docs/keys.md says \
                 what that costs)",
                Knob::KeyType,
                kid.clone()
            )),
            Self::Peers { .. } => Some(fix!("mount its PEM on all of them, in {}", Knob::KeysFolder)),
            Self::Registration(cause) => cause.fix(),
        }
    }
}

/// Whether `candidate` can sign as the client is registered.
///
/// # Errors
///
/// [`AnnounceError::Algorithm`].
pub fn may_sign(candidate: &SigningKey, registered: Algorithm) -> Result<(), AnnounceError> {
    if candidate.algorithms().contains(&registered) {
        return Ok(());
    }
    Err(AnnounceError::Algorithm {
        kid: candidate.kid().to_owned(),
        registered,
    })
}
