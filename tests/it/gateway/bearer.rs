//! Routes for callers that bring an access token of their own (`auth: bearer`).

use std::{fs, time::Duration};

use bff::clock::Clock as _;
use devstack_idp::{Endpoint, Fault, Signer};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Reply, Stack, http_client, raw};

const ROUTES: &str = r#"
services:
  api: { base_url: "{api}" }
routes:
  - { id: machines, path: "/m2m/*", target_service: api, preserve_path: true, auth: bearer }
  - { id: scoped, path: /scoped, target_service: api, preserve_path: true, auth: bearer, required_scopes: [orders.read, orders.write] }
  - { id: admins, path: /admins, target_service: api, preserve_path: true, auth: bearer, require: [{ claim: roles, contains: admin }] }
  - { id: people, path: "/people/*", target_service: api, preserve_path: true }
"#;

/// Opaque tokens, and JWTs of the login issuer for two services.
const IDPS: &str = r#"
idps:
  - { name: login, issuer: "{issuer}", audience: [orders, sample-api], introspection_url: "{issuer}/introspect" }
"#;

/// A minute, after which an answer about a token does not count.
const ANSWER_COUNTS: Duration = Duration::from_mins(1);

async fn stack() -> Stack {
    Stack::builder().routes(ROUTES).start().await
}

async fn stack_with(idps: &str) -> Stack {
    Stack::builder().routes(ROUTES).idps(idps).start().await
}

/// The audience of this server, without `idps.yaml`.
pub(super) fn resource(stack: &Stack) -> String {
    format!("http://127.0.0.1:{}", stack.address.port())
}

/// A good access token for `audience`, changed.
pub(super) fn token(stack: &Stack, audience: &str, change: &[(&str, Value)]) -> String {
    let now = stack.clock.now().unix_seconds();
    let claims = json!({
        "iss": stack.issuer, "aud": audience, "sub": "batch", "client_id": "batch", "jti": "1",
        "iat": now, "exp": now + 300, "scope": "orders.read",
    });
    let Value::Object(mut claims) = claims else {
        unreachable!();
    };
    for (name, value) in change {
        if value.is_null() {
            claims.remove(*name);
        } else {
            claims.insert((*name).to_owned(), value.clone());
        }
    }
    stack.idp.sign("at+jwt", &claims).unwrap()
}

async fn call(stack: &Stack, method: Method, path: &str, fields: &[(&str, &str)]) -> Reply {
    let mut request = http_client().request(method, format!("http://{}{path}", stack.address));
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    Reply::read(request.send().await.unwrap()).await
}

async fn get(stack: &Stack, path: &str, token: &str) -> Reply {
    let authorization = format!("Bearer {token}");
    call(stack, Method::GET, path, &[("authorization", &authorization)]).await
}

fn challenge(reply: &Reply) -> &str {
    reply.header("www-authenticate").unwrap_or_default()
}

#[track_caller]
fn is_refused(reply: &Reply, why: &str) {
    assert_eq!(reply.refusal(), (401, "invalid_token".to_owned()), "{why}");
    assert!(
        challenge(reply).starts_with("Bearer error=\"invalid_token\", resource_metadata="),
        "{why}"
    );
}

#[tokio::test]
async fn a_good_token_goes_to_the_service_unchanged() {
    let stack = stack().await;
    let token = token(&stack, &resource(&stack), &[]);
    let authorization = format!("Bearer {token}");
    for method in [Method::GET, Method::POST, Method::DELETE] {
        // A state change needs no proof of its origin: a page of another origin has no token.
        let fields = [
            ("authorization", authorization.as_str()),
            ("cookie", "theme=dark"),
            ("x-user-id", "root"),
        ];
        let reply = call(&stack, method.clone(), "/m2m/orders?x", &fields).await;
        assert_eq!(reply.status, StatusCode::OK, "{method}: {}", reply.body);
        let call = stack.api.last();
        assert_eq!(
            (call.method.clone(), call.target.as_str()),
            (method, "/m2m/orders?x")
        );
        assert_eq!(call.headers.get_all("authorization").iter().count(), 1);
        assert_eq!(call.header("authorization"), Some(authorization.as_str()));
        assert_eq!(
            (call.header("cookie"), call.header("x-user-id")),
            (Some("theme=dark"), None)
        );
    }
}

