//! The way to the provider: proxies, the system's authorities, the first bytes of TLS.

use http::StatusCode;

use super::*;
use crate::{
    outage::testing as outage,
    proxy::{
        Direct, Proxy,
        testing::{Does, TestProxy},
    },
    tls::testing::{NAMED, NAMED_KEY, X25519MLKEM768, key_shares},
};

const SECRET: &str = "planted-s3cret";
/// `me:planted-s3cret` as sent.
const SENT: &str = "Basic bWU6cGxhbnRlZC1zM2NyZXQ=";

/// Calls pass this proxy, with credentials; those to `direct` do not.
fn through(proxy: SocketAddr, direct: &[&str]) -> Options {
    let url = format!("http://me:{SECRET}@{proxy}");
    let parse = |variable| Some(Proxy::parse(variable, &url).unwrap());
    let direct = direct.iter().map(|text| Direct::parse(text).unwrap()).collect();
    Options {
        ca_bundle: Some(NAMED.to_vec()),
        proxies: Proxies::new(parse("HTTPS_PROXY"), parse("HTTP_PROXY"), direct),
        ..Options::default()
    }
}

async fn get_with(options: &Options, url: &str) -> Result<Response, TransportError> {
    let request = Request::get(Url::parse(url).unwrap());
    outbound(options).send(Lane::Metadata, request).await
}

/// The text of a failure, before which nothing was sent.
async fn failure(options: &Options, url: &str) -> String {
    let logs = Logs::capture();
    let error = get_with(options, url).await.unwrap_err();
    assert!(error.certainly_not_sent(), "{error:?}");
    let text = format!("{} {error} {error:?}", logs.text());
    assert!(!text.contains(SECRET) && !text.contains("bWU6"), "{text}");
    error.told()
}

#[tokio::test]
async fn a_call_over_https_passes_the_proxy_in_a_tunnel() {
    let logs = Logs::capture();
    let proxy = TestProxy::start(Does::Forward(server_with(NAMED, NAMED_KEY))).await;
    let options = through(proxy.address(), &[]);
    let response = get_with(&options, "https://idp.test/secret-path").await.unwrap();
    assert_eq!(response.body, "ok");
    let head = proxy.only().to_ascii_lowercase();
    assert!(head.starts_with("connect idp.test:443 http/1.1\r\n"), "{head}");
    let sent = format!("proxy-authorization: {}\r\n", SENT.to_ascii_lowercase());
    assert!(head.contains(&sent), "{head}");
    assert!(!head.contains("secret-path"), "{head}");
    let text = logs.text();
    assert!(!text.contains(SECRET) && !text.contains("bWU6"), "{text}");
}

