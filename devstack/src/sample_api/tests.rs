use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use axum::body::{Body, to_bytes};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bff::clock::{ManualClock, Timestamp};
use http::Request;
use serde_json::Value;
use tower::ServiceExt as _;

use super::*;

const NOW: u64 = 1_800_000_000;
const ISSUER: &str = "https://idp.example";
const AUDIENCE: &str = "https://api.example";

/// A key of the issuer, made for the test.
struct Signer {
    pair: EcdsaKeyPair,
    kid: &'static str,
}

impl Signer {
    fn new(kid: &'static str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self { pair, kid }
    }

    fn jwk(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.kid,
            "x": URL_SAFE_NO_PAD.encode(&point[1..33]),
            "y": URL_SAFE_NO_PAD.encode(&point[33..]),
        })
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the library salts with its own generator"
    )]
    fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }

    /// A valid token, except for what `change` does to its header and claims.
    fn token(&self, change: impl FnOnce(&mut Value, &mut Value)) -> String {
        let mut header = json!({ "typ": "at+jwt", "alg": "ES256", "kid": self.kid });
        let mut claims = json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": "u-1", "name": "Ada", "roles": ["writer"],
            "client_id": "bff-server", "scope": "openid", "iat": NOW, "exp": NOW + 60, "jti": "1",
        });
        change(&mut header, &mut claims);
        self.sign(&header, &claims)
    }
}

/// The API, its issuer's key endpoint, and the number of fetches.
struct Harness {
    api: Router,
    signer: Signer,
    clock: ManualClock,
    published: Arc<Mutex<Vec<Value>>>,
    fetched: Arc<AtomicUsize>,
}

impl Harness {
    async fn start() -> Self {
        let signer = Signer::new("k1");
        let clock = ManualClock::starting_at(Timestamp::from_unix_seconds(NOW));
        let published = Arc::new(Mutex::new(vec![signer.jwk()]));
        let fetched = Arc::new(AtomicUsize::new(0));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let jwks_uri = format!("http://{}/jwks", listener.local_addr().unwrap());
        let jwks = {
            let (published, fetched) = (Arc::clone(&published), Arc::clone(&fetched));
            move || {
                fetched.fetch_add(1, Ordering::SeqCst);
                let keys = published.lock().clone();
                async move { Json(json!({ "keys": keys })) }
            }
        };
        let issuer = Router::new().route("/jwks", get(jwks));
        tokio::spawn(async move { axum::serve(listener, issuer).await });
        let api = router(Options {
            issuer: ISSUER.to_owned(),
            jwks_uri,
            audience: AUDIENCE.to_owned(),
            clock: Arc::new(clock.clone()),
        })
        .unwrap();
        Self {
            api,
            signer,
            clock,
            published,
            fetched,
        }
    }

    async fn send(&self, request: Request<Body>) -> (StatusCode, HeaderMap, Value) {
        let response = self.api.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        (parts.status, parts.headers, body)
    }

    async fn hello(&self, authorization: &str) -> (StatusCode, HeaderMap, Value) {
        let request = Request::get("/hello")
            .header("authorization", authorization)
            .body(Body::empty())
            .unwrap();
        self.send(request).await
    }

    async fn hello_with(&self, token: &str) -> (StatusCode, Value) {
        let (status, _, body) = self.hello(&format!("Bearer {token}")).await;
        (status, body)
    }

    async fn write(&self, subject: &str, body: &str) -> StatusCode {
        let token = self.signer.token(|_, claims| claims["sub"] = json!(subject));
        let request = Request::post("/notes")
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(Body::from(body.to_owned()))
            .unwrap();
        self.send(request).await.0
    }

    async fn notes(&self, subject: &str) -> Vec<String> {
        let token = self.signer.token(|_, claims| claims["sub"] = json!(subject));
        let request = Request::get("/notes")
            .header("authorization", format!("Bearer {token}"))
            .body(Body::empty())
            .unwrap();
        let (status, _, body) = self.send(request).await;
        assert_eq!(status, StatusCode::OK);
        let notes = body["notes"].as_array().unwrap();
        notes
            .iter()
            .map(|note| note["text"].as_str().unwrap().to_owned())
            .collect()
    }
}

#[tokio::test]
async fn a_good_token_is_greeted_and_never_shown() {
    let harness = Harness::start().await;
    let token = harness.signer.token(|_, _| ());
    let (status, header, body) = harness.hello(&format!("bearer {token}")).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(header["cache-control"], "no-store");
    assert_eq!(body["name"], "Ada");
    assert!(body["greeting"].as_str().unwrap().contains("Ada"));
    assert_eq!(body["roles"], json!(["writer"]));
    assert_eq!(body["token"]["expires_at"], json!(NOW + 60));
    assert_eq!(body["header_fields"], json!(["authorization"]));
    assert!(!body.to_string().contains(token.split('.').nth(1).unwrap()));
}

