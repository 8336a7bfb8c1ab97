//! Dynamic Client Registration (RFC 7591) and its management (RFC 7592): how this server becomes a client of the IdP and
//! stays the client that the configuration wants.
//!
//! One attempt ([`Registration::ensure`]) reads `bff_client.json`, compares the IdP's metadata with the wanted ones,
//! and writes only the differences. It spends an initial access token only if no client exists or one has to be
//! replaced, never twice, and only after the file has proved writable. [`Registration::run`] repeats attempts in the
//! background of a server.
//!
//! A [`Plan`] decides each step: `plan` makes it of facts, without I/O, and `executor` performs it. A look
//! ([`Registration::inspect`]) returns the plan.

mod announce;
mod answer;
mod attempt;
mod calls;
mod credentials;
mod diff;
mod error;
mod event;
mod executor;
mod inspect;
mod keep;
mod metadata;
mod needs;
mod options;
mod plan;
mod refusal;
mod run;
mod stored;
mod vault;

use std::{sync::Arc, time::Duration};

pub use self::{
    announce::RegisteredKeys,
    answer::AnswerError,
    attempt::managed_elsewhere,
    credentials::{Credentials, CredentialsError, CredentialsFile, Pending, Registered, State, Superseded},
    diff::{Change, Remembered, compare, compare_with_sent},
    error::{Again, ErrorKind, RegistrationError, RequestedClientId, Target},
    event::{Event, Outcome},
    inspect::{Inspected, Inspection, Reading, TokenTrial},
    metadata::{WantedMetadata, single},
    needs::Needs,
    options::{AuthMethod, Description, Jwks, Options, RedirectUpdate, UpdateMethod},
    plan::{Plan, Registering, Step, TokenSource, Updating, Why},
    run::{RetryPolicy, RunContext},
    stored::secret_expired,
    vault::{Fingerprint, Lock, Place, Vault},
};
use self::{attempt::Attempt, calls::Calls, plan::Purpose};
use crate::{
    clock::{SharedClock, timeout},
    diagnostic::{Explain as _, Knob, fix, told},
    keys::Keys,
    oidc::{Metadata, RelyingParty},
    outbound::Outbound,
};

/// The right to register may take so long to come before that is told.
const PATIENCE: Duration = Duration::from_secs(30);

/// It is told again so often.
const TELL_AGAIN: Duration = Duration::from_mins(1);

/// Registers this server and keeps its registration as wanted.
#[derive(Clone, Debug)]
pub struct Registration {
    options: Options,
    vault: Arc<dyn Vault>,
    calls: Calls,
    keys: Keys,
    clock: SharedClock,
    /// Asks the IdP whether it still accepts a client whose registration access token it refuses.
    asks: Option<RelyingParty>,
    newest: Arc<needs::Newest>,
}

// === impl Registration ===

impl Registration {
    /// A registration with these options. Makes no call yet.
    #[must_use]
    pub fn new(options: Options, outbound: Outbound, keys: Keys, clock: SharedClock) -> Self {
        if matches!(options.jwks, Jwks::Inline) && options.auth_method == AuthMethod::PrivateKeyJwt {
            let what = "the keys are registered inline, so that they cannot rotate without an update of the registration";
            let fix = fix!(
                "let the IdP fetch them: set {} or {}",
                Knob::BaseUrl,
                Knob::JwksUri
            );
            tracing::warn!("{}", told(what, fix));
        }
        Self {
            vault: Arc::new(CredentialsFile::new(options.credentials.clone()).guarded(options.guard)),
            calls: Calls { outbound },
            options,
            keys,
            clock,
            asks: None,
            newest: Arc::default(),
        }
    }

    /// The same with its credentials in `vault`, in the place of the file that the options name.
    #[must_use]
    pub fn in_vault(self, vault: Arc<dyn Vault>) -> Self {
        Self { vault, ..self }
    }

    /// The same, and `relying_party` asks the IdP whether it still accepts a client whose registration access token it
    /// refuses: a client that is refused too was deleted. Only for a process whose keys the IdP can fetch.
    #[must_use]
    pub fn asking(self, relying_party: RelyingParty) -> Self {
        Self {
            asks: Some(relying_party),
            ..self
        }
    }

    /// Makes one attempt. Its result is a client, or the reason for its absence. Of several processes on one file
    /// only one is here at a time. The future must not be dropped half-way: an answer may be on its way that the IdP
    /// gives only once. (If a process dies half-way, its next start reports the known state.)
    ///
    /// # Errors
    ///
    /// [`RegistrationError`] if there is no client that could serve. What went wrong while a stored client serves is
    /// an [`Event`].
    pub async fn ensure(&self, metadata: &Metadata) -> Result<Outcome, RegistrationError> {
        let lock = self.lock().await;
        let outcome = self.attempt(metadata, lock).await?;
        self.tell_unused_secret(&outcome.client);
        Ok(outcome)
    }

    /// Waits for the right to register. `None` where no call will be made, which needs none.
    async fn lock(&self) -> Result<Option<Lock>, CredentialsError> {
        self.lock_telling(|_| {}).await
    }

    /// The same, and `tell` hears of it where that takes long, as the log does.
    async fn lock_telling(
        &self,
        tell: impl Fn(&CredentialsError) + Send,
    ) -> Result<Option<Lock>, CredentialsError> {
        if self.options.skip {
            return Ok(None);
        }
        let mut lock = self.vault.lock(&*self.clock);
        let mut waited = PATIENCE;
        let mut pause = PATIENCE;
        loop {
            if let Ok(lock) = timeout(&*self.clock, pause, lock.as_mut()).await {
                return lock.map(Some);
            }
            let held = CredentialsError::Held {
                place: self.vault.place(),
                seconds: waited.as_secs(),
            };
            tracing::warn!("{}", held.told());
            tell(&held);
            pause = TELL_AGAIN;
            waited += pause;
        }
    }

    async fn attempt(
        &self,
        metadata: &Metadata,
        lock: Result<Option<Lock>, CredentialsError>,
    ) -> Result<Outcome, RegistrationError> {
        let (lock, unlocked) = match lock {
            Ok(Some(lock)) => (Some(lock), None),
            Ok(None) => return self.skipped(metadata).await,
            Err(error) => (None, Some(error)),
        };
        let mut attempt = Attempt::start(self, metadata, Purpose::Start).await?;
        attempt.learnt.unlocked = unlocked;
        let no_token = attempt.no_token();
        let outcome = attempt.run().await?;
        drop(lock);
        outcome.ok_or(no_token)
    }
}

#[cfg(test)]
mod tests;
