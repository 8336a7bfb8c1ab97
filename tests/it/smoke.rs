//! One walk through everything.

use http::{Method, StatusCode};

use crate::support::Stack;

#[tokio::test]
async fn a_person_logs_in_calls_the_api_and_logs_out() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    assert_eq!(ada.session().await["user"]["name"], "Ada Lovelace");

    let reply = ada.get("/api/hello?x=1").await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    let call = stack.api.last();
    assert_eq!(call.target, "/v1/hello?x=1");
    assert!(call.header("authorization").unwrap().starts_with("Bearer "));

    let refused = ada.send(ada.request(Method::POST, "/api/notes")).await;
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (StatusCode::FORBIDDEN, "csrf_token")
    );
    assert_eq!(ada.post("/api/notes").await.status, StatusCode::OK);

    let reply = ada.post("/auth/logout").await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
    assert!(reply.location().starts_with(&stack.issuer));
    assert!(!ada.is_logged_in().await);
    assert_eq!(ada.get("/api/hello").await.status, StatusCode::UNAUTHORIZED);
}
