//! An authenticated POST. Only this module repeats one and classifies the answers.

mod meaning;

use std::{fmt, time::Duration};

use http::StatusCode;
use url::Url;

pub use self::meaning::{Meaning, PERSON_NEEDED, REFUSALS};
use super::{
    ASSERTION_LIFETIME, AuthenticationSummary, Client, MemberError, Metadata, OAuthError, ProviderTime,
    RelyingParty, time::provider_date,
};
use crate::{
    clock::Timestamp,
    jose::SignError,
    outbound::{Lane, Response, TransportError},
    random::Random,
    retry::{Backoff, retry_after},
};

/// A smaller difference between the clocks is no reason to refuse an assertion.
const CLOCKS_AGREE: Duration = Duration::from_secs(30);

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
    #[error(
        "MS_BFF_PAR_ENABLED is true, but the IdP offers no pushed requests; set OIDC_PAR_URL or turn it off"
    )]
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
    #[error("the IdP answered {status}, which is no answer of this endpoint")]
    Unexpected {
        /// The answer.
        status: StatusCode,
    },
    /// Success that cannot be used. The provider has acted.
    #[error("the IdP's answer is not usable: {0}")]
    Malformed(MemberError),
}

/// The facts that explain to the operator why the provider does not accept the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidClient {
    /// The provider's error.
    pub error: OAuthError,
    /// The authentication of the request.
    pub proof: AuthenticationSummary,
    /// Whether the provider's registration of us has the key, if that is known.
    pub registered: Option<bool>,
    /// The time there and here, if the answer has a `Date`.
    pub clock: Option<ProviderTime>,
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
            let outcome = turn.send(request).await;
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
            registered: None,
            clock: provider_date(&response.headers).map(|theirs| ProviderTime { theirs, ours: now }),
        })),
        Some(error) => CallError::Rejected(error),
        None if status == StatusCode::BAD_REQUEST && response.body.trim_ascii().is_empty() => {
            CallError::NoReason
        }
        None => CallError::Unexpected { status },
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

// === impl InvalidClient ===

impl InvalidClient {
    /// The difference of the clocks, if it may be the cause.
    fn about_the_clock(&self) -> Option<String> {
        let apart = self.clock.map_or(0, ProviderTime::ahead);
        if apart.unsigned_abs() > CLOCKS_AGREE.as_secs() {
            let direction = if apart < 0 { "behind" } else { "ahead of" };
            return Some(format!(
                "this machine's clock is {} s {direction} the IdP's, and an assertion lives {} s: set both by NTP",
                apart.unsigned_abs(),
                ASSERTION_LIFETIME.as_secs()
            ));
        }
        let description = self.error.description.as_deref()?.to_ascii_lowercase();
        let words = [
            "expire",
            "exp ",
            "`exp`",
            "iat",
            "nbf",
            "not yet valid",
            "too old",
            "lifetime",
            "clock",
        ];
        words.iter().any(|word| description.contains(word)).then(|| {
            format!(
                "an assertion lives {} s: compare the clock of this machine with the IdP's",
                ASSERTION_LIFETIME.as_secs()
            )
        })
    }
}

impl fmt::Display for InvalidClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the IdP does not accept our client authentication: {}; sent: {}",
            self.error, self.proof
        )?;
        if self.proof.assertion.is_none() {
            return write!(
                f,
                "; align MS_BFF_TOKEN_AUTH_METHOD and AUTH_CLIENT_SECRET with the client at the IdP{}",
                if self.proof.encoding_matters {
                    "; client_secret_basic sends id and secret form-encoded (RFC 6749 section 2.3.1), which changes yours, and \
                     not every IdP decodes them: try MS_BFF_TOKEN_AUTH_METHOD=client_secret_post, or have a secret made of \
                     letters and digits"
                } else {
                    ""
                }
            );
        }
        if let Some(hint) = self.about_the_clock() {
            write!(f, "; {hint}")?;
        }
        match self.registered {
            Some(true) => write!(f, "; the IdP has that kid registered")?,
            Some(false) => write!(f, "; the IdP does NOT have that kid registered")?,
            None => write!(
                f,
                "; see whether the IdP can fetch the client's jwks_uri, and whether that kid is in it or in the registered jwks"
            )?,
        }
        write!(
            f,
            "; align MS_BFF_TOKEN_AUTH_METHOD and the PEM (BFF_JWT_SIGNING_KEY) with the client's JWKS; some IdPs insist on \
             one BFF_ASSERTION_AUDIENCE (issuer or token_endpoint), or on BFF_ASSERTION_TYP=none"
        )
    }
}

#[cfg(test)]
mod tests;
