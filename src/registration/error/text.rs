//! Parts of messages.

use http::StatusCode;

use super::{RegistrationError, Target};
use crate::{
    oidc::{OAuthError, Standing},
    outbound::Unread,
};

// === impl RegistrationError ===

impl RegistrationError {
    /// Whether another registration access token may help (RFC 7592 section 2.1 defines 401 for a bad one; some IdPs
    /// send 403).
    pub(in crate::registration) fn may_be_of_the_token(&self) -> bool {
        match self {
            Self::RegistrationTokenRefused { .. } | Self::ClientDeleted { .. } => true,
            Self::Refused {
                target, status, page, ..
            } => *target == Target::Client && *status == StatusCode::FORBIDDEN && page.is_none(),
            _ => false,
        }
    }

    /// Whether the client may have been deleted: RFC 7592 section 2.1 answers a token of a client that no longer exists with
    /// 401, too.
    pub(in crate::registration) fn may_mean_deleted(&self) -> bool {
        matches!(
            self,
            Self::RegistrationTokenRefused {
                status: StatusCode::UNAUTHORIZED,
                ..
            }
        )
    }

    /// The same with what the IdP says of the client itself. A refused token together with `invalid_client` means that it
    /// knows neither.
    pub(in crate::registration) fn with_standing(mut self, standing: Option<Standing>) -> Self {
        if !self.may_mean_deleted() {
            return self;
        }
        if let Self::RegistrationTokenRefused {
            url,
            status,
            client_id,
            standing: known,
            ..
        } = &mut self
        {
            if standing == Some(Standing::Refused) {
                return Self::ClientDeleted {
                    url: std::mem::take(url),
                    status: *status,
                    client_id: std::mem::take(client_id),
                };
            }
            *known = standing.unwrap_or(*known);
        }
        self
    }

    /// The same after a new registration was refused with `cause`: the usual remedy for a lost client has been tried
    /// then. Errors of other kinds stay unchanged.
    pub(in crate::registration) fn and_not_anew(self, cause: Self) -> Self {
        let (found, client_id) = match self {
            Self::RegistrationTokenRefused {
                url,
                status,
                client_id,
                error,
                ..
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
            Self::ClientDeleted {
                client_id, status, ..
            } => (
                format!(
                    "has deleted the client {client_id} (it refuses its registration access token with {status}, and the client \
                     itself with invalid_client)"
                ),
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

/// The state of a registration access token that the IdP refuses.
pub(super) const fn lost(standing: Standing) -> &'static str {
    match standing {
        Standing::Accepted => "it is no longer valid",
        Standing::Refused | Standing::Unclear => "it is no longer valid, or the client was deleted",
    }
}

pub(super) fn refused(
    url: &str,
    status: StatusCode,
    error: Option<&OAuthError>,
    page: Option<&Unread>,
) -> String {
    match page {
        Some(page) => {
            format!("{url} answered {status} with {page}, which is no answer of a registration endpoint")
        }
        None => format!("the IdP refused with {status} at {url}{}", said(error)),
    }
}

pub(super) fn said(error: Option<&OAuthError>) -> String {
    error.map(|error| format!(" ({error})")).unwrap_or_default()
}

/// A refused new registration.
pub(super) fn left_after(stored: &str, cause: &RegistrationError) -> String {
    match cause {
        // A taken id may belong to another client.
        RegistrationError::ClientIdTaken { client_id, error, .. } if client_id == stored => {
            format!("the client id {client_id} is taken{}", said(error.as_ref()))
        }
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
