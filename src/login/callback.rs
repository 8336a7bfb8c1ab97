//! The end of a login: from what the IdP sent back to a session. The order of the checks is the point of this file.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use url::Url;

use super::{
    Instead, Login,
    attempt::Attempt,
    hosts::LoginHost,
    offline_access::Consent,
    once::{Remember, Spent},
};
use crate::{
    clock::Timestamp,
    jose::Claims,
    oidc::{Expect, IdTokenError, LoginFacts, OAuthError, TokenError, TokenResponse, UserInfoError},
    secret::Secret,
    session::{
        CreateError, Created, EmailTrust, Ended, Memo, NewSession, Session, SessionId, SessionKey,
        StoreError, Tokens, UserClaims, email_is_unstated,
    },
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
    /// Where the person goes: a URL on the allow-list.
    pub location: Url,
}

/// A callback that did not lead to a session.
#[derive(Debug)]
pub struct Failed {
    /// Why. Shared by all requests that came for the same attempt.
    pub error: Arc<CallbackError>,
    /// Where the person wanted to go, where the attempt is known.
    pub return_to: Option<String>,
}

/// Why a callback did not lead to a session.
#[derive(Debug, thiserror::Error)]
pub enum CallbackError {
    /// No `state`, or one that no login cookie of this browser was made for: too late, another browser, or forged.
    #[error("this login was not started in this browser, or too long ago")]
    UnknownAttempt,
    /// The person took too long.
    #[error("the login took too long")]
    Expired,
    /// The answer came to another host than the one that the login was started on.
    #[error("the login was started on another host")]
    OtherHost,
    /// `iss` is missing where the IdP promised it, or another one (RFC 9207 section 2.4).
    #[error("the answer names another identity provider than the one that was asked, or none")]
    Issuer,
    /// The IdP says no (RFC 6749 section 4.1.2.1).
    #[error("the identity provider answered {error}")]
    Refused {
        /// What it says.
        error: OAuthError,
        /// What can be done instead of telling the person, where there is something.
        instead: Option<Box<Instead>>,
    },
    /// A login without a person (`prompt=none`) needs one.
    #[error("a login without a person was not possible")]
    LoginRequired {
        /// Where the application wants to hear of it: an allowed URL, `error=login_required` added.
        location: Url,
    },
    /// Neither a code nor an error, or a code that is not valid.
    #[error("the answer has no usable code")]
    NoCode,
    /// The server has not found its IdP yet.
    #[error("the server is not connected to its identity provider yet")]
    NotReady,
    /// The code was not exchanged.
    #[error(transparent)]
    Exchange(#[from] TokenError),
    /// The token response has no ID token although `openid` was asked for.
    #[error("the identity provider sent no ID token; is `openid` among the scopes it allows?")]
    NoIdToken,
    /// The ID token is refused.
    #[error(transparent)]
    IdToken(#[from] IdTokenError),
    /// UserInfo is of somebody else.
    #[error(transparent)]
    UserInfo(#[from] UserInfoError),
    /// No room for another session.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What completed the login died.
    #[error("the login was not completed")]
    Abandoned,
}

// === impl CallbackQuery ===

impl std::fmt::Debug for CallbackQuery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallbackQuery")
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

// === impl Failed ===

impl From<CallbackError> for Failed {
    /// Of an attempt that is not known.
    fn from(error: CallbackError) -> Self {
        Self {
            error: Arc::new(error),
            return_to: None,
        }
    }
}

/// What has to be remembered of the attempt: above all whether its code was sent.
fn remember(outcome: &Result<LoggedIn, CallbackError>) -> Remember {
    match outcome {
        Ok(_) => Remember::Success,
        Err(CallbackError::Exchange(error)) if error.certainly_not_sent() => Remember::Nothing,
        Err(_) => Remember::Failure,
    }
}

// === impl Login ===

impl Login {
    /// Completes the login that `query` answers, for a browser on `host`. `cookie` gives the value of the login cookie
    /// for a `state`, `previous` is the session that the browser has now; `ended` is told of sessions that end for the
    /// new one.
    ///
    /// The checks, in this order: `state` (before anything else that came is looked at), age and host of the attempt,
    /// `iss`, `error`, `code`; then the exchange, the ID token, UserInfo; then the new session takes the place of the
    /// old one. From the exchange on all of it happens once for an attempt: a second request with the same code joins the
    /// first and gets its answer.
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
        ended: impl FnOnce(Vec<Ended>) + Send + 'static,
    ) -> Result<LoggedIn, Failed> {
        let (state, attempt) = self.attempt(query.state.as_deref(), cookie)?;
        let return_to = attempt.return_to.clone();
        let outcome = match self.code_of(&query, &attempt, host) {
            Ok(code) => {
                let ends_at = attempt.ends_at();
                let complete = || {
                    let (login, host, code) = (self.clone(), host.clone(), code.clone());
                    async move {
                        let outcome = login.redeem(&host, &attempt, &code.into(), previous, ended).await;
                        let remember = remember(&outcome);
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
        })
    }

    /// The code of an answer that is right so far.
    fn code_of(
        &self,
        query: &CallbackQuery,
        attempt: &Attempt,
        host: &LoginHost,
    ) -> Result<String, CallbackError> {
        if attempt.has_expired(self.inner.clock.wall()) {
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

    /// From the code to the session.
    async fn redeem(
        &self,
        host: &LoginHost,
        attempt: &Attempt,
        code: &Secret,
        previous: Option<SessionKey>,
        ended: impl FnOnce(Vec<Ended>),
    ) -> Result<LoggedIn, CallbackError> {
        let relying_party = &self.inner.relying_party;
        let response = relying_party
            .exchange_code(code, host.redirect_uri(), &attempt.code_verifier)
            .await?;
        let session = match self.session_of(attempt, code, &response).await {
            Ok(session) => session,
            Err(error) => {
                self.give_back(response.refresh_token, response.access_token);
                return Err(error);
            }
        };
        let location = self.target(attempt, host);
        let ends_at = session.expires_at;
        match self.replace(session, previous).await {
            Ok((created, replaced)) => {
                ended(replaced.into_iter().chain(created.ended).collect());
                Ok(LoggedIn {
                    id: created.id,
                    ends_at,
                    location,
                })
            }
            Err(error) => {
                self.give_back(response.refresh_token, response.access_token);
                Err(error)
            }
        }
    }

    /// Puts the new session in the place of the browser's old one. The old one goes first, so that it neither counts
    /// against the limits nor makes another browser of the same person lose its session.
    async fn replace(
        &self,
        session: Session,
        previous: Option<SessionKey>,
    ) -> Result<(Created, Option<Ended>), CallbackError> {
        let store = &self.inner.store;
        let replaced = match previous {
            Some(key) => store.remove(&key).await?.map(|session| Ended { key, session }),
            None => None,
        };
        let due = session.tokens.due_at(self.inner.options.refresh_threshold);
        let new = NewSession::new(&*self.inner.random, Arc::new(session), due);
        match store.create(new).await {
            Ok(created) => Ok((created, replaced)),
            Err(error) => {
                if let Some(Ended { session, .. }) = replaced {
                    let tokens = &session.tokens;
                    self.give_back(tokens.refresh_token().cloned(), Secret::clone(&tokens.access));
                }
                Err(error.into())
            }
        }
    }

    /// Revokes what was granted and belongs to nobody now. In a task of its own: the person does not wait for it.
    fn give_back(&self, refresh: Option<Secret>, access: Secret) {
        let relying_party = self.inner.relying_party.clone();
        tokio::spawn(async move { relying_party.revoke_grant(refresh.as_ref(), &access).await });
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

    /// RFC 9207 section 2.4: compared exactly; required where the IdP says that it sends it.
    fn check_issuer(&self, iss: Option<&str>) -> Result<(), CallbackError> {
        let metadata = self
            .inner
            .relying_party
            .metadata()
            .ok_or(CallbackError::NotReady)?;
        match iss {
            Some(iss) if iss == metadata.issuer => Ok(()),
            None if !metadata.iss_parameter_supported => Ok(()),
            _ => Err(CallbackError::Issuer),
        }
    }

    /// Where the person goes. Checked when the login was started; checked again, since the configuration may have
    /// changed meanwhile.
    pub(super) fn target(&self, attempt: &Attempt, host: &LoginHost) -> Url {
        let options = &self.inner.options;
        options
            .targets
            .resolve(&attempt.return_to, host.origin())
            .unwrap_or_else(|_| host.origin().clone())
    }

    async fn session_of(
        &self,
        attempt: &Attempt,
        code: &Secret,
        response: &TokenResponse,
    ) -> Result<Session, CallbackError> {
        // Now, not after the checks: the access token lives since it was issued.
        let now = self.inner.clock.now();
        let relying_party = &self.inner.relying_party;
        let id_token = response.id_token.as_ref().ok_or(CallbackError::NoIdToken)?;
        let facts = LoginFacts {
            nonce: &attempt.nonce,
            code,
            started_at: attempt.started_at,
        };
        let expected =
            Expect::login(facts, &response.access_token).max_age(attempt.max_age.map(Duration::from_secs));
        let verified = relying_party.verify_id_token(id_token, expected).await?;
        let identity = verified.identity;
        let user_info = relying_party
            .user_info_at_login(&response.access_token, &identity.subject)
            .await?;

        let access_expires_at = now.saturating_add(response.expires_in);
        let tokens = Tokens {
            access: response.access_token.clone().into(),
            access_obtained_at: now,
            access_expires_at,
            refresh: response.refresh_token.clone(),
            pending: None,
            id_token: id_token.clone(),
            scope: response
                .scope
                .clone()
                .unwrap_or_else(|| self.inner.options.scopes.join(" ")),
            uncertain: false,
            strikes: None,
            later_auth_time: None,
        };
        self.notice_refresh_token(attempt, tokens.refresh.is_some());
        self.tell_of_unstated_email(&verified.all, user_info.as_ref());
        let email_trust = self.inner.options.email_trust;
        let user = UserClaims::of(Some(&verified.all), user_info.as_ref(), email_trust);
        self.inner.left_out.warn(&user.left_out);
        Ok(Session {
            user: user.kept,
            issuer: identity.issuer,
            subject: identity.subject,
            nonce: identity.nonce,
            sid: verified.sid,
            auth_time: identity.auth_time,
            created_at: now,
            expires_at: self.end_of(now, &tokens),
            identity: Memo::default(),
            tokens,
        })
    }

    /// An address that is missing is looked for in vain at the IdP. That is said once.
    fn tell_of_unstated_email(&self, id_token: &Claims, user_info: Option<&Claims>) {
        if self.inner.options.email_trust == EmailTrust::Verified
            && email_is_unstated(id_token, user_info)
            && !self.inner.said_unstated_email.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(
                "the IdP gave an e-mail address without email_verified, so the address is told to no application; if every \
                 address there is verified, set OIDC_EMAIL_TRUSTED=true"
            );
        }
    }

    /// Without a refresh token a session lives as long as its access token.
    fn end_of(&self, now: Timestamp, tokens: &Tokens) -> Timestamp {
        let limit = now.saturating_add(self.inner.options.session_lifetime);
        match tokens.refresh {
            Some(_) => limit,
            None => limit.min(tokens.access_expires_at),
        }
    }

    /// Whether a refresh token came is said where an operator can do something about it, and learnt from
    /// (`OIDC_PROMPT=auto`).
    fn notice_refresh_token(&self, attempt: &Attempt, came: bool) {
        let inner = &self.inner;
        if !self.asks_for_offline_access() {
            if !came && !inner.said_no_refresh_token.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    "the IdP gave no refresh token, so sessions end with their access token; add offline_access to \
                     OIDC_SCOPES and to the scopes that the IdP allows this client"
                );
            }
            return;
        }
        let (Some(access), Some(client)) = (&inner.offline_access, inner.relying_party.client().get()) else {
            if !came && !inner.said_no_refresh_token.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    "the IdP gave no refresh token although offline_access was asked for, so sessions end with their \
                     access token; many IdPs want OIDC_PROMPT=consent and the refresh_token grant for the client"
                );
            }
            return;
        };
        match access.learn(inner.relying_party.issuer(), &client.id, attempt.consent, came) {
            Some(Consent::Tried) => tracing::warn!(
                "the IdP gave no refresh token although offline_access was asked for, so this session ends with its access \
                 token; the next logins ask for consent as with OIDC_PROMPT=consent (OIDC_PROMPT is auto)"
            ),
            Some(Consent::Useless) => tracing::warn!(
                "prompt=consent did not bring a refresh token either, so sessions end with their access token and it is not \
                 sent any more; allow the client offline_access and the refresh_token grant at the IdP"
            ),
            Some(Consent::Needed) => {
                tracing::info!("refresh tokens come where the person is asked for consent");
            }
            Some(Consent::Unneeded) => {
                tracing::info!("refresh tokens come without asking the person for consent");
            }
            None => {}
        }
    }
}
