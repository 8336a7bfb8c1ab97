//! Why the provider's metadata is unknown, with the setting to change.

use http::StatusCode;
use url::Url;

use super::{displayable, may_pass};
use crate::{
    diagnostic::{Explain, Explained, Fix, Knob, fix},
    oidc::provider::{EndpointError, ProviderOptions},
    outbound::{TransportError, Unread},
};

/// Why the provider's metadata is unknown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveryError {
    /// The issuer, or the address for reaching it, is not a usable URL.
    #[error("the issuer `{issuer}` is not a URL without query and fragment")]
    InvalidIssuer {
        /// As configured.
        issuer: String,
        /// The setting that names it.
        knob: Knob,
    },
    /// No answer.
    #[error("cannot read the IdP's metadata at {url}: {source}")]
    Unreachable {
        /// Where.
        url: String,
        /// The setting that contains the address.
        knob: Knob,
        /// Why.
        source: TransportError,
    },
    /// An answer other than 200; redirects are not followed.
    #[error(
        "the IdP answered {status} instead of its metadata at {url}{}",
        if status.is_redirection() { " (redirects are not followed)" } else { "" }
    )]
    Status {
        /// Where.
        url: String,
        /// The setting that contains the address.
        knob: Knob,
        /// The answer.
        status: StatusCode,
    },
    /// An answer of a proxy, or of what is configured as one.
    #[error("cannot read the IdP's metadata at {url}: {cause}")]
    Proxy {
        /// Where.
        url: String,
        /// The answer.
        status: StatusCode,
        /// For the operator.
        cause: Explained,
    },
    /// A page instead of a document.
    #[error("the answer at {url} is not a JSON object, but {found}")]
    NotJson {
        /// Where.
        url: String,
        /// The setting that contains the address.
        knob: Knob,
        /// The form of its body.
        found: Unread,
    },
    /// The document is of another issuer, or of none.
    #[error("{}", mismatch(url, expected, found.as_deref(), *base))]
    IssuerMismatch {
        /// Where.
        url: String,
        /// As configured.
        expected: String,
        /// As the document says.
        found: Option<String>,
        /// The address that is configured beside the issuer.
        base: Base,
    },
    /// The document has no single issuer, but all tenants of a provider.
    #[error(
        "the metadata at {url} name the issuer as a template, `{template}`: they are those of all tenants"
    )]
    IssuerTemplate {
        /// Where.
        url: String,
        /// As the document says.
        template: String,
    },
    /// A required endpoint, or one that the configuration names, is missing or unusable.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The configuration names plain http beyond the local network.
    #[error("the issuer is to be reached at {url}, which is neither https nor a local name")]
    Insecure {
        /// As configured.
        url: String,
        /// The setting that names it.
        knob: Knob,
    },
}

/// The address of the IdP in the configuration, beside the issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// There is none.
    None,
    /// It stands for the issuer, because none is configured.
    IsIssuer,
    /// This process reaches the issuer there, and the document names it as the issuer.
    Echoed,
    /// This process reaches the issuer there.
    Beside,
}

// === impl Base ===

impl Base {
    pub(super) fn of(options: &ProviderOptions, found: Option<&str>) -> Self {
        let found = found.and_then(|found| Url::parse(found).ok());
        if options.issuer_is_base_url() {
            Self::IsIssuer
        } else {
            match (&options.base_url, found) {
                (None, _) => Self::None,
                (Some(base), Some(found)) if base.origin() == found.origin() => Self::Echoed,
                (Some(_), _) => Self::Beside,
            }
        }
    }
}

// === impl DiscoveryError ===

impl DiscoveryError {
    /// Whether it may pass without any change: no answer, an answer that says so, a proxy's page.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { source, .. } => source.is_transient(),
            Self::Status { status, .. } => may_pass(*status),
            Self::NotJson { .. } | Self::Proxy { .. } => true,
            Self::InvalidIssuer { .. }
            | Self::IssuerMismatch { .. }
            | Self::IssuerTemplate { .. }
            | Self::Endpoint(_)
            | Self::Insecure { .. } => false,
        }
    }
}

