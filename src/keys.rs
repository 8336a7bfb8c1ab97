//! The `bff-keys` folder: the signing key and the JWK Set that is published.
//!
//! Published are the named signing key and the files that were named as extra keys; a file that merely lies in the
//! folder is not. The named key is made on a first start and never again: where anything shows that this BFF already
//! has an identity, a missing key is an error.

mod document;
mod generate;
mod keyring;
mod keyring_file;
mod pem;

use std::{
    fmt, fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Serialize;
use serde_json::Value;

use self::document::Published;
pub use self::{
    document::JwksDocument,
    generate::GenerateError,
    pem::{KeyProblem, UnusableKey, read_key},
};
use crate::{
    jose::{Algorithm, KeyType, SignError, SigningKey},
    secret::Secret,
};

/// More foreign files than this are not named one by one.
const MAX_NAMED_FILES: usize = 10;

/// What keys there are and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The PEM file of the signing key.
    pub signing_key: PathBuf,
    /// The key id of the signing key; its RFC 7638 thumbprint without one.
    pub kid: Option<String>,
    /// What is made where `signing_key` does not exist.
    pub generate: KeyKind,
    /// Further PEM files whose public halves are published.
    pub extra: Vec<PathBuf>,
    /// The keys folder, in which foreign PEM files are looked for.
    pub dir: PathBuf,
    /// Files that show that this BFF has an identity (`keyring.json`, `bff_client.json`): where one exists, no key is
    /// made.
    pub identity_markers: Vec<PathBuf>,
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

/// The signing key and what is published. Cheap to clone.
#[derive(Clone)]
pub struct Keys(Arc<Inner>);

struct Inner {
    signing: Arc<SigningKey>,
    published: Vec<Published>,
    document: Arc<JwksDocument>,
}

/// Why there are no usable keys.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The signing key cannot be used.
    #[error(transparent)]
    SigningKey(#[from] UnusableKey),
    /// The signing key does not exist and was not made.
    #[error(transparent)]
    Generate(#[from] GenerateError),
    /// Two different keys have one key id.
    #[error(
        "two different keys have the key id {0:?}: a verifier could not tell them apart. Give the signing key another \
         BFF_KID, or none (its thumbprint is used then)"
    )]
    DuplicateKid(String),
    /// The configured algorithm does not go with the signing key.
    #[error(
        "the signing key is of type {key_type:?}, which does not sign with {algorithm}: remove BFF_JWT_SIGNING_ALG, or \
         name a key that fits"
    )]
    Algorithm {
        /// What the key is.
        key_type: KeyType,
        /// What was asked for.
        algorithm: Algorithm,
    },
    /// The library cannot tell the public half of a key.
    #[error("the public half of a key cannot be told")]
    Publish,
}

/// Something an operator should know, although the keys work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// PEM files in the folder that are not published.
    #[error(
        "not published: {}, in the keys folder {dir:?} but not named; list them in BFF_JWKS_EXTRA_KEYS if they shall be, \
         or remove them",
        list(.files)
    )]
    ForeignFiles {
        /// The keys folder.
        dir: PathBuf,
        /// The names of the files, sorted.
        files: Vec<String>,
    },
    /// A private key that more than its owner can read.
    #[error("the private key {path:?} has mode {mode:04o}: others can read it; run `chmod 600 {}`", .path.display())]
    ReadableByOthers {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// An extra key that cannot be used and is not published.
    #[error("not published: {0}")]
    UnusableExtra(String),
}

