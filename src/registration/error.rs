//! The errors of registration. `error/fix.rs` has the advice for each.

mod fix;
mod kind;
mod target;
mod text;

use std::time::Duration;

use http::StatusCode;

use self::text::{left_after, lost, refused, refused_scopes, said};
pub use self::{
    kind::ErrorKind,
    target::{Again, RequestedClientId, Target},
};
use super::{answer::AnswerError, credentials::CredentialsError, options::UpdateMethod, vault::Place};
use crate::{
    diagnostic::Knob,
    oidc::{EndpointError, NegotiationError, OAuthError, Standing},
    outbound::{TransportError, Unread},
};

/// Why there is no registration, or why it could not be brought up to date. No text holds a token or a secret.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RegistrationError {
    /// The credentials file cannot be used.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The client exists at the IdP, but its credentials are lost.
    #[error("the IdP has registered the client {client_id}, but its credentials could not be kept: {source}")]
    NotStored {
        /// The client that is of no use now.
        client_id: String,
        /// Why.
        source: CredentialsError,
    },
    /// A token from the configuration that no HTTP header can carry.
    #[error("{what} is not a token: it is empty or has spaces or control characters")]
    UnusableToken {
        /// Which one, in words.
        what: &'static str,
        /// The setting with the token.
        knob: Knob,
    },
    /// The IdP offers no registration.
    #[error(
        "the metadata of the IdP {issuer} names no registration_endpoint: it offers no dynamic registration"
    )]
    NoEndpoint {
        /// The issuer of the metadata.
        issuer: String,
    },
    /// The metadata name an unusable endpoint. The IdP may correct it, so the server tries again.
    #[error("the IdP's metadata name no registration endpoint that can be used: {reason}")]
    UnusableEndpoint {
        /// The mistake in it.
        reason: EndpointError,
    },
    /// No algorithm for client assertions.
    #[error("{0}")]
    Algorithm(#[from] NegotiationError),
    /// Neither credentials nor a token to get some.
    #[error(
        "there are no client credentials in {place} and no {unused}initial access token",
        unused = if *spent { "unused " } else { "" }
    )]
    NoToken {
        /// The place searched for credentials.
        place: Place,
        /// A token is set, but it has led to a registration before.
        spent: bool,
    },
    /// Registration is skipped, and nothing else says who we are.
    #[error(
        "registration is skipped, as configured, but there are no client credentials in {place} and the configuration names no \
         complete client"
    )]
    NothingToSkipTo {
        /// The place searched for credentials.
        place: Place,
    },
    /// A registration request was sent, and its outcome is unknown.
    #[error(
        "the outcome of a registration request to {url} with an initial access token is unknown: {cause}. It is not \
         repeated, because a second client could result (the request is noted in {place})"
    )]
    OutcomeUnknown {
        /// The address of the request.
        url: String,
        /// The failure.
        cause: String,
        /// The client to search for at the IdP.
        client: RequestedClientId,
        /// The configuration change that allows another request.
        again: Again,
        /// The place of the note.
        place: Place,
    },
    /// 401 or `invalid_token` at registration.
    #[error("the IdP refused the initial access token at {url} with {status}{}: it is expired, used up or wrong", said(error.as_ref()))]
    InitialTokenRefused {
        /// Where.
        url: String,
        /// The answer.
        status: StatusCode,
        /// The IdP's error.
        error: Option<OAuthError>,
    },
    /// The IdP wants an initial access token, although the configuration says that it needs none.
    #[error(
        "the IdP refused a registration without an initial access token at {url} with {status}{}, but the configuration says \
         that it needs none", said(error.as_ref())
    )]
    TokenRequired {
        /// Where.
        url: String,
        /// The answer.
        status: StatusCode,
        /// The IdP's error.
        error: Option<OAuthError>,
    },
    /// No initial access token could be minted.
    #[error("no initial access token could be minted at {url}: {reason}{}", said(error.as_ref()))]
    MintRefused {
        /// Where.
        url: String,
        /// The answer.
        reason: String,
        /// The IdP's error.
        error: Option<OAuthError>,
    },
    /// `invalid_scope`.
    #[error(
        "the IdP refused the scopes{}: the request has {asked:?}{}",
        said(Some(error)),
        refused_scopes(refused)
    )]
    InvalidScope {
        /// The requested scopes.
        asked: String,
        /// Those that the IdP names as refused.
        refused: Vec<String>,
        /// The IdP's error.
        error: OAuthError,
    },
    /// `invalid_redirect_uri`.
    #[error("the IdP refused the redirect URIs{}: the request has {}", said(Some(error)), uris.join(", "))]
    InvalidRedirectUri {
        /// The redirect URIs of the request.
        uris: Vec<String>,
        /// The IdP's error.
        error: OAuthError,
    },
    /// Another client has the id, or ours whose credentials are not here.
    #[error("the client id {client_id} is taken at the IdP{}, and {place} has no valid credentials for it", said(error.as_ref()))]
    ClientIdTaken {
        /// The id.
        client_id: String,
        /// The place searched for credentials.
        place: Place,
        /// The IdP's error.
        error: Option<OAuthError>,
    },
    /// Any other refusal.
    #[error("{}", refused(url, *status, error.as_ref(), page.as_ref()))]
    Refused {
        /// Where.
        url: String,
        /// The purpose of the call.
        target: Target,
        /// The answer.
        status: StatusCode,
        /// The IdP's error.
        error: Option<OAuthError>,
        /// The form of an answer for people: it does not come from the IdP's API.
        page: Option<Unread>,
    },
    /// The registration access token does not work.
    #[error(
        "the IdP refused the registration access token of {client_id} at {url} with {status}{}: {}",
        said(error.as_ref()),
        lost(*standing)
    )]
    RegistrationTokenRefused {
        /// Where.
        url: String,
        /// The answer.
        status: StatusCode,
        /// The client of the token.
        client_id: String,
        /// The IdP's error.
        error: Option<OAuthError>,
        /// Whether the IdP still accepts the client.
        standing: Standing,
    },
    /// The client cannot be managed, and the IdP refused a new registration, too.
    #[error(
        "the IdP {found}, and the client was not registered anew: {}",
        left_after(client_id, cause)
    )]
    NotRegisteredAnew {
        /// The client that is stored.
        client_id: String,
        /// The IdP's answer for the stored client, in words.
        found: String,
        /// Why no other one was registered.
        cause: Box<Self>,
    },
    /// The registration is not there any more.
    #[error("the IdP has no registration of {client_id} at {url} ({status})")]
    ClientGone {
        /// Where.
        url: String,
        /// The answer.
        status: StatusCode,
        /// Which.
        client_id: String,
    },
    /// The IdP knows neither the registration access token nor the client.
    #[error(
        "the client {client_id} was deleted at the IdP: the IdP refuses its registration access token at {url} with {status}, and \
         the client itself with invalid_client"
    )]
    ClientDeleted {
        /// Where.
        url: String,
        /// The answer there.
        status: StatusCode,
        /// Which.
        client_id: String,
    },
    /// The answer is about another client.
    #[error(
        "the IdP answered at {url} for the client {found:?}, but ours is {expected:?}; the answer is not used"
    )]
    OtherClient {
        /// Where.
        url: String,
        /// Our id.
        expected: String,
        /// The id in the answer.
        found: String,
    },
    /// The IdP cannot update a registration.
    #[error("the registration has to change ({changes}), but the IdP updates it {} at {url}", tried.in_vain())]
    CannotUpdate {
        /// Where.
        url: String,
        /// By which methods.
        tried: UpdateMethod,
        /// The fields that differ.
        changes: String,
    },
    /// Redirect URIs are to be kept, and the IdP does not say which there are.
    #[error(
        "the registration has to change ({changes}), but at {url} the IdP does not say which redirect URIs it has, and the \
         configuration says to keep them"
    )]
    RedirectUrisUnknown {
        /// Where.
        url: String,
        /// The fields that differ.
        changes: String,
    },
    /// The IdP gave nothing to manage the registration with.
    #[error(
        "the registration has to change ({changes}), but there is no usable registration_client_uri with its token"
    )]
    NeedsToken {
        /// The fields that differ.
        changes: String,
    },
    /// The configuration wants another registration, and forbids the call that would write it.
    #[error("the registration of {client_id} has to change ({changes}), but no call is made, as configured")]
    NotWritten {
        /// Which client.
        client_id: String,
        /// The fields that differ.
        changes: String,
    },
    /// The IdP registered an authentication method that we do not use.
    #[error(
        "the IdP registered {client_id} with another token_endpoint_auth_method than the requested {asked}"
    )]
    MethodReplaced {
        /// Which client.
        client_id: String,
        /// The requested method.
        asked: &'static str,
    },
    /// The IdP registered an algorithm that the key does not do.
    #[error(
        "the IdP registered {client_id} with token_endpoint_auth_signing_alg {found}, which the signing key does not support"
    )]
    AlgorithmReplaced {
        /// Which client.
        client_id: String,
        /// The requested algorithm.
        asked: String,
        /// The IdP's value.
        found: String,
    },
    /// A method with a secret, without a secret.
    #[error("the client {client_id} is to authenticate with {method}, but the IdP gave it no secret")]
    NoSecret {
        /// Which client.
        client_id: String,
        /// How it would authenticate.
        method: &'static str,
    },
    /// No answer.
    #[error("cannot reach the IdP at {url}: {cause}")]
    Unreachable {
        /// Where.
        url: String,
        /// The purpose of the call.
        target: Target,
        /// Why.
        cause: TransportError,
    },
    /// The IdP answers that it cannot now.
    #[error("the IdP cannot answer now at {url} ({status}); it is tried again")]
    Unavailable {
        /// Where.
        url: String,
        /// The purpose of the call.
        target: Target,
        /// The answer.
        status: StatusCode,
        /// When it says it can.
        retry_after: Option<Duration>,
    },
    /// A page, or something broken.
    #[error("the response at {url} ({status}) is not a registration response: {reason}")]
    NotAnAnswer {
        /// Where.
        url: String,
        /// The purpose of the call.
        target: Target,
        /// The answer.
        status: StatusCode,
        /// The mistake in it.
        reason: AnswerError,
    },
    /// A redirect, which is not followed: the token would go along.
    #[error(
        "{url} answered with a redirect ({status}), which is not followed, because it would reveal the token"
    )]
    Redirected {
        /// Where.
        url: String,
        /// The purpose of the call.
        target: Target,
        /// The answer.
        status: StatusCode,
    },
}
