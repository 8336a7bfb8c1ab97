//! `/auth/*`, one file per endpoint.

pub(super) mod backchannel_logout;
pub(super) mod callback;
pub(super) mod csrf;
pub(super) mod dbsc;
pub(super) mod events;
pub(super) mod frontchannel_logout;
pub(super) mod logged_out;
pub(super) mod login;
pub(super) mod logout;
pub(super) mod session;
pub(super) mod sessions;
pub(super) mod verify;

use http::request::Parts;
use tracing::Level;
use url::Url;

use super::{
    Web,
    page::Label,
    peer::Client,
    problem::{Code, Problem},
    request_context::RequestContext,
};
use crate::{
    clock::Timestamp,
    login::{Failure, hosts::LoginHost},
    oidc::CallError,
    own_paths,
};

/// The parameter that a redirect to the fallback host carries, so that a proxy which rewrites `Host` ends in a message
/// and not in a loop.
const FALLBACK_MARK: &str = "bff_fallback";

/// The alternatives for a browser on a host without a redirect URI.
enum Elsewhere {
    Redirect(Url),
    Refuse(Problem),
}

impl Web {
    /// The browser behind a request.
    fn client(&self, request: &Parts) -> Client {
        self.trusted_proxies
            .client(RequestContext::peer_of(request), &request.uri, &request.headers)
    }

    /// A time in the form for applications: RFC 3339 in UTC, as the machine's clock will show it.
    fn rfc3339(&self, time: Timestamp) -> String {
        self.clock.shown(time).rfc3339()
    }

    /// The login host that the browser is on.
    fn login_host(&self, request: &Parts) -> Option<&LoginHost> {
        self.login.hosts().find(&self.client(request).host)
    }

    /// The login host of the browser, or the fallback, for requests that do not start a login.
    fn login_host_or_fallback(&self, request: &Parts) -> &LoginHost {
        self.login_host(request)
            .unwrap_or_else(|| self.login.hosts().fallback())
    }

    fn elsewhere(&self, request: &Parts) -> Elsewhere {
        let query = request.uri.query().unwrap_or_default();
        if url::form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == FALLBACK_MARK) {
            let problem = Problem::new(
                Code::UnknownHost,
                "This address is not one of those that were registered for logging in. If a proxy stands in front, it \
                 has to pass the Host header on, or be one that this server trusts and send X-Forwarded-Host.",
            );
            let fallback = self.login.hosts().fallback().origin().as_str();
            return Elsewhere::Refuse(problem.for_person(Label::GoToStartPage, fallback));
        }
        let mut url = self.login.hosts().fallback().origin().clone();
        url.set_path(own_paths::LOGIN);
        // In front, because everything after an unencoded target belongs to the target.
        let separator = if query.is_empty() { "" } else { "&" };
        url.set_query(Some(&format!("{FALLBACK_MARK}=1{separator}{query}")));
        Elsewhere::Redirect(url)
    }
}

/// The problem for a failed call to the IdP. Bodies are constant: the IdP's answer is in the log.
fn idp_problem(error: &CallError) -> Problem {
    failure_problem(Failure::of_call(error))
}

/// The log level of a failed call. The lane logs a flood once a minute, not each call.
fn level_of(error: &CallError, usual: Level) -> Level {
    if error.is_saturation() {
        Level::DEBUG
    } else {
        usual
    }
}

/// The message to a person about a failure.
fn failure_problem(failure: Failure) -> Problem {
    match failure {
        Failure::CodeGone => Problem::new(
            Code::LoginCodeRefused,
            "The identity provider did not accept its own code: it was used before, or too late. You can log in again.",
        ),
        Failure::Refused => Problem::new(
            Code::IdpRefused,
            "The cause is in the server's log under the correlation id.",
        ),
        Failure::Unavailable => Problem::new(
            Code::IdpUnavailable,
            "Try again in a moment. The cause is in the server's log under the correlation id.",
        ),
        Failure::TimedOut => Problem::new(
            Code::IdpTimeout,
            "Try again in a moment. The cause is in the server's log under the correlation id.",
        ),
        Failure::AnswerRefused => Problem::new(
            Code::IdpAnswerRefused,
            "It did not pass a security check, so you were not logged in. The cause is in the server's log.",
        ),
        Failure::TooWeak => Problem::new(
            Code::LoginTooWeak,
            "The identity provider did not log you in as strongly as the application needs it here. Your session continues.",
        ),
        Failure::NoRoom => Problem::unavailable(Code::TooManySessions),
        Failure::StoreUnavailable => Problem::unavailable(Code::SessionStoreUnavailable),
        Failure::Busy => Problem::unavailable(Code::Busy),
        Failure::NotReady => Problem::unavailable(Code::NotReady),
        Failure::Internal => Problem::internal(),
    }
}
