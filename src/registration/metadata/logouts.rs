//! Where the IdP is to tell us of logouts.

use serde_json::json;

use super::WantedMetadata;
use crate::oidc::BackchannelLogout;

/// The field that carries where the IdP sends logout tokens (OpenID Connect Back-Channel Logout 1.0 section 2.2).
const BACKCHANNEL_LOGOUT_URI: &str = "backchannel_logout_uri";
/// The field that asks for a `sid` in them (the same section).
const BACKCHANNEL_LOGOUT_SESSION: &str = "backchannel_logout_session_required";

/// Fields that say where the IdP tells us of logouts. They go as the descriptive ones do.
pub(super) const LOGOUTS: [&str; 2] = [BACKCHANNEL_LOGOUT_URI, BACKCHANNEL_LOGOUT_SESSION];

// === impl WantedMetadata ===

impl WantedMetadata {
    /// The same for an IdP that tells clients of logouts, as its metadata says, and wants to do so at
    /// `uri`. An IdP that does not would ignore the fields, or refuse them; so would one that is asked for a `sid` that it
    /// does not send.
    #[must_use]
    pub fn for_logouts(mut self, uri: Option<&str>, offered: BackchannelLogout) -> Self {
        let Some(uri) = uri.filter(|_| offered != BackchannelLogout::None) else {
            return self;
        };
        self.fields.insert(BACKCHANNEL_LOGOUT_URI.to_owned(), json!(uri));
        if offered == BackchannelLogout::WithSession {
            self.fields
                .insert(BACKCHANNEL_LOGOUT_SESSION.to_owned(), json!(true));
        }
        self
    }
}
