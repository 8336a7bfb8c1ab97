//! An attempt comes back once for all processes: which of them completes it, and how the others get its answer.
//!
//! The first process that receives an attempt leaves a mark while the attempt is valid, so that no other sends the
//! code. The outcome follows for a minute. Both are sealed under a key that is derived only from the attempt's
//! cookie. Without that cookie, neither a dump nor `SESSION_SECRET` opens them or reveals their attempt. If the
//! shared memory does not answer, each process uses its own knowledge.

use std::{sync::Arc, time::Duration};

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::Zeroizing;

use super::{CallbackError, Failure, LoggedIn, attempt::Attempt, once::Remember};
use crate::{
    clock::{SharedClock, Timestamp},
    random::SharedRandom,
    seal::{Purpose, Sealer},
    secret::Secret,
    session::SessionId,
    shared::{Passing, SharedError},
};

/// An answer is kept this long for late callers.
const ANSWERS_FOR: Duration = Duration::from_mins(1);

/// The polling interval of a process that waits for another one.
const LOOK: Duration = Duration::from_millis(100);

/// A process that completes an attempt takes no longer, or has died: its calls to the IdP have an end.
const PATIENCE: Duration = Duration::from_mins(1);

/// The shared memory of completed attempts.
#[derive(Debug)]
pub(super) struct Relay {
    pub(super) passing: Arc<dyn Passing>,
    pub(super) clock: SharedClock,
    pub(super) random: SharedRandom,
}

/// The known facts about one attempt with one code.
struct Slip<'a> {
    relay: &'a Relay,
    /// Under the secret in the cookie.
    sealer: Sealer,
    mark: String,
    answer: String,
    code: Vec<u8>,
}

/// The note of a process before it completes an attempt, and after it.
#[derive(Serialize, Deserialize)]
struct Mark {
    /// The digest of the code.
    code: Vec<u8>,
    /// Whether the answer has been there.
    over: bool,
}

/// The outcome of an attempt.
#[derive(Serialize, Deserialize)]
enum Answer {
    LoggedIn {
        id: String,
        ends_at: Timestamp,
        location: String,
    },
    LoggedOut,
    Failed {
        failure: Failure,
        cause: String,
    },
}

/// Who completes an attempt.
enum Turn {
    Ours,
    Theirs(Result<LoggedIn, CallbackError>),
}

// === impl Relay ===

impl Relay {
    /// The outcome of `attempt` with `code`, from `complete` or from another process. `remember` says whether an
    /// outcome of `complete` has spent the attempt.
    pub(super) async fn once(
        &self,
        attempt: &Attempt,
        code: &Secret,
        complete: impl Future<Output = Result<LoggedIn, CallbackError>>,
        remember: fn(&Result<LoggedIn, CallbackError>) -> Remember,
    ) -> (Result<LoggedIn, CallbackError>, Remember) {
        let Some(slip) = self.slip(attempt, code) else {
            let outcome = complete.await;
            let remember = remember(&outcome);
            return (outcome, remember);
        };
        let left = attempt.ends_at().duration_since(self.clock.now());
        match slip.turn(left.saturating_add(ANSWERS_FOR)).await {
            Ok(Turn::Ours) => {}
            Ok(Turn::Theirs(outcome)) => return (outcome, Remember::Sent),
            Err(error) => {
                tracing::warn!(%error, "another replica may be completing this login; this one completes it");
            }
        }
        let outcome = complete.await;
        let remember = remember(&outcome);
        let told = match remember {
            Remember::Nothing => self.passing.forget(&slip.mark).await,
            Remember::Sent => slip.tell(&outcome, left.saturating_add(ANSWERS_FOR)).await,
        };
        if let Err(error) = told {
            tracing::debug!(%error, "the outcome of a login could not be shared with other replicas");
        }
        (outcome, remember)
    }

    fn slip(&self, attempt: &Attempt, code: &Secret) -> Option<Slip<'_>> {
        let secret = [attempt.nonce.expose(), attempt.code_verifier.expose()].concat();
        let sealer = Sealer::new(&[secret.as_bytes()], Arc::clone(&self.random)).ok()?;
        let name = |what: &[u8]| URL_SAFE_NO_PAD.encode(sealer.mac(Purpose::LoginAnswer, what));
        Some(Slip {
            relay: self,
            mark: name(b"mark"),
            answer: name(b"answer"),
            code: digest::digest(&digest::SHA256, code.expose().as_bytes())
                .as_ref()
                .to_vec(),
            sealer,
        })
    }
}

