//! The meaning of an unsuccessful response, as far as the server understands it.

use std::time::Duration;

use http::{StatusCode, header::CONTENT_TYPE};
use serde_json::{Map, Value};
use url::Url;

use super::{
    error::{RegistrationError, Target},
    vault::Place,
};
use crate::{
    oidc::OAuthError,
    outbound::{Response, Unread},
    retry::retry_after,
};

/// Longest wait that an IdP can ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(5);

/// The context that explains refusals.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// The client id that is wished for, in a create.
    pub(super) client_id: Option<String>,
    pub(super) scope: String,
    pub(super) redirect_uris: Vec<String>,
    /// No initial access token is needed, as configured.
    pub(super) open: bool,
    pub(super) place: Place,
}

/// The meaning of a status that refuses.
pub(super) fn failure(response: &Response, url: &Url, target: Target, asked: &Asked) -> RegistrationError {
    let status = response.status;
    if status.is_redirection() {
        return RegistrationError::Redirected {
            url: shown(url),
            target,
            status,
        };
    }
    if is_transient(status) {
        return unavailable(response, url, target);
    }
    let error = oauth_error(response);
    if target == Target::Registration && blames_token(status, error.as_ref()) {
        return token_refused(response, url, asked.open);
    }
    if let Some(client_id) = asked
        .client_id
        .as_ref()
        .filter(|_| is_taken(status, error.as_ref()))
    {
        return RegistrationError::ClientIdTaken {
            client_id: client_id.clone(),
            place: asked.place.clone(),
            error,
        };
    }
    match error {
        Some(error) if error.is("invalid_redirect_uri") => RegistrationError::InvalidRedirectUri {
            uris: asked.redirect_uris.clone(),
            error,
        },
        Some(error) if error.is("invalid_scope") || blames_scope(&error) => RegistrationError::InvalidScope {
            refused: refused_scopes(&asked.scope, error.description.as_deref()),
            asked: asked.scope.clone(),
            error,
        },
        error => RegistrationError::Refused {
            url: shown(url),
            target,
            status,
            page: page(response),
            error,
        },
    }
}

/// The form of an answer for people: a firewall's, for example.
pub(super) fn page(response: &Response) -> Option<Unread> {
    Some(response.unread()).filter(Unread::is_page)
}

/// Whether no registration endpoint answers so: something else, or nothing, has the address.
pub(super) const fn is_elsewhere(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::GONE
            | StatusCode::UNSUPPORTED_MEDIA_TYPE
    )
}

/// Whether a refused registration was refused because of its initial access token: any other reason has another `error`
/// (RFC 6750 section 3.1, RFC 7591 section 3.2.2).
pub(super) fn blames_token(status: StatusCode, error: Option<&OAuthError>) -> bool {
    status == StatusCode::UNAUTHORIZED || error.is_some_and(|error| error.is("invalid_token"))
}

/// A registration that was refused because of its token, or because it had none.
pub(super) fn token_refused(response: &Response, url: &Url, open: bool) -> RegistrationError {
    let (url, status, error) = (shown(url), response.status, oauth_error(response));
    if open {
        RegistrationError::TokenRequired { url, status, error }
    } else {
        RegistrationError::InitialTokenRefused { url, status, error }
    }
}

pub(super) fn unavailable(response: &Response, url: &Url, target: Target) -> RegistrationError {
    RegistrationError::Unavailable {
        url: shown(url),
        target,
        status: response.status,
        retry_after: retry_after(&response.headers).map(|wait| wait.min(MAX_RETRY_AFTER)),
    }
}

pub(super) fn is_transient(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY
        )
}

/// No standard defines the refusal of a taken client id, because no standard lets a client request one. IdPs send
/// 409, or an error with a text about it.
fn is_taken(status: StatusCode, error: Option<&OAuthError>) -> bool {
    if status == StatusCode::CONFLICT {
        return true;
    }
    let Some(description) = error.and_then(|error| error.description.as_deref()) else {
        return false;
    };
    // Another requested value, such as a profile, does not exist.
    let description = description.to_ascii_lowercase().replace("not exist", "");
    let names_the_id = ["client_id", "client id", "clientid"];
    let says_taken = ["taken", "exist", "in use", "already", "duplicate", "not unique"];
    names_the_id.iter().any(|word| description.contains(word))
        && says_taken.iter().any(|word| description.contains(word))
}

/// Some IdPs refuse scopes as `invalid_client_metadata`.
fn blames_scope(error: &OAuthError) -> bool {
    let description = error.description.as_deref().unwrap_or_default();
    error.is("invalid_client_metadata") && words(description).any(|word| word == "scope" || word == "scopes")
}

/// Whether an update may have been refused because of the client secret in it.
pub(super) fn may_blame_secret(error: &RegistrationError) -> bool {
    let RegistrationError::Refused { status, error, .. } = error else {
        return false;
    };
    let codes = ["invalid_client_metadata", "invalid_request"];
    *status == StatusCode::BAD_REQUEST
        && error
            .as_ref()
            .is_some_and(|error| codes.iter().any(|code| error.is(code)))
}

/// Whether the text of a refusal names the client secret, and not a method that uses one.
pub(super) fn blames_secret(error: &RegistrationError) -> bool {
    let RegistrationError::Refused {
        error: Some(error), ..
    } = error
    else {
        return false;
    };
    let description = error.description.as_deref().unwrap_or_default();
    words(&description.to_ascii_lowercase()).any(|word| word == "client_secret" || word == "secret")
}

/// The requested scopes that the description names, unless it names all.
fn refused_scopes(asked: &str, description: Option<&str>) -> Vec<String> {
    let named: Vec<&str> = words(description.unwrap_or_default()).collect();
    let refused = asked.split(' ').filter(|scope| named.contains(scope));
    refused.map(str::to_owned).collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    // Characters of scopes (RFC 6749 section 3.3), without those that end a sentence or quote a word.
    text.split(|character: char| character.is_whitespace() || ",;'\"`()[]".contains(character))
        .map(|word| word.trim_end_matches(['.', ':', '!']))
}

pub(super) fn oauth_error(response: &Response) -> Option<OAuthError> {
    OAuthError::from_object(&object(response)?, &response.withheld)
}

pub(super) fn object(response: &Response) -> Option<Map<String, Value>> {
    serde_json::from_slice(&response.body).ok()
}

pub(super) fn claims_json(response: &Response) -> bool {
    let content_type = response.headers.get(CONTENT_TYPE);
    let content_type = content_type
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    content_type.to_ascii_lowercase().contains("json")
}

/// A URL for a message, without its query, which may contain a token.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.into()
}
