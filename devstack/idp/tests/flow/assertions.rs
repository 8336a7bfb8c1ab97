//! Client authentication: every way in, and every way that must not lead in.

use devstack_idp::{AssertionAudience, Endpoint};
use reqwest::header;
use serde_json::{Value, json};

use crate::support::{Answer, Harness, JwksServer, Key, TestClient, text, unique};

const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Asks for something that is refused with 400 once the client is in, so that 401 means the assertion.
async fn try_assertion(harness: &Harness, assertion: &str) -> Answer {
    let pairs = [
        ("grant_type", "refresh_token"),
        ("refresh_token", "x"),
        ("client_assertion_type", TYPE),
        ("client_assertion", assertion),
    ];
    harness.post_form("/token", &pairs).await
}

fn is_in(answer: &Answer) -> bool {
    match answer.error() {
        (400, code) if code == "invalid_grant" => true,
        (401, code) if code == "invalid_client" => false,
        other => panic!("unexpected {other:?}"),
    }
}

#[tokio::test]
async fn a_false_assertion_is_refused_whatever_is_false_about_it() {
    let harness = Harness::start().await;
    let client = harness.client().await;
    assert!(is_in(&try_assertion(&harness, &harness.assertion(&client)).await));
    let now = harness.now();
    for (claim, value) in [
        ("iss", json!("other")),
        ("sub", json!("other")),
        ("iss", json!(null)),
        ("aud", json!("http://other.example")),
        ("aud", json!(format!("{}/", harness.issuer))),
        ("aud", json!([harness.issuer])),
        ("aud", json!([harness.issuer, "http://other.example"])),
        ("aud", json!(null)),
        ("exp", json!(null)),
        ("exp", json!(now - 10)),
        ("exp", json!(now + 400)),
        ("exp", json!("soon")),
        ("exp", json!(-1)),
        ("exp", json!(u64::MAX)),
        ("iat", json!(now + 60)),
        ("iat", json!(now - 3600)),
        ("iat", json!(1.5)),
        ("nbf", json!(now + 60)),
        ("jti", json!(null)),
        ("jti", json!("")),
        ("jti", json!("x".repeat(300))),
    ] {
        let mut claims = harness.claims(&client.id);
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(claim)),
            _ => claims[claim] = value.clone(),
        }
        assert!(
            !is_in(&try_assertion(&harness, &client.key.sign(&claims)).await),
            "{claim} {value}"
        );
    }
    for accepted in [format!("{}/token", harness.issuer), harness.issuer.clone()] {
        let mut claims = harness.claims(&client.id);
        claims["aud"] = json!(accepted);
        assert!(
            is_in(&try_assertion(&harness, &client.key.sign(&claims)).await),
            "{accepted}"
        );
    }
}

#[tokio::test]
async fn a_false_header_or_signature_is_refused() {
    let harness = Harness::start().await;
    let client = harness.client().await;
    let kid = client.key.kid.as_str();
    for header in [
        json!({"alg": "none", "kid": kid}),
        json!({"alg": "HS256", "kid": kid}),
        json!({"alg": "RS256", "kid": kid}),
        json!({"alg": "ES256", "kid": "unknown"}),
        json!({"alg": "ES256", "kid": kid, "crit": ["x"], "x": 1}),
        json!({"alg": "ES256", "kid": kid, "typ": "at+jwt"}),
        json!({"alg": "ES256", "kid": kid, "typ": 1}),
        json!({"kid": kid}),
    ] {
        let token = client.key.sign_under(&header, &harness.claims(&client.id));
        assert!(!is_in(&try_assertion(&harness, &token).await), "{header}");
    }
    for header in [
        json!({"alg": "ES256"}),
        json!({"alg": "ES256", "kid": kid, "typ": "jwt"}),
        json!({"alg": "ES256", "kid": kid, "typ": "client-authentication+jwt"}),
    ] {
        let token = client.key.sign_under(&header, &harness.claims(&client.id));
        assert!(is_in(&try_assertion(&harness, &token).await), "{header}");
    }
    let mut forger = Key::generate();
    forger.kid.clone_from(&client.key.kid);
    assert!(!is_in(
        &try_assertion(&harness, &forger.sign(&harness.claims(&client.id))).await
    ));
    let unsigned = client.key.sign(&harness.claims(&client.id));
    let unsigned = format!("{}.", unsigned.rsplit_once('.').unwrap().0);
    for junk in [unsigned.as_str(), "x", "a.b.c", "..", &"a".repeat(20_000)] {
        assert!(!is_in(&try_assertion(&harness, junk).await));
    }
}