// === impl Slip ===

impl Slip<'_> {
    /// Who completes the attempt. Waits for the answer of another process.
    async fn turn(&self, keep: Duration) -> Result<Turn, SharedError> {
        let passing = &self.relay.passing;
        let mark = self.sealed(&self.marked(false));
        let until = self.relay.clock.now().saturating_add(PATIENCE);
        loop {
            if passing.put_first(&self.mark, &mark, keep).await? {
                return Ok(Turn::Ours);
            }
            let theirs = passing.fetch(&self.mark).await?;
            // Before reading the answer, which exists before the mark says so.
            let Some(theirs) = theirs.and_then(|mark| self.opened::<Mark>(&mark)) else {
                // It was removed at this moment, or is invalid.
                if self.relay.clock.now() >= until {
                    return Ok(Turn::Theirs(Err(CallbackError::UnknownAttempt)));
                }
                self.relay.clock.sleep(LOOK).await;
                continue;
            };
            if theirs.code != self.code {
                return Ok(Turn::Theirs(Err(CallbackError::UnknownAttempt)));
            }
            let answer = passing.fetch(&self.answer).await?;
            if let Some(answer) = answer.and_then(|answer| self.opened::<Answer>(&answer)) {
                return Ok(Turn::Theirs(answer.into()));
            }
            if theirs.over {
                return Ok(Turn::Theirs(Err(CallbackError::UnknownAttempt)));
            }
            if self.relay.clock.now() >= until {
                return Ok(Turn::Theirs(Err(CallbackError::Abandoned)));
            }
            self.relay.clock.sleep(LOOK).await;
        }
    }

    /// Announces the outcome of the attempt.
    async fn tell(
        &self,
        outcome: &Result<LoggedIn, CallbackError>,
        keep: Duration,
    ) -> Result<(), SharedError> {
        let passing = &self.relay.passing;
        let answer = self.sealed(&Answer::of(outcome));
        passing.put(&self.answer, &answer, ANSWERS_FOR).await?;
        let mark = self.sealed(&self.marked(true));
        passing.put(&self.mark, &mark, keep).await
    }

    fn marked(&self, over: bool) -> Mark {
        Mark {
            code: self.code.clone(),
            over,
        }
    }

    fn sealed(&self, value: &impl Serialize) -> Vec<u8> {
        // Strings and numbers always serialise; an empty value would only fail to open.
        let plain = Zeroizing::new(serde_json::to_vec(value).unwrap_or_default());
        self.sealer.seal(Purpose::LoginAnswer, b"", &plain)
    }

    fn opened<T: for<'de> Deserialize<'de>>(&self, sealed: &[u8]) -> Option<T> {
        let plain = Zeroizing::new(self.sealer.open(Purpose::LoginAnswer, b"", sealed)?);
        serde_json::from_slice(&plain).ok()
    }
}

// === impl Answer ===

impl Answer {
    fn of(outcome: &Result<LoggedIn, CallbackError>) -> Self {
        match outcome {
            Ok(logged_in) => Self::LoggedIn {
                id: logged_in.id.expose(),
                ends_at: logged_in.ends_at,
                location: logged_in.location.to_string(),
            },
            Err(CallbackError::LoggedOut) => Self::LoggedOut,
            Err(error) => Self::Failed {
                failure: Failure::of(error),
                cause: error.to_string(),
            },
        }
    }
}

impl From<Answer> for Result<LoggedIn, CallbackError> {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::LoggedIn {
                id,
                ends_at,
                location,
            } => Ok(LoggedIn {
                id: SessionId::parse(id.as_bytes()).ok_or(CallbackError::Abandoned)?,
                ends_at,
                location: Url::parse(&location).map_err(|_| CallbackError::Abandoned)?,
            }),
            Answer::LoggedOut => Err(CallbackError::LoggedOut),
            Answer::Failed { failure, cause } => Err(CallbackError::Elsewhere { failure, cause }),
        }
    }
}

#[cfg(test)]
mod tests;
