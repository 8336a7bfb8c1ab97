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
    /// The browser's identifier for its bound session with `key`. It finds the session if the browser sends no
    /// cookie: a `SameSite` cookie is missing if another site has led to the request that needs a proof. It is the
    /// hash of the cookie's content, so it gives access to no session.
    #[must_use]
    pub fn identifier(key: &SessionKey) -> String {
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(key.as_bytes()))
    }

    /// The session of a browser's `identifier`. `None` if the text is not an identifier.
    #[must_use]
    pub fn named(identifier: &str) -> Option<SessionKey> {
        let bytes = URL_SAFE_NO_PAD.decode(identifier.strip_prefix(PREFIX)?).ok()?;
        Some(SessionKey::from_bytes(bytes.try_into().ok()?))
    }

    pub(super) const fn weight(&self) -> usize {
        size_of::<Self>() + self.key.text_length()
    }
}
