//! The calls: create (RFC 7591 section 3), read, update and delete (RFC 7592 section 2), and the minting of an initial
//! access token.
//!
//! Each call is made once. Its error tells whether it may be repeated.

use http::{Method, StatusCode};
use serde_json::Value;
use url::Url;

use super::{
    answer::Answer,
    error::{Again, RegistrationError, RequestedClientId, Target},
    refusal::{Asked, claims_json, failure, is_transient, oauth_error, object, page, shown, unavailable},
};
use crate::{
    oidc::Standing,
    outbound::{Lane, Outbound, Request, Response},
    secret::Secret,
};

/// How long a minted initial access token lives: it is used at once.
const MINTED_LIFETIME: u32 = 300;

/// The management endpoint of a registration.
pub(super) struct Management {
    pub(super) url: Url,
    pub(super) token: Secret,
    pub(super) client_id: String,
}

/// The outcome of a call that an IdP need not support.
pub(super) enum Reply {
    Answer(Box<Answer>),
    /// Done, without a word.
    Done,
    /// The IdP does not know the client.
    Gone,
    /// The IdP does not know the client or the token; it does not tell which (RFC 7592 section 2.3).
    Unauthorized,
    /// The IdP does not do that.
    Unsupported,
}

/// Speaks to the IdP.
#[derive(Clone, Debug)]
pub(super) struct Calls {
    pub(super) outbound: Outbound,
}

// === impl Calls ===

impl Calls {
    /// Registers a client. [`RegistrationError::OutcomeUnknown`] if the client may exist although the server has no
    /// answer.
    pub(super) async fn create(
        &self,
        url: &Url,
        token: Option<&Secret>,
        body: &Value,
        asked: &Asked,
    ) -> Result<Answer, RegistrationError> {
        let target = Target::Registration;
        let unknown = |cause: String| RegistrationError::OutcomeUnknown {
            url: shown(url),
            cause,
            client: RequestedClientId(asked.client_id.clone()),
            again: Again::new(asked.open),
            place: asked.place.clone(),
        };
        let request = with_token(json(Method::POST, url, body), token);
        let response = match self.outbound.send(Lane::Registration, request).await {
            Ok(response) => response,
            Err(cause) if cause.certainly_not_sent() => {
                return Err(RegistrationError::Unreachable {
                    url: shown(url),
                    target,
                    cause,
                });
            }
            Err(cause) => return Err(unknown(cause.to_string())),
        };
        let status = response.status;
        match status {
            StatusCode::CREATED => {
                let answer = Answer::of(&response)
                    .map_err(|reason| unknown(format!("the IdP answered 201, but {reason}")))?;
                tracing::info!("201 Created");
                Ok(answer)
            }
            StatusCode::OK => match Answer::of(&response) {
                Ok(answer) => {
                    tracing::warn!(
                        "200 OK: the IdP registered the client, although RFC 7591 wants 201 Created"
                    );
                    Ok(answer)
                }
                // A page of a proxy is not an IdP that has acted; anything that claims to be JSON may be one.
                Err(reason) if claims_json(&response) => {
                    Err(unknown(format!("the IdP answered 200, but {reason}")))
                }
                Err(reason) => Err(RegistrationError::NotAnAnswer {
                    url: shown(url),
                    target,
                    status,
                    reason,
                }),
            },
            // A gateway that gave up waiting: the IdP behind it may have acted.
            StatusCode::GATEWAY_TIMEOUT => Err(unknown("a gateway before the IdP answered 504".to_owned())),
            status if status.is_success() => {
                Err(unknown(format!("the IdP answered {status} instead of 201")))
            }
            _ => Err(failure(&response, url, target, asked)),
        }
    }

    /// Reads a registration (RFC 7592 section 2.1).
    pub(super) async fn read(&self, at: &Management, asked: &Asked) -> Result<Reply, RegistrationError> {
        let request = Request::get(at.url.clone()).bearer(&at.token);
        self.manage(at, request, asked).await
    }

    /// Updates a registration by PUT (RFC 7592 section 2.2) or by PATCH.
    pub(super) async fn update(
        &self,
        at: &Management,
        method: Method,
        body: &Value,
        asked: &Asked,
    ) -> Result<Reply, RegistrationError> {
        let request = json(method, &at.url, body).bearer(&at.token);
        self.manage(at, request, asked).await
    }

    /// Deletes a registration (RFC 7592 section 2.3). A registration that no longer exists counts as deleted, and an
    /// IdP may report that by refusing the token.
    pub(super) async fn delete(&self, at: &Management, asked: &Asked) -> Result<Reply, RegistrationError> {
        let request = Request::delete(at.url.clone()).bearer(&at.token);
        let response = self.send(at, request).await?;
        match response.status {
            status if status.is_success() => Ok(Reply::Done),
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(Reply::Gone),
            StatusCode::UNAUTHORIZED => Ok(Reply::Unauthorized),
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => Ok(Reply::Unsupported),
            _ => Err(failure(&response, &at.url, Target::Client, asked)),
        }
    }

