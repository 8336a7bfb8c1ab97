//! Whether something serves the endpoints that the server will use: asked without a client, and without a change.

use futures_util::future;
use http::StatusCode;
use url::Url;

use super::{
    Metadata, Provider,
    discovery::displayable,
    metadata::{AUTHORIZATION, END_SESSION, Endpoint, PAR, REVOCATION, TOKEN, USER_INFO},
};
use crate::{
    diagnostic::{Explain, Fix, Knob, fix},
    oidc::OAuthError,
    outbound::{Lane, Request, Response, TransportError, Unread},
};

/// An endpoint of the metadata or of the settings that nothing serves.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AbsentEndpoint {
    /// An answer that such an endpoint never gives.
    #[error(
        "{url} answers {status}, and is named as the `{member}`{}",
        if status.is_redirection() { " (redirects are not followed)" } else { "" }
    )]
    Status {
        /// Its name in the document.
        member: &'static str,
        /// The place, shortened.
        url: String,
        /// The answer.
        status: StatusCode,
        /// The setting for it.
        knob: Knob,
        /// Whether that setting is the source of the URL.
        is_configured: bool,
    },
    /// An answer without an OAuth error, which a request without credentials must get (RFC 6749 section 5.2).
    #[error("{url}, the `{member}`, answers {status} with {found}, and not with an OAuth error")]
    NotOAuth {
        /// Its name in the document.
        member: &'static str,
        /// The place, shortened.
        url: String,
        /// The answer.
        status: StatusCode,
        /// The form of its body.
        found: Unread,
        /// The setting for it.
        knob: Knob,
        /// Whether that setting is the source of the URL.
        is_configured: bool,
    },
    /// No answer.
    #[error("{url}, the `{member}`, cannot be reached: {source}")]
    Unreachable {
        /// Its name in the document.
        member: &'static str,
        /// The place, shortened.
        url: String,
        /// Why.
        source: TransportError,
        /// The setting for it.
        knob: Knob,
        /// Whether that setting is the source of the URL.
        is_configured: bool,
    },
}

/// How to find out whether an endpoint is there.
struct Probe<'a> {
    endpoint: Endpoint,
    url: &'a Url,
    is_configured: bool,
    asks: Asks,
}

/// The request, and with it the answers that speak for the endpoint.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asks {
    /// A page for a browser, which may be out of reach from here and may redirect.
    Page,
    /// Data that no caller without credentials gets.
    Data,
    /// A form that lacks the credentials.
    Form,
    /// The same, where RFC 6749 defines the answer.
    Grant,
}

// === impl AbsentEndpoint ===

impl AbsentEndpoint {
    /// The name of the endpoint in the document.
    #[must_use]
    pub const fn member(&self) -> &'static str {
        match self {
            Self::Status { member, .. }
            | Self::NotOAuth { member, .. }
            | Self::Unreachable { member, .. } => member,
        }
    }

    /// Whether a login needs it.
    #[must_use]
    pub fn prevents_logins(&self) -> bool {
        [AUTHORIZATION.endpoint, TOKEN.endpoint, PAR.endpoint]
            .iter()
            .any(|needed| needed.member == self.member())
    }
}

impl Explain for AbsentEndpoint {
    fn fix(&self) -> Option<Fix> {
        let (knob, is_configured) = match self {
            Self::Unreachable { source, .. } if source.fix().is_some() => return source.fix(),
            Self::NotOAuth { found, .. } if found.fix().is_some() => return found.fix(),
            Self::NotOAuth {
                status, found, knob, ..
            } if found.is_page() && status.is_client_error() => {
                return Some(fix!(
                    "let what stands before the IdP (a firewall, a gateway) pass POST requests to it; or correct {}, if that address \
                     is not the IdP's",
                    *knob
                ));
            }
            Self::Status {
                knob, is_configured, ..
            }
            | Self::NotOAuth {
                knob, is_configured, ..
            }
            | Self::Unreachable {
                knob, is_configured, ..
            } => (*knob, *is_configured),
        };
        Some(if is_configured {
            fix!(
                "correct {}, or remove it if the IdP's metadata name the endpoint",
                knob
            )
        } else {
            fix!("correct it in the IdP's metadata, or set {}", knob)
        })
    }
}

// === impl Provider ===

