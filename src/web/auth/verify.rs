//! `/auth/verify` and `/auth/forward`: forward authentication for Traefik, Caddy and nginx.

use std::fmt::Write as _;

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header::AUTHORIZATION, request::Parts};
use serde_json::Value;

use super::super::{
    Listener, Web, arrival::Arrival, caller::Caller, peer::X_FORWARDED_METHOD, problem::Problem, proof,
    query::Parameters,
};
use crate::{session::SessionRef, tokens::CredentialError};

const X_USER_ID: HeaderName = HeaderName::from_static("x-user-id");
const X_USER_EMAIL: HeaderName = HeaderName::from_static("x-user-email");
const X_USER_NAME: HeaderName = HeaderName::from_static("x-user-name");
const X_SESSION_ID: HeaderName = HeaderName::from_static("x-session-id");
const X_AUTH_TIME: HeaderName = HeaderName::from_static("x-auth-time");

/// Longer values are left out, in bytes after encoding.
const MAX_VALUE_LENGTH: usize = 1024;

/// Says who calls. On the internal listener, with `service`, the access token for it too; never on the public one, since
/// a browser can send this request too.
pub(in super::super) async fn handle(
    web: &Web,
    arrival: &Arrival,
    request: &Parts,
) -> Result<Response, Problem> {
    let service = Parameters::parse(request.uri.query())?.take("service")?;
    if service.is_some() && arrival.listener == Listener::Public {
        return Err(Problem::bad_request(
            "internal_only",
            "The parameter `service` is possible on the internal listener only (BFF_INTERNAL_ADDR).",
        ));
    }
    let caller = verified(web, arrival, request).await?;
    let mut response = answer(web, &caller).await?;
    if let Some(service) = service {
        let services = web.gateway.routes().services();
        if !services.iter().any(|known| known.id() == service) {
            return Err(Problem::bad_request(
                "unknown_service",
                "No service of this id is in routes.yaml.",
            ));
        }
        let credential = web.tokens.credential(&caller.key, &caller.stored).await?;
        response
            .headers_mut()
            .insert(AUTHORIZATION, credential.into_authorization());
    }
    Ok(response)
}

/// The caller, and for a state change that a listed proxy asks about, the proof of its origin.
async fn verified(web: &Web, arrival: &Arrival, request: &Parts) -> Result<Caller, Problem> {
    let caller = web
        .caller(&request.headers)
        .await?
        .ok_or_else(Problem::unauthenticated)?;
    arrival.notes.session(web, &caller);
    // Several lines: whichever the proxy acts on, none may change state without the proof.
    let mut methods = request.headers.get_all(X_FORWARDED_METHOD).iter();
    let changes_state = methods.any(|method| {
        Method::from_bytes(method.as_bytes()).map_or(true, |method| proof::changes_state(&method))
    });
    let client = || {
        web.trusted_proxies
            .client(arrival.peer, &request.uri, &request.headers)
    };
    if changes_state && client().by_proxy {
        web.own_origins.check(&request.headers)?;
    }
    Ok(caller)
}

async fn answer(web: &Web, caller: &Caller) -> Result<Response, Problem> {
    let session = &caller.stored.session;
    let mut response = StatusCode::OK.into_response();
    let headers = response.headers_mut();
    headers.clone_from(session.identity.get_or_init(|| identity(web, caller)));
    if let Some(renewal) = web.touch(caller).await? {
        renewal.apply(headers);
    }
    Ok(response)
}

/// Who the caller is, in header fields.
fn identity(web: &Web, caller: &Caller) -> HeaderMap {
    let session = &caller.stored.session;
    let mut headers = HeaderMap::new();
    set(&mut headers, X_USER_ID, &session.subject);
    let reference = SessionRef::new(&web.sealer, &caller.key);
    set(&mut headers, X_SESSION_ID, reference.as_str());
    headers.insert(
        X_AUTH_TIME,
        HeaderValue::from(session.auth_time.unwrap_or(session.created_at).unix_seconds()),
    );
    for (name, claim) in [(X_USER_EMAIL, "email"), (X_USER_NAME, "name")] {
        if let Some(value) = session.user.get(claim).and_then(Value::as_str) {
            set(&mut headers, name, value);
        }
    }
    headers
}

/// Sets a header to a claim. Whatever is not printable ASCII is percent-encoded, and so is `%`, so that no claim makes
/// a second header or a value that readers disagree on; an immoderate one is left out.
fn set(headers: &mut HeaderMap, name: HeaderName, claim: &str) {
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
    if value.len() <= MAX_VALUE_LENGTH
        && let Ok(value) = HeaderValue::try_from(value)
    {
        headers.insert(name, value);
    }
}

impl From<CredentialError> for Problem {
    fn from(error: CredentialError) -> Self {
        match error {
            CredentialError::Ended => Self::unauthenticated(),
            CredentialError::Pending(after) => Self::unavailable("token_refresh_pending").retry_after(after),
            CredentialError::Store(error) => error.into(),
        }
    }
}

impl From<proof::ProofError> for Problem {
    fn from(error: proof::ProofError) -> Self {
        let code = match error {
            proof::ProofError::Origin => "csrf_origin",
            proof::ProofError::Token => "csrf_token",
        };
        Self::forbidden(code, error.to_string())
    }
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
