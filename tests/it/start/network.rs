//! Proxies on the way out, and the certificates of services, as an operator sets them.

use std::fs;

use super::folder;
use crate::{
    recipes::recipe,
    support::{
        Api, Logs, Port, Process, Stack,
        proxy::{Does, TestProxy},
    },
};

const SECRET: &str = "planted-s3cret";
/// `me:planted-s3cret` as sent.
const SENT: &str = "Basic bWU6cGxhbnRlZC1zM2NyZXQ=";

const ROUTES: &str = "
services:
  far: { base_url: 'http://far.test' }
  near: { base_url: '{api}' }
  listed: { base_url: 'https://listed.test' }
routes:
  - { id: far, path: /api/far/*, target_service: far }
  - { id: near, path: /api/near/*, target_service: near }
";

/// A server behind a proxy with credentials for plain http.
async fn behind(proxy: &TestProxy) -> Stack {
    let url = format!("http://me:{SECRET}@{}", proxy.address());
    let builder = Stack::builder().routes(ROUTES);
    builder
        .set("HTTP_PROXY", url)
        .set("https_proxy", "http://other.test:3128")
        .set("NO_PROXY", "listed.test, 10.0.0.0/8")
        .start()
        .await
}

/// The start names them.
#[tokio::test]
async fn calls_use_the_proxies_of_the_environment() {
    let logs = Logs::capture_everything();
    let api = Api::start().await;
    let address = api.url().trim_start_matches("http://").parse().unwrap();
    let proxy = TestProxy::start(Does::Forward(address)).await;
    let stack = behind(&proxy).await;
    let line = logs.has_part("INFO", "calls pass a proxy");
    for part in [
        "idp=\"directly\"".to_owned(),
        format!(
            "services=\"far through {} (HTTP_PROXY), near directly, listed directly\"",
            proxy.address()
        ),
        "no_proxy=\"listed.test, 10.0.0.0/8\"".to_owned(),
    ] {
        assert!(line.contains(&part), "no {part} in {line}");
    }

    let ada = stack.browser();
    ada.log_in().await;
    assert_eq!(ada.get("/api/near/1").await.status, 200);
    assert!(proxy.heads().is_empty());
    assert_eq!(ada.get("/api/far/1").await.status, 200);
    let head = proxy.only();
    assert!(head.starts_with("GET http://far.test/1 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(SENT), "{head}");
    assert_eq!(api.calls().len(), 1);
    assert_eq!(stack.api.last().header("proxy-authorization"), None);
    let text = logs.text();
    assert!(!text.contains(SECRET) && !text.contains("bWU6"), "{text}");
}

#[tokio::test]
async fn a_proxy_that_refuses_is_a_502_and_told_as_what_it_is() {
    let logs = Logs::capture();
    let proxy = TestProxy::start(Does::Answer(
        "HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\ncontent-length: 0\r\n\r\n",
    ))
    .await;
    let stack = behind(&proxy).await;
    let ada = stack.browser();
    ada.log_in().await;
    let reply = ada.get("/api/far/1").await;
    assert_eq!(reply.refusal(), (502, "bad_gateway".to_owned()));
    let line = logs.has_part("WARN", "a call to a service failed");
    let part = format!("the proxy {} (HTTP_PROXY) does not take", proxy.address());
    assert!(line.contains(&part) && line.contains("http://far.test"), "{line}");
    assert!(!logs.text().contains(SECRET), "{}", logs.text());
}

#[tokio::test]
async fn a_ca_file_that_cannot_be_used_is_told_before_the_start() {
    let folder = folder();
    let routes = folder.path().join("config/routes.yaml");
    let variables = [
        ("OIDC_ISSUER", "https://idp.example"),
        ("BFF_BASE_URL", "https://app.example"),
        ("AUTH_CLIENT_ID", "bff-server"),
    ];
    fs::write(
        routes,
        recipe("docs/gateway.md", "# An authority of the company."),
    )
    .unwrap();
    let check = async || {
        Process::start(folder.path(), &["check", "--config-only"], &variables)
            .ended()
            .await
    };
    check().await.says(
        64,
        &["line 5, column 14: ca_file `corp-ca.pem` of service `orders` cannot be read"],
    );
    let certificate = concat!(env!("CARGO_MANIFEST_DIR"), "/src/tls/testing/ca.pem");
    fs::copy(certificate, folder.path().join("config/corp-ca.pem")).unwrap();
    check().await.says(0, &["the configuration is consistent"]);
}

#[tokio::test]
async fn an_empty_variable_keeps_the_system_authorities() {
    let folder = folder();
    let text = "services: { a: { base_url: 'https://a.test' } }\n";
    fs::write(folder.path().join("config/routes.yaml"), text).unwrap();
    let port = Port::reserve();
    let number = port.address().port().to_string();
    drop(port);
    let variables = [
        ("OIDC_ISSUER", "https://idp.localhost"),
        ("BFF_BASE_URL", "https://app.example"),
        ("AUTH_CLIENT_ID", "bff-server"),
        ("BFF_KEY_TYPE", "p-256"),
        ("PORT", &number),
        ("SSL_CERT_FILE", ""),
        ("SSL_CERT_DIR", ""),
        ("HTTPS_PROXY", ""),
    ];
    let mut bff = Process::start(folder.path(), &[], &variables);
    bff.says("listening").await;
    let output = bff.output();
    // A machine without any has another warning.
    assert!(
        !output.contains("at ''") && !output.contains("calls pass a proxy"),
        "{output}"
    );
}

#[tokio::test]
async fn a_hangup_makes_the_server_read_its_routes_again() {
    let folder = folder();
    let file = folder.path().join("config/routes.yaml");
    let port = Port::reserve();
    let number = port.address().port().to_string();
    drop(port);
    let variables = [
        ("OIDC_ISSUER", "https://idp.localhost"),
        ("BFF_BASE_URL", "https://app.example"),
        ("AUTH_CLIENT_ID", "bff-server"),
        ("BFF_KEY_TYPE", "p-256"),
        ("PORT", &number),
    ];
    let mut bff = Process::start(folder.path(), &[], &variables);
    bff.says("listening").await;
    fs::write(&file, "services: { a: { base_url: nothing } }\n").unwrap();
    bff.signal("HUP");
    bff.says("the routes were not read again, and the former ones stay")
        .await;
    assert!(
        bff.output()
            .contains("line 1, column 28: base_url of service `a`"),
        "{}",
        bff.output()
    );
    fs::write(&file, "services: { a: { base_url: 'http://a.test' } }\n").unwrap();
    bff.signal("HUP");
    bff.says("the routes were read again").await;
}

#[tokio::test]
async fn the_routing_table_answers_questions_on_the_command_line() {
    let folder = folder();
    let text = "services: { a: { base_url: 'http://a.test/v1' } }\nroutes: [{ id: one, path: '/x/*', target_service: a }]\n";
    fs::write(folder.path().join("config/routes.yaml"), text).unwrap();
    let variables = [
        ("OIDC_ISSUER", "https://idp.example"),
        ("BFF_BASE_URL", "https://app.example"),
        ("AUTH_CLIENT_ID", "bff-server"),
    ];
    let run = async |args: &[&str]| Process::start(folder.path(), args, &variables).ended().await;
    run(&["routes", "list"]).await.says(0, &["one  session"]);
    let matched = ["routes", "match", "GET", "/x/y?z", "--json"];
    run(&matched).await.says(0, &["http://a.test/v1/y?z"]);
    run(&["routes", "match", "GET", "/y"]).await.says(1, &["404"]);
}
