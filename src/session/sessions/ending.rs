//! The end of sessions, whatever ends them.

use std::{error::Error, sync::Arc};

use super::{
    super::{EndReason, Ended, Session, SessionKey, StoreError, Whose},
    Sessions,
};

// === impl Sessions ===

impl Sessions {
    /// Ends the session and returns its last state; `None` if it had ended before. Logs the end and notifies its
    /// watchers and all listeners. One listener revokes the tokens as [`EndReason::revocation`] says.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store does not answer. The session may still exist then.
    pub async fn end(&self, key: &SessionKey, why: EndReason) -> Result<Option<Arc<Session>>, StoreError> {
        self.end_because(key, why, None).await
    }

    /// Like [`end`](Self::end), with the error that ends it for the log.
    ///
    /// # Errors
    ///
    /// [`StoreError`], as of [`end`](Self::end).
    pub async fn end_because(
        &self,
        key: &SessionKey,
        why: EndReason,
        error: Option<&(dyn Error + Send + Sync + 'static)>,
    ) -> Result<Option<Arc<Session>>, StoreError> {
        let Some(session) = self.inner.store.remove(key, why).await? else {
            return Ok(None);
        };
        tracing::info!(
            session = %self.reference(key),
            reason = why.as_str(),
            error = error.map(|error| error as &(dyn Error + 'static)),
            "the session has ended"
        );
        self.inner.measures.ended(why);
        self.tell_end(key, why);
        let ended = Ended {
            key: *key,
            session,
            why,
        };
        // A listener may call the sessions, so none is called under the lock.
        let listeners = self.inner.listeners.read().clone();
        for listener in listeners {
            listener.ended(self, &ended);
        }
        Ok(Some(ended.session))
    }

    /// Ends all sessions of a person or of a login at the IdP, and returns how many those were.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store does not answer. Some of the sessions may still exist then.
    pub async fn end_all(&self, whose: Whose<'_>, why: EndReason) -> Result<usize, StoreError> {
        let mut ended = 0;
        for listed in self.inner.store.find(whose).await? {
            ended += usize::from(self.end(&listed.key, why).await?.is_some());
        }
        Ok(ended)
    }

    /// Ends those sessions of a person or of a login at the IdP for which `which` is true, and returns their number.
    /// `which` may only read fields that never change during the life of a session.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store does not answer. Some of the sessions may still exist then.
    pub async fn end_those(
        &self,
        whose: Whose<'_>,
        why: EndReason,
        which: impl Fn(&Session) -> bool + Send,
    ) -> Result<usize, StoreError> {
        let mut ended = 0;
        for listed in self.inner.store.find(whose).await? {
            let stored = self.inner.store.get(&listed.key).await?;
            if stored.is_some_and(|stored| which(&stored.session)) {
                ended += usize::from(self.end(&listed.key, why).await?.is_some());
            }
        }
        Ok(ended)
    }

    /// Whether a person or a login at the IdP has a session that has not ended.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store does not answer.
    pub async fn has_any(&self, whose: Whose<'_>) -> Result<bool, StoreError> {
        for listed in self.inner.store.find(whose).await? {
            if self.get(&listed.key).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Ends up to `limit` sessions that have reached a limit. Whether there may be more.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store does not answer.
    pub async fn sweep(&self, limit: usize) -> Result<bool, StoreError> {
        let overdue = self.inner.store.overdue(limit).await?;
        for key in &overdue {
            if let Some(stored) = self.inner.store.get(key).await?
                && let Some(why) = self.over(&stored)
            {
                self.end(key, why).await?;
            }
        }
        Ok(overdue.len() >= limit)
    }
}
