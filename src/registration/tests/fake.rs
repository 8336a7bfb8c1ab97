//! An IdP for tests: it registers clients according to RFC 7591 and 7592, and answers differently on request.

use std::{collections::VecDeque, io, sync::Arc};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use tokio::sync::Notify;
use url::Url;

pub(super) const MINT: &str = "/api/admin/dcr/initial-access-tokens";

/// One request, as the fake IdP received it.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) call: String,
    pub(super) bearer: Option<String>,
    pub(super) body: Value,
}

/// An answer out of turn.
#[derive(Clone)]
pub(super) enum Odd {
    Json(u16, Value),
    Text(u16, &'static str, String),
    Redirect(String),
    RetryAfter(u16, &'static str),
    /// The body ends in the middle.
    Cut(u16),
    /// Nothing ever comes.
    Hang,
    /// The regular answer, which waits for a permit.
    Later(Arc<Notify>),
}

/// How this IdP is.
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent habits, each switched by a test"
)]
pub(super) struct Habits {
    /// Assigns its own ids.
    pub(super) own_ids: bool,
    /// Gives a new registration access token in every answer.
    pub(super) rotates: bool,
    pub(super) reads: bool,
    pub(super) puts: bool,
    pub(super) patches: bool,
    pub(super) deletes: bool,
    /// Gives a URI and a token for the management.
    pub(super) manages: bool,
    /// Origin in the URIs that it gives.
    pub(super) public_origin: Option<String>,
    /// Members that replace those of the request in the answer.
    pub(super) overrides: Map<String, Value>,
    /// Members that replace those of a reading, but not those of the answer to an update.
    pub(super) reads_as: Map<String, Value>,
    pub(super) algorithms: Option<Value>,
    pub(super) issuer: Option<String>,
    pub(super) registers: bool,
    /// Takes no other client secret than its own in an update (RFC 7592 section 2.2).
    pub(super) checks_secrets: bool,
    /// The answers that name the client secret, by their method.
    pub(super) names_secret_to: Vec<&'static str>,
    /// Registers any client without a token (RFC 7591 section 3), and refuses a token.
    pub(super) open: bool,
    /// Refuses a request with a member that no standard knows, with this text.
    pub(super) refuses_extensions: Option<&'static str>,
    /// Gives a client another registration access token at the request of an admin.
    pub(super) renews_tokens: bool,
    /// Takes a refused request for a use of the initial access token.
    pub(super) counts_refusals: bool,
    /// Returns every single value of the metadata as a list of one.
    pub(super) writes_lists: bool,
}

#[derive(Clone)]
pub(super) struct FakeIdp {
    pub(super) url: Url,
    state: Arc<Mutex<Idp>>,
    called: Arc<Notify>,
}

struct Idp {
    habits: Habits,
    clients: Vec<Registered>,
    initial_tokens: Vec<String>,
    script: VecDeque<(String, Odd)>,
    seen: Vec<Seen>,
    counter: u32,
}

struct Registered {
    id: String,
    token: String,
    metadata: Map<String, Value>,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            own_ids: false,
            rotates: false,
            reads: true,
            puts: true,
            patches: true,
            deletes: true,
            manages: true,
            public_origin: None,
            overrides: Map::new(),
            reads_as: Map::new(),
            algorithms: None,
            issuer: None,
            registers: true,
            checks_secrets: false,
            names_secret_to: vec!["POST", "GET", "PUT", "PATCH"],
            open: false,
            refuses_extensions: None,
            renews_tokens: false,
            counts_refusals: false,
            writes_lists: false,
        }
    }
}

// === impl FakeIdp ===

impl FakeIdp {
    pub(super) async fn start(habits: Habits) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let fake = Self {
            url,
            state: Arc::new(Mutex::new(Idp {
                habits,
                clients: Vec::new(),
                initial_tokens: Vec::new(),
                script: VecDeque::new(),
                seen: Vec::new(),
                counter: 0,
            })),
            called: Arc::new(Notify::new()),
        };
        let router = Router::new().fallback(serve).with_state(fake.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        fake
    }

