//! An API that demands a stronger or fresher login (RFC 9470): the browser gets the matching login.

use std::{borrow::Cow, time::Duration};

use axum::{
    body::Body,
    extract::Request,
    response::{IntoResponse as _, Response},
};
use http::{
    HeaderValue, StatusCode, Uri,
    header::{REFERER, WWW_AUTHENTICATE},
};
use serde_json::json;
use url::Url;

use super::{
    super::{
        Web,
        caller::Caller,
        navigation::Visit,
        page::Label,
        peer::Client,
        problem::{Code, Problem},
        way_in::Page,
    },
    challenge::Challenge,
};
use crate::own_paths;

/// Longer values are left out, in bytes: they become part of a URL.
const MAX_ACR_VALUES: usize = 512;

/// An API that demands another login this soon after a demanded one would do so for ever.
const AGAIN_AFTER: Duration = Duration::from_mins(1);

/// An API's demand on a login (RFC 9470 section 3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Demand {
    /// `acr_values`: any of them will do, the preferred one first.
    acr_values: Option<String>,
    /// `max_age`, in seconds.
    max_age: Option<u64>,
}

/// The facts about a request that are needed after it is gone.
pub(super) struct Asked {
    visit: Visit,
    target: Uri,
    referer: Option<HeaderValue>,
    client: Client,
}

// === impl Demand ===

impl Demand {
    /// The demand in the answer of an API, if there is one.
    pub(super) fn of(answer: &Response<Body>) -> Option<Self> {
        if answer.status() != StatusCode::UNAUTHORIZED {
            return None;
        }
        let challenges = Challenge::all(answer.headers());
        let demand = challenges.iter().find(|challenge| {
            (challenge.is("Bearer") || challenge.is("DPoP"))
                && challenge.parameter("error") == Some("insufficient_user_authentication")
        })?;
        let acr_values = demand.parameter("acr_values").filter(|values| {
            let is_printable = values.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
            values.len() <= MAX_ACR_VALUES && is_printable && !values.trim().is_empty()
        });
        Some(Self {
            acr_values: acr_values.map(str::to_owned),
            max_age: demand
                .parameter("max_age")
                .and_then(|seconds| seconds.parse().ok()),
        })
    }

    /// The path of the login that meets the demand, and leads back to `return_to`.
    fn login_path(&self, return_to: Option<&str>) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        if let Some(values) = &self.acr_values {
            query.append_pair("acr_values", values);
        }
        match (self.max_age, &self.acr_values) {
            (Some(seconds), _) => {
                query.append_pair("max_age", &seconds.to_string());
            }
            // An API that does not state its demand gets a new login.
            (None, None) => {
                query.append_pair("max_age", "0");
            }
            (None, Some(_)) => {}
        }
        if let Some(target) = return_to {
            query.append_pair("return_to", target);
        }
        format!("{}?{}", own_paths::LOGIN, query.finish())
    }

    /// The challenge for the browser: the demand, without the statements about the token.
    fn challenge(&self) -> Option<HeaderValue> {
        let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
        let values = self.acr_values.as_deref().map(quoted);
        let values = values.map(|values| format!(", acr_values=\"{values}\""));
        let age = self.max_age.map(|seconds| format!(", max_age={seconds}"));
        let challenge = format!(
            "Bearer error=\"insufficient_user_authentication\"{}{}",
            values.unwrap_or_default(),
            age.unwrap_or_default()
        );
        HeaderValue::try_from(challenge).ok()
    }
}

// === impl Asked ===

impl Asked {
    pub(super) fn of(request: &Request, client: Client) -> Self {
        let headers = request.headers();
        Self {
            visit: Visit::of(request.method(), headers),
            target: request.uri().clone(),
            referer: headers.get(REFERER).cloned(),
            client,
        }
    }

    /// The page to come back to: the requested one, or the one whose script has called.
    fn page(&self, web: &Web) -> Option<Page> {
        if self.visit == Visit::Page {
            let target = self.target.path_and_query()?;
            return Page::of(target.as_str().as_bytes());
        }
        let referer = Url::parse(self.referer.as_ref()?.to_str().ok()?).ok()?;
        let host = web.login.hosts().find(&self.client.host)?;
        let is_ours = referer.origin() == host.origin().origin() && !own_paths::is_own(referer.path());
        is_ours.then(|| Page::of(referer.as_str().as_bytes())).flatten()
    }
}

