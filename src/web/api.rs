//! Everything that is not ours: calls passed on to the APIs by `routes.yaml`.
//!
//! Nothing is sent before the path is normalised, a route is found, the session exists and a state change has passed
//! its checks. Therefore an unauthenticated request never sees a byte of an API.

mod challenge;
mod files;
mod refused_token;
mod step_up;
mod web_socket;

use std::time::Duration;

use axum::{
    extract::Request,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue, Uri};

use self::{refused_token::Holder, step_up::Demand};
use super::{
    Web,
    admission::{Admitted, Asked},
    bearer::Bringer,
    caller::{Absent, Caller, Renewal},
    csrf,
    envelope::Envelope,
    identity,
    navigation::Visit,
    page::Label,
    peer::Client,
    problem::{Code, Problem},
    request_context::RequestContext,
    start_page::instead_of_nothing,
    way_in::{self, Page},
};
use crate::{
    clock::Timestamp,
    credential::{Credential, TokenPolicy},
    gateway::{
        Auth, ClientInfo, Found, GatewayError, Match, NormalPath, Outgoing, PathError, Proto, Route,
        SessionEnd, Table, Upgrade,
    },
    own_paths,
    session::SessionKey,
    tokens::CredentialError,
};

/// Passes a call on.
pub(super) async fn handle(
    web: &Web,
    context: &RequestContext,
    request: Box<Request>,
) -> Result<Response, Problem> {
    let path = NormalPath::parse_encoded(request.uri().path())?;
    let table = web.gateway.table();
    let host = web.route_host(&table, &Envelope::of(context, &request));
    let upgrade = Upgrade::of(&request);
    let method = web_socket::method(upgrade, request.method());
    let matched = match table.find(&host, &path, &method) {
        Found::Match(matched) => matched,
        Found::NotFound => {
            let envelope = Envelope::of(context, &request);
            let instead = instead_of_nothing(web, request.method(), path.as_str(), envelope);
            return Box::pin(instead).await;
        }
        Found::MethodNotAllowed { allow } => {
            return Err(Problem::method_not_allowed(request.method(), allow.clone()));
        }
        Found::Refused(error) => return Err(error.into()),
    };
    context.notes.route(matched.route);
    let asked = Asked {
        envelope: Envelope::of(context, &request),
        changes_state: csrf::changes_state(&method),
        opens_tunnel: upgrade == Some(Upgrade::WebSocket) && matched.route.takes_web_sockets(),
    };
    let mut caller = match web.admit(context, matched.route, &asked).await? {
        Ok(Admitted::Anybody) => None,
        Ok(Admitted::Session(caller)) => Some(*caller),
        Ok(Admitted::Bearer(bringer)) => {
            let credential = web.credential_of(&bringer, matched.route.tokens()).await?;
            let sender = Sender::Bearer(&bringer, credential);
            return pass_on(web, context, &table, matched, request, sender).await;
        }
        Err(absent) => {
            let answer = without_session(web, context, matched.route, &request, absent);
            return web.ask_for_proof(absent, answer);
        }
    };
    if matched.route.service().folder().is_some() {
        return Box::pin(files::send(web, context, matched, *request, caller.as_ref())).await;
    }
    let credential = match &caller {
        Some(caller) => Some(web.credential_and_renewal(caller, matched.route.tokens()).await?),
        None => None,
    };
    let (credential, renewal) = match credential {
        Some(Some(both)) => both,
        None => (Ok(None), None),
        // The session has ended just now.
        Some(None) if matched.route.auth() == Auth::Optional => {
            caller = None;
            (Ok(None), None)
        }
        Some(None) => return without_session(web, context, matched.route, &request, Absent::Nobody),
    };
    let answer = match credential {
        Ok(credential) => {
            let sender = match (&caller, credential) {
                (Some(caller), credential) => Sender::Session(caller, credential),
                (None, _) => Sender::Anybody,
            };
            pass_on(web, context, &table, matched, request, sender).await
        }
        Err(problem) => Err(problem),
    };
    // A call that failed is a use of the session all the same.
    Ok(match renewal {
        None => answer?,
        Some(renewal) => {
            let mut answer = answer.unwrap_or_else(IntoResponse::into_response);
            renewal.apply(answer.headers_mut());
            answer
        }
    })
}

/// The answer below paths of our own that lead nowhere.
pub(super) async fn nothing_here(uri: Uri) -> Problem {
    match NormalPath::parse(uri.path()) {
        Ok(_) => Problem::not_found(),
        Err(error) => error.into(),
    }
}

/// 401; a person who opens a page goes to the login and comes back to it, if that helps.
fn without_session(
    web: &Web,
    context: &RequestContext,
    route: &Route,
    request: &Request,
    absent: Absent,
) -> Result<Response, Problem> {
    let visit = Visit::of(request.method(), request.headers());
    if !absent.login_helps() {
        return Err(Problem::from(absent).for_browser(Label::LogOut, own_paths::LOGOUT));
    }
    // A WebSocket follows no redirect.
    if !visit.goes_to_the_login(route.unauthenticated()) || Upgrade::of(request).is_some() {
        return Err(absent.into());
    }
    let client = web
        .trusted_proxies
        .client(context.peer, request.uri(), request.headers());
    let target = request
        .uri()
        .path_and_query()
        .map_or("/", |target| target.as_str());
    Page::of(target.as_bytes())
        .and_then(|page| way_in::redirect(&web.login_path(&client, &page)))
        .ok_or_else(|| absent.into())
}