    pub(super) fn issuer(&self) -> String {
        let issuer = self.state.lock().habits.issuer.clone();
        issuer.unwrap_or_else(|| self.url.as_str().trim_end_matches('/').to_owned())
    }

    /// The next call that begins with `call` ("POST /register") gets `odd`.
    pub(super) fn odd(&self, call: &str, odd: Odd) {
        self.state.lock().script.push_back((call.to_owned(), odd));
    }

    pub(super) fn habits(&self, change: impl FnOnce(&mut Habits)) {
        change(&mut self.state.lock().habits);
    }

    /// Accepts an initial access token, once.
    pub(super) fn allow(&self, token: &str) {
        self.state.lock().initial_tokens.push(token.to_owned());
    }

    /// Changes a client by hand.
    pub(super) fn edit(&self, id: &str, name: &str, value: Value) {
        let mut state = self.state.lock();
        let client = state.clients.iter_mut().find(|client| client.id == id).unwrap();
        client.metadata.insert(name.to_owned(), value);
    }

    /// Removes a client by hand.
    pub(super) fn remove(&self, id: &str) {
        self.state.lock().clients.retain(|client| client.id != id);
    }

    /// Whether `token` manages the client.
    pub(super) fn knows_token(&self, id: &str, token: &str) -> bool {
        let state = self.state.lock();
        state
            .clients
            .iter()
            .any(|client| client.id == id && client.token == token)
    }

    pub(super) fn forget_tokens(&self) {
        for client in &mut self.state.lock().clients {
            client.token = "nobody knows".to_owned();
        }
    }

    pub(super) fn clients(&self) -> Vec<String> {
        self.state
            .lock()
            .clients
            .iter()
            .map(|client| client.id.clone())
            .collect()
    }

    pub(super) fn client(&self, id: &str) -> Value {
        let state = self.state.lock();
        let client = state.clients.iter().find(|client| client.id == id).unwrap();
        Value::Object(client.metadata.clone())
    }

    /// The registration calls since the last look.
    pub(super) fn seen(&self) -> Vec<Seen> {
        let seen = std::mem::take(&mut self.state.lock().seen);
        seen.into_iter()
            .filter(|seen| !seen.call.contains("/.well-known/"))
            .collect()
    }

    pub(super) fn calls(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.call).collect()
    }

    /// Waits until `call` has arrived.
    pub(super) async fn called(&self, call: &str) {
        self.called_times(call, 1).await;
    }

    /// Waits until `call` has arrived so many times.
    pub(super) async fn called_times(&self, call: &str, times: usize) {
        loop {
            let next = self.called.notified();
            if self
                .state
                .lock()
                .seen
                .iter()
                .filter(|seen| seen.call == call)
                .count()
                >= times
            {
                return;
            }
            next.await;
        }
    }
}

async fn serve(
    State(fake): State<FakeIdp>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let call = format!("{method} {}", uri.path());
    let bearer = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let bearer = bearer
        .and_then(|value| value.strip_prefix("Bearer "))
        .map(str::to_owned);
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let odd = {
        let mut state = fake.state.lock();
        state.seen.push(Seen {
            call: call.clone(),
            bearer: bearer.clone(),
            body: body.clone(),
        });
        let position = state
            .script
            .iter()
            .position(|(wanted, _)| call.starts_with(wanted.as_str()));
        position.and_then(|position| state.script.remove(position))
    };
    fake.called.notify_one();
    match odd {
        Some((_, Odd::Later(gate))) => gate.notified().await,
        Some((_, odd)) => return odd.answer().await,
        None => {}
    }
    let issuer = fake.issuer();
    fake.state
        .lock()
        .answer(&call, bearer.as_deref(), body, &issuer, &fake.url)
}

// === impl Odd ===

