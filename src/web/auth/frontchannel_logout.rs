//! `GET /auth/frontchannel-logout`: a page of the IdP shows this in a frame when a person logs out there (OpenID Connect
//! Front-Channel Logout 1.0).
//!
//! A browser sends the session cookie into a frame of another site only if the IdP belongs to the same site, so this
//! usually finds no session. It is not registered if the IdP can notify us itself
//! ([`backchannel_logout`](super::backchannel_logout)).

use axum::{
    extract::State,
    response::{Html, IntoResponse as _, Response},
};
use http::{HeaderValue, header::SET_COOKIE, request::Parts};

use super::super::{
    Web,
    envelope::Envelope,
    problem::{Code, Problem},
    query::Parameters,
};
use crate::{login::FrontChannelError, protection::Protection};

/// The frame is invisible.
const PAGE: &str =
    "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Logged out</title>\n";

/// Ends the session of the browser if the IdP means this one. The page is the same otherwise, so that nobody learns
/// which session a browser has.
pub(in super::super) async fn handle(State(web): State<Web>, request: Parts) -> Result<Response, Problem> {
    let mut query = Parameters::parse(request.uri.query())?;
    // Section 3 has both or none; we register that we need them.
    let (Some(issuer), Some(sid)) = (query.take("iss")?, query.take("sid")?) else {
        return Err(invalid("Both `iss` and `sid` are needed."));
    };
    let caller = web.caller(Envelope::from(&request)).await?.ok();
    match web.login.end_by_front_channel(&issuer, &sid).await {
        Ok(_) => {}
        Err(error @ FrontChannelError::Issuer) => return Err(invalid(error.to_string())),
        Err(FrontChannelError::Store(error)) => return Err(error.into()),
    }
    let is_theirs = caller.is_some_and(|caller| {
        let session = &caller.stored.session;
        session.issuer == issuer && session.sid.as_deref() == Some(&*sid)
    });
    let mut response = Html(PAGE).into_response();
    let answer = response.headers_mut();
    let protection = Protection {
        policy: Some(framed_by_the_idp(&web)?),
        ..Protection::default()
    };
    protection.apply(answer, false);
    if is_theirs {
        answer.append(SET_COOKIE, web.cookies.clear_session());
    }
    Ok(response)
}

/// Without `X-Frame-Options`: it cannot name another origin, and would forbid the frame.
fn framed_by_the_idp(web: &Web) -> Result<HeaderValue, Problem> {
    let origins = Vec::from_iter(web.login.idp_origins()).join(" ");
    let policy =
        format!("default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors {origins}");
    HeaderValue::try_from(policy).map_err(|_| Problem::internal())
}

fn invalid(detail: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    Problem::new(Code::InvalidRequest, detail)
}
