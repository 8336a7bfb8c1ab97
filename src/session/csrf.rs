//! The CSRF token: the second proof that a state-changing request comes from the application.
//!
//! It is a keyed hash of the session's key: nothing is stored, every replica can compute it, and it ends with the
//! session. It is not masked for each answer against BREACH. That attack needs an answer that reflects the request
//! and is compressed. The answers with the token (`/auth/session`, `/auth/csrf`) reflect nothing, are read with a
//! `SameSite` cookie, and this server compresses nothing. In return all tabs hold the same token, and none becomes
//! stale. The token is not the only proof either: the origin of the request is checked too.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::SessionKey;
use crate::seal::{Purpose, Sealer};

/// A SHA-256 in base64url without padding.
const TOKEN_LENGTH: usize = 43;

/// The CSRF token of the session with `key`: 43 characters of base64url.
#[must_use]
pub fn csrf_token(sealer: &Sealer, key: &SessionKey) -> String {
    URL_SAFE_NO_PAD.encode(sealer.mac(Purpose::CsrfToken, key.as_bytes()))
}

/// Whether `token` is the CSRF token of the session with `key`, under any of the master secrets, in constant time.
#[must_use]
pub fn csrf_token_matches(sealer: &Sealer, key: &SessionKey, token: &[u8]) -> bool {
    // The length is public, and a longer token is not worth decoding.
    token.len() == TOKEN_LENGTH
        && URL_SAFE_NO_PAD
            .decode(token)
            .is_ok_and(|tag| sealer.mac_matches(Purpose::CsrfToken, key.as_bytes(), &tag))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{random::SystemRandom, session::SessionId};

    fn sealer(secrets: &[[u8; 32]]) -> Sealer {
        Sealer::new(secrets, Arc::new(SystemRandom)).unwrap()
    }

    fn key() -> SessionKey {
        SessionId::generate(&SystemRandom).key()
    }

    #[test]
    fn a_token_is_good_for_its_session_alone() {
        let (sealer, mine, yours) = (sealer(&[[1; 32]]), key(), key());
        let token = csrf_token(&sealer, &mine);
        assert!(csrf_token_matches(&sealer, &mine, token.as_bytes()));
        assert!(!csrf_token_matches(&sealer, &yours, token.as_bytes()));
    }

    #[test]
    fn a_token_survives_the_rotation_of_the_secret_and_ends_with_it() {
        let key = key();
        let token = csrf_token(&sealer(&[[1; 32]]), &key);
        assert!(csrf_token_matches(
            &sealer(&[[2; 32], [1; 32]]),
            &key,
            token.as_bytes()
        ));
        assert!(!csrf_token_matches(&sealer(&[[2; 32]]), &key, token.as_bytes()));
    }

    #[test]
    fn anything_else_is_refused() {
        let (sealer, key) = (sealer(&[[1; 32]]), key());
        let token = csrf_token(&sealer, &key);
        for wrong in [
            "",
            &token[1..],
            &format!("{token}A"),
            &format!("{token}="),
            &"A".repeat(43),
            &"!".repeat(43),
        ] {
            assert!(!csrf_token_matches(&sealer, &key, wrong.as_bytes()), "{wrong}");
        }
        assert!(!csrf_token_matches(&sealer, &key, &[0xff; 43]));
    }

    #[test]
    fn it_is_not_the_reference_that_apis_see() {
        let (sealer, key) = (sealer(&[[1; 32]]), key());
        let reference = crate::session::SessionRef::new(&sealer, &key);
        assert!(!csrf_token(&sealer, &key).starts_with(reference.as_str()));
    }
}
