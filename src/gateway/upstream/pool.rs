//! The connections to a service that wait for their next call.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;

use super::{http1::Http1, http2::Http2};
use crate::clock::{SharedClock, Timestamp};

/// The most unused connections to one service. Further ones are closed after their call.
const MAX_IDLE: usize = 1024;

/// How often connections are looked at that the service may have closed.
const LOOK: Duration = Duration::from_secs(5);

/// Connections that wait, the one that was used last at the end.
pub(super) struct Pool {
    waiting: Mutex<Waiting>,
    keep_idle: Duration,
    clock: SharedClock,
}

#[derive(Default)]
struct Waiting {
    http1: Vec<(Box<Http1>, Timestamp)>,
    /// One carries all calls.
    http2: Option<(Http2, Timestamp)>,
    /// A task looks at them.
    is_watched: bool,
}

// === impl Pool ===

impl Pool {
    pub(super) fn new(keep_idle: Duration, clock: &SharedClock) -> Arc<Self> {
        Arc::new(Self {
            waiting: Mutex::default(),
            keep_idle,
            clock: Arc::clone(clock),
        })
    }

    /// The connection that was used last. It finds out whether it still lives before it writes a request, and gives the
    /// request back otherwise.
    pub(super) fn take(&self) -> Option<Box<Http1>> {
        let (connection, _) = self.waiting.lock().http1.pop()?;
        Some(connection)
    }

    /// Keeps a connection for the next call.
    pub(super) fn keep(self: &Arc<Self>, connection: Box<Http1>) {
        let now = self.clock.now();
        let mut waiting = self.waiting.lock();
        if waiting.http1.len() < MAX_IDLE {
            waiting.http1.push((connection, now));
        }
        self.watch(&mut waiting);
    }

    /// The HTTP/2 connection, if one lives.
    pub(super) fn shared(&self) -> Option<Http2> {
        let mut waiting = self.waiting.lock();
        let (connection, used) = waiting.http2.as_mut()?;
        if connection.is_alive() {
            *used = self.clock.now();
            return Some(connection.clone());
        }
        waiting.http2 = None;
        None
    }

    /// Gives further calls another HTTP/2 connection. Those under way keep theirs.
    pub(super) fn forget_shared(&self) {
        self.waiting.lock().http2 = None;
    }

    /// Keeps an HTTP/2 connection for all further calls.
    pub(super) fn share(self: &Arc<Self>, connection: Http2) {
        let now = self.clock.now();
        let mut waiting = self.waiting.lock();
        waiting.http2 = Some((connection, now));
        self.watch(&mut waiting);
    }

    /// Starts the task that closes what is not used, and ends when nothing is left.
    fn watch(self: &Arc<Self>, waiting: &mut Waiting) {
        if std::mem::replace(&mut waiting.is_watched, true) {
            return;
        }
        let pool = Arc::downgrade(self);
        let clock = Arc::clone(&self.clock);
        tokio::spawn(async move {
            loop {
                clock.sleep_until(clock.now().saturating_add(LOOK)).await;
                let Some(pool) = pool.upgrade() else { return };
                if !pool.look() {
                    return;
                }
            }
        });
    }

    /// Whether a connection is left.
    fn look(&self) -> bool {
        let now = self.clock.now();
        let is_fresh = |used: Timestamp| now.duration_since(used) < self.keep_idle;
        let mut waiting = self.waiting.lock();
        waiting
            .http1
            .retain_mut(|(connection, used)| is_fresh(*used) && connection.is_alive());
        if waiting
            .http2
            .as_mut()
            .is_some_and(|(connection, used)| !is_fresh(*used) || !connection.is_alive())
        {
            waiting.http2 = None;
        }
        waiting.is_watched = !waiting.http1.is_empty() || waiting.http2.is_some();
        waiting.is_watched
    }
}
