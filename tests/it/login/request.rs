//! The request to the IdP: PKCE, state, nonce, pushed or not, prompt and hints.

use std::collections::{BTreeMap, BTreeSet};

use devstack_idp::{Endpoint, Recorded, RecordedBody};
use http::StatusCode;

use super::{is_problem, query};
use crate::support::Stack;

pub fn form(request: &Recorded) -> BTreeMap<String, String> {
    match &request.body {
        RecordedBody::Form(pairs) => {
            let map: BTreeMap<String, String> = pairs.iter().cloned().collect();
            assert_eq!(map.len(), pairs.len(), "a parameter is there twice");
            map
        }
        _ => panic!("no form"),
    }
}

/// The common parameters of every authorization request, pushed or not.
fn is_complete(request: &BTreeMap<String, String>, stack: &Stack) {
    assert_eq!(request["response_type"], "code");
    assert_eq!(request["client_id"], "bff-server");
    assert_eq!(request["scope"], "openid profile email offline_access");
    assert_eq!(
        request["redirect_uri"],
        format!("{}/auth/callback", stack.origin(0))
    );
    assert_eq!(request["code_challenge_method"], "S256");
    for name in ["state", "nonce", "code_challenge"] {
        // 256 bits in base64url.
        assert_eq!(request[name].len(), 43, "{name}");
    }
    assert!(!request.contains_key("code_verifier"));
}

async fn pushed(stack: &Stack, login: &str) -> BTreeMap<String, String> {
    let reply = stack.browser().get(login).await;
    assert_eq!(reply.status, StatusCode::FOUND, "{}", reply.body);
    form(&stack.idp.requests(Endpoint::Par).pop().unwrap())
}

/// The browser carries only a reference.
#[tokio::test]
async fn an_offered_par_endpoint_is_used() {
    for setting in ["", "true", "auto"] {
        let stack = Stack::builder().set("MS_BFF_PAR_ENABLED", setting).start().await;
        let ada = stack.browser();
        let reply = ada.get("/auth/login").await;
        let location = query(reply.location());
        let names: BTreeSet<&str> = location.keys().map(String::as_str).collect();
        assert_eq!(names, BTreeSet::from(["client_id", "request_uri"]));
        let sent = &stack.idp.requests(Endpoint::Par)[0];
        let request = form(sent);
        is_complete(&request, &stack);
        assert_eq!(
            request["client_assertion_type"],
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        );
        let callback = ada.person().authorize(reply.location()).await.unwrap();
        let answer = query(&callback);
        assert_eq!(answer["state"], request["state"]);
        assert_eq!(answer["iss"], stack.issuer);
        ada.get(&callback).await.leads_on();
        assert!(ada.is_logged_in().await);
    }
}

/// It is omitted if the IdP does not offer it.
#[tokio::test]
async fn par_can_be_disabled() {
    for (setting, offered) in [("false", true), ("auto", false)] {
        let stack = Stack::builder()
            .set("MS_BFF_PAR_ENABLED", setting)
            .prepare(move |idp| {
                idp.on_discovery(move |document| {
                    if !offered {
                        let document = document.as_object_mut().unwrap();
                        document.remove("pushed_authorization_request_endpoint");
                    }
                });
            })
            .start()
            .await;
        let ada = stack.browser();
        let reply = ada.get("/auth/login").await;
        assert!(
            reply
                .location()
                .starts_with(&format!("{}/authorize?", stack.issuer))
        );
        is_complete(&query(reply.location()), &stack);
        assert_eq!(stack.idp.count(Endpoint::Par), 0);
        ada.log_in().await;
    }
}

#[tokio::test]
async fn pushing_that_is_demanded_and_not_offered_starts_no_login() {
    let stack = Stack::builder()
        .set("MS_BFF_PAR_ENABLED", "true")
        .prepare(|idp| {
            idp.on_discovery(|document| {
                let document = document.as_object_mut().unwrap();
                document.remove("pushed_authorization_request_endpoint");
            });
        })
        .start()
        .await;
    let ada = stack.browser();
    let reply = ada.get_json("/auth/login").await;
    is_problem(&reply, StatusCode::SERVICE_UNAVAILABLE, "not_ready");
    assert!(reply.set_cookies().is_empty());
}

/// The verifier fits.
#[tokio::test]
async fn state_nonce_and_challenge_are_fresh() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    for _ in 0..3 {
        ada.log_in().await;
    }
    let requests: Vec<_> = stack.idp.requests(Endpoint::Par).iter().map(form).collect();
    for name in ["state", "nonce", "code_challenge", "client_assertion"] {
        let values: BTreeSet<&String> = requests.iter().map(|request| &request[name]).collect();
        assert_eq!(values.len(), requests.len(), "{name}");
    }
    let exchanges = stack.idp.requests(Endpoint::Token);
    for (request, exchange) in requests.iter().zip(&exchanges) {
        let verifier = exchange.field("code_verifier").unwrap().into();
        let pkce = bff::oidc::Pkce::from_verifier(verifier);
        assert_eq!(pkce.challenge, request["code_challenge"]);
    }
}

