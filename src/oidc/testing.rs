//! A provider for tests: a real server on loopback with scripted answers and recorded requests.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use url::{Url, form_urlencoded};

use super::{
    AuthorizationRequest, Client, ClientAuthentication, ClientSlot, EndpointOverrides, Options,
    ProviderOptions, RelyingParty,
};
use crate::{
    clock::{Clock as _, ManualClock, Timestamp},
    jose::{Algorithm, KeyPair, SigningKey},
    keys::{self, KeyKind, Keys},
    outbound::{self, LaneLimits, Outbound},
    random::{SharedRandom, SystemRandom},
    url_policy::HttpPolicy,
};

pub(super) const CLIENT_ID: &str = "bff-server";

/// A recorded request.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    fields: Vec<(String, String)>,
}

/// A scripted answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: Vec<(header::HeaderName, String)>,
    pub(super) body: String,
}

#[derive(Clone)]
pub(crate) struct FakeIdp {
    pub(super) url: Url,
    pub(crate) clock: ManualClock,
    /// Signs ID tokens; `/jwks` shows its public half at first.
    pub(super) key: Arc<SigningKey>,
    /// Sign our assertions.
    pub(super) keys: Keys,
    script: Arc<Mutex<Script>>,
}

#[derive(Default)]
struct Script {
    answers: HashMap<String, VecDeque<Answer>>,
    seen: Vec<Seen>,
}

pub(super) fn signing_key(kid: &str) -> SigningKey {
    crate::jose::install_crypto();
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    SigningKey::new(KeyPair::P256(pair), Some(kid.to_owned())).unwrap()
}

pub(super) fn authorization_request() -> AuthorizationRequest {
    AuthorizationRequest {
        scope: "openid profile".to_owned(),
        state: "state-1".to_owned(),
        nonce: "nonce-1".to_owned(),
        redirect_uri: "https://app.example/auth/callback".to_owned(),
        code_challenge: "challenge-1".to_owned(),
        prompt: Some("consent".to_owned()),
        login_hint: Some("alice & bob+c@example.org".to_owned()),
        ui_locales: None,
        acr_values: Some(String::new()),
        domain_hint: None,
        tenant: None,
        max_age: Some(0),
    }
}

/// Keys as the server has them, from a folder that exists only while they are read.
fn keys(kid: &str) -> Keys {
    let dir = tempfile::tempdir().unwrap();
    let options = keys::Options {
        signing_key: dir.path().join("signing.pem"),
        kid: Some(kid.to_owned()),
        generate: KeyKind::P256,
        extra: Vec::new(),
        dir: dir.path().to_owned(),
        identity_markers: Vec::new(),
        guard: crate::private_file::Guard::Strict,
    };
    keys::testing::load(&options).unwrap().0
}

// === impl Seen ===

impl Seen {
    /// The form field called `name`; it must not be there twice.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(field, _)| field == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} was sent twice");
        value
    }
}

// === impl Answer ===

impl Answer {
    pub(crate) fn json(status: StatusCode, body: &Value) -> Self {
        Self {
            status,
            headers: vec![(header::CONTENT_TYPE, "application/json".to_owned())],
            body: body.to_string(),
        }
    }

    pub(super) fn html(status: StatusCode) -> Self {
        Self {
            status,
            headers: vec![(header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned())],
            body: "<html>{\"error\":\"invalid_grant\"}</html>".to_owned(),
        }
    }

    pub(super) fn redirect(to: &str) -> Self {
        Self {
            status: StatusCode::TEMPORARY_REDIRECT,
            headers: vec![(header::LOCATION, to.to_owned())],
            body: String::new(),
        }
    }

