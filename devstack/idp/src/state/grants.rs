//! Codes, grants and their tokens (RFC 6749, sections 4.1 and 6; RFC 9700, section 4.14).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{authorization_request::AuthorizationRequest, expiring::Expiring, random, secret::Digest};

/// RFC 6749, section 4.1.2, recommends at most ten minutes; a browser needs a second.
pub(crate) const CODE_LIFE: u64 = 60;

/// A person's permission for a client, given at one login. All its tokens end with it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Grant {
    pub(crate) id: String,
    pub(crate) client_id: String,
    pub(crate) sub: String,
    pub(crate) sid: String,
    pub(crate) auth_time: u64,
    pub(crate) scope: Vec<String>,
    pub(crate) expires_at: u64,
    /// The APIs for which the refresh token may ask for tokens.
    #[serde(default)]
    pub(crate) resources: Vec<String>,
    revoked: bool,
}

/// An authorization code that has been given out.
#[derive(Clone, Debug)]
pub(crate) struct Code {
    pub(crate) request: AuthorizationRequest,
    pub(crate) sub: String,
    pub(crate) sid: String,
    pub(crate) auth_time: u64,
    pub(crate) scope: Vec<String>,
    issued_at: u64,
    /// The grant that it led to, once used.
    used_for: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct RefreshToken {
    grant: String,
    rotated: bool,
}

#[derive(Serialize, Deserialize)]
struct AccessToken {
    grant: String,
    revoked: bool,
}

#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Grants {
    /// Too short-lived to outlive a restart.
    #[serde(skip)]
    codes: Expiring<Digest, Code>,
    by_id: Expiring<String, Grant>,
    refresh: Expiring<Digest, RefreshToken>,
    access: Expiring<String, AccessToken>,
}

/// Why a code or refresh token gets `invalid_grant`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GrantError {
    #[error("it is not known or has expired")]
    Unknown,
    #[error("it was issued to another client")]
    OtherClient,
    #[error("it was used before; all tokens of the login are revoked now")]
    Reused,
    #[error("it was revoked")]
    Revoked,
}

// === impl Code ===

impl Code {
    pub(crate) fn new(
        request: AuthorizationRequest,
        sub: String,
        sid: String,
        auth_time: u64,
        scope: Vec<String>,
    ) -> Self {
        Self {
            request,
            sub,
            sid,
            auth_time,
            scope,
            issued_at: 0,
            used_for: None,
        }
    }
}

// === impl Grants ===

impl Grants {
    pub(crate) fn issue_code(&mut self, mut code: Code, now: u64) -> String {
        let raw = random::token();
        code.issued_at = now;
        // Kept much longer than its lifetime, so that a second use differs from an invented token.
        self.codes
            .insert(Digest::of(&raw), code, now + CODE_LIFE * 60, now);
        raw
    }

    /// Uses up a code. The grant is there from now on, so that a second use can revoke it, also if the
    /// rest of this request fails.
    pub(crate) fn redeem(
        &mut self,
        raw: &str,
        client_id: &str,
        expires_at: u64,
        now: u64,
    ) -> Result<(Code, Grant), GrantError> {
        let code = self
            .codes
            .get_mut(&Digest::of(raw), now)
            .ok_or(GrantError::Unknown)?;
        if code.request.client_id != client_id {
            return Err(GrantError::OtherClient);
        }
        if let Some(grant) = code.used_for.clone() {
            self.revoke(&grant);
            return Err(GrantError::Reused);
        }
        let id = random::id();
        code.used_for = Some(id.clone());
        if code.issued_at + CODE_LIFE <= now {
            return Err(GrantError::Unknown);
        }
        let code = code.clone();
        let grant = Grant {
            id: id.clone(),
            client_id: client_id.to_owned(),
            sub: code.sub.clone(),
            sid: code.sid.clone(),
            auth_time: code.auth_time,
            scope: code.scope.clone(),
            expires_at,
            resources: code.request.resources.clone(),
            revoked: false,
        };
        self.by_id.insert(id, grant.clone(), expires_at, now);
        Ok((code, grant))
    }