#[tokio::test]
async fn assertion_replay_a_jti_is_good_once() {
    let harness = Harness::start().await;
    let client = harness.client().await;
    let other = harness.client_called("other").await;
    let claims = harness.claims(&client.id);
    let token = client.key.sign(&claims);
    assert!(is_in(&try_assertion(&harness, &token).await));
    assert!(!is_in(&try_assertion(&harness, &token).await));
    assert!(
        !is_in(&try_assertion(&harness, &client.key.sign(&claims)).await),
        "signed again"
    );
    let mut same = harness.claims(&other.id);
    same["jti"] = claims["jti"].clone();
    assert!(
        is_in(&try_assertion(&harness, &other.key.sign(&same)).await),
        "each client has its own"
    );
    let mut early = harness.claims(&client.id);
    early["aud"] = json!("http://other.example");
    assert!(!is_in(&try_assertion(&harness, &client.key.sign(&early)).await));
    early["aud"] = json!(harness.issuer);
    assert!(
        is_in(&try_assertion(&harness, &client.key.sign(&early)).await),
        "a refused one uses up no jti"
    );
    let seen: Vec<Value> = harness
        .control
        .requests(Endpoint::Token)
        .iter()
        .filter_map(|request| request.assertion().map(|(_, claims)| claims["jti"].clone()))
        .collect();
    assert_eq!(seen.iter().filter(|jti| **jti == claims["jti"]).count(), 4);
}

#[tokio::test]
async fn the_accepted_audience_can_be_narrowed() {
    let harness = Harness::start().await;
    let client = harness.client().await;
    let with = |audience: String| {
        let mut claims = harness.claims(&client.id);
        claims["aud"] = json!(audience);
        client.key.sign(&claims)
    };
    let (issuer, endpoint) = (harness.issuer.clone(), format!("{}/token", harness.issuer));
    harness
        .control
        .require_assertion_audience(AssertionAudience::TokenEndpoint);
    assert!(!is_in(&try_assertion(&harness, &with(issuer.clone())).await));
    assert!(is_in(&try_assertion(&harness, &with(endpoint.clone())).await));
    harness
        .control
        .require_assertion_audience(AssertionAudience::Issuer);
    assert!(!is_in(&try_assertion(&harness, &with(endpoint)).await));
    assert!(is_in(&try_assertion(&harness, &with(issuer)).await));
}

#[tokio::test]
async fn a_new_kid_at_the_jwks_uri_is_found_and_a_flood_is_not() {
    let harness = Harness::start().await;
    let (old, new) = (Key::generate(), Key::generate());
    let jwks = JwksServer::start(json!({ "keys": [old.jwk] })).await;
    let mut metadata = Harness::metadata("bff");
    metadata["jwks_uri"] = json!(jwks.uri);
    let answer = harness
        .post_json("/register", Some(&harness.iat()), &metadata)
        .await;
    let client = TestClient {
        id: "bff".to_owned(),
        key: new,
        answer: answer.json(),
    };
    assert!(is_in(
        &try_assertion(&harness, &old.sign(&harness.claims("bff"))).await
    ));
    assert_eq!(jwks.hits(), 1);
    *jwks.jwks.lock() = json!({ "keys": [{"kty": "nonsense"}, old.jwk, client.key.jwk] });
    assert!(
        !is_in(&try_assertion(&harness, &harness.assertion(&client)).await),
        "within the cool-down"
    );
    harness.advance(1);
    assert!(is_in(&try_assertion(&harness, &harness.assertion(&client)).await));
    assert_eq!(jwks.hits(), 2);
    for _ in 0..5 {
        let stranger = Key::generate();
        assert!(!is_in(
            &try_assertion(&harness, &stranger.sign(&harness.claims("bff"))).await
        ));
    }
    assert_eq!(jwks.hits(), 2);
    *jwks.jwks.lock() = json!({ "keys": [client.key.jwk] });
    harness.advance(300);
    assert!(
        !is_in(&try_assertion(&harness, &old.sign(&harness.claims("bff"))).await),
        "taken back"
    );
    *jwks.jwks.lock() = json!("x".repeat(70_000));
    harness.control.forget_client_keys();
    assert!(!is_in(
        &try_assertion(&harness, &harness.assertion(&client)).await
    ));
}

