//! The response to a request that the server cannot serve: a problem document (RFC 9457), or a page for a person.
//!
//! A handler returns a [`Problem`]; the outermost layer renders it, since only that one knows the correlation id and
//! what the client accepts. Bodies of 5xx answers are constant: the cause goes to the log.

mod code;
mod preferences;

use std::{borrow::Cow, collections::BTreeMap, fmt::Display, time::Duration};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{
    HeaderName, HeaderValue, Method,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde::Serialize;
use serde_json::Value;
use tracing::Level;

pub(crate) use self::code::Code;
pub(super) use self::preferences::Preferences;
pub(crate) use self::preferences::wants_json;
use self::preferences::{accepts, accepts_json};
use super::{
    correlation::CorrelationId,
    page::{Action, Label, Page, Pages},
};
use crate::protection::Protection;

/// Why a request is not served. Boxed: it is the error of every handler.
#[derive(Clone, Debug)]
pub(crate) struct Problem(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    code: Code,
    detail: Cow<'static, str>,
    audience: Audience,
    retry_after: Option<Duration>,
    allow: Option<HeaderValue>,
    /// Further header fields.
    fields: Vec<(HeaderName, HeaderValue)>,
    /// The link that a page offers.
    way_on: Option<WayOn>,
    /// The error code that the identity provider answered with, for the text of a page.
    answer: Option<String>,
    /// Further members of the document (RFC 9457 section 3.2).
    members: Vec<(&'static str, Value)>,
    /// For the log alone.
    cause: Option<Cause>,
}

/// The log's data about a problem, beside its code and the correlation id.
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
    /// A program, unless the request lists HTML, as navigations of a browser do.
    Browser,
}

/// A link on an error page.
#[derive(Clone, Debug)]
struct WayOn {
    label: Label,
    /// A path of this server or an allowed URL.
    href: String,
}

#[derive(Serialize)]
struct Document<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    correlation_id: &'a str,
    #[serde(flatten)]
    members: BTreeMap<&'static str, &'a Value>,
}

// === impl Problem ===

