//! The end of a login: from what the IdP sent back to a session. The order of the checks is the point of this file.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use url::Url;

use super::{Login, attempt::Attempt, hosts::LoginHost};
use crate::{
    clock::Timestamp,
    jose::Claims,
    oidc::{Expect, IdTokenError, OAuthError, TokenError, TokenResponse, UserInfoError},
    secret::Secret,
    session::{
        CreateError, Created, EmailTrust, Ended, Memo, NewSession, Session, SessionKey, StoreError, Tokens,
        email_is_unstated, user_claims,
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
#[derive(Debug)]
pub struct LoggedIn {
    /// The new session.
    pub created: Created,
    /// When it ends at the latest.
    pub ends_at: Timestamp,
    /// Where the person goes: a URL on the allow-list.
    pub location: Url,
    /// The session that the browser had before, which has ended.
    pub replaced: Option<Ended>,
}

/// Why a callback did not lead to a session.
#[derive(Debug, thiserror::Error)]
pub enum CallbackError {
    /// No `state`, or one that no login cookie of this browser was made for: too late, another browser, or forged.
    #[error("this login was not started in this browser, or too long ago")]
    UnknownAttempt,
    /// The person took too long.
    #[error("the login took too long")]
    Expired {
        /// Where the person wanted to go.
        return_to: String,
    },
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
        /// Where the person wanted to go.
        return_to: String,
    },
    /// A login without a person (`prompt=none`) needs one.
    #[error("a login without a person was not possible")]
    LoginRequired {
        /// Where the application wants to hear of it: an allowed URL, `error=login_required` added.
        location: Url,
    },
    /// Neither a code nor an error, or a code that cannot be one.
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
    /// UserInfo is refused.
    #[error(transparent)]
    UserInfo(#[from] UserInfoError),
    /// No room for another session.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

// === impl CallbackQuery ===

impl std::fmt::Debug for CallbackQuery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallbackQuery")
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

// === impl Login ===

impl Login {
    /// Completes the login that `query` answers, for a browser on `host`. `cookie` gives the value of the login cookie
    /// for a `state`, `previous` is the session that the browser has now.
    ///
    /// The checks, in this order: `state` (before anything else that came is looked at), age and host of the attempt,
    /// `iss`, `error`, `code`; then the exchange, the ID token, UserInfo; then the new session takes the place of the
    /// old one.
    ///
    /// # Errors
    ///
    /// [`CallbackError`]: the first thing that is wrong. Nobody is logged in then.
    pub async fn complete(
        &self,
        host: &LoginHost,
        query: CallbackQuery,
        cookie: impl Fn(&str) -> Option<String>,
        previous: Option<SessionKey>,
    ) -> Result<LoggedIn, CallbackError> {
        let attempt = self.attempt(query.state.as_deref(), cookie)?;
        if attempt.has_expired(self.inner.clock.now()) {
            return Err(CallbackError::Expired {
                return_to: attempt.return_to,
            });
        }
        if attempt.host != host.authority() {
            return Err(CallbackError::OtherHost);
        }
        self.check_issuer(query.iss.as_deref())?;
        if let Some(error) = query.error {
            let sent = [attempt.nonce.expose(), attempt.code_verifier.expose()];
            let sent = sent
                .into_iter()
                .chain(query.state.as_deref())
                .chain(query.code.as_deref());
            return Err(self.refused(error.withholding(&sent.collect()), &attempt, host));
        }
        let code = query
            .code
            .filter(|code| !code.is_empty() && code.len() <= MAX_CODE_LENGTH);
        let code = code.ok_or(CallbackError::NoCode)?;

        let relying_party = &self.inner.relying_party;
        let response = relying_party
            .exchange_code(&code.into(), host.redirect_uri(), &attempt.code_verifier)
            .await?;
        let session = match self.session_of(&attempt, &response).await {
            Ok(session) => session,
            Err(error) => {
                self.give_back(response.refresh_token, response.access_token);
                return Err(error);
            }
        };
        let location = self.target(&attempt, host);
        let ends_at = session.expires_at;
        let (created, replaced) = match self.replace(session, previous).await {
            Ok(sessions) => sessions,
            Err(error) => {
                self.give_back(response.refresh_token, response.access_token);
                return Err(error);
            }
        };
        Ok(LoggedIn {
            created,
            ends_at,
            location,
            replaced,
        })
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

    fn attempt(
        &self,
        state: Option<&str>,
        cookie: impl Fn(&str) -> Option<String>,
    ) -> Result<Attempt, CallbackError> {
        let state = state
            .filter(|state| state.len() <= MAX_STATE_LENGTH)
            .ok_or(CallbackError::UnknownAttempt)?;
        let value = cookie(state).ok_or(CallbackError::UnknownAttempt)?;
        Attempt::open(&self.inner.sealer, state, &value).ok_or(CallbackError::UnknownAttempt)
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

    fn refused(&self, error: OAuthError, attempt: &Attempt, host: &LoginHost) -> CallbackError {
        let needs_a_person = matches!(
            error.error.as_str(),
            "login_required" | "interaction_required" | "consent_required" | "account_selection_required"
        );
        if attempt.silent && needs_a_person {
            let mut location = self.target(attempt, host);
            location.query_pairs_mut().append_pair("error", "login_required");
            return CallbackError::LoginRequired { location };
        }
        CallbackError::Refused {
            error,
            return_to: attempt.return_to.clone(),
        }
    }

    /// Where the person goes. Checked when the login was started; checked again, since the configuration may have
    /// changed meanwhile.
    fn target(&self, attempt: &Attempt, host: &LoginHost) -> Url {
        let options = &self.inner.options;
        options
            .targets
            .resolve(&attempt.return_to, host.origin())
            .unwrap_or_else(|_| host.origin().clone())
    }

    async fn session_of(
        &self,
        attempt: &Attempt,
        response: &TokenResponse,
    ) -> Result<Session, CallbackError> {
        // Now, not after the checks: the access token lives since it was issued.
        let now = self.inner.clock.now();
        let relying_party = &self.inner.relying_party;
        let id_token = response.id_token.as_ref().ok_or(CallbackError::NoIdToken)?;
        let expected = Expect::login(&attempt.nonce, &response.access_token)
            .max_age(attempt.max_age.map(Duration::from_secs));
        let verified = relying_party.verify_id_token(id_token, expected).await?;
        let identity = verified.identity;
        let user_info = relying_party
            .user_info(&response.access_token, &identity.subject)
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
        self.tell_of_unstated_email(&verified.all, user_info.as_ref());
        let email_trust = self.inner.options.email_trust;
        Ok(Session {
            user: user_claims(Some(&verified.all), user_info.as_ref(), email_trust),
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

    /// Without a refresh token a session lives as long as its access token. That is said once.
    fn end_of(&self, now: Timestamp, tokens: &Tokens) -> Timestamp {
        let options = &self.inner.options;
        let limit = now.saturating_add(options.session_lifetime);
        if tokens.refresh.is_some() {
            return limit;
        }
        if !self.inner.said_no_refresh_token.swap(true, Ordering::Relaxed) {
            if options.scopes.iter().any(|scope| scope == "offline_access") {
                tracing::warn!(
                    "the IdP gave no refresh token although offline_access was asked for, so sessions end with their \
                     access token; many IdPs want OIDC_PROMPT=consent and the refresh_token grant for the client"
                );
            } else {
                tracing::warn!(
                    "the IdP gave no refresh token, so sessions end with their access token; add offline_access to \
                     OIDC_SCOPES and to the scopes that the IdP allows this client"
                );
            }
        }
        limit.min(tokens.access_expires_at)
    }
}
