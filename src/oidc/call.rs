//! An authenticated POST. Only this module repeats one and classifies the answers.

mod explain;
mod meaning;

use std::time::Duration;

use http::{HeaderValue, StatusCode, header::ACCEPT};
use url::Url;

pub use self::{
    explain::{InvalidClient, KeyThere},
    meaning::{Meaning, PERSON_NEEDED, REFUSALS},
};
use super::{
    AuthenticationSummary, Client, MemberError, Metadata, OAuthError, ProviderTime, RelyingParty,
    provider::provider_date,
};
use crate::{
    clock::Timestamp,
    jose::SignError,
    outbound::{Lane, Response, TransportError, Unread},
    random::Random,
    retry::{Backoff, retry_after},
};

/// When a POST is repeated, with a fresh assertion: only if certainly no byte of it was sent, or the answer was 429
/// or 503.
#[derive(Clone, Copy, Debug)]
pub struct RetryOptions {
    /// How often at most, after the first try.
    pub repeats: u32,
    /// The first pause; each further one is twice as long. Jitter removes up to half.
    pub pause: Duration,
    /// The longest `Retry-After` that is waited for; a longer one is left to the caller.
    pub longest: Duration,
}

/// The part that is missing before any request to the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    /// Discovery has not succeeded yet.
    #[error("the IdP's metadata is not known yet")]
    Metadata,
    /// Registration has not succeeded yet.
    #[error("this server is not registered yet")]
    Client,
    /// Requests must be pushed, but the provider does not say where to.
    #[error("the configuration requires pushed authorization requests, but the IdP does not offer them")]
    ParEndpoint,
}

/// Why an authenticated call (token, PAR, revocation) did not succeed. Holds no token, code, secret or assertion.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nothing was sent.
    #[error(transparent)]
    NotReady(#[from] NotReady),
    /// Nothing was sent.
    #[error("cannot sign the client assertion: {0}")]
    Signing(#[from] SignError),
    /// No answer.
    #[error("{source}")]
    Transport {
        /// Whether the provider may have acted.
        outcome_unknown: bool,
        /// Why.
        source: TransportError,
    },
    /// 408, 425, 429 or 5xx: a later try may succeed.
    #[error("the IdP answered {status}")]
    Unavailable {
        /// The answer.
        status: StatusCode,
        /// The pause that the provider requests, if any.
        retry_after: Option<Duration>,
    },
    /// `invalid_client` (RFC 6749 section 5.2): a matter for the operator, never the end of a session.
    #[error("{0}")]
    InvalidClient(Box<InvalidClient>),
    /// Another OAuth error, as JSON with a 4xx.
    #[error("the IdP refused: {0}")]
    Rejected(OAuthError),
    /// 400 without a body: a refusal whose reason the provider keeps to itself.
    #[error("the IdP answered 400 and gave no reason")]
    NoReason,
    /// A redirect, a page, an error that is not one of OAuth.
    #[error("unexpected response: {status} without an OAuth error, but {found}")]
    Unexpected {
        /// The answer.
        status: StatusCode,
        /// The form of its body.
        found: Unread,
    },
    /// Success that cannot be used. The provider has acted.
    #[error("the IdP's answer is not usable: {0}")]
    Malformed(MemberError),
}

// === impl RetryOptions ===

impl Default for RetryOptions {
    fn default() -> Self {
        Self {
            repeats: 2,
            pause: Duration::from_millis(250),
            longest: Duration::from_secs(3),
        }
    }
}

impl RetryOptions {
    /// The pause before the attempt after `failed` ones; `None` if there is no further attempt.
    fn pause_after(
        &self,
        failed: u32,
        retry_after: Option<Duration>,
        random: &dyn Random,
    ) -> Option<Duration> {
        if failed > self.repeats || retry_after.is_some_and(|asked| asked > self.longest) {
            return None;
        }
        let backoff = Backoff {
            first: self.pause,
            longest: self.longest,
        };
        let pause = backoff.jittered(failed.saturating_sub(1), random);
        Some(retry_after.map_or(pause, |asked| asked.saturating_add(pause)))
    }
}

// === impl RelyingParty ===

impl RelyingParty {
    /// Posts `fields` to `url` and returns a success; every other answer is classified.
    pub(super) async fn post(
        &self,
        lane: Lane,
        metadata: &Metadata,
        client: &Client,
        url: &Url,
        fields: &[(&str, &str)],
    ) -> Result<Response, CallError> {
        let accept = HeaderValue::from_static("application/json");
        self.post_for(&accept, lane, metadata, client, url, fields).await
    }

    /// As [`post`](Self::post), for an answer of the type `accept`.
    pub(super) async fn post_for(
        &self,
        accept: &HeaderValue,
        lane: Lane,
        metadata: &Metadata,
        client: &Client,
        url: &Url,
        fields: &[(&str, &str)],
    ) -> Result<Response, CallError> {
        let shared = &self.shared;
        let mut failed = 0;
        let mut is_redated = false;
        loop {
            // First: a call that finds no place is not worth a signature.
            let turn = shared
                .outbound
                .enter(lane)
                .await
                .map_err(|source| CallError::Transport {
                    outcome_unknown: false,
                    source,
                })?;
            let (request, summary) = self.authenticated(metadata, client, url, fields).await?;
            let outcome = turn.send(request.header(ACCEPT, accept.clone())).await;
            failed += 1;
            let now = shared.clock.wall();
            let retry_after = match &outcome {
                Ok(response) if is_repeatable(response.status) => retry_after(&response.headers),
                Err(error) if error.certainly_not_sent() => None,
                Ok(_) | Err(_) => {
                    let answer = classify(outcome, summary, now);
                    // The client is looked at before anything else: nothing has been done.
                    if self.redates(&answer, is_redated) {
                        is_redated = true;
                        continue;
                    }
                    return answer;
                }
            };
            match shared
                .options
                .retry
                .pause_after(failed, retry_after, &*shared.random)
            {
                Some(pause) => shared.clock.sleep(pause).await,
                None => return classify(outcome, summary, now),
            }
        }
    }
}

impl RelyingParty {
    /// Whether the call is worth another try with an assertion that is dated by the provider's clock.
    fn redates(&self, answer: &Result<Response, CallError>, is_redated: bool) -> bool {
        let Err(CallError::InvalidClient(refused)) = answer else {
            return false;
        };
        let dating = &self.shared.dating;
        if self.shared.options.redate && !is_redated && dating.learn(refused) {
            let ahead = refused.clock.map_or(0, ProviderTime::ahead);
            tracing::debug!(ahead, "client assertions are dated by the clock of the IdP");
            return true;
        }
        dating.forget();
        false
    }
}

fn is_repeatable(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    )
}

