//! The only link to Redis: it connects, reconnects, and decides which requests may be sent twice.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use parking_lot::Mutex;
use redis::{
    Cmd, RedisError, RedisResult, Value,
    aio::{PubSubSink, PubSubStream},
};

use super::{
    failure::{CallError, Trouble},
    options::RedisOptions,
    scripts::Call,
    servers::{RESPONSE_TIMEOUT, Servers, Wire},
};
use crate::{clock::SharedClock, retry::Backoff, session::measures::StoreMeasures};

/// A call that Redis cannot carry out at the moment is repeated so often, with [`PAUSES`] in between: for 2.5 seconds in
/// all, in which a slot or a primary has mostly found its place.
const TRIES: u32 = 7;

/// Without jitter, so that the time in all is known.
const PAUSES: Backoff = Backoff {
    first: Duration::from_millis(20),
    longest: Duration::from_secs(2),
};

/// A call that is given up this late was not: the process stood still meanwhile, and the answer may lie there.
const STOOD_STILL: Duration = RESPONSE_TIMEOUT.saturating_add(Duration::from_millis(500));

/// The way to Redis.
pub(super) struct Link {
    servers: Servers,
    current: Mutex<Option<Open>>,
    connecting: tokio::sync::Mutex<Option<RedisError>>,
    /// How often it was connected or tried.
    attempts: AtomicU64,
    losses: AtomicU64,
    measures: StoreMeasures,
    clock: SharedClock,
}

#[derive(Clone)]
struct Open {
    wire: Wire,
    /// Tells it from the connections before and after it.
    number: u64,
}

// === impl Link ===

impl Link {
    pub(super) fn new(options: RedisOptions, clock: SharedClock, measures: StoreMeasures) -> Self {
        Self {
            servers: Servers::new(options),
            current: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
            attempts: AtomicU64::new(0),
            losses: AtomicU64::new(0),
            measures,
            clock,
        }
    }

    pub(super) fn options(&self) -> &RedisOptions {
        self.servers.options()
    }

    /// Whether one connection may be lost while others continue.
    pub(super) fn is_to_several(&self) -> bool {
        self.servers.are_several()
    }

    /// How often a connection was lost, or turned out to lead to the wrong server, or data was lost. After an increase,
    /// Redis may have been restarted, or another server may have taken over.
    pub(super) fn losses(&self) -> u64 {
        self.losses.load(Ordering::SeqCst)
    }

    /// Redis has lost data although the connection still exists.
    pub(super) fn has_lost_something(&self) {
        self.losses.fetch_add(1, Ordering::SeqCst);
    }

    /// Runs a script: by its id, which is short, and where Redis does not know that, by its text.
    pub(super) async fn run(&self, call: &Call) -> Result<Value, CallError> {
        match self.deliver(&call.by_id()).await {
            Err(error) if Trouble::of(&error) == Trouble::NoScript => {
                Ok(self.deliver(&call.by_source()).await?)
            }
            answer => Ok(answer?),
        }
    }

    /// Sends a command that only reads, or may be carried out twice.
    pub(super) async fn send(&self, command: &Cmd) -> Result<Value, CallError> {
        Ok(self.deliver(command).await?)
    }

    /// The answer of every writable server.
    pub(super) async fn send_to_all(&self, command: &Cmd) -> RedisResult<Vec<Value>> {
        self.open().await?.wire.send_to_all(command).await
    }

    /// Sends a command once, and returns everything known about a failure.
    pub(super) async fn try_once(&self, command: &Cmd) -> RedisResult<Value> {
        self.open().await?.wire.send(command).await
    }

    /// A separate connection that receives a channel.
    pub(super) async fn listen(&self, channel: &str) -> RedisResult<(PubSubSink, PubSubStream)> {
        self.servers.listen(channel).await
    }

    async fn deliver(&self, command: &Cmd) -> RedisResult<Value> {
        let began = self.clock.stopwatch();
        let answer = self.deliver_unmeasured(command).await;
        self.measures
            .latency
            .took(self.clock.stopwatch().saturating_sub(began));
        // A script that Redis does not know yet is not a failure.
        if matches!(&answer, Err(error) if Trouble::of(error) != Trouble::NoScript) {
            self.measures.errors.count();
        }
        answer
    }

    /// Sends a request that only reads, or that recognises its second arrival. Sends it once more if the connection and
    /// with it the answer is lost, or if this process stood still meanwhile.
    async fn deliver_unmeasured(&self, command: &Cmd) -> RedisResult<Value> {
        let mut tries = 0;
        let mut is_repeated = false;
        loop {
            let mut open = self.open().await?;
            let sent = self.clock.stopwatch();
            let mut answer = open.wire.send(command).await;
            if let Err(error) = &answer
                && let Trouble::Ask(host, port) = Trouble::of(error)
            {
                answer = open.wire.send_asking(command, host, port).await;
            }
            let error = match answer {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            match Trouble::of(&error) {
                Trouble::NotNow | Trouble::Ask(..) => {}
                Trouble::NotHere => self.lose(&open),
                Trouble::Lost => {
                    self.lose_node(&open);
                    if is_repeated {
                        return Err(error);
                    }
                    is_repeated = true;
                    continue;
                }
                Trouble::Slow => {
                    self.lose(&open);
                    let took = self.clock.stopwatch().saturating_sub(sent);
                    if is_repeated || took < STOOD_STILL {
                        return Err(error);
                    }
                    is_repeated = true;
                    continue;
                }
                Trouble::NoScript | Trouble::Refused => return Err(error),
            }
            if tries == TRIES {
                return Err(error);
            }
            self.clock.sleep(PAUSES.pause(tries)).await;
            tries += 1;
        }
    }

    /// Forgets a connection that has been lost.
    fn lose_node(&self, open: &Open) {
        match &open.wire {
            Wire::Node(_) => self.lose(open),
            // It consists of several connections and reopens the lost one by itself; the others stay usable.
            Wire::Cluster(_) => self.has_lost_something(),
        }
    }

    /// Forgets a connection, unless another one has been made meanwhile.
    fn lose(&self, open: &Open) {
        let mut current = self.current.lock();
        if current
            .as_ref()
            .is_some_and(|current| current.number == open.number)
        {
            *current = None;
            self.losses.fetch_add(1, Ordering::SeqCst);
        }
    }

    async fn open(&self) -> RedisResult<Open> {
        if let Some(open) = self.current.lock().clone() {
            return Ok(open);
        }
        let seen = self.attempts.load(Ordering::SeqCst);
        let mut failed = self.connecting.lock().await;
        if let Some(open) = self.current.lock().clone() {
            return Ok(open);
        }
        // Callers that have waited for an attempt share its failure: a server that does not answer costs each caller
        // the time of one attempt, not that of all earlier ones.
        let number = self.attempts.load(Ordering::SeqCst);
        if let Some(error) = failed.as_ref().filter(|_| number != seen) {
            return Err(error.clone());
        }
        let connected = self.servers.connect().await;
        self.attempts.store(number + 1, Ordering::SeqCst);
        match connected {
            Ok(wire) => {
                let open = Open { wire, number };
                *self.current.lock() = Some(open.clone());
                *failed = None;
                Ok(open)
            }
            Err(error) => {
                *failed = Some(error.clone());
                Err(error)
            }
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("servers", &self.servers)
            .finish_non_exhaustive()
    }
}