#[tokio::test]
async fn secrets_go_the_registered_way_and_no_other() {
    let harness = Harness::start().await;
    let mut wish = Harness::metadata("basic-client");
    for name in ["client_profile", "token_endpoint_auth_signing_alg"] {
        wish[name] = json!(null);
    }
    wish["token_endpoint_auth_method"] = json!("client_secret_basic");
    let basic = harness
        .post_json("/register", Some(&harness.iat()), &wish)
        .await
        .json();
    wish["client_id"] = json!("post-client");
    wish["token_endpoint_auth_method"] = json!("client_secret_post");
    let post = harness
        .post_json("/register", Some(&harness.iat()), &wish)
        .await
        .json();
    let grant = "grant_type=refresh_token&refresh_token=x";
    let send = async |authorization: Option<(&str, &str)>, body: String| {
        let mut request = harness
            .http
            .post(format!("{}/token", harness.issuer))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body);
        if let Some((user, password)) = authorization {
            request = request.basic_auth(user, Some(password));
        }
        Answer::read(request.send().await.unwrap()).await
    };
    let secret = text(&basic, "client_secret");
    assert!(is_in(
        &send(Some(("basic-client", secret)), grant.to_owned()).await
    ));
    let wrong = send(Some(("basic-client", "wrong")), grant.to_owned()).await;
    assert!(!is_in(&wrong));
    assert!(wrong.header("www-authenticate").starts_with("Basic "));
    assert!(!is_in(&send(Some(("nobody", secret)), grant.to_owned()).await));
    let in_body = format!("{grant}&client_id=basic-client&client_secret={secret}");
    assert!(!is_in(&send(None, in_body.clone()).await), "registered is Basic");
    send(Some(("basic-client", secret)), in_body)
        .await
        .assert_error(400, "invalid_request");

    let secret = text(&post, "client_secret");
    let in_body = format!("{grant}&client_id=post-client&client_secret={secret}");
    assert!(is_in(&send(None, in_body).await));
    let wrong = format!("{grant}&client_id=post-client&client_secret=wrong");
    let wrong = send(None, wrong).await;
    assert!(!is_in(&wrong));
    assert_eq!(wrong.header("www-authenticate"), "");
    assert!(
        !is_in(&send(Some(("post-client", secret)), grant.to_owned()).await),
        "registered is post"
    );
    assert!(!is_in(
        &send(None, format!("{grant}&client_id=post-client")).await
    ));
}

#[tokio::test]
async fn a_form_that_is_none_is_a_bad_request() {
    let harness = Harness::start().await;
    let client = harness.client().await;
    let url = format!("{}/token", harness.issuer);
    let body = Some(("application/json", "{}".to_owned()));
    let answer = harness.send(reqwest::Method::POST, &url, None, body).await;
    answer.assert_error(400, "invalid_request");
    let only_type = [("client_assertion_type", TYPE)];
    harness
        .post_form("/token", &only_type)
        .await
        .assert_error(400, "invalid_request");
    let assertion = harness.assertion(&client);
    let no_type = [("client_assertion", assertion.as_str())];
    harness
        .post_form("/token", &no_type)
        .await
        .assert_error(400, "invalid_request");
    let other_type = [
        ("client_assertion", assertion.as_str()),
        ("client_assertion_type", "saml"),
    ];
    harness
        .post_form("/token", &other_type)
        .await
        .assert_error(401, "invalid_client");
    let named = [
        ("client_assertion", assertion.as_str()),
        ("client_assertion_type", TYPE),
        ("client_id", "other"),
    ];
    harness
        .post_form("/token", &named)
        .await
        .assert_error(400, "invalid_request");
    let too_many: Vec<(String, String)> = (0..100).map(|_| (unique(), String::new())).collect();
    let too_many: Vec<(&str, &str)> = too_many.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    harness
        .post_form("/token", &too_many)
        .await
        .assert_error(400, "invalid_request");
}
