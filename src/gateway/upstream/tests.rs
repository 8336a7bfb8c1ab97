use std::{net::SocketAddr, path::Path, sync::Arc};

use axum::body::{Body, to_bytes};
use http::{HeaderMap, Method, Request, Response, StatusCode};

use super::*;
use crate::{
    gateway::{
        Around, Found, GatewayError, NormalPath, Private, TokenDefaults,
        loopback::{Api, logged_in, serve, system_clock},
    },
    outage::testing as outage,
    proxy::{
        Direct, Proxies,
        testing::{Does, TestProxy},
    },
    telemetry::testing::Logs,
    tls::testing::{
        CA, CLIENT, CLIENT_KEY, NAMED, NAMED_KEY, X25519MLKEM768, key_shares, server,
        server_for_known_clients, server_with,
    },
};

const SECRET: &str = "planted-s3cret";
/// `me:planted-s3cret` as sent.
const SENT: &str = "Basic bWU6cGxhbnRlZC1zM2NyZXQ=";

/// A gateway with a service `api` for all paths, whose entry of `routes.yaml` this is.
fn gateway(service: &str, folder: Option<&Path>, options: Options) -> Gateway {
    Gateway::new(routes(service, folder), options, system_clock()).unwrap()
}

fn routes(service: &str, folder: Option<&Path>) -> Routes {
    let yaml = format!(
        "services:\n  api: {{ {service} }}\nroutes:\n  - {{ id: all, path: /*, target_service: api }}\n"
    );
    let around = Around {
        variables: &|_| None,
        folder,
        tokens: &TokenDefaults::NONE,
        private: &Private::default(),
        unchecked: false,
    };
    Routes::parse_with(&yaml, &around).unwrap_or_else(|error| panic!("{error}"))
}

async fn call(gateway: &Gateway) -> Result<Response<Body>, GatewayError> {
    let path = NormalPath::parse("/secret-path").unwrap();
    let table = gateway.table();
    let Found::Match(matched) = table.find("", &path, &Method::GET) else {
        panic!("no route");
    };
    let request = Request::new(Body::empty());
    gateway.call(&table, matched, request, logged_in())?.send().await
}

/// The body of a call that works.
async fn body(gateway: &Gateway) -> String {
    let answer = call(gateway).await.unwrap();
    let bytes = to_bytes(answer.into_body(), 1024).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The line about a call that does not work.
async fn failure(gateway: &Gateway) -> String {
    let logs = Logs::capture();
    assert_eq!(call(gateway).await.unwrap_err(), GatewayError::BadGateway);
    let text = logs.text();
    for secret in [SECRET, "bWU6", "secret-path", "our-token"] {
        assert!(!text.contains(secret), "{text}");
    }
    let mut lines = text.lines().filter(|line| line.contains("WARN"));
    let line = lines
        .next()
        .unwrap_or_else(|| panic!("no warning in:\n{text}"))
        .to_owned();
    assert!(lines.next().is_none(), "{text}");
    assert!(
        line.contains("a call to a service failed") && line.contains("api"),
        "{line}"
    );
    line
}

/// Calls pass this proxy, with credentials; those to `direct` do not.
fn through(proxy: SocketAddr, direct: &[&str]) -> Options {
    let url = format!("http://me:{SECRET}@{proxy}");
    let parse = |variable| Some(Proxy::parse(variable, &url).unwrap());
    let direct = direct.iter().map(|text| Direct::parse(text).unwrap()).collect();
    Options {
        proxies: Proxies::new(parse("HTTPS_PROXY"), parse("HTTP_PROXY"), direct),
        ..Options::default()
    }
}

/// A folder with `ca.pem` and `named.pem`.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), CA).unwrap();
    std::fs::write(folder.path().join("named.pem"), NAMED).unwrap();
    folder
}

#[tokio::test]
async fn a_call_over_https_passes_the_proxy_in_a_tunnel() {
    let logs = Logs::capture();
    let folder = folder();
    let proxy = TestProxy::start(Does::Forward(server_with(NAMED, NAMED_KEY))).await;
    let gateway = gateway(
        "base_url: 'https://service.test:8443', ca_file: named.pem",
        Some(folder.path()),
        through(proxy.address(), &[]),
    );
    assert_eq!(body(&gateway).await, "ok");
    let head = proxy.only().to_ascii_lowercase();
    assert!(
        head.starts_with("connect service.test:8443 http/1.1\r\n"),
        "{head}"
    );
    assert!(head.contains(&SENT.to_ascii_lowercase()), "{head}");
    assert!(
        !head.contains("secret-path") && !head.contains("our-token"),
        "{head}"
    );
    let text = logs.text();
    assert!(!text.contains(SECRET) && !text.contains("bWU6"), "{text}");
}

