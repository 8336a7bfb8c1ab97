//! Tokens for one API: client credentials, exchange, resource indicators; strictly.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::support::{Harness, TestClient, text};

const ORDERS: &str = "https://orders.example";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

async fn start() -> (Harness, TestClient) {
    let harness = Harness::start_with(|options| options.resources = vec![ORDERS.to_owned()]).await;
    let client = harness.client().await;
    let grants = json!([
        "authorization_code",
        "refresh_token",
        "client_credentials",
        EXCHANGE
    ]);
    let change = |client: &mut Value| client["grant_types"] = grants;
    harness.control.mutate_client(&client.id, change).unwrap();
    (harness, client)
}

fn claims(answer: &Value) -> Value {
    let payload = text(answer, "access_token").split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[tokio::test]
async fn client_credentials_are_for_a_known_api_and_registered_scopes() {
    let (harness, client) = start().await;
    let ask = async |more: &[(&str, &str)]| {
        let mut pairs = vec![("grant_type", "client_credentials")];
        pairs.extend(more);
        harness.post_as(&client, "/token", &pairs).await
    };
    for name in ["audience", "resource"] {
        let answer = ask(&[(name, ORDERS), ("scope", "profile")]).await.json();
        let claims = claims(&answer);
        assert_eq!(
            (&claims["aud"], &claims["sub"]),
            (&json!(ORDERS), &json!(client.id))
        );
        assert!(answer.get("refresh_token").is_none());
    }
    for (more, error) in [
        (
            [("audience", "https://other.example"), ("x", "y")],
            "invalid_target",
        ),
        ([("audience", ORDERS), ("resource", ORDERS)], "invalid_target"),
        ([("resource", ORDERS), ("resource", ORDERS)], "invalid_target"),
        ([("audience", ORDERS), ("scope", "orders.read")], "invalid_scope"),
        ([("audience", ORDERS), ("scope", "openid")], "invalid_scope"),
    ] {
        ask(&more).await.assert_error(400, error);
    }
    let change = |client: &mut Value| client["grant_types"] = json!(["authorization_code"]);
    harness.control.mutate_client(&client.id, change).unwrap();
    ask(&[]).await.assert_error(400, "unauthorized_client");
}

#[tokio::test]
async fn an_exchange_wants_a_live_token_of_the_client() {
    let (harness, client) = start().await;
    let tokens = harness.tokens(&client).await;
    let subject = text(&tokens, "access_token");
    let ask = async |changes: &[(&str, &str)]| {
        let mut pairs = vec![
            ("grant_type", EXCHANGE),
            ("subject_token", subject),
            ("subject_token_type", ACCESS_TOKEN),
            ("audience", ORDERS),
        ];
        for (name, value) in changes {
            pairs.retain(|(known, _)| known != name);
            pairs.push((name, value));
        }
        harness.post_as(&client, "/token", &pairs).await
    };
    let answer = ask(&[]).await.json();
    assert_eq!(answer["issued_token_type"], ACCESS_TOKEN);
    let exchanged = claims(&answer);
    assert_eq!(
        (&exchanged["aud"], &exchanged["sub"]),
        (&json!(ORDERS), &json!("u-ada"))
    );
    assert_eq!(exchanged["act"]["sub"], client.id);
    // Not for UserInfo, and not the subject of another exchange.
    assert_eq!(harness.userinfo(text(&answer, "access_token")).await.status, 401);
    let again = text(&answer, "access_token");
    ask(&[("subject_token", again)])
        .await
        .assert_error(400, "invalid_request");
    for (name, value, error) in [
        ("audience", "", "invalid_target"),
        ("audience", "https://other.example", "invalid_target"),
        ("subject_token", "nonsense", "invalid_request"),
        ("subject_token", text(&tokens, "id_token"), "invalid_request"),
        ("subject_token_type", "", "invalid_request"),
        (
            "subject_token_type",
            "urn:ietf:params:oauth:token-type:id_token",
            "invalid_request",
        ),
        (
            "requested_token_type",
            "urn:ietf:params:oauth:token-type:refresh_token",
            "invalid_request",
        ),
        ("actor_token", subject, "invalid_request"),
        ("scope", "orders.read", "invalid_scope"),
    ] {
        ask(&[(name, value)]).await.assert_error(400, error);
    }
    harness.control.revoke_refresh_tokens("u-ada");
    ask(&[]).await.assert_error(400, "invalid_request");
}

#[tokio::test]
async fn tokens_for_some_apis_are_exchanged_for_any_client() {
    let harness = Harness::start_with(|options| {
        options.resources = vec![ORDERS.to_owned()];
        options.exchanged_audiences = vec!["gateway".to_owned()];
    })
    .await;
    let client = harness.client().await;
    let change = |client: &mut Value| client["grant_types"] = json!(["authorization_code", EXCHANGE]);
    harness.control.mutate_client(&client.id, change).unwrap();
    let now = harness.now();
    let issued = |audience: &str, jti: &str| {
        let claims = json!({
            "iss": harness.issuer, "aud": audience, "sub": "batch", "client_id": "batch", "jti": jti,
            "iat": now, "exp": now + 60, "scope": "orders.read",
        });
        harness.control.issue(claims.as_object().unwrap()).unwrap()
    };
    let ask = async |subject: &str| {
        let pairs = [
            ("grant_type", EXCHANGE),
            ("subject_token", subject),
            ("subject_token_type", ACCESS_TOKEN),
            ("audience", ORDERS),
        ];
        harness.post_as(&client, "/token", &pairs).await
    };
    let exchanged = claims(&ask(&issued("gateway", "1")).await.json());
    assert_eq!(
        (&exchanged["aud"], &exchanged["sub"], &exchanged["act"]["sub"]),
        (&json!(ORDERS), &json!("batch"), &json!(client.id))
    );
    for other in ["sample-api", ORDERS] {
        ask(&issued(other, "2"))
            .await
            .assert_error(400, "invalid_request");
    }
}

#[tokio::test]
async fn a_refresh_token_is_for_the_resources_of_its_login() {
    let (harness, client) = start().await;
    let refresh = async |token: &str, resource: &str| {
        let pairs = [
            ("grant_type", "refresh_token"),
            ("refresh_token", token),
            ("resource", resource),
        ];
        harness.post_as(&client, "/token", &pairs).await
    };
    let code = harness.code(&client, &[("resource", ORDERS)]).await;
    let tokens = harness.redeem(&client, &code).await.json();
    assert_eq!(claims(&tokens)["aud"], "sample-api");
    let answer = refresh(text(&tokens, "refresh_token"), ORDERS).await.json();
    assert_eq!(claims(&answer)["aud"], ORDERS);
    let next = text(&answer, "refresh_token");
    refresh(next, "https://other.example")
        .await
        .assert_error(400, "invalid_target");
    // A refusal uses nothing up.
    assert_eq!(harness.refresh(&client, next).await.status, 200);

    let without = harness.tokens(&client).await;
    refresh(text(&without, "refresh_token"), ORDERS)
        .await
        .assert_error(400, "invalid_target");
}

#[tokio::test]
async fn a_login_may_name_known_resources_alone() {
    let (harness, client) = start().await;
    let url = harness.authorize_url(&client, &[("resource", "https://other.example")]);
    let answer = harness.http.get(url).send().await.unwrap();
    let back = answer.headers()["location"].to_str().unwrap();
    assert!(back.contains("error=invalid_target"), "{back}");
}

#[tokio::test]
async fn the_metadata_list_grants_and_resources() {
    let (harness, _) = start().await;
    let document = harness.get("/.well-known/openid-configuration").await.json();
    assert_eq!(document["protected_resources"], json!([ORDERS]));
    let grants = document["grant_types_supported"].as_array().unwrap();
    for grant in ["client_credentials", EXCHANGE] {
        assert!(grants.contains(&json!(grant)), "{document}");
    }
}