fn list(files: &[String]) -> String {
    let named: Vec<String> = files
        .iter()
        .take(MAX_NAMED_FILES)
        .map(|name| format!("{name:?}"))
        .collect();
    let more = files.len() - named.len();
    let named = named.join(", ");
    if more == 0 {
        named
    } else {
        format!("{named} and {more} more")
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
    /// Reads the keys, and makes the signing key on a first start. Blocks; called once, before anything is bound.
    ///
    /// # Errors
    ///
    /// [`KeysError`]: the signing key is missing or unusable, or two keys have one id. An extra key that is unusable is
    /// only a warning.
    pub fn load(options: &Options) -> Result<(Self, Vec<Warning>), KeysError> {
        if generate::generate_if_new(&options.signing_key, options.generate, &options.identity_markers)? {
            tracing::info!(path = ?options.signing_key, kind = %options.generate, "made a new signing key");
        }
        let mut warnings = Vec::new();
        let pair = read_key(&options.signing_key)?;
        let signing = Arc::new(SigningKey::new(pair, options.kid.clone()).map_err(|_| KeysError::Publish)?);
        warnings.extend(readable_by_others(&options.signing_key));

        let mut others = Vec::new();
        for path in &options.extra {
            match read_key(path) {
                Ok(pair) => {
                    let key = SigningKey::new(pair, None).map_err(|_| KeysError::Publish)?;
                    others.push(Published::new(&key, None)?);
                    warnings.extend(readable_by_others(path));
                }
                Err(error) => warnings.push(Warning::UnusableExtra(error.to_string())),
            }
        }
        warnings.extend(foreign_files(options));

        let published = document::arrange(Published::new(&signing, None)?, others)?;
        Ok((Self::new(signing, published), warnings))
    }

    fn new(signing: Arc<SigningKey>, published: Vec<Published>) -> Self {
        let document = Arc::new(JwksDocument::new(&published));
        Self(Arc::new(Inner {
            signing,
            published,
            document,
        }))
    }

    /// The same keys, with `algorithm`, which the configuration names, as `alg` of the published signing key.
    ///
    /// # Errors
    ///
    /// [`KeysError::Algorithm`] where the signing key does not do it.
    pub fn with_algorithm(&self, algorithm: Algorithm) -> Result<Self, KeysError> {
        let signing = self.signing();
        if !signing.algorithms().contains(&algorithm) {
            return Err(KeysError::Algorithm {
                key_type: signing.key_type(),
                algorithm,
            });
        }
        let mut published = self.0.published.clone();
        if let Some(first) = published.first_mut() {
            *first = Published::new(&signing, Some(algorithm))?;
        }
        Ok(Self::new(signing, published))
    }

    /// The key that signs.
    #[must_use]
    pub fn signing(&self) -> Arc<SigningKey> {
        Arc::clone(&self.0.signing)
    }

    /// The JWK Set as it is served.
    #[must_use]
    pub fn document(&self) -> Arc<JwksDocument> {
        Arc::clone(&self.0.document)
    }

    /// The JWK Set as a value, for the inline `jwks` of a registration (RFC 7591 section 2).
    #[must_use]
    pub fn public_jwks(&self) -> Value {
        document::set(&self.0.published)
    }

    /// Whether a key called `kid` is published.
    #[must_use]
    pub fn is_published(&self, kid: &str) -> bool {
        self.0.published.iter().any(|key| key.kid == kid)
    }

    /// A JWT with `claims`, signed with the signing key. An RSA signature takes a millisecond of CPU and would hold up
    /// the requests of an async worker, so it runs on a blocking thread.
    ///
    /// # Errors
    ///
    /// [`SignError`] of the key.
    pub async fn sign(
        &self,
        algorithm: Algorithm,
        typ: &'static str,
        claims: impl Serialize + Send + 'static,
    ) -> Result<Secret, SignError> {
        let signing = self.signing();
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
        let kids: Vec<&str> = self.0.published.iter().map(|key| key.kid.as_str()).collect();
        f.debug_struct("Keys")
            .field("signing", &self.0.signing)
            .field("published", &kids)
            .finish()
    }
}

fn readable_by_others(path: &Path) -> Option<Warning> {
    let mode = path.metadata().ok()?.permissions().mode() & 0o7777;
    (mode & 0o077 != 0).then(|| Warning::ReadableByOthers {
        path: path.to_owned(),
        mode,
    })
}

/// PEM files that lie in the keys folder but were not named. They are never opened.
fn foreign_files(options: &Options) -> Option<Warning> {
    let canonical = |path: &PathBuf| path.canonicalize().ok();
    let named: Vec<PathBuf> = std::iter::once(&options.signing_key)
        .chain(&options.extra)
        .filter_map(canonical)
        .collect();
    let mut files: Vec<String> = fs::read_dir(&options.dir)
        .ok()?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| looks_like_a_key(path))
        .filter(|path| !canonical(path).is_some_and(|path| named.contains(&path)))
        .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .collect();
    files.sort_unstable();
    (!files.is_empty()).then(|| Warning::ForeignFiles {
        dir: options.dir.clone(),
        files,
    })
}

fn looks_like_a_key(path: &Path) -> bool {
    path.extension().is_some_and(|extension| {
        ["pem", "key"]
            .iter()
            .any(|known| extension.eq_ignore_ascii_case(known))
    })
}

#[cfg(test)]
mod tests;
