//! Everything that is not ours: calls passed on to the APIs by `routes.yaml`.
//!
//! Nothing is sent before the path has its one form, a route was found, the session is there and a state change has
//! brought its proofs. So an unauthenticated request never sees a byte of an API.

use axum::{
    Extension,
    extract::{Request, State},
    response::Response,
};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{CACHE_CONTROL, HOST},
};

use super::{
    Web,
    caller::{Caller, Renewal},
    correlation::CorrelationId,
    frame::Peer,
    problem::Problem,
    proof,
};
use crate::gateway::{Auth, ClientInfo, Found, GatewayError, NormalPath, Outgoing, PathError, Proto};

/// What content delivery networks obey before `Cache-Control`.
const SHARED_CACHE_HEADERS: [HeaderName; 2] = [
    HeaderName::from_static("cdn-cache-control"),
    HeaderName::from_static("surrogate-control"),
];

/// Passes a call on.
pub(super) async fn handle(
    State(web): State<Web>,
    Extension(correlation): Extension<CorrelationId>,
    request: Request,
) -> Result<Response, Problem> {
    let path = NormalPath::parse(request.uri().path())?;
    let matched = match web.gateway.find(&path, request.method()) {
        Found::Match(matched) => matched,
        Found::NotFound => return Err(Problem::not_found()),
        Found::MethodNotAllowed { allow } => return Err(method_not_allowed(request.method(), allow.clone())),
    };
    let (parts, body) = request.into_parts();
    let changes_state = proof::changes_state(&parts.method);
    let is_private = matched.route.auth() == Auth::Session;
    let caller = match matched.route.auth() {
        Auth::None => None,
        Auth::Session => Some(
            web.caller(&parts.headers)
                .await?
                .ok_or_else(Problem::unauthenticated)?,
        ),
    };
    if changes_state {
        web.own_origins.check(&parts.headers)?;
        if let Some(caller) = &caller {
            proof::check_token(&parts.headers, &web.sealer, &caller.key)?;
        }
    }
    let (credential, renewal) = match &caller {
        Some(caller) => web.credential_and_renewal(caller).await?,
        None => (None, None),
    };
    let client = client_info(&web, &parts);
    let outgoing = Outgoing {
        credential,
        cookies: web.cookies.strip_ours(&parts.headers),
        client,
        correlation_id: correlation.header().clone(),
        keep_set_cookie: &|cookie| !web.cookies.drops_ours(cookie),
    };
    let mut response = web
        .gateway
        .forward(matched, Request::from_parts(parts, body), outgoing)
        .await?;
    if is_private {
        keep_private(response.headers_mut());
    }
    if let Some(renewal) = renewal {
        renewal.apply(response.headers_mut());
    }
    Ok(response)
}

fn client_info(web: &Web, request: &http::request::Parts) -> ClientInfo {
    let peer = request
        .extensions
        .get::<Peer>()
        .map_or(([0, 0, 0, 0], 0).into(), |peer| peer.0);
    let client = web.trusted_proxies.client(peer, request);
    let known = web.login.hosts().find(&client.host);
    let https = client
        .https
        .or_else(|| known.map(|host| host.origin().scheme() == "https"))
        .unwrap_or(false);
    ClientInfo {
        address: Some(client.address),
        proto: if https { Proto::Https } else { Proto::Http },
        host: HeaderValue::try_from(client.host)
            .ok()
            .or_else(|| request.headers.get(HOST).cloned()),
    }
}

fn method_not_allowed(method: &Method, allow: HeaderValue) -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "This method is not possible here",
        format!("The route does not take {method}."),
    )
    .allow(allow)
}

/// What an API answers to a person's session is for that person's browser alone, whatever the API says: shared caches
/// do not know that our cookie decided it.
fn keep_private(answer: &mut HeaderMap) {
    for name in &SHARED_CACHE_HEADERS {
        answer.remove(name);
    }
    let mut directives = vec!["private".to_owned()];
    for line in answer.get_all(CACHE_CONTROL) {
        let Ok(line) = line.to_str() else { continue };
        for directive in line
            .split(',')
            .map(str::trim)
            .filter(|directive| !directive.is_empty())
        {
            let name = directive
                .split('=')
                .next()
                .unwrap_or_default()
                .trim()
                .to_ascii_lowercase();
            if !matches!(name.as_str(), "public" | "s-maxage" | "private") {
                directives.push(directive.to_owned());
            }
        }
    }
    if let Ok(value) = HeaderValue::try_from(directives.join(", ")) {
        answer.insert(CACHE_CONTROL, value);
    }
}

// === impl Web ===

impl Web {
    async fn credential_and_renewal(
        &self,
        caller: &Caller,
    ) -> Result<(Option<HeaderMap>, Option<Renewal>), Problem> {
        let credential = self.tokens.credential(&caller.key, &caller.stored).await?;
        let renewal = self.touch(caller).await?;
        Ok((Some(credential.into_headers()), renewal))
    }
}

impl From<PathError> for Problem {
    fn from(error: PathError) -> Self {
        Self::bad_request("ambiguous_path", error.to_string())
    }
}

impl From<GatewayError> for Problem {
    fn from(error: GatewayError) -> Self {
        let (code, title) = match error {
            GatewayError::Unauthenticated => return Self::unauthenticated(),
            GatewayError::BadRequest => ("bad_request", "The request is malformed"),
            GatewayError::RequestTimeout => ("request_timeout", "The request took too long"),
            GatewayError::Upgrade => ("upgrade_not_supported", "Protocol upgrades are not supported"),
            GatewayError::BadGateway => ("bad_gateway", "The service gave no usable answer"),
            GatewayError::ServiceUnavailable => ("service_unavailable", "The service cannot be called"),
            GatewayError::GatewayTimeout => ("gateway_timeout", "The service did not answer in time"),
        };
        Self::new(error.status(), code, title, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(values: &[&'static str]) -> String {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CACHE_CONTROL, HeaderValue::from_static(value));
        }
        headers.insert("cdn-cache-control", HeaderValue::from_static("max-age=600"));
        keep_private(&mut headers);
        assert!(!headers.contains_key("cdn-cache-control"));
        headers[CACHE_CONTROL].to_str().unwrap().to_owned()
    }

    #[test]
    fn attack_29_no_shared_cache_stores_what_belongs_to_a_session() {
        assert_eq!(kept(&[]), "private");
        assert_eq!(kept(&["public, max-age=60, s-maxage=600"]), "private, max-age=60");
        assert_eq!(kept(&["PUBLIC", "S-MaxAge = 5"]), "private");
        assert_eq!(kept(&["no-store"]), "private, no-store");
        assert_eq!(
            kept(&["private=\"x\", must-revalidate"]),
            "private, must-revalidate"
        );
    }
}
