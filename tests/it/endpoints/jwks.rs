//! `/.well-known/jwks.json`: our public keys.

use devstack_idp::{Endpoint, Fault};
use http::{Method, StatusCode};

use crate::support::Stack;

const PATH: &str = "/.well-known/jwks.json";

#[tokio::test]
async fn it_has_public_members_only() {
    for key_type in ["p-256", "rsa-2048", "ed25519"] {
        let stack = Stack::builder()
            .set("BFF_KEY_TYPE", key_type)
            .prepare(|idp| idp.fail_always(Endpoint::Discovery, Fault::status(503)))
            .start_without_waiting()
            .await;
        let reply = stack.browser().get(PATH).await;
        assert_eq!(reply.status, StatusCode::OK);
        assert_eq!(reply.header("content-type"), Some("application/json"));
        assert_eq!(reply.header("cache-control"), Some("public, max-age=300"));
        let keys = reply.json()["keys"].as_array().unwrap().clone();
        assert_eq!(keys.len(), 1);
        let mut members: Vec<&str> = keys[0].as_object().unwrap().keys().map(String::as_str).collect();
        members.sort_unstable();
        let expected: &[&str] = match key_type {
            "p-256" => &["alg", "crv", "kid", "kty", "use", "x", "y"],
            "rsa-2048" => &["e", "kid", "kty", "n", "use"],
            _ => &["alg", "crv", "kid", "kty", "use", "x"],
        };
        assert_eq!(members, expected, "{key_type}");
        assert_eq!(keys[0]["use"], "sig");
    }
}

#[tokio::test]
async fn who_knows_it_already_is_told_so() {
    let stack = Stack::start().await;
    let idp = stack.browser();
    let first = idp.get(PATH).await;
    let etag = first.header("etag").unwrap().to_owned();
    assert!(etag.starts_with('"') && etag.ends_with('"'));
    let weak = format!("W/{etag}");
    let among = format!("\"x\", {etag} , \"y\"");
    for known in [etag.as_str(), &weak, &among, "*"] {
        let reply = idp
            .send(idp.request(Method::GET, PATH).header("if-none-match", known))
            .await;
        assert_eq!(
            (reply.status, reply.body.as_str()),
            (StatusCode::NOT_MODIFIED, ""),
            "{known}"
        );
        assert_eq!(reply.header("etag"), Some(etag.as_str()));
        assert_eq!(reply.header("cache-control"), Some("public, max-age=300"));
    }
    for unknown in ["\"x\"", "x", "", etag.trim_matches('"')] {
        let reply = idp
            .send(idp.request(Method::GET, PATH).header("if-none-match", unknown))
            .await;
        assert_eq!(
            (reply.status, &reply.body),
            (StatusCode::OK, &first.body),
            "{unknown}"
        );
    }
    let head = idp.send(idp.request(Method::HEAD, PATH)).await;
    assert_eq!((head.status, head.body.as_str()), (StatusCode::OK, ""));
    assert_eq!(head.header("etag"), Some(etag.as_str()));
    let post = idp.send(idp.request(Method::POST, PATH)).await;
    assert_eq!(post.refusal(), (405, "method_not_allowed".to_owned()));
}
