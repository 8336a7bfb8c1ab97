//! The end of a login: from the answer of the IdP to a session. The order of the checks is the point of this file.

mod error;
mod failure;
mod session;

use std::sync::Arc;

use url::Url;

pub use self::{
    error::{CallbackError, Failed},
    failure::Failure,
};
use super::{
    Login,
    attempt::Attempt,
    hosts::LoginHost,
    logged_out::Course,
    once::{Remember, Spent},
};
use crate::{
    clock::Timestamp,
    oidc::OAuthError,
    random::RandomExt as _,
    secret::Secret,
    session::{Bound, Device, Due, Seen, SessionId, SessionKey},
};

/// Longer values are refused, in bytes.
const MAX_CODE_LENGTH: usize = 4 * 1024;
const MAX_STATE_LENGTH: usize = 128;

/// The parameters of `/auth/callback` (RFC 6749 section 4.1.2, RFC 9207), each at most once.
#[derive(Clone, Default)]
pub struct CallbackQuery {
    /// `state`.
    pub state: Option<String>,
    /// `iss` (RFC 9207 section 2).
    pub iss: Option<String>,
    /// `error` and `error_description`.
    pub error: Option<OAuthError>,
    /// `code`.
    pub code: Option<String>,
}

/// A login that was completed.
#[derive(Clone, Debug)]
pub struct LoggedIn {
    /// The new session's id, for the browser's cookie.
    pub id: SessionId,
    /// When the session ends at the latest.
    pub ends_at: Timestamp,
    /// The next URL of the person, on the allow-list.
    pub location: Url,
}

// === impl CallbackQuery ===

impl std::fmt::Debug for CallbackQuery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallbackQuery")
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

/// The facts to remember about the attempt: above all whether its code was sent.
fn remember(outcome: &Result<LoggedIn, CallbackError>) -> Remember {
    match outcome {
        Err(CallbackError::Exchange(error)) if error.certainly_not_sent() => Remember::Nothing,
        Ok(_) | Err(_) => Remember::Sent,
    }
}

// === impl Login ===

impl Login {
    /// Completes the login that `query` answers, for a browser on `host`. `cookie` returns the value of the login
    /// cookie for a `state`. `previous` is the present session of the browser, if it shows one. `device` helps the
    /// person to recognise the new session, and `seen` has the features it may be bound to.
    ///
    /// The checks, in this order: `state` (before any other parameter is read), age and host of the attempt, `iss`,
    /// `error`, `code`; then the exchange, the ID token, UserInfo. Then the new session replaces the old one. Then a
    /// check that the IdP has not logged the person out meanwhile. From the exchange on, everything happens once per
    /// attempt: a second request with the same code joins the first and gets its answer.
    ///
    /// # Errors
    ///
    /// [`Failed`], with the first thing that is wrong. Nobody is logged in then.
    pub async fn complete(
        &self,
        host: &LoginHost,
        query: CallbackQuery,
        cookie: impl Fn(&str) -> Option<String>,
        previous: Option<SessionKey>,
        device: Device,
        seen: &Seen<'_>,
    ) -> Result<LoggedIn, Failed> {
        let (state, attempt) = self.attempt(query.state.as_deref(), cookie)?;
        let return_to = attempt.return_to.clone();
        let previous = previous.or(attempt.previous);
        let outcome = match self.code_of(&query, &attempt, host) {
            Ok(code) => {
                let ends_at = attempt.ends_at();
                let bound = Bound::at_login(self.inner.options.binding, seen, self.inner.random.bytes());
                let complete = || {
                    let (login, host, code) = (self.clone(), host.clone(), code.clone());
                    async move {
                        let code = code.into();
                        let redeemed = login.redeem_once(&host, &attempt, &code, previous, device, bound);
                        let (outcome, remember) = redeemed.await;
                        (outcome.map_err(Arc::new), remember)
                    }
                };
                match self.inner.once.complete(&state, &code, ends_at, complete).await {
                    Ok(outcome) => outcome,
                    Err(Spent::Used) => return Err(CallbackError::UnknownAttempt.into()),
                    Err(Spent::Abandoned) => Err(Arc::new(CallbackError::Abandoned)),
                }
            }
            Err(error) => Err(Arc::new(error)),
        };
        outcome.map_err(|error| Failed {
            error,
            return_to: Some(return_to),
            previous,
        })
    }