    pub(crate) fn issue_refresh(&mut self, grant: &Grant, now: u64) -> String {
        let raw = random::token();
        let token = RefreshToken {
            grant: grant.id.clone(),
            rotated: false,
        };
        self.refresh
            .insert(Digest::of(&raw), token, grant.expires_at, now);
        raw
    }

    /// The grant behind a refresh token that may be used now. One that was rotated away ends the whole grant.
    pub(crate) fn check_refresh(
        &mut self,
        raw: &str,
        client_id: &str,
        now: u64,
    ) -> Result<Grant, GrantError> {
        let token = self
            .refresh
            .get(&Digest::of(raw), now)
            .ok_or(GrantError::Unknown)?;
        let grant = self
            .by_id
            .get(&token.grant, now)
            .ok_or(GrantError::Unknown)?
            .clone();
        if grant.client_id != client_id {
            return Err(GrantError::OtherClient);
        }
        if token.rotated {
            self.revoke(&grant.id);
            return Err(GrantError::Reused);
        }
        if grant.revoked {
            Err(GrantError::Revoked)
        } else {
            Ok(grant)
        }
    }

    /// The next refresh token; `raw` is no longer valid.
    pub(crate) fn rotate(&mut self, raw: &str, grant: &Grant, now: u64) -> String {
        if let Some(token) = self.refresh.get_mut(&Digest::of(raw), now) {
            token.rotated = true;
        }
        self.issue_refresh(grant, now)
    }

    /// Remembers an access token, so that it can be revoked before it ends.
    pub(crate) fn note_access(&mut self, jti: &str, grant: &str, expires_at: u64, now: u64) {
        let token = AccessToken {
            grant: grant.to_owned(),
            revoked: false,
        };
        self.access.insert(jti.to_owned(), token, expires_at, now);
    }

    /// The grant that an access token ends with.
    pub(crate) fn grant_of_access(&self, jti: &str) -> Option<String> {
        // Time 0: whether it has ended is another question.
        self.access.get(jti, 0).map(|token| token.grant.clone())
    }

    pub(crate) fn is_access_live(&self, jti: &str, now: u64) -> bool {
        // Time 0: an access token may outlive its grant, but not its revocation.
        let is_revoked = |id: &str| self.by_id.get(id, 0).is_some_and(|grant| grant.revoked);
        self.access
            .get(jti, now)
            .is_some_and(|token| !token.revoked && !is_revoked(&token.grant))
    }

    pub(crate) fn revoke_access(&mut self, jti: &str, now: u64) {
        if let Some(token) = self.access.get_mut(jti, now) {
            token.revoked = true;
        }
    }

    /// Revokes the grant of a refresh token (RFC 7009, section 2.1). `None` if the token is unknown.
    pub(crate) fn revoke_refresh(
        &mut self,
        raw: &str,
        client_id: &str,
        now: u64,
    ) -> Option<Result<(), GrantError>> {
        let id = self.refresh.get(&Digest::of(raw), now)?.grant.clone();
        let owner = self.by_id.get(&id, now)?.client_id.clone();
        if owner != client_id {
            return Some(Err(GrantError::OtherClient));
        }
        self.revoke(&id);
        Some(Ok(()))
    }

    pub(crate) fn revoke_where(&mut self, which: impl Fn(&Grant) -> bool) {
        for grant in self.by_id.values_mut() {
            if which(grant) {
                grant.revoked = true;
            }
        }
    }

    pub(crate) fn is_refresh_live(&self, raw: &str, now: u64) -> bool {
        self.refresh
            .get(&Digest::of(raw), now)
            .is_some_and(|token| self.is_live(token, now))
    }

    pub(crate) fn live_refresh_tokens(&self, sub: &str, now: u64) -> usize {
        let of_sub = |token: &&RefreshToken| {
            self.is_live(token, now)
                && self
                    .by_id
                    .get(&token.grant, now)
                    .is_some_and(|grant| grant.sub == sub)
        };
        self.refresh.values(now).filter(of_sub).count()
    }

