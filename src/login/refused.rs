//! Handles a login that the IdP has returned with an error (RFC 6749 section 4.1.2.1, OpenID Connect Core 1.0 section
//! 3.1.2.6).

use url::Url;

use super::{CallbackError, Login, LoginQuery, attempt::Attempt, hosts::LoginHost};
use crate::oidc::OAuthError;

/// The alternative to an error page: an error of one tab does not concern a person who is logged in by another one,
/// and some errors pass by themselves.
#[derive(Clone, Debug)]
pub struct Instead {
    /// The target of a person with a session: a URL on the allow-list.
    pub go_on: Url,
    /// The way to start again without a session, if that helps and has not been done for this attempt.
    pub begin_again: Option<LoginQuery>,
}

// === impl Login ===

impl Login {
    pub(super) fn refused(&self, error: OAuthError, attempt: &Attempt, host: &LoginHost) -> CallbackError {
        let needs_a_person = matches!(
            error.error.as_str(),
            "login_required" | "interaction_required" | "consent_required" | "account_selection_required"
        );
        if attempt.silent && needs_a_person {
            let mut location = self.target(attempt, host);
            location.query_pairs_mut().append_pair("error", "login_required");
            return CallbackError::LoginRequired { location };
        }
        // A page that requested a login with requirements has to learn that it failed.
        let instead = (!attempt.demanding).then(|| {
            let begins_again = passes_by_itself(&error) && !attempt.repeated;
            Box::new(Instead {
                go_on: self.target(attempt, host),
                begin_again: begins_again.then(|| LoginQuery {
                    return_to: Some(attempt.return_to.clone()),
                    repeated: true,
                    previous: attempt.previous,
                    ..LoginQuery::default()
                }),
            })
        });
        CallbackError::Refused { error, instead }
    }
}

/// `authentication_expired`: the person left the login page of the IdP open for too long. Some IdPs send it as the
/// description of `temporarily_unavailable`.
fn passes_by_itself(error: &OAuthError) -> bool {
    matches!(
        error.error.as_str(),
        "temporarily_unavailable" | "authentication_expired"
    )
}