impl Problem {
    /// A problem for programs. The detail is for people who debug.
    pub(crate) fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            code,
            detail: sentence(detail.into()),
            audience: Audience::Program,
            retry_after: None,
            allow: None,
            fields: Vec::new(),
            way_on: None,
            answer: None,
            members: Vec::new(),
            cause: None,
        }))
    }

    /// Shown as a page to a person, with a link that leads on. The page's texts are those of the code in the message
    /// files (`page/messages`); where they have none, title and detail.
    pub(crate) fn for_person(self, label: Label, href: impl Into<String>) -> Self {
        self.shown_to(Audience::Person, label, href.into())
    }

    /// Shown as a page where the request lists HTML, so to a person who came here with a browser; as JSON otherwise.
    pub(crate) fn for_browser(self, label: Label, href: impl Into<String>) -> Self {
        self.shown_to(Audience::Browser, label, href.into())
    }

    fn shown_to(mut self, audience: Audience, label: Label, href: String) -> Self {
        self.0.audience = audience;
        self.0.way_on = Some(WayOn { label, href });
        self
    }

    /// Quotes the error code of the identity provider on the page, whose texts are those of the code with `_because`.
    pub(crate) fn answered(mut self, answer: &str) -> Self {
        self.0.answer = Some(answer.to_owned());
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

    /// Tells a program more than the code does.
    pub(crate) fn with_members(mut self, members: Vec<(&'static str, Value)>) -> Self {
        self.0.members = members;
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

    /// Adds a header field to the answer.
    pub(crate) fn with_field(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.fields.push((name, value));
        self
    }

    /// Says which credentials would do (RFC 9110 section 11.6.1).
    pub(crate) fn challenge(mut self, challenge: Option<HeaderValue>) -> Self {
        let field = challenge.map(|challenge| (WWW_AUTHENTICATE, challenge));
        self.0.fields.extend(field);
        self
    }

    /// 401: nobody is logged in here.
    pub(crate) fn unauthenticated() -> Self {
        Self::new(
            Code::Unauthenticated,
            "There is no session, or it has ended. Log in at /auth/login.",
        )
    }

    /// 404.
    pub(crate) fn not_found() -> Self {
        Self::new(Code::NotFound, "No route matches this path.")
    }

    /// 405: a route has the path, but not for this method.
    pub(crate) fn method_not_allowed(method: &Method, allow: HeaderValue) -> Self {
        let detail = format!("The route does not take {method}.");
        Self::new(Code::MethodNotAllowed, detail).allow(allow)
    }

    /// 431 (RFC 6585 section 5).
    pub(crate) fn header_too_large() -> Self {
        Self::new(
            Code::HeaderTooLarge,
            "Mostly that is the cookies of this site: remove those that are not needed.",
        )
    }

    /// 500, constant.
    pub(crate) fn internal() -> Self {
        Self::new(
            Code::Internal,
            "The cause is in the server's log under the correlation id.",
        )
    }

    /// 503, constant: busy, or something that is needed does not answer.
    pub(crate) fn unavailable(code: Code) -> Self {
        Self::new(
            code,
            "Try again in a moment. The cause is in the server's log under the correlation id.",
        )
        .retry_after(Duration::from_secs(5))
    }

    /// The stable code.
    #[cfg(test)]
    pub(crate) fn code(&self) -> &'static str {
        self.0.code.name()
    }

    /// Writes the log line.
    pub(super) fn log(&self, correlation: &CorrelationId) {
        let (code, correlation_id) = (self.0.code.name(), correlation.as_str());
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
            Level::DEBUG => tracing::debug!(code, correlation_id, error, "{message}"),
            _ => tracing::info!(code, correlation_id, error, "{message}"),
        }
    }

    /// Turns it into the answer that the client takes.
    pub(super) fn render(
        &self,
        preferences: &Preferences,
        pages: &Pages,
        correlation: &CorrelationId,
    ) -> Response {
        let accept = preferences.accept.as_ref();
        let as_page = match self.0.audience {
            Audience::Program => false,
            Audience::Person => !accepts_json(accept),
            Audience::Browser => accepts(accept, "text/html"),
        };
        let mut response = if as_page {
            self.page(preferences, pages, correlation)
        } else {
            self.json(correlation)
        };
        *response.status_mut() = self.0.code.status();
        let answer = response.headers_mut();
        answer.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(after) = self.0.retry_after {
            // Rounded up: a client that comes a moment early comes in vain.
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            answer.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if let Some(allow) = &self.0.allow {
            answer.insert(ALLOW, allow.clone());
        }
        for (name, value) in &self.0.fields {
            answer.insert(name.clone(), value.clone());
        }
        response
    }

    fn json(&self, correlation: &CorrelationId) -> Response {
        let document = Document {
            r#type: "about:blank",
            title: self.0.code.title(),
            status: self.0.code.status().as_u16(),
            detail: &self.0.detail,
            code: self.0.code.name(),
            correlation_id: correlation.as_str(),
            members: self
                .0
                .members
                .iter()
                .map(|(name, value)| (*name, value))
                .collect(),
        };
        // Strings and a number always serialise.
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let content_type = HeaderValue::from_static("application/problem+json");
        let mut response = ([(CONTENT_TYPE, content_type)], body).into_response();
        Protection::of_data().apply(response.headers_mut(), false);
        response
    }

    fn page(&self, preferences: &Preferences, pages: &Pages, correlation: &CorrelationId) -> Response {
        let Inner {
            code,
            detail,
            way_on,
            answer,
            ..
        } = &*self.0;
        let (code, title) = (code.name(), code.title());
        let because = answer.is_some().then(|| format!("{code}_because"));
        let leads_to_start = way_on
            .as_ref()
            .is_some_and(|way_on| way_on.label == Label::GoToStartPage);
        let page = Page {
            key: because.as_deref().unwrap_or(code),
            fallback: (title, detail),
            answer: answer.as_deref(),
            action: way_on
                .as_ref()
                .map(|WayOn { label, href }| Action::Link { label: *label, href }),
            start: (!leads_to_start).then_some((Label::GoToStartPage, "/")),
            footnote: Some((code, correlation.as_str())),
        };
        pages.respond_in(preferences.accept_language.as_ref(), &page)
    }
}

impl IntoResponse for Problem {
    /// An empty answer that carries the problem to the layer that renders it.
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.0.code.status();
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
        let problem = Problem::new(Code::BadRequest, "the request's body did not arrive");
        assert_eq!(problem.0.detail, "The request's body did not arrive.");
    }
}
