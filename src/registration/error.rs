//! What can go wrong at registration, each with what to do about it.

mod kind;
mod target;
mod text;

use std::time::Duration;

use http::StatusCode;

use self::text::{left_after, refusal_hint, refused_scopes, said};
pub use self::{
    kind::ErrorKind,
    target::{Again, Target, Wish},
};
use super::{credentials::CredentialsError, vault::Place};
use crate::{
    oidc::{NegotiationError, OAuthError},
    outbound::TransportError,
};

/// Why there is no registration, or why it could not be brought up to date. Each text says what happened and what to
/// mend; none holds a token or a secret.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    /// The credentials file cannot be used.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The client exists at the IdP, but what it needs to log in is lost.
    #[error(
        "the IdP has registered the client {client_id}, but its credentials could not be kept: {source}; then have the \
         client removed at the IdP and start with a fresh DCR_IAT"
    )]
    NotStored {
        /// The client that is of no use now.
        client_id: String,
        /// Why.
        source: CredentialsError,
    },
    /// A token from the configuration that no HTTP header can carry.
    #[error(
        "the value of {variable} cannot be a token: it is empty or has spaces or control characters - hint: paste it \
         again, without line breaks"
    )]
    UnusableToken {
        /// Which one.
        variable: &'static str,
    },
    /// The IdP offers no registration.
    #[error(
        "the metadata of the IdP {issuer} names no registration_endpoint - hint: switch dynamic registration on at the \
         IdP, set DCR_REGISTRATION_URL, or register the client by hand and set DCR_ENABLED=false with AUTH_CLIENT_ID"
    )]
    NoEndpoint {
        /// Whose metadata.
        issuer: String,
    },
    /// The metadata name an endpoint that must not be used. It may be mended at the IdP, so that it is tried again.
    #[error("the IdP's metadata name no registration endpoint that can be used - hint: {reason}")]
    UnusableEndpoint {
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// No algorithm for client assertions.
    #[error("{0}")]
    Algorithm(#[from] NegotiationError),
    /// Neither credentials nor a token to get some.
    #[error(
        "there are no client credentials in {place} and no {unused}initial access token - hint: mint one at the IdP (for one \
         use) and set DCR_IAT or DCR_IAT_FILE, or set BOOTSTRAP_ADMIN_TOKEN; where the IdP registers without a token, set \
         DCR_IAT=none; where this client is registered already, restore bff_client.json instead", unused = if *spent { "unused " } else { "" }
    )]
    NoToken {
        /// Where credentials were looked for.
        place: Place,
        /// A token is set, but it has led to a registration before.
        spent: bool,
    },
    /// Registration is skipped, and nothing else says who we are.
    #[error(
        "SKIP_DCR_BOOTSTRAP is set, but there are no client credentials in {place} and the configuration names no complete \
         client - hint: remove SKIP_DCR_BOOTSTRAP, restore bff_client.json, or set AUTH_CLIENT_ID (and AUTH_CLIENT_SECRET \
         for a method with a secret)"
    )]
    NothingToSkipTo {
        /// Where credentials were looked for.
        place: Place,
    },
    /// A registration request was sent and nobody knows what became of it.
    #[error(
        "a registration was asked for at {url} with an initial access token, and whether it worked is not known: {cause}. \
         It is not repeated, since it could make a second client - hint: look at the IdP whether {client} exists; remove \
         it if so, then {again} (what was sent is noted in {place})"
    )]
    OutcomeUnknown {
        /// Where to.
        url: String,
        /// What happened.
        cause: String,
        /// What to look for.
        client: Wish,
        /// What lets it be asked for again.
        again: Again,
        /// Where it is noted.
        place: Place,
    },
    /// 401 or `invalid_token` at registration.
    #[error(
        "the IdP refused the initial access token at {url} with {status}{}: it is expired, used up or wrong - hint: mint a \
         new one at the IdP and set DCR_IAT", said(error.as_ref())
    )]
    InitialTokenRefused {
        /// Where.
        url: String,
        /// The answer.
        status: StatusCode,
        /// What the IdP says.
        error: Option<OAuthError>,
    },
    /// The IdP wants an initial access token, although the configuration says that it needs none.
    #[error(
        "the IdP refused a registration without an initial access token at {url} with {status}{}, but DCR_IAT=none says \
         that it needs none - hint: mint one at the IdP (for one use) and set DCR_IAT", said(error.as_ref())
    )]
    TokenRequired {
        /// Where.
        url: String,
        /// The answer.
        status: StatusCode,
        /// What the IdP says.
        error: Option<OAuthError>,
    },
    /// No initial access token could be minted.
    #[error(
        "no initial access token could be minted at {url}: {reason}{} - hint: BOOTSTRAP_ADMIN_TOKEN must be a valid admin \
         token of an IdP with this API, and IDP_BASE_URL (else OIDC_ISSUER) points there; or mint one by hand and set \
         DCR_IAT", said(error.as_ref())
    )]
    MintRefused {
        /// Where.
        url: String,
        /// The answer.
        reason: String,
        /// What the IdP says.
        error: Option<OAuthError>,
    },
    /// `invalid_scope`.
    #[error(
        "the IdP refused the scopes{}: asked for were {asked:?}{} - hint: add them to policy.allowed_scopes at the IdP \
         (dcr_config.yaml), restart it and start again, or ask for fewer in OIDC_SCOPES",
        said(Some(error)),
        refused_scopes(refused)
    )]
    InvalidScope {
        /// What was asked for.
        asked: String,
        /// Those that the IdP names as refused.
        refused: Vec<String>,
        /// What the IdP says.
        error: OAuthError,
    },
    /// `invalid_redirect_uri`.
    #[error(
        "the IdP refused the redirect URIs{}: sent were {} - hint: host, path and trailing slash must match exactly what \
         the IdP allows; correct DCR_REDIRECT_URIS, then register again with DCR_FORCE_REPLACE=true and a fresh DCR_IAT",
        said(Some(error)), uris.join(", ")
    )]
    InvalidRedirectUri {
        /// What was sent.
        uris: Vec<String>,
        /// What the IdP says.
        error: OAuthError,
    },
    /// Another client has the id, or ours whose credentials are not here.
    #[error(
        "the client id {client_id} is taken at the IdP{}, and {place} has no valid credentials for it - hint: restore \
         bff_client.json, have the client removed at the IdP, or ask for another id in DCR_CLIENT_ID", said(error.as_ref())
    )]
    ClientIdTaken {
        /// The id.
        client_id: String,
        /// Where credentials were looked for.
        place: Place,
        /// What the IdP says.
        error: Option<OAuthError>,
    },
    /// Any other refusal.
    #[error("the IdP refused with {status} at {url}{} - hint: {}", said(error.as_ref()), refusal_hint(*status, error.as_ref(), *target))]
    Refused {
        /// Where.
        url: String,
        /// What was asked there.
        target: Target,
        /// The answer.
        status: StatusCode,
        /// What the IdP says.
        error: Option<OAuthError>,
    },
    /// The registration access token does not work.
    #[error(
        "the IdP refused the registration access token of {client_id} at {url} with {status}{}: it is no longer valid - \
         hint: mint an initial access token and start once with DCR_IAT and DCR_FORCE_REPLACE=true, which registers anew; \
         where the IdP holds on to the id, have it issue a new registration access token or remove the client first",
        said(error.as_ref())
    )]
    RegistrationTokenRefused {
        /// Where.
        url: String,
        /// The answer.
        status: StatusCode,
        /// Whose.
        client_id: String,
        /// What the IdP says.
        error: Option<OAuthError>,
    },
    /// The client cannot be managed, and to register it anew was refused, too.
    #[error(
        "the IdP {found}, and the client was not registered anew: {}",
        left_after(client_id, cause)
    )]
    NotRegisteredAnew {
        /// The client that is stored.
        client_id: String,
        /// What the IdP did about the client that is stored, in words.
        found: String,
        /// Why no other one was registered.
        cause: Box<Self>,
    },
    /// The registration is not there any more.
    #[error(
        "the IdP has no registration of {client_id} at {url} ({status}) - hint: if the client was removed, mint an initial \
         access token and start once with DCR_IAT and DCR_FORCE_REPLACE=true; otherwise check the address, which the IdP \
         gave as registration_client_uri and IDP_BASE_URL moves"
    )]
    ClientGone {
        /// Where.
        url: String,
        /// The answer.
        status: StatusCode,
        /// Which.
        client_id: String,
    },
    /// The answer is about somebody else.
    #[error(
        "the IdP answered at {url} for the client {found:?}, but ours is {expected:?}; the answer is not used - hint: check \
         that bff_client.json belongs to this IdP, and restore it if not"
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
    #[error(
        "the registration has to change ({changes}), but the IdP updates it {tried} at {url} - hint: \
         change the client at the IdP by hand, or register anew with DCR_FORCE_REPLACE=true and a fresh DCR_IAT"
    )]
    CannotUpdate {
        /// Where.
        url: String,
        /// By which methods, in words.
        tried: &'static str,
        /// What differs.
        changes: String,
    },
    /// Redirect URIs are to be kept, and the IdP does not say which there are.
    #[error(
        "the registration has to change ({changes}), but at {url} the IdP does not say which redirect URIs it has, and \
         DCR_REDIRECT_UPDATE_MODE (or DCR_ROTATION_SAFE) wants to keep them - hint: change the client at the IdP by hand; or \
         list every redirect URI in DCR_REDIRECT_URIS and set DCR_REDIRECT_UPDATE_MODE=replace and DCR_ROTATION_SAFE=false"
    )]
    RedirectUrisUnknown {
        /// Where.
        url: String,
        /// What differs.
        changes: String,
    },
    /// The IdP gave nothing to manage the registration with.
    #[error(
        "the registration has to change ({changes}), but there is no usable registration_client_uri with its token - hint: \
         mint an initial access token and start once with DCR_IAT and DCR_FORCE_REPLACE=true"
    )]
    NeedsToken {
        /// What differs.
        changes: String,
    },
    /// The IdP registered an authentication method that we do not use.
    #[error(
        "the IdP registered {client_id} with another token_endpoint_auth_method than {asked}, which was asked for - hint: \
         allow {asked} at the IdP (its client profile), or set MS_BFF_TOKEN_AUTH_METHOD to the method that the client has \
         there"
    )]
    MethodReplaced {
        /// Which client.
        client_id: String,
        /// What we asked for.
        asked: &'static str,
    },
    /// The IdP registered an algorithm that the key does not do.
    #[error(
        "the IdP registered {client_id} with token_endpoint_auth_signing_alg {found}, which the signing key does not do - \
         hint: use a key that fits (name one in BFF_JWT_SIGNING_KEY; or set BFF_KEY_TYPE and run `bff keys rotate`), or allow \
         {asked} at the IdP"
    )]
    AlgorithmReplaced {
        /// Which client.
        client_id: String,
        /// What we asked for.
        asked: String,
        /// What the IdP says.
        found: String,
    },
    /// A method with a secret, without a secret.
    #[error(
        "the client {client_id} is to authenticate with {method}, but the IdP gave it no secret - hint: set \
         MS_BFF_TOKEN_AUTH_METHOD=private_key_jwt, or allow {method} at the IdP and register anew with \
         DCR_FORCE_REPLACE=true and a fresh DCR_IAT"
    )]
    NoSecret {
        /// Which client.
        client_id: String,
        /// How it would authenticate.
        method: &'static str,
    },
    /// No answer.
    #[error("cannot reach the IdP at {url}: {cause} - hint: {}", target.pointer())]
    Unreachable {
        /// Where.
        url: String,
        /// What was asked there.
        target: Target,
        /// Why.
        cause: TransportError,
    },
    /// The IdP answers that it cannot now.
    #[error("the IdP cannot answer now at {url} ({status}); it is tried again - hint: {}", target.pointer())]
    Unavailable {
        /// Where.
        url: String,
        /// What was asked there.
        target: Target,
        /// The answer.
        status: StatusCode,
        /// When it says it can.
        retry_after: Option<Duration>,
    },
    /// A page, or something broken.
    #[error("what answers at {url} ({status}) is not a registration answer: {reason} - hint: {}", target.pointer())]
    NotAnAnswer {
        /// Where.
        url: String,
        /// What was asked there.
        target: Target,
        /// The answer.
        status: StatusCode,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A redirect, which is not followed: the token would go along.
    #[error(
        "{url} answered with a redirect ({status}), which is not followed since the token would go along - hint: {}",
        target.pointer()
    )]
    Redirected {
        /// Where.
        url: String,
        /// What was asked there.
        target: Target,
        /// The answer.
        status: StatusCode,
    },
}
