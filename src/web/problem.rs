//! What a request gets when it cannot be served: a problem document (RFC 9457), or a page where a person is looking.
//!
//! A handler returns a [`Problem`]; the outermost layer renders it, since only that one knows the correlation id and
//! what the client accepts. Bodies of 5xx answers are constant: the cause goes to the log.

use std::{borrow::Cow, fmt::Display, time::Duration};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER},
};
use serde::Serialize;
use tracing::Level;

use super::{correlation::CorrelationId, page};

/// Why a request is not served. Boxed: it is the error of every handler.
#[derive(Clone, Debug)]
pub(crate) struct Problem(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: Cow<'static, str>,
    audience: Audience,
    retry_after: Option<Duration>,
    allow: Option<HeaderValue>,
    /// The link that a page offers.
    way_on: Option<WayOn>,
    /// For the log alone.
    cause: Option<Cause>,
}

/// What the log says of a problem, beside its code and the correlation id.
#[derive(Clone, Debug)]
pub(crate) struct Cause {
    level: Level,
    message: &'static str,
    error: String,
}

/// Who reads the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Audience {
    /// A program: always JSON.
    Program,
    /// A person in a browser, unless the request asks for JSON.
    Person,
}

/// A link on an error page.
#[derive(Clone, Debug)]
pub(crate) struct WayOn {
    /// What it says.
    pub(crate) label: &'static str,
    /// Where it goes: a path of this server or an allowed URL.
    pub(crate) href: String,
}

#[derive(Serialize)]
struct Document<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    correlation_id: &'a str,
}

// === impl Problem ===

impl Problem {
    /// A problem for programs. `code` is stable, `title` and `detail` are for people who debug.
    pub(crate) fn new(
        status: StatusCode,
        code: &'static str,
        title: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self(Box::new(Inner {
            status,
            code,
            title,
            detail: sentence(detail.into()),
            audience: Audience::Program,
            retry_after: None,
            allow: None,
            way_on: None,
            cause: None,
        }))
    }

    /// Shown as a page to a person, with a link that leads on.
    pub(crate) fn for_person(mut self, label: &'static str, href: impl Into<String>) -> Self {
        self.0.audience = Audience::Person;
        self.0.way_on = Some(WayOn {
            label,
            href: href.into(),
        });
        self
    }

    /// Tells the log why, under the correlation id that the client is told. Never the client.
    pub(crate) fn because(mut self, level: Level, message: &'static str, error: &impl Display) -> Self {
        self.0.cause = Some(Cause {
            level,
            message,
            error: error.to_string(),
        });
        self
    }

    /// Says when to come again (RFC 9110 section 10.2.3).
    pub(crate) fn retry_after(mut self, after: Duration) -> Self {
        self.0.retry_after = Some(after);
        self
    }

    /// Says which methods would do (RFC 9110 section 10.2.1).
    pub(crate) fn allow(mut self, methods: HeaderValue) -> Self {
        self.0.allow = Some(methods);
        self
    }