impl DiscoveryError {
    /// Whether there is nothing at the address.
    pub(super) const fn is_absence(&self) -> bool {
        match self {
            Self::Status { status, .. } | Self::Proxy { status, .. } => status.as_u16() == 404,
            _ => false,
        }
    }
}

impl Explain for DiscoveryError {
    fn fix(&self) -> Option<Fix> {
        Some(match self {
            Self::InvalidIssuer { knob, .. } => fix!("correct {}", *knob),
            Self::Unreachable { knob, source, .. } => source
                .fix()
                .unwrap_or_else(|| fix!("start the IdP, or correct {}, which points there", *knob)),
            Self::Proxy { cause, .. } => return cause.fix(),
            Self::NotJson { found, .. } if found.fix().is_some() => return found.fix(),
            Self::Status { knob, status, .. } if may_pass(*status) => fix!(
                "try again later, and see in the log of the IdP why it fails; {} points there",
                *knob
            ),
            Self::Status { knob, .. } | Self::NotJson { knob, .. } => fix!(
                "correct {}, which points there; it must be the IdP itself, not a page before it",
                *knob
            ),
            Self::IssuerMismatch {
                found: Some(found),
                base: Base::Beside,
                expected,
                ..
            } if !is_spelling(expected, found) => fix!(
                "let {} be the address of {}; or set {} if that is your IdP",
                Knob::ProviderBase,
                displayable(expected),
                Knob::Issuer.to(found.clone())
            ),
            Self::IssuerMismatch {
                found: Some(found),
                base: Base::Echoed,
                expected,
                ..
            } => fix!(
                "give the IdP the fixed name {} in its own settings; or set {} if browsers reach it there",
                displayable(expected),
                Knob::Issuer.to(found.clone())
            ),
            Self::IssuerMismatch {
                found: Some(found), ..
            } => fix!(
                "set {} if that is your IdP (to the letter, also a slash at the end)",
                Knob::Issuer.to(found.clone())
            ),
            Self::IssuerMismatch { found: None, .. } => fix!("let {} name an OpenID provider", Knob::Issuer),
            Self::IssuerTemplate { .. } => fix!(
                "let {} name that of one tenant, with its id in the place of the braces",
                Knob::Issuer
            ),
            Self::Endpoint(error) => return error.fix(),
            Self::Insecure { knob, .. } => fix!(
                "correct {}, or accept the risk with {}",
                *knob,
                Knob::AllowHttp.to("true")
            ),
        })
    }
}

fn mismatch(url: &str, expected: &str, found: Option<&str>, base: Base) -> String {
    match (found, base) {
        (None, _) => format!("the metadata at {url} names no issuer, but `{expected}` was expected"),
        (Some(found), Base::IsIssuer) => format!(
            "the metadata at {url} is that of the issuer `{found}`, but no issuer is configured, and the address of the IdP \
             stands for the issuer `{expected}`"
        ),
        (Some(found), Base::Beside) if !is_spelling(expected, found) => format!(
            "the metadata at {url} is that of the issuer `{found}`, but `{expected}` is configured: the address at which this \
             server reaches the IdP is that of another one"
        ),
        (Some(found), Base::Echoed) => format!(
            "the IdP names itself after the address at which this server asks it, `{found}`, but the issuer `{expected}` is \
             configured"
        ),
        (Some(found), _) => {
            let difference = if found.eq_ignore_ascii_case(expected) {
                "they differ in capital letters, and must be equal to the letter"
            } else {
                "they must be equal to the letter"
            };
            format!(
                "the metadata at {url} is that of the issuer `{found}`, but `{expected}` is configured; {difference}"
            )
        }
    }
}

/// Whether both name one IdP in two spellings.
fn is_spelling(one: &str, other: &str) -> bool {
    let (one, other) = (Url::parse(one), Url::parse(other));
    let same = |one: &Url, other: &Url| {
        let path = |url: &Url| url.path().trim_end_matches('/').to_ascii_lowercase();
        one.host() == other.host() && one.port() == other.port() && path(one) == path(other)
    };
    matches!((one, other), (Ok(one), Ok(other)) if same(&one, &other))
}