impl Odd {
    async fn answer(self) -> Response {
        match self {
            Self::Json(status, value) => json_answer(status, &value),
            Self::Text(status, content_type, text) => {
                let status = StatusCode::from_u16(status).unwrap();
                (status, [(header::CONTENT_TYPE, content_type)], text).into_response()
            }
            Self::Redirect(to) => (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to)]).into_response(),
            Self::RetryAfter(status, seconds) => (
                StatusCode::from_u16(status).unwrap(),
                [(header::RETRY_AFTER, seconds)],
            )
                .into_response(),
            Self::Cut(status) => {
                let parts: [Result<&'static str, io::Error>; 2] = [
                    Ok(r#"{"client_id": "bff-server", "#),
                    Err(io::Error::other("cut")),
                ];
                let mut response = Body::from_stream(futures_util::stream::iter(parts)).into_response();
                *response.status_mut() = StatusCode::from_u16(status).unwrap();
                response
            }
            Self::Hang | Self::Later(_) => std::future::pending().await,
        }
    }
}

// === impl Idp ===

impl Idp {
    fn answer(&mut self, call: &str, bearer: Option<&str>, body: Value, issuer: &str, url: &Url) -> Response {
        match call {
            _ if call.ends_with("/.well-known/openid-configuration") => {
                let mut metadata = json!({
                    "issuer": issuer,
                    "authorization_endpoint": format!("{issuer}/authorize"),
                    "token_endpoint": format!("{issuer}/token"),
                    "jwks_uri": format!("{issuer}/jwks"),
                });
                if self.habits.registers {
                    metadata["registration_endpoint"] = json!(format!(
                        "{}/register",
                        Url::parse(issuer).unwrap().origin().ascii_serialization()
                    ));
                }
                if let Some(algorithms) = &self.habits.algorithms {
                    metadata["token_endpoint_auth_signing_alg_values_supported"] = algorithms.clone();
                }
                json_answer(200, &metadata)
            }
            "POST /register" => self.create(bearer, body, url),
            _ if call == format!("POST {MINT}") => {
                if bearer != Some("admin-token") {
                    return error(401, "invalid_token", "not an admin");
                }
                self.counter += 1;
                let token = format!("minted-{}", self.counter);
                self.initial_tokens.push(token.clone());
                json_answer(201, &json!({"token": token}))
            }
            _ if self.habits.renews_tokens && call.starts_with("POST /api/admin/dcr/clients/") => {
                self.renew(call, bearer)
            }
            _ => self.manage(call, bearer, body, url),
        }
    }

    fn create(&mut self, bearer: Option<&str>, body: Value, url: &Url) -> Response {
        let at = self
            .initial_tokens
            .iter()
            .position(|token| Some(token.as_str()) == bearer);
        let allowed = if self.habits.open {
            bearer.is_none()
        } else {
            at.is_some()
        };
        if !allowed {
            return error(401, "invalid_token", "unknown or used up");
        }
        let Value::Object(mut metadata) = body else {
            return error(400, "invalid_client_metadata", "not an object");
        };
        let extended = metadata.contains_key("client_id") || metadata.contains_key("client_profile");
        if let (true, Some(text)) = (extended, self.habits.refuses_extensions) {
            if let (true, Some(at)) = (self.habits.counts_refusals, at) {
                self.initial_tokens.remove(at);
            }
            return error(400, "invalid_client_metadata", text);
        }
        let wish = metadata
            .remove("client_id")
            .and_then(|id| id.as_str().map(str::to_owned));
        self.counter += 1;
        let id = wish
            .filter(|_| !self.habits.own_ids)
            .unwrap_or_else(|| format!("client-{}", self.counter));
        if self.clients.iter().any(|client| client.id == id) {
            return error(400, "invalid_client_metadata", "client_id is taken");
        }
        if let Some(at) = at {
            self.initial_tokens.remove(at);
        }
        metadata.extend(self.habits.overrides.clone());
        let token = format!("rat-{}", self.counter);
        self.clients.push(Registered { id, token, metadata });
        let last = self.clients.len() - 1;
        self.described(201, last, url, "POST")
    }

    fn renew(&mut self, call: &str, bearer: Option<&str>) -> Response {
        if bearer != Some("admin-token") {
            return error(401, "invalid_token", "not an admin");
        }
        self.counter += 1;
        let client = self
            .clients
            .iter_mut()
            .find(|client| call.ends_with(&format!("/{}/tokens", client.id)));
        let Some(client) = client else {
            return StatusCode::NOT_FOUND.into_response();
        };
        client.token = format!("rat-{}", self.counter);
        json_answer(201, &json!({"token": client.token}))
    }

