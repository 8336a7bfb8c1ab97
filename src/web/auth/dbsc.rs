//! `POST /auth/dbsc/register` and `POST /auth/dbsc/refresh`: a browser binds its session to a key of the device, and
//! proves from time to time that it still has it (Device Bound Session Credentials, W3C draft).
//!
//! The browser itself calls, not a page, so it knows no CSRF token. If another site has led to the waiting request,
//! as the IdP has after a login, it sends no `SameSite` cookie either. Therefore the identifier that the browser was
//! given finds the session, and the signature over a challenge of this session is the proof.

mod instructions;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, StatusCode, header::SET_COOKIE, request::Parts};
use tracing::Level;

use self::instructions::{End, Instructions};
use super::super::{
    Web,
    problem::{Code, Problem},
    structured,
};
use crate::{
    login::{ProofError, Registered, hosts::LoginHost},
    own_paths,
    protection::Protection,
    session::{DeviceKey, SessionKey, Stamp, StoreError},
};

/// Registers the key of the proof. Every refusal is 403: the browser then gives up, and its session stays an ordinary
/// one.
pub(in super::super) async fn register(State(web): State<Web>, request: Parts) -> Result<Response, Problem> {
    let headers = &request.headers;
    let is_offered = web.binding.device_cookie_lifetime().is_some();
    let Some(proof) = structured::proof(headers).filter(|_| is_offered) else {
        return Err(refused());
    };
    let cookie = web.cookies.session_id(headers).map(|id| id.key());
    let Registered { key, device } = web
        .login
        .devices()
        .register(&proof, cookie)
        .await
        .map_err(|error| match error {
            ProofError::Store(_) => unavailable(&error),
            // Events that anybody can cause are at debug.
            ProofError::Registered => {
                let message = "a second key was offered for a session that is bound to one";
                refused().because(Level::WARN, message, &error)
            }
            _ => refused().because(
                Level::DEBUG,
                "a browser could not bind its session to a key",
                &error,
            ),
        })?;
    let session = web.sessions.reference(&key);
    tracing::info!(%session, algorithm = %device.key.algorithm(), "a session is bound to a key of its device");
    let host = web.login_host_or_fallback(&request);
    let instructions = Instructions::new(DeviceKey::identifier(&key), host.origin(), &web.cookies);
    let mut response = Json(instructions).into_response();
    web.proven(&key, response.headers_mut());
    Ok(framed_by_nobody(response))
}

/// Gives the browser the next bound cookie for a proof. Writes nothing, and asks no other party.
pub(in super::super) async fn refresh(State(web): State<Web>, request: Parts) -> Result<Response, Problem> {
    let headers = &request.headers;
    let Some((key, device)) = web.bound(headers).await? else {
        return Ok(framed_by_nobody(Json(End::default()).into_response()));
    };
    let Some(proof) = structured::proof(headers) else {
        return Ok(framed_by_nobody(web.challenged(&key)));
    };
    match web.login.devices().check(&key, &device, &proof) {
        Ok(()) => {
            let mut response = StatusCode::OK.into_response();
            web.proven(&key, response.headers_mut());
            Ok(framed_by_nobody(response))
        }
        Err(ProofError::Challenge) => Ok(framed_by_nobody(web.challenged(&key))),
        // A browser that signs with another key than before cannot correct that by another try.
        Err(error) => {
            let is_first = web.0.refused_devices.first(&key, web.clock.now());
            let level = if is_first { Level::WARN } else { Level::DEBUG };
            let problem = Problem::new(Code::DeviceProofRefused, "The proof does not count.");
            Err(problem.because(level, "the proof of a device was refused", &error))
        }
    }
}

fn refused() -> Problem {
    Problem::new(Code::DeviceRegistrationRefused, "No key was registered.")
}

fn unavailable(error: &ProofError) -> Problem {
    Problem::unavailable(Code::SessionStoreUnavailable).because(
        Level::ERROR,
        "the session store does not answer",
        error,
    )
}

/// Its reader is the browser itself.
fn framed_by_nobody(mut response: Response) -> Response {
    Protection::of_data().apply(response.headers_mut(), false);
    response
}

// === impl Web ===

impl Web {
    /// Invites the browser to register a key, with the answer that gives it its session.
    pub(super) fn offer_binding(&self, host: &LoginHost, key: &SessionKey, answer: &mut HeaderMap) {
        // Browsers bind nothing over plain http.
        if self.binding.device_cookie_lifetime().is_none() || host.origin().scheme() != "https" {
            return;
        }
        let invitation = self.login.devices().invite(key);
        if let Some(value) = structured::registration(own_paths::DBSC_REGISTER, &invitation) {
            answer.append(structured::REGISTRATION, value);
        }
    }

    /// Takes the bound cookie away. The browser learns at its next proof that the session has ended.
    pub(super) fn forget_device(&self, answer: &mut HeaderMap) {
        if self.binding.device_cookie_lifetime().is_some() {
            answer.append(SET_COOKIE, self.cookies.clear_bound());
        }
    }

    /// The session that the browser wants to renew, and its key. `None` if it has ended, or if another login has
    /// replaced it in this browser.
    async fn bound(&self, headers: &HeaderMap) -> Result<Option<(SessionKey, DeviceKey)>, StoreError> {
        let named = structured::session_id(headers).and_then(|id| DeviceKey::named(&id));
        let cookie = self.cookies.session_id(headers).map(|id| id.key());
        let key = named.filter(|named| cookie.is_none_or(|cookie| cookie == *named));
        let (Some(key), Some(_)) = (key, self.binding.device_cookie_lifetime()) else {
            return Ok(None);
        };
        let stored = self.sessions.get(&key).await?;
        let device = stored.and_then(|stored| stored.session.bound.device.as_deref().cloned());
        Ok(device.map(|device| (key, device)))
    }

    /// The answer to a proof: the bound cookie, and the challenge for the next proof, which saves a round trip.
    fn proven(&self, key: &SessionKey, answer: &mut HeaderMap) {
        let Some(lifetime) = self.binding.device_cookie_lifetime() else {
            return;
        };
        let until = self.clock.now().saturating_add(lifetime);
        let stamp = Stamp::Cookie.write(&self.sealer, key, until);
        answer.append(SET_COOKIE, self.cookies.set_bound(&stamp, lifetime));
        self.add_challenge(key, answer);
    }

    /// 403, after which the browser signs the challenge and retries.
    fn challenged(&self, key: &SessionKey) -> Response {
        let mut response = StatusCode::FORBIDDEN.into_response();
        self.add_challenge(key, response.headers_mut());
        response
    }

    fn add_challenge(&self, key: &SessionKey, answer: &mut HeaderMap) {
        let challenge = self.login.devices().challenge(key);
        if let Some(value) = structured::challenge(&challenge, &DeviceKey::identifier(key)) {
            answer.append(structured::CHALLENGE, value);
        }
    }
}
