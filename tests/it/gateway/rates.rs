//! Rate limits of routes.

use std::time::Duration;

use bff::instruments::{Instruments as _, Reading, Series};
use http::{Method, StatusCode};

use crate::support::{Browser, Reply, Stack};

const ROUTES: &str = "services:\n  api: { base_url: '{api}' }\nroutes:\n\
    - { id: session, path: /session, target_service: api, rate_limit: { per_session: 3/m } }\n\
    - { id: other, path: /other, target_service: api, rate_limit: { per_session: 3/m } }\n\
    - { id: address, path: /address, target_service: api, rate_limit: { per_address: { rate: 60/m, burst: 2 } } }\n\
    - { id: all, path: /all, target_service: api, rate_limit: { per_route: { rate: 1/s, burst: 2 } } }\n\
    - { id: three, path: /three, target_service: api, rate_limit: { per_address: 100/m, per_session: 50/m, per_route: 1000/m } }\n\
    - { id: free, path: /free, target_service: api }\n\
    - { id: optional, path: /optional, target_service: api, auth: optional, rate_limit: { per_session: 1/m } }\n";

async fn stack() -> (Stack, Browser) {
    let stack = Stack::builder()
        .routes(ROUTES)
        .set("BFF_TRUSTED_PROXIES", "127.0.0.1/32")
        .start()
        .await;
    let ada = stack.browser();
    ada.log_in().await;
    (stack, ada)
}

async fn from(browser: &Browser, address: &str, path: &str) -> Reply {
    let request = browser
        .request(Method::GET, path)
        .header("x-forwarded-for", address);
    browser.send(request).await
}

/// Checks a refusal and what it tells.
fn assert_limited(reply: &Reply, policy: &str, limit: &str, after: &str) {
    assert_eq!(reply.refusal(), (429, "rate_limited".to_owned()));
    assert_eq!(reply.header("ratelimit-policy"), Some(policy));
    assert_eq!(reply.header("ratelimit"), Some(limit));
    assert_eq!(reply.header("retry-after"), Some(after));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn a_session_has_its_own_rate() {
    let (stack, ada) = stack().await;
    let grace = Browser::new("grace", &stack.origin(0));
    grace.log_in().await;
    for browser in [&ada, &grace] {
        for _ in 0..3 {
            assert_eq!(browser.get("/session").await.status, StatusCode::OK);
        }
        let reply = browser.get("/session").await;
        assert_limited(&reply, "\"session\";q=3;w=60", "\"session\";r=0;t=20", "20");
        assert_eq!(browser.get("/other").await.status, StatusCode::OK);
    }
    assert_eq!(stack.api.calls().len(), 8);
    stack.advance(Duration::from_secs(20)).await;
    assert_eq!(ada.get("/session").await.status, StatusCode::OK);
    assert_eq!(ada.get("/session").await.refusal().0, 429);
    let violations = Series::labelled("bff_rate_limit_violations_total", "kind", "session");
    let counted = stack
        .tally
        .read()
        .into_iter()
        .find(|(series, _)| *series == violations);
    assert_eq!(counted.unwrap().1, Reading::Count(3));
    // Nobody without a session has a share.
    let nobody = stack.browser();
    for _ in 0..5 {
        assert_eq!(nobody.get("/session").await.refusal().0, 401);
        assert_eq!(nobody.get("/optional").await.status, StatusCode::OK);
    }
    assert_eq!(ada.get("/optional").await.status, StatusCode::OK);
    assert_eq!(ada.get("/optional").await.refusal().0, 429);
}

/// Before a session is looked up: a guess costs the server nothing.
#[tokio::test]
async fn an_address_has_its_own_rate() {
    let (_stack, ada) = stack().await;
    for address in ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8:0:1::1"] {
        for _ in 0..2 {
            assert_eq!(
                from(&ada, address, "/address").await.status,
                StatusCode::OK,
                "{address}"
            );
        }
        let reply = from(&ada, address, "/address").await;
        assert_limited(&reply, "\"address\";q=60;w=60", "\"address\";r=0;t=1", "1");
    }
    // The same network of 64 bits.
    assert_eq!(from(&ada, "2001:db8::2:1", "/address").await.refusal().0, 429);
    let nobody = Browser::new("grace", ada.origin());
    assert_eq!(from(&nobody, "192.0.2.1", "/address").await.refusal().0, 429);
    for _ in 0..2 {
        assert_eq!(from(&nobody, "192.0.2.9", "/address").await.refusal().0, 401);
    }
    assert_eq!(from(&ada, "192.0.2.9", "/address").await.refusal().0, 429);
}

