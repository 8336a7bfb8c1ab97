//! An IdP on a free port, a client for it, and time that only moves on demand.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use aws_lc_rs::{
    digest::{SHA256, digest},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use devstack_idp::{Control, Idp, MintIat, Options, Person, install_crypto, serve};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use parking_lot::Mutex;
use reqwest::{Method, Response, StatusCode, header};
use serde_json::{Value, json};
use tokio::task::AbortHandle;
use url::form_urlencoded;

pub(crate) const ADMIN: &str = "admin-token";
pub(crate) const REDIRECT_URI: &str = "http://bff.localhost:8000/auth/callback";
pub(crate) const LOGGED_OUT_URI: &str = "http://bff.localhost:8000/auth/logged-out";
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A running IdP.
pub(crate) struct Harness {
    pub(crate) issuer: String,
    pub(crate) control: Control,
    pub(crate) http: reqwest::Client,
    now: Arc<AtomicU64>,
    options: Options,
    /// The same socket as the server's, so that no other process takes the port during a restart.
    socket: std::net::TcpListener,
    server: AbortHandle,
}

/// A registered client with its key.
pub(crate) struct TestClient {
    pub(crate) id: String,
    pub(crate) key: Key,
    pub(crate) answer: Value,
}

/// A P-256 key.
pub(crate) struct Key {
    pub(crate) kid: String,
    encoding: EncodingKey,
    pub(crate) jwk: Value,
}

/// A server that publishes a JWK Set, which can change.
pub(crate) struct JwksServer {
    pub(crate) uri: String,
    pub(crate) jwks: Arc<Mutex<Value>>,
    pub(crate) hits: Arc<AtomicU64>,
    server: AbortHandle,
}

/// An answer, read to its end.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: header::HeaderMap,
    pub(crate) text: String,
}

// === impl Harness ===

impl Harness {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Options)) -> Self {
        Self::start_below("", change).await
    }

    pub(crate) async fn start_below(path: &str, change: impl FnOnce(&mut Options)) -> Self {
        install_crypto();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = listener.into_std().unwrap();
        let issuer = format!("http://{}{path}", socket.local_addr().unwrap());
        let now = Arc::new(AtomicU64::new(1_800_000_000));
        let mut options = Options::sample(issuer.clone(), ADMIN).unwrap();
        let clock = Arc::clone(&now);
        options.clock = Arc::new(move || clock.load(Ordering::SeqCst));
        change(&mut options);
        Self::run(options, socket, now)
    }

    /// Kills the IdP and starts it again: only its files are left.
    pub(crate) fn restart(self) -> Self {
        let socket = self.socket.try_clone().unwrap();
        Self::run(self.options.clone(), socket, Arc::clone(&self.now))
    }

    fn run(options: Options, socket: std::net::TcpListener, now: Arc<AtomicU64>) -> Self {
        let listener = tokio::net::TcpListener::from_std(socket.try_clone().unwrap()).unwrap();
        let idp = Idp::new(options.clone()).unwrap();
        let control = idp.control().clone();
        let server = tokio::spawn(serve(listener, idp, std::future::pending::<()>())).abort_handle();
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .unwrap();
        Self {
            issuer: options.issuer.clone(),
            control,
            http,
            now,
            options,
            socket,
            server,
        }
    }

    pub(crate) fn now(&self) -> u64 {
        self.now.load(Ordering::SeqCst)
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.now.fetch_add(seconds, Ordering::SeqCst);
    }

    pub(crate) fn iat(&self) -> String {
        self.control.mint_iat(MintIat::default())
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        url: &str,
        bearer: Option<&str>,
        body: Option<(&str, String)>,
    ) -> Answer {
        let mut request = self.http.request(method, url);
        if let Some(token) = bearer {
            request = request.bearer_auth(token);
        }
        if let Some((content_type, body)) = body {
            request = request.header(header::CONTENT_TYPE, content_type).body(body);
        }
        Answer::read(request.send().await.unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, &format!("{}{path}", self.issuer), None, None)
            .await
    }

    pub(crate) async fn post_json(&self, path: &str, bearer: Option<&str>, body: &Value) -> Answer {
        let url = format!("{}{path}", self.issuer);
        self.send(
            Method::POST,
            &url,
            bearer,
            Some(("application/json", body.to_string())),
        )
        .await
    }

    pub(crate) async fn post_form(&self, path: &str, pairs: &[(&str, &str)]) -> Answer {
        let url = format!("{}{path}", self.issuer);
        let body = Some(("application/x-www-form-urlencoded", encode(pairs)));
        self.send(Method::POST, &url, None, body).await
    }

    /// A form with a fresh client assertion.
    pub(crate) async fn post_as(&self, client: &TestClient, path: &str, pairs: &[(&str, &str)]) -> Answer {
        let assertion = self.assertion(client);
        let mut all = pairs.to_vec();
        all.push(("client_assertion_type", ASSERTION_TYPE));
        all.push(("client_assertion", &assertion));
        self.post_form(path, &all).await
    }

    pub(crate) fn claims(&self, client_id: &str) -> Value {
        let now = self.now();
        json!({
            "iss": client_id,
            "sub": client_id,
            "aud": self.issuer,
            "iat": now,
            "exp": now + 60,
            "jti": unique(),
        })
    }

    pub(crate) fn assertion(&self, client: &TestClient) -> String {
        client.key.sign(&self.claims(&client.id))
    }

    pub(crate) fn metadata(client_id: &str) -> Value {
        json!({
            "client_id": client_id,
            "client_name": "Test BFF",
            "client_profile": "code-flow-pkjwt",
            "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_signing_alg": "ES256",
            "redirect_uris": [REDIRECT_URI],
            "post_logout_redirect_uris": [LOGGED_OUT_URI],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "scope": "openid profile email offline_access",
        })
    }

    /// Registers a client with its key inline.
    pub(crate) async fn client(&self) -> TestClient {
        self.client_called("bff-server").await
    }

    pub(crate) async fn client_called(&self, id: &str) -> TestClient {
        let key = Key::generate();
        let mut metadata = Self::metadata(id);
        metadata["jwks"] = json!({ "keys": [key.jwk] });
        let answer = self.post_json("/register", Some(&self.iat()), &metadata).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        TestClient {
            id: id.to_owned(),
            key,
            answer: answer.json(),
        }
    }

    pub(crate) fn authorize_url(&self, client: &TestClient, change: &[(&str, &str)]) -> String {
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, VERIFIER.as_bytes()));
        let mut pairs = vec![
            ("client_id", client.id.as_str()),
            ("redirect_uri", REDIRECT_URI),
            ("response_type", "code"),
            ("scope", "openid profile email offline_access"),
            ("prompt", "consent"),
            ("state", "the-state"),
            ("nonce", "the-nonce"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        for (name, value) in change {
            pairs.retain(|(known, _)| known != name);
            pairs.push((name, value));
        }
        format!("{}/authorize?{}", self.issuer, encode(&pairs))
    }

    /// A code for Ada.
    pub(crate) async fn code(&self, client: &TestClient, change: &[(&str, &str)]) -> String {
        let ada = Person::new("ada", "ada").unwrap();
        let back = ada.authorize(&self.authorize_url(client, change)).await.unwrap();
        param(&back, "code").unwrap_or_else(|| panic!("no code in {back}"))
    }

    pub(crate) async fn redeem(&self, client: &TestClient, code: &str) -> Answer {
        let pairs = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", REDIRECT_URI),
            ("code_verifier", VERIFIER),
        ];
        self.post_as(client, "/token", &pairs).await
    }

    /// The token answer of a whole login of Ada.
    pub(crate) async fn tokens(&self, client: &TestClient) -> Value {
        let code = self.code(client, &[]).await;
        let answer = self.redeem(client, &code).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    }

    pub(crate) async fn refresh(&self, client: &TestClient, token: &str) -> Answer {
        self.post_as(
            client,
            "/token",
            &[("grant_type", "refresh_token"), ("refresh_token", token)],
        )
        .await
    }

    pub(crate) async fn userinfo(&self, token: &str) -> Answer {
        self.send(
            Method::GET,
            &format!("{}/userinfo", self.issuer),
            Some(token),
            None,
        )
        .await
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        self.server.abort();
    }
}

