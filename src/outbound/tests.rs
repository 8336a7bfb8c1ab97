use std::{
    io::Read as _,
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use axum::{Router, body::Body, http::HeaderMap, response::Redirect, routing::get};
use serde_json::json;
use tokio::sync::Notify;
use url::Url;

use super::*;
use crate::{
    clock::{ManualClock, Timestamp},
    secret::Secret,
    telemetry::testing::Logs,
    tls::testing::{CA, EXPIRED, SELF_SIGNED, SELF_SIGNED_KEY, SERVER_KEY, server, server_with},
};

mod network;

fn clock() -> ManualClock {
    ManualClock::starting_at(Timestamp::from_unix_seconds(1_000))
}

fn outbound(options: &Options) -> Outbound {
    Outbound::new(options, Arc::new(clock())).unwrap()
}

async fn serve(router: Router) -> Url {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = url(listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

fn url(address: SocketAddr) -> Url {
    Url::parse(&format!("http://{address}/")).unwrap()
}

/// A server that reads a request and hangs up.
fn hangs_up() -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 1024]).unwrap();
    });
    url(address)
}

/// A server with a certificate for `localhost`, for one request.
fn tls_server() -> Url {
    at_localhost(server())
}

fn tls_server_with(certificate: &[u8], key: &[u8]) -> Url {
    at_localhost(server_with(certificate, key))
}

fn at_localhost(address: SocketAddr) -> Url {
    Url::parse(&format!("https://localhost:{}/", address.port())).unwrap()
}

#[tokio::test]
async fn a_request_arrives_as_built_and_the_answer_comes_back_whole() {
    let router = Router::new().route(
        "/",
        axum::routing::post(async |headers: HeaderMap, body: String| {
            let header = |name: &str| headers[name].to_str().unwrap().to_owned();
            let seen = json!({
                "authorization": header("authorization"), "accept": header("accept"),
                "type": header("content-type"), "agent": header("user-agent"), "body": body,
            });
            (http::StatusCode::IM_A_TEAPOT, seen.to_string())
        }),
    );
    let request =
        Request::form(serve(router).await, [("a b", "c&d"), ("e", "ü")]).basic("me", &Secret::from("pass"));
    let response = outbound(&Options::default())
        .send(Lane::Code, request)
        .await
        .unwrap();
    assert_eq!(response.status, http::StatusCode::IM_A_TEAPOT);
    let seen = response.json_object().unwrap();
    assert_eq!(seen["authorization"], "Basic bWU6cGFzcw==");
    assert_eq!(seen["accept"], "application/json");
    assert_eq!(seen["type"], "application/x-www-form-urlencoded");
    assert_eq!(seen["agent"], USER_AGENT);
    assert_eq!(seen["body"], "a+b=c%26d&e=%C3%BC");
}

#[test]
fn debug_shows_no_query_no_credentials_and_no_body() {
    let url = Url::parse("https://user:hunter1@idp.example/token?code=hunter2").unwrap();
    let request = Request::form(url, [("code", "hunter3")]).bearer(&Secret::from("hunter4"));
    let debug = format!("{request:?}");
    assert_eq!(debug, "Request(POST idp.example:443/token)");
    let response = Response {
        status: http::StatusCode::OK,
        headers: HeaderMap::new(),
        body: "hunter5".into(),
        withheld: ["hunter6"].into_iter().collect(),
        unproven_proxy: None,
    };
    assert_eq!(format!("{response:?}"), "Response(200 OK, 7 bytes)");
}

#[tokio::test]
async fn attack_39_an_answer_knows_the_secrets_of_its_request() {
    let router = Router::new().route("/", axum::routing::post(async || "ok"));
    let request = Request::form(serve(router).await, [("code", "c0de")])
        .withholding(["c0de"])
        .basic("me", &Secret::from("pa55"));
    let outbound = outbound(&Options::default());
    let response = outbound.send(Lane::Code, request).await.unwrap();
    assert_eq!(
        response.withheld.strike("c0de pa55 Basic bWU6cGE1NQ== me"),
        "[…] […] Basic […] me"
    );
}

