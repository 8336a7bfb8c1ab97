//! A snapshot of the keys.

use std::sync::Arc;

use super::{
    KeysError,
    document::{self, JwksDocument, Published},
};
use crate::jose::{Algorithm, SigningKey};

/// The signing key and the published keys.
pub(super) struct KeySnapshot {
    pub(super) signing: Arc<SigningKey>,
    /// The key that will sign; it already does for algorithms that the present one lacks.
    pub(super) coming: Option<Arc<SigningKey>>,
    pub(super) published: Vec<Published>,
    pub(super) document: Arc<JwksDocument>,
}

// === impl KeySnapshot ===

impl KeySnapshot {
    /// `signing` signs, and `coming` signs with algorithms that `signing` lacks; `signing` and `others` are
    /// published. `algorithm` is the configured one.
    ///
    /// # Errors
    ///
    /// [`KeysError::DuplicateKid`] if two different keys have one kid.
    pub(super) fn new(
        signing: Arc<SigningKey>,
        coming: Option<Arc<SigningKey>>,
        others: Vec<Published>,
        algorithm: Option<Algorithm>,
    ) -> Result<Self, KeysError> {
        let published = document::arrange(Published::new(&signing, algorithm)?, others)?;
        let document = Arc::new(JwksDocument::new(&published));
        Ok(Self {
            signing,
            coming,
            published,
            document,
        })
    }

    /// The key that signs with `algorithm`: the present one, or otherwise the coming one. If the IdP accepts no
    /// signature of the present key, the client loses nothing by a key that was published too briefly.
    pub(super) fn signing_with(&self, algorithm: Algorithm) -> Option<&Arc<SigningKey>> {
        let can = |key: &&Arc<SigningKey>| key.algorithms().contains(&algorithm);
        std::iter::once(&self.signing).chain(&self.coming).find(can)
    }
}