    pub(super) fn with(mut self, name: header::HeaderName, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

// === impl FakeIdp ===

impl FakeIdp {
    /// Serves metadata and keys; everything else answers 404 until a script exists.
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let provider = Self {
            url,
            clock: ManualClock::starting_at(Timestamp::from_unix_seconds(1_800_000_000)),
            key: Arc::new(signing_key("idp-key-1")),
            keys: keys("bff-key-1"),
            script: Arc::default(),
        };
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&provider.script));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let document = provider.document();
        provider.answer(
            "/.well-known/openid-configuration",
            StatusCode::OK,
            &Value::Object(document),
        );
        provider.publish(&[&provider.key]);
        provider
    }

    pub(super) fn issuer(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    pub(super) fn document(&self) -> Map<String, Value> {
        let issuer = self.issuer();
        let document = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/jwks"),
            "pushed_authorization_request_endpoint": format!("{issuer}/par"),
            "userinfo_endpoint": format!("{issuer}/userinfo"),
            "end_session_endpoint": format!("{issuer}/logout?theme=dark"),
            "revocation_endpoint": format!("{issuer}/revoke"),
            "registration_endpoint": format!("{issuer}/register"),
            "token_endpoint_auth_methods_supported": ["private_key_jwt"],
            "token_endpoint_auth_signing_alg_values_supported": ["ES256"],
            "id_token_signing_alg_values_supported": ["ES256", "HS256", "none"],
        });
        document.as_object().unwrap().clone()
    }

    pub(crate) fn change_metadata(&self, change: impl FnOnce(&mut Map<String, Value>)) {
        let mut document = self.document();
        change(&mut document);
        self.answer(
            "/.well-known/openid-configuration",
            StatusCode::OK,
            &Value::Object(document),
        );
    }

    /// Shows these keys at `/jwks`.
    pub(super) fn publish(&self, keys: &[&SigningKey]) {
        let keys: Vec<_> = keys.iter().map(|key| key.public()).collect();
        self.answer("/jwks", StatusCode::OK, &json!({ "keys": keys }));
    }

    /// Answers JSON at `path` from now on.
    pub(crate) fn answer(&self, path: &str, status: StatusCode, body: &Value) {
        self.answers(path, [Answer::json(status, body)]);
    }

    /// Answers these at `path`, one after the other; the last one stays.
    pub(crate) fn answers(&self, path: &str, answers: impl IntoIterator<Item = Answer>) {
        self.script
            .lock()
            .answers
            .insert(path.to_owned(), answers.into_iter().collect());
    }

    pub(crate) fn requests_to(&self, path: &str) -> Vec<Seen> {
        let script = self.script.lock();
        script
            .seen
            .iter()
            .filter(|seen| seen.path == path)
            .cloned()
            .collect()
    }

    pub(super) fn options(&self) -> Options {
        let mut options = Options::new(ProviderOptions {
            issuer: self.issuer().to_owned(),
            base_url: None,
            public_base: None,
            overrides: EndpointOverrides::default(),
            allow_http: HttpPolicy::LocalOnly,
        });
        // The clock of the tests stands still.
        options.retry.pause = Duration::ZERO;
        options
    }

    /// A relying party that has registered with `private_key_jwt` and knows the metadata.
    pub(crate) async fn party(&self) -> RelyingParty {
        self.party_with(self.options()).await
    }

    pub(super) async fn party_with(&self, options: Options) -> RelyingParty {
        let party = self.undiscovered(options);
        party.provider().discover().await.unwrap();
        party
    }

    pub(super) fn undiscovered(&self, options: Options) -> RelyingParty {
        self.build(options, LaneLimits::default(), Arc::new(SystemRandom))
    }

    pub(super) async fn party_of(
        &self,
        options: Options,
        lanes: LaneLimits,
        random: SharedRandom,
    ) -> RelyingParty {
        let party = self.build(options, lanes, random);
        party.provider().discover().await.unwrap();
        party
    }

    fn build(&self, options: Options, lanes: LaneLimits, random: SharedRandom) -> RelyingParty {
        let clock = Arc::new(self.clock.clone());
        let how = outbound::Options {
            lanes,
            ..outbound::Options::default()
        };
        let client = ClientSlot::new();
        client.set(Client {
            id: CLIENT_ID.to_owned(),
            auth: ClientAuthentication::PrivateKeyJwt {
                algorithm: Algorithm::ES256,
            },
        });
        RelyingParty::new(
            options,
            Outbound::new(&how, clock.clone()).unwrap(),
            client,
            self.keys.clone(),
            clock,
            random,
        )
    }

    /// The claims of an ID token that is right.
    pub(super) fn claims(&self) -> Map<String, Value> {
        let now = self.clock.now().unix_seconds();
        let claims = json!({
            "iss": self.issuer(), "sub": "alice", "aud": CLIENT_ID, "nonce": "nonce-1",
            "iat": now, "exp": now + 300,
        });
        claims.as_object().unwrap().clone()
    }

    /// An ID token by the provider's key.
    pub(super) fn id_token(&self, claims: &Map<String, Value>) -> String {
        let token = self.key.sign(Algorithm::ES256, "JWT", claims).unwrap();
        token.expose().to_owned()
    }
}

async fn answer(
    State(script): State<Arc<Mutex<Script>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut script = script.lock();
    script.seen.push(Seen {
        method,
        path: uri.path().to_owned(),
        headers,
        fields: form_urlencoded::parse(&body).into_owned().collect(),
    });
    let Some(answers) = script.answers.get_mut(uri.path()) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let answer = match answers.len() {
        1 => answers[0].clone(),
        _ => answers.pop_front().unwrap(),
    };
    let mut response = (answer.status, answer.body).into_response();
    response.headers_mut().remove(header::CONTENT_TYPE);
    for (name, value) in answer.headers {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}