    fn manage(&mut self, call: &str, bearer: Option<&str>, body: Value, url: &Url) -> Response {
        let Some((method, id)) = call.split_once(" /register/") else {
            return StatusCode::NOT_FOUND.into_response();
        };
        let habits = &self.habits;
        let supported = match method {
            "GET" => habits.reads,
            "PUT" => habits.puts,
            "PATCH" => habits.patches,
            "DELETE" => habits.deletes,
            _ => false,
        };
        if !supported {
            return StatusCode::METHOD_NOT_ALLOWED.into_response();
        }
        let authorized = |client: &Registered| client.id == id && Some(client.token.as_str()) == bearer;
        let Some(at) = self.clients.iter().position(authorized) else {
            return error(401, "invalid_token", "unknown registration access token");
        };
        match (method, body) {
            ("DELETE", _) => {
                self.clients.remove(at);
                return StatusCode::NO_CONTENT.into_response();
            }
            ("PUT", Value::Object(mut metadata)) => {
                let forbidden = [
                    "registration_access_token",
                    "registration_client_uri",
                    "client_secret_expires_at",
                ];
                if forbidden.iter().any(|name| metadata.contains_key(*name))
                    || metadata.remove("client_id") != Some(json!(id))
                {
                    return error(400, "invalid_request", "RFC 7592 section 2.2");
                }
                let secret = metadata.remove("client_secret");
                if self.habits.checks_secrets && secret.is_some_and(|secret| secret != json!("client-secret"))
                {
                    return error(
                        400,
                        "invalid_client_metadata",
                        "client_secret is not the one of the client",
                    );
                }
                if let (true, Some(text)) = (
                    metadata.contains_key("client_profile"),
                    self.habits.refuses_extensions,
                ) {
                    return error(400, "invalid_client_metadata", text);
                }
                metadata.extend(self.habits.overrides.clone());
                self.clients[at].metadata = metadata;
            }
            ("PATCH", Value::Object(metadata)) => self.clients[at].metadata.extend(metadata),
            _ => {}
        }
        if self.habits.rotates {
            self.counter += 1;
            self.clients[at].token = format!("rat-{}", self.counter);
        }
        self.described(200, at, url, method)
    }

    fn described(&self, status: u16, at: usize, url: &Url, to: &str) -> Response {
        let client = &self.clients[at];
        let mut answer = client.metadata.clone();
        if to == "GET" {
            answer.extend(self.habits.reads_as.clone());
        }
        answer.insert("client_id".to_owned(), json!(client.id));
        answer.insert("id_token_signed_response_alg".to_owned(), json!("RS256"));
        let method = answer.get("token_endpoint_auth_method").and_then(Value::as_str);
        let named = self.habits.names_secret_to.contains(&to);
        if named && method.is_some_and(|method| method.starts_with("client_secret")) {
            answer.insert("client_secret".to_owned(), json!("client-secret"));
            answer.insert("client_secret_expires_at".to_owned(), json!(0));
        }
        if self.habits.manages {
            let origin = url.as_str().trim_end_matches('/').to_owned();
            let origin = self.habits.public_origin.clone().unwrap_or(origin);
            answer.insert("registration_access_token".to_owned(), json!(client.token));
            answer.insert(
                "registration_client_uri".to_owned(),
                json!(format!("{origin}/register/{}", client.id)),
            );
        }
        if self.habits.writes_lists {
            let own = ["client_id", "registration_", "client_secret"];
            let metadata = answer
                .iter_mut()
                .filter(|(name, value)| !own.iter().any(|own| name.starts_with(own)) && !value.is_array());
            for (_, value) in metadata {
                *value = json!([value.clone()]);
            }
        }
        json_answer(status, &Value::Object(answer))
    }
}

pub(super) fn oauth_error(code: &str, description: &str) -> Value {
    json!({"error": code, "error_description": description})
}

fn error(status: u16, code: &str, description: &str) -> Response {
    json_answer(status, &oauth_error(code, description))
}

fn json_answer(status: u16, value: &Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    (
        status,
        [(header::CONTENT_TYPE, "application/json")],
        value.to_string(),
    )
        .into_response()
}