/// Without `idps.yaml`.
#[tokio::test]
async fn a_setting_names_the_audience_of_the_login_issuer() {
    let builder = Stack::builder().routes(ROUTES);
    let stack = builder.set("AUTH_AUDIENCE", "orders").start().await;
    let reply = get(&stack, "/m2m/x", &token(&stack, "orders", &[])).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    let reply = get(&stack, "/m2m/x", &token(&stack, &resource(&stack), &[])).await;
    is_refused(&reply, "another audience");
}

#[tokio::test]
async fn a_call_without_a_token_is_told_whom_to_ask() {
    let stack = stack().await;
    for fields in [
        &[][..],
        &[("authorization", "Basic YTpi")],
        &[("authorization", "Bearer")],
        &[("authorization", "Bearer a b")],
        &[("authorization", "DPoP abc")],
        &[("x-access-token", "abc")],
    ] {
        let reply = call(&stack, Method::GET, "/m2m/x?access_token=abc", fields).await;
        assert_eq!(reply.refusal(), (401, "token_required".to_owned()), "{fields:?}");
        let expected = format!(
            "Bearer resource_metadata=\"{}/.well-known/oauth-protected-resource\"",
            resource(&stack)
        );
        assert_eq!(challenge(&reply), expected);
    }
    assert!(stack.api.calls().is_empty());
}

#[tokio::test]
async fn the_metadata_of_the_resource_name_its_issuers() {
    let stack = stack().await;
    let reply = call(&stack, Method::GET, "/.well-known/oauth-protected-resource", &[]).await;
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let expected = json!({
        "resource": resource(&stack),
        "authorization_servers": [stack.issuer],
        "bearer_methods_supported": ["header"],
        "scopes_supported": ["orders.read", "orders.write"],
    });
    assert_eq!(reply.json(), expected);
}

#[tokio::test]
async fn without_routes_for_bearers_there_are_no_metadata() {
    let stack = Stack::start().await;
    let reply = call(&stack, Method::GET, "/.well-known/oauth-protected-resource", &[]).await;
    assert_eq!(reply.refusal(), (404, "not_found".to_owned()));
}