/// A request that the route refuses anyway takes no share of the others.
#[tokio::test]
async fn a_route_has_a_rate_for_all() {
    let (stack, ada) = stack().await;
    let nobody = stack.browser();
    for _ in 0..5 {
        assert_eq!(nobody.get("/all").await.refusal().0, 401);
    }
    assert_eq!(ada.get("/all").await.status, StatusCode::OK);
    let grace = Browser::new("grace", &stack.origin(0));
    grace.log_in().await;
    assert_eq!(grace.get("/all").await.status, StatusCode::OK);
    let reply = ada.get("/all").await;
    assert_limited(&reply, "\"route\";q=1;w=1", "\"route\";r=0;t=1", "1");
    stack.advance(Duration::from_secs(1)).await;
    assert_eq!(ada.get("/all").await.status, StatusCode::OK);
}

/// The values of both fields, each of a service and ours.
fn told(reply: &Reply) -> [Vec<&str>; 2] {
    ["ratelimit-policy", "ratelimit"].map(|name| {
        let values = reply.headers.get_all(name).into_iter();
        values.map(|value| value.to_str().unwrap()).collect()
    })
}

#[tokio::test]
async fn every_answer_says_what_is_left() {
    let (stack, ada) = stack().await;
    for left in (0..3).rev() {
        let reply = ada.get("/session").await;
        let limit = format!("\"session\";r={left};t={}", 20 * (3 - left));
        assert_eq!(told(&reply), [vec!["\"session\";q=3;w=60"], vec![&limit]]);
    }
    stack.advance(Duration::from_secs(30)).await;
    let reply = ada.get("/session").await;
    assert_eq!(told(&reply)[1], ["\"session\";r=0;t=50"]);
    assert_eq!(told(&ada.get("/free").await), [vec![], Vec::<&str>::new()]);
}

/// The rest of the limit of all callers would say how busy the others are.
#[tokio::test]
async fn an_answer_says_nothing_of_the_use_of_others() {
    let (_stack, ada) = stack().await;
    let policies = "\"address\";q=100;w=60, \"session\";q=50;w=60, \"route\";q=1000;w=60";
    let reply = ada.get("/three").await;
    let limits = "\"address\";r=99;t=1, \"session\";r=49;t=2";
    assert_eq!(told(&reply), [vec![policies], vec![limits]]);
    // A refusal too.
    let reply = ada.send(ada.request(Method::POST, "/three")).await;
    assert_eq!(reply.refusal().0, 403);
    let limits = "\"address\";r=98;t=2, \"session\";r=48;t=3";
    assert_eq!(told(&reply), [vec![policies], vec![limits]]);
    let reply = Browser::new("grace", ada.origin()).get("/three").await;
    assert_eq!(reply.refusal().0, 401);
    assert_eq!(told(&reply), [vec![policies], vec!["\"address\";r=97;t=2"]]);
    let reply = ada.get("/all").await;
    assert_eq!(told(&reply), [vec!["\"route\";q=1;w=1"], vec![]]);
}

#[tokio::test]
async fn a_service_may_have_limits_of_its_own() {
    let (stack, ada) = stack().await;
    stack.api.answer(|_| {
        let own = [("ratelimit-policy", "\"api\";q=9"), ("ratelimit", "\"api\";r=8")];
        axum::response::IntoResponse::into_response((own, "hello"))
    });
    assert_eq!(told(&ada.get("/free").await), [["\"api\";q=9"], ["\"api\";r=8"]]);
    let expected = [
        ["\"api\";q=9", "\"session\";q=3;w=60"],
        ["\"api\";r=8", "\"session\";r=2;t=20"],
    ];
    assert_eq!(told(&ada.get("/session").await), expected);
}

/// Forward authentication counts and tells the same.
#[tokio::test]
async fn a_proxy_that_asks_learns_the_limits() {
    let (_stack, ada) = stack().await;
    let ask = || {
        let request = ada.request(Method::GET, "/auth/verify");
        request
            .header("x-forwarded-uri", "/session")
            .header("x-forwarded-method", "GET")
            .header("x-forwarded-host", ada.origin().strip_prefix("http://").unwrap())
    };
    for left in (0..3).rev() {
        let reply = ada.send(ask()).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
        assert!(told(&reply)[1][0].starts_with(&format!("\"session\";r={left};")));
    }
    assert_eq!(ada.get("/session").await.refusal().0, 429);
}

#[tokio::test]
async fn a_reload_forgets_no_use() {
    let (stack, ada) = stack().await;
    for _ in 0..3 {
        assert_eq!(ada.get("/session").await.status, StatusCode::OK);
    }
    let file = stack.folder().join("config/routes.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let more = "- { id: more, path: /more, target_service: api, auth: none }\n";
    std::fs::write(&file, text + more).unwrap();
    for _ in 0..15 {
        stack.advance(Duration::from_secs(1)).await;
        if ada.get("/more").await.status == StatusCode::OK {
            assert_eq!(ada.get("/session").await.refusal().0, 429);
            return;
        }
    }
    panic!("the file is not read again");
}