    /// Mints an initial access token for one use.
    pub(super) async fn mint(
        &self,
        url: &Url,
        admin: &Secret,
        label: &str,
    ) -> Result<Secret, RegistrationError> {
        let body = serde_json::json!({"label": label, "expires_in": MINTED_LIFETIME, "max_uses": 1});
        self.admin(url, admin, &body, &["token"]).await
    }

    /// Has another registration access token made for a client. Refused as the minting of a token is.
    pub(super) async fn renew_token(&self, url: &Url, admin: &Secret) -> Result<Secret, RegistrationError> {
        let names = ["registration_access_token", "token"];
        self.admin(url, admin, &serde_json::json!({}), &names).await
    }

    /// Has the admin API make a token, which is the first of `names` in its answer.
    async fn admin(
        &self,
        url: &Url,
        admin: &Secret,
        body: &Value,
        names: &[&str],
    ) -> Result<Secret, RegistrationError> {
        let target = Target::AdminApi;
        let request = Request::json(Method::POST, url.clone(), body).bearer(admin);
        // A repeated request does no harm, so every transport failure is temporary.
        let response = match self.outbound.send(Lane::Registration, request).await {
            Ok(response) => response,
            Err(cause) => {
                return Err(RegistrationError::Unreachable {
                    url: shown(url),
                    target,
                    cause,
                });
            }
        };
        let refused = |reason: String| RegistrationError::MintRefused {
            url: shown(url),
            reason,
            error: oauth_error(&response),
        };
        match response.status {
            StatusCode::CREATED | StatusCode::OK => {
                let token = object(&response).and_then(|mut answer| {
                    match names.iter().find_map(|name| answer.remove(*name)) {
                        Some(Value::String(token)) if super::credentials::is_token(&token) => Some(token),
                        _ => None,
                    }
                });
                token
                    .map(Secret::new)
                    .ok_or_else(|| refused("the answer has no usable `token`".to_owned()))
            }
            status if is_transient(status) => Err(unavailable(&response, url, target)),
            status if status.is_redirection() => Err(RegistrationError::Redirected {
                url: shown(url),
                target,
                status,
            }),
            status => Err(refused(format!("the IdP answered {status}"))),
        }
    }

    async fn manage(
        &self,
        at: &Management,
        request: Request,
        asked: &Asked,
    ) -> Result<Reply, RegistrationError> {
        let response = self.send(at, request).await?;
        let (url, status) = (shown(&at.url), response.status);
        let client_id = at.client_id.clone();
        match status {
            StatusCode::NO_CONTENT => Ok(Reply::Done),
            status if status.is_success() => {
                let answer = Answer::of(&response).map_err(|reason| RegistrationError::NotAnAnswer {
                    url: url.clone(),
                    target: Target::Client,
                    status,
                    reason,
                })?;
                if answer.client_id == client_id {
                    Ok(Reply::Answer(Box::new(answer)))
                } else {
                    Err(RegistrationError::OtherClient {
                        url,
                        expected: client_id,
                        found: answer.client_id,
                    })
                }
            }
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => Ok(Reply::Unsupported),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let error = oauth_error(&response);
                let page = page(&response);
                let names_another_cause =
                    error.as_ref().is_some_and(|error| !error.is("invalid_token")) || page.is_some();
                Err(if status == StatusCode::FORBIDDEN && names_another_cause {
                    RegistrationError::Refused {
                        url,
                        target: Target::Client,
                        status,
                        error,
                        page,
                    }
                } else {
                    RegistrationError::RegistrationTokenRefused {
                        url,
                        status,
                        client_id,
                        error,
                        standing: Standing::Unclear,
                    }
                })
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => Err(RegistrationError::ClientGone {
                url,
                status,
                client_id,
            }),
            _ => Err(failure(&response, &at.url, Target::Client, asked)),
        }
    }

    async fn send(&self, at: &Management, request: Request) -> Result<Response, RegistrationError> {
        // Reading, updating and deleting twice are as good as once (RFC 9110 section 9.2.2).
        let sent = self.outbound.send(Lane::Registration, request).await;
        sent.map_err(|cause| RegistrationError::Unreachable {
            url: shown(&at.url),
            target: Target::Client,
            cause,
        })
    }
}

/// `request` with `token`, if there is one.
pub(super) fn with_token(request: Request, token: Option<&Secret>) -> Request {
    match token {
        Some(token) => request.bearer(token),
        None => request,
    }
}

/// A call with a client's metadata. If the answer quotes the client's secret, the secret is hidden.
fn json(method: Method, url: &Url, body: &Value) -> Request {
    let secret = body.get("client_secret").and_then(Value::as_str);
    Request::json(method, url.clone(), body).withholding(secret)
}
