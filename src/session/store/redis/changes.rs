//! What other processes change, as Redis tells it on a connection of its own.

use std::{sync::Arc, time::Duration};

use futures_util::{
    FutureExt as _, StreamExt as _,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use redis::{
    Value,
    aio::{PubSubSink, PubSubStream},
};

use super::{Inner, failure::CallError, message::Told};
use crate::{
    clock::{SharedClock, timeout},
    session::Change,
};

/// How often it is made sure that the connection still leads somewhere.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// An answer that takes longer means that it does not. Changes are missed for three seconds at most.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

const FIRST_PAUSE: Duration = Duration::from_millis(100);

const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Follows the changes for as long as it is asked.
struct Follower {
    inner: Arc<Inner>,
    feed: Option<Feed>,
    /// Until the next attempt to connect.
    pause: Duration,
    /// Whether the operator knows that there is no connection.
    is_told: bool,
}

/// A connection that hears the channel.
struct Feed {
    messages: PubSubStream,
    sink: PubSubSink,
    /// Resolves when it is time to look after the connection: whether it is alive.
    check: BoxFuture<'static, bool>,
    /// What the link had lost when this began.
    losses: u64,
    is_buried: bool,
}

/// The changes, from now on and without an end.
pub(super) fn follow(inner: Arc<Inner>) -> BoxStream<'static, Change> {
    let follower = Follower {
        inner,
        feed: None,
        pause: FIRST_PAUSE,
        is_told: false,
    };
    stream::unfold(follower, async |mut follower| {
        Some((follower.next().await, follower))
    })
    .boxed()
}

fn check(clock: SharedClock, mut sink: PubSubSink) -> BoxFuture<'static, bool> {
    async move {
        clock.sleep(CHECK_EVERY).await;
        let answer = timeout(&*clock, ANSWER_WITHIN, sink.ping::<Value>()).await;
        matches!(answer, Ok(Ok(_)))
    }
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
                        return Change::Unknown;
                    }
                    Err(error) => self.wait(&error).await,
                }
                continue;
            };
            tokio::select! {
                message = feed.messages.next() => match message {
                    Some(message) => {
                        if let Some(change) = heard(&self.inner, message.get_payload_bytes()) {
                            return change;
                        }
                    }
                    None => return self.lose(),
                },
                is_alive = &mut feed.check => {
                    // Where calls have lost their connection, Redis may have been started anew, or this one may hear a
                    // server that is the primary no more.
                    if !is_alive || feed.losses != self.inner.link.losses() {
                        return self.lose();
                    }
                    feed.check = check(Arc::clone(&self.inner.clock), feed.sink.clone());
                    if !feed.is_buried {
                        feed.is_buried = bury(&self.inner).await;
                    }
                }
            }
        }
    }

    fn lose(&mut self) -> Change {
        self.feed = None;
        Change::Unknown
    }

    async fn connect(&mut self) -> Result<Feed, CallError> {
        let inner = &*self.inner;
        let losses = inner.link.losses();
        let channel = inner.names.channel();
        let connected = timeout(&*inner.clock, ANSWER_WITHIN, inner.link.listen(&channel)).await;
        let (sink, messages) = connected.map_err(|_| CallError::Slow)??;
        if self.is_told {
            tracing::info!("Redis tells of changes again");
        }
        self.is_told = false;
        self.pause = FIRST_PAUSE;
        // Before anybody is told to look again.
        let is_buried = bury(inner).await;
        Ok(Feed {
            messages,
            check: check(Arc::clone(&inner.clock), sink.clone()),
            sink,
            losses,
            is_buried,
        })
    }

    async fn wait(&mut self, error: &CallError) {
        if !self.is_told {
            self.is_told = true;
            tracing::warn!(
                %error,
                "Redis does not tell of changes; sessions that end elsewhere are noticed when they are used"
            );
        }
        self.inner.clock.sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }
}

/// What a message says. Remembers a session that has ended.
fn heard(inner: &Inner, message: &[u8]) -> Option<Change> {
    let told = Told::parse(message, &inner.process)?;
    if let Told::Ended(key, end) = told {
        inner.ended.note(key, end);
    }
    Some(told.into())
}

/// Ends again what has come back. Whether all of it is sure to have ended.
async fn bury(inner: &Inner) -> bool {
    match inner.bury().await {
        Ok(0) => true,
        Ok(sessions) => {
            tracing::warn!(
                sessions,
                "sessions that had ended were in Redis again, as after a restore or a failover, and have been ended again"
            );
            true
        }
        Err(_) => false,
    }
}