#[tokio::test]
async fn the_name_is_the_best_that_the_token_has() {
    let harness = Harness::start().await;
    for (field, value, expected) in [
        ("preferred_username", "ada", "ada"),
        ("email", "ada@example", "ada@example"),
        ("nickname", "x", "u-1"),
    ] {
        let token = harness.signer.token(|_, claims| {
            claims["name"] = json!("");
            claims[field] = json!(value);
        });
        let (_, body) = harness.hello_with(&token).await;
        assert_eq!(body["name"], expected);
    }
}

#[tokio::test]
async fn without_a_bearer_token_it_is_401_with_a_challenge() {
    let harness = Harness::start().await;
    for authorization in ["", "Bearer", "Basic dTpw", "DPoP x.y.z"] {
        let (status, header, body) = harness.hello(authorization).await;
        assert_eq!(
            (status, &body["code"]),
            (StatusCode::UNAUTHORIZED, &json!("no_token")),
            "{authorization}"
        );
        assert_eq!(header["www-authenticate"], "Bearer");
        assert_eq!(header["content-type"], "application/problem+json");
    }
    let token = harness.signer.token(|_, _| ());
    let twice = Request::get("/hello")
        .header("authorization", format!("Bearer {token}"))
        .header("authorization", format!("Bearer {token}"))
        .body(Body::empty())
        .unwrap();
    assert_eq!(harness.send(twice).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(harness.fetched.load(Ordering::SeqCst), 0);
}

/// A change of a valid token, and the reason of its refusal.
type Spoiled = (fn(&mut Value, &mut Value), TokenError);

#[tokio::test]
async fn each_thing_that_is_wrong_with_a_token_is_refused() {
    let harness = Harness::start().await;
    let rows: [Spoiled; 22] = [
        (|header, _| header["typ"] = json!("JWT"), TokenError::Type),
        (|header, _| header["typ"] = Value::Null, TokenError::Type),
        (|header, _| header["typ"] = json!("logout+jwt"), TokenError::Type),
        (|header, _| header["alg"] = json!("HS256"), TokenError::Algorithm),
        (|header, _| header["alg"] = json!("ES384"), TokenError::Algorithm),
        (|header, _| header["alg"] = json!("none"), TokenError::Malformed),
        // A key for ES256 serves no other algorithm.
        (|header, _| header["alg"] = json!("RS256"), TokenError::UnknownKey),
        (|header, _| header["crit"] = json!(["x"]), TokenError::Algorithm),
        (|header, _| header["kid"] = json!("k9"), TokenError::UnknownKey),
        (|header, _| header["kid"] = Value::Null, TokenError::UnknownKey),
        (
            |_, claims| claims["iss"] = json!("https://idp.example/"),
            TokenError::Wrong,
        ),
        (|_, claims| claims["iss"] = Value::Null, TokenError::Wrong),
        (|_, claims| claims["aud"] = json!("bff-server"), TokenError::Wrong),
        (|_, claims| claims["aud"] = json!([]), TokenError::Wrong),
        (|_, claims| claims["aud"] = Value::Null, TokenError::Wrong),
        (|_, claims| claims["sub"] = Value::Null, TokenError::Wrong),
        (|_, claims| claims["exp"] = Value::Null, TokenError::Wrong),
        (|_, claims| claims["iat"] = Value::Null, TokenError::Wrong),
        (|_, claims| claims["exp"] = json!(NOW), TokenError::Expired),
        (|_, claims| claims["exp"] = json!(0), TokenError::Expired),
        (
            |_, claims| claims["iat"] = json!(NOW + 31),
            TokenError::NotYetValid,
        ),
        (
            |_, claims| claims["nbf"] = json!(NOW + 31),
            TokenError::NotYetValid,
        ),
    ];
    for (at, (change, expected)) in rows.into_iter().enumerate() {
        let token = harness.signer.token(change);
        let (status, header, body) = harness.hello(&format!("Bearer {token}")).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "row {at}: {body}");
        assert_eq!(body["detail"], expected.to_string(), "row {at}");
        assert_eq!(header["www-authenticate"], "Bearer error=\"invalid_token\"");
    }
}

