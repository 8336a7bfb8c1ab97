//! Forwarded headers count only from a listed proxy.

use devstack_idp::Endpoint;
use http::{Method, StatusCode};

use crate::support::{Browser, Reply, Stack};

async fn get(browser: &Browser, path: &str, headers: &[(&str, &str)]) -> Reply {
    let mut request = browser.request(Method::GET, path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    browser.send(request).await
}

/// The redirect URI of the last login that was started.
fn redirect_uri(stack: &Stack) -> String {
    let requests = stack.idp.requests(Endpoint::Par);
    requests.last().unwrap().field("redirect_uri").unwrap().to_owned()
}

fn forwarded(stack: &Stack, standard: bool) -> Vec<(&'static str, String)> {
    let host = format!("authz.localhost:{}", stack.address.port());
    if standard {
        let value = format!("for=203.0.113.9, for=\"[2001:db8::1]:80\";host=\"{host}\";proto=https");
        return vec![("forwarded", value)];
    }
    vec![
        ("x-forwarded-for", "203.0.113.9, 2001:db8::1".to_owned()),
        ("x-forwarded-host", host),
        ("x-forwarded-proto", "https".to_owned()),
    ]
}

fn borrowed<'a>(headers: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect()
}

#[tokio::test]
async fn attack_1_forwarded_headers_of_an_unlisted_peer_are_ignored() {
    // No proxy is listed by default; and a list is not the whole world.
    let other = Stack::builder().set("BFF_TRUSTED_PROXIES", "10.0.0.0/8, ::1");
    for stack in [Stack::start().await, other.start().await] {
        let nobody = stack.browser();
        for standard in [false, true] {
            let headers = forwarded(&stack, standard);
            let reply = get(&nobody, "/auth/login", &borrowed(&headers)).await;
            assert_eq!(reply.status, StatusCode::FOUND, "{}", reply.body);
            assert_eq!(redirect_uri(&stack), format!("{}/auth/callback", stack.origin(0)));

            get(&nobody, "/public/x", &borrowed(&headers)).await;
            let call = stack.api.last();
            assert_eq!(call.header("x-forwarded-for"), Some("127.0.0.1"));
            assert_eq!(call.header("x-forwarded-proto"), Some("http"));
            assert_eq!(
                call.header("x-forwarded-host"),
                stack.origin(0).strip_prefix("http://")
            );
            assert_eq!(call.header("forwarded"), None);
        }
    }
}

#[tokio::test]
async fn a_listed_proxy_is_believed() {
    for (standard, family) in [(false, ""), (false, "x-forwarded"), (true, "forwarded")] {
        let stack = Stack::builder()
            .set("BFF_TRUSTED_PROXIES", "127.0.0.0/8")
            .set("BFF_FORWARDED_HEADERS", family)
            .start()
            .await;
        let nobody = stack.browser();
        let headers = forwarded(&stack, standard);
        let reply = get(&nobody, "/auth/login", &borrowed(&headers)).await;
        assert_eq!(reply.status, StatusCode::FOUND, "{}", reply.body);
        assert_eq!(redirect_uri(&stack), format!("{}/auth/callback", stack.origin(2)));

        get(&nobody, "/public/x", &borrowed(&headers)).await;
        let call = stack.api.last();
        // The nearest that is not listed, not the farthest, which the client made up.
        assert_eq!(call.header("x-forwarded-for"), Some("2001:db8::1"));
        assert_eq!(call.header("x-forwarded-proto"), Some("https"));
        assert_eq!(
            call.header("x-forwarded-host"),
            stack.origin(2).strip_prefix("http://")
        );
    }
}

/// The family that it sets.
#[tokio::test]
async fn attack_1_a_listed_proxy_is_believed_for_one_family_only() {
    for (standard, family) in [(true, "x-forwarded"), (false, "forwarded")] {
        let stack = Stack::builder()
            .set("BFF_TRUSTED_PROXIES", "127.0.0.1")
            .set("BFF_FORWARDED_HEADERS", family)
            .start()
            .await;
        let nobody = stack.browser();
        let headers = forwarded(&stack, standard);
        get(&nobody, "/auth/login", &borrowed(&headers)).await;
        assert_eq!(redirect_uri(&stack), format!("{}/auth/callback", stack.origin(0)));
        get(&nobody, "/public/x", &borrowed(&headers)).await;
        let call = stack.api.last();
        assert_eq!(call.header("x-forwarded-for"), Some("127.0.0.1"));
        assert_eq!(call.header("x-forwarded-proto"), Some("http"));
    }
}

/// Nor a login host.
#[tokio::test]
async fn attack_1_forwarded_hosts_become_no_own_origin() {
    let stack = Stack::builder()
        .set("BFF_TRUSTED_PROXIES", "127.0.0.1")
        .start()
        .await;
    let ada = stack.browser();
    ada.log_in().await;
    let request = ada
        .request(Method::POST, "/api/x")
        .header("x-csrf-token", ada.csrf_token().await)
        .header("x-forwarded-host", "evil.example")
        .header("x-forwarded-proto", "https");
    let mut request = request.build().unwrap();
    request
        .headers_mut()
        .insert("origin", "https://evil.example".parse().unwrap());
    let reply = Reply::read(crate::support::http_client().execute(request).await.unwrap()).await;
    assert_eq!(reply.refusal(), (403, "csrf_origin".to_owned()));
    assert!(stack.api.calls().is_empty());

    let before = stack.idp.count(Endpoint::Par);
    let reply = get(&ada, "/auth/login", &[("x-forwarded-host", "evil.example")]).await;
    assert_eq!(reply.status, StatusCode::FOUND);
    assert!(
        reply
            .location()
            .starts_with(&format!("http://127.0.0.1:{}/auth/login", stack.address.port()))
    );
    assert!(reply.set_cookies().is_empty());
    assert_eq!(stack.idp.count(Endpoint::Par), before);
}
