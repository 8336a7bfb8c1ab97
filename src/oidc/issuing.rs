//! Tokens for one API: client credentials (RFC 6749 section 4.4), token exchange (RFC 8693), and the refresh token with a
//! resource indicator (RFC 8707).

use std::time::Duration;

use serde_json::{Map, Value};
use url::Url;

use super::{
    CallError, DiscoveryError, MemberError, Metadata, RelyingParty, TokenError, TokenResponse,
    member::required,
};
use crate::{
    credential::Target,
    diagnostic::{Explain, Fix, Knob, fix},
    outbound::{Lane, TransportError},
    secret::Secret,
};

/// The grant of this server's own tokens.
pub const CLIENT_CREDENTIALS: &str = "client_credentials";

/// The grant of an exchange (RFC 8693 section 2.1).
pub const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// A longer type of a token is refused, in bytes.
const MAX_TYPE: usize = 200;

/// RFC 8693 section 3.
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// Whether requests for tokens name the API by a resource indicator (`OIDC_RESOURCE_INDICATORS`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResourceIndicators {
    /// For the resources that the provider lists (`protected_resources`, RFC 9728 section 4).
    #[default]
    Auto,
    /// For every audience that is a URI.
    Always,
    /// For none.
    Never,
}

/// How a token of a session for an API can be obtained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// With the refresh token and a resource indicator.
    Resource,
    /// By an exchange of the access token.
    Exchange,
}

/// A token for one API.
#[derive(Clone, Debug)]
pub struct Issued {
    /// A bearer token.
    pub access_token: Secret,
    /// How long it lives from now on.
    pub expires_in: Duration,
}

/// The exchange of tokens of one issuer, by the client that we are there.
pub trait Exchange: Clone + Send + Sync + 'static {
    /// The settings that it follows: a token that was exchanged under others does not count.
    fn settings(&self) -> u64;

    /// A token for `target` in exchange for `subject`, which this issuer has issued.
    fn exchange(
        &self,
        subject: &Secret,
        target: &Target,
    ) -> impl Future<Output = Result<Issued, IssueError>> + Send;
}

/// Why there is no token for an API.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The call failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The token has less scope than the configuration asks for.
    #[error("the IdP granted less scope than was asked for")]
    LessScope,
    /// The settings allow no exchange of tokens of this issuer.
    #[error("the entry `{0}` allows no exchange of the tokens of its issuer")]
    NotEnabled(String),
    /// The token endpoint of the issuer is not known.
    #[error("the metadata of the issuer cannot be read: {0}")]
    Discovery(#[from] DiscoveryError),
    /// The provider offers neither resource indicators nor the exchange of tokens.
    #[error("the IdP offers neither resource indicators (RFC 8707) nor the exchange of tokens (RFC 8693)")]
    NoWay,
}

// === impl ResourceIndicators ===

impl ResourceIndicators {
    /// Whether a request names `audience` by a resource indicator (RFC 8707 section 2).
    #[must_use]
    pub fn names(self, metadata: &Metadata, audience: &str) -> bool {
        match self {
            Self::Never => false,
            Self::Always => is_resource(audience),
            Self::Auto => {
                let listed = metadata.protected_resources.iter().flatten();
                is_resource(audience) && listed.into_iter().any(|resource| resource == audience)
            }
        }
    }
}

/// Whether `audience` may be the value of `resource`: an absolute URI without a fragment (RFC 8707 section 2).
#[must_use]
pub fn is_resource(audience: &str) -> bool {
    Url::parse(audience).is_ok_and(|url| url.fragment().is_none())
}

// === impl RelyingParty ===

impl RelyingParty {
    /// How a token of a session for `target` can be obtained, as far as the provider says.
    ///
    /// # Errors
    ///
    /// [`IssueError`]: in no way, or the metadata is not known yet.
    pub fn way_to(&self, target: &Target) -> Result<Way, IssueError> {
        let (metadata, _) = self.ready().map_err(CallError::from)?;
        let audience = target.audience.as_deref();
        if audience.is_some_and(|audience| self.shared.options.resource_indicators.names(&metadata, audience))
        {
            return Ok(Way::Resource);
        }
        if metadata.offers_grant(TOKEN_EXCHANGE) {
            return Ok(Way::Exchange);
        }
        Err(IssueError::NoWay)
    }

