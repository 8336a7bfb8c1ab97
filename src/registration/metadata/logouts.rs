//! The addresses at which the IdP, or one of its pages, reports logouts.

use serde_json::json;

use super::WantedMetadata;
use crate::oidc::LogoutSupport;

/// The field with the address for logout tokens (OpenID Connect Back-Channel Logout 1.0 section 2.2).
const BACKCHANNEL_LOGOUT_URI: &str = "backchannel_logout_uri";
/// The field that requests a `sid` in them (the same section).
const BACKCHANNEL_LOGOUT_SESSION: &str = "backchannel_logout_session_required";

/// The field with the address that a page of the IdP loads in a frame (OpenID Connect Front-Channel Logout 1.0
/// section 2).
const FRONTCHANNEL_LOGOUT_URI: &str = "frontchannel_logout_uri";
/// The field that requests `iss` and `sid` there (the same section).
const FRONTCHANNEL_LOGOUT_SESSION: &str = "frontchannel_logout_session_required";

/// The fields with the addresses for logouts. They are removed like the descriptive ones.
pub(super) const LOGOUTS: [&str; 4] = [
    BACKCHANNEL_LOGOUT_URI,
    BACKCHANNEL_LOGOUT_SESSION,
    FRONTCHANNEL_LOGOUT_URI,
    FRONTCHANNEL_LOGOUT_SESSION,
];

// === impl WantedMetadata ===

impl WantedMetadata {
    /// The same for an IdP whose metadata support back-channel logout, at `uri`. Another IdP would ignore the fields
    /// or refuse them, and so would an IdP that is asked for a `sid` that it does not send.
    #[must_use]
    pub fn for_back_channel(mut self, uri: Option<&str>, offered: LogoutSupport) -> Self {
        let Some(uri) = uri.filter(|_| offered != LogoutSupport::None) else {
            return self;
        };
        self.fields.insert(BACKCHANNEL_LOGOUT_URI.to_owned(), json!(uri));
        if offered == LogoutSupport::WithSession {
            self.fields
                .insert(BACKCHANNEL_LOGOUT_SESSION.to_owned(), json!(true));
        }
        self
    }

    /// The same for an IdP whose page reports logouts in frames. The server does not register it if the IdP supports
    /// back-channel logout, which works whatever browsers do with cookies: some IdPs choose the frame if both are
    /// registered. It does not register it either if the IdP would not name the session.
    #[must_use]
    pub fn for_front_channel(mut self, uri: Option<&str>, offered: LogoutSupport) -> Self {
        if let Some(uri) = uri
            && offered == LogoutSupport::WithSession
            && !self.fields.contains_key(BACKCHANNEL_LOGOUT_URI)
        {
            self.fields.insert(FRONTCHANNEL_LOGOUT_URI.to_owned(), json!(uri));
            self.fields
                .insert(FRONTCHANNEL_LOGOUT_SESSION.to_owned(), json!(true));
        }
        self
    }
}