#[tokio::test]
async fn no_prompt_is_sent_unless_the_login_or_the_operator_names_one() {
    let stack = Stack::start().await;
    assert!(!pushed(&stack, "/auth/login").await.contains_key("prompt"));
    let named = pushed(&stack, "/auth/login?prompt=login").await;
    assert_eq!(named["prompt"], "login");
    let named = pushed(&stack, "/auth/login?prompt=select_account%20consent").await;
    assert_eq!(named["prompt"], "select_account consent");
    // An empty one names none.
    assert!(!pushed(&stack, "/auth/login?prompt=").await.contains_key("prompt"));

    for prompt in ["login", "consent"] {
        let stack = Stack::builder().set("OIDC_PROMPT", prompt).start().await;
        assert_eq!(pushed(&stack, "/auth/login").await["prompt"], prompt);
        assert_eq!(
            pushed(&stack, "/auth/login?prompt=consent").await["prompt"],
            "consent"
        );
    }
    let stack = Stack::builder().set("OIDC_PROMPT", "").start().await;
    assert!(!pushed(&stack, "/auth/login").await.contains_key("prompt"));
    let stack = Stack::builder().set("OIDC_SCOPES", "openid email").start().await;
    let request = pushed(&stack, "/auth/login").await;
    assert!(!request.contains_key("prompt"));
    assert_eq!(request["scope"], "openid email");
}

#[tokio::test]
async fn hints_are_passed_on_and_unknown_parameters_are_not() {
    let stack = Stack::start().await;
    let request = pushed(
        &stack,
        "/auth/login?login_hint=ada%40example.com&ui_locales=de%20en&acr_values=urn%3Adevstack%3Apassword&max_age=300\
         &redirect_uri=https%3A%2F%2Fevil.example&client_id=evil&scope=admin&state=fixed&nonce=fixed&response_type=token\
         &request_uri=urn%3Aevil&code_challenge=fixed",
    )
    .await;
    assert_eq!(request["login_hint"], "ada@example.com");
    assert_eq!(request["ui_locales"], "de en");
    assert_eq!(request["acr_values"], "urn:devstack:password");
    assert_eq!(request["max_age"], "300");
    assert!(!request.contains_key("request_uri"));
    is_complete(&request, &stack);
    let bare = pushed(&stack, "/auth/login").await;
    for name in ["login_hint", "ui_locales", "acr_values", "max_age"] {
        assert!(!bare.contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn parameters_that_cannot_be_right_start_no_login() {
    let stack = Stack::start().await;
    let long = "x".repeat(513);
    for (login, code) in [
        ("/auth/login?max_age=soon".to_owned(), "invalid_parameter"),
        ("/auth/login?max_age=-1".to_owned(), "invalid_parameter"),
        ("/auth/login?max_age=1e3".to_owned(), "invalid_parameter"),
        (
            "/auth/login?max_age=18446744073709551616".to_owned(),
            "invalid_parameter",
        ),
        ("/auth/login?login_hint=a%0d%0ab".to_owned(), "invalid_parameter"),
        ("/auth/login?prompt=%00".to_owned(), "invalid_parameter"),
        (format!("/auth/login?login_hint={long}"), "invalid_parameter"),
        (format!("/auth/login?acr_values={long}"), "invalid_parameter"),
        (format!("/auth/login?ui_locales={long}"), "invalid_parameter"),
        (
            "/auth/login?return_to=/a&return_to=/b".to_owned(),
            "duplicate_parameter",
        ),
        (
            "/auth/login?prompt=none&prompt=login".to_owned(),
            "duplicate_parameter",
        ),
        (format!("/auth/login?x={}", "x".repeat(9_000)), "query_too_long"),
    ] {
        let ada = stack.browser();
        let reply = ada.get_json(&login).await;
        is_problem(&reply, StatusCode::BAD_REQUEST, code);
        assert!(reply.set_cookies().is_empty());
        let page = ada.get(&login).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST);
        super::is_error_page(&page, code);
    }
    assert_eq!(stack.idp.count(Endpoint::Par), 0);
}

#[tokio::test]
async fn an_idp_that_takes_no_pushed_request_is_told_as_such() {
    use devstack_idp::Fault;
    let stack = Stack::start().await;
    for (fault, status, code) in [
        (Fault::oauth_error(400, "invalid_request"), 502, "idp_refused"),
        (Fault::oauth_error(401, "invalid_client"), 502, "idp_refused"),
        (Fault::status(500), 502, "idp_unavailable"),
        (Fault::html(200), 502, "idp_refused"),
        (
            Fault::redirect(307, "https://evil.example/par"),
            502,
            "idp_refused",
        ),
        (Fault::CloseWithoutAnswer, 502, "idp_unavailable"),
        (
            Fault::json(201, &serde_json::json!({"request_uri": "a b", "expires_in": 60})),
            502,
            "idp_refused",
        ),
    ] {
        stack.idp.fail_always(Endpoint::Par, fault);
        let ada = stack.browser();
        let reply = ada.get_json("/auth/login").await;
        is_problem(&reply, StatusCode::from_u16(status).unwrap(), code);
        assert!(
            reply.set_cookies().is_empty(),
            "a cookie for a login that did not start"
        );
        assert!(!reply.body.contains("rehearsed"));
        super::is_error_page(&ada.get("/auth/login").await, code);
        stack.idp.heal_all();
    }
    stack.browser().log_in().await;
}