#[tokio::test]
async fn a_byte_order_mark_before_json_is_skipped() {
    let router = Router::new().route("/", get(async || "\u{feff}{\"a\": 1}"));
    let request = Request::get(serve(router).await);
    let response = outbound(&Options::default())
        .send(Lane::Metadata, request)
        .await
        .unwrap();
    assert_eq!(response.body, "{\"a\": 1}");
    assert_eq!(response.json_object().unwrap()["a"], 1);
}

/// We never request one; the error names the cause.
#[tokio::test]
async fn a_compressed_answer_is_refused() {
    for (encoding, fits) in [
        ("gzip", false),
        ("br, gzip", false),
        ("identity", true),
        ("", true),
    ] {
        let router = Router::new().route(
            "/",
            get(async move |headers: HeaderMap| {
                assert_eq!(headers["accept-encoding"], "identity");
                ([("content-encoding", encoding)], "\u{1f}\u{8b}")
            }),
        );
        let request = Request::get(serve(router).await);
        let outcome = outbound(&Options::default()).send(Lane::Metadata, request).await;
        if fits {
            assert!(outcome.is_ok(), "{encoding}");
            continue;
        }
        let error = outcome.unwrap_err();
        assert!(!error.certainly_not_sent() && !error.is_transient());
        let text = error.told();
        assert!(text.contains(&format!("Content-Encoding: {encoding}")), "{text}");
    }
}

#[tokio::test]
async fn credentials_that_no_header_can_carry_are_not_sent() {
    let request =
        Request::get(Url::parse("http://127.0.0.1:1/").unwrap()).bearer(&Secret::from("a\r\nx-evil: b"));
    let error = outbound(&Options::default())
        .send(Lane::UserInfo, request)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, TransportError::NotSent { cause } if !cause.told().contains("evil")),
        "{error:?}"
    );
}

#[tokio::test]
async fn attack_36_a_redirect_is_handed_over_and_never_followed() {
    let router = Router::new()
        .route("/", get(async || Redirect::temporary("/trap")))
        .route("/trap", get(async || "trapped"));
    let request = Request::get(serve(router).await).bearer(&Secret::from("token"));
    let response = outbound(&Options::default())
        .send(Lane::Metadata, request)
        .await
        .unwrap();
    assert_eq!(response.status, http::StatusCode::TEMPORARY_REDIRECT);
    assert_eq!(response.headers["location"], "/trap");
    assert!(response.body.is_empty());
}

#[tokio::test]
async fn a_body_over_the_cap_is_refused_announced_or_not() {
    let announced = Router::new().route("/", get(async || vec![b' '; MAX_BODY + 1]));
    let streamed = Router::new().route(
        "/",
        get(async || {
            let chunks = std::iter::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 64 * 1024]));
            Body::from_stream(futures_util::stream::iter(chunks))
        }),
    );
    for router in [announced, streamed] {
        let request = Request::get(serve(router).await);
        let error = outbound(&Options::default())
            .send(Lane::Metadata, request)
            .await
            .unwrap_err();
        assert_eq!(error, TransportError::TooLarge);
        assert!(!error.certainly_not_sent());
    }
    let fits = Router::new().route("/", get(async || vec![b' '; MAX_BODY]));
    let response = outbound(&Options::default())
        .send(Lane::Metadata, Request::get(serve(fits).await))
        .await
        .unwrap();
    assert_eq!(response.body.len(), MAX_BODY);
}

