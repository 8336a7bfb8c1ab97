//! The advice for each error of registration.

use http::StatusCode;

use super::{
    super::{answer::AnswerError, refusal::is_elsewhere},
    Again, RegistrationError, Target,
};
use crate::{
    diagnostic::{Explain, Fix, Knob, fix},
    oidc::OAuthError,
};

impl Explain for RegistrationError {
    #[expect(clippy::too_many_lines, reason = "one arm for each error")]
    fn fix(&self) -> Option<Fix> {
        Some(match self {
            Self::Credentials(error) => return error.fix(),
            Self::Algorithm(error) => return error.fix(),
            Self::UnusableEndpoint { reason } => return reason.fix(),
            Self::NotStored { source, .. } => {
                let then = fix!(
                    "have the client removed at the IdP and start with a fresh {}",
                    Knob::InitialAccessToken
                );
                match source.fix() {
                    Some(first) => fix!("{}; then {}", first, then),
                    None => then,
                }
            }
            Self::UnusableToken { knob, .. } => fix!("paste it again into {}, without line breaks", *knob),
            Self::NoEndpoint { .. } => fix!(
                "switch dynamic registration on at the IdP, set {}, or register the client by hand and set {} with {}",
                Knob::RegistrationEndpoint,
                Knob::Registration.to("false"),
                Knob::ClientId
            ),
            Self::NoToken { .. } => fix!(
                "mint an initial access token at the IdP (for one use) and set {}, or set {}; if the IdP registers without \
                 a token, set {}; if this client is registered already, restore {} instead",
                Knob::InitialAccessToken,
                Knob::AdminToken,
                Knob::InitialAccessToken.to("none"),
                Knob::CredentialsFile
            ),
            Self::NothingToSkipTo { .. } => fix!(
                "remove {}, restore {}, or set {} (and {} for a method with a secret)",
                Knob::SkipRegistration,
                Knob::CredentialsFile,
                Knob::ClientId,
                Knob::ClientSecret
            ),
            Self::OutcomeUnknown { client, again, .. } => fix!(
                "look at the IdP whether {} exists; remove it if so, then {}",
                client.to_string(),
                match again {
                    Again::Token => fix!("start with a fresh {}", Knob::InitialAccessToken),
                    Again::NoNote => fix!("take the member `pending` out of the file and start again"),
                }
            ),
            Self::InitialTokenRefused { .. } => {
                fix!("mint a new one at the IdP and set {}", Knob::InitialAccessToken)
            }
            Self::TokenRequired { .. } => fix!(
                "mint one at the IdP (for one use) and set {} to it, in the place of `none`",
                Knob::InitialAccessToken
            ),
            Self::MintRefused { .. } => fix!(
                "{} must be a valid admin token of an IdP with this API, and {} (else {}) points there; or mint one by hand and \
                 set {}",
                Knob::AdminToken,
                Knob::ProviderBase,
                Knob::Issuer,
                Knob::InitialAccessToken
            ),
            Self::InvalidScope { .. } => fix!(
                "add them to {}, restart it and start again, or ask for fewer in {}",
                Knob::ProviderScopes,
                Knob::Scopes
            ),
            Self::InvalidRedirectUri { .. } => fix!(
                "host, path and trailing slash must match exactly what the IdP allows; correct {}, then register again with {} \
                 and a fresh {}",
                Knob::RedirectUris,
                Knob::ForceReplace.to("true"),
                Knob::InitialAccessToken
            ),
            Self::ClientIdTaken { .. } => fix!(
                "restore {}, have the client removed at the IdP, or request another id in {} (or in {} if that names the client)",
                Knob::CredentialsFile,
                Knob::RequestedClientId,
                Knob::ClientId
            ),
            Self::Refused {
                target,
                status,
                error,
                page,
                ..
            } => of_refusal(*status, error.as_ref(), page.is_some(), *target),
            Self::RegistrationTokenRefused { .. } => fix!(
                "mint an initial access token and start once with {} and {}, which registers anew; if the IdP does not \
                 release the id, have it issue a new registration access token or remove the client first",
                Knob::InitialAccessToken,
                Knob::ForceReplace.to("true")
            ),
            Self::NotRegisteredAnew { client_id, cause, .. } => match &**cause {
                // A taken id may belong to another client.
                Self::ClientIdTaken { client_id: taken, .. } if taken == client_id => fix!(
                    "have the client removed at the IdP, then start once with {} and an unused {}; or have the IdP issue a new \
                     registration access token for it, and put that into {} as registration_access_token",
                    Knob::ForceReplace.to("true"),
                    Knob::InitialAccessToken,
                    Knob::CredentialsFile
                ),
                cause => return cause.fix(),
            },
            Self::ClientGone { .. } => fix!(
                "if the client was removed, mint an initial access token and start once with {} and {}; otherwise check the \
                 address, which the IdP gave as registration_client_uri and {} moves",
                Knob::InitialAccessToken,
                Knob::ForceReplace.to("true"),
                Knob::ProviderBase
            ),
            Self::ClientDeleted { .. } => fix!(
                "mint an initial access token (for one use) and start once with {}, which registers a new client; if the client is \
                 still there, restore {} and the keys that belong to it",
                Knob::InitialAccessToken,
                Knob::CredentialsFile
            ),
            Self::OtherClient { .. } => fix!(
                "check that {} belongs to this IdP, and restore it if not",
                Knob::CredentialsFile
            ),
            Self::CannotUpdate { tried, .. } => {
                let anew = fix!(
                    "change the client at the IdP by hand, or register anew with {} and a fresh {}",
                    Knob::ForceReplace.to("true"),
                    Knob::InitialAccessToken
                );
                match tried.other() {
                    Some(other) => fix!(
                        "allow updates by {}, too ({}); or {}",
                        other,
                        Knob::UpdateMethod.to("auto"),
                        anew
                    ),
                    None => anew,
                }
            }
            Self::RedirectUrisUnknown { .. } => fix!(
                "change the client at the IdP by hand; or list every redirect URI in {} and set {} and {}",
                Knob::RedirectUris,
                Knob::RedirectUpdate.to("replace"),
                Knob::RotationSafe.to("false")
            ),
            Self::NeedsToken { .. } => fix!(
                "mint an initial access token and start once with {} and {}",
                Knob::InitialAccessToken,
                Knob::ForceReplace.to("true")
            ),
            Self::NotWritten { .. } => fix!(
                "start once without {}, which updates it at the IdP; or put back what was changed here",
                Knob::SkipRegistration
            ),
            Self::MethodReplaced { asked, .. } => fix!(
                "allow {} at the IdP (its client profile), or set {} to the method that the client has there",
                *asked,
                Knob::AuthMethod
            ),
            Self::AlgorithmReplaced { asked, .. } => fix!(
                "use a key that fits (name one in {}; or set {} and run `bff keys rotate`), or allow {} at the IdP",
                Knob::SigningKey,
                Knob::KeyType,
                asked.clone()
            ),
            Self::NoSecret { method, .. } => fix!(
                "set {}, or allow {} at the IdP and register anew with {} and a fresh {}",
                Knob::AuthMethod.to("private_key_jwt"),
                *method,
                Knob::ForceReplace.to("true"),
                Knob::InitialAccessToken
            ),
            Self::NotAnAnswer {
                reason: AnswerError::NotAnObject(found),
                ..
            } if found.fix().is_some() => return found.fix(),
            // A failure of TLS or of a proxy has advice of its own.
            Self::Unreachable { target, cause, .. } => match cause.fix() {
                Some(first) => fix!("{}; {}", first, target.pointer()),
                None => target.pointer(),
            },
            Self::Unavailable { target, .. }
            | Self::NotAnAnswer { target, .. }
            | Self::Redirected { target, .. } => target.pointer(),
        })
    }
}

