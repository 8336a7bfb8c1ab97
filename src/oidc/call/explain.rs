//! The advice for an unsuccessful call.

use std::{fmt, time::Duration};

use http::StatusCode;

use super::{CallError, NotReady};
use crate::{
    diagnostic::{Explain, Fix, Knob, fix},
    oidc::{ASSERTION_LIFETIME, AuthenticationSummary, Blames, MemberError, OAuthError, ProviderTime},
};

/// A smaller difference between the clocks is no reason to refuse an assertion.
const CLOCKS_AGREE: Duration = Duration::from_secs(30);

/// The data with which the operator finds out why the provider does not know the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidClient {
    /// The provider's error.
    pub error: OAuthError,
    /// The request.
    pub proof: AuthenticationSummary,
    /// Whether the provider has the key.
    pub key: KeyThere,
    /// The time there and here, if the answer has a `Date`.
    pub clock: Option<ProviderTime>,
}

/// Whether the provider has the key that signed an assertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyThere {
    /// That is not known.
    Unknown,
    /// It has it registered.
    Registered,
    /// The address from which the provider fetches keys; the fetched keys are unknown.
    Served,
    /// It does not have it.
    Missing,
}

/// The clock skew that may explain a refusal.
enum Clocks {
    /// They are this far apart, in seconds; ours is ahead where it is positive.
    Apart(i64),
    /// The provider speaks of a time.
    Named,
}

// === impl NotReady ===

impl Explain for NotReady {
    fn fix(&self) -> Option<Fix> {
        match self {
            Self::Metadata | Self::Client => None,
            Self::ParEndpoint => Some(fix!("set {}, or {}", Knob::ParEndpoint, Knob::Par.to("auto"))),
        }
    }
}

// === impl CallError ===

impl Explain for CallError {
    fn fix(&self) -> Option<Fix> {
        match self {
            Self::NotReady(error) => error.fix(),
            Self::Signing(_) => None,
            Self::Transport { source, .. } => Some(source.fix().unwrap_or_else(|| {
                fix!(
                    "check that the token endpoint (and PAR) of the IdP can be reached from here: {}, {}, {}",
                    Knob::TokenEndpoint,
                    Knob::ParEndpoint,
                    Knob::ProviderBase
                )
            })),
            Self::Unavailable { .. } => Some(fix!("try again; if it stays, look at the IdP's log")),
            Self::InvalidClient(error) => error.fix(),
            Self::Rejected(error) => of_refusal(error),
            Self::Unexpected {
                status: StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::GONE,
                ..
            } => Some(fix!(
                "correct the address, which is not that of the endpoint: {} for the token endpoint, {} for PAR, where they are set; else \
                 the IdP's metadata",
                Knob::TokenEndpoint,
                Knob::ParEndpoint
            )),
            Self::Unexpected {
                status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
                ..
            } => Some(fix!(
                "correct the address: what answers there does not take forms, as the token endpoint ({}) and PAR ({}) do",
                Knob::TokenEndpoint,
                Knob::ParEndpoint
            )),
            Self::Unexpected { found, .. } | Self::Malformed(MemberError::NotAnObject(found))
                if found.fix().is_some() =>
            {
                found.fix()
            }
            Self::Unexpected {
                status: StatusCode::FORBIDDEN,
                found,
            } if found.is_page() => Some(fix!(
                "let what stands before the IdP (a firewall, a gateway) pass POST requests to the token endpoint ({}) and to PAR ({}); \
                 or correct that address, if it is not the IdP's",
                Knob::TokenEndpoint,
                Knob::ParEndpoint
            )),
            Self::NoReason | Self::Unexpected { .. } | Self::Malformed(_) => Some(fix!(
                "see what answers at the token endpoint ({}) and at PAR ({}): it is not an IdP's answer",
                Knob::TokenEndpoint,
                Knob::ParEndpoint
            )),
        }
    }
}

