//! A registered server: it notices what other processes do to the credentials file, and what is done to its client at
//! the IdP.

use super::{
    Registration, Surroundings,
    bootstrap::Attempt,
    credentials::CredentialsError,
    error::RegistrationError,
    event::Outcome,
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
    /// Keeps the client as it should be until `shutdown`, once [`run`](Self::run) has found one: looks at the credentials
    /// file every [`Pace::look`](super::Pace::look), since another process on it may have replaced the client, and
    /// compares the registration every [`Options::check_interval`](super::Options::check_interval). A client that was
    /// replaced is deleted when every process has had the time to look.
    pub async fn keep(&self, around: &Surroundings) {
        let clock = &around.clock;
        let interval = self.options.check_interval.filter(|_| !self.options.skip);
        let next_check =
            || interval.map(|interval| clock.now().saturating_add(jittered(interval, &*around.random)));
        let mut check_at = next_check();
        let mut look_at = clock.now().saturating_add(around.pace.look);
        let mut delete_at = None;
        let mut deletions = 0_u32;
        let mut seen = None;
        loop {
            let due = [check_at, delete_at];
            let wake_at = due.into_iter().flatten().fold(look_at, Timestamp::min);
            tokio::select! {
                () = clock.sleep_until(wake_at) => {}
                () = around.shutdown.cancelled() => return,
            }
            let Some(metadata) = around.relying_party.metadata() else {
                look_at = clock.now().saturating_add(around.pace.look);
                continue;
            };
            if check_at.is_some_and(|at| at <= clock.now()) {
                let lock = tokio::select! {
                    lock = self.lock() => lock,
                    () = around.shutdown.cancelled() => return,
                };
                match self.check(&metadata, lock).await {
                    Ok(Some(outcome)) => replace(around, outcome.client),
                    Ok(None) => {}
                    Err(error) => {
                        tracing::error!("{} (the client of this process goes on serving)", error.told());
                    }
                }
                check_at = next_check();
            }
            if delete_at.is_some_and(|at| at <= clock.now()) {
                let lock = tokio::select! {
                    lock = self.lock() => lock,
                    () = around.shutdown.cancelled() => return,
                };
                if let Err(error) = self.delete_replaced(&metadata, lock).await {
                    tracing::warn!("{} (a replaced client is deleted later)", error.told());
                }
                // Where the IdP could not be reached; where something was deleted, the file is another one.
                let first = around.pace.refused;
                let backoff = Backoff {
                    first,
                    longest: first.saturating_mul(16),
                };
                let wait = backoff.jittered(deletions, &*around.random);
                deletions = deletions.saturating_add(1);
                delete_at = Some(clock.now().saturating_add(wait));
            }
            if self.look(&metadata, around, &mut seen).await && !self.options.skip {
                delete_at = self.next_deletion().await;
            }
            look_at = clock.now().saturating_add(around.pace.look);
        }
    }

    /// Compares the registration with what is wanted. `None` where there is none any more: a running server makes no
    /// client, since it has one.
    pub(super) async fn check(
        &self,
        metadata: &Metadata,
        lock: Result<Option<Lock>, CredentialsError>,
    ) -> Result<Option<Outcome>, RegistrationError> {
        let _lock = lock?;
        let attempt = Attempt::start(self, metadata).await?;
        attempt.check().await
    }

    /// Goes on with what another process wrote into the file. Whether it was written to since the last look.
    async fn look(&self, metadata: &Metadata, around: &Surroundings, seen: &mut Option<Fingerprint>) -> bool {
        // Before the reading: what is written between the two is seen the next time.
        let now = self.vault.fingerprint().await;
        if seen.replace(now) == Some(now) {
            return false;
        }
        match self.stored(metadata).await {
            Ok(Some(client)) => replace(around, client),
            // Where registration is skipped the configuration may say who we are.
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
                tracing::error!("{} (the client of this process goes on serving)", error.told());
            }
        }
        true
    }
}

fn replace(around: &Surroundings, client: Client) {
    let slot = around.relying_party.client();
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
