//! The three names of a session.

use std::fmt;

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::{
    random::{Random, RandomExt as _},
    seal::{Purpose, Sealer},
};

/// 256 random bits.
const ID_LENGTH: usize = 32;

/// [`ID_LENGTH`] in base64url without padding.
const ID_TEXT_LENGTH: usize = 43;

/// 128 bits of the keyed hash distinguish sessions and reveal nothing.
const REFERENCE_LENGTH: usize = 16;

/// The content of the browser's cookie. Anybody who has it is logged in.
#[derive(Clone)]
pub struct SessionId(Zeroizing<[u8; ID_LENGTH]>);

/// The store's name for the session: the SHA-256 of the [`SessionId`]. Not enough to log in with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey([u8; 32]);

/// The public name of a session: in logs, at APIs (`X-Session-ID`), in lists of sessions. It changes with
/// `SESSION_SECRET`, and reveals neither the key nor the cookie.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct SessionRef(String);

// === impl SessionId ===

impl SessionId {
    /// A new id. Crate-private: only [`NewSession`](super::NewSession) draws one, once for each session.
    pub(super) fn generate(random: &dyn Random) -> Self {
        Self(Zeroizing::new(random.bytes()))
    }

    /// Reads a cookie's value: exactly 43 characters of base64url. `None` for anything else, also for a second
    /// spelling of the same bytes. Allocates nothing.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() != ID_TEXT_LENGTH {
            return None;
        }
        // The decoder needs a buffer for whole groups of four characters: one byte more than the result.
        let mut decoded = Zeroizing::new([0; ID_LENGTH + 1]);
        let length = URL_SAFE_NO_PAD.decode_slice(text, &mut *decoded).ok()?;
        let id = decoded.get(..length)?.try_into().ok()?;
        Some(Self(Zeroizing::new(id)))
    }

    /// The cookie's value, 43 characters of base64url. Each call is a place to review.
    #[must_use]
    pub fn expose(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.as_slice())
    }

    /// The store's name for the session of this id.
    #[must_use]
    pub fn key(&self) -> SessionKey {
        let mut key = [0; 32];
        key.copy_from_slice(digest::digest(&digest::SHA256, self.0.as_slice()).as_ref());
        SessionKey(key)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId([secret])")
    }
}

// === impl SessionKey ===

impl SessionKey {
    /// The key of these bytes, as a store or something sealed has kept them.
    pub(crate) const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for keyed hashes and for stores outside this process.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Logs name a session by its reference, which cannot be used to look into a store.
        f.debug_struct("SessionKey").finish_non_exhaustive()
    }
}

// === impl SessionRef ===

impl SessionRef {
    /// The reference of the session with `key`.
    #[must_use]
    pub fn new(sealer: &Sealer, key: &SessionKey) -> Self {
        let mac = sealer.mac(Purpose::SessionReference, key.as_bytes());
        Self(URL_SAFE_NO_PAD.encode(&mac[..REFERENCE_LENGTH]))
    }

    /// Whether `text` is the reference of the session with `key`, under any of the master secrets: a page may have read it
    /// from a process that has changed to a newer one.
    pub(super) fn names(sealer: &Sealer, key: &SessionKey, text: &str) -> bool {
        sealer
            .macs(Purpose::SessionReference, key.as_bytes())
            .any(|mac| URL_SAFE_NO_PAD.encode(&mac[..REFERENCE_LENGTH]) == text)
    }

    /// The text: 22 characters of base64url.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SessionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SessionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionRef({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::random::SystemRandom;

    #[test]
    fn an_id_survives_the_cookie() {
        let id = SessionId::generate(&SystemRandom);
        let text = id.expose();
        assert_eq!(text.len(), ID_TEXT_LENGTH);
        let parsed = SessionId::parse(text.as_bytes()).unwrap();
        assert_eq!(parsed.key(), id.key());
        assert_eq!(parsed.expose(), text);
    }

    #[test]
    fn the_key_is_the_sha_256_of_the_bytes() {
        let id = SessionId(Zeroizing::new([0; 32]));
        // SHA-256 of 32 zero bytes begins with 66687aad.
        assert_eq!(id.key().as_bytes()[..4], [0x66, 0x68, 0x7a, 0xad]);
    }

    #[test]
    fn other_spellings_and_lengths_are_refused() {
        let text = SessionId(Zeroizing::new([0; 32])).expose();
        for wrong in [
            String::new(),
            text[1..].to_owned(),
            format!("{text}A"),
            format!("{text}="),
            // The last character carries two bits that belong to no byte.
            format!("{}B", &text[..42]),
            format!("{}+", &text[..42]),
            format!("{}/", &text[..42]),
            format!("\"{}\"", &text[..41]),
        ] {
            assert!(SessionId::parse(wrong.as_bytes()).is_none(), "{wrong}");
        }
    }

    #[test]
    fn debug_shows_nothing_that_leads_to_the_cookie_or_the_record() {
        let id = SessionId(Zeroizing::new([1; 32]));
        assert_eq!(
            format!("{id:?} {:?}", id.key()),
            "SessionId([secret]) SessionKey { .. }"
        );
    }

    #[test]
    fn a_reference_depends_on_key_and_secret() {
        let sealer = |secret| Sealer::new(&[[secret; 32]], Arc::new(SystemRandom)).unwrap();
        let (one, two) = (SessionKey([1; 32]), SessionKey([2; 32]));
        let reference = SessionRef::new(&sealer(1), &one);
        assert_eq!(reference, SessionRef::new(&sealer(1), &one));
        assert_ne!(reference, SessionRef::new(&sealer(1), &two));
        assert_ne!(reference, SessionRef::new(&sealer(2), &one));
        assert_eq!(reference.as_str().len(), 22);
        assert_eq!(reference.to_string(), reference.as_str());
        let both = Sealer::new(&[[2; 32], [1; 32]], Arc::new(SystemRandom)).unwrap();
        assert!(SessionRef::names(&both, &one, reference.as_str()));
        assert!(!SessionRef::names(&both, &two, reference.as_str()));
        assert!(!SessionRef::names(&sealer(2), &one, reference.as_str()));
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_has_one_spelling(text in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Some(id) = SessionId::parse(&text) {
                prop_assert_eq!(id.expose().into_bytes(), text);
            }
        }
    }
}
