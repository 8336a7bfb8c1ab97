//! The sessions of a person, for the person and for the operator.

use super::{
    super::{Part, SessionKey, SessionRef, StoreError, Stored, Usage, Whose},
    Sessions,
};

/// A session that has not ended.
#[derive(Clone, Debug)]
pub struct Found {
    /// The store's name for it.
    pub key: SessionKey,
    /// The session.
    pub stored: Stored,
}

// === impl Sessions ===

impl Sessions {
    /// The living sessions of a person or of a login at the IdP, the most recently used one first.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store does not answer.
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

    /// All sessions of a part that have not ended, in any order.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store does not answer.
    pub async fn all_in(&self, part: Part) -> Result<Vec<Found>, StoreError> {
        let mut all = Vec::new();
        for key in self.inner.store.part(part).await? {
            if let Some(stored) = self.get(&key).await? {
                all.push(Found { key, stored });
            }
        }
        Ok(all)
    }

    /// The session that `reference` names, among all of them.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store does not answer.
    pub async fn by_reference(&self, reference: &str) -> Result<Option<SessionKey>, StoreError> {
        for part in Part::all() {
            let keys = self.inner.store.part(part).await?;
            let sealer = &self.inner.sealer;
            let named = keys
                .into_iter()
                .find(|key| SessionRef::names(sealer, key, reference));
            if named.is_some() {
                return Ok(named);
            }
        }
        Ok(None)
    }

    /// How much is stored.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store does not answer.
    pub async fn usage(&self) -> Result<Usage, StoreError> {
        self.inner.store.usage().await
    }

    /// The session among those of a person or of a login at the IdP that `reference` names.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store does not answer.
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
