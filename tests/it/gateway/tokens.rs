//! A token of its own for each API.

use std::{collections::BTreeSet, time::Duration};

use axum::response::IntoResponse as _;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use devstack_idp::{Endpoint, Fault};
use http::StatusCode;
use serde_json::Value;

use crate::{
    recipes::recipe,
    support::{Browser, Builder, Logs, Reply, Stack, http_client, pause},
};

const ROUTES: &str = r#"
services:
  plain: { base_url: "{api}" }
  orders: { base_url: "{api}", token_audience: https://orders.example, scopes: [orders.read] }
  bills: { base_url: "{api}", token_audience: https://bills.example }
routes:
  - { id: plain, path: /plain, target_service: plain, preserve_path: true }
  - { id: service, path: /service, target_service: orders, preserve_path: true, token_policy: { mode: service_token } }
  - { id: person, path: /person, target_service: orders, preserve_path: true, token_policy: { mode: on_behalf_of } }
  - { id: bills-person, path: /bills-person, target_service: bills, preserve_path: true, token_policy: { mode: on_behalf_of } }
  - { id: bills, path: /bills, target_service: bills, preserve_path: true }
"#;

const ORDERS: &str = "https://orders.example";
const BILLS: &str = "https://bills.example";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const LIFE: Duration = Duration::from_hours(1);

fn builder() -> Builder {
    Stack::builder().routes(ROUTES).idp(|options| {
        options.resources = vec![ORDERS.to_owned(), BILLS.to_owned()];
        options.dcr.policy.allowed_scopes.push("orders.read".to_owned());
        options.access_token_lifetime = LIFE;
    })
}

async fn stack() -> (Stack, Browser) {
    let stack = builder().start().await;
    let ada = stack.browser();
    ada.log_in().await;
    (stack, ada)
}

/// The token that the API got for a call of `path`.
async fn token(stack: &Stack, browser: &Browser, path: &str) -> String {
    let reply = browser.get(path).await;
    assert_eq!(reply.status, StatusCode::OK, "{path}: {}", reply.body);
    let call = stack.api.last();
    assert_eq!(call.target, path);
    let authorization = call.header("authorization").unwrap();
    authorization.strip_prefix("Bearer ").unwrap().to_owned()
}

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

/// How often the IdP was asked for tokens by this grant.
fn grants(stack: &Stack, grant: &str) -> usize {
    let all = stack.idp.requests(Endpoint::Token);
    all.iter()
        .filter(|request| request.field("grant_type") == Some(grant))
        .count()
}

#[tokio::test]
async fn a_service_token_is_of_this_server_and_shared() {
    let (stack, ada) = stack().await;
    let grace = Browser::new("grace", ada.origin());
    grace.log_in().await;
    let first = token(&stack, &ada, "/service").await;
    assert_eq!(token(&stack, &grace, "/service").await, first);
    assert_eq!(grants(&stack, "client_credentials"), 1);
    let claims = claims(&first);
    assert_eq!(claims["aud"], ORDERS);
    assert_eq!(claims["sub"], claims["client_id"]);
    assert_eq!(claims["scope"], "orders.read");
    let requests = stack.idp.requests(Endpoint::Token);
    assert!(requests.last().unwrap().assertion().is_some());
}

#[tokio::test]
async fn a_service_token_is_renewed_ahead_of_its_end() {
    let (mut stack, ada) = stack().await;
    let first = token(&stack, &ada, "/service").await;
    // Five minutes remain, the threshold.
    stack.advance(Duration::from_mins(55)).await;
    let second = token(&stack, &ada, "/service").await;
    assert_eq!(second, first, "no call waits for it");
    stack
        .until("there is another", |stack| {
            grants(stack, "client_credentials") == 2
        })
        .await;
    assert_ne!(token(&stack, &ada, "/service").await, first);
}

#[tokio::test]
async fn a_person_is_represented_by_an_exchanged_token() {
    let (stack, ada) = stack().await;
    let own = token(&stack, &ada, "/plain").await;
    let first = token(&stack, &ada, "/person").await;
    assert_eq!(token(&stack, &ada, "/person").await, first);
    assert_eq!(grants(&stack, EXCHANGE), 1);
    let of_person = claims(&first);
    assert_eq!(of_person["aud"], ORDERS);
    assert_eq!(of_person["sub"], claims(&own)["sub"]);
    assert_eq!(of_person["act"]["sub"], of_person["client_id"]);
    assert_eq!(of_person["scope"], "orders.read");
    assert_eq!(token(&stack, &ada, "/plain").await, own);
}

#[tokio::test]
async fn a_renewed_session_exchanges_its_token_again() {
    let (mut stack, ada) = stack().await;
    let first = token(&stack, &ada, "/person").await;
    stack.advance(Duration::from_mins(56)).await;
    stack
        .until("the session is renewed", |stack| {
            grants(stack, "refresh_token") == 1
        })
        .await;
    let second = token(&stack, &ada, "/person").await;
    assert_ne!(second, first);
    assert_eq!(grants(&stack, EXCHANGE), 2);
}

#[tokio::test]
async fn a_logout_revokes_the_tokens_of_apis() {
    let (mut stack, ada) = stack().await;
    let person = token(&stack, &ada, "/person").await;
    let bills = token(&stack, &ada, "/bills").await;
    ada.post("/auth/logout").await;
    stack
        .until("all are revoked", |stack| {
            let requests = stack.idp.requests(Endpoint::Revoke);
            [&person, &bills].into_iter().all(|token| {
                requests
                    .iter()
                    .any(|request| request.field("token") == Some(token.as_str()))
            })
        })
        .await;
}

#[tokio::test]
async fn a_token_comes_with_the_refresh_token_if_the_idp_can() {
    let (stack, ada) = stack().await;
    let own = token(&stack, &ada, "/plain").await;
    let first = token(&stack, &ada, "/bills").await;
    assert_eq!(claims(&first)["aud"], BILLS);
    assert_eq!(claims(&first)["sub"], claims(&own)["sub"]);
    assert_eq!(token(&stack, &ada, "/bills").await, first);
    assert_eq!(
        (grants(&stack, "refresh_token"), grants(&stack, EXCHANGE)),
        (1, 0)
    );
    let requests = stack.idp.requests(Endpoint::Token);
    assert_eq!(requests.last().unwrap().field("resource"), Some(BILLS));
    // The token of the session is still the same, and its refresh token the rotated one.
    assert_eq!(token(&stack, &ada, "/plain").await, own);
    stack.advance(Duration::from_mins(56)).await;
    assert_ne!(token(&stack, &ada, "/plain").await, own);
    assert_eq!(stack.idp.issued_refresh_tokens_live("u-ada"), 1);
}

#[tokio::test]
async fn without_resource_indicators_the_token_is_exchanged() {
    let stack = builder()
        .prepare(|idp| {
            idp.on_discovery(|document| {
                document.as_object_mut().unwrap().remove("protected_resources");
            });
        })
        .start()
        .await;
    let ada = stack.browser();
    ada.log_in().await;
    assert_eq!(claims(&token(&stack, &ada, "/bills").await)["aud"], BILLS);
    assert_eq!(
        (grants(&stack, "refresh_token"), grants(&stack, EXCHANGE)),
        (0, 1)
    );
}

/// Neither resource indicators nor the exchange: the token of the session is for another API.
#[tokio::test]
async fn without_any_way_to_a_token_nothing_is_sent() {
    let stack = builder()
        .prepare(|idp| {
            idp.on_discovery(|document| {
                let document = document.as_object_mut().unwrap();
                document.remove("protected_resources");
                document.remove("grant_types_supported");
            });
        })
        .start()
        .await;
    let ada = stack.browser();
    ada.log_in().await;
    let reply = ada.get_json("/bills").await;
    assert_eq!(reply.refusal(), (502, "upstream_auth_failed".to_owned()));
    assert!(stack.api.calls().is_empty());
    assert!(ada.is_logged_in().await);
}

#[tokio::test]
async fn a_refusal_of_the_idp_is_never_a_downgrade() {
    let (stack, ada) = stack().await;
    for error in [
        "invalid_target",
        "invalid_scope",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_request",
    ] {
        for path in ["/service", "/person", "/bills-person", "/bills"] {
            stack
                .idp
                .fail_next(Endpoint::Token, Fault::oauth_error(400, error));
            let reply = ada.get_json(path).await;
            let expected = (502, "upstream_auth_failed".to_owned());
            assert_eq!(reply.refusal(), expected, "{path}: {error}");
            assert!(!reply.body.contains(error), "{}", reply.body);
        }
        // A refusal is not repeated at once.
        let before = stack.idp.count(Endpoint::Token);
        assert_eq!(ada.get_json("/person").await.status, StatusCode::BAD_GATEWAY);
        assert_eq!(stack.idp.count(Endpoint::Token), before);
        stack.advance(Duration::from_secs(6)).await;
    }
    assert!(stack.api.calls().is_empty());
    // The session has lost nothing.
    token(&stack, &ada, "/plain").await;
    for path in ["/service", "/person", "/bills-person", "/bills"] {
        token(&stack, &ada, path).await;
    }
}

/// The scope of a token is in its answer.
#[tokio::test]
async fn less_scope_than_the_route_names_is_refused() {
    let (stack, ada) = stack().await;
    for path in ["/service", "/person"] {
        stack
            .idp
            .on_next_token_response(|answer| answer["scope"] = "profile".into());
        let reply = ada.get_json(path).await;
        assert_eq!(
            reply.refusal(),
            (502, "upstream_auth_failed".to_owned()),
            "{path}"
        );
    }
    assert!(stack.api.calls().is_empty());
}

#[tokio::test]
async fn a_token_that_is_valid_serves_while_the_idp_fails() {
    let (stack, ada) = stack().await;
    let person = token(&stack, &ada, "/person").await;
    let service = token(&stack, &ada, "/service").await;
    stack.idp.fail_always(Endpoint::Token, Fault::status(502));
    // Beyond the time of the renewal, before the end.
    stack.advance(Duration::from_mins(57)).await;
    assert_eq!(token(&stack, &ada, "/person").await, person);
    assert_eq!(token(&stack, &ada, "/service").await, service);
    stack.advance(Duration::from_mins(4)).await;
    let reply = ada.get_json("/service").await;
    assert_ne!(reply.status, StatusCode::OK);
}

#[tokio::test]
async fn an_api_that_refuses_its_token_gets_another() {
    let (stack, ada) = stack().await;
    let refused = token(&stack, &ada, "/person").await;
    let known = format!("Bearer {refused}");
    stack.api.answer(move |call| {
        if call.header("authorization") == Some(&known) {
            let challenge = [("www-authenticate", "Bearer error=\"invalid_token\"")];
            return (StatusCode::UNAUTHORIZED, challenge, "refused").into_response();
        }
        "fine".into_response()
    });
    // A young token is not replaced.
    assert_eq!(ada.get("/person").await.status, StatusCode::UNAUTHORIZED);
    stack.advance(Duration::from_mins(1)).await;
    assert_ne!(token(&stack, &ada, "/person").await, refused);
    assert_eq!(grants(&stack, EXCHANGE), 2);
}

/// Two people, three APIs, three modes, all at once: each call carries its own token, and each token was asked for once.
#[tokio::test]
async fn attack_12_tokens_of_different_targets_never_swap() {
    let (stack, ada) = stack().await;
    let grace = Browser::new("grace", ada.origin());
    grace.log_in().await;
    let before = stack.idp.count(Endpoint::Token);
    let paths = ["/plain", "/service", "/person", "/bills-person", "/bills"];
    let people = [("u-ada", &ada), ("u-grace", &grace)];
    let mut calls = tokio::task::JoinSet::new();
    for round in 0..6 {
        for (sub, browser) in people {
            for path in paths {
                let browser = browser.clone();
                let target = format!("{path}?{sub}-{round}");
                calls.spawn(async move { browser.get(&target).await.status });
            }
        }
    }
    while let Some(status) = calls.join_next().await {
        assert_eq!(status.unwrap(), StatusCode::OK);
    }
    let mut tokens = BTreeSet::new();
    for call in stack.api.calls() {
        let (path, query) = call.target.split_once('?').unwrap();
        let token = call
            .header("authorization")
            .unwrap()
            .strip_prefix("Bearer ")
            .unwrap();
        let claims = claims(token);
        let sub = query.rsplit_once('-').unwrap().0;
        let expected = match path {
            "/plain" => (sub, "sample-api", false),
            "/service" => (claims["client_id"].as_str().unwrap(), ORDERS, false),
            "/person" => (sub, ORDERS, true),
            "/bills-person" => (sub, BILLS, true),
            _ => (sub, BILLS, false),
        };
        let has_actor = claims.get("act").is_some();
        let found = (
            claims["sub"].as_str().unwrap(),
            claims["aud"].as_str().unwrap(),
            has_actor,
        );
        assert_eq!(found, expected, "{}", call.target);
        tokens.insert(token.to_owned());
    }
    // Four for each person, and one of the server.
    assert_eq!(tokens.len(), 9);
    assert_eq!(stack.idp.count(Endpoint::Token) - before, 7);
}

#[tokio::test]
async fn the_client_registers_the_grants_that_routes_need() {
    let (stack, _) = stack().await;
    let client = stack.idp.registered_client("bff-server").unwrap();
    let grants: Vec<&str> = client["grant_types"]
        .as_array()
        .unwrap()
        .iter()
        .map(|grant| grant.as_str().unwrap())
        .collect();
    assert_eq!(
        grants,
        [
            "authorization_code",
            "refresh_token",
            "client_credentials",
            EXCHANGE
        ]
    );
    assert!(client["scope"].as_str().unwrap().ends_with(" orders.read"));
}

/// One refresh at a time, and the exchange has no answer.
#[tokio::test]
async fn a_slow_exchange_does_not_hold_up_refreshes() {
    let stack = builder().set("TOKEN_REFRESH_CONCURRENCY", "1").start().await;
    let ada = stack.browser();
    ada.log_in().await;
    // The token is due at 55 minutes.
    stack
        .advance(Duration::from_mins(55) - Duration::from_secs(4))
        .await;
    stack.idp.fail_next(Endpoint::Token, Fault::Hang);
    let slow = {
        let ada = ada.clone();
        tokio::spawn(async move { ada.get("/person").await })
    };
    for _ in 0..2_000 {
        if grants(&stack, EXCHANGE) == 1 {
            break;
        }
        pause().await;
    }
    assert_eq!(grants(&stack, EXCHANGE), 1);
    for _ in 0..6 {
        stack.advance(Duration::from_secs(1)).await;
    }
    assert_eq!(grants(&stack, "refresh_token"), 1);
    assert!(!slow.is_finished());
    slow.abort();
}

/// No restart is needed.
#[tokio::test]
async fn a_reload_gives_the_client_the_grants_of_its_routes() {
    let routes = ROUTES.replace(", token_policy: { mode: service_token }", "");
    let routes = routes.replace(", token_policy: { mode: on_behalf_of }", "");
    let stack = builder().routes(&routes).start().await;
    let grants = || {
        let client = stack.idp.registered_client("bff-server").unwrap();
        client["grant_types"].as_array().unwrap().len()
    };
    assert_eq!(
        grants(),
        3,
        "the exchange is one, for IdPs without resource indicators"
    );
    let ada = stack.browser();
    ada.log_in().await;
    let text = ROUTES.replace("{api}", &stack.api.url());
    std::fs::write(stack.folder().join("config/routes.yaml"), text).unwrap();
    for _ in 0..120 {
        stack.advance(Duration::from_secs(1)).await;
        if grants() == 4 {
            break;
        }
    }
    assert_eq!(grants(), 4);
    let of_server = token(&stack, &ada, "/service").await;
    assert_eq!(claims(&of_server)["aud"], ORDERS);
}

/// An IdP that does not list them would refuse the registration.
#[tokio::test]
async fn grants_that_the_idp_lacks_are_not_registered() {
    let stack = builder()
        .prepare(|idp| {
            idp.on_discovery(|document| {
                document["grant_types_supported"] =
                    serde_json::json!(["authorization_code", "refresh_token"]);
            });
        })
        .start()
        .await;
    let client = stack.idp.registered_client("bff-server").unwrap();
    let grants = serde_json::json!(["authorization_code", "refresh_token"]);
    assert_eq!(client["grant_types"], grants);
    let ada = stack.browser();
    ada.log_in().await;
    let reply = ada.get_json("/person").await;
    assert_eq!(reply.refusal(), (502, "upstream_auth_failed".to_owned()));
}

/// Forward authentication gives a proxy the token that the gateway would send.
#[tokio::test]
async fn a_proxy_gets_the_token_of_the_service() {
    let stack = builder().with_internal_listener().start().await;
    let ada = stack.browser();
    ada.log_in().await;
    let cookie = format!("__Host-Http-bff_session={}", ada.session_cookie().unwrap());
    for (service, audience) in [("plain", "sample-api"), ("bills", BILLS)] {
        let target = format!("http://{}/auth/verify?service={service}", stack.internal.unwrap());
        let request = http_client().get(target).header("cookie", &cookie);
        let reply = Reply::read(request.send().await.unwrap()).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
        let token = reply
            .header("authorization")
            .unwrap()
            .strip_prefix("Bearer ")
            .unwrap();
        assert_eq!(claims(token)["aud"], audience);
    }
}

#[test]
fn the_example_of_the_document_says_what_its_table_says() {
    let routes = bff::gateway::Routes::parse(&recipe("docs/tokens-for-apis.md", "services:")).unwrap();
    let mut found: Vec<String> = routes
        .iter()
        .map(|route| {
            let policy = route.tokens();
            let target = &policy.target;
            let audience = target.audience.as_deref().unwrap_or("none");
            format!(
                "{} {} {audience} {}",
                route.id(),
                policy.mode.word(),
                target.scope()
            )
        })
        .collect();
    found.sort();
    assert_eq!(
        found,
        [
            "legacy session_passthrough none ",
            "order-statistics service_token https://orders.example orders.statistics",
            "orders on_behalf_of https://orders.example orders.read",
            "reports session_passthrough https://reports.example ",
        ]
    );
}

/// The grants of logins alone.
fn without_other_grants(control: &devstack_idp::Control) {
    control.on_discovery(|metadata| {
        metadata["grant_types_supported"] = serde_json::json!(["authorization_code", "refresh_token"]);
    });
}

/// The operator reads it before the first call fails.
#[tokio::test]
async fn a_grant_that_the_idp_lacks_is_told_once() {
    const SERVICE: &str = "the service `orders` needs tokens of the mode service_token, and the IdP does not offer the grant \
                           client_credentials";
    const LATER: &str =
        "the service `bills` needs tokens of the mode on_behalf_of, and the IdP does not offer the grant";
    let logs = Logs::capture();
    let routes = "services:\n  orders: { base_url: '{api}', token_audience: https://orders.example }\nroutes:\n\
        - { id: orders, path: /orders, target_service: orders, token_policy: { mode: service_token } }\n";
    let mut stack = Stack::builder()
        .routes(routes)
        .prepare(without_other_grants)
        .start()
        .await;
    stack
        .until("it is told", |_| !logs.lines_with(SERVICE).is_empty())
        .await;
    logs.has_part("WARN", SERVICE);
    logs.has_part(
        "WARN",
        "switch the grant on at the IdP, or change token_policy in routes.yaml",
    );
    assert_eq!(logs.count(LATER), 0);

    let file = stack.folder().join("config/routes.yaml");
    let more = "- { id: bills, path: /bills, target_service: bills, token_policy: { mode: on_behalf_of } }\n";
    let text = routes.replace("{api}", &stack.api.url()).replace(
        "services:\n",
        &format!(
            "services:\n  bills: {{ base_url: '{}', audience: https://bills.example }}\n",
            stack.api.url()
        ),
    );
    std::fs::write(&file, text + more).unwrap();
    for _ in 0..120 {
        stack.advance(Duration::from_secs(1)).await;
        if logs.count(LATER) > 0 {
            break;
        }
    }
    logs.has_part("WARN", LATER);
    // The former one is known.
    assert_eq!(logs.count(SERVICE), 1);
}