    /// The audiences of routes whose tokens come with the refresh token: from now on a login asks for them.
    pub fn ask_for(&self, audiences: Vec<String>) {
        *self.shared.audiences.lock() = audiences;
    }

    /// Those of them that a login names by resource indicators (RFC 8707 section 2.1).
    pub(super) fn resources(&self, metadata: &Metadata) -> Vec<String> {
        let indicators = self.shared.options.resource_indicators;
        let mut audiences = self.shared.audiences.lock().clone();
        audiences.retain(|audience| indicators.names(metadata, audience));
        audiences
    }

    /// A token of this server for `target` (RFC 6749 section 4.4.2).
    ///
    /// # Errors
    ///
    /// [`IssueError`].
    pub async fn service_token(&self, target: &Target) -> Result<Issued, IssueError> {
        let (metadata, _) = self.ready().map_err(CallError::from)?;
        let fields = [("grant_type", CLIENT_CREDENTIALS)];
        self.issue(&metadata, Lane::Issue, &fields, target, |_| Ok(()))
            .await
    }

    /// A token for `target` in exchange for the access token `subject` (RFC 8693 section 2.1). A refresh token in the
    /// answer is dropped.
    ///
    /// # Errors
    ///
    /// [`IssueError`], also for a token of another type than an access token.
    pub async fn exchange_token(&self, subject: &Secret, target: &Target) -> Result<Issued, IssueError> {
        let (metadata, _) = self.ready().map_err(CallError::from)?;
        self.exchange_at(&metadata, Lane::Issue, subject, target).await
    }

    /// The same for a token that a caller has brought, at the token endpoint of `place`: the issuer of the token, of which
    /// this party is a client.
    ///
    /// # Errors
    ///
    /// As of [`exchange_token`](Self::exchange_token).
    pub async fn exchange_brought(
        &self,
        place: &Metadata,
        subject: &Secret,
        target: &Target,
    ) -> Result<Issued, IssueError> {
        self.exchange_at(place, Lane::Exchange, subject, target).await
    }

    async fn exchange_at(
        &self,
        place: &Metadata,
        lane: Lane,
        subject: &Secret,
        target: &Target,
    ) -> Result<Issued, IssueError> {
        let fields = [
            ("grant_type", TOKEN_EXCHANGE),
            ("subject_token", subject.expose()),
            ("subject_token_type", ACCESS_TOKEN),
            ("requested_token_type", ACCESS_TOKEN),
        ];
        self.issue(place, lane, &fields, target, is_access_token).await
    }

    /// Fetches tokens for `target` for `refresh_token` (RFC 8707 section 2.2).
    ///
    /// # Errors
    ///
    /// [`CallError`], as of [`refresh`](Self::refresh).
    pub async fn refresh_for(
        &self,
        refresh_token: &Secret,
        target: &Target,
    ) -> Result<TokenResponse, TokenError> {
        let scope = target.scope();
        let mut fields = vec![
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token.expose()),
        ];
        fields.extend(target.audience.as_deref().map(|audience| ("resource", audience)));
        fields.extend((!scope.is_empty()).then_some(("scope", scope.as_str())));
        self.tokens(Lane::Refresh, &fields, |_| Ok(())).await
    }

    async fn issue(
        &self,
        place: &Metadata,
        lane: Lane,
        grant: &[(&str, &str)],
        target: &Target,
        check: impl Fn(&Map<String, Value>) -> Result<(), MemberError>,
    ) -> Result<Issued, IssueError> {
        let scope = target.scope();
        let audience = target.audience.as_deref().map(|audience| {
            let is_resource = self.shared.options.resource_indicators.names(place, audience);
            (if is_resource { "resource" } else { "audience" }, audience)
        });
        let scope = (!scope.is_empty()).then_some(("scope", scope.as_str()));
        let fields: Vec<_> = grant.iter().copied().chain(audience).chain(scope).collect();
        let response = self.tokens_at(place, lane, &fields, check).await?;
        if !response.grants(target) {
            return Err(IssueError::LessScope);
        }
        Ok(Issued {
            access_token: response.access_token.clone(),
            expires_in: response.expires_in,
        })
    }
}