    /// The clients that have got a code or tokens for a session.
    pub(crate) fn clients_of(&self, sid: &str) -> BTreeSet<String> {
        // Time 0: an ended grant may have become a session at the client.
        let granted = self.by_id.values(0).filter(|grant| grant.sid == sid);
        let coded = self.codes.values(0).filter(|code| code.sid == sid);
        granted
            .map(|grant| grant.client_id.clone())
            .chain(coded.map(|code| code.request.client_id.clone()))
            .collect()
    }

    fn is_live(&self, token: &RefreshToken, now: u64) -> bool {
        !token.rotated
            && self
                .by_id
                .get(&token.grant, now)
                .is_some_and(|grant| !grant.revoked)
    }

    fn revoke(&mut self, id: &str) {
        // Time 0: a grant that has ended may be revoked all the same.
        if let Some(grant) = self.by_id.get_mut(id, 0) {
            grant.revoked = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants() -> (Grants, String) {
        let mut grants = Grants::default();
        let request = AuthorizationRequest {
            client_id: "bff".to_owned(),
            ..AuthorizationRequest::default()
        };
        let scope = vec!["openid".to_owned()];
        let code = Code::new(request, "u".to_owned(), "s".to_owned(), 5, scope);
        let raw = grants.issue_code(code, 10);
        (grants, raw)
    }

    #[test]
    fn a_code_used_twice_revokes_what_the_first_use_gave() {
        let (mut grants, raw) = grants();
        let (_, grant) = grants.redeem(&raw, "bff", 1000, 11).unwrap();
        let refresh = grants.issue_refresh(&grant, 11);
        grants.note_access("a", &grant.id, 71, 11);
        assert!(grants.is_refresh_live(&refresh, 12) && grants.is_access_live("a", 12));
        assert_eq!(
            grants.redeem(&raw, "bff", 1000, 100).unwrap_err(),
            GrantError::Reused
        );
        assert!(!grants.is_refresh_live(&refresh, 12) && !grants.is_access_live("a", 12));
        assert_eq!(
            grants.check_refresh(&refresh, "bff", 12).unwrap_err(),
            GrantError::Revoked
        );
    }

    #[test]
    fn a_code_is_for_one_client_and_one_minute() {
        let (mut grants, raw) = grants();
        assert_eq!(
            grants.redeem(&raw, "other", 1000, 11).unwrap_err(),
            GrantError::OtherClient
        );
        assert_eq!(
            grants.redeem("x", "bff", 1000, 11).unwrap_err(),
            GrantError::Unknown
        );
        assert_eq!(
            grants.redeem(&raw, "bff", 1000, 70).unwrap_err(),
            GrantError::Unknown
        );
    }

    #[test]
    fn reuse_of_a_rotated_refresh_token_ends_the_family() {
        let (mut grants, raw) = grants();
        let (_, grant) = grants.redeem(&raw, "bff", 1000, 11).unwrap();
        let first = grants.issue_refresh(&grant, 11);
        grants.check_refresh(&first, "bff", 12).unwrap();
        let second = grants.rotate(&first, &grant, 12);
        assert_eq!(grants.live_refresh_tokens("u", 12), 1);
        assert_eq!(
            grants.check_refresh(&second, "other", 13).unwrap_err(),
            GrantError::OtherClient
        );
        assert_eq!(
            grants.check_refresh(&first, "bff", 13).unwrap_err(),
            GrantError::Reused
        );
        assert_eq!(
            grants.check_refresh(&second, "bff", 13).unwrap_err(),
            GrantError::Revoked
        );
        assert_eq!(grants.live_refresh_tokens("u", 13), 0);
        assert_eq!(
            grants.check_refresh(&second, "bff", 1000).unwrap_err(),
            GrantError::Unknown
        );
    }
}
