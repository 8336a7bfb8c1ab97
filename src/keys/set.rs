//! The keys as they are at one moment.

use std::sync::Arc;

use super::{
    KeysError,
    document::{self, JwksDocument, Published},
};
use crate::jose::{Algorithm, SigningKey};

/// What signs and what is published.
pub(super) struct Set {
    pub(super) signing: Arc<SigningKey>,
    pub(super) published: Vec<Published>,
    pub(super) document: Arc<JwksDocument>,
}

// === impl Set ===

impl Set {
    /// `signing` signs; it and `others` are published. `algorithm` is what the configuration names.
    ///
    /// # Errors
    ///
    /// [`KeysError::DuplicateKid`] where two different keys have one kid.
    pub(super) fn new(
        signing: Arc<SigningKey>,
        others: Vec<Published>,
        algorithm: Option<Algorithm>,
    ) -> Result<Self, KeysError> {
        let published = document::arrange(Published::new(&signing, algorithm)?, others)?;
        let document = Arc::new(JwksDocument::new(&published));
        Ok(Self {
            signing,
            published,
            document,
        })
    }
}
