//! The news about a session for observers that do not use it: the open pages of its browser.

use std::time::Duration;

use super::{
    super::{EndReason, Lifespan, SessionKey, StoreError, Stored, Watch},
    Sessions,
};
use crate::clock::Timestamp;

/// The time before the end of a session at which observers are warned; a quarter of the idle limit if that is less.
const SAY_BEFORE: Duration = Duration::from_mins(2);

/// After the warning, the store is asked at this interval whether another process has used the session. Processes
/// tell each other of writes, and a use is not a write.
const ASK_WHETHER_USED: Duration = Duration::from_secs(30);

/// The pause after which the store is asked again if it did not answer.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// The delay after which an absent session counts as ended without a known reason: the reason may be on its way.
const WAIT_FOR_THE_REASON: Duration = Duration::from_secs(1);

/// Something that has become of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewsItem {
    /// Its tokens were renewed, or its end has moved.
    Renewed(Outlook),
    /// It will end soon, unless it is used or the IdP extends it.
    Expiring(Outlook),
    /// It has ended. With the reason, where this process knows it. The last item.
    Ended(Option<EndReason>),
}

/// The remaining life of a session and of its access token if nothing happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// When the session ends.
    pub ends_at: Timestamp,
    /// The limit that it reaches then: [`EndReason::Idle`], which moves when it is used, or [`EndReason::Lifetime`].
    pub limit: EndReason,
    /// When its access token was obtained.
    pub access_obtained_at: Timestamp,
    /// When its access token expires.
    pub access_expires_at: Timestamp,
}

/// The news of one session, from a state on that is known already.
#[derive(Debug)]
pub struct News {
    sessions: Sessions,
    key: SessionKey,
    watch: Watch,
    /// The end of the session and the time of its tokens, in the last news.
    known: (Timestamp, Timestamp),
    /// Whether the observer was warned of the end.
    warned: bool,
    /// Since when the session is absent without a known reason.
    gone_since: Option<Timestamp>,
}

// === impl Sessions ===

impl Sessions {
    /// The remaining life of the session if nothing happens.
    #[must_use]
    pub fn outlook(&self, stored: &Stored) -> Outlook {
        Outlook::of(self.lifespan(), stored)
    }

    /// The news of a session from the moment on at which it was to end at `known.0`, with tokens of `known.1`.
    #[must_use]
    pub fn news(&self, key: &SessionKey, known: (Timestamp, Timestamp)) -> News {
        News {
            sessions: self.clone(),
            key: *key,
            watch: self.watch(key),
            known,
            warned: false,
            gone_since: None,
        }
    }

    /// Why the session no longer exists, as far as this process knows. Also `None` if it exists.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store does not answer.
    pub async fn why_ended(&self, key: &SessionKey) -> Result<Option<EndReason>, StoreError> {
        let lately = self.inner.lately.get(key, self.inner.clock.now());
        if lately.is_some() {
            return Ok(lately);
        }
        // Beyond a limit, and not tidied up yet.
        let stored = self.inner.store.get(key).await?;
        Ok(stored.and_then(|stored| self.over(&stored)))
    }
}

// === impl Outlook ===

impl Outlook {
    fn of(lifespan: &Lifespan, stored: &Stored) -> Self {
        let session = &stored.session;
        let ends_at = lifespan.end_of(session, stored.last_seen);
        let limit = if ends_at < lifespan.absolute_end_of(session) {
            EndReason::Idle
        } else {
            EndReason::Lifetime
        };
        Self {
            ends_at,
            limit,
            access_obtained_at: session.tokens.access_obtained_at,
            access_expires_at: session.tokens.access_expires_at,
        }
    }

    /// The part that distinguishes one state from another.
    #[must_use]
    pub const fn mark(&self) -> (Timestamp, Timestamp) {
        (self.ends_at, self.access_obtained_at)
    }
}

// === impl News ===

impl News {
    /// The next item. Nothing is lost if a caller stops waiting.
    pub async fn next(&mut self) -> NewsItem {
        loop {
            let (item, look_again) = self.look().await;
            if let Some(item) = item {
                return item;
            }
            tokio::select! {
                () = self.watch.changed() => {}
                () = self.sessions.inner.clock.sleep_until(look_again) => {}
            }
        }
    }

    /// The present news, or the latest time of the next look.
    async fn look(&mut self) -> (Option<NewsItem>, Timestamp) {
        let now = self.sessions.inner.clock.now();
        let news = |item| (Some(item), now);
        if let Some(why) = self.watch.ended() {
            return news(NewsItem::Ended(why));
        }
        let Ok(found) = self.find(now).await else {
            // While the store does not answer, the session counts as alive.
            return (None, now.saturating_add(ASK_AGAIN));
        };
        let Some(stored) = found else {
            let told_at = self
                .gone_since
                .get_or_insert(now)
                .saturating_add(WAIT_FOR_THE_REASON);
            return match self.watch.ended() {
                Some(why) => news(NewsItem::Ended(why)),
                None if told_at <= now => news(NewsItem::Ended(None)),
                None => (None, told_at),
            };
        };
        if let Some(why) = self.sessions.over(&stored) {
            return news(NewsItem::Ended(Some(why)));
        }
        let outlook = self.sessions.outlook(&stored);
        if outlook.mark() != self.known {
            self.known = outlook.mark();
            self.warned = false;
            return news(NewsItem::Renewed(outlook));
        }
        let warn_at = outlook.ends_at.saturating_sub(self.say_before());
        if now < warn_at {
            return (None, warn_at);
        }
        if !self.warned {
            self.warned = true;
            return news(NewsItem::Expiring(outlook));
        }
        (None, now.saturating_add(ASK_WHETHER_USED).min(outlook.ends_at))
    }

    /// The session; including its uses in other processes if it would end soon without them.
    async fn find(&self, now: Timestamp) -> Result<Option<Stored>, StoreError> {
        let store = &self.sessions.inner.store;
        let stored = store.get(&self.key).await?;
        let seems_to_end = |stored: &Stored| {
            let outlook = self.sessions.outlook(stored);
            outlook.limit == EndReason::Idle && outlook.ends_at.saturating_sub(self.say_before()) <= now
        };
        match stored {
            Some(stored) if seems_to_end(&stored) => store.get_newest(&self.key).await,
            stored => Ok(stored),
        }
    }

    fn say_before(&self) -> Duration {
        SAY_BEFORE.min(self.sessions.lifespan().idle / 4)
    }
}

#[cfg(test)]
mod tests;
