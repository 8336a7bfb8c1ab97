//! `/auth/verify` and `/auth/forward`: forward authentication for Traefik, Caddy, nginx and Envoy.
//!
//! A call whose target a listed proxy names is admitted by its route, as if it came to the gateway. Any other call needs
//! a session, and an own origin if it changes state.

mod asked;
mod call;

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, request::Parts};

pub(in super::super) use self::asked::is_path;
use self::{asked::Asked, call::Call};
use super::super::{
    Listener, Web,
    admission::{self, Admitted},
    bearer::Bringer,
    caller::{Absent, Caller},
    csrf,
    envelope::Envelope,
    identity,
    page::Label,
    problem::{Code, Problem},
    query::Parameters,
    request_context::RequestContext,
    way_in,
};
use crate::{
    gateway::{Auth, Route},
    own_paths,
    tokens::CredentialError,
};

/// The URL of the login, for a proxy that cannot pass a redirect on.
const X_AUTH_LOGIN: HeaderName = HeaderName::from_static("x-auth-login");

/// The proxy's wishes, in the query.
#[derive(Default)]
struct Wishes {
    /// The service whose token it wants.
    service: Option<String>,
    /// The answer to a page without a session, if the proxy chooses it.
    unauthenticated: Option<Unauthenticated>,
}

/// In which form a proxy takes the way to the login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unauthenticated {
    /// As a redirect, which it passes on: Traefik, Caddy, Envoy.
    Redirect,
    /// As 401 with the URL in a header field: nginx makes a 500 of any redirect.
    Status401,
}

/// Admits the call that a proxy asks about, and names its caller. On the internal listener, with `service`, also returns
/// the access token for it; never on the public one, because a browser can send this request too.
pub(in super::super) async fn handle(
    web: &Web,
    context: &RequestContext,
    request: &Parts,
) -> Result<Response, Problem> {
    let asked = Asked::of(request);
    let wishes = Wishes::of(request, &asked)?;
    if wishes.service.is_some() && context.listener == Listener::Public {
        return Err(Problem::new(
            Code::InternalOnly,
            "The parameter `service` is possible on the internal listener only.",
        ));
    }
    let envelope = Envelope {
        peer: context.peer,
        uri: &request.uri,
        headers: &request.headers,
    };
    let table = web.gateway.table();
    let call = Call::of(web, &table, &asked, envelope)?;
    let route = match &call {
        Some(call) => call.route(&table)?,
        None => None,
    };
    let without_session = |absent| {
        without_session(
            web,
            context,
            request,
            &asked,
            wishes.unauthenticated,
            route,
            absent,
        )
    };
    let admitted = match route {
        Some(route) => {
            context.notes.route(route);
            let asked = admission::Asked {
                envelope,
                changes_state: asked.changes_state(),
                opens_tunnel: asked.opens_tunnel(),
            };
            web.admit(context, route, &asked).await?
        }
        None => session_alone(web, context, &asked, envelope).await?,
    };
    let caller = match admitted {
        Ok(Admitted::Session(caller)) => caller,
        Ok(Admitted::Anybody) => return Ok(StatusCode::OK.into_response()),
        Ok(Admitted::Bearer(bringer)) => return Ok(of_bearer(&bringer)),
        Err(absent) => return web.ask_for_proof(absent, without_session(absent)),
    };
    let mut response = answer(web, &caller).await?;
    if let Some(service) = &wishes.service {
        let mut services = table.routes().services().iter();
        let Some(service) = services.find(|known| known.id() == service) else {
            return Err(Problem::new(
                Code::UnknownService,
                "No service of this id is in routes.yaml.",
            ));
        };
        let policy = match route {
            Some(route) if route.service().id() == service.id() => route.tokens().clone(),
            _ => service.token_policy(),
        };
        let credential = web.tokens.credential_for(&caller.key, &caller.stored, &policy);
        let credential = match credential.await {
            // The session has ended just now.
            Err(CredentialError::Ended) if route.is_some_and(|route| route.auth() == Auth::Optional) => {
                return Ok(StatusCode::OK.into_response());
            }
            Err(CredentialError::Ended) => return without_session(Absent::Nobody),
            other => other?,
        };
        credential.apply(response.headers_mut());
    }
    Ok(response)
}

