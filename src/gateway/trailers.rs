//! Fields behind a body (RFC 9110 section 6.5): those that mean something there, and pass the policy of headers.
//!
//! Some servers merge trailers into the header. Therefore a trailer passes only if the same field would pass in the
//! header, and none that routes, frames or authorises a message, or says how to keep it.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, header};

use super::{
    Service,
    headers::{passes_in_answers, passes_in_requests},
};

/// The only value of `TE` that goes on (RFC 9110 section 10.1.4).
const TRAILERS: HeaderValue = HeaderValue::from_static("trailers");
const TE: HeaderValue = HeaderValue::from_static("te");

/// The trailers that pass in one direction.
#[derive(Clone, Debug)]
pub(super) enum Trailers {
    /// From a client to this service.
    Up(Arc<Service>),
    /// From this service to a client.
    Down(Arc<Service>),
}

/// The fields of a header that concern trailers, which go from one neighbour to the next.
#[derive(Debug, Default)]
pub(super) struct Announced {
    takes: bool,
    names: Option<HeaderValue>,
}

// === impl Trailers ===

impl Trailers {
    /// Removes all that do not pass.
    pub(super) fn filter(&self, trailers: &mut HeaderMap) {
        let names: Vec<_> = trailers
            .keys()
            .filter(|name| !self.passes(name.as_str()))
            .cloned()
            .collect();
        for name in names {
            trailers.remove(name);
        }
    }

    /// Reads what a header says of trailers, before its policy removes it.
    pub(super) fn announced(&self, headers: &HeaderMap) -> Announced {
        let lines = |name| headers.get_all(name).iter();
        let members = |line: &'_ HeaderValue| -> Vec<String> {
            let text = line.to_str().unwrap_or_default();
            text.split(',')
                .map(|member| member.trim().to_ascii_lowercase())
                .collect()
        };
        if !headers.contains_key(header::TE) && !headers.contains_key(header::TRAILER) {
            return Announced::default();
        }
        let names: Vec<String> = lines(header::TRAILER)
            .flat_map(members)
            .filter(|name| !name.is_empty() && self.passes(name))
            .collect();
        Announced {
            takes: lines(header::TE)
                .flat_map(members)
                .any(|coding| coding == "trailers"),
            names: (!names.is_empty())
                .then(|| HeaderValue::try_from(names.join(", ")).ok())
                .flatten(),
        }
    }

    fn passes(&self, name: &str) -> bool {
        belongs_behind(name)
            && match self {
                Self::Up(service) => passes_in_requests(name, service.rules()),
                Self::Down(service) => passes_in_answers(name, service.rules()),
            }
    }
}

// === impl Announced ===

impl Announced {
    /// Puts it into the header of a request to a service.
    pub(super) fn ask(self, headers: &mut HeaderMap) {
        if self.takes {
            headers.insert(header::TE, TRAILERS);
            headers.insert(header::CONNECTION, TE);
        }
        self.answer(headers);
    }

    /// Puts it into the header of an answer to a client.
    pub(super) fn answer(self, headers: &mut HeaderMap) {
        if let Some(names) = self.names {
            headers.insert(header::TRAILER, names);
        }
    }
}

/// Whether a field means nothing for the processing of the message, so that it may follow it (RFC 9110 section 6.5.1).
fn belongs_behind(name: &str) -> bool {
    let is_control = matches!(
        name,
        "authorization"
            | "authentication-info"
            | "www-authenticate"
            | "cookie"
            | "set-cookie"
            | "set-cookie2"
            | "host"
            | "origin"
            | "referer"
            | "expect"
            | "max-forwards"
            | "range"
            | "age"
            | "cache-control"
            | "date"
            | "expires"
            | "location"
            | "pragma"
            | "refresh"
            | "retry-after"
            | "vary"
            | "via"
            | "warning"
            | "early-data"
            | "alt-svc"
            | "x-correlation-id"
            | "traceparent"
            | "tracestate"
    );
    let begins = [
        "accept",
        "access-control-",
        "cross-origin-",
        "if-",
        "sec-",
        "x-accel-",
        "x-frame-",
    ];
    let is_digest = matches!(name, "content-digest" | "content-md5");
    !is_control
        && (is_digest || !name.starts_with("content-"))
        && !begins.iter().any(|begin| name.starts_with(begin))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::Routes;

    fn service(settings: &str) -> Arc<Service> {
        let text = format!("services:\n  api: {{ base_url: 'http://a', headers: {{ {settings} }} }}\n");
        Arc::clone(&Routes::parse(&text).unwrap().services()[0])
    }

    fn left(trailers: &Trailers, names: &[&'static str]) -> Vec<String> {
        let value = HeaderValue::from_static("x");
        let mut all: HeaderMap = names
            .iter()
            .map(|name| (http::HeaderName::from_static(name), value.clone()))
            .collect();
        trailers.filter(&mut all);
        let mut left: Vec<String> = all.keys().map(ToString::to_string).collect();
        left.sort_unstable();
        left
    }

    const COMMON: &[&str] = &[
        "grpc-status",
        "grpc-message",
        "content-digest",
        "etag",
        "server-timing",
        "x-checksum",
    ];

    const NEVER: &[&str] = &[
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "cookie",
        "set-cookie",
        "host",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "cache-control",
        "access-control-allow-origin",
        "sec-fetch-site",
        "if-match",
        "x-correlation-id",
    ];

    #[test]
    fn attack_4_trailers_smuggle_nothing_into_a_header() {
        let up = Trailers::Up(service("remove: [X-Secret]"));
        assert_eq!(left(&up, NEVER), [""; 0]);
        let identity = [
            "x-user-id",
            "x_user_id",
            "x-forwarded-for",
            "x-http-method-override",
            "x-secret",
            "x-csrf-token",
        ];
        assert_eq!(left(&up, &identity), [""; 0]);
        assert_eq!(left(&up, COMMON).len(), COMMON.len());
    }

    #[test]
    fn attack_28_trailers_of_a_service_set_nothing() {
        let down = Trailers::Down(service(""));
        assert_eq!(left(&down, NEVER), [""; 0]);
        assert_eq!(
            left(&down, &["clear-site-data", "strict-transport-security"]),
            [""; 0]
        );
        assert_eq!(left(&down, COMMON).len(), COMMON.len());
    }

    #[test]
    fn what_is_announced_is_what_passes() {
        let up = Trailers::Up(service(""));
        let fields = |all: &[(&'static str, &'static str)]| -> HeaderMap {
            let field = |(name, value)| {
                (
                    http::HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            };
            all.iter().copied().map(field).collect()
        };
        let announced = up.announced(&fields(&[
            ("te", "gzip;q=0.5, Trailers"),
            ("trailer", "X-Checksum, X-User-ID ,, Content-Length, ETag"),
        ]));
        let mut headers = HeaderMap::new();
        announced.ask(&mut headers);
        let expected = [
            ("te", "trailers"),
            ("connection", "te"),
            ("trailer", "x-checksum, etag"),
        ];
        assert_eq!(headers, fields(&expected));
        let mut headers = HeaderMap::new();
        up.announced(&fields(&[("te", "gzip"), ("trailer", "x-user-id")]))
            .ask(&mut headers);
        assert!(headers.is_empty());
    }
}
