//! The keys as they are at one moment.

use std::sync::Arc;

use super::{
    KeysError,
    document::{self, JwksDocument, Published},
};
use crate::jose::{Algorithm, SigningKey};

/// What signs and what is published.
pub(super) struct KeySnapshot {
    pub(super) signing: Arc<SigningKey>,
    /// The key that will sign, for what the present one cannot do.
    pub(super) coming: Option<Arc<SigningKey>>,
    pub(super) published: Vec<Published>,
    pub(super) document: Arc<JwksDocument>,
}

// === impl KeySnapshot ===

impl KeySnapshot {
    /// `signing` signs, and `coming` what that one cannot; `signing` and `others` are published. `algorithm` is what the configuration names.
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

    /// The key that signs with `algorithm`: the one that signs now, or where that cannot, the one that will. A client whose
    /// IdP takes nothing of the former has nothing to lose by a key that was not published long enough.
    pub(super) fn signing_with(&self, algorithm: Algorithm) -> Option<&Arc<SigningKey>> {
        let can = |key: &&Arc<SigningKey>| key.algorithms().contains(&algorithm);
        std::iter::once(&self.signing).chain(&self.coming).find(can)
    }
}
