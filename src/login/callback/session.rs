//! The session of a new login: checks the provider's statements, and reports missing ones to operators.

use std::{sync::atomic::Ordering, time::Duration};

use super::CallbackError;
use crate::{
    clock::Timestamp,
    diagnostic::{Knob, fix, told},
    jose::Claims,
    login::{
        Login,
        attempt::Attempt,
        offline_access::{self, Consent},
    },
    oidc::{Expect, LoginFacts, TokenResponse},
    secret::Secret,
    session::{
        Assurance, Bound, Device, EmailTrust, ForTargets, Memo, Session, Tokens, UserClaims,
        email_is_unstated,
    },
};

/// A longer `acr` is not kept, in bytes.
const MAX_ACR: usize = 512;

/// How strong a login was, if it is as strong as it had to be (RFC 9470 section 5).
fn assurance(attempt: &Attempt, acr: Option<String>) -> Result<Assurance, CallbackError> {
    let acr = acr.filter(|acr| acr.len() <= MAX_ACR);
    if let Some(asked) = &attempt.acr_values
        && !asked.split(' ').any(|value| Some(value) == acr.as_deref())
    {
        return Err(CallbackError::TooWeak);
    }
    Ok(Assurance {
        acr,
        stepped_up: attempt.steps_up(),
    })
}

// === impl Login ===

impl Login {
    /// Checks the ID token, asks UserInfo, and makes a session of both; also returns `iat` of the ID token.
    pub(super) async fn session_of(
        &self,
        attempt: &Attempt,
        code: &Secret,
        response: &TokenResponse,
        device: Device,
    ) -> Result<(Session, Timestamp), CallbackError> {
        // Now, not after the checks: the access token lives since it was issued.
        let now = self.inner.clock.now();
        let relying_party = &self.inner.relying_party;
        let id_token = response.id_token.as_ref().ok_or(CallbackError::NoIdToken)?;
        let facts = LoginFacts {
            nonce: &attempt.nonce,
            code,
            // The IdP's `iat` is compared with the machine's clock, as all times of the IdP are.
            started_at: self.inner.clock.shown(attempt.started_at),
        };
        let expected =
            Expect::login(facts, &response.access_token).max_age(attempt.max_age.map(Duration::from_secs));
        let verified = relying_party.verify_id_token(id_token, expected).await?;
        let identity = verified.identity;
        let assurance = assurance(attempt, verified.acr)?;
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
            refresh_expires_at: response.refresh_ends(now),
            id_token: id_token.clone(),
            scope: response
                .scope
                .clone()
                .unwrap_or_else(|| self.inner.options.scopes.join(" ")),
            uncertain: false,
            strikes: None,
            later_auth_time: None,
            for_targets: ForTargets::default(),
            api_refreshed_at: None,
        };
        self.notice_refresh_token(attempt, tokens.refresh.is_some());
        self.tell_of_unstated_email(&verified.all, user_info.as_ref());
        let email_trust = self.inner.options.email_trust;
        let user = UserClaims::of(Some(&verified.all), user_info.as_ref(), email_trust);
        self.inner.left_out.warn(&user.left_out);
        let session = Session {
            user: user.kept,
            issuer: identity.issuer,
            subject: identity.subject,
            nonce: identity.nonce,
            sid: verified.sid,
            auth_time: identity.auth_time,
            device,
            created_at: now,
            expires_at: self.end_of(now, &tokens, verified.session_ends),
            assurance,
            bound: Bound::default(),
            identity: Memo::default(),
            tokens,
        };
        Ok((session, verified.issued_at))
    }

    /// An operator would search at the IdP for a missing address. The log explains it once.
    fn tell_of_unstated_email(&self, id_token: &Claims, user_info: Option<&Claims>) {
        if self.inner.options.email_trust == EmailTrust::Verified
            && email_is_unstated(id_token, user_info)
            && !self.inner.said_unstated_email.swap(true, Ordering::Relaxed)
        {
            let what = "the IdP gave an e-mail address without a true email_verified, so no application receives the address";
            let fix = fix!(
                "if every address there is verified, set {}",
                Knob::EmailTrusted.to("true")
            );
            tracing::warn!("{}", told(what, fix));
        }
    }

    /// Without a refresh token a session lives as long as its access token; never longer than the one at the IdP.
    fn end_of(&self, now: Timestamp, tokens: &Tokens, ends_there: Option<Timestamp>) -> Timestamp {
        let clock = &self.inner.clock;
        let limit = now.saturating_add(self.inner.options.session_lifetime);
        let limit = ends_there.map_or(limit, |ends| limit.min(clock.awaited(ends)));
        match tokens.refresh {
            Some(_) => limit,
            None => limit.min(tokens.access_expires_at),
        }
    }

    /// The log says whether a refresh token came if an operator can change that. The rule for `OIDC_PROMPT=auto`
    /// learns from it.
    fn notice_refresh_token(&self, attempt: &Attempt, came: bool) {
        let inner = &self.inner;
        if !self.asks_for_offline_access() {
            if !came && !inner.said_no_refresh_token.swap(true, Ordering::Relaxed) {
                let what = "the IdP gave no refresh token, so sessions end with their access token";
                let fix = fix!(
                    "add offline_access to {} and to the scopes that the IdP allows this client",
                    Knob::Scopes
                );
                tracing::warn!("{}", told(what, fix));
            }
            return;
        }
        let (Some(access), Some(client)) = (&inner.offline_access, inner.relying_party.client().get()) else {
            if !came && !inner.said_no_refresh_token.swap(true, Ordering::Relaxed) {
                let what = "the IdP gave no refresh token although offline_access was requested, so sessions end with their \
                            access token";
                let fix = fix!(
                    "set {} and allow the client the refresh_token grant, which many IdPs want",
                    Knob::Prompt.to("consent")
                );
                tracing::warn!("{}", told(what, fix));
            }
            return;
        };
        match access.learn(inner.relying_party.issuer(), &client.id, attempt.consent, came) {
            Some(Consent::Tried) => {
                let what = "the IdP gave no refresh token although offline_access was requested, so this session ends with its \
                            access token; the next logins ask for consent";
                let fix = fix!(
                    "wait for them; {} asks for it at every login",
                    Knob::Prompt.to("consent")
                );
                tracing::warn!("{}", told(what, fix));
            }
            Some(Consent::Useless) => {
                let what = "prompt=consent did not bring a refresh token either, so sessions end with their access token and it is \
                            not sent any more";
                tracing::warn!("{}", told(what, offline_access::without_refresh_token()));
            }
            Some(Consent::Needed) => {
                tracing::info!("refresh tokens come with consent");
            }
            Some(Consent::Unneeded) => {
                tracing::info!("refresh tokens come without consent");
            }
            None => {}
        }
    }
}
