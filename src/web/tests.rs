//! The middleware around all endpoints, without sockets.

use axum::{body::Body, extract::Request, response::Response};
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tempfile::TempDir;

use super::{
    problem::{Code, Problem},
    *,
};
use crate::{
    bearer::{self, Bearers},
    clock::{ManualClock, Timestamp},
    gateway::{self, Routes},
    instruments::Tally,
    keys::{self, KeyKind},
    limits::Limiter,
    login::{self, hosts::Hosts, return_to::AllowedTargets},
    oidc::{self, ClientSlot, ProviderOptions, RelyingParty},
    outbound::{self, Outbound},
    random::{SharedRandom, SystemRandom},
    server::{Answer as _, Load},
    session::{CookieOptions, EmailTrust, Lifespan, Limits, MemoryOnce, MemoryStore, Sessions},
    tokens,
    url_policy::HttpPolicy,
};

const MINUTE: std::time::Duration = std::time::Duration::from_mins(1);

/// No token of a caller is good.
fn bearers(
    login: RelyingParty,
    outbound: Outbound,
    keys: &Keys,
    clock: &SharedClock,
    random: SharedRandom,
) -> Bearers {
    Bearers::new(
        &bearer::Idps::default(),
        bearer::Ports {
            login,
            outbound,
            keys: keys.clone(),
            allow_http: HttpPolicy::LocalOnly,
            clock: Arc::clone(clock),
            random,
        },
    )
}

/// All services, with an IdP that receives no request.
fn web(folder: &TempDir) -> Web {
    let start = Timestamp::from_unix_seconds(1_800_000_000);
    let clock: SharedClock = Arc::new(ManualClock::starting_at(start));
    let random: SharedRandom = Arc::new(SystemRandom);
    let options = keys::Options {
        signing_key: folder.path().join("key.pem"),
        kid: None,
        generate: KeyKind::P256,
        extra: Vec::new(),
        dir: folder.path().to_owned(),
        identity_markers: Vec::new(),
        guard: crate::private_file::Guard::Strict,
    };
    let (keys, _) = keys::testing::load(&options).unwrap();
    let sealer = Sealer::new(&[[7; 32]], Arc::clone(&random)).unwrap();
    let limits = Limits {
        lifespan: Lifespan {
            lifetime: 60 * MINUTE,
            idle: 10 * MINUTE,
        },
        max: 10,
        max_per_user: 10,
        memory: 1 << 20,
    };
    let sessions = Sessions::new(
        Arc::new(MemoryStore::new(limits.lifespan, Arc::clone(&clock))),
        limits,
        sealer.clone(),
        Arc::clone(&clock),
        Arc::clone(&random),
        &Tally::default(),
    );
    let outbound = Outbound::new(&outbound::Options::default(), Arc::clone(&clock)).unwrap();
    let relying_party = RelyingParty::new(
        oidc::Options::new(ProviderOptions {
            issuer: "http://idp.localhost".to_owned(),
            base_url: None,
            public_base: None,
            overrides: oidc::EndpointOverrides::default(),
            allow_http: HttpPolicy::LocalOnly,
        }),
        outbound.clone(),
        ClientSlot::new(),
        keys.clone(),
        Arc::clone(&clock),
        Arc::clone(&random),
    );
    let login = login::Options {
        hosts: Hosts::new(&[], Some("https://app.example/auth/callback"), true).unwrap(),
        targets: AllowedTargets::new(Vec::new(), Vec::new()),
        scopes: Vec::new(),
        prompt: login::DefaultPrompt::Never,
        session_lifetime: limits.lifespan.lifetime,
        refresh_threshold: MINUTE,
        email_trust: EmailTrust::default(),
        binding: Binding::Off,
    };
    let login = Login::new(
        login,
        relying_party.clone(),
        sessions.clone(),
        login::Memories {
            once: Arc::new(MemoryOnce::new(Arc::clone(&clock))),
            passing: None,
        },
        sealer.clone(),
        Arc::clone(&clock),
        Arc::clone(&random),
    );
    let tokens = Tokens::new(
        tokens::Options::default(),
        relying_party.clone(),
        sessions.clone(),
        Arc::clone(&clock),
        Arc::clone(&random),
        &Tally::default(),
    );
    let gateway = Gateway::new(Routes::default(), gateway::Options::default(), Arc::clone(&clock)).unwrap();
    Web::new(Services {
        bearers: bearers(relying_party, outbound, &keys, &clock, random),
        keys,
        health: Health::new(),
        login,
        tokens,
        sessions,
        limits: Limiter::new(None, sealer.clone(), Arc::clone(&clock)),
        login_rate: None,
        gateway,
        provider_alias: "oidc".to_owned(),
        resource: None,
        cookies: CookiePolicy::new(CookieOptions::default()).unwrap(),
        sealer,
        own_origins: OwnOrigins::new(&[]),
        cors_origins: vec![HeaderValue::from_static("https://app.example")],
        trusted_proxies: TrustedProxies::default(),
        binding: Binding::Off,
        connections: 100,
        pages: Pages::new(&PageOptions::default()).unwrap(),
        instruments: Arc::new(Tally::default()),
        clock,
    })
}