// === impl Target ===

impl Target {
    /// The settings that determine the address.
    fn pointer(self) -> Fix {
        match self {
            Self::Registration => fix!(
                "check the address: that of {}, or else registration_endpoint in the IdP's metadata, whose host {} replaces",
                Knob::RegistrationEndpoint,
                Knob::ProviderBase
            ),
            Self::Client => fix!(
                "check the address: the IdP gave it as registration_client_uri, and {} replaces its host",
                Knob::ProviderBase
            ),
            Self::AdminApi => fix!(
                "check the address, which is that of {} or else of {}; or mint an initial access token by hand and set {}",
                Knob::ProviderBase,
                Knob::Issuer,
                Knob::InitialAccessToken
            ),
        }
    }
}

fn of_refusal(status: StatusCode, error: Option<&OAuthError>, is_page: bool, target: Target) -> Fix {
    if error.is_none() && is_elsewhere(status) {
        match target {
            Target::Registration => fix!(
                "correct {} if it is set, else registration_endpoint in the IdP's metadata ({} moves it): nothing registers clients at \
                 this address; or switch dynamic registration on at the IdP",
                Knob::RegistrationEndpoint,
                Knob::ProviderBase
            ),
            Target::Client | Target::AdminApi => target.pointer(),
        }
    } else if is_page {
        match target {
            Target::Registration => fix!(
                "let what stands before the IdP (a firewall, a gateway) pass this server's calls to that address; or correct {}, if the \
                 address is not the IdP's",
                Knob::RegistrationEndpoint
            ),
            Target::Client | Target::AdminApi => fix!(
                "let what stands before the IdP (a firewall, a gateway) pass this server's calls to that address; or correct {}, which \
                 moves it",
                Knob::ProviderBase
            ),
        }
    } else if error.is_some_and(|error| error.is("invalid_client_metadata")) {
        fix!(
            "the IdP's text names the field; align {}, {}, {}, the signing algorithm ({}) or {} with what it allows; if it says \
             that the client id is taken, restore {} or have the client removed",
            Knob::RequestedClientId,
            Knob::ClientProfile,
            Knob::AuthMethod,
            Knob::SigningAlgorithm,
            Knob::JwksUri,
            Knob::CredentialsFile
        )
    } else if error.is_some_and(|error| error.is("unapproved_software_statement")) {
        fix!(
            "the IdP registers approved software only; have an administrator register the client and set {}",
            Knob::Registration.to("false")
        )
    } else if status == StatusCode::FORBIDDEN {
        match target {
            Target::Registration => fix!(
                "the IdP, or a gateway in front of it, does not allow this registration; if its text gives no reason, look \
                 there for its policy on registrations (addresses and hosts that it trusts, rights of the initial access \
                 token), and check {}",
                Knob::RegistrationEndpoint
            ),
            Target::Client | Target::AdminApi => fix!(
                "the IdP, or a gateway in front of it, does not allow this; if its text gives no reason, look there for \
                 the rights of a client to its registration, or change the client at the IdP by hand"
            ),
        }
    } else {
        target.pointer()
    }
}
