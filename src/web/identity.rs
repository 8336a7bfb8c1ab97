//! Who the caller is, in header fields.

use std::fmt::Write as _;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::{Web, caller::Caller};
use crate::{
    bearer::{Bearer, account_arn},
    session::SessionRef,
};

const X_USER_ID: HeaderName = HeaderName::from_static("x-user-id");
const X_USER_EMAIL: HeaderName = HeaderName::from_static("x-user-email");
const X_USER_NAME: HeaderName = HeaderName::from_static("x-user-name");
const X_SESSION_ID: HeaderName = HeaderName::from_static("x-session-id");
const X_AUTH_TIME: HeaderName = HeaderName::from_static("x-auth-time");

const X_ORIGINAL_USER: HeaderName = HeaderName::from_static("x-original-user");

/// Longer values are left out, in bytes after encoding.
const MAX_VALUE_LENGTH: usize = 1024;

/// The facts about the caller for a proxy. Only facts that the IdP states: no address that it does not call verified
/// (see [`user_claims`](crate::session::user_claims)) and no login time that it did not state.
pub(super) fn of(web: &Web, caller: &Caller) -> HeaderMap {
    let session = &caller.stored.session;
    let mut headers = HeaderMap::new();
    set(&mut headers, X_USER_ID, &session.subject);
    let reference = SessionRef::new(&web.sealer, &caller.key);
    set(&mut headers, X_SESSION_ID, reference.as_str());
    if let Some(auth_time) = session.auth_time {
        headers.insert(X_AUTH_TIME, HeaderValue::from(auth_time.unix_seconds()));
    }
    for (name, claim) in [(X_USER_EMAIL, "email"), (X_USER_NAME, "name")] {
        if let Some(value) = session.user.get(claim).and_then(Value::as_str) {
            set(&mut headers, name, value);
        }
    }
    headers
}

/// The same for a service, with the name of the person over all providers.
pub(super) fn of_session(web: &Web, caller: &Caller) -> HeaderMap {
    let session = &caller.stored.session;
    let mut headers = HeaderMap::clone(session.identity.get_or_init(|| of(web, caller)));
    set_name(&mut headers, &name_of(web, caller));
    headers
}

/// The name of the person of a session over all providers.
pub(super) fn name_of(web: &Web, caller: &Caller) -> String {
    let session = &caller.stored.session;
    let provider = web.bearers.provider_of(&session.issuer);
    let provider = provider.as_deref().unwrap_or(&web.provider_alias);
    account_arn(provider, &session.subject)
}

/// The facts about a caller with a token of its own: the subject and the name of its token.
pub(super) fn of_bearer(bearer: &Bearer) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Some(subject) = bearer.claims.get("sub").and_then(Value::as_str) {
        set(&mut headers, X_USER_ID, subject);
    }
    set_name(&mut headers, &bearer.name);
    headers
}

/// The provider in the name is encoded already.
fn set_name(headers: &mut HeaderMap, name: &str) {
    let end = name.match_indices(':').nth(2).map_or(0, |(at, _)| at + 1);
    let (encoded, rest) = name.split_at(end);
    let value = format!("{encoded}{}", encode(rest));
    if value.len() <= MAX_VALUE_LENGTH
        && let Ok(value) = HeaderValue::try_from(value)
    {
        headers.insert(X_ORIGINAL_USER, value);
    }
}

/// Sets a header to a claim. What is not printable ASCII is percent-encoded, and so is `%`, so that no claim makes
/// a second header or a value that readers disagree on; an immoderate one is left out.
fn set(headers: &mut HeaderMap, name: HeaderName, claim: &str) {
    let value = encode(claim);
    if value.len() <= MAX_VALUE_LENGTH
        && let Ok(value) = HeaderValue::try_from(value)
    {
        headers.insert(name, value);
    }
}

fn encode(claim: &str) -> String {
    let mut value = String::with_capacity(claim.len());
    for byte in claim.bytes() {
        match byte {
            b'%' => value.push_str("%25"),
            b' '..=b'~' => value.push(char::from(byte)),
            other => {
                // Writing to a String cannot fail.
                let _ = write!(value, "%{other:02X}");
            }
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attack_30_no_claim_makes_a_second_header() {
        for (claim, expected) in [
            ("Ada Lovelace", Some("Ada Lovelace")),
            ("Zoë", Some("Zo%C3%AB")),
            ("a\r\nX-User-ID: root", Some("a%0D%0AX-User-ID: root")),
            ("nul\0", Some("nul%00")),
            ("100%", Some("100%25")),
        ] {
            let mut headers = HeaderMap::new();
            set(&mut headers, X_USER_NAME, claim);
            assert_eq!(
                headers.get(X_USER_NAME).map(|value| value.to_str().unwrap()),
                expected
            );
            assert_eq!(headers.len(), 1);
        }
        let mut headers = HeaderMap::new();
        set(&mut headers, X_USER_NAME, &"x".repeat(64 * 1024));
        assert!(headers.is_empty());
    }
}
