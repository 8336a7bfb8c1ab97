//! The keeper in the background of a server.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::Keeper;
use crate::{
    clock::{SharedClock, Timestamp},
    diagnostic::Explain as _,
    keys::{Announce, AnnounceError},
};

/// The interval of looks at the folder.
const LOOK: Duration = Duration::from_secs(5);
/// After a failed announcement to the IdP, the pause before the next one.
const PAUSE: Duration = Duration::from_mins(1);

/// The state of the announcements to the IdP.
struct Telling {
    /// Tag of the document that it knows.
    known: String,
    /// The signing key at the last announcement.
    signing: String,
    /// The signing key of the last announcement or of the last attempt.
    tried: String,
    /// Not again before, while that one signs.
    not_before: Timestamp,
    /// The failure, as reported.
    told: Option<AnnounceError>,
}

// === impl Keeper ===

impl Keeper {
    /// Looks at the folder every few seconds and rotates the keys, until `shutdown`. A call to the IdP that is under way
    /// then is waited for.
    pub async fn run(mut self, clock: SharedClock, shutdown: CancellationToken, announce: Arc<dyn Announce>) {
        let Some(keys) = self.keys.clone() else { return };
        // The registration that follows the start announces the keys that are published at the start.
        let mut telling = Telling {
            known: keys.document().etag.clone(),
            signing: keys.signing().kid().to_owned(),
            tried: keys.signing().kid().to_owned(),
            not_before: Timestamp::EPOCH,
            told: None,
        };
        loop {
            let now = clock.wall();
            self = blocking(self, move |keeper| keeper.look(now)).await;
            self.log();
            let due = self.due(now);
            let document = keys.document().etag.clone();
            let signing = keys.signing().kid().to_owned();
            let news = document != telling.known || signing != telling.signing;
            // If another key signs, assertions may be refused until the IdP knows it.
            let may_ask = now >= telling.not_before || signing != telling.tried;
            if (news || due.is_some()) && may_ask {
                telling.tried.clone_from(&signing);
                match announce.announce(due.as_deref()).await {
                    Ok(()) => {
                        telling.succeeded(document, signing);
                        if let Some(next) = due {
                            let now = clock.wall();
                            self = blocking(self, move |keeper| keeper.activate(now, next.kid())).await;
                            self.log();
                        }
                    }
                    Err(error) => telling.failed(error, due.is_some(), now),
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = clock.sleep(LOOK) => {}
            }
        }
    }

    fn log(&mut self) {
        for note in self.notes.drain(..) {
            note.log();
        }
    }
}

// === impl Telling ===

impl Telling {
    fn succeeded(&mut self, document: String, signing: String) {
        self.known = document;
        self.signing = signing;
        self.not_before = Timestamp::EPOCH;
        self.told = None;
    }

    fn failed(&mut self, error: AnnounceError, due: bool, now: Timestamp) {
        match &error {
            // The client appears by itself.
            AnnounceError::NotYet => return,
            // Only our own store was asked.
            AnnounceError::Peers { .. } => {}
            AnnounceError::Algorithm { .. } | AnnounceError::Registration(_) => {
                self.not_before = now.saturating_add(PAUSE);
            }
        }
        if self.told.as_ref() != Some(&error) {
            tracing::error!(
                "{}{}",
                if due {
                    "the next key does not sign yet: "
                } else {
                    ""
                },
                error.told()
            );
            self.told = Some(error);
        }
    }
}

/// Runs file work off the async workers.
async fn blocking(mut keeper: Keeper, work: impl FnOnce(&mut Keeper) + Send + 'static) -> Keeper {
    let done = tokio::task::spawn_blocking(move || {
        work(&mut keeper);
        keeper
    });
    match done.await {
        Ok(keeper) => keeper,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Cancelled: the runtime is shutting down.
            Err(_) => std::future::pending().await,
        },
    }
}
