//! Requests and responses.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE},
};
use serde_json::Value;
use url::Url;

use super::TransportError;
use super::wiped::Wiped;
use crate::{
    proxy::{Proxies, Proxy},
    secret::{Secret, Withheld},
};

/// One call. Its `Debug` shows method and URL without the query.
pub struct Request {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Option<Bytes>,
    /// A header value cannot be sent; reported at the call, so that building stays a chain.
    unsendable: bool,
    /// Values that the answer may quote and that must not be shown.
    withheld: Withheld,
}

/// How a request gets to its server, for error texts.
pub(super) struct Way {
    /// Host and port.
    pub(super) origin: String,
    /// Its lane.
    pub(super) proxy: Option<Proxy>,
    /// Whether the proxy only opens a tunnel.
    pub(super) is_tunnelled: bool,
}

/// An answer with its whole body. Its `Debug` leaves the body and the headers' values out.
#[derive(Clone)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, bounded.
    pub body: Bytes,
    /// The secrets of the request, to be removed from the shown text of the answer. [`Request::bearer`] and
    /// [`Request::basic`] add their own, [`Request::withholding`] adds those of a body.
    pub withheld: Withheld,
    /// The proxy that answered in plain HTTP, if nothing in the answer shows that it is one: no `Via` (RFC 9110 section
    /// 7.6.3).
    pub unproven_proxy: Option<Proxy>,
}

// === impl Request ===

impl Request {
    /// A GET that wants JSON.
    #[must_use]
    pub fn get(url: Url) -> Self {
        Self::new(Method::GET, url)
    }

    /// A DELETE.
    #[must_use]
    pub fn delete(url: Url) -> Self {
        Self::new(Method::DELETE, url)
    }

    /// A POST of form fields (`application/x-www-form-urlencoded`).
    #[must_use]
    pub fn form<N: AsRef<str>, V: AsRef<str>>(url: Url, fields: impl IntoIterator<Item = (N, V)>) -> Self {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let mut request = Self::new(Method::POST, url);
        request.headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        request.body = Some(Wiped::from(body).into_bytes());
        request
    }

    /// A call with a JSON body.
    #[must_use]
    pub fn json(method: Method, url: Url, body: &Value) -> Self {
        let mut request = Self::new(method, url);
        request
            .headers
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request.body = Some(Wiped::from(body.to_string()).into_bytes());
        request
    }

    /// With a header; replaces one of that name.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Adds values of the body that must not be shown if the answer quotes them.
    #[must_use]
    pub fn withholding<'a>(mut self, values: impl IntoIterator<Item = &'a str>) -> Self {
        self.withheld.extend(values);
        self
    }

    /// With a bearer token (RFC 6750 section 2.1).
    #[must_use]
    pub fn bearer(self, token: &Secret) -> Self {
        self.withholding([token.expose()])
            .authorization(&format!("Bearer {}", token.expose()))
    }

    /// With Basic authentication (RFC 7617). OAuth wants both parts form-encoded first, which is the caller's part.
    #[must_use]
    pub fn basic(self, user: &str, password: &Secret) -> Self {
        let credentials = STANDARD.encode(format!("{user}:{}", password.expose()));
        self.withholding([password.expose(), credentials.as_str()])
            .authorization(&format!("Basic {credentials}"))
    }

    fn new(method: Method, url: Url) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        // Without it a server may choose any (RFC 9110 section 12.5.3).
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        Self {
            method,
            url,
            headers,
            body: None,
            unsendable: false,
            withheld: Withheld::default(),
        }
    }

    fn authorization(mut self, value: &str) -> Self {
        match HeaderValue::from_str(value) {
            Ok(mut value) => {
                value.set_sensitive(true);
                self.headers.insert(AUTHORIZATION, value);
            }
            Err(_) => self.unsendable = true,
        }
        self
    }

    /// The values to remove from texts of the answer.
    pub(super) fn take_withheld(&mut self) -> Withheld {
        std::mem::take(&mut self.withheld)
    }

    /// The way to the server.
    pub(super) fn way(&self, proxies: &Proxies) -> Way {
        Way {
            origin: self.origin(),
            proxy: proxies.of_url(&self.url).cloned(),
            is_tunnelled: self.url.scheme() == "https",
        }
    }

    /// Host and port, for error texts.
    fn origin(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        match self.url.port_or_known_default() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    pub(super) fn into_reqwest(self, client: &reqwest::Client) -> Result<reqwest::Request, TransportError> {
        if self.unsendable {
            return Err(TransportError::NotSent {
                cause: "the credentials hold characters that no HTTP header can carry"
                    .to_owned()
                    .into(),
            });
        }
        let way = Way {
            origin: self.origin(),
            proxy: None,
            is_tunnelled: false,
        };
        let mut request = client.request(self.method, self.url).headers(self.headers);
        if let Some(body) = self.body {
            request = request.body(body);
        }
        request.build().map_err(|error| TransportError::of(&error, &way))
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} {}{})", self.method, self.origin(), self.url.path())
    }
}

// === impl Way ===

impl Way {
    /// The proxy that gets the whole request, and answers it.
    pub(super) fn forwarding_proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref().filter(|_| !self.is_tunnelled)
    }
}

// === impl Response ===

impl Response {
    /// Whether the headers say, or at least do not deny, that the body is JSON: a proxy's page of HTML is not.
    #[must_use]
    pub fn may_be_json(&self) -> bool {
        match self.headers.get(CONTENT_TYPE) {
            None => true,
            Some(media_type) => media_type.to_str().is_ok_and(|media_type| {
                let media_type = media_type.to_ascii_lowercase();
                media_type.contains("json") || media_type.starts_with("text/plain")
            }),
        }
    }

    /// The body as a JSON object.
    #[must_use]
    pub fn json_object(&self) -> Option<serde_json::Map<String, Value>> {
        self.may_be_json()
            .then(|| serde_json::from_slice(&self.body).ok())
            .flatten()
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Response({}, {} bytes)", self.status, self.body.len())
    }
}
