//! The keeper of a registered server: it notices changes of the credentials file by other processes, and changes of
//! the client at the IdP.

use super::{
    Registration, RunContext,
    attempt::Attempt,
    credentials::CredentialsError,
    error::RegistrationError,
    event::{Event, Outcome},
    plan::{Purpose, due_at},
    vault::{Fingerprint, Lock},
};
use crate::{
    clock::Timestamp,
    diagnostic::{Explain as _, fix, told},
    oidc::{Client, Metadata},
    retry::{Backoff, jittered},
};

// === impl Registration ===

impl Registration {
    /// Keeps the client in its wanted state until `shutdown`, once [`run`](Self::run) has found one. It looks at the
    /// credentials file every [`RetryPolicy::look`](super::RetryPolicy::look), because another process on it may have
    /// replaced the client. It compares the registration every
    /// [`Options::check_interval`](super::Options::check_interval). A replaced client is deleted when every process has
    /// had the time to look.
    pub async fn keep(&self, context: &RunContext) {
        let clock = &context.clock;
        let interval = self.options.check_interval.filter(|_| !self.options.skip);
        let next_check =
            || interval.map(|interval| clock.now().saturating_add(jittered(interval, &*context.random)));
        let mut check_at = next_check();
        let mut look_at = clock.now().saturating_add(context.retry.look);
        let mut delete_at = None;
        let mut deletions = 0_u32;
        let mut seen = None;
        loop {
            let due = [check_at, delete_at];
            let wake_at = due.into_iter().flatten().fold(look_at, Timestamp::min);
            tokio::select! {
                () = clock.sleep_until(wake_at) => {}
                () = self.newest.changed.notified(), if !self.options.skip => check_at = Some(clock.now()),
                () = context.shutdown.cancelled() => return,
            }
            let Some(metadata) = context.relying_party.provider().metadata() else {
                look_at = clock.now().saturating_add(context.retry.look);
                continue;
            };
            if check_at.is_some_and(|at| at <= clock.now()) {
                let lock = tokio::select! {
                    lock = self.lock() => lock,
                    () = context.shutdown.cancelled() => return,
                };
                let mut is_postponed = false;
                match self.check(&metadata, lock).await {
                    Ok(Some(outcome)) => {
                        is_postponed = matches!(outcome.event, Event::Postponed(_));
                        replace(context, outcome.client);
                    }
                    Ok(None) => {}
                    Err(error) => {
                        tracing::error!("{} (this process keeps its client)", error.told());
                    }
                }
                check_at = next_check();
                if is_postponed {
                    let soon = clock
                        .now()
                        .saturating_add(jittered(context.retry.refused, &*context.random));
                    check_at = Some(check_at.map_or(soon, |at| at.min(soon)));
                }
            }
            if delete_at.is_some_and(|at| at <= clock.now()) {
                let lock = tokio::select! {
                    lock = self.lock() => lock,
                    () = context.shutdown.cancelled() => return,
                };
                if let Err(error) = self.delete_replaced(&metadata, lock).await {
                    tracing::warn!("{} (a replaced client is deleted later)", error.told());
                }
                // The IdP was unreachable. If a client was deleted, the file is another one.
                let first = context.retry.refused;
                let backoff = Backoff {
                    first,
                    longest: first.saturating_mul(16),
                };
                let wait = backoff.jittered(deletions, &*context.random);
                deletions = deletions.saturating_add(1);
                delete_at = Some(clock.now().saturating_add(wait));
            }
            if self.look(&metadata, context, &mut seen).await && !self.options.skip {
                delete_at = self.next_deletion().await;
            }
            look_at = clock.now().saturating_add(context.retry.look);
        }
    }

    /// Compares the registration with the wanted metadata. `None` if no registration exists any more: a running
    /// server has a client, so it makes no other.
    pub(super) async fn check(
        &self,
        metadata: &Metadata,
        lock: Result<Option<Lock>, CredentialsError>,
    ) -> Result<Option<Outcome>, RegistrationError> {
        let _lock = lock?;
        let attempt = Attempt::start(self, metadata, Purpose::Comparison).await?;
        attempt.run().await
    }

    /// Deletes the replaced clients whose time has come, if no other process has done it.
    async fn delete_replaced(
        &self,
        metadata: &Metadata,
        lock: Result<Option<Lock>, CredentialsError>,
    ) -> Result<(), RegistrationError> {
        let _lock = lock?;
        let attempt = Attempt::start(self, metadata, Purpose::Deletion).await?;
        attempt.run().await.map(|_| ())
    }

    /// When the next replaced client in the file may be deleted, if there is one.
    async fn next_deletion(&self) -> Option<Timestamp> {
        let record = self.vault.load().await.ok().flatten()?;
        record.superseded.iter().map(due_at).min()
    }

    /// Continues with the record that another process wrote. Returns whether the file changed after the last look.
    async fn look(&self, metadata: &Metadata, context: &RunContext, seen: &mut Option<Fingerprint>) -> bool {
        // This comes before the reading: a write between the two is noticed the next time.
        let now = self.vault.fingerprint().await;
        if seen.replace(now) == Some(now) {
            return false;
        }
        match self.stored(metadata).await {
            Ok(Some(client)) => replace(context, client),
            // If registration is skipped, the configuration may name the client.
            Ok(None) if self.options.skip => {}
            Ok(None) => {
                let what = format_args!(
                    "{} no longer contains a client; this process continues with the one in memory",
                    self.vault.place()
                );
                let fix =
                    fix!("restore it before the next start, which would register another client or fail");
                tracing::error!("{}", told(what, fix));
            }
            Err(error) => {
                tracing::error!("{} (this process keeps its client)", error.told());
            }
        }
        true
    }
}

fn replace(context: &RunContext, client: Client) {
    let slot = context.relying_party.client();
    let before = slot.get();
    if before.as_deref() == Some(&client) {
        return;
    }
    if before.is_some_and(|before| before.id != client.id) {
        tracing::warn!(
            "the client was replaced by another process: it is {} from now on",
            client.id
        );
    }
    slot.set(client);
}