/// The advice if the provider refuses something other than the client. An expired grant is no mistake.
fn of_refusal(error: &OAuthError) -> Option<Fix> {
    match error.blames() {
        Blames::Scope => Some(fix!(
            "remove what it refuses from {}, or allow it at the IdP ({}) and for the client",
            Knob::Scopes,
            Knob::ProviderScopes
        )),
        Blames::RedirectUri => Some(fix!(
            "correct {} (host, path and trailing slash must match exactly), or register it at the IdP",
            Knob::RedirectUris
        )),
        Blames::Grant => None,
        Blames::Secret => Some(other_method()),
        Blames::Other => Some(fix!(
            "look at {}: its grant types must hold authorization_code and refresh_token; {} and {} are what can be changed here",
            Knob::ProviderClient,
            Knob::Prompt,
            Knob::Scopes
        )),
    }
}

/// The advice if the provider speaks of a secret that it did not get where it looked for it.
fn other_method() -> Fix {
    fix!(
        "compare the method of the client at the IdP with {}: the IdP probably has another one with a secret (client_secret_post, \
         client_secret_basic) registered; set that here with {}, or register the client for the method that is set here",
        Knob::AuthMethod,
        Knob::ClientSecret
    )
}

// === impl InvalidClient ===

impl InvalidClient {
    /// The part that clock skew may have in it.
    fn clocks(&self) -> Option<Clocks> {
        self.proof.assertion.as_ref()?;
        let apart = self.clock.map_or(0, ProviderTime::ahead);
        if apart.unsigned_abs() > CLOCKS_AGREE.as_secs() {
            return Some(Clocks::Apart(apart));
        }
        self.error.names_a_time().then_some(Clocks::Named)
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
            return Ok(());
        }
        if let Some(Clocks::Apart(apart)) = self.clocks() {
            let direction = if apart < 0 { "behind" } else { "ahead of" };
            write!(
                f,
                "; this machine's clock is {} s {direction} the IdP's, and an assertion lives {} s",
                apart.unsigned_abs(),
                ASSERTION_LIFETIME.as_secs()
            )?;
        }
        f.write_str(match self.key {
            KeyThere::Registered => "; the IdP has that kid registered",
            KeyThere::Served => {
                "; that kid is where the IdP fetches our keys, but it may keep an answer from before"
            }
            KeyThere::Missing => "; the IdP does NOT have that kid registered",
            KeyThere::Unknown => "; whether the IdP has that kid is not known",
        })
    }
}

impl Explain for InvalidClient {
    fn fix(&self) -> Option<Fix> {
        if self.proof.assertion.is_none() {
            return Some(if self.proof.encoding_matters {
                fix!(
                    "compare id and secret ({}) with those at the IdP; client_secret_basic sends them form-encoded (RFC 6749 section \
                     2.3.1), which changes yours, and not every IdP decodes them: try {}, or have a secret made of letters and \
                     digits",
                    Knob::ClientSecret,
                    Knob::AuthMethod.to("client_secret_post")
                )
            } else {
                fix!(
                    "align {} and {} with the client at the IdP; for a client that this server registered, restore {}, or switch to \
                     another method and back (docs/registration.md, lost credentials)",
                    Knob::AuthMethod,
                    Knob::ClientSecret,
                    Knob::CredentialsFile
                )
            });
        }
        let align = fix!(
            "compare client id ({}, if the client was registered by hand), method, keys and algorithm with the client at the IdP ({}, \
             {}), and see in its log why it refuses; some IdPs insist on one {} (issuer or token_endpoint), or on {}",
            Knob::ClientId,
            Knob::AuthMethod,
            Knob::SigningKey,
            Knob::AssertionAudience,
            Knob::AssertionTyp.to("none")
        );
        if self.error.wants_secret() {
            return Some(fix!("{}; else {}", other_method(), align));
        }
        let rest = match self.key {
            KeyThere::Served => fix!(
                "if the key is new, have the IdP fetch jwks_uri again, or wait for as long as it keeps an answer; else {}",
                align
            ),
            KeyThere::Unknown => fix!(
                "see whether the IdP can fetch the client's jwks_uri, and whether that kid is in it or in the registered jwks; {}",
                align
            ),
            KeyThere::Registered | KeyThere::Missing => align,
        };
        Some(match self.clocks() {
            Some(Clocks::Apart(_)) => fix!("set both clocks by NTP; else {}", rest),
            Some(Clocks::Named) => fix!("compare the clock of this machine with the IdP's; else {}", rest),
            None => rest,
        })
    }
}