/// The admission of a call without a route, or whose target no listed proxy names.
async fn session_alone(
    web: &Web,
    context: &RequestContext,
    asked: &Asked<'_>,
    envelope: Envelope<'_>,
) -> Result<Result<Admitted, Absent>, Problem> {
    let caller = match web.caller(envelope).await? {
        Ok(caller) => caller,
        Err(absent) => return Ok(Err(absent)),
    };
    context.notes.session(web, &caller);
    // For every peer: an operator can forget to list the proxy.
    if asked.changes_state() || asked.opens_tunnel() {
        web.own_origins.check(envelope.headers)?;
    }
    Ok(Ok(Admitted::Session(Box::new(caller))))
}

/// The answer about a caller with a token of its own.
fn of_bearer(bringer: &Bringer) -> Response {
    let mut response = StatusCode::OK.into_response();
    *response.headers_mut() = identity::of_bearer(bringer.bearer());
    response
}

async fn answer(web: &Web, caller: &Caller) -> Result<Response, Problem> {
    let session = &caller.stored.session;
    let mut response = StatusCode::OK.into_response();
    let headers = response.headers_mut();
    headers.clone_from(session.identity.get_or_init(|| identity::of(web, caller)));
    if let Some(renewal) = web.touch(caller).await? {
        renewal.apply(headers);
    }
    Ok(response)
}

/// 401; for a page that a listed proxy asks about, the way to the login and back.
fn without_session(
    web: &Web,
    context: &RequestContext,
    request: &Parts,
    asked: &Asked<'_>,
    form: Option<Unauthenticated>,
    route: Option<&Route>,
    absent: Absent,
) -> Result<Response, Problem> {
    let client = web
        .trusted_proxies
        .client(context.peer, &request.uri, &request.headers);
    // For any other peer, the location of the browser is unknown.
    if !absent.login_helps() {
        return Err(Problem::from(absent).for_browser(Label::LogOut, own_paths::LOGOUT));
    }
    let setting = route.map_or_else(Default::default, Route::unauthenticated);
    if !client.by_proxy || !asked.visit().goes_to_the_login(setting) {
        return Err(absent.into());
    }
    let Some(login) = web.login_url(&client, asked.page().as_ref()) else {
        return Err(Problem::new(
            Code::Unauthenticated,
            "There is no session, and this host allows no login: it has no redirect URI, and a login may not return to it.",
        ));
    };
    let form = form.unwrap_or(if asked.is_by_nginx() {
        Unauthenticated::Status401
    } else {
        Unauthenticated::Redirect
    });
    match form {
        Unauthenticated::Redirect => way_in::redirect(login.as_str()).ok_or_else(Problem::internal),
        Unauthenticated::Status401 => {
            let login = HeaderValue::try_from(login.as_str()).map_err(|_| Problem::internal())?;
            let mut refusal = Problem::from(absent).into_response();
            refusal.headers_mut().insert(X_AUTH_LOGIN, login);
            Ok(refusal)
        }
    }
}

// === impl Wishes ===

impl Wishes {
    fn of(request: &Parts, asked: &Asked<'_>) -> Result<Self, Problem> {
        if asked.has_the_calls_query() {
            return Ok(Self::default());
        }
        let mut query = Parameters::parse(request.uri.query())?;
        Ok(Self {
            service: query.take("service")?,
            unauthenticated: match query.take("unauthenticated")?.as_deref() {
                None => None,
                Some("login") => Some(Unauthenticated::Redirect),
                Some("401") => Some(Unauthenticated::Status401),
                Some(_) => {
                    return Err(Problem::new(
                        Code::InvalidParameter,
                        "The parameter `unauthenticated` must be `login` or `401`.",
                    ));
                }
            },
        })
    }
}

impl From<CredentialError> for Problem {
    fn from(error: CredentialError) -> Self {
        match error {
            CredentialError::Ended => Self::unauthenticated(),
            CredentialError::Pending(after) => {
                Self::unavailable(Code::TokenRefreshPending).retry_after(after)
            }
            // The log has the reason.
            CredentialError::Refused(_) => Self::new(
                Code::UpstreamAuthFailed,
                "There is no token for the API behind this path.",
            ),
            CredentialError::Store(error) => error.into(),
        }
    }
}

impl From<csrf::CsrfError> for Problem {
    fn from(error: csrf::CsrfError) -> Self {
        let code = match error {
            csrf::CsrfError::Origin => Code::CsrfOrigin,
            csrf::CsrfError::Token => Code::CsrfToken,
        };
        Self::new(code, error.to_string())
    }
}
