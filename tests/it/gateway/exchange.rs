//! Tokens that are obtained for callers with a token of their own (`token_policy` with `auth: bearer`).

use std::{collections::BTreeSet, fs, sync::Arc, time::Duration};

use axum::response::IntoResponse as _;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bff::clock::Clock as _;
use devstack_idp::{Control, Endpoint, Fault, MintIat, Options};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Builder, IdpServer, Logs, Port, Reply, Stack, http_client, told};

const ROUTES: &str = r#"
services:
  orders: { base_url: "{api}", token_audience: https://orders.example, scopes: [orders.read] }
  bills: { base_url: "{api}", token_audience: https://bills.example }
routes:
  - { id: plain, path: /plain, target_service: orders, preserve_path: true, auth: bearer }
  - { id: orders, path: /orders, target_service: orders, preserve_path: true, auth: bearer, token_policy: { mode: on_behalf_of } }
  - { id: bills, path: /bills, target_service: bills, preserve_path: true, auth: bearer, token_policy: { mode: on_behalf_of } }
  - { id: service, path: /service, target_service: orders, preserve_path: true, auth: bearer, token_policy: { mode: service_token } }
  - { id: people, path: /people, target_service: orders, preserve_path: true, token_policy: { mode: service_token } }
"#;

/// The client that this server has registered exchanges.
const IDPS: &str = r#"
idps:
  - { name: login, issuer: "{issuer}", audience: gateway, introspection_url: "{issuer}/introspect", enable_token_exchange: true }
"#;

const ORDERS: &str = "https://orders.example";
const BILLS: &str = "https://bills.example";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// The life of the tokens of callers.
const LIFE: u64 = 300;

/// A refusal is not repeated before.
const AFTER_REFUSAL: Duration = Duration::from_secs(6);

/// A change of an answer, and what it makes of it.
type Change = (&'static str, fn(&mut Value));

fn apis(options: &mut Options) {
    options.resources = vec![ORDERS.to_owned(), BILLS.to_owned()];
    options.exchanged_audiences = vec!["gateway".to_owned()];
    options.dcr.policy.allowed_scopes.push("orders.read".to_owned());
    options.access_token_lifetime = Duration::from_hours(1);
}

fn builder() -> Builder {
    Stack::builder().routes(ROUTES).idps(IDPS).idp(apis)
}

/// A token for this server that the caller `sub` has obtained as a client of its own.
fn token_by(idp: &Control, issuer: &str, now: u64, sub: &str) -> String {
    let claims = json!({
        "iss": issuer, "aud": "gateway", "sub": sub, "client_id": sub, "jti": format!("{sub}-{now}"),
        "iat": now, "exp": now + LIFE, "scope": "orders.read",
    });
    idp.issue(claims.as_object().unwrap()).unwrap()
}

fn token(stack: &Stack, sub: &str) -> String {
    token_by(&stack.idp, &stack.issuer, stack.clock.now().unix_seconds(), sub)
}

async fn get(stack: &Stack, path: &str, token: &str) -> Reply {
    let request = http_client()
        .request(Method::GET, format!("http://{}{path}", stack.address))
        .header("authorization", format!("Bearer {token}"));
    Reply::read(request.send().await.unwrap()).await
}

/// The token that the API got for a call with `token`.
async fn passed(stack: &Stack, path: &str, token: &str) -> String {
    let reply = get(stack, path, token).await;
    assert_eq!(reply.status, StatusCode::OK, "{path}: {}", reply.body);
    let call = stack.api.last();
    assert_eq!(call.target, path);
    assert_eq!(call.headers.get_all("authorization").iter().count(), 1);
    let authorization = call.header("authorization").unwrap();
    authorization.strip_prefix("Bearer ").unwrap().to_owned()
}

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[track_caller]
fn has_no_token(reply: &Reply, why: &str) {
    let expected = (502, "upstream_auth_failed".to_owned());
    assert_eq!(reply.refusal(), expected, "{why}: {}", reply.body);
}

/// How often `idp` was asked to exchange a token.
fn exchanges(idp: &Control) -> usize {
    let all = idp.requests(Endpoint::Token);
    let is_exchange = |request: &&devstack_idp::Recorded| request.field("grant_type") == Some(EXCHANGE);
    all.iter().filter(is_exchange).count()
}

/// An answer of the token endpoint.
fn issued(token: &str, expires_in: u64) -> Fault {
    let answer = json!({
        "access_token": token, "token_type": "Bearer", "expires_in": expires_in, "issued_token_type": ACCESS_TOKEN,
    });
    Fault::Respond {
        status: 200,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: answer.to_string().into_bytes(),
    }
}

#[tokio::test]
async fn the_token_of_a_caller_is_exchanged_for_one_of_the_api() {
    let stack = builder().start().await;
    let own = token(&stack, "batch");
    let first = passed(&stack, "/orders", &own).await;
    let seen = claims(&first);
    assert_eq!((&seen["aud"], &seen["sub"]), (&json!(ORDERS), &json!("batch")));
    assert_eq!(seen["act"]["sub"], "bff-server");
    assert_eq!(seen["scope"], "orders.read");
    assert_eq!(passed(&stack, "/orders", &own).await, first);
    assert_eq!(exchanges(&stack.idp), 1);
    let asked = stack.idp.requests(Endpoint::Token).pop().unwrap();
    for (name, expected) in [
        ("subject_token", Some(own.as_str())),
        ("subject_token_type", Some(ACCESS_TOKEN)),
        ("requested_token_type", Some(ACCESS_TOKEN)),
        ("scope", Some("orders.read")),
        ("actor_token", None),
    ] {
        assert_eq!(asked.field(name), expected, "{name}");
    }
    assert!(asked.assertion().is_some());
    // Without a policy the token goes on, and with one it does not.
    assert_eq!(passed(&stack, "/plain", &own).await, own);
    assert_eq!(claims(&passed(&stack, "/bills", &own).await)["aud"], BILLS);
}

/// Three callers, two APIs, all at once: each call carries its own token, and each token was asked for once.
#[tokio::test]
async fn attack_12_tokens_of_callers_never_swap() {
    let stack = builder().start().await;
    let callers = ["batch", "partner", "u-ada"].map(|sub| (sub, token(&stack, sub)));
    let mut calls = tokio::task::JoinSet::new();
    for round in 0..8 {
        for (sub, token) in &callers {
            for path in ["/orders", "/bills", "/service", "/plain"] {
                let url = format!("http://{}{path}?{sub}/{round}", stack.address);
                let request = http_client()
                    .get(url)
                    .header("authorization", format!("Bearer {token}"));
                calls.spawn(async move { request.send().await.unwrap().status() });
            }
        }
    }
    while let Some(status) = calls.join_next().await {
        assert_eq!(status.unwrap(), StatusCode::OK);
    }
    let mut tokens = BTreeSet::new();
    for call in stack.api.calls() {
        let (path, query) = call.target.split_once('?').unwrap();
        let sub = query.split_once('/').unwrap().0;
        let authorization = call.header("authorization").unwrap();
        let claims = claims(authorization);
        let expected = match path {
            "/orders" => (sub, ORDERS, true),
            "/bills" => (sub, BILLS, true),
            "/service" => ("bff-server", ORDERS, false),
            _ => (sub, "gateway", false),
        };
        let has_actor = claims.get("act").is_some();
        let found = (
            claims["sub"].as_str().unwrap(),
            claims["aud"].as_str().unwrap(),
            has_actor,
        );
        assert_eq!(found, expected, "{}", call.target);
        tokens.insert(authorization.to_owned());
    }
    // Three for each caller, and one of the server.
    assert_eq!(tokens.len(), 10);
    assert_eq!(exchanges(&stack.idp), 6);
}

#[tokio::test]
async fn a_service_token_has_nothing_of_the_caller() {
    let stack = builder().start().await;
    let own = token(&stack, "batch");
    let first = passed(&stack, "/service", &own).await;
    assert_eq!(claims(&first)["sub"], "bff-server");
    assert_eq!(exchanges(&stack.idp), 0);
    let asked = stack.idp.requests(Endpoint::Token).pop().unwrap();
    assert_eq!(asked.field("grant_type"), Some("client_credentials"));
    assert_eq!(asked.field("subject_token"), None);
    // It is that of all callers, and of all people.
    assert_eq!(passed(&stack, "/service", &token(&stack, "partner")).await, first);
    let ada = stack.browser();
    ada.log_in().await;
    assert_eq!(ada.get("/people").await.status, StatusCode::OK);
    assert_eq!(
        stack.api.last().header("authorization"),
        Some(format!("Bearer {first}").as_str())
    );
    // A caller without a good token gets none of it.
    let calls = stack.api.calls().len();
    let reply = get(&stack, "/service", "nonsense").await;
    assert_eq!(reply.refusal(), (401, "invalid_token".to_owned()));
    assert_eq!(stack.api.calls().len(), calls);
}

#[tokio::test]
async fn an_exchanged_token_ends_with_that_of_the_caller() {
    let stack = builder().start().await;
    let own = token(&stack, "batch");
    // The IdP says that it lives for an hour.
    let first = passed(&stack, "/orders", &own).await;
    stack.advance(Duration::from_secs(LIFE - 2)).await;
    assert_eq!(passed(&stack, "/orders", &own).await, first);
    assert_eq!(exchanges(&stack.idp), 1, "another one would end then too");
    // The clock of the issuer may be a minute behind: its keys still open, and it is asked again.
    stack.advance(Duration::from_secs(12)).await;
    has_no_token(&get(&stack, "/orders", &own).await, "the IdP says it is over");
    assert_eq!(exchanges(&stack.idp), 2);
    stack.advance(Duration::from_mins(1)).await;
    let reply = get(&stack, "/orders", &own).await;
    assert_eq!(reply.refusal(), (401, "invalid_token".to_owned()));
    assert_eq!(exchanges(&stack.idp), 2);
}

#[tokio::test]
async fn an_exchanged_token_that_ends_first_is_renewed_ahead() {
    let mut stack = builder().start().await;
    stack.idp.set_access_token_lifetime(Duration::from_mins(2));
    let own = token(&stack, "batch");
    let first = passed(&stack, "/orders", &own).await;
    stack.advance(Duration::from_secs(59)).await;
    assert_eq!(passed(&stack, "/orders", &own).await, first);
    stack.advance(Duration::from_secs(2)).await;
    assert_eq!(
        passed(&stack, "/orders", &own).await,
        first,
        "no call waits for it"
    );
    stack
        .until("there is another", |stack| exchanges(&stack.idp) == 2)
        .await;
    assert_ne!(passed(&stack, "/orders", &own).await, first);
    // While the issuer fails, the present one serves until its end.
    let second = passed(&stack, "/orders", &own).await;
    stack.idp.fail_always(Endpoint::Token, Fault::status(502));
    stack.advance(Duration::from_secs(90)).await;
    assert_eq!(passed(&stack, "/orders", &own).await, second);
    stack.advance(Duration::from_secs(40)).await;
    has_no_token(&get(&stack, "/orders", &own).await, "over");
}

#[tokio::test]
async fn a_cache_ttl_bounds_the_use_of_an_exchanged_token() {
    let routes = ROUTES.replace("mode: on_behalf_of }", "mode: on_behalf_of, cache_ttl: 60 }");
    let stack = builder().routes(&routes).start().await;
    let own = token(&stack, "batch");
    let first = passed(&stack, "/orders", &own).await;
    stack.advance(Duration::from_secs(58)).await;
    assert_eq!(passed(&stack, "/orders", &own).await, first);
    stack.advance(Duration::from_secs(3)).await;
    assert_ne!(passed(&stack, "/orders", &own).await, first);
    assert_eq!(exchanges(&stack.idp), 2);
}

#[tokio::test]
async fn a_refused_exchange_is_never_a_downgrade() {
    let logs = Logs::capture();
    let stack = builder().start().await;
    let own = token(&stack, "batch");
    for error in [
        "invalid_target",
        "invalid_scope",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_request",
        "invalid_client",
    ] {
        for path in ["/orders", "/bills", "/service"] {
            stack
                .idp
                .fail_next(Endpoint::Token, Fault::oauth_error(400, error));
            let reply = get(&stack, path, &own).await;
            has_no_token(&reply, &format!("{path}: {error}"));
            assert!(!reply.body.contains(error), "{}", reply.body);
            assert_eq!(reply.header("www-authenticate"), None);
        }
        // A refusal is not repeated at once.
        let before = stack.idp.count(Endpoint::Token);
        has_no_token(&get(&stack, "/orders", &own).await, error);
        assert_eq!(stack.idp.count(Endpoint::Token), before);
        stack.advance(AFTER_REFUSAL).await;
    }
    assert!(stack.api.calls().is_empty());
    logs.has("NO_TOKEN_AVAILABLE");
    assert!(!logs.text().contains(&own), "no token is in the log");
    for path in ["/orders", "/bills", "/service"] {
        passed(&stack, path, &own).await;
    }
}

#[tokio::test]
async fn answers_that_are_no_token_for_the_api_are_refused() {
    let stack = builder().start().await;
    let own = token(&stack, "batch");
    let changes: [Change; 4] = [
        ("less scope", |answer| answer["scope"] = json!("profile")),
        ("an ID token", |answer| {
            answer["issued_token_type"] = json!("urn:ietf:params:oauth:token-type:id_token");
        }),
        ("no type", |answer| {
            answer.as_object_mut().unwrap().remove("issued_token_type");
        }),
        ("bound to a key", |answer| answer["token_type"] = json!("DPoP")),
    ];
    for (why, change) in changes {
        stack.idp.on_next_token_response(change);
        has_no_token(&get(&stack, "/orders", &own).await, why);
        stack.advance(AFTER_REFUSAL).await;
    }
    assert!(stack.api.calls().is_empty());
    passed(&stack, "/orders", &own).await;
}

#[tokio::test]
async fn an_issuer_that_does_not_answer_gives_no_token() {
    let stack = builder().start().await;
    for fault in [
        Fault::status(500),
        Fault::CloseWithoutAnswer,
        Fault::Hang,
        Fault::status(302),
    ] {
        let own = token(&stack, "batch");
        stack.idp.fail_always(Endpoint::Token, fault.clone());
        let url = format!("http://{}/orders", stack.address);
        let request = http_client()
            .get(url)
            .header("authorization", format!("Bearer {own}"));
        let asking = tokio::spawn(async move { Reply::read(request.send().await.unwrap()).await });
        let reply = stack.advance_until_done(asking).await;
        has_no_token(&reply, &format!("{fault:?}"));
        stack.idp.heal_all();
        stack.advance(Duration::from_mins(1)).await;
    }
    assert!(stack.api.calls().is_empty());
}

#[tokio::test]
async fn an_opaque_token_is_exchanged_too() {
    let stack = builder().start().await;
    stack.idp.on_introspection(|asked| {
        asked.answer = json!({"active": asked.token == "opaque-1", "aud": "gateway", "sub": "batch"});
    });
    stack.idp.fail_next(Endpoint::Token, issued("for-orders", 3600));
    assert_eq!(passed(&stack, "/orders", "opaque-1").await, "for-orders");
    let asked = stack.idp.requests(Endpoint::Token).pop().unwrap();
    assert_eq!(asked.field("subject_token"), Some("opaque-1"));
    stack.advance(Duration::from_secs(59)).await;
    assert_eq!(passed(&stack, "/orders", "opaque-1").await, "for-orders");
    let reply = get(&stack, "/orders", "opaque-2").await;
    assert_eq!(reply.refusal(), (401, "invalid_token".to_owned()));
    // One that the issuer has revoked opens nothing, although its exchanged token lives on.
    stack
        .idp
        .on_introspection(|asked| asked.answer = json!({"active": false}));
    stack.advance(Duration::from_secs(2)).await;
    let reply = get(&stack, "/orders", "opaque-1").await;
    assert_eq!(reply.refusal(), (401, "invalid_token".to_owned()));
    assert_eq!(exchanges(&stack.idp), 1);
}

/// Two issuers: each sees the tokens that it has issued, with the client that we are there, and no others.
#[tokio::test]
async fn attack_58_a_token_is_exchanged_by_its_issuer_alone() {
    let partner = Partner::start().await;
    let idps = format!(
        "{IDPS}  - {{ name: partner, issuer: \"{}\", audience: gateway, client_id: {}, client_secret: {}, enable_token_exchange: true }}\n",
        partner.issuer, partner.client, partner.secret
    );
    let stack = builder().idps(&idps).start().await;
    let ours = token(&stack, "batch");
    let now = stack.clock.now().unix_seconds();
    let theirs = token_by(&partner.idp, &partner.issuer, now, "stranger");

    let seen = claims(&passed(&stack, "/orders", &theirs).await);
    assert_eq!(seen["iss"], json!(partner.issuer));
    assert_eq!((&seen["aud"], &seen["sub"]), (&json!(ORDERS), &json!("stranger")));
    assert_eq!((exchanges(&partner.idp), exchanges(&stack.idp)), (1, 0));
    let asked = partner.idp.requests(Endpoint::Token).pop().unwrap();
    assert_eq!(asked.field("subject_token"), Some(theirs.as_str()));
    assert!(asked.assertion().is_none() && asked.headers.contains_key("authorization"));

    let seen = claims(&passed(&stack, "/orders", &ours).await);
    assert_eq!(
        (&seen["iss"], &seen["sub"]),
        (&json!(stack.issuer), &json!("batch"))
    );
    assert_eq!((exchanges(&partner.idp), exchanges(&stack.idp)), (1, 1));
    for (idp, foreign) in [(&stack.idp, &theirs), (&partner.idp, &ours)] {
        let requests = idp.requests(Endpoint::Token);
        let shows = |request: &devstack_idp::Recorded| request.field("subject_token") == Some(foreign);
        assert!(!requests.iter().any(shows));
    }
}

/// `token_url` wins over the metadata of the issuer.
#[tokio::test]
async fn a_token_url_says_where_tokens_are_exchanged() {
    let partner = Partner::start().await;
    let idps = format!(
        r#"
idps:
  - {{ name: away, issuer: "https://away.example", audience: gateway, jwks_url: "{{issuer}}/jwks", token_url: "{}/token", client_id: {}, client_secret: {}, enable_token_exchange: true }}
"#,
        partner.issuer, partner.client, partner.secret
    );
    let stack = builder().idps(&idps).start().await;
    let now = stack.clock.now().unix_seconds();
    let away = token_by(&stack.idp, "https://away.example", now, "batch");
    partner.idp.fail_next(Endpoint::Token, issued("for-orders", 60));
    assert_eq!(passed(&stack, "/orders", &away).await, "for-orders");
    assert_eq!((exchanges(&partner.idp), exchanges(&stack.idp)), (1, 0));

    // Also for the issuer of the logins.
    let idps = IDPS.replace(
        "enable_token_exchange",
        &format!("token_url: \"{}/token\", enable_token_exchange", partner.issuer),
    );
    let stack = builder().idps(&idps).start().await;
    partner.idp.fail_next(Endpoint::Token, issued("for-bills", 60));
    assert_eq!(
        passed(&stack, "/bills", &token(&stack, "batch")).await,
        "for-bills"
    );
    assert_eq!(exchanges(&stack.idp), 0);
}

#[tokio::test]
async fn an_entry_without_the_switch_exchanges_nothing() {
    let idps = format!(
        "{IDPS}  - {{ name: quiet, issuer: \"https://quiet.example\", audience: gateway, jwks_url: \"{{issuer}}/jwks\" }}\n"
    );
    let logs = Logs::capture();
    let stack = builder().idps(&idps).start().await;
    let now = stack.clock.now().unix_seconds();
    let quiet = token_by(&stack.idp, "https://quiet.example", now, "batch");
    has_no_token(&get(&stack, "/orders", &quiet).await, "quiet");
    assert!(stack.api.calls().is_empty());
    assert_eq!(exchanges(&stack.idp), 0);
    let line = logs.has_part("ERROR", "NO_TOKEN_AVAILABLE");
    for part in [
        "the entry `quiet` allows no exchange",
        "enable_token_exchange: true at the entry in idps.yaml",
        "not_enabled",
        "orders",
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
    assert_eq!(passed(&stack, "/plain", &quiet).await, quiet);
    passed(&stack, "/service", &quiet).await;
}

#[tokio::test]
async fn an_exchange_that_no_issuer_allows_stops_the_start() {
    let stack = builder().start().await;
    let file = stack.folder().join("config/idps.yaml");
    let text = fs::read_to_string(&file).unwrap();
    let off = text.replace("enable_token_exchange: true", "enable_token_exchange: false");
    for without in [Some(off), None] {
        match &without {
            Some(text) => fs::write(&file, text).unwrap(),
            None => fs::remove_file(&file).unwrap(),
        }
        let error = told(&stack.app().await.unwrap_err());
        for part in [
            "routes.yaml: line 7, column ",
            "token_policy of route `orders` says on_behalf_of with auth: bearer, and no entry of idps.yaml allows the exchange",
            "write enable_token_exchange: true at the entry of their issuer",
        ] {
            assert!(error.contains(part), "{part} in {error}");
        }
    }
}

/// The switch counts from the next reload on, also for a token that was exchanged before.
#[tokio::test]
async fn a_reload_that_switches_the_exchange_off_ends_it() {
    let other = "  - { name: other, issuer: \"https://other.example\", audience: x, client_id: a, enable_token_exchange: true }\n";
    let stack = builder().idps(&format!("{IDPS}{other}")).start().await;
    let own = token(&stack, "batch");
    passed(&stack, "/orders", &own).await;
    let file = stack.folder().join("config/idps.yaml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replacen(", enable_token_exchange: true", "", 1)).unwrap();
    for _ in 0..60 {
        stack.advance(Duration::from_secs(1)).await;
        let reply = get(&stack, "/orders", &own).await;
        if reply.status != StatusCode::OK {
            return has_no_token(&reply, "switched off");
        }
    }
    panic!("the exchange goes on");
}

#[tokio::test]
async fn the_client_has_the_grant_if_it_exchanges_for_callers() {
    let grants = |stack: &Stack| {
        let client = stack.idp.registered_client("bff-server").unwrap();
        client["grant_types"].as_array().unwrap().clone()
    };
    let stack = builder().start().await;
    assert!(grants(&stack).contains(&json!(EXCHANGE)));
    // Another client exchanges, at another IdP.
    let other = r#"
idps:
  - { name: login, issuer: "{issuer}", audience: gateway }
  - { name: other, issuer: "https://other.example", audience: gateway, client_id: ours, client_secret: hunter2, enable_token_exchange: true }
"#;
    let stack = builder().idps(other).start().await;
    let found = grants(&stack);
    assert!(!found.contains(&json!(EXCHANGE)), "{found:?}");
    assert!(found.contains(&json!("client_credentials")), "{found:?}");
}

#[tokio::test]
async fn an_api_that_refuses_its_token_gets_another() {
    let stack = builder().start().await;
    let own = token(&stack, "batch");
    for path in ["/orders", "/service"] {
        let refused = passed(&stack, path, &own).await;
        let known = format!("Bearer {refused}");
        stack.api.answer(move |call| {
            if call.header("authorization") == Some(&known) {
                let challenge = [("www-authenticate", "Bearer error=\"invalid_token\"")];
                return (StatusCode::UNAUTHORIZED, challenge, "refused").into_response();
            }
            "fine".into_response()
        });
        // A young token is not replaced.
        assert_eq!(get(&stack, path, &own).await.status, StatusCode::UNAUTHORIZED);
        stack.advance(Duration::from_secs(40)).await;
        assert_ne!(passed(&stack, path, &own).await, refused);
    }
    // The caller's own token is the caller's matter.
    let known = format!("Bearer {own}");
    stack.api.answer(move |call| {
        assert_eq!(call.header("authorization"), Some(known.as_str()));
        let challenge = [("www-authenticate", "Bearer error=\"invalid_token\"")];
        (StatusCode::UNAUTHORIZED, challenge, "refused").into_response()
    });
    assert_eq!(get(&stack, "/plain", &own).await.status, StatusCode::UNAUTHORIZED);
}

/// The service learns who calls, whatever token it gets.
#[tokio::test]
async fn a_service_learns_the_caller_beside_the_token() {
    let routes = ROUTES.replace("{ base_url:", "{ identity_headers: true, base_url:");
    let stack = builder().routes(&routes).start().await;
    let own = token(&stack, "batch");
    for path in ["/orders", "/service"] {
        passed(&stack, path, &own).await;
        let call = stack.api.last();
        assert_eq!(
            call.header("x-original-user"),
            Some("auth:service:login:batch"),
            "{path}"
        );
    }
}

/// A block of the document with this text.
fn block(of: &str) -> &'static str {
    let text = include_str!("../../../docs/bearer.md");
    let blocks = text.split("```yaml\n").skip(1);
    let mut blocks = blocks.filter_map(|rest| rest.split("```").next());
    blocks.find(|block| block.contains(of)).unwrap()
}

#[tokio::test]
async fn the_example_of_the_document_gives_each_call_its_token() {
    let routes = block("invoice-machines").replace("http://invoices:8080", "{api}");
    let idps = block("gateway.example").replace("https://idp.example", "{issuer}");
    let stack = Stack::builder().routes(&routes).idps(&idps).idp(|options| {
        options.resources = vec!["https://invoices.example".to_owned()];
        options.exchanged_audiences = vec!["https://gateway.example".to_owned()];
        options.dcr.policy.allowed_scopes.push("invoices.read".to_owned());
    });
    let stack = stack.start().await;
    let now = stack.clock.now().unix_seconds();
    let claims_of = json!({
        "iss": stack.issuer, "aud": "https://gateway.example", "sub": "batch", "client_id": "batch", "jti": "1",
        "iat": now, "exp": now + LIFE,
    });
    let own = stack.idp.issue(claims_of.as_object().unwrap()).unwrap();
    for (path, sent, subject) in [
        ("/m2m/invoices/7", "/7", "batch"),
        ("/m2m/invoice-rates", "/m2m/invoice-rates", "bff-server"),
    ] {
        let reply = get(&stack, path, &own).await;
        assert_eq!(reply.status, StatusCode::OK, "{path}: {}", reply.body);
        let call = stack.api.last();
        let seen = claims(call.header("authorization").unwrap());
        assert_eq!(call.target, sent);
        assert_eq!(
            (&seen["sub"], &seen["scope"]),
            (&json!(subject), &json!("invoices.read"))
        );
        assert_eq!(seen["aud"], "https://invoices.example");
    }
}

/// Another IdP, at which this server is a client with a secret.
struct Partner {
    idp: Control,
    issuer: String,
    client: String,
    secret: String,
    _server: IdpServer,
}

impl Partner {
    async fn start() -> Self {
        let port = Port::reserve();
        let issuer = format!("http://{}", port.address());
        let mut options = Options::sample(issuer.clone(), "admin-token").unwrap();
        apis(&mut options);
        // The time of a stack at its start.
        options.clock = Arc::new(|| 1_800_000_000);
        let mut server = IdpServer::new(options, port);
        let idp = server.idp();
        let control = idp.control().clone();
        server.up(idp);
        let metadata = json!({
            "client_id": "ours",
            "client_profile": "code-flow-secret",
            "redirect_uris": ["https://bff.example/auth/callback"],
            "grant_types": ["authorization_code", EXCHANGE],
            "scope": "openid orders.read",
        });
        let iat = control.mint_iat(MintIat::default());
        let request = http_client()
            .post(format!("{issuer}/register"))
            .header("authorization", format!("Bearer {iat}"))
            .header("content-type", "application/json")
            .body(metadata.to_string());
        let reply = Reply::read(request.send().await.unwrap()).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.body);
        let client = reply.json();
        let text = |name: &str| client[name].as_str().unwrap().to_owned();
        Self {
            client: text("client_id"),
            secret: text("client_secret"),
            idp: control,
            issuer,
            _server: server,
        }
    }
}