fn classify(
    outcome: Result<Response, TransportError>,
    summary: AuthenticationSummary,
    now: Timestamp,
) -> Result<Response, CallError> {
    let response = outcome.map_err(|source| CallError::Transport {
        outcome_unknown: !source.certainly_not_sent(),
        source,
    })?;
    let status = response.status;
    if status.is_success() {
        return Ok(response);
    }
    if is_passing(status) {
        return Err(CallError::Unavailable {
            status,
            retry_after: retry_after(&response.headers),
        });
    }
    // RFC 6749 section 5.2 sends errors with 400, or 401 for failed client authentication. Providers use other
    // statuses too, so only the error counts.
    let error = status
        .is_client_error()
        .then(|| OAuthError::of(&response))
        .flatten();
    Err(match error {
        Some(error) if error.is("invalid_client") => CallError::InvalidClient(Box::new(InvalidClient {
            error,
            proof: summary,
            key: KeyThere::Unknown,
            clock: provider_date(&response.headers).map(|theirs| ProviderTime { theirs, ours: now }),
        })),
        Some(error) => CallError::Rejected(error),
        None if status == StatusCode::BAD_REQUEST && response.body.trim_ascii().is_empty() => {
            CallError::NoReason
        }
        None => CallError::Unexpected {
            status,
            found: response.unread(),
        },
    })
}

/// Statuses that speak of the moment; the error in the body does not matter.
fn is_passing(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS
        )
}

// === impl CallError ===

impl CallError {
    /// Whether the provider may have acted although we do not have the result: a refresh token may be used up.
    #[must_use]
    pub fn outcome_unknown(&self) -> bool {
        match self {
            Self::Transport { outcome_unknown, .. } => *outcome_unknown,
            // An intermediary gave up; the provider may have continued.
            Self::Unavailable { status, .. } => !is_repeatable(*status) && *status != StatusCode::TOO_EARLY,
            Self::Malformed(_) => true,
            Self::NotReady(_)
            | Self::Signing(_)
            | Self::InvalidClient(_)
            | Self::Rejected(_)
            | Self::NoReason
            | Self::Unexpected { .. } => false,
        }
    }

    /// Whether there was no place for the call: a matter of how many there are, not of the provider.
    #[must_use]
    pub const fn is_saturation(&self) -> bool {
        matches!(
            self,
            Self::Transport {
                source: TransportError::Saturated,
                ..
            }
        )
    }

    /// Whether the provider certainly has seen nothing of the request.
    #[must_use]
    pub const fn certainly_not_sent(&self) -> bool {
        match self {
            Self::NotReady(_) | Self::Signing(_) => true,
            Self::Transport { outcome_unknown, .. } => !*outcome_unknown,
            _ => false,
        }
    }

    /// The pause that the provider requested.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
