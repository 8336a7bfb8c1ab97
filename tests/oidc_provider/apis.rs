//! Tokens for APIs: resource indicators, client credentials, and the exchange of tokens.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::support::{Person, Stack, until};

const ORDERS: &str = "https://orders.example";
const BILLS: &str = "https://bills.example";

const ROUTES: &str = r#"
services:
  plain: { base_url: "{api}" }
  orders: { base_url: "{api}", token_audience: https://orders.example, scopes: [orders.read] }
  bills: { base_url: "{api}", token_audience: https://bills.example }
routes:
  - { id: plain, path: /plain, target_service: plain, preserve_path: true }
  - { id: session, path: /session, target_service: orders, preserve_path: true }
  - { id: bills, path: /bills, target_service: bills, preserve_path: true }
  - { id: service, path: /service, target_service: orders, preserve_path: true, token_policy: { mode: service_token } }
  - { id: person, path: /person, target_service: orders, preserve_path: true, token_policy: { mode: on_behalf_of } }
"#;

async fn stack() -> Stack {
    let settings = json!({
        "resources": [ORDERS, BILLS],
        "resourceScopes": ["orders.read"],
        "accessTokenLifetime": 8,
    });
    let stack = Stack::prepare(&settings).await;
    stack.routes(ROUTES);
    stack
        .register(&[
            ("OIDC_RESOURCE_INDICATORS", "always"),
            ("OIDC_SCOPES", "openid profile email offline_access orders.read"),
        ])
        .await
}

/// The token that the API gets for a call of `path`.
async fn token(stack: &Stack, person: &Person, path: &str) -> String {
    let reply = person.browser.get(path).await;
    assert_eq!(reply.status, 200, "{path}: {}", reply.body);
    let authorization = stack.api.last().header("authorization").unwrap().to_owned();
    authorization.strip_prefix("Bearer ").unwrap().to_owned()
}

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).expect("no JWT");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[tokio::test]
async fn each_api_gets_a_token_of_its_own() {
    let stack = stack().await;
    let client = stack.client().await;
    for grant in [
        "client_credentials",
        "urn:ietf:params:oauth:grant-type:token-exchange",
    ] {
        let granted = client["grant_types"].as_array().unwrap();
        assert!(granted.contains(&grant.into()), "{granted:?}");
    }
    let ada = stack.ada();
    ada.log_in().await;

    // The token of the login is for the provider itself.
    let plain = token(&stack, &ada, "/plain").await;
    assert_eq!(
        stack
            .provider
            .call("/me", &format!("Bearer {plain}"))
            .await
            .status,
        200
    );
    for (path, audience) in [("/session", ORDERS), ("/bills", BILLS)] {
        let first = token(&stack, &ada, path).await;
        let of_login = claims(&first);
        assert_eq!(
            (&of_login["aud"], &of_login["sub"]),
            (&audience.into(), &"ada".into())
        );
        assert_eq!(token(&stack, &ada, path).await, first, "it is kept");
    }
    let of_session = claims(&token(&stack, &ada, "/session").await);
    assert_eq!(of_session["scope"], "orders.read");

    let of_service = claims(&token(&stack, &ada, "/service").await);
    assert_eq!(of_service["aud"], ORDERS);
    assert_eq!(of_service["scope"], "orders.read");
    assert_eq!(of_service["client_id"], client["client_id"]);
    assert_ne!(of_service["sub"], "ada");

    let of_person = claims(&token(&stack, &ada, "/person").await);
    assert_eq!(of_person["aud"], ORDERS);
    assert_eq!(of_person["sub"], "ada");
    assert_eq!(of_person["act"]["sub"], client["client_id"]);
    assert_eq!(stack.provider.errors().await, [] as [Value; 0]);
}

/// With the refresh token, which changes with each use.
#[tokio::test]
async fn tokens_for_apis_are_renewed_with_the_session() {
    let stack = stack().await;
    let ada = stack.ada();
    ada.log_in().await;
    for path in ["/session", "/person", "/service"] {
        let first = token(&stack, &ada, path).await;
        until("there is another token", async || {
            token(&stack, &ada, path).await != first
        })
        .await;
    }
    assert_eq!(stack.provider.errors().await, [] as [Value; 0]);
    ada.log_out(true).await;
    assert_eq!(ada.browser.get("/session").await.status, 401);
}
