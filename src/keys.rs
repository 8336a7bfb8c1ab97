//! The `bff-keys` folder: the signing key and the JWK Set that is published.
//!
//! `keyring.json` says which key signs and which ones are published before and after that ([`Keyring`]). The files
//! named as extra keys are published beside them. Any other file in the folder is not. The server makes the named key
//! only on a first start: if anything shows that this BFF already has an identity, a missing key is an error.
//!
//! [`Keys`] is a handle on the present keys; the [`Keeper`] changes them, in a server continuously.

mod announce;
mod document;
mod folder;
mod form;
mod generate;
mod keeper;
mod keyring;
mod keyring_file;
mod keyring_store;
mod leftovers;
mod pem;
mod snapshot;
mod warning;

use std::{collections::BTreeSet, fmt, path::PathBuf, sync::Arc};

use parking_lot::RwLock;
use serde::Serialize;
use serde_json::Value;

use self::snapshot::KeySnapshot;
pub use self::{
    announce::{Announce, AnnounceError, may_sign},
    document::JwksDocument,
    form::Form,
    generate::{GenerateError, generate_if_new},
    keeper::{ByHandError, Done, Keeper, OtherKey, Rotation, moment},
    keyring::{Entry, KeyName, Keyring, Policy, Seen, State, Step, Upcoming, Why},
    keyring_file::KeyringError,
    keyring_store::{KeyringLock, KeyringStore, Stamp},
    pem::{KeyProblem, UnusableKey, read_key},
    warning::Warning,
};
use crate::{
    diagnostic::{Explain, Fix, Knob, fix},
    jose::{Algorithm, KeyType, SignError, SigningKey},
    private_file::{Exposed, Guard},
    secret::Secret,
};

/// The keys and their files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The PEM file of the signing key.
    pub signing_key: PathBuf,
    /// The key id of the signing key; its RFC 7638 thumbprint without one.
    pub kid: Option<String>,
    /// The kind of the key that is made if `signing_key` does not exist.
    pub generate: KeyKind,
    /// Further PEM files whose public halves are published.
    pub extra: Vec<PathBuf>,
    /// The keys folder, which is searched for foreign PEM files.
    pub dir: PathBuf,
    /// Files that show that this BFF has an identity (`keyring.json`, `bff_client.json`): if one exists, no key is
    /// made.
    pub identity_markers: Vec<PathBuf>,
    /// The policy for files and folders that others can use.
    pub guard: Guard,
}

/// The type of a key that is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA, 2048 bits.
    #[default]
    Rsa2048,
    /// RSA, 3072 bits.
    Rsa3072,
    /// P-256.
    P256,
    /// Ed25519.
    Ed25519,
}

/// The present signing key and published keys. Cheap to clone; clones share changes.
#[derive(Clone)]
pub struct Keys(Arc<RwLock<Arc<KeySnapshot>>>);

/// Why there are no usable keys.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The signing key cannot be used.
    #[error(transparent)]
    SigningKey(#[from] UnusableKey),
    /// The signing key does not exist and was not made.
    #[error(transparent)]
    Generate(#[from] GenerateError),
    /// Others can put files into the keys folder or the state folder.
    #[error("{path:?}: {exposed}")]
    Exposed {
        /// A file in the folder, or the folder.
        path: PathBuf,
        /// The exposure to others.
        exposed: Exposed,
    },
    /// Two different keys have one key id.
    #[error("two different keys have the key id {0:?}: a verifier could not tell them apart")]
    DuplicateKid(String),
    /// The configured algorithm does not go with the signing key.
    #[error("the signing key is of type {}, which does not sign with {algorithm}", .key_type.name())]
    Algorithm {
        /// The type of the key.
        key_type: KeyType,
        /// The requested algorithm.
        algorithm: Algorithm,
    },
    /// The keyring cannot be used.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// No key of the keyring can sign.
    #[error(
        "the private key {kid} that signs is lost: {path:?} holds another key, and neither the next nor a previous key of \
         {keyring:?} can be read"
    )]
    Lost {
        /// The key that signed.
        kid: String,
        /// The place of the search.
        path: PathBuf,
        /// The keyring.
        keyring: PathBuf,
        /// Key id in the named file. Read-only commands report it but never activate it.
        named: Option<String>,
    },
    /// The library cannot compute the public half of a key.
    #[error("the public half of a key cannot be told")]
    Publish,
}

// === impl KeysError ===

impl Explain for KeysError {
    fn fix(&self) -> Option<Fix> {
        Some(match self {
            Self::SigningKey(error) => return error.fix(),
            Self::Generate(error) => return error.fix(),
            Self::Keyring(error) => return error.fix(),
            Self::Exposed { exposed, .. } => return exposed.fix(),
            Self::DuplicateKid(_) => fix!(
                "give the signing key another {}, or none (its thumbprint is used then); or take the other one out of {}",
                Knob::KeyId,
                Knob::ExtraKeys
            ),
            Self::Algorithm { .. } => fix!(
                "remove {}, or let {} name a key that fits (docs/keys.md, another type of key)",
                Knob::SigningAlgorithm,
                Knob::SigningKey
            ),
            Self::Lost {
                path,
                named: Some(named),
                ..
            } => fix!(
                "restore {} from a backup; or start the server, which then lets {}, the key that {} names, sign at once",
                format!("{path:?}"),
                named.clone(),
                Knob::SigningKey
            ),
            Self::Lost {
                path, named: None, ..
            } => fix!(
                "restore {} from a backup; or name another key in {}, which then signs at once",
                format!("{path:?}"),
                Knob::SigningKey
            ),
            Self::Publish => return None,
        })
    }
}