/// The answer to the browser in place of the API's.
pub(super) fn answer(web: &Web, caller: &Caller, asked: &Asked, demand: &Demand) -> Response {
    let session = &caller.stored.session;
    let age = web.clock.now().duration_since(session.created_at);
    if session.assurance.stepped_up && age < AGAIN_AFTER {
        web.tell_unsatisfied(caller, demand);
        return Problem::new(
            Code::StepUpNotEnough,
            "The service asks for a stronger login, although one has just been made. Another login would not change its answer.",
        )
        .for_browser(Label::GoToStartPage, "/")
        .into_response();
    }
    let return_to = asked
        .page(web)
        .and_then(|page| web.return_to_page(&asked.client, &page));
    let login = demand.login_path(return_to.as_deref());
    let mut members = vec![("login_url", json!(login))];
    members.extend(
        demand
            .acr_values
            .as_ref()
            .map(|values| ("acr_values", json!(values))),
    );
    members.extend(demand.max_age.map(|seconds| ("max_age", json!(seconds))));
    let problem = Problem::new(
        Code::StepUpRequired,
        Cow::Borrowed("The service asks for a stronger or a newer login. Go to `login_url`."),
    )
    .with_members(members)
    .for_browser(Label::LogInAgain, login);
    let mut response = problem.into_response();
    response
        .headers_mut()
        .extend(demand.challenge().map(|challenge| (WWW_AUTHENTICATE, challenge)));
    response
}

// === impl Web ===

impl Web {
    /// Tells the operator, once a minute for each session: a page can cause it as often as it likes.
    fn tell_unsatisfied(&self, caller: &Caller, demand: &Demand) {
        if !self.0.unsatisfied.first(&caller.key, self.clock.now()) {
            return;
        }
        tracing::warn!(
            session = %self.sessions.reference(&caller.key),
            acr = caller.stored.session.assurance.acr.as_deref(),
            acr_values = demand.acr_values.as_deref(),
            "an API demands a stronger login right after one, so the person is not redirected to the identity provider again"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demand(challenge: &str) -> Option<Demand> {
        let answer = Response::builder()
            .status(StatusCode::UNAUTHORIZED)
            .header(WWW_AUTHENTICATE, challenge)
            .body(Body::empty())
            .unwrap();
        Demand::of(&answer)
    }

    #[test]
    fn a_demand_is_read_and_bounded() {
        let full = demand(
            "DPoP error=\"insufficient_user_authentication\", error_description=\"x\", acr_values=\"gold silver\", max_age=300",
        );
        let full = full.unwrap();
        assert_eq!(full.acr_values.as_deref(), Some("gold silver"));
        assert_eq!(full.max_age, Some(300));
        assert_eq!(
            full.login_path(Some("/a?b=c&d")),
            "/auth/login?acr_values=gold+silver&max_age=300&return_to=%2Fa%3Fb%3Dc%26d"
        );
        assert_eq!(
            full.challenge().unwrap(),
            "Bearer error=\"insufficient_user_authentication\", acr_values=\"gold silver\", max_age=300"
        );
        let long = "x".repeat(MAX_ACR_VALUES + 1);
        for values in [&*long, " ", "\\\u{9}"] {
            let challenge =
                format!("Bearer error=insufficient_user_authentication, acr_values=\"{values}\", max_age=-1");
            let demand = demand(&challenge).unwrap();
            assert_eq!((&demand.acr_values, demand.max_age), (&None, None));
            assert_eq!(demand.login_path(None), "/auth/login?max_age=0");
        }
    }

    #[test]
    fn another_answer_is_no_demand() {
        for challenge in [
            "Bearer error=\"invalid_token\", acr_values=\"gold\"",
            "Basic error=\"insufficient_user_authentication\"",
            "Bearer realm=\"error=insufficient_user_authentication\"",
        ] {
            assert_eq!(demand(challenge), None, "{challenge}");
        }
        let forbidden = Response::builder()
            .status(StatusCode::FORBIDDEN)
            .header(
                WWW_AUTHENTICATE,
                "Bearer error=\"insufficient_user_authentication\"",
            )
            .body(Body::empty())
            .unwrap();
        assert_eq!(Demand::of(&forbidden), None);
    }
}
