use http::{StatusCode, header::CONTENT_TYPE};
use serde_json::{Map, json};

use super::*;
use crate::{
    clock::Clock as _,
    oidc::testing::{Answer, CLIENT_ID, FakeIdp, signing_key},
};

const PATH: &str = "/introspect";

async fn ask(idp: &FakeIdp, body: &str) -> Result<Claims, IntrospectionError> {
    let party = idp.party().await;
    let answer = Answer::json(StatusCode::OK, &json!({})).with(CONTENT_TYPE, SIGNED);
    let answer = Answer {
        body: body.to_owned(),
        ..answer
    };
    idp.answers(PATH, [answer]);
    let url = idp.url.join(PATH).unwrap();
    party.introspect(&url, &"t".into(), Some(party.provider())).await
}

/// The claims of a signed answer that is right.
fn right(idp: &FakeIdp) -> Map<String, Value> {
    let answer = json!({
        "iss": idp.issuer(), "aud": CLIENT_ID, "iat": idp.clock.now().unix_seconds(),
        "token_introspection": {"active": true, "sub": "ada"},
    });
    answer.as_object().unwrap().clone()
}

fn sign(idp: &FakeIdp, typ: &str, claims: &Map<String, Value>) -> String {
    let token = idp.key.sign(Algorithm::ES256, typ, claims).unwrap();
    token.expose().to_owned()
}

#[tokio::test]
async fn a_signed_answer_holds_the_answer() {
    let idp = FakeIdp::start().await;
    for typ in ["token-introspection+jwt", "application/token-introspection+jwt"] {
        let claims = ask(&idp, &sign(&idp, typ, &right(&idp))).await.unwrap();
        assert_eq!(Value::Object(claims), json!({"active": true, "sub": "ada"}));
    }
    let seen = &idp.requests_to(PATH)[0];
    assert_eq!(seen.headers.get_all("accept").iter().count(), 1);
    assert_eq!(seen.headers["accept"], SIGNED);
}

#[tokio::test]
async fn without_a_signer_the_answer_is_json() {
    let idp = FakeIdp::start().await;
    idp.answer(PATH, StatusCode::OK, &json!({"active": false}));
    let url = idp.url.join(PATH).unwrap();
    let party = idp.party().await;
    let claims = party.introspect(&url, &"t".into(), None).await.unwrap();
    assert_eq!(claims["active"], json!(false));
    assert_eq!(idp.requests_to(PATH)[0].headers["accept"], "application/json");
    idp.answer(PATH, StatusCode::OK, &json!({"active": "true"}));
    let error = party.introspect(&url, &"t".into(), None).await.unwrap_err();
    assert!(
        error.to_string().contains("`active` is not true or false"),
        "{error}"
    );
}

#[tokio::test]
async fn attack_26_an_answer_that_is_not_right_is_refused() {
    let idp = FakeIdp::start().await;
    let now = idp.clock.now().unix_seconds();
    for (name, value, expected) in [
        ("iss", json!("https://other.example"), "issuer is wrong"),
        ("iss", Value::Null, "issuer is wrong"),
        ("aud", json!("other"), "audience is wrong"),
        ("aud", json!([CLIENT_ID, "other"]), "audience is wrong"),
        ("aud", Value::Null, "audience is wrong"),
        ("iat", json!(now - 120), "the answer is old"),
        ("iat", json!(now + 61), "not valid yet"),
        ("iat", Value::Null, "not valid yet"),
        ("exp", json!(now - 60), "has expired"),
        ("exp", json!("soon"), "has expired"),
        ("token_introspection", Value::Null, "is not a JSON object"),
        ("token_introspection", json!([]), "is not a JSON object"),
        (
            "token_introspection",
            json!({"sub": "ada"}),
            "`active` is not true or false",
        ),
    ] {
        let mut claims = right(&idp);
        claims.insert(name.to_owned(), value.clone());
        let error = ask(&idp, &sign(&idp, "token-introspection+jwt", &claims)).await;
        let error = error.unwrap_err().to_string();
        assert!(error.contains(expected), "{name} {value}: {error}");
    }
    for typ in ["JWT", "at+jwt", "token-introspection"] {
        let error = ask(&idp, &sign(&idp, typ, &right(&idp))).await.unwrap_err();
        assert!(error.to_string().contains("type is wrong"), "{typ}: {error}");
    }
    let other = signing_key("idp-key-1");
    let forged = other.sign(Algorithm::ES256, "token-introspection+jwt", &right(&idp));
    let error = ask(&idp, forged.unwrap().expose()).await.unwrap_err();
    assert!(error.to_string().contains("signature is wrong"), "{error}");
}

/// The clocks may differ by a minute more.
#[tokio::test]
async fn an_answer_may_be_a_minute_old() {
    let idp = FakeIdp::start().await;
    let mut claims = right(&idp);
    let now = idp.clock.now().unix_seconds();
    claims.insert("iat".to_owned(), json!(now - 119));
    claims.insert("exp".to_owned(), json!(now - 59));
    assert!(
        ask(&idp, &sign(&idp, "token-introspection+jwt", &claims))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn attack_26_an_unsigned_answer_is_no_substitute() {
    let idp = FakeIdp::start().await;
    let plain = json!({"active": true, "token_introspection": {"active": true}}).to_string();
    for body in [plain.as_str(), " {}"] {
        let error = ask(&idp, body).await.unwrap_err();
        assert!(matches!(error, IntrospectionError::Unsigned), "{error}");
        assert!(
            error.told().contains("remove signed_introspection"),
            "{}",
            error.told()
        );
    }
    for body in ["", "active", "a.b.c"] {
        let error = ask(&idp, body).await.unwrap_err();
        assert!(matches!(error, IntrospectionError::Signed(_)), "{error}");
    }
}