// === impl Key ===

impl Key {
    pub(crate) fn generate() -> Self {
        install_crypto();
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let encoding = EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref());
        let kid = unique();
        let mut jwk = Jwk::from_encoding_key(&encoding, Algorithm::ES256).unwrap();
        jwk.common.key_id = Some(kid.clone());
        Self {
            kid,
            encoding,
            jwk: serde_json::to_value(jwk).unwrap(),
        }
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.kid.clone());
        jsonwebtoken::encode(&header, claims, &self.encoding).unwrap()
    }

    /// Signs under any header.
    pub(crate) fn sign_under(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let input = format!("{}.{}", part(header), part(claims));
        let signature =
            jsonwebtoken::crypto::sign(input.as_bytes(), &self.encoding, Algorithm::ES256).unwrap();
        format!("{input}.{signature}")
    }
}

// === impl JwksServer ===

impl JwksServer {
    pub(crate) async fn start(jwks: Value) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}/jwks.json", listener.local_addr().unwrap());
        let jwks = Arc::new(Mutex::new(jwks));
        let hits = Arc::new(AtomicU64::new(0));
        let (document, counter) = (Arc::clone(&jwks), Arc::clone(&hits));
        let handler = move || {
            counter.fetch_add(1, Ordering::SeqCst);
            let body = document.lock().to_string();
            async move { body }
        };
        let router = axum::Router::new().route("/jwks.json", axum::routing::get(handler));
        let server = tokio::spawn(async move { axum::serve(listener, router).await }).abort_handle();
        Self {
            uri,
            jwks,
            hits,
            server,
        }
    }

    pub(crate) fn hits(&self) -> u64 {
        self.hits.load(Ordering::SeqCst)
    }
}

impl Drop for JwksServer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

// === impl Answer ===

impl Answer {
    pub(crate) async fn read(response: Response) -> Self {
        let status = response.status();
        let headers = response.headers().clone();
        Self {
            status,
            headers,
            text: response.text().await.unwrap(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Status and error code in one, for short assertions.
    pub(crate) fn error(&self) -> (u16, String) {
        (
            self.status.as_u16(),
            self.json()["error"].as_str().unwrap_or_default().to_owned(),
        )
    }

    pub(crate) fn assert_error(&self, status: u16, code: &str) {
        assert_eq!(self.error(), (status, code.to_owned()), "{}", self.text);
    }
}

pub(crate) fn unique() -> String {
    let mut bytes = [0_u8; 16];
    aws_lc_rs::rand::fill(&mut bytes).unwrap();
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn encode(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

pub(crate) fn param(url: &str, name: &str) -> Option<String> {
    let (_, query) = url.split_once('?')?;
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.into_owned())
}

/// Header and claims of a token, unverified.
pub(crate) fn peek(token: &str) -> (Value, Value) {
    let mut parts = token
        .split('.')
        .map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap_or(Value::Null));
    (parts.next().unwrap(), parts.next().unwrap())
}

pub(crate) fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name]
        .as_str()
        .unwrap_or_else(|| panic!("no {name} in {value}"))
}
