//! Parts of messages.

use http::StatusCode;

use super::{RegistrationError, Target};
use crate::oidc::OAuthError;

// === impl RegistrationError ===

impl RegistrationError {
    /// Whether another registration access token may help (RFC 7592 section 2.1 has 401 for a bad one; 403 is seen, too).
    pub(in crate::registration) fn may_be_of_the_token(&self) -> bool {
        match self {
            Self::RegistrationTokenRefused { .. } => true,
            Self::Refused { target, status, .. } => {
                *target == Target::Client && *status == StatusCode::FORBIDDEN
            }
            _ => false,
        }
    }

    /// The same where to register anew was refused with `cause`: what helps with a client that is lost has been tried
    /// then. Errors of another sort stay as they are.
    pub(in crate::registration) fn and_not_anew(self, cause: Self) -> Self {
        let (found, client_id) = match self {
            Self::RegistrationTokenRefused {
                url,
                status,
                client_id,
                error,
            } => {
                let said = said(error.as_ref());
                let found = format!(
                    "refused the registration access token of {client_id} at {url} with {status}{said}"
                );
                (found, client_id)
            }
            Self::ClientGone {
                url,
                status,
                client_id,
            } => (
                format!("has no registration of {client_id} at {url} ({status})"),
                client_id,
            ),
            other => return other,
        };
        Self::NotRegisteredAnew {
            client_id,
            found,
            cause: Box::new(cause),
        }
    }
}

pub(super) fn said(error: Option<&OAuthError>) -> String {
    error.map(|error| format!(" ({error})")).unwrap_or_default()
}

/// A refused new registration, and what is left to do after it.
pub(super) fn left_after(stored: &str, cause: &RegistrationError) -> String {
    match cause {
        // Another id may be the one of somebody else's client.
        RegistrationError::ClientIdTaken { client_id, error, .. } if client_id == stored => format!(
            "the client id {client_id} is taken{} - hint: have the client removed at the IdP, then start once with \
             DCR_FORCE_REPLACE=true and an unused DCR_IAT; or have the IdP issue a new registration access token for it, and \
             put that into bff_client.json as registration_access_token",
            said(error.as_ref())
        ),
        cause => cause.to_string(),
    }
}

pub(super) fn refused_scopes(refused: &[String]) -> String {
    if refused.is_empty() {
        String::new()
    } else {
        format!(", refused are {:?}", refused.join(" "))
    }
}

pub(super) fn refusal_hint(status: StatusCode, error: Option<&OAuthError>, target: Target) -> &'static str {
    if error.is_some_and(|error| error.is("invalid_client_metadata")) {
        "the IdP's text names the field; align DCR_CLIENT_ID, DCR_CLIENT_PROFILE, MS_BFF_TOKEN_AUTH_METHOD, the signing \
         algorithm (BFF_JWT_SIGNING_ALG) or DCR_JWKS_URI with what it allows; if it says that the client id is taken, \
         restore bff_client.json or have the client removed"
    } else if error.is_some_and(|error| error.is("unapproved_software_statement")) {
        "the IdP registers approved software only; have an administrator register the client and set DCR_ENABLED=false"
    } else if status == StatusCode::FORBIDDEN {
        match target {
            Target::Registration => {
                "the IdP, or a gateway in front of it, does not allow this registration; where its text names no reason, look \
                 there for its policy on registrations (addresses and hosts that it trusts, rights of the initial access \
                 token), and check DCR_REGISTRATION_URL"
            }
            Target::Client | Target::AdminApi => {
                "the IdP, or a gateway in front of it, does not allow this; where its text names no reason, look there for what \
                 a client may do to its registration, or change the client at the IdP by hand"
            }
        }
    } else {
        target.pointer()
    }
}
