//! A bound for each kind of call.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::TransportError;
use crate::clock::{SharedClock, Timestamp, timeout};

/// How many calls may wait per running call. A longer queue would only make all of them late.
const QUEUE_FACTOR: usize = 4;

/// The interval of the log line about a flood, with a count.
const TOLD_EVERY: Duration = Duration::from_mins(1);

/// A kind of call. Each has its own bound, so that a flood of logins cannot starve refreshes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Discovery and the JWK Set.
    Metadata,
    /// Dynamic registration and its management.
    Registration,
    /// Pushed authorization requests: one per started login.
    Par,
    /// Exchange of codes: one for each callback.
    Code,
    /// Refresh of tokens.
    Refresh,
    /// Tokens for single APIs: exchanges and client credentials.
    Issue,
    /// Exchange of tokens that callers bring.
    Exchange,
    /// `UserInfo`.
    UserInfo,
    /// Revocation of tokens.
    Revocation,
    /// Introspection of tokens that callers bring.
    Introspection,
}

/// How many calls of each kind run at once, and how long another one waits. Together below a hundred, which is the
/// number of streams that an HTTP/2 connection usually takes.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "one for each lane of that name")]
pub struct LaneLimits {
    pub metadata: usize,
    pub registration: usize,
    pub par: usize,
    pub code: usize,
    pub refresh: usize,
    pub issue: usize,
    pub exchange: usize,
    pub user_info: usize,
    pub revocation: usize,
    pub introspection: usize,
    /// How long a call waits for its turn before it is refused.
    pub wait: Duration,
}

pub(super) struct Lanes {
    gates: [Gate; Lane::COUNT],
    wait: Duration,
    clock: SharedClock,
}

struct Gate {
    /// Running and waiting calls.
    entry: Semaphore,
    /// Running calls.
    running: Semaphore,
    turned_away: Mutex<TurnedAway>,
}

/// Calls that found no place since the last line about them.
#[derive(Default)]
struct TurnedAway {
    calls: usize,
    told: Option<Timestamp>,
}

/// The right to make one call, until it is dropped.
pub(super) struct Permit<'a> {
    _running: SemaphorePermit<'a>,
    _entry: SemaphorePermit<'a>,
}

// === impl Lane ===

impl Lane {
    const ALL: [Self; 10] = [
        Self::Metadata,
        Self::Registration,
        Self::Par,
        Self::Code,
        Self::Refresh,
        Self::Issue,
        Self::Exchange,
        Self::UserInfo,
        Self::Revocation,
        Self::Introspection,
    ];

    const COUNT: usize = Self::ALL.len();
}

// === impl LaneLimits ===

impl LaneLimits {
    /// How many calls of all kinds run at once.
    #[must_use]
    pub fn total(&self) -> usize {
        Lane::ALL.map(|lane| self.of(lane)).iter().sum()
    }

    const fn of(&self, lane: Lane) -> usize {
        match lane {
            Lane::Metadata => self.metadata,
            Lane::Registration => self.registration,
            Lane::Par => self.par,
            Lane::Code => self.code,
            Lane::Refresh => self.refresh,
            Lane::Issue => self.issue,
            Lane::Exchange => self.exchange,
            Lane::UserInfo => self.user_info,
            Lane::Revocation => self.revocation,
            Lane::Introspection => self.introspection,
        }
    }
}

impl Default for LaneLimits {
    fn default() -> Self {
        Self {
            metadata: 4,
            registration: 2,
            par: 14,
            code: 14,
            refresh: 32,
            issue: 8,
            exchange: 4,
            user_info: 12,
            revocation: 4,
            introspection: 5,
            wait: Duration::from_secs(5),
        }
    }
}

// === impl Lanes ===

impl Lanes {
    pub(super) fn new(limits: &LaneLimits, clock: SharedClock) -> Self {
        Self {
            gates: Lane::ALL.map(|lane| Gate::new(limits.of(lane))),
            wait: limits.wait,
            clock,
        }
    }

    pub(super) async fn enter(&self, lane: Lane) -> Result<Permit<'_>, TransportError> {
        let gate = &self.gates[lane as usize];
        let permit = self.permit(gate).await;
        if permit.is_none()
            && let Some(calls) = gate.turned_away.lock().count(self.clock.now())
        {
            tracing::warn!(
                ?lane,
                calls,
                "too many concurrent calls to the IdP; some were refused"
            );
        }
        permit.ok_or(TransportError::Saturated)
    }

    async fn permit<'a>(&self, gate: &'a Gate) -> Option<Permit<'a>> {
        let entry = gate.entry.try_acquire().ok()?;
        let running = match gate.running.try_acquire() {
            Ok(permit) => permit,
            Err(_) => timeout(&*self.clock, self.wait, gate.running.acquire())
                .await
                .ok()?
                .ok()?,
        };
        Some(Permit {
            _running: running,
            _entry: entry,
        })
    }
}

// === impl Gate ===

impl Gate {
    fn new(limit: usize) -> Self {
        let running = limit.clamp(1, Semaphore::MAX_PERMITS / (QUEUE_FACTOR + 1));
        Self {
            entry: Semaphore::new(running * (QUEUE_FACTOR + 1)),
            running: Semaphore::new(running),
            turned_away: Mutex::default(),
        }
    }
}

// === impl TurnedAway ===

impl TurnedAway {
    /// Counts one more. Returns the count if a log line is due.
    fn count(&mut self, now: Timestamp) -> Option<usize> {
        self.calls += 1;
        if self
            .told
            .is_some_and(|told| now.duration_since(told) < TOLD_EVERY)
        {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.calls))
    }
}