// === impl KeyKind ===

impl KeyKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Rsa2048, Self::Rsa3072, Self::P256, Self::Ed25519];

    /// The name in `BFF_KEY_TYPE`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rsa2048 => "rsa-2048",
            Self::Rsa3072 => "rsa-3072",
            Self::P256 => "p-256",
            Self::Ed25519 => "ed25519",
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

// === impl Keys ===

impl Keys {
    /// Keys like those of a first start, kept only in memory: for a read-only command before the first start.
    ///
    /// # Errors
    ///
    /// [`KeysError`] of the library.
    pub fn throwaway(kind: KeyKind) -> Result<Self, KeysError> {
        let failed = |_| GenerateError::Library(kind);
        let text = generate::make(kind).map_err(failed)?;
        let pair = pem::parse(text.as_bytes()).map_err(|_| KeysError::Publish)?;
        let signing = Arc::new(SigningKey::new(pair, None).map_err(|_| KeysError::Publish)?);
        Ok(Self::new(KeySnapshot::new(signing, None, Vec::new(), None)?))
    }

    /// One key alone, in memory: to see what the IdP makes of it.
    ///
    /// # Errors
    ///
    /// [`KeysError`] of the library.
    pub fn alone(key: SigningKey) -> Result<Self, KeysError> {
        Ok(Self::new(KeySnapshot::new(
            Arc::new(key),
            None,
            Vec::new(),
            None,
        )?))
    }

    fn new(snapshot: KeySnapshot) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(snapshot))))
    }

    fn current(&self) -> Arc<KeySnapshot> {
        Arc::clone(&self.0.read())
    }

    fn put(&self, snapshot: KeySnapshot) {
        *self.0.write() = Arc::new(snapshot);
    }

    /// The key that signs now.
    #[must_use]
    pub fn signing(&self) -> Arc<SigningKey> {
        Arc::clone(&self.0.read().signing)
    }

    /// The key that will sign, if there is one: the next one of the keyring, or the named one if the keyring does not
    /// know it yet.
    #[must_use]
    pub fn coming(&self) -> Option<Arc<SigningKey>> {
        self.0.read().coming.clone()
    }

    /// The key that signs with `algorithm`: the one that [signs now](Self::signing), or otherwise the one that
    /// [will](Self::coming). `None` if neither can.
    #[must_use]
    pub fn signing_with(&self, algorithm: Algorithm) -> Option<Arc<SigningKey>> {
        self.0.read().signing_with(algorithm).map(Arc::clone)
    }

    /// The served JWK Set.
    #[must_use]
    pub fn document(&self) -> Arc<JwksDocument> {
        Arc::clone(&self.0.read().document)
    }

    /// The JWK Set as a value, for the inline `jwks` of a registration (RFC 7591 section 2).
    #[must_use]
    pub fn public_jwks(&self) -> Value {
        document::set(&self.0.read().published)
    }

    /// Whether a key called `kid` is published.
    #[must_use]
    pub fn is_published(&self, kid: &str) -> bool {
        self.0.read().published.iter().any(|key| key.kid == kid)
    }

    /// RFC 7638 thumbprint of the key that signs now.
    #[must_use]
    pub fn signing_thumbprint(&self) -> String {
        self.0.read().signing.thumbprint().unwrap_or_default()
    }

    /// RFC 7638 thumbprints of the keys that are published.
    #[must_use]
    pub fn thumbprints(&self) -> BTreeSet<String> {
        let set = self.0.read();
        set.published.iter().map(|key| key.thumbprint.clone()).collect()
    }

    /// A JWT with `claims`, signed with the [key](Self::signing_with) for `algorithm`. An RSA signature takes a
    /// millisecond of CPU and would delay the requests of an async worker, so it runs on a blocking thread.
    ///
    /// # Errors
    ///
    /// [`SignError`] of the key.
    pub async fn sign(
        &self,
        algorithm: Algorithm,
        typ: impl Into<Option<&'static str>>,
        claims: impl Serialize + Send + 'static,
    ) -> Result<Secret, SignError> {
        let signing = self.signing_with(algorithm).unwrap_or_else(|| self.signing());
        let typ = typ.into();
        if !signing.is_slow() {
            return signing.sign(algorithm, typ, &claims);
        }
        tokio::task::spawn_blocking(move || signing.sign(algorithm, typ, &claims))
            .await
            .unwrap_or(Err(SignError::Operation))
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = self.current();
        let kids: Vec<&str> = set.published.iter().map(|key| key.kid.as_str()).collect();
        f.debug_struct("Keys")
            .field("signing", &set.signing)
            .field("published", &kids)
            .finish()
    }
}

fn make_first(options: &Options) -> Result<(), GenerateError> {
    if generate::generate_if_new(&options.signing_key, options.generate, &options.identity_markers)? {
        tracing::info!(path = ?options.signing_key, kind = %options.generate, "made a new signing key");
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
