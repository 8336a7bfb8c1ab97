//! The access line.

use crate::support::{Logs, Stack};

#[tokio::test]
async fn it_says_whose_request_it_was_and_where_it_went() {
    let logs = Logs::capture();
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    let verified = ada.get("/auth/verify").await;
    let session = verified.header("x-session-id").unwrap().to_owned();
    logs.clear();
    ada.get("/api/hello?secret=planted-secret").await;
    let line = logs.has_part("INFO", "path=\"/api/hello\"");
    for part in [
        "method=GET".to_owned(),
        "status=200".to_owned(),
        "client=127.0.0.1".to_owned(),
        format!("host=\"automate.localhost:{}\"", stack.address.port()),
        "route=\"api\"".to_owned(),
        "service=\"api\"".to_owned(),
        format!("session=\"{session}\""),
        "correlation_id=".to_owned(),
    ] {
        assert!(line.contains(&part), "no {part} in {line}");
    }
    ada.get("/auth/verify").await;
    assert!(logs.has_part("INFO", "path=\"/auth/verify\"").contains(&session));
    // Fields without a value, such as the session of an anonymous request, are omitted.
    stack.browser().get("/nowhere").await;
    let line = logs.has_part("INFO", "path=\"/nowhere\"");
    assert!(!line.contains("route=") && !line.contains("session="), "{line}");
    assert!(!logs.text().contains("planted-secret"));
}

#[tokio::test]
async fn health_checks_are_of_use_only_while_looking_for_something() {
    let logs = Logs::capture();
    let stack = Stack::start().await;
    let probe = stack.browser();
    for path in ["/health", "/health/live", "/health/ready"] {
        probe.get(path).await;
        let line = format!("path=\"{path}\"");
        logs.has_part("DEBUG", &line);
        assert!(!logs.lines("INFO").iter().any(|info| info.contains(&line)));
    }
}

#[tokio::test]
async fn the_client_is_the_one_behind_a_listed_proxy() {
    let logs = Logs::capture();
    let stack = Stack::builder()
        .set("BFF_TRUSTED_PROXIES", "127.0.0.1")
        .start()
        .await;
    let ada = stack.browser();
    let request = ada
        .request(http::Method::GET, "/nowhere")
        .header("x-forwarded-for", "203.0.113.9")
        .header("x-forwarded-host", "authn.localhost");
    ada.send(request).await;
    let line = logs.has_part("INFO", "path=\"/nowhere\"");
    assert!(
        line.contains("client=203.0.113.9") && line.contains("host=\"authn.localhost\""),
        "{line}"
    );
}
