//! The key that a browser has registered for a session.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::{clock::Timestamp, jose::ProofKey, session::SessionKey};

/// In front of an identifier. Chromium 156 sends it without quotation marks, and as a token it begins with a letter (RFC 9651
/// section 3.3.4).
const PREFIX: &str = "s-";

/// A registered key. It never changes: another one takes another login.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceKey {
    /// The public half.
    pub key: ProofKey,
    /// When it was registered.
    pub since: Timestamp,
}

// === impl DeviceKey ===

impl DeviceKey {
    /// What a browser calls the session with `key` that it has bound. The session is found by it where the browser sends no
    /// cookie along: a `SameSite` cookie is missing where another site has led to the request that needs a proof. It is the
    /// hash of what the cookie holds, so that it gives nobody a session.
    #[must_use]
    pub fn identifier(key: &SessionKey) -> String {
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(key.as_bytes()))
    }

    /// The session that a browser calls `identifier`. `None` where the text is no identifier.
    #[must_use]
    pub fn named(identifier: &str) -> Option<SessionKey> {
        let bytes = URL_SAFE_NO_PAD.decode(identifier.strip_prefix(PREFIX)?).ok()?;
        Some(SessionKey::from_bytes(bytes.try_into().ok()?))
    }

    pub(super) const fn weight(&self) -> usize {
        size_of::<Self>() + self.key.text_length()
    }
}