    /// 400.
    pub(crate) fn bad_request(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, "The request is malformed", detail)
    }

    /// 401: nobody is logged in here.
    pub(crate) fn unauthenticated() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthenticated",
            "You are not logged in",
            "There is no session, or it has ended. Log in at /auth/login.",
        )
    }

    /// 403.
    pub(crate) fn forbidden(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, "The request is not allowed", detail)
    }

    /// 404.
    pub(crate) fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "There is nothing here",
            "No route matches this path.",
        )
    }

    /// 500, constant.
    pub(crate) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "Something went wrong here",
            "The cause is in the server's log under the correlation id.",
        )
    }

    /// 503, constant: busy, or something that is needed does not answer.
    pub(crate) fn unavailable(code: &'static str) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            code,
            "Not available at the moment",
            "Try again in a moment. The cause is in the server's log under the correlation id.",
        )
        .retry_after(Duration::from_secs(5))
    }

    /// The stable code.
    #[cfg(test)]
    pub(crate) fn code(&self) -> &'static str {
        self.0.code
    }

    /// Writes the log line.
    pub(super) fn log(&self, correlation: &CorrelationId) {
        let (code, correlation_id) = (self.0.code, correlation.as_str());
        let Some(Cause {
            level,
            message,
            error,
        }) = &self.0.cause
        else {
            tracing::debug!(code, correlation_id, "refused");
            return;
        };
        match *level {
            Level::ERROR => tracing::error!(code, correlation_id, error, "{message}"),
            Level::WARN => tracing::warn!(code, correlation_id, error, "{message}"),
            _ => tracing::info!(code, correlation_id, error, "{message}"),
        }
    }

    /// Turns it into the answer, for a client that wants JSON or takes a page.
    pub(super) fn render(&self, json: bool, correlation: &CorrelationId) -> Response {
        let as_page = self.0.audience == Audience::Person && !json;
        let mut response = if as_page {
            self.page(correlation)
        } else {
            self.json(correlation)
        };
        *response.status_mut() = self.0.status;
        let answer = response.headers_mut();
        answer.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(after) = self.0.retry_after {
            // Rounded up: whoever comes a moment early comes in vain.
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            answer.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if let Some(allow) = &self.0.allow {
            answer.insert(ALLOW, allow.clone());
        }
        response
    }

    fn json(&self, correlation: &CorrelationId) -> Response {
        let document = Document {
            r#type: "about:blank",
            title: self.0.title,
            status: self.0.status.as_u16(),
            detail: &self.0.detail,
            code: self.0.code,
            correlation_id: correlation.as_str(),
        };
        // Strings and a number always serialise.
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let content_type = HeaderValue::from_static("application/problem+json");
        ([(CONTENT_TYPE, content_type)], body).into_response()
    }

    fn page(&self, correlation: &CorrelationId) -> Response {
        let way_on = self.0.way_on.as_ref().map(|way| (way.label, way.href.as_str()));
        page::respond(&page::Page {
            title: self.0.title,
            text: &self.0.detail,
            action: way_on.map(|(label, href)| page::Action::Link { label, href }),
            footnote: Some((self.0.code, correlation.as_str())),
        })
    }
}

impl IntoResponse for Problem {
    /// An empty answer that carries the problem to the layer that renders it.
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.0.status;
        response.extensions_mut().insert(self);
        response
    }
}

/// A detail as a sentence: what comes from an error begins small and has no full stop. A name at its beginning stays as it
/// is written.
fn sentence(detail: Cow<'static, str>) -> Cow<'static, str> {
    let word = detail.split(' ').next().unwrap_or_default();
    let is_small = word
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte == b'\'')
        && !word.is_empty();
    let has_end = detail.ends_with(['.', '?', '!']);
    if has_end && !is_small {
        return detail;
    }
    let mut sentence = detail.into_owned();
    if is_small && let Some(first) = sentence.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    if !has_end {
        sentence.push('.');
    }
    sentence.into()
}

/// Whether the request asks for JSON rather than for a page.
pub(crate) fn wants_json(headers: &HeaderMap) -> bool {
    accepts_json(headers.get(ACCEPT))
}

/// The same, given the value of `Accept`.
pub(super) fn accepts_json(accept: Option<&HeaderValue>) -> bool {
    let accept = accept.and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let accepts = |wanted: &str| {
        accept.split(',').any(|range| {
            range
                .split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .eq_ignore_ascii_case(wanted)
        })
    };
    !accepts("text/html") && (accepts("application/json") || accepts("application/problem+json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_detail_is_a_sentence() {
        for (detail, expected) in [
            ("the path has an empty segment", "The path has an empty segment."),
            ("No route matches this path.", "No route matches this path."),
            ("is `openid` there?", "Is `openid` there?"),
            ("return_to is too long", "return_to is too long."),
            ("`a` is no id", "`a` is no id."),
            ("The parameter", "The parameter."),
            ("", "."),
        ] {
            assert_eq!(sentence(detail.into()), expected);
        }
        let problem = Problem::bad_request("x", "the request's body did not arrive");
        assert_eq!(problem.0.detail, "The request's body did not arrive.");
    }
}
