//! The requests that prove an authentication, and the meaning of their answers.

use std::fmt;

use http::StatusCode;

use super::super::Context;
use crate::{
    config::PromptSetting,
    diagnostic::{Explain, Fix},
    oidc::{AuthorizationRequest, CallError, InvalidClient, OAuthError, Pkce, RelyingParty},
    random::RandomExt as _,
    secret::Secret,
};

/// More redirect URIs are not tried.
const MOST_URIS: usize = 20;

/// The IdP's reaction to our authentication.
pub(super) enum Answer {
    In,
    Out(Refusal),
    /// It refuses something else.
    Refused(OAuthError),
    Unclear(CallError),
}

/// The IdP does not accept the client.
pub(super) enum Refusal {
    /// `invalid_client`.
    Told(Box<InvalidClient>),
    /// 401 without an OAuth error.
    Bare(CallError),
}

/// The redirect URIs that logins would use.
pub(super) fn redirect_uris(context: &Context<'_>) -> Vec<String> {
    let settings = context.config;
    let registered = settings.registration.redirect_uris.iter();
    let mut uris: Vec<String> = registered.map(ToString::to_string).take(MOST_URIS).collect();
    if uris.is_empty() {
        uris.extend(settings.login.fallback_callback.as_ref().map(ToString::to_string));
    }
    uris
}

/// Pushes an authorization request that nobody uses.
pub(super) async fn push(context: &Context<'_>, relying_party: &RelyingParty, uri: &str) -> Answer {
    let random = &*context.random;
    let request = AuthorizationRequest {
        scope: context.config.provider.scopes.join(" "),
        state: random.base64url::<16>(),
        nonce: random.base64url::<16>(),
        redirect_uri: uri.to_owned(),
        code_challenge: Pkce::generate(random).challenge,
        prompt: match &context.config.provider.prompt {
            PromptSetting::Always(prompt) => Some(prompt.clone()),
            PromptSetting::Auto | PromptSetting::Never => None,
        },
        login_hint: None,
        ui_locales: None,
        acr_values: None,
        domain_hint: None,
        tenant: None,
        max_age: None,
    };
    classify(relying_party.authorization_url(&request).await)
}

/// A code that the IdP never issued: an IdP that accepts the client complains about the code.
pub(super) async fn redeem(context: &Context<'_>, relying_party: &RelyingParty, uri: &str) -> Answer {
    let random = &*context.random;
    let code = Secret::new(random.base64url::<32>());
    let verifier = Pkce::generate(random).verifier;
    match classify(relying_party.exchange_code(&code, uri, &verifier).await) {
        Answer::Refused(error) if error.is("invalid_grant") => Answer::In,
        other => other,
    }
}

fn classify<T>(outcome: Result<T, CallError>) -> Answer {
    match outcome {
        Ok(_) => Answer::In,
        Err(CallError::InvalidClient(error)) => Answer::Out(Refusal::Told(error)),
        Err(CallError::Rejected(error)) => Answer::Refused(error),
        Err(error) if is_unauthorized(&error) => Answer::Out(Refusal::Bare(error)),
        Err(error) => Answer::Unclear(error),
    }
}

/// RFC 6749 section 5.2 gives this status a body, which some IdPs leave out.
fn is_unauthorized(error: &CallError) -> bool {
    matches!(
        error,
        CallError::Unexpected {
            status: StatusCode::UNAUTHORIZED,
            ..
        }
    )
}

// === impl Refusal ===

impl Explain for Refusal {
    fn fix(&self) -> Option<Fix> {
        match self {
            Self::Told(error) => error.fix(),
            Self::Bare(error) => error.fix(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Told(error) => error.fmt(f),
            Self::Bare(error) => error.fmt(f),
        }
    }
}
