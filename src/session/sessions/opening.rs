//! The beginning of a session: room for it, its place in the store, and what ends for it.
//!
//! The new session is stored first. Whatever goes wrong up to there costs the person nothing that they had.

use std::sync::Arc;

use super::{
    super::{
        Due, EndReason, InsertError, Listed, NewSession, Session, SessionId, SessionKey, StoreError, Usage,
        Whose,
    },
    Sessions,
};

/// A session that was opened.
#[derive(Debug)]
pub struct Opened {
    /// For the browser's cookie.
    pub id: SessionId,
    /// What the store calls it.
    pub key: SessionKey,
}

/// Why a session was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// As many sessions as `SESSION_MAX` allows.
    #[error("the session store is full: SESSION_MAX is reached")]
    TooMany,
    /// As much memory as `SESSION_MEMORY_LIMIT` allows.
    #[error("the session store is full: SESSION_MEMORY_LIMIT is reached")]
    OutOfMemory,
    /// The id that was drawn is in use: the generator is broken.
    #[error("the session id that was drawn exists already")]
    Taken,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

// === impl Sessions ===

impl Sessions {
    /// Stores a new session, with the time at which its tokens are due first. It takes the place of the browser's old
    /// one, `replaces`; where the person has more than [`Limits::max_per_user`](super::super::Limits::max_per_user)
    /// then, the oldest end, those before that have reached a limit.
    ///
    /// # Errors
    ///
    /// [`OpenError`]. Nobody's session has ended then.
    pub async fn open(
        &self,
        session: Session,
        due: Due,
        replaces: Option<SessionKey>,
    ) -> Result<Opened, OpenError> {
        let inner = &*self.inner;
        let session = Arc::new(session);
        let used = inner.store.usage().await?;
        let weight = session.weight();
        let freed = self.freed_by(&session, weight, used, replaces.as_ref()).await?;
        let room = inner.admission.enter(&inner.limits, used, freed, weight)?;
        let now = inner.clock.now();
        let (id, new) = NewSession::draw(&*inner.random, Arc::clone(&session), due, now);
        let key = new.key;
        inner.store.insert(new).await?;
        drop(room);
        // From here on the person is logged in; what cannot be tidied up now ends at its limits.
        if let Err(error) = self.make_place(&key, &session, replaces).await {
            tracing::error!(
                session = %self.reference(&key),
                %error,
                "a login was completed, and sessions that should have ended for it did not"
            );
        }
        Ok(Opened { id, key })
    }

    /// What ends for the new session, as far as it is needed to know whether there is room: nothing where there is
    /// plenty.
    async fn freed_by(
        &self,
        session: &Session,
        weight: usize,
        used: Usage,
        replaces: Option<&SessionKey>,
    ) -> Result<Usage, StoreError> {
        let limits = &self.inner.limits;
        let mut freed = Usage::default();
        // Some logins may be under way beside this one.
        let is_tight = used.sessions.saturating_mul(2) >= limits.max
            || used.memory.saturating_mul(2).saturating_add(weight) >= limits.memory;
        if !is_tight {
            return Ok(freed);
        }
        let theirs = self.inner.store.find(Whose::person(session)).await?;
        let excess = (theirs.len() + 1).saturating_sub(limits.max_per_user.max(1));
        let crowded = oldest_first(theirs)
            .into_iter()
            .map(|listed| listed.key)
            .take(excess);
        let mut leaving: Vec<SessionKey> = crowded.collect();
        leaving.extend(
            replaces
                .filter(|replaced| !leaving.contains(replaced))
                .copied()
                .as_slice(),
        );
        for key in &leaving {
            if let Some(stored) = self.inner.store.get(key).await? {
                freed.sessions += 1;
                freed.memory += stored.session.weight();
            }
        }
        Ok(freed)
    }

    /// Ends what the new session replaces and crowds out.
    async fn make_place(
        &self,
        new: &SessionKey,
        session: &Session,
        replaces: Option<SessionKey>,
    ) -> Result<(), StoreError> {
        if let Some(replaced) = replaces {
            self.end(&replaced, EndReason::Replaced).await?;
        }
        let most = self.inner.limits.max_per_user.max(1);
        let theirs = self.inner.store.find(Whose::person(session)).await?;
        if theirs.len() <= most {
            return Ok(());
        }
        let new = Listed {
            created_at: session.created_at,
            key: *new,
        };
        let mut alive = Vec::new();
        for listed in oldest_first(theirs) {
            let Some(stored) = self.inner.store.get(&listed.key).await? else {
                continue;
            };
            match self.over(&stored) {
                None => alive.push(listed),
                Some(why) => {
                    self.end(&listed.key, why).await?;
                }
            }
        }
        let excess = alive.len().saturating_sub(most);
        // Never a newer one: of two logins at a time, each would end the other.
        for listed in alive.into_iter().filter(|listed| *listed < new).take(excess) {
            self.end(&listed.key, EndReason::Crowded).await?;
        }
        Ok(())
    }
}

fn oldest_first(mut listed: Vec<Listed>) -> Vec<Listed> {
    listed.sort_unstable();
    listed
}

impl From<InsertError> for OpenError {
    fn from(error: InsertError) -> Self {
        match error {
            InsertError::Taken => Self::Taken,
            InsertError::Store(error) => Self::Store(error),
        }
    }
}
