//! A stand-in for Traefik: implements the documented middlewares `forwardAuth` and `headers`, with the settings of
//! the recipe. It opens no tunnels.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde::Deserialize;
use tokio::{net::TcpListener, task::JoinHandle};
use url::Url;

use crate::support::http_client;

/// A running stand-in. It ends when it is dropped.
pub struct Traefik(JoinHandle<()>);

struct Site {
    http: reqwest::Client,
    bff: String,
    api: String,
    auth: ForwardAuth,
    headers: Headers,
}

#[derive(Deserialize)]
struct Recipe {
    http: Http,
}

#[derive(Deserialize)]
struct Http {
    middlewares: Middlewares,
}

#[derive(Deserialize)]
struct Middlewares {
    session: Session,
    private: Private,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Session {
    forward_auth: ForwardAuth,
}

#[derive(Deserialize)]
struct Private {
    headers: Headers,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ForwardAuth {
    address: String,
    auth_response_headers: Vec<String>,
    add_auth_cookies_to_response: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Headers {
    custom_request_headers: HashMap<String, String>,
}

/// The fields of one connection.
const HOP_BY_HOP: [HeaderName; 5] = [
    header::CONNECTION,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
];

// === impl Traefik ===

impl Traefik {
    /// Starts with the recipe.
    pub fn start(listener: TcpListener, recipe: &str, bff: &str, api: &str) -> Self {
        let recipe: Recipe = serde_saphyr::from_str(recipe).unwrap();
        let middlewares = recipe.http.middlewares;
        let site = Site {
            http: http_client(),
            bff: bff.to_owned(),
            api: api.to_owned(),
            auth: middlewares.session.forward_auth,
            headers: middlewares.private.headers,
        };
        let router = Router::new().fallback(handle).with_state(Arc::new(site));
        Self(tokio::spawn(async move {
            axum::serve(listener, router).await.unwrap();
        }))
    }
}

impl Drop for Traefik {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn handle(State(site): State<Arc<Site>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let target = head.uri.path_and_query().unwrap().as_str();
    let mut headers = head.headers.clone();
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
    let host = headers[header::HOST].clone();
    // With `trustForwardHeader` off, the client's values are replaced.
    headers.insert("x-forwarded-host", host);
    headers.insert("x-forwarded-proto", HeaderValue::from_static("http"));
    headers.insert("x-forwarded-for", HeaderValue::from_static("127.0.0.1"));
    if target.starts_with("/auth/") || target == "/.well-known/jwks.json" {
        return site
            .send(head.method, format!("{}{target}", site.bff), headers, body.into())
            .await;
    }

    let mut asks = headers.clone();
    asks.remove(header::HOST);
    asks.remove(header::CONTENT_LENGTH);
    asks.insert("x-forwarded-method", head.method.as_str().parse().unwrap());
    asks.insert("x-forwarded-uri", target.parse().unwrap());
    let answer = site
        .send(Method::GET, site.auth.address.clone(), asks, Body::empty())
        .await;
    if !answer.status().is_success() {
        return site.refusal(answer);
    }
    for name in &site.auth.auth_response_headers {
        headers.remove(name);
        if let Some(value) = answer.headers().get(name) {
            headers.insert(HeaderName::try_from(name).unwrap(), value.clone());
        }
    }
    for (name, value) in &site.headers.custom_request_headers {
        assert!(value.is_empty(), "only the removal of headers is here");
        headers.remove(name);
    }
    let mut response = site
        .send(head.method, format!("{}{target}", site.api), headers, body.into())
        .await;
    for cookie in answer.headers().get_all(header::SET_COOKIE) {
        let named = |name: &String| cookie.to_str().unwrap().starts_with(&format!("{name}="));
        if site.auth.add_auth_cookies_to_response.iter().any(named) {
            response.headers_mut().append(header::SET_COOKIE, cookie.clone());
        }
    }
    response
}

// === impl Site ===

impl Site {
    async fn send(&self, method: Method, url: String, headers: HeaderMap, body: Body) -> Response {
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let request = self.http.request(method, url).headers(headers).body(body);
        let answer = request.send().await.unwrap();
        let (status, mut headers) = (answer.status(), answer.headers().clone());
        for name in HOP_BY_HOP {
            headers.remove(name);
        }
        let body = answer.bytes().await.unwrap();
        let mut response = (status, body).into_response();
        *response.headers_mut() = headers;
        response
    }

    /// Forwards a refusal. A relative `Location` would belong to the asked server.
    fn refusal(&self, mut answer: Response) -> Response {
        if let Some(location) = answer.headers().get(header::LOCATION) {
            let asked = Url::parse(&self.auth.address).unwrap();
            let location = asked.join(location.to_str().unwrap()).unwrap();
            answer
                .headers_mut()
                .insert(header::LOCATION, location.as_str().parse().unwrap());
        }
        assert_ne!(answer.status(), StatusCode::OK);
        answer
    }
}