#[tokio::test]
async fn a_plain_http_call_gives_the_proxy_its_whole_url() {
    let api = Api::start().await;
    let proxy = TestProxy::start(Does::Forward(api.address)).await;
    let gateway = gateway(
        "base_url: 'http://service.test'",
        None,
        through(proxy.address(), &[]),
    );
    body(&gateway).await;
    let head = proxy.only();
    assert!(
        head.starts_with("GET http://service.test/secret-path HTTP/1.1\r\n"),
        "{head}"
    );
    assert!(
        head.to_ascii_lowercase().contains("\r\nhost: service.test\r\n"),
        "{head}"
    );
    assert!(head.contains(SENT), "{head}");
    assert_eq!(api.only().headers["x-forwarded-for"], "192.0.2.7");
}

/// They do not receive its credentials.
#[tokio::test]
async fn loopback_and_no_proxy_hosts_bypass_the_proxy() {
    let proxy = TestProxy::start(Does::Answer("")).await;
    let api = Api::start().await;
    let port = api.address.port();
    for (host, direct) in [("127.0.0.1", &[][..]), ("0.0.0.0", &["0.0.0.0"])] {
        let service = format!("base_url: 'http://{host}:{port}'");
        body(&gateway(&service, None, through(proxy.address(), direct))).await;
    }
    assert!(proxy.heads().is_empty());
    let without = |headers: &HeaderMap| !headers.contains_key("proxy-authorization");
    assert!(api.seen().len() == 2 && api.seen().iter().all(|seen| without(&seen.headers)));
}

#[tokio::test]
async fn what_fails_at_the_proxy_is_told_as_that() {
    const REFUSAL: Does =
        Does::Answer("HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n");
    for (does, base, part) in [
        (
            REFUSAL,
            "https",
            "(HTTPS_PROXY) does not take the user name and password that it is given (407) - fix: correct them in [HttpsProxy]",
        ),
        (
            REFUSAL,
            "http",
            "(HTTP_PROXY) does not take the user name and password that it is given (407) - fix: correct them in [HttpProxy]",
        ),
        (
            Does::Answer("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n"),
            "https",
            "(HTTPS_PROXY) does not connect to service.test - fix: correct [HttpsProxy] if no proxy answers there, but a web server; otherwise \
             allow the host at the proxy, or list it in [NoProxy]",
        ),
    ] {
        let proxy = TestProxy::start(does).await;
        let service = format!("base_url: '{base}://service.test'");
        let line = failure(&gateway(&service, None, through(proxy.address(), &[]))).await;
        assert!(
            line.contains(&format!("the proxy {} {part}", proxy.address())),
            "{line}"
        );
    }
    let gone = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    for (base, variable) in [("https", "HTTPS_PROXY"), ("http", "HTTP_PROXY")] {
        let service = format!("base_url: '{base}://service.test'");
        let line = failure(&gateway(&service, None, through(gone, &[]))).await;
        let part = format!("the proxy {gone} ({variable}) cannot be reached: ");
        assert!(line.contains(&part) && line.contains("refused"), "{line}");
    }
}

#[tokio::test]
async fn a_failure_of_tls_behind_the_proxy_is_the_services() {
    let proxy = TestProxy::start(Does::Forward(server())).await;
    let options = through(proxy.address(), &[]);
    let line = failure(&gateway("base_url: 'https://service.test'", None, options)).await;
    assert!(line.contains("authority that is not trusted"), "{line}");
    let named = format!("proxy={} (HTTPS_PROXY)", proxy.address());
    assert!(line.contains(&named), "{line}");
}

#[tokio::test]
async fn without_a_proxy_an_answer_of_407_is_the_services() {
    let address = serve(|_| async {
        let mut answer = Response::new(Body::empty());
        *answer.status_mut() = StatusCode::PROXY_AUTHENTICATION_REQUIRED;
        answer
    })
    .await;
    let service = format!("base_url: 'http://{address}'");
    let answer = call(&gateway(&service, None, Options::default())).await.unwrap();
    assert_eq!(answer.status(), StatusCode::PROXY_AUTHENTICATION_REQUIRED);
}

