//! The sessions of a person, for the person and for the operator.

use super::{
    super::{SessionKey, SessionRef, StoreError, Stored, Whose},
    Sessions,
};

/// A session that has not ended.
#[derive(Clone, Debug)]
pub struct Found {
    /// What the store calls it.
    pub key: SessionKey,
    /// The session.
    pub stored: Stored,
}

// === impl Sessions ===

impl Sessions {
    /// The sessions of a person or of a login at the IdP that have not ended, the one that was used last first.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where the store does not answer.
    pub async fn all_of(&self, whose: Whose<'_>) -> Result<Vec<Found>, StoreError> {
        let mut all = Vec::new();
        for listed in self.inner.store.find(whose).await? {
            if let Some(stored) = self.get(&listed.key).await? {
                let key = listed.key;
                all.push(Found { key, stored });
            }
        }
        all.sort_unstable_by_key(|found| std::cmp::Reverse((found.stored.last_seen, found.key)));
        Ok(all)
    }

    /// The session among those of a person or of a login at the IdP that `reference` names.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where the store does not answer.
    pub async fn named(&self, whose: Whose<'_>, reference: &str) -> Result<Option<SessionKey>, StoreError> {
        for listed in self.inner.store.find(whose).await? {
            if SessionRef::names(&self.inner.sealer, &listed.key, reference)
                && self.get(&listed.key).await?.is_some()
            {
                return Ok(Some(listed.key));
            }
        }
        Ok(None)
    }
}