/// The type of an exchanged token (RFC 8693 section 2.2.1).
fn is_access_token(answer: &Map<String, Value>) -> Result<(), MemberError> {
    if required(answer, "issued_token_type", MAX_TYPE)? == ACCESS_TOKEN {
        return Ok(());
    }
    Err(MemberError::Value {
        name: "issued_token_type",
        expected: "that of an access token",
    })
}

// === impl TokenResponse ===

impl TokenResponse {
    /// Whether it grants all scopes of `target`. Without a statement, it grants what was asked for (RFC 6749 section
    /// 5.1).
    #[must_use]
    pub fn grants(&self, target: &Target) -> bool {
        let Some(granted) = &self.scope else {
            return true;
        };
        let is_granted = |scope: &String| granted.split(' ').any(|granted| granted == scope);
        target.scopes.iter().all(is_granted)
    }
}

// === impl IssueError ===

impl IssueError {
    /// The reason, in one word for logs: a code of the provider, or the kind of failure.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::LessScope => "invalid_scope",
            Self::NoWay => "unsupported",
            Self::NotEnabled(_) => "not_enabled",
            Self::Discovery(_) => "unreachable",
            Self::Call(error) => match error {
                CallError::NotReady(_) | CallError::Signing(_) => "not_ready",
                CallError::Transport {
                    source: TransportError::TimedOut,
                    ..
                } => "timeout",
                CallError::Transport { .. } | CallError::Unavailable { .. } => "unreachable",
                CallError::InvalidClient(_) => "invalid_client",
                CallError::Rejected(error) => REASONS
                    .into_iter()
                    .find(|reason| error.is(reason))
                    .unwrap_or("refused"),
                CallError::NoReason => "refused",
                CallError::Unexpected { .. } | CallError::Malformed(_) => "unusable_answer",
            },
        }
    }

    /// Whether a later try may succeed without a change of the configuration: a token that is still valid serves meanwhile.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Discovery(_)
                | Self::Call(
                    CallError::NotReady(_)
                        | CallError::Signing(_)
                        | CallError::Transport { .. }
                        | CallError::Unavailable { .. }
                )
        )
    }

    /// The pause that the provider requests.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Call(error) => error.retry_after(),
            Self::LessScope | Self::NoWay | Self::NotEnabled(_) | Self::Discovery(_) => None,
        }
    }
}

impl Explain for IssueError {
    fn fix(&self) -> Option<Fix> {
        match self {
            Self::Call(error) => error.fix(),
            Self::LessScope => Some(fix!("allow the scopes to this client at the IdP")),
            Self::NotEnabled(_) => Some(fix!(
                "write enable_token_exchange: true at the entry in {}, or let its callers use routes without on_behalf_of",
                Knob::IdpsFile
            )),
            Self::Discovery(_) => Some(fix!(
                "correct issuer of the entry in {}, or add token_url",
                Knob::IdpsFile
            )),
            Self::NoWay => Some(fix!(
                "set {} if the IdP has resource indicators and does not say so, or remove the audience of the service in \
                 routes.yaml if the access token of the login serves it",
                Knob::ResourceIndicators.to("always")
            )),
        }
    }
}

/// The codes that appear in logs as they are.
const REASONS: [&str; 6] = [
    "invalid_target",
    "invalid_scope",
    "unauthorized_client",
    "unsupported_grant_type",
    "access_denied",
    "invalid_grant",
];

#[cfg(test)]
mod tests;