impl Provider {
    /// The endpoints of `metadata` that nothing serves. Sends one request to each, without credentials; none of them
    /// changes anything. An endpoint for browsers that this process does not reach is not among them, nor is that for
    /// pushed requests unless the client `pushes` its requests.
    pub async fn absent_endpoints(&self, metadata: &Metadata, pushes: bool) -> Vec<AbsentEndpoint> {
        let overrides = &self.shared.options.overrides;
        let probe = |endpoint, url, is_configured, asks| Probe {
            endpoint,
            url,
            is_configured,
            asks,
        };
        let needed = [
            probe(
                AUTHORIZATION.endpoint,
                &metadata.authorization_endpoint,
                overrides.authorization.is_some(),
                Asks::Page,
            ),
            probe(
                TOKEN.endpoint,
                &metadata.token_endpoint,
                overrides.token.is_some(),
                Asks::Grant,
            ),
        ];
        let par = metadata.par_endpoint.clone().filter(|_| pushes);
        let optional = [
            (PAR, &par, &overrides.par, Asks::Grant),
            (
                USER_INFO,
                &metadata.userinfo_endpoint,
                &overrides.user_info,
                Asks::Data,
            ),
            (
                REVOCATION,
                &metadata.revocation_endpoint,
                &overrides.revocation,
                Asks::Form,
            ),
            (
                END_SESSION,
                &metadata.end_session_endpoint,
                &overrides.end_session,
                Asks::Page,
            ),
        ];
        let optional = optional
            .into_iter()
            .filter_map(|(optional, url, configured, asks)| {
                let url = url.as_ref()?;
                Some(probe(optional.endpoint, url, configured.is_some(), asks))
            });
        let asked = needed.into_iter().chain(optional).map(|probe| self.ask(probe));
        future::join_all(asked).await.into_iter().flatten().collect()
    }

    async fn ask(&self, probe: Probe<'_>) -> Option<AbsentEndpoint> {
        let request = match probe.asks {
            Asks::Page | Asks::Data => Request::get(probe.url.clone()),
            Asks::Form | Asks::Grant => {
                Request::form(probe.url.clone(), [("grant_type", "authorization_code")])
            }
        };
        let Endpoint { member, knob, .. } = probe.endpoint;
        let is_configured = probe.is_configured;
        let url = displayable(probe.url.as_str());
        match self.shared.outbound.send(Lane::Metadata, request).await {
            Ok(response) if probe.asks.is_answered_by(response.status) => {
                (probe.asks == Asks::Grant && !may_be_oauth(&response)).then(|| AbsentEndpoint::NotOAuth {
                    member,
                    url,
                    status: response.status,
                    found: response.unread(),
                    knob,
                    is_configured,
                })
            }
            Ok(response) => Some(AbsentEndpoint::Status {
                member,
                url,
                status: response.status,
                knob,
                is_configured,
            }),
            Err(_) if probe.asks == Asks::Page => None,
            Err(source) => Some(AbsentEndpoint::Unreachable {
                member,
                url,
                source,
                knob,
                is_configured,
            }),
        }
    }
}

// === impl Asks ===

impl Asks {
    /// Whether such an endpoint may give this answer.
    fn is_answered_by(self, status: StatusCode) -> bool {
        let is_absent = matches!(
            status,
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::GONE
        );
        match self {
            Self::Page => !is_absent,
            // RFC 7009 does not say what a revocation without a token comes to, so that success may speak for a form.
            Self::Form | Self::Grant => !is_absent && !status.is_redirection(),
            Self::Data => !is_absent && !status.is_redirection() && !status.is_success(),
        }
    }
}

