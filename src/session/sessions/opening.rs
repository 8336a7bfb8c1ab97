//! The beginning of a session: room for it, its place in the store, and the sessions that end for it.
//!
//! The new session is stored first. Whatever goes wrong up to there costs the person nothing that they had.

use std::{collections::HashSet, sync::Arc};

use super::{
    super::{
        Due, EndReason, InsertError, NewSession, Session, SessionId, SessionKey, StoreError, Usage, Whose,
    },
    Sessions,
};
use crate::diagnostic::{Explain, Fix, Knob, fix};

/// A session that was opened.
#[derive(Debug)]
pub struct Opened {
    /// For the browser's cookie.
    pub id: SessionId,
    /// The store's name for it.
    pub key: SessionKey,
}

/// Why a session was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// As many sessions as `SESSION_MAX` allows.
    #[error("the session store is full: there are as many sessions as may be")]
    TooMany,
    /// As much memory as `SESSION_MEMORY_LIMIT` allows.
    #[error("the session store is full: sessions take as much memory as they may")]
    OutOfMemory,
    /// The id that was drawn is in use: the generator is broken.
    #[error("the session id that was drawn exists already")]
    Taken,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

// === impl OpenError ===

impl Explain for OpenError {
    fn fix(&self) -> Option<Fix> {
        match self {
            Self::TooMany => Some(fix!("raise {}, if there is memory for more", Knob::SessionMax)),
            Self::OutOfMemory => Some(fix!("raise {}, if there is memory for more", Knob::SessionMemory)),
            Self::Taken | Self::Store(_) => None,
        }
    }
}

// === impl Sessions ===

impl Sessions {
    /// Stores a new session, with the first due time of its tokens. It replaces the browser's old one, `replaces`. If
    /// the person then has more than [`Limits::max_per_user`](super::super::Limits::max_per_user), the oldest ones
    /// end, and before them those that have reached a limit.
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
        let place = inner.admission.enter(inner.store.cost(&session));
        let used = inner.store.usage().await?;
        if place.check(&inner.limits, used, Usage::default()).is_err() {
            let freed = self.freed_by(&session, replaces.as_ref()).await?;
            place.check(&inner.limits, used, freed)?;
        }
        let now = inner.clock.now();
        let (id, new) = NewSession::draw(&*inner.random, Arc::clone(&session), due, now);
        let key = new.key;
        inner.store.insert(new).await?;
        inner.measures.created.count();
        drop(place);
        // From here on the person is logged in. Sessions that cannot be ended now end at their limits.
        if let Err(error) = self.make_place(&key, &session, replaces).await {
            tracing::error!(
                session = %self.reference(&key),
                %error,
                "a login was completed, and sessions that should have ended for it did not"
            );
        }
        Ok(Opened { id, key })
    }

    /// The sessions that will end for the new one: the replaced one and the surplus ones.
    async fn freed_by(&self, session: &Session, replaces: Option<&SessionKey>) -> Result<Usage, StoreError> {
        let store = &self.inner.store;
        let mut theirs = store.find(Whose::person(session)).await?;
        let excess = (theirs.len() + 1).saturating_sub(self.inner.limits.max_per_user.max(1));
        theirs.sort_unstable();
        let crowded = theirs.iter().map(|listed| &listed.key).take(excess);
        let leaving: HashSet<&SessionKey> = crowded.chain(replaces).collect();
        let mut freed = Usage::default();
        for key in leaving {
            if let Some(stored) = store.get(key).await? {
                freed.sessions += 1;
                freed.memory += store.cost(&stored.session);
            }
        }
        Ok(freed)
    }

    /// Ends the sessions that the new one replaces or displaces.
    pub(super) async fn make_place(
        &self,
        new: &SessionKey,
        session: &Session,
        replaces: Option<SessionKey>,
    ) -> Result<(), StoreError> {
        if let Some(replaced) = replaces {
            self.end(&replaced, EndReason::Replaced).await?;
        }
        let inner = &*self.inner;
        let most = inner.limits.max_per_user.max(1);
        let whose = Whose::person(session);
        if inner.store.find(whose).await?.len() <= most {
            return Ok(());
        }
        let _alone = inner.admission.crowding.lock().await;
        if inner.store.get(new).await?.is_none() {
            // A simultaneous login has displaced this one, which needs no further room.
            return Ok(());
        }
        let mut others = Vec::new();
        for listed in inner.store.find(whose).await? {
            if listed.key == *new {
                continue;
            }
            let Some(stored) = inner.store.get(&listed.key).await? else {
                continue;
            };
            match self.over(&stored) {
                None => others.push(listed),
                Some(why) => {
                    self.end(&listed.key, why).await?;
                }
            }
        }
        let excess = (others.len() + 1).saturating_sub(most);
        others.sort_unstable();
        for listed in others.into_iter().take(excess) {
            self.end(&listed.key, EndReason::Crowded).await?;
        }
        Ok(())
    }
}

impl From<InsertError> for OpenError {
    fn from(error: InsertError) -> Self {
        match error {
            InsertError::Taken => Self::Taken,
            InsertError::Store(error) => Self::Store(error),
        }
    }
}