async fn ask(endpoints: Endpoints, method: Method, path: &str) -> (Response, Value) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "app.example")
        .header("x-correlation-id", "test-1")
        .header("origin", "https://app.example")
        .body(Body::empty())
        .unwrap();
    let (head, body) = endpoints.answer(request, Load::Normal).await.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let json = serde_json::from_slice(&body).unwrap_or_default();
    (Response::from_parts(head, Body::from(body)), json)
}

/// It is copied before it is polled. A rare step with a large future belongs on the heap.
#[tokio::test]
async fn the_future_of_a_request_is_small() {
    let folder = tempfile::tempdir().unwrap();
    let endpoints = web(&folder).assemble(Listener::Public, Router::new());
    let request = Request::new(Body::empty());
    let size = size_of_val(&endpoints.answer(request, Load::Normal));
    assert!(size < 9 * 1024, "{size}");
}

#[tokio::test]
async fn attack_23_a_panic_is_a_500_that_tells_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let web = web(&folder);
    let endpoints = Router::new()
        .route("/health/panic", get(async || -> () { panic!("hunter2") }))
        .route("/auth/panic", get(async || -> () { std::panic::panic_any(7) }));
    let router = web.assemble(Listener::Public, endpoints);
    for path in ["/health/panic", "/auth/panic"] {
        let (response, problem) = ask(router.clone(), Method::GET, path).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let expected = serde_json::json!({
            "type": "about:blank",
            "title": "Something went wrong here",
            "status": 500,
            "detail": "The cause is in the server's log under the correlation id.",
            "code": "internal",
            "correlation_id": "test-1",
        });
        assert_eq!(problem, expected);
        assert_eq!(response.headers()["x-correlation-id"], "test-1");
        assert_eq!(response.headers()["cache-control"], "no-store");
    }
}

/// Its `Content-Length` is that of its own body.
#[tokio::test]
async fn a_problem_keeps_the_headers_added_by_handlers() {
    let folder = tempfile::tempdir().unwrap();
    let handler = async || {
        let mut response = axum::response::IntoResponse::into_response(Problem::unavailable(Code::Busy));
        let headers = response.headers_mut();
        headers.append("set-cookie", HeaderValue::from_static("a=b"));
        headers.append("set-cookie", HeaderValue::from_static("c=d"));
        headers.insert("content-length", HeaderValue::from_static("0"));
        headers.insert("cache-control", HeaderValue::from_static("public"));
        response
    };
    let router = web(&folder).assemble(Listener::Public, Router::new().route("/health/x", get(handler)));
    let (response, problem) = ask(router.clone(), Method::GET, "/health/x").await;
    assert_eq!(problem["code"], "busy");
    let headers = response.headers();
    assert_eq!(headers.get_all("set-cookie").iter().count(), 2);
    assert_eq!(
        headers.get_all("cache-control").iter().collect::<Vec<_>>(),
        ["no-store"]
    );
    assert_eq!(headers["retry-after"], "5");
    assert_ne!(
        headers.get("content-length"),
        Some(&HeaderValue::from_static("0"))
    );

    let (response, _) = ask(router, Method::PUT, "/health/x").await;
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(response.headers()["allow"], "GET,HEAD");
}

#[tokio::test]
async fn without_a_peer_nobody_is_a_neighbour() {
    let folder = tempfile::tempdir().unwrap();
    let web = web(&folder);
    let (response, body) = ask(web.public(), Method::GET, "/health").await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(body, serde_json::json!({ "status": "starting" }));
    let (_, body) = ask(web.internal(), Method::GET, "/health").await;
    assert!(body["components"].is_object());
}
