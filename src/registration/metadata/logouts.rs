//! Where the IdP, or a page of it, is to tell us of logouts.

use serde_json::json;

use super::WantedMetadata;
use crate::oidc::LogoutSupport;

/// The field that carries where the IdP sends logout tokens (OpenID Connect Back-Channel Logout 1.0 section 2.2).
const BACKCHANNEL_LOGOUT_URI: &str = "backchannel_logout_uri";
/// The field that asks for a `sid` in them (the same section).
const BACKCHANNEL_LOGOUT_SESSION: &str = "backchannel_logout_session_required";

/// The field that carries what a page of the IdP shows in a frame (OpenID Connect Front-Channel Logout 1.0 section 2).
const FRONTCHANNEL_LOGOUT_URI: &str = "frontchannel_logout_uri";
/// The field that asks for `iss` and `sid` there (the same section).
const FRONTCHANNEL_LOGOUT_SESSION: &str = "frontchannel_logout_session_required";

/// Fields that say where the IdP tells us of logouts. They go as the descriptive ones do.
pub(super) const LOGOUTS: [&str; 4] = [
    BACKCHANNEL_LOGOUT_URI,
    BACKCHANNEL_LOGOUT_SESSION,
    FRONTCHANNEL_LOGOUT_URI,
    FRONTCHANNEL_LOGOUT_SESSION,
];

// === impl WantedMetadata ===

impl WantedMetadata {
    /// The same for an IdP that tells clients of logouts, as its metadata says, and wants to do so at
    /// `uri`. An IdP that does not would ignore the fields, or refuse them; so would one that is asked for a `sid` that it
    /// does not send.
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

    /// The same for an IdP whose page tells clients of logouts in frames. Not where the IdP does so itself, which reaches a
    /// session whatever browsers do with cookies: some IdPs choose the frame where both are registered. Nor where it does
    /// not say which session it means.
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
