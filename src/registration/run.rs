//! Registration in the background of a server: it tries until a client exists, and reports its state.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{
    Registration,
    error::{ErrorKind, RegistrationError},
    event::Event,
};
use crate::{
    clock::SharedClock,
    diagnostic::Explain as _,
    health::{Component, Health},
    oidc::RelyingParty,
    random::SharedRandom,
    retry::{Backoff, jittered},
};

/// The interval between two looks at the credentials file. A replaced client is deleted only after several of them.
pub(super) const LOOK: Duration = Duration::from_secs(10);

/// How long to wait between attempts.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// After attempts that failed on the way.
    pub unreachable: Backoff,
    /// After a refusal, which passes only when a person has done something.
    pub refused: Duration,
    /// The interval between two looks at the credentials file, which another process may have changed.
    pub look: Duration,
}

/// The driver's dependencies beside the registration.
#[derive(Clone, Debug)]
pub struct RunContext {
    /// Knows the IdP's metadata, and takes the client.
    pub relying_party: RelyingParty,
    /// Receives the state.
    pub health: Health,
    /// Time.
    pub clock: SharedClock,
    /// For jitter.
    pub random: SharedRandom,
    /// How long to wait between attempts.
    pub retry: RetryPolicy,
    /// Ends the driver.
    pub shutdown: CancellationToken,
}

/// The step after an attempt.
enum Next {
    Done,
    Soon(Option<Duration>),
    Slowly,
}

// === impl RetryPolicy ===

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            unreachable: Backoff {
                first: Duration::from_secs(1),
                longest: Duration::from_mins(1),
            },
            refused: Duration::from_mins(5),
            look: LOOK,
        }
    }
}

// === impl Registration ===

impl Registration {
    /// Waits for the IdP's metadata and registers. It tries again while the IdP is unreachable, and after a refusal
    /// if the configuration allows it. Returns when no work is left or `shutdown` is cancelled. At a shutdown it
    /// waits for a running call, whose answer may contain data that the IdP gives only once.
    ///
    /// # Errors
    ///
    /// The error that stops the process, with the exit code of its [kind](RegistrationError::kind).
    pub async fn run(&self, context: &RunContext) -> Result<(), RegistrationError> {
        let mut failures = 0_u32;
        let mut told = false;
        loop {
            let metadata = tokio::select! {
                metadata = context.relying_party.provider().wait_for_metadata() => metadata,
                () = context.shutdown.cancelled() => return Ok(()),
            };
            let lock = tokio::select! {
                lock = self.lock_telling(|held| {
                    context.health.failing(Component::Credentials, held.told());
                }) => lock,
                () = context.shutdown.cancelled() => return Ok(()),
            };
            let next = match self.attempt(&metadata, lock).await {
                Ok(outcome) => {
                    if !std::mem::replace(&mut told, true) {
                        self.tell_unused_secret(&outcome.client);
                    }
                    context.relying_party.client().set(outcome.client);
                    context.health.ok(Component::Credentials);
                    match outcome.event {
                        Event::Postponed(error) => Next::Soon(error.retry_after()),
                        _ => Next::Done,
                    }
                }
                Err(error) => {
                    context.health.failing(Component::Credentials, error.told());
                    self.after_failure(error)?
                }
            };
            let wait = match next {
                Next::Done => return Ok(()),
                Next::Soon(asked) => {
                    let wait = context.retry.unreachable.jittered(failures, &*context.random);
                    failures = failures.saturating_add(1);
                    wait.max(asked.unwrap_or_default())
                }
                Next::Slowly => jittered(context.retry.refused, &*context.random),
            };
            tokio::select! {
                () = context.clock.sleep(wait) => {}
                () = context.shutdown.cancelled() => return Ok(()),
            }
        }
    }

    fn after_failure(&self, error: RegistrationError) -> Result<Next, RegistrationError> {
        match error.kind() {
            ErrorKind::Unreachable => {
                tracing::warn!("{}", error.told());
                Ok(Next::Soon(error.retry_after()))
            }
            // The next attempts send nothing, but they notice when somebody has fixed it.
            ErrorKind::OutcomeUnknown => {
                tracing::error!("{}", error.told());
                Ok(Next::Slowly)
            }
            ErrorKind::Refused if self.options.allow_failure => {
                tracing::error!("{} (tried again, as configured)", error.told());
                Ok(Next::Slowly)
            }
            ErrorKind::Refused | ErrorKind::Configuration => Err(error),
        }
    }
}