#[tokio::test]
async fn a_ca_file_counts_for_its_service_alone() {
    let folder = folder();
    let port = server().port();
    let with = format!("base_url: 'https://localhost:{port}', ca_file: ca.pem");
    assert_eq!(
        body(&gateway(&with, Some(folder.path()), Options::default())).await,
        "ok"
    );
    let absolute = folder.path().join("ca.pem");
    let with = format!(
        "base_url: 'https://localhost:{}', ca_file: '{}'",
        server().port(),
        absolute.display()
    );
    assert_eq!(
        body(&gateway(
            &with,
            Some(Path::new("/nonexistent")),
            Options::default()
        ))
        .await,
        "ok"
    );

    // Another service at the very same address is called over no connection of the first.
    let port = server().port();
    let yaml = format!(
        "services:
  trusting: {{ base_url: 'https://localhost:{port}', ca_file: ca.pem }}
  api: {{ base_url: 'https://localhost:{port}' }}
routes:
  - {{ id: all, path: /*, target_service: api }}
"
    );
    let around = Around {
        variables: &|_| None,
        folder: Some(folder.path()),
        tokens: &TokenDefaults::NONE,
        private: &Private::default(),
        unchecked: false,
    };
    let routes = Routes::parse_with(&yaml, &around).unwrap();
    let gateway = Gateway::new(routes, Options::default(), system_clock()).unwrap();
    let line = failure(&gateway).await;
    assert!(line.contains(&format!("https://localhost:{port}")), "{line}");
    assert!(
        line.contains(
            "authority that is not trusted here - fix: name that authority's certificate in its ca_file"
        ),
        "{line}"
    );
}

/// With `tls_verify: false`, for a developer.
#[tokio::test]
async fn an_unchecked_service_may_have_any_certificate() {
    let port = server_with(NAMED, NAMED_KEY).port();
    let yaml = format!(
        "services:
  api: {{ base_url: 'https://localhost:{port}', tls_verify: false }}
routes:
  - {{ id: all, path: /*, target_service: api }}
"
    );
    let around = Around {
        variables: &|_| None,
        folder: None,
        private: &Private::default(),
        unchecked: true,
        tokens: &TokenDefaults::NONE,
    };
    let routes = Routes::parse_with(&yaml, &around).unwrap();
    let gateway = Gateway::new(routes, Options::default(), system_clock()).unwrap();
    assert_eq!(body(&gateway).await, "ok");
}

#[tokio::test]
async fn a_ca_file_may_hold_a_self_signed_certificate() {
    let folder = folder();
    let at = |port: u16, name: &str| format!("base_url: 'https://localhost:{port}', ca_file: {name}");
    std::fs::write(folder.path().join("own.pem"), crate::tls::testing::SELF_SIGNED).unwrap();
    let own = || {
        server_with(
            crate::tls::testing::SELF_SIGNED,
            crate::tls::testing::SELF_SIGNED_KEY,
        )
        .port()
    };
    let trusted = gateway(&at(own(), "own.pem"), Some(folder.path()), Options::default());
    assert_eq!(body(&trusted).await, "ok");
    let line = failure(&gateway(
        &at(own(), "ca.pem"),
        Some(folder.path()),
        Options::default(),
    ))
    .await;
    assert!(line.contains("its ca_file"), "{line}");
    // Its name counts as for any other.
    let port = server_with(NAMED, NAMED_KEY).port();
    let line = failure(&gateway(
        &at(port, "named.pem"),
        Some(folder.path()),
        Options::default(),
    ))
    .await;
    assert!(
        line.contains("for other names - fix: use one of them in its base_url"),
        "{line}"
    );
}

#[tokio::test]
async fn what_the_library_says_of_tls_goes_to_debug() {
    let api = Api::start().await;
    let service = format!("base_url: 'https://{}'", api.address);
    let gateway = gateway(&service, None, Options::default());
    let logs = Logs::capture();
    assert_eq!(call(&gateway).await.unwrap_err(), GatewayError::BadGateway);
    logs.has("it does not speak TLS there - fix: correct scheme and port in its base_url");
    let text = logs.text();
    let library = text.lines().filter(|line| line.contains("InvalidContentType"));
    assert!(
        library.clone().count() == 1 && library.clone().all(|line| line.contains("DEBUG")),
        "{text}"
    );
}

#[tokio::test]
async fn ssl_cert_file_replaces_the_system_authorities() {
    let folder = folder();
    let trusting = |name: &str| Options {
        roots: SystemRoots::new(Some(folder.path().join(name)), Vec::new()),
        ..Options::default()
    };
    let service = || format!("base_url: 'https://localhost:{}'", server().port());
    assert_eq!(body(&gateway(&service(), None, trusting("ca.pem"))).await, "ok");
    let line = failure(&gateway(&service(), None, trusting("named.pem"))).await;
    assert!(line.contains("authority that is not trusted"), "{line}");
}

#[tokio::test]
async fn the_first_key_share_withstands_quantum_computers() {
    let folder = folder();
    for more in ["", ", ca_file: ca.pem"] {
        let (address, groups) = key_shares();
        let service = format!("base_url: 'https://{address}'{more}");
        let gateway = Arc::new(gateway(&service, Some(folder.path()), Options::default()));
        call(&gateway).await.unwrap_err();
        assert_eq!(groups.join().unwrap()[0], X25519MLKEM768);
    }
}

/// Its host is `localhost`, and a proxy is not asked.
#[tokio::test]
async fn a_service_listens_on_a_unix_socket() {
    let folder = folder();
    let path = folder.path().join("api.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let echo = |request: Request<Body>| async move {
        let host = request.headers()[http::header::HOST].to_str().unwrap().to_owned();
        Response::new(Body::from(format!("{} at {host}", request.uri())))
    };
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(echo)).await });
    for form in ["unix:", "unix://"] {
        let service = format!("base_url: '{form}{}'", path.display());
        let gateway = gateway(&service, None, Options::default());
        for _ in 0..2 {
            let answer = call(&gateway).await.unwrap();
            let body = to_bytes(answer.into_body(), 1024).await.unwrap();
            assert_eq!(body, "/secret-path at localhost");
        }
    }
}

#[tokio::test]
async fn a_socket_that_nobody_serves_is_told() {
    let folder = folder();
    let left = folder.path().join("left.sock");
    drop(std::os::unix::net::UnixListener::bind(&left).unwrap());
    for (path, part) in [
        (folder.path().join("none.sock"), "the socket does not exist"),
        (left, "connection refused, nothing listens there"),
    ] {
        let service = format!("base_url: 'unix:{}'", path.display());
        let line = failure(&gateway(&service, None, Options::default())).await;
        outage::in_our_words(&line);
        assert!(line.contains(part), "{line}");
        assert!(
            line.contains("start the service, or correct its base_url"),
            "{line}"
        );
        assert!(line.contains(&format!("unix:{}", path.display())), "{line}");
    }
}

/// The service answers no client that it does not know.
#[tokio::test]
async fn a_client_certificate_is_shown_to_its_service() {
    let folder = folder();
    for (name, content) in [("client.pem", CLIENT), ("client.key", CLIENT_KEY)] {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    let service = |more: &str| {
        let port = server_for_known_clients().port();
        format!("base_url: 'https://localhost:{port}', ca_file: ca.pem{more}")
    };
    let known = service(", client_cert_path: client.pem, client_key_path: client.key");
    let gateway_of = |service: &str| gateway(service, Some(folder.path()), Options::default());
    let answer = call(&gateway_of(&known)).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(
        call(&gateway_of(&service(""))).await.unwrap_err(),
        GatewayError::BadGateway
    );
}

/// A reload with the same text shows the files as they are now.
#[tokio::test]
async fn a_replaced_client_certificate_is_shown() {
    let folder = folder();
    let write = |certificate, key| {
        std::fs::write(folder.path().join("client.pem"), certificate).unwrap();
        std::fs::write(folder.path().join("client.key"), key).unwrap();
    };
    let port = server_for_known_clients().port();
    let service = format!(
        "base_url: 'https://localhost:{port}', ca_file: ca.pem, client_cert_path: client.pem, client_key_path: client.key"
    );
    write(NAMED, NAMED_KEY);
    let gateway = gateway(&service, Some(folder.path()), Options::default());
    assert_eq!(call(&gateway).await.unwrap_err(), GatewayError::BadGateway);
    write(CLIENT, CLIENT_KEY);
    gateway.reload(routes(&service, Some(folder.path()))).unwrap();
    assert_eq!(call(&gateway).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn each_failure_of_a_service_is_told_in_our_words() {
    let at = |does| format!("base_url: 'http://{}'", outage::server(does));
    for (service, part) in [
        (
            at(outage::Does::Refuse),
            "connection refused, nothing listens there - fix: start the service, or correct its base_url in [RoutesFile]",
        ),
        (at(outage::Does::Reset), "the other side has ended the connection"),
        (
            at(outage::Does::Close),
            "has closed the connection before the end of its answer",
        ),
        (
            at(outage::Does::Alert),
            "the answer is not HTTP - fix: correct scheme and port of its base_url",
        ),
        (
            "base_url: 'http://no-such-host.invalid'".to_owned(),
            "its name has no address",
        ),
        (
            format!("base_url: 'https://localhost:{}'", server().port()),
            "its certificate comes from an authority that is not trusted here - fix: name that authority's certificate in its \
             ca_file in [RoutesFile]",
        ),
    ] {
        let line = failure(&gateway(&service, None, Options::default())).await;
        assert!(line.contains(part), "{service}: {line}");
        outage::in_our_words(&line);
    }
}

/// With `h2c`, the server says nothing that this side understands, or hangs up.
#[tokio::test]
async fn a_service_without_http2_is_told_to_be_one() {
    for does in [outage::Does::Alert, outage::Does::Close, outage::Does::Reset] {
        let service = format!("base_url: 'http://{}', h2c: true", outage::server(does));
        let line = failure(&gateway(&service, None, Options::default())).await;
        outage::in_our_words(&line);
        assert!(
            line.contains("remove h2c from the service in [RoutesFile]"),
            "{does:?}: {line}"
        );
    }
}

mod pooled;