#[tokio::test]
async fn a_refused_connection_is_certainly_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut target = url(listener.local_addr().unwrap());
    drop(listener);
    target.set_query(Some("secret=hunter2"));
    let error = outbound(&Options::default())
        .send(Lane::Refresh, Request::get(target.clone()))
        .await
        .unwrap_err();
    assert!(error.certainly_not_sent());
    let text = error.told();
    assert!(
        text.contains(&format!("127.0.0.1:{}", target.port().unwrap())),
        "{text}"
    );
    assert!(text.to_lowercase().contains("refused"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

/// One line names the cause and the variable to change.
#[tokio::test]
async fn a_failed_handshake_counts_as_not_sent() {
    let logs = Logs::capture();
    // Its certificate comes from an authority that is not trusted here.
    let target = tls_server();
    let port = target.port().unwrap();
    let error = outbound(&Options::default())
        .send(Lane::Refresh, Request::get(target))
        .await
        .unwrap_err();
    assert!(error.certainly_not_sent(), "{error:?}");
    assert_eq!(
        error.told(),
        format!(
            "cannot connect to localhost:{port}: its certificate comes from an authority that is not trusted here - fix: \
             name that authority's certificate in [ProviderCa]"
        )
    );
    let library = logs
        .text()
        .lines()
        .find(|line| line.contains("UnknownIssuer"))
        .map(str::to_owned);
    assert!(library.unwrap().contains("DEBUG"));
}

#[tokio::test]
async fn a_server_without_tls_is_told_as_that() {
    let mut target = serve(Router::new()).await;
    target.set_scheme("https").unwrap();
    let error = outbound(&Options::default())
        .send(Lane::Refresh, Request::get(target))
        .await
        .unwrap_err();
    assert!(error.told().contains("it does not speak TLS there"), "{error}");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_told_as_that() {
    let options = Options {
        ca_bundle: Some(CA.to_vec()),
        ..Options::default()
    };
    let mut target = tls_server();
    target.set_host(Some("127.0.0.1")).unwrap();
    let error = outbound(&options)
        .send(Lane::Metadata, Request::get(target))
        .await
        .unwrap_err();
    assert!(error.told().contains("for other names"), "{error}");
}

#[tokio::test]
async fn an_extra_authority_is_trusted_beside_the_system() {
    let options = Options {
        ca_bundle: Some(CA.to_vec()),
        ..Options::default()
    };
    let response = outbound(&options)
        .send(Lane::Metadata, Request::get(tls_server()))
        .await
        .unwrap();
    assert_eq!(response.body, "ok");
}

/// The outcome of a call to such a server, if the bundle is `trusted`.
async fn called(trusted: &[u8], target: Url) -> Result<Response, TransportError> {
    let options = Options {
        ca_bundle: Some(trusted.to_vec()),
        ..Options::default()
    };
    outbound(&options)
        .send(Lane::Metadata, Request::get(target))
        .await
}

#[tokio::test]
async fn a_self_signed_certificate_in_the_bundle_is_trusted() {
    let own = SELF_SIGNED;
    let key = SELF_SIGNED_KEY;
    let server = || tls_server_with(own, key);
    assert_eq!(called(own, server()).await.unwrap().body, "ok");
    // Also beside others.
    let both = [CA, own].concat();
    assert_eq!(called(&both, server()).await.unwrap().body, "ok");
    assert_eq!(called(&both, tls_server()).await.unwrap().body, "ok");

    // Only the exact bytes of the file: this one has the same name and key.
    let expired = EXPIRED;
    let said = |outcome: Result<Response, TransportError>| outcome.unwrap_err().told();
    let text = said(called(expired, server()).await);
    assert!(text.contains("cannot be verified"), "{text}");
    let text = said(called(CA, server()).await);
    assert!(text.contains("[ProviderCa]"), "{text}");
    // Name, dates and the signature of the handshake count as for any other.
    let mut elsewhere = server();
    elsewhere.set_host(Some("127.0.0.1")).unwrap();
    let text = said(called(own, elsewhere).await);
    assert!(text.contains("for other names"), "{text}");
    let text = said(called(expired, tls_server_with(expired, key)).await);
    assert!(text.contains("has expired"), "{text}");
    let foreign = SERVER_KEY;
    let text = said(called(own, tls_server_with(own, foreign)).await);
    assert!(
        text.contains("certificate cannot be verified") || text.contains("handshake failed"),
        "{text}"
    );
}

#[test]
fn a_bundle_without_a_certificate_is_refused() {
    let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for bundle in [&b""[..], b"not a bundle", broken] {
        let options = Options {
            ca_bundle: Some(bundle.to_vec()),
            ..Options::default()
        };
        let error = Outbound::new(&options, Arc::new(clock())).unwrap_err();
        assert!(matches!(&error, BuildError::CaBundle(_)), "{error:?}");
        assert!(error.told().contains("[ProviderCa]"));
    }
}

#[tokio::test]
async fn a_broken_connection_has_an_unknown_outcome() {
    let error = outbound(&Options::default())
        .send(Lane::Refresh, Request::form(hangs_up(), [("a", "b")]))
        .await
        .unwrap_err();
    assert!(matches!(error, TransportError::Interrupted { .. }), "{error:?}");
    assert!(!error.certainly_not_sent());
}

#[tokio::test]
async fn a_late_answer_has_an_unknown_outcome() {
    let arrived = Arc::new(Notify::new());
    let router = Router::new().route("/", {
        let arrived = Arc::clone(&arrived);
        get(async move || {
            arrived.notify_one();
            std::future::pending::<String>().await
        })
    });
    let clock = clock();
    let options = Options::default();
    let outbound = Outbound::new(&options, Arc::new(clock.clone())).unwrap();
    let url = serve(router).await;
    let call = tokio::spawn(async move { outbound.send(Lane::Refresh, Request::get(url)).await });
    arrived.notified().await;
    let almost = options.request_timeout.saturating_sub(Duration::from_millis(1));
    clock.advance(almost);
    tokio::task::yield_now().await;
    assert!(!call.is_finished());
    clock.advance(Duration::from_millis(1));
    let error = call.await.unwrap().unwrap_err();
    assert_eq!(error, TransportError::TimedOut);
    assert!(!error.certainly_not_sent());
}

/// A call waits no longer than allowed.
#[tokio::test]
async fn attack_31_one_kind_of_call_cannot_starve_another() {
    let arrived = Arc::new(Notify::new());
    let router = Router::new().route("/fast", get(async || "ok")).route("/slow", {
        let arrived = Arc::clone(&arrived);
        get(async move || {
            arrived.notify_one();
            std::future::pending::<String>().await
        })
    });
    let base = serve(router).await;
    let clock = clock();
    let options = Options {
        lanes: LaneLimits {
            code: 1,
            wait: Duration::from_secs(5),
            ..LaneLimits::default()
        },
        ..Options::default()
    };
    let outbound = Outbound::new(&options, Arc::new(clock.clone())).unwrap();
    let slow = || Request::get(base.join("/slow").unwrap());

    let flood = {
        let outbound = outbound.clone();
        let request = slow();
        tokio::spawn(async move { outbound.send(Lane::Code, request).await })
    };
    arrived.notified().await;

    // The lane is taken: four more may wait, the next one is turned away at once.
    let mut waiting: Vec<_> = (0..4)
        .map(|_| Box::pin(outbound.send(Lane::Code, slow())))
        .collect();
    for call in &mut waiting {
        assert!(futures_util::poll!(call).is_pending());
    }
    let turned_away = outbound.send(Lane::Code, slow()).await.unwrap_err();
    assert_eq!(turned_away, TransportError::Saturated);
    assert!(turned_away.certainly_not_sent());

    // Refreshes continue.
    let refresh = outbound
        .send(Lane::Refresh, Request::get(base.join("/fast").unwrap()))
        .await
        .unwrap();
    assert_eq!(refresh.body, "ok");

    clock.advance(Duration::from_secs(5));
    for call in waiting {
        assert_eq!(call.await.unwrap_err(), TransportError::Saturated);
    }
    flood.abort();
}