#[tokio::test]
async fn attack_58_a_token_for_another_service_is_refused() {
    let stack = stack().await;
    let ours = resource(&stack);
    let now = stack.clock.now().unix_seconds();
    for (why, change) in [
        ("another audience", ("aud", json!("https://other.example"))),
        ("no audience", ("aud", Value::Null)),
        ("another issuer", ("iss", json!("https://other.example"))),
        ("no issuer", ("iss", Value::Null)),
        ("over", ("exp", json!(now - 61))),
        ("no end", ("exp", Value::Null)),
        ("not begun", ("nbf", json!(now + 120))),
        ("made later", ("iat", json!(now + 120))),
        ("no time", ("iat", Value::Null)),
        ("no subject", ("sub", Value::Null)),
        ("no client", ("client_id", Value::Null)),
        ("no id", ("jti", Value::Null)),
        ("bound to a key", ("cnf", json!({"jkt": "x"}))),
    ] {
        let reply = get(&stack, "/m2m/x", &token(&stack, &ours, &[change])).await;
        is_refused(&reply, why);
        assert!(!reply.body.contains("audience"), "{}", reply.body);
    }
    assert_eq!(
        get(&stack, "/m2m/x", &token(&stack, &ours, &[])).await.status,
        StatusCode::OK
    );
    let among = ("aud", json!(["https://other.example", ours]));
    assert_eq!(
        get(&stack, "/m2m/x", &token(&stack, &ours, &[among]))
            .await
            .status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn attack_26_only_access_tokens_of_the_issuer_pass() {
    let stack = stack().await;
    let good = token(&stack, &resource(&stack), &[]);
    let parts: Vec<&str> = good.split('.').collect();
    let other = token(&stack, &resource(&stack), &[("sub", json!("root"))]);
    let their: Vec<&str> = other.split('.').collect();
    let now = stack.clock.now().unix_seconds();
    let claims = json!({
        "iss": stack.issuer, "aud": resource(&stack), "sub": "a", "client_id": "a", "jti": "1", "iat": now, "exp": now + 300,
    });
    let signed = |typ: &str| stack.idp.sign(typ, claims.as_object().unwrap()).unwrap();
    for (why, token) in [
        ("another payload", [parts[0], their[1], parts[2]].join(".")),
        ("no signature", [parts[0], parts[1], ""].join(".")),
        ("cut", [parts[0], parts[1]].join(".")),
        ("an ID token", signed("JWT")),
        ("a logout token", signed("logout+jwt")),
        ("a word", "opaque".to_owned()),
        ("encrypted", "a.b.c.d.e".to_owned()),
    ] {
        is_refused(&get(&stack, "/m2m/x", &token).await, why);
    }
    for typ in ["at+jwt", "application/at+jwt", "AT+JWT"] {
        assert_eq!(
            get(&stack, "/m2m/x", &signed(typ)).await.status,
            StatusCode::OK,
            "{typ}"
        );
    }
}

#[tokio::test]
async fn two_credentials_in_one_call_are_refused() {
    let stack = stack().await;
    let ada = stack.browser();
    ada.log_in().await;
    let authorization = format!("Bearer {}", token(&stack, &resource(&stack), &[]));
    let cookie = format!("__Host-Http-bff_session={}", ada.session_cookie().unwrap());
    for cookie in [cookie.as_str(), "__Host-Http-bff_session=nonsense"] {
        let both = [("authorization", authorization.as_str()), ("cookie", cookie)];
        let reply = call(&stack, Method::GET, "/m2m/x", &both).await;
        assert_eq!(reply.refusal(), (400, "cookie_and_bearer".to_owned()));
    }
    // The cookie alone opens nothing.
    let reply = call(&stack, Method::GET, "/m2m/x", &[("cookie", &cookie)]).await;
    assert_eq!(reply.refusal(), (401, "token_required".to_owned()));
    let twice = format!(
        "GET /m2m/x HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {authorization}\r\nAuthorization: {authorization}\r\nConnection: close\r\n\r\n"
    );
    let answer = raw(stack.address, &twice).await;
    assert!(
        answer.starts_with("HTTP/1.1 400 ") && answer.contains("invalid_request"),
        "{answer}"
    );
    assert!(stack.api.calls().is_empty());
    // On a route for people, a token of the caller counts for nothing.
    let reply = call(
        &stack,
        Method::GET,
        "/people/x",
        &[("authorization", &authorization)],
    )
    .await;
    assert_eq!(reply.refusal(), (401, "unauthenticated".to_owned()));
}

#[tokio::test]
async fn the_demands_of_a_route_look_at_the_token() {
    let stack = stack().await;
    let ours = resource(&stack);
    let reply = get(&stack, "/scoped", &token(&stack, &ours, &[])).await;
    assert_eq!(reply.refusal(), (403, "insufficient_scope".to_owned()));
    let expected =
        "Bearer error=\"insufficient_scope\", scope=\"orders.read orders.write\", resource_metadata=";
    assert!(challenge(&reply).starts_with(expected), "{}", challenge(&reply));
    let both = ("scope", json!("orders.write x orders.read"));
    let reply = get(&stack, "/scoped", &token(&stack, &ours, &[both])).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);

    let reply = get(&stack, "/admins", &token(&stack, &ours, &[])).await;
    assert_eq!(reply.refusal(), (403, "claim_required".to_owned()));
    let admin = ("roles", json!(["admin"]));
    let reply = get(&stack, "/admins", &token(&stack, &ours, &[admin])).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
}

#[tokio::test]
async fn a_known_token_is_refused_after_its_end() {
    let stack = stack().await;
    let token = token(&stack, &resource(&stack), &[]);
    assert_eq!(get(&stack, "/m2m/x", &token).await.status, StatusCode::OK);
    stack.advance(Duration::from_secs(299)).await;
    let before = stack.idp.count(Endpoint::Jwks);
    assert_eq!(get(&stack, "/m2m/x", &token).await.status, StatusCode::OK);
    assert_eq!(stack.idp.count(Endpoint::Jwks), before);
    // With the leeway of a minute for the clock of the issuer.
    stack.advance(Duration::from_secs(62)).await;
    is_refused(&get(&stack, "/m2m/x", &token).await, "over");
}

#[tokio::test]
async fn attack_16_a_rotated_key_of_the_issuer_is_learnt() {
    let stack = stack().await;
    let ours = resource(&stack);
    assert_eq!(
        get(&stack, "/m2m/x", &token(&stack, &ours, &[])).await.status,
        StatusCode::OK
    );
    stack.idp.rotate_keys().unwrap();
    stack.advance(Duration::from_mins(2)).await;
    let reply = get(&stack, "/m2m/x", &token(&stack, &ours, &[])).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    // A flood of unknown keys does not ask each time.
    let before = stack.idp.count(Endpoint::Jwks);
    stack.idp.rotate_keys().unwrap();
    for number in 0..5 {
        let id = ("jti", json!(format!("{number}")));
        is_refused(
            &get(&stack, "/m2m/x", &token(&stack, &ours, &[id])).await,
            "unknown key",
        );
    }
    assert!(stack.idp.count(Endpoint::Jwks) <= before + 1);
}

/// The API gets tokens of a login for its own audience, so such a token exists.
async fn token_of_a_login(stack: &Stack) -> String {
    let ada = stack.browser();
    ada.log_in().await;
    assert_eq!(ada.get("/people/x").await.status, StatusCode::OK);
    let call = stack.api.last();
    let token = call.header("authorization").unwrap().strip_prefix("Bearer ");
    token.unwrap().to_owned()
}

#[tokio::test]
async fn an_opaque_token_is_a_question_to_its_issuer() {
    let stack = stack_with(IDPS).await;
    stack.idp.on_introspection(|asked| {
        if asked.token == "known" {
            asked.answer = json!({"active": true, "aud": "orders", "sub": "batch", "scope": "orders.read"});
        }
    });
    for _ in 0..3 {
        assert_eq!(get(&stack, "/m2m/x", "known").await.status, StatusCode::OK);
        is_refused(&get(&stack, "/m2m/x", "other").await, "not active");
    }
    // Both outcomes are kept for a while.
    assert_eq!(stack.idp.count(Endpoint::Introspect), 2);
    let asked = stack.idp.requests(Endpoint::Introspect);
    assert_eq!(asked[0].field("token"), Some("known"));
    assert_eq!(asked[0].field("token_type_hint"), Some("access_token"));
    assert!(asked[0].field("client_assertion").is_some());
    stack
        .idp
        .on_introspection(|asked| asked.answer = json!({"active": false}));
    stack.advance(ANSWER_COUNTS).await;
    is_refused(&get(&stack, "/m2m/x", "known").await, "revoked");
    // A JWT needs no question.
    let jwt = token(&stack, "orders", &[]);
    assert_eq!(get(&stack, "/m2m/x", &jwt).await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_issuer_can_be_asked_about_every_token() {
    let idps = IDPS.replace("audience:", "introspect: always, audience:");
    let stack = stack_with(&idps).await;
    let token = token_of_a_login(&stack).await;
    assert_eq!(get(&stack, "/m2m/x", &token).await.status, StatusCode::OK);
    assert_eq!(stack.idp.count(Endpoint::Introspect), 1);
    stack.idp.revoke_refresh_tokens("u-ada");
    stack.advance(ANSWER_COUNTS).await;
    is_refused(&get(&stack, "/m2m/x", &token).await, "revoked");
}

#[tokio::test]
async fn an_entry_can_have_a_client_of_its_own() {
    let stack = stack_with(
        r#"
idps:
  - { name: login, issuer: "{issuer}", audience: orders, introspection_url: "{issuer}/introspect", client_id: other, client_secret: hunter2 }
"#,
    )
    .await;
    stack.idp.fail_always(
        Endpoint::Introspect,
        Fault::Respond {
            status: 200,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: json!({"active": true, "aud": "orders", "sub": "a"})
                .to_string()
                .into_bytes(),
        },
    );
    assert_eq!(get(&stack, "/m2m/x", "known").await.status, StatusCode::OK);
    let asked = &stack.idp.requests(Endpoint::Introspect)[0];
    let basic = asked.headers.get("authorization").unwrap();
    assert_eq!(basic, "Basic b3RoZXI6aHVudGVyMg==");
}

/// An answer that says yes, as JSON without a signature.
fn unsigned_yes() -> Fault {
    let yes = json!({"active": true, "aud": "orders", "sub": "a", "token_introspection": {"active": true}});
    Fault::Respond {
        status: 200,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: yes.to_string().into_bytes(),
    }
}

fn signing() -> String {
    IDPS.replace(
        "introspection_url:",
        "signed_introspection: true, introspection_url:",
    )
}

#[tokio::test]
async fn a_signed_answer_about_a_token_is_read() {
    let stack = stack_with(&signing()).await;
    stack.idp.on_introspection(|asked| match asked.token.as_str() {
        "known" => asked.answer = json!({"active": true, "aud": "orders", "sub": "a"}),
        _ => asked.answer = json!({"active": false}),
    });
    assert_eq!(get(&stack, "/m2m/x", "known").await.status, StatusCode::OK);
    is_refused(&get(&stack, "/m2m/x", "other").await, "not active");
    for asked in stack.idp.requests(Endpoint::Introspect) {
        let accept = asked.headers.get("accept").unwrap();
        assert_eq!(accept, "application/token-introspection+jwt");
    }
}

type Change = Box<dyn Fn(&mut devstack_idp::IdTokenDraft) + Send + Sync>;

/// The answer always says that the token is good.
#[tokio::test]
async fn attack_26_only_the_issuer_says_that_a_token_is_good() {
    let stack = stack_with(&signing()).await;
    stack
        .idp
        .on_introspection(|asked| asked.answer = json!({"active": true, "aud": "orders", "sub": "a"}));
    let now = stack.clock.now().unix_seconds();
    let claim = |name: &'static str, value: Value| -> Change {
        Box::new(move |draft| {
            draft.claims.insert(name.to_owned(), value.clone());
        })
    };
    let typ = |typ: &'static str| -> Change {
        Box::new(move |draft| {
            draft.header.insert("typ".to_owned(), json!(typ));
        })
    };
    let signer = |signer: Signer| -> Change { Box::new(move |draft| draft.signer = signer.clone()) };
    let changes: Vec<(&str, Change)> = vec![
        ("another type", typ("JWT")),
        ("an access token", typ("at+jwt")),
        ("another key", signer(Signer::OtherKeySameKid)),
        ("its own key", signer(Signer::EmbeddedJwk)),
        ("no signature", signer(Signer::None)),
        ("a broken signature", signer(Signer::BrokenSignature)),
        ("a public key as a secret", signer(Signer::Hs256WithPublicKey)),
        ("another issuer", claim("iss", json!("https://other.example"))),
        ("another client", claim("aud", json!("other"))),
        ("no client", claim("aud", Value::Null)),
        ("an old one", claim("iat", json!(now - 120))),
        ("a coming one", claim("iat", json!(now + 120))),
        ("no time", claim("iat", Value::Null)),
        ("over", claim("exp", json!(now - 60))),
        ("no answer inside", claim("token_introspection", Value::Null)),
        ("text inside", claim("token_introspection", json!("active"))),
        (
            "half an answer",
            claim("token_introspection", json!({"sub": "a"})),
        ),
    ];
    let unavailable = (503, "token_check_unavailable".to_owned());
    for (why, change) in changes {
        stack.idp.on_signed_introspection(change);
        // Keys that are not known are asked for from time to time.
        let reply = get(&stack, "/m2m/x", "known").await;
        assert_eq!(reply.refusal(), unavailable, "{why}");
    }
    stack.idp.on_signed_introspection(|_| {});
    stack.idp.fail_always(Endpoint::Introspect, unsigned_yes());
    let reply = get(&stack, "/m2m/x", "known").await;
    assert_eq!(reply.refusal(), unavailable, "not signed");
    stack.idp.heal_all();
    assert!(stack.api.calls().is_empty());
    let reply = get(&stack, "/m2m/x", "known").await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
}

#[tokio::test]
async fn attack_11_an_issuer_that_is_down_refuses_no_token() {
    let stack = stack_with(IDPS).await;
    for fault in [
        Fault::Respond {
            status: 500,
            headers: Vec::new(),
            body: Vec::new(),
        },
        Fault::Respond {
            status: 503,
            headers: Vec::new(),
            body: Vec::new(),
        },
        Fault::Respond {
            status: 200,
            headers: Vec::new(),
            body: b"<html>".to_vec(),
        },
        Fault::Respond {
            status: 401,
            headers: Vec::new(),
            body: b"{\"error\":\"invalid_client\"}".to_vec(),
        },
        Fault::CloseWithoutAnswer,
        Fault::Hang,
    ] {
        stack.idp.clear_requests();
        stack.idp.fail_always(Endpoint::Introspect, fault.clone());
        let url = format!("http://{}/m2m/x", stack.address);
        let asking = tokio::spawn(async move {
            let request = http_client().get(url).header("authorization", "Bearer known");
            Reply::read(request.send().await.unwrap()).await
        });
        let reply = stack.advance_until_done(asking).await;
        assert_eq!(
            reply.refusal(),
            (503, "token_check_unavailable".to_owned()),
            "{fault:?}"
        );
        assert_eq!(reply.header("retry-after"), Some("5"));
        assert_eq!(reply.header("www-authenticate"), None);
        stack.idp.heal_all();
    }
    // One that fails for a moment is asked again.
    stack
        .idp
        .on_introspection(|asked| asked.answer = json!({"active": true, "aud": "orders", "sub": "a"}));
    stack
        .idp
        .fail_next(Endpoint::Introspect, Fault::CloseAfterProcessing);
    let url = format!("http://{}/m2m/x", stack.address);
    let asking = tokio::spawn(async move {
        let request = http_client().get(url).header("authorization", "Bearer known");
        Reply::read(request.send().await.unwrap()).await
    });
    assert_eq!(stack.advance_until_done(asking).await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_issuer_is_found_by_its_metadata_or_its_keys() {
    let stack = stack_with(
        r#"
idps:
  - { name: elsewhere, issuer: "https://elsewhere.example", audience: orders, jwks_url: "{issuer}/jwks" }
  - { name: away, issuer: "http://127.0.0.1:1", audience: orders }
"#,
    )
    .await;
    let elsewhere = ("iss", json!("https://elsewhere.example"));
    let reply = get(&stack, "/m2m/x", &token(&stack, "orders", &[elsewhere])).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    let away = ("iss", json!("http://127.0.0.1:1"));
    for _ in 0..2 {
        let reply = get(
            &stack,
            "/m2m/x",
            &token(&stack, "orders", std::slice::from_ref(&away)),
        )
        .await;
        assert_eq!(reply.refusal(), (503, "token_check_unavailable".to_owned()));
    }
    // The issuer of the logins is not among them.
    is_refused(
        &get(&stack, "/m2m/x", &token(&stack, "orders", &[])).await,
        "not listed",
    );
}

#[tokio::test]
async fn changed_issuers_are_read_and_a_bad_file_changes_nothing() {
    let stack = stack_with(IDPS).await;
    let file = stack.folder().join("config/idps.yaml");
    let before = token(&stack, "orders", &[]);
    let after = token(&stack, "bills", &[]);
    assert_eq!(get(&stack, "/m2m/x", &before).await.status, StatusCode::OK);
    fs::write(&file, "idps: [{ name: a }]").unwrap();
    stack.advance(Duration::from_secs(30)).await;
    assert_eq!(get(&stack, "/m2m/x", &before).await.status, StatusCode::OK);
    fs::write(
        &file,
        IDPS.replace("{issuer}", &stack.issuer).replace("orders", "bills"),
    )
    .unwrap();
    let mut replies = Vec::new();
    for _ in 0..60 {
        stack.advance(Duration::from_secs(1)).await;
        replies.push(get(&stack, "/m2m/x", &after).await.status);
        if replies.last() == Some(&StatusCode::OK) {
            break;
        }
    }
    assert_eq!(replies.last(), Some(&StatusCode::OK), "{replies:?}");
    is_refused(&get(&stack, "/m2m/x", &before).await, "its audience has gone");
}

/// The secret that the issuer was asked with last.
fn secret_of_the_last_question(stack: &Stack) -> String {
    let asked = stack.idp.requests(Endpoint::Introspect);
    let basic = asked.last().unwrap().headers.get("authorization").unwrap();
    basic.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_changed_secret_alone_is_read_again() {
    let idps = IDPS.replace(
        "audience:",
        "client_id: other, client_secret_file: secret, audience:",
    );
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("config")).unwrap();
    fs::write(folder.path().join("config/secret"), "hunter2").unwrap();
    let builder = Stack::builder().routes(ROUTES).idps(&idps);
    let stack = builder.in_folder(folder).start().await;
    let secret = stack.folder().join("config/secret");
    stack.idp.fail_always(Endpoint::Introspect, unsigned_yes());
    assert_eq!(get(&stack, "/m2m/x", "one").await.status, StatusCode::OK);
    assert_eq!(secret_of_the_last_question(&stack), "Basic b3RoZXI6aHVudGVyMg==");
    // One that cannot be used changes nothing, and is looked at further on.
    fs::write(&secret, "").unwrap();
    stack.advance(Duration::from_secs(30)).await;
    assert_eq!(get(&stack, "/m2m/x", "two").await.status, StatusCode::OK);
    assert_eq!(secret_of_the_last_question(&stack), "Basic b3RoZXI6aHVudGVyMg==");
    fs::write(&secret, "hunter3").unwrap();
    for number in 0..60 {
        stack.advance(Duration::from_secs(1)).await;
        get(&stack, "/m2m/x", &format!("three-{number}")).await;
        if secret_of_the_last_question(&stack) == "Basic b3RoZXI6aHVudGVyMw==" {
            return;
        }
    }
    panic!("the secret was not read again");
}

#[tokio::test]
async fn a_proxy_that_asks_names_the_subject_of_the_token() {
    let stack = Stack::builder()
        .routes(ROUTES)
        .set("BFF_TRUSTED_PROXIES", "127.0.0.1")
        .start()
        .await;
    let authorization = format!("Bearer {}", token(&stack, &resource(&stack), &[]));
    let fields = [
        ("x-forwarded-method", "POST"),
        ("x-forwarded-uri", "/m2m/x"),
        ("authorization", authorization.as_str()),
    ];
    let reply = call(&stack, Method::GET, "/auth/verify", &fields).await;
    assert_eq!(
        (reply.status, reply.header("x-user-id")),
        (StatusCode::OK, Some("batch")),
        "{}",
        reply.body
    );
    assert_eq!(reply.header("authorization"), None);
    let reply = call(&stack, Method::GET, "/auth/verify", &fields[..2]).await;
    assert_eq!(reply.refusal(), (401, "token_required".to_owned()));
    assert!(challenge(&reply).starts_with("Bearer "));
}

#[tokio::test]
async fn a_stream_ends_with_its_token() {
    use axum::{body::Body, response::IntoResponse as _};
    use futures_util::{StreamExt as _, stream};

    let stack = stack().await;
    stack.api.answer(|_| {
        let endless = stream::once(async { Ok::<_, std::io::Error>(bytes::Bytes::from("data: 1\n\n")) })
            .chain(stream::pending());
        Body::from_stream(endless).into_response()
    });
    let token = token(&stack, &resource(&stack), &[]);
    let request = http_client()
        .get(format!("http://{}/m2m/x", stack.address))
        .header("authorization", format!("Bearer {token}"));
    let mut answer = request.send().await.unwrap();
    assert!(answer.chunk().await.unwrap().is_some());
    let reading = tokio::spawn(async move { while let Ok(Some(_)) = answer.chunk().await {} });
    stack.advance(Duration::from_secs(290)).await;
    assert!(!reading.is_finished());
    stack.advance_until_done(reading).await;
}

/// The caller in the header fields of a service that wants them.
#[tokio::test]
async fn attack_4_a_service_learns_who_calls_from_us_alone() {
    let routes = ROUTES.replace("{ base_url:", "{ identity_headers: true, base_url:");
    let idps = IDPS.replace("name: login,", "name: login, provider: corp,");
    let stack = Stack::builder().routes(&routes).idps(&idps).start().await;
    let ada = stack.browser();
    ada.log_in().await;
    let spoofed = ada
        .request(Method::GET, "/people/x")
        .header("x-original-user", "root")
        .header("x-user-id", "root")
        .header("x-user-name", "root");
    assert_eq!(ada.send(spoofed).await.status, StatusCode::OK);
    let call = stack.api.last();
    assert_eq!(call.header("x-original-user"), Some("auth:account:corp:u-ada"));
    assert_eq!(call.header("x-user-id"), Some("u-ada"));
    assert_eq!(call.header("x-user-name"), Some("Ada Lovelace"));
    assert_eq!(call.headers.get_all("x-user-id").iter().count(), 1);

    let token = token(&stack, "orders", &[]);
    assert_eq!(get(&stack, "/m2m/x", &token).await.status, StatusCode::OK);
    let call = stack.api.last();
    assert_eq!(call.header("x-original-user"), Some("auth:service:corp:batch"));
    assert_eq!(
        (call.header("x-user-id"), call.header("x-user-name")),
        (Some("batch"), None)
    );
}
