//! The recorded requests to the IdP.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
};

use axum::http::{HeaderMap, Method, header, request::Parts};
use parking_lot::Mutex;
use serde_json::Value;
use url::form_urlencoded;

use super::endpoint::Endpoint;

/// How many requests an endpoint remembers.
const REMEMBERED: usize = 2_000;

/// A request that has arrived. Its `Debug` shows no values.
#[derive(Clone)]
pub struct Recorded {
    /// Method.
    pub method: Method,
    /// Path.
    pub path: String,
    /// Parameters of the query, decoded, in order.
    pub query: Vec<(String, String)>,
    /// All headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: RecordedBody,
}

/// The body of a [`Recorded`] request.
#[derive(Clone)]
pub enum RecordedBody {
    /// No body.
    Empty,
    /// A form, decoded, in order.
    Form(Vec<(String, String)>),
    /// JSON.
    Json(Value),
    /// Anything else.
    Other(Vec<u8>),
}

/// The requests by endpoint.
#[derive(Default)]
pub(crate) struct RequestLog {
    endpoints: Mutex<HashMap<Endpoint, Entries>>,
}

#[derive(Default)]
struct Entries {
    count: usize,
    last: VecDeque<Recorded>,
}

// === impl Recorded ===

impl Recorded {
    pub(crate) fn new(parts: &Parts, body: &[u8]) -> Self {
        Self {
            method: parts.method.clone(),
            path: parts.uri.path().to_owned(),
            query: pairs(parts.uri.query().unwrap_or_default().as_bytes()),
            headers: parts.headers.clone(),
            body: RecordedBody::new(&parts.headers, body),
        }
    }

    /// A form field, or a string member of a JSON body.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        match &self.body {
            RecordedBody::Form(pairs) => first(pairs, name),
            RecordedBody::Json(value) => value.get(name).and_then(Value::as_str),
            RecordedBody::Empty | RecordedBody::Other(_) => None,
        }
    }

    /// A parameter of the query.
    #[must_use]
    pub fn query_param(&self, name: &str) -> Option<&str> {
        first(&self.query, name)
    }

    /// A header, if it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Header and claims of the `client_assertion` in the form, unverified.
    #[must_use]
    pub fn assertion(&self) -> Option<(Value, Value)> {
        let token = crate::jws::Unverified::parse(self.field("client_assertion")?)?;
        Some((Value::Object(token.header), Value::Object(token.claims)))
    }

    /// Every value of the request in one text, as it came and percent-encoded.
    pub(crate) fn quoted(&self) -> String {
        let mut values: Vec<&str> = self.header("authorization").into_iter().collect();
        match &self.body {
            RecordedBody::Form(pairs) => values.extend(pairs.iter().map(|(_, value)| value.as_str())),
            RecordedBody::Json(Value::Object(map)) => values.extend(map.values().filter_map(Value::as_str)),
            RecordedBody::Empty | RecordedBody::Json(_) | RecordedBody::Other(_) => {}
        }
        let encoded = |value: &str| form_urlencoded::byte_serialize(value.as_bytes()).collect::<String>();
        let quoted: Vec<String> = values
            .iter()
            .map(|value| format!("'{value}' ({})", encoded(value)))
            .collect();
        quoted.join(" ")
    }

    /// The JSON body.
    #[must_use]
    pub fn json(&self) -> Option<&Value> {
        match &self.body {
            RecordedBody::Json(value) => Some(value),
            RecordedBody::Empty | RecordedBody::Form(_) | RecordedBody::Other(_) => None,
        }
    }
}

impl fmt::Debug for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let query: Vec<&str> = self.query.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Recorded")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("query", &query)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("body", &self.body)
            .finish()
    }
}

// === impl RecordedBody ===

impl RecordedBody {
    fn new(headers: &HeaderMap, body: &[u8]) -> Self {
        if body.is_empty() {
            return Self::Empty;
        }
        let content_type = headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default();
        if content_type.starts_with("application/x-www-form-urlencoded") {
            return Self::Form(pairs(body));
        }
        match serde_json::from_slice(body) {
            Ok(value) => Self::Json(value),
            Err(_) => Self::Other(body.to_vec()),
        }
    }
}

/// Names only: the values are codes, tokens and passwords.
impl fmt::Debug for RecordedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Form(pairs) => {
                let names: Vec<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
                f.debug_tuple("Form").field(&names).finish()
            }
            Self::Json(Value::Object(map)) => f
                .debug_tuple("Json")
                .field(&map.keys().collect::<Vec<_>>())
                .finish(),
            Self::Json(_) => f.write_str("Json(…)"),
            Self::Other(bytes) => write!(f, "Other({} bytes)", bytes.len()),
        }
    }
}

// === impl RequestLog ===

impl RequestLog {
    pub(crate) fn add(&self, endpoint: Endpoint, request: Recorded) {
        let mut endpoints = self.endpoints.lock();
        let entries = endpoints.entry(endpoint).or_default();
        entries.count += 1;
        if entries.last.len() == REMEMBERED {
            entries.last.pop_front();
        }
        entries.last.push_back(request);
    }

    pub(crate) fn requests(&self, endpoint: Endpoint) -> Vec<Recorded> {
        let endpoints = self.endpoints.lock();
        endpoints
            .get(&endpoint)
            .map(|entries| entries.last.iter().cloned().collect())
            .unwrap_or_default()
    }

    pub(crate) fn count(&self, endpoint: Endpoint) -> usize {
        self.endpoints
            .lock()
            .get(&endpoint)
            .map_or(0, |entries| entries.count)
    }

    pub(crate) fn clear(&self) {
        self.endpoints.lock().clear();
    }
}

fn pairs(encoded: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(encoded).into_owned().collect()
}

fn first<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs
        .iter()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    #[test]
    fn debug_shows_names_and_no_values() {
        let request = Request::post("/token?code=hunter1")
            .header("authorization", "Basic hunter2")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(())
            .unwrap();
        let (parts, ()) = request.into_parts();
        let recorded = Recorded::new(&parts, b"client_secret=hunter3&code=hunter4");
        let text = format!("{recorded:?}");
        assert!(
            text.contains("client_secret") && !text.contains("hunter"),
            "{text}"
        );
        assert_eq!(recorded.field("code"), Some("hunter4"));
    }
}