#[tokio::test]
async fn a_signature_of_somebody_else_is_refused() {
    let harness = Harness::start().await;
    let forged = Signer::new("k1").token(|_, _| ());
    let (status, body) = harness.hello_with(&forged).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(body["detail"], TokenError::Wrong.to_string());
    let honest = harness.signer.token(|_, _| ());
    let (head, signature) = honest.rsplit_once('.').unwrap();
    let other = harness.signer.token(|_, claims| claims["sub"] = json!("admin"));
    let swapped = format!("{}.{signature}", other.rsplit_once('.').unwrap().0);
    for bad in [
        swapped,
        format!("{head}."),
        head.to_owned(),
        format!("{honest}.x.y"),
        "x".to_owned(),
        "..".to_owned(),
        "a".repeat(20_000),
    ] {
        assert_eq!(
            harness.hello_with(&bad).await.0,
            StatusCode::UNAUTHORIZED,
            "{bad}"
        );
    }
}

#[tokio::test]
async fn a_token_ends_when_its_time_is_up() {
    let harness = Harness::start().await;
    let token = harness.signer.token(|_, _| ());
    harness.clock.advance(Duration::from_secs(59));
    assert_eq!(harness.hello_with(&token).await.0, StatusCode::OK);
    harness.clock.advance(Duration::from_secs(1));
    assert_eq!(harness.hello_with(&token).await.0, StatusCode::UNAUTHORIZED);
}

/// Keys rotate without a restart.
#[tokio::test]
async fn attack_16_a_flood_of_kids_fetches_the_keys_once() {
    let harness = Harness::start().await;
    let unknown = harness.signer.token(|header, _| header["kid"] = json!("random"));
    for _ in 0..20 {
        assert_eq!(harness.hello_with(&unknown).await.0, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(harness.fetched.load(Ordering::SeqCst), 1);

    let next = Signer::new("k2");
    // An unusable key does not spoil the others.
    *harness.published.lock() = vec![
        json!({ "kty": "EC", "crv": "P-256", "kid": "bad", "x": "!", "y": "!" }),
        json!({ "kty": "unheard-of", "kid": "bad" }),
        json!("no key at all"),
        harness.signer.jwk(),
        next.jwk(),
    ];
    harness.clock.advance(Duration::from_secs(10));
    assert_eq!(harness.hello_with(&next.token(|_, _| ())).await.0, StatusCode::OK);
    assert_eq!(
        harness.hello_with(&harness.signer.token(|_, _| ())).await.0,
        StatusCode::OK
    );
    assert_eq!(harness.fetched.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_issuer_that_is_down_is_503_and_not_the_callers_fault() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let jwks_uri = format!("http://{}/jwks", listener.local_addr().unwrap());
    drop(listener);
    let mut harness = Harness::start().await;
    harness.api = router(Options {
        issuer: ISSUER.to_owned(),
        jwks_uri,
        audience: AUDIENCE.to_owned(),
        clock: Arc::new(harness.clock.clone()),
    })
    .unwrap();
    let token = harness.signer.token(|_, _| ());
    for _ in 0..2 {
        let (status, body) = harness.hello_with(&token).await;
        assert_eq!(
            (status, &body["code"]),
            (StatusCode::SERVICE_UNAVAILABLE, &json!("keys_unavailable"))
        );
    }
}

#[tokio::test]
async fn notes_belong_to_a_person_and_are_bounded() {
    let harness = Harness::start().await;
    for number in 0..25 {
        let status = harness
            .write("u-1", &format!(r#"{{"text":" note {number} "}}"#))
            .await;
        assert_eq!(status, StatusCode::CREATED);
    }
    let notes = harness.notes("u-1").await;
    assert_eq!(notes.len(), MAX_NOTES);
    assert_eq!((notes[0].as_str(), notes[19].as_str()), ("note 5", "note 24"));
    assert_eq!(harness.notes("u-2").await.len(), 0);
    for bad in [
        "",
        "{}",
        "[]",
        "x",
        r#"{"text":""}"#,
        r#"{"text":"  "}"#,
        r#"{"text":1}"#,
        r#"{"text":"a","more":1}"#,
        &format!(r#"{{"text":"{}"}}"#, "x".repeat(MAX_NOTE_LENGTH + 1)),
        &format!(r#"{{"text":"{}"}}"#, "x".repeat(MAX_BODY)),
    ] {
        assert_eq!(harness.write("u-2", bad).await, StatusCode::BAD_REQUEST, "{bad}");
    }
    let nobody = Request::post("/notes")
        .body(Body::from(r#"{"text":"x"}"#))
        .unwrap();
    assert_eq!(harness.send(nobody).await.0, StatusCode::UNAUTHORIZED);
}