async fn pass_on(
    web: &Web,
    context: &RequestContext,
    table: &Table,
    matched: Match<'_>,
    mut request: Box<Request>,
    sender: Sender<'_>,
) -> Result<Response, Problem> {
    let identity = if matched.route.service().wants_identity() {
        sender.identity(web)
    } else {
        HeaderMap::new()
    };
    let caller = sender.session();
    let (holder, credential, session_end) = match sender {
        Sender::Anybody => (None, None, None),
        Sender::Session(caller, credential) => (
            Some(Holder::Session(caller)),
            credential,
            Some(web.session_end(&caller.key)),
        ),
        Sender::Bearer(bringer, credential) => (
            Some(Holder::Bearer(bringer)),
            Some(credential),
            bringer.bearer().expires_at.map(|end| web.token_end(end)),
        ),
    };
    let keep_set_cookie = |cookie: &HeaderValue| !web.cookies.drops_ours(cookie);
    let tunnel = web_socket::attended(web, matched.route, &mut request, caller)?;
    let client = web
        .trusted_proxies
        .client(context.peer, request.uri(), request.headers());
    let outgoing = Outgoing {
        credential: credential.clone(),
        cookies: web.cookies.strip_ours(request.headers()),
        client: client_info(web, &client),
        identity,
        correlation_id: context.correlation.header().clone(),
        session_end,
        tunnel,
        keep_set_cookie: &keep_set_cookie,
    };
    let asked = caller.map(|caller| (caller, step_up::Asked::of(&request, client)));
    let mut call = web.gateway.call(table, matched, *request, outgoing)?;
    let mut answer = call.send().await?;
    if let (Some(holder), Some(refused)) = (holder, credential)
        && refused_token::is_refusal(&answer)
    {
        let again = refused_token::again(web, holder, matched.route.tokens(), &refused, call, answer);
        answer = Box::pin(again).await?;
    }
    Ok(match (asked, Demand::of(&answer)) {
        (Some((caller, asked)), Some(demand)) => step_up::answer(web, caller, &asked, &demand),
        _ => answer,
    })
}

fn client_info(web: &Web, client: &Client) -> ClientInfo {
    let known = web.login.hosts().own(&client.host);
    let https = client
        .https
        .or_else(|| known.map(|host| host.origin().scheme() == "https"))
        .unwrap_or(false);
    ClientInfo {
        address: Some(client.address),
        proto: if https { Proto::Https } else { Proto::Http },
        // From the configuration: an API may build links from it, so a client must not choose it.
        host: known.and_then(|host| HeaderValue::try_from(host.authority()).ok()),
    }
}

/// In whose name a call goes to a service.
enum Sender<'a> {
    Anybody,
    /// The person with this session, and its access token.
    Session(&'a Caller, Option<Credential>),
    /// A caller with a token of its own.
    Bearer(&'a Bringer, Credential),
}

// === impl Sender ===

impl<'a> Sender<'a> {
    const fn session(&self) -> Option<&'a Caller> {
        match self {
            Self::Session(caller, _) => Some(caller),
            Self::Anybody | Self::Bearer(..) => None,
        }
    }

    /// Fields that say who the caller is.
    fn identity(&self, web: &Web) -> HeaderMap {
        match self {
            Self::Anybody => HeaderMap::new(),
            Self::Session(caller, _) => identity::of_session(web, caller),
            Self::Bearer(bringer, _) => identity::of_bearer(bringer.bearer()),
        }
    }
}

// === impl Web ===

impl Web {
    /// Resolves when a token of a caller is over, for requests under way in its name.
    fn token_end(&self, end: Timestamp) -> SessionEnd {
        let clock = self.clock.clone();
        async move { clock.sleep_until(end).await }.boxed().shared()
    }

    /// Resolves when the session ends, for requests under way in its name.
    fn session_end(&self, key: &SessionKey) -> SessionEnd {
        let end = self.sessions.until_end(key);
        end.map(|_why| ()).boxed().shared()
    }

    /// A session is in use until it ends, also while there is no token for the call. `None` after its end.
    async fn credential_and_renewal(
        &self,
        caller: &Caller,
        policy: &TokenPolicy,
    ) -> Result<Option<(Result<Option<Credential>, Problem>, Option<Renewal>)>, Problem> {
        let credential = self.tokens.credential_for(&caller.key, &caller.stored, policy);
        let credential = match credential.await {
            Ok(credential) => Ok(Some(credential)),
            Err(error @ (CredentialError::Pending(_) | CredentialError::Refused(_))) => Err(error.into()),
            Err(CredentialError::Ended) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Ok(Some((credential, self.touch(caller).await?)))
    }
}

impl From<PathError> for Problem {
    fn from(error: PathError) -> Self {
        Self::new(Code::AmbiguousPath, error.to_string())
    }
}

impl From<GatewayError> for Problem {
    fn from(error: GatewayError) -> Self {
        let code = match error {
            GatewayError::Unauthenticated => return Self::unauthenticated(),
            GatewayError::BadRequest => Code::BadRequest,
            GatewayError::RequestTimeout => Code::RequestTimeout,
            GatewayError::Upgrade => Code::UpgradeNotSupported,
            GatewayError::Handshake => Code::WebSocketHandshake,
            GatewayError::WebSocketVersion => return web_socket::other_version(error),
            GatewayError::BadGateway => Code::BadGateway,
            GatewayError::ServiceUnavailable => Code::ServiceUnavailable,
            GatewayError::GatewayTimeout => Code::GatewayTimeout,
            GatewayError::BodyTooLarge => Code::BodyTooLarge,
            GatewayError::CircuitOpen(after) => {
                return Self::unavailable(Code::CircuitOpen).retry_after(after);
            }
            GatewayError::Full => {
                return Self::unavailable(Code::ServiceBusy).retry_after(Duration::from_secs(1));
            }
        };
        Self::new(code, error.to_string())
    }
}