    /// The code of an answer that is right so far.
    fn code_of(
        &self,
        query: &CallbackQuery,
        attempt: &Attempt,
        host: &LoginHost,
    ) -> Result<String, CallbackError> {
        if attempt.has_expired(self.inner.clock.now()) {
            return Err(CallbackError::Expired);
        }
        if attempt.host != host.authority() {
            return Err(CallbackError::OtherHost);
        }
        self.check_issuer(query.iss.as_deref())?;
        if let Some(error) = &query.error {
            let sent = [attempt.nonce.expose(), attempt.code_verifier.expose()];
            let sent = sent
                .into_iter()
                .chain(query.state.as_deref())
                .chain(query.code.as_deref());
            let error = error.clone().withholding(&sent.collect());
            return Err(self.refused(error, attempt, host));
        }
        query
            .code
            .clone()
            .filter(|code| !code.is_empty() && code.len() <= MAX_CODE_LENGTH)
            .ok_or(CallbackError::NoCode)
    }

    /// From the code to the session, by one of all processes; the others get its answer.
    async fn redeem_once(
        &self,
        host: &LoginHost,
        attempt: &Attempt,
        code: &Secret,
        previous: Option<SessionKey>,
        device: Device,
        bound: Bound,
    ) -> (Result<LoggedIn, CallbackError>, Remember) {
        let redeem = self.redeem(host, attempt, code, previous, device, bound);
        if let Some(relay) = &self.inner.relay {
            return relay.once(attempt, code, redeem, remember).await;
        }
        let outcome = redeem.await;
        let remember = remember(&outcome);
        (outcome, remember)
    }

    /// From the code to the session.
    async fn redeem(
        &self,
        host: &LoginHost,
        attempt: &Attempt,
        code: &Secret,
        previous: Option<SessionKey>,
        device: Device,
        bound: Bound,
    ) -> Result<LoggedIn, CallbackError> {
        let relying_party = &self.inner.relying_party;
        let exchanged = self.inner.clock.now();
        let response = relying_party
            .exchange_code(code, host.redirect_uri(), &attempt.code_verifier)
            .await?;
        let (mut session, issued) = match self.session_of(attempt, code, &response, device).await {
            Ok(verified) => verified,
            // The continuing session may share one grant with these tokens, and a grant ends as a whole (RFC 7009
            // section 2.1).
            Err(error @ CallbackError::TooWeak) => return Err(error),
            Err(error) => {
                self.give_back(response.refresh_token, response.access_token);
                return Err(error);
            }
        };
        session.bound = bound;
        let location = self.target(attempt, host);
        let ends_at = session.ends_at();
        let due = Due::at(session.tokens.due_at(self.inner.options.refresh_threshold));
        let course = Course {
            subject: session.subject.clone(),
            sid: session.sid.clone(),
            authenticated: session.auth_time,
            began: attempt.started_at,
            exchanged,
            issued,
        };
        match self.inner.logouts.open(session, due, previous, &course).await {
            Ok(Some(opened)) => Ok(LoggedIn {
                id: opened.id,
                ends_at,
                location,
            }),
            Ok(None) => Err(CallbackError::LoggedOut),
            Err(error) => {
                self.give_back(response.refresh_token, response.access_token);
                Err(error.into())
            }
        }
    }

    /// Revokes tokens that no session uses. It runs in its own task: the person does not wait for it.
    fn give_back(&self, refresh: Option<Secret>, access: Secret) {
        let relying_party = self.inner.relying_party.clone();
        tokio::spawn(async move { relying_party.revoke_grant(refresh.as_ref(), &access, &[]).await });
    }

    /// The attempt that `state` belongs to, if this browser made it.
    fn attempt(
        &self,
        state: Option<&str>,
        cookie: impl Fn(&str) -> Option<String>,
    ) -> Result<(String, Attempt), CallbackError> {
        let state = state
            .filter(|state| state.len() <= MAX_STATE_LENGTH)
            .ok_or(CallbackError::UnknownAttempt)?;
        let value = cookie(state).ok_or(CallbackError::UnknownAttempt)?;
        let attempt =
            Attempt::open(&self.inner.sealer, state, &value).ok_or(CallbackError::UnknownAttempt)?;
        Ok((state.to_owned(), attempt))
    }

    /// RFC 9207 section 2.4: compared exactly; required if the IdP announces that it sends it.
    fn check_issuer(&self, iss: Option<&str>) -> Result<(), CallbackError> {
        let metadata = self
            .inner
            .relying_party
            .provider()
            .metadata()
            .ok_or(CallbackError::NotReady)?;
        match iss {
            Some(iss) if iss == metadata.issuer => Ok(()),
            None if !metadata.iss_parameter_supported => Ok(()),
            _ => Err(CallbackError::Issuer),
        }
    }

    /// The target of the person. Checked when the login was started, and again now, because the configuration may
    /// have changed meanwhile.
    pub(super) fn target(&self, attempt: &Attempt, host: &LoginHost) -> Url {
        let options = &self.inner.options;
        options
            .targets
            .resolve(&attempt.return_to, host.origin())
            .unwrap_or_else(|_| host.origin().clone())
    }
}
