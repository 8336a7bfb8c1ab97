//! The changes of other processes, which Redis sends on a separate connection.

use std::{sync::Arc, time::Duration};

use futures_util::{
    FutureExt as _, StreamExt as _,
    future::{self, BoxFuture},
    stream::{self, BoxStream},
};
use redis::{
    Msg, Value,
    aio::{PubSubSink, PubSubStream},
};

use super::{Inner, failure::CallError, message::Told};
use crate::{
    clock::{SharedClock, timeout},
    retry::Backoff,
    session::Change,
};

/// How often it is made sure that the connection still leads somewhere.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// An answer that takes longer means that it does not. Changes are missed unnoticed for two seconds at most.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// A successful check means that all changes have arrived, until the answer to the next check is overdue.
const IN_TOUCH: Duration = CHECK_EVERY.saturating_add(ANSWER_WITHIN);

/// Between attempts to connect.
const PAUSES: Backoff = Backoff {
    first: Duration::from_millis(100),
    longest: Duration::from_secs(5),
};

/// Follows the changes as long as the stream is polled.
struct Follower {
    inner: Arc<Inner>,
    feed: Option<Feed>,
    /// How many attempts to connect have failed in a row.
    failures: u32,
    /// Whether the lost connection was logged.
    is_told: bool,
}

/// A connection that hears the channel.
struct Feed {
    messages: PubSubStream,
    sink: PubSubSink,
    /// Resolves when it is time to check whether the connection is alive.
    check: BoxFuture<'static, bool>,
    /// Runs beside it: ends restored sessions again. Returns whether all of them are certain to have ended.
    burial: Option<BoxFuture<'static, bool>>,
    is_buried: bool,
    /// The link's number of losses at the last check.
    losses: u64,
    /// Whether nothing has been lost between two looks.
    is_calm: bool,
}

/// An event of a feed.
enum Event {
    Message(Option<Msg>),
    Checked(bool),
    Buried(bool),
}

/// The changes, from now on and without an end.
pub(super) fn follow(inner: Arc<Inner>) -> BoxStream<'static, Change> {
    let follower = Follower {
        inner,
        feed: None,
        failures: 0,
        is_told: false,
    };
    stream::unfold(follower, async |mut follower| {
        Some((follower.next().await, follower))
    })
    .boxed()
}

// === impl Follower ===

impl Follower {
    async fn next(&mut self) -> Change {
        loop {
            let Some(feed) = &mut self.feed else {
                match self.connect().await {
                    Ok(feed) => {
                        self.feed = Some(feed);
                        return Change::Heard;
                    }
                    Err(error) => self.wait(&error).await,
                }
                continue;
            };
            let change = match feed.next().await {
                Event::Message(Some(message)) => heard(&self.inner, message.get_payload_bytes()),
                Event::Checked(true) => feed.look_after(&self.inner),
                Event::Message(None) | Event::Checked(false) => Some(self.lose()),
                Event::Buried(is_buried) => {
                    feed.burial = None;
                    feed.is_buried = is_buried;
                    None
                }
            };
            if let Some(change) = change {
                return change;
            }
            // If calls have lost their connection, this one may listen to a server that is no longer the primary.
            if self
                .feed
                .as_ref()
                .is_some_and(|feed| feed.is_elsewhere(&self.inner))
            {
                return self.lose();
            }
        }
    }

    fn lose(&mut self) -> Change {
        self.feed = None;
        Change::Lost
    }

    async fn connect(&mut self) -> Result<Feed, CallError> {
        let inner = &*self.inner;
        let losses = inner.link.losses();
        let channel = inner.names.channel();
        let connected = timeout(&*inner.clock, ANSWER_WITHIN, inner.link.listen(&channel)).await;
        let (sink, messages) = connected.map_err(|_| CallError::Slow)??;
        if self.is_told {
            tracing::info!("Redis sends changes again");
        }
        self.is_told = false;
        self.failures = 0;
        inner.touch.holds_for(IN_TOUCH, inner.clock.now());
        Ok(Feed {
            messages,
            check: check(Arc::clone(&inner.clock), sink.clone()),
            burial: Some(bury(Arc::clone(&self.inner))),
            is_buried: false,
            sink,
            losses,
            is_calm: true,
        })
    }

    async fn wait(&mut self, error: &CallError) {
        if !self.is_told {
            self.is_told = true;
            tracing::warn!(
                %error,
                "Redis sends no changes; sessions that end elsewhere are noticed at their next use"
            );
        }
        let pause = PAUSES.jittered(self.failures, &*self.inner.random);
        self.failures = self.failures.saturating_add(1);
        self.inner.clock.sleep(pause).await;
    }
}

// === impl Feed ===

impl Feed {
    async fn next(&mut self) -> Event {
        tokio::select! {
            message = self.messages.next() => Event::Message(message),
            is_alive = &mut self.check => Event::Checked(is_alive),
            is_buried = or_never(self.burial.as_mut()) => Event::Buried(is_buried),
        }
    }

    /// The regular work of each second.
    fn look_after(&mut self, inner: &Arc<Inner>) -> Option<Change> {
        inner.touch.holds_for(IN_TOUCH, inner.clock.now());
        self.check = check(Arc::clone(&inner.clock), self.sink.clone());
        let losses = inner.link.losses();
        let was_calm = std::mem::replace(&mut self.is_calm, losses == self.losses);
        if inner.link.is_to_several() {
            self.losses = losses;
        }
        if !self.is_calm {
            return None;
        }
        if !was_calm || !self.is_buried && self.burial.is_none() {
            self.is_buried = false;
            self.burial = Some(bury(Arc::clone(inner)));
        }
        // A node was lost, and is back or was replaced. The new one may not know the last changes.
        (!was_calm).then_some(Change::Heard)
    }

    fn is_elsewhere(&self, inner: &Inner) -> bool {
        !inner.link.is_to_several() && self.losses != inner.link.losses()
    }
}

async fn or_never(burial: Option<&mut BoxFuture<'static, bool>>) -> bool {
    match burial {
        Some(burial) => burial.await,
        None => future::pending().await,
    }
}

fn check(clock: SharedClock, mut sink: PubSubSink) -> BoxFuture<'static, bool> {
    async move {
        clock.sleep(CHECK_EVERY).await;
        let answer = timeout(&*clock, ANSWER_WITHIN, sink.ping::<Value>()).await;
        matches!(answer, Ok(Ok(_)))
    }
    .boxed()
}

/// The unknown part of a message. Remembers an ended session.
fn heard(inner: &Inner, message: &[u8]) -> Option<Change> {
    let (process, told) = Told::parse(message)?;
    if process == inner.process && !inner.unsure.take(told.key()) {
        return None;
    }
    if let Told::Ended(key, end) = told {
        inner.ended.note(key, end);
    }
    Some(told.into())
}

/// Ends restored sessions again.
fn bury(inner: Arc<Inner>) -> BoxFuture<'static, bool> {
    async move {
        let back = inner.bury().await;
        if let Ok(sessions @ 1..) = back {
            tracing::warn!(
                sessions,
                "ended sessions were in Redis again, as after a restore or a failover; they were ended again"
            );
        }
        back.is_ok()
    }
    .boxed()
}