#[tokio::test]
async fn a_call_over_plain_http_is_handed_to_the_proxy() {
    let idp = serve(Router::new().route("/x", get(async || "ok"))).await;
    let address = idp.socket_addrs(|| None).unwrap()[0];
    let proxy = TestProxy::start(Does::Forward(address)).await;
    let response = get_with(&through(proxy.address(), &[]), "http://idp.test/x")
        .await
        .unwrap();
    assert_eq!(response.body, "ok");
    let head = proxy.only();
    assert!(head.starts_with("GET http://idp.test/x HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(SENT), "{head}");
}

#[tokio::test]
async fn loopback_and_what_no_proxy_names_pass_no_proxy() {
    let proxy = TestProxy::start(Does::Answer("HTTP/1.1 204 No Content\r\n\r\n")).await;
    let idp = serve(Router::new().route("/", get(async || "direct"))).await;
    let direct = get_with(&through(proxy.address(), &[]), idp.as_str())
        .await
        .unwrap();
    assert_eq!(direct.body, "direct");
    // This machine, by an address that is not a loopback address.
    let unspecified = format!("http://0.0.0.0:{}/", idp.port().unwrap());
    let direct = get_with(&through(proxy.address(), &["0.0.0.0/8"]), &unspecified)
        .await
        .unwrap();
    assert_eq!(direct.body, "direct");
    assert!(proxy.heads().is_empty());
    let proxied = get_with(&through(proxy.address(), &["10.0.0.0/8"]), &unspecified)
        .await
        .unwrap();
    assert_eq!(proxied.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn what_fails_at_the_proxy_is_told_as_that() {
    for (does, part) in [
        (
            Does::Answer("HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n"),
            "does not take the user name and password that it is given (407) - fix: correct them in [HttpsProxy]",
        ),
        (
            Does::Answer("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n"),
            "does not connect to idp.test:443 - fix: correct [HttpsProxy] if no proxy answers there, but a web server; otherwise allow the \
             host at the proxy, or list it in [NoProxy]",
        ),
        (Does::Answer(""), "does not connect to idp.test:443"),
    ] {
        let proxy = TestProxy::start(does).await;
        let options = through(proxy.address(), &[]);
        let text = failure(&options, "https://idp.test/").await;
        let whole = format!("the proxy {} (HTTPS_PROXY) {part}", proxy.address());
        assert!(text.starts_with(&whole), "{text}");
    }
    let refusal = Does::Answer("HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n");
    let proxy = TestProxy::start(refusal).await;
    let text = failure(&through(proxy.address(), &[]), "http://idp.test/").await;
    assert!(text.contains("(HTTP_PROXY) does not take"), "{text}");
    let open = Proxy::parse("HTTPS_PROXY", &proxy.address().to_string()).unwrap();
    let options = Options {
        proxies: Proxies::new(Some(open), None, Vec::new()),
        ..Options::default()
    };
    let text = failure(&options, "https://idp.test/").await;
    assert!(
        text.contains("wants a user name and a password (407) - fix: add them to [HttpsProxy]"),
        "{text}"
    );
}

#[tokio::test]
async fn a_proxy_that_cannot_be_reached_is_named() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (url, variable) in [
        ("https://idp.test/", "HTTPS_PROXY"),
        ("http://idp.test/", "HTTP_PROXY"),
    ] {
        let text = failure(&through(gone, &[]), url).await;
        let whole = format!("the proxy {gone} ({variable}) cannot be reached: ");
        assert!(text.starts_with(&whole) && text.contains("refused"), "{text}");
    }
}

#[tokio::test]
async fn a_failure_of_tls_behind_the_proxy_is_the_providers() {
    let proxy = TestProxy::start(Does::Forward(server())).await;
    let text = failure(&through(proxy.address(), &[]), "https://idp.test/").await;
    let through = format!(
        "cannot connect to idp.test:443 through the proxy {} (HTTPS_PROXY): ",
        proxy.address()
    );
    assert!(
        text.starts_with(&through) && text.contains("[ProviderCa]"),
        "{text}"
    );
}

#[tokio::test]
async fn ssl_cert_file_replaces_the_system_authorities() {
    let folder = tempfile::tempdir().unwrap();
    let (file, other) = (folder.path().join("ca.pem"), folder.path().join("other.pem"));
    std::fs::write(&file, CA).unwrap();
    std::fs::write(&other, NAMED).unwrap();
    let trusting = |file| Options {
        roots: SystemRoots::new(Some(file), Vec::new()),
        ..Options::default()
    };
    let answer = get_with(&trusting(file), tls_server().as_str()).await.unwrap();
    assert_eq!(answer.body, "ok");
    let text = failure(&trusting(other), tls_server().as_str()).await;
    assert!(text.contains("authority that is not trusted"), "{text}");
}

#[tokio::test]
async fn the_first_key_share_withstands_quantum_computers() {
    for ca_bundle in [None, Some(CA.to_vec())] {
        let options = Options {
            ca_bundle,
            ..Options::default()
        };
        let (address, groups) = key_shares();
        let _ = get_with(&options, at_localhost(address).as_str())
            .await
            .unwrap_err();
        assert_eq!(groups.join().unwrap()[0], X25519MLKEM768);
    }
}

#[tokio::test]
async fn each_failure_of_a_connection_is_told_in_our_words() {
    let at = |address: SocketAddr| format!("http://{address}/");
    for (url, part) in [
        (
            at(outage::server(outage::Does::Refuse)),
            "connection refused, nothing listens there",
        ),
        (
            at(outage::server(outage::Does::Reset)),
            "the other side has ended the connection",
        ),
        (
            at(outage::server(outage::Does::Close)),
            "has closed the connection before the end of its answer",
        ),
        (at(outage::server(outage::Does::Alert)), "the answer is not HTTP"),
        (
            "http://no-such-host.invalid/".to_owned(),
            "its name has no address",
        ),
        (tls_server().to_string(), "authority that is not trusted here"),
        (
            at(outage::server(outage::Does::Close)).replace("http:", "https:"),
            "the other side has",
        ),
    ] {
        let logs = Logs::capture();
        let error = get_with(&Options::default(), &url).await.unwrap_err();
        assert!(error.told().contains(part), "{url}: {}", error.told());
        outage::in_our_words(&error.told());
        // The library's own words are in the log at the level debug.
        assert!(logs.text().contains("the library's error"), "{}", logs.text());
        for level in ["INFO", "WARN", "ERROR"] {
            outage::in_our_words(&logs.lines(level).concat());
        }
    }
}