/// Whether a token endpoint, or one for pushed requests, may give this answer to a form without credentials.
fn may_be_oauth(response: &Response) -> bool {
    if OAuthError::of(response).is_some() {
        return true;
    }
    match response.status {
        // Such a grant would need a code. An endpoint that does not take forms is another one.
        StatusCode::UNSUPPORTED_MEDIA_TYPE => false,
        status if status.is_success() => false,
        // The proof of the client says more of a refusal without a body.
        StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS => true,
        status => !(status.is_client_error() && response.unread().is_page()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::oidc::testing::{Answer, FakeIdp};

    /// The answers of a provider to requests without credentials.
    fn serves(provider: &FakeIdp) {
        let refused = || Answer::json(StatusCode::UNAUTHORIZED, &json!({"error": "invalid_client"}));
        for path in ["/token", "/par", "/revoke", "/userinfo"] {
            provider.answers(path, [refused()]);
        }
        provider.answers("/authorize", [Answer::html(StatusCode::BAD_REQUEST)]);
        provider.answers("/logout", [Answer::redirect("https://idp.example/bye")]);
    }

    async fn absent(provider: &FakeIdp) -> Vec<AbsentEndpoint> {
        let party = provider.party().await;
        let metadata = party.provider().metadata().unwrap();
        party.provider().absent_endpoints(&metadata, true).await
    }

    #[tokio::test]
    async fn endpoints_that_answer_are_there() {
        let provider = FakeIdp::start().await;
        serves(&provider);
        assert_eq!(absent(&provider).await, []);
    }

    #[tokio::test]
    async fn each_endpoint_that_answers_404_is_named() {
        let provider = FakeIdp::start().await;
        for (path, member, knob) in [
            (
                "/authorize",
                "authorization_endpoint",
                Knob::AuthorizationEndpoint,
            ),
            ("/token", "token_endpoint", Knob::TokenEndpoint),
            ("/par", "pushed_authorization_request_endpoint", Knob::ParEndpoint),
            ("/userinfo", "userinfo_endpoint", Knob::UserinfoEndpoint),
            ("/revoke", "revocation_endpoint", Knob::RevocationEndpoint),
            ("/logout", "end_session_endpoint", Knob::EndSessionEndpoint),
        ] {
            for status in [
                StatusCode::NOT_FOUND,
                StatusCode::METHOD_NOT_ALLOWED,
                StatusCode::GONE,
            ] {
                serves(&provider);
                provider.answers(path, [Answer::html(status)]);
                let absent = absent(&provider).await;
                assert_eq!(absent.len(), 1, "{path} {absent:?}");
                assert_eq!(absent[0].member(), member);
                assert_eq!(
                    absent[0].prevents_logins(),
                    matches!(path, "/authorize" | "/token" | "/par")
                );
                assert!(
                    absent[0].told().contains(&format!("[{knob:?}]")),
                    "{}",
                    absent[0].told()
                );
            }
        }
    }

    #[tokio::test]
    async fn pages_in_the_place_of_an_endpoint_are_noticed() {
        let provider = FakeIdp::start().await;
        for (path, answer) in [
            ("/userinfo", Answer::html(StatusCode::OK)),
            ("/token", Answer::redirect("https://idp.example/login")),
            ("/userinfo", Answer::redirect("https://idp.example/login")),
        ] {
            serves(&provider);
            provider.answers(path, [answer]);
            assert_eq!(absent(&provider).await.len(), 1, "{path}");
        }
    }

    #[tokio::test]
    async fn only_an_oauth_error_speaks_for_a_token_endpoint() {
        let provider = FakeIdp::start().await;
        for path in ["/token", "/par"] {
            for (answer, is_there, part) in [
                (Answer::html(StatusCode::OK), false, "an HTML page"),
                (
                    Answer::html(StatusCode::FORBIDDEN),
                    false,
                    "a firewall, a gateway",
                ),
                (Answer::json(StatusCode::OK, &json!({})), false, "a JSON object"),
                (
                    Answer::json(StatusCode::CREATED, &json!([])),
                    false,
                    "a JSON array",
                ),
                (
                    Answer::json(StatusCode::UNSUPPORTED_MEDIA_TYPE, &json!({"message": "no"})),
                    false,
                    "415",
                ),
                // Some IdPs send errors with another status.
                (
                    Answer::json(StatusCode::OK, &json!({"error": "invalid_client"})),
                    true,
                    "",
                ),
                (Answer::json(StatusCode::BAD_REQUEST, &json!({})), true, ""),
                (Answer::html(StatusCode::UNAUTHORIZED), true, ""),
                (Answer::html(StatusCode::BAD_GATEWAY), true, ""),
            ] {
                serves(&provider);
                let shown = format!("{path} {answer:?}");
                provider.answers(path, [answer]);
                let absent = absent(&provider).await;
                assert_eq!(absent.is_empty(), is_there, "{shown} {absent:?}");
                assert!(absent.iter().all(|one| one.told().contains(part)), "{absent:?}");
            }
        }
    }

    #[tokio::test]
    async fn browsers_may_reach_pages_that_this_process_does_not() {
        let provider = FakeIdp::start().await;
        serves(&provider);
        let gone = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let mut options = provider.options();
        let at = |path: &str| Url::parse(&format!("http://{gone}{path}")).unwrap();
        options.provider.overrides.authorization = Some(at("/authorize"));
        options.provider.overrides.token = Some(at("/token"));
        let party = provider.party_with(options).await;
        let metadata = party.provider().metadata().unwrap();
        let absent = party.provider().absent_endpoints(&metadata, true).await;
        assert_eq!(absent.len(), 1, "{absent:?}");
        assert_eq!(absent[0].member(), "token_endpoint");
        assert!(
            absent[0].told().contains("correct [TokenEndpoint]"),
            "{}",
            absent[0].told()
        );
    }
}
