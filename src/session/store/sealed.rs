//! Sessions as bytes that only the server's own secrets open: what is kept outside this process's memory.

use std::sync::Arc;

use super::StoreError;
use crate::{
    seal::{Purpose, Sealer},
    session::{RecordError, Session, SessionKey, SessionRef},
    told::Told,
};

/// So many unreadable sessions are told one by one.
const MAX_TOLD: usize = 100;

/// Seals sessions for a store. Each is sealed for its own key in the store, so that none can be put in another's place.
#[derive(Clone, Debug)]
pub(super) struct Seal {
    sealer: Sealer,
    told: Arc<Told>,
}

// === impl Seal ===

impl Seal {
    pub(super) fn new(sealer: Sealer) -> Self {
        Self {
            sealer,
            told: Arc::new(Told::at_most(MAX_TOLD)),
        }
    }

    /// The session as bytes.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where it cannot be written down, which no session that came from an IdP's JSON does.
    pub(super) fn seal(&self, key: &SessionKey, session: &Session) -> Result<Vec<u8>, StoreError> {
        let record = session
            .encode()
            .map_err(|error| StoreError::Unavailable(error.into()))?;
        Ok(self.sealer.seal(Purpose::Session, key.as_bytes(), &record))
    }

    /// Reads what [`seal`](Self::seal) made for `key`. `None`, with one log line for each such session, for anything
    /// else: sealed under a secret that this server does not have, written by another version, cut short, or not ours.
    pub(super) fn open(&self, key: &SessionKey, sealed: &[u8]) -> Option<Arc<Session>> {
        let opened = self.sealer.open(Purpose::Session, key.as_bytes(), sealed);
        let session = match opened.as_deref().map(Session::decode) {
            Some(Ok(session)) => return Some(Arc::new(session)),
            Some(Err(error)) => Some(error),
            None => None,
        };
        self.tell(key, session);
        None
    }

    fn tell(&self, key: &SessionKey, error: Option<RecordError>) {
        let session = SessionRef::new(&self.sealer, key);
        if !self.told.first(&session) {
            return;
        }
        match error {
            Some(error) => {
                tracing::warn!(%session, %error, "a stored session cannot be read; it counts as none")
            }
            None => tracing::warn!(
                %session,
                "a stored session does not open under SESSION_SECRET; it counts as none. Was the secret replaced? List the \
                 old one after the new one until its sessions have ended"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        random::SystemRandom,
        session::{SessionId, store::contract},
    };

    fn seal(secrets: &[[u8; 32]]) -> Seal {
        Seal::new(Sealer::new(secrets, Arc::new(SystemRandom)).unwrap())
    }

    fn key() -> SessionKey {
        SessionId::generate(&SystemRandom).key()
    }

    #[test]
    fn a_session_opens_for_its_own_key_and_under_any_of_the_secrets() {
        let (key, session) = (key(), contract::example_session());
        let sealed = seal(&[[1; 32]]).seal(&key, &session).unwrap();
        for secrets in [&[[1; 32]][..], &[[2; 32], [1; 32]]] {
            let opened = seal(secrets).open(&key, &sealed).unwrap();
            assert_eq!(opened.encode().unwrap(), session.encode().unwrap());
        }
        assert!(seal(&[[2; 32]]).open(&key, &sealed).is_none());
        assert!(seal(&[[1; 32]]).open(&self::key(), &sealed).is_none());
    }

    #[test]
    fn what_is_cut_short_or_changed_is_none() {
        let (key, seal) = (key(), seal(&[[1; 32]]));
        let sealed = seal.seal(&key, &contract::example_session()).unwrap();
        for length in [0, 1, 5, 20, sealed.len() - 1] {
            assert!(seal.open(&key, &sealed[..length]).is_none(), "{length}");
        }
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert!(seal.open(&key, &changed).is_none(), "{place}");
        }
        let newer = seal.sealer.seal(Purpose::Session, key.as_bytes(), b"\xffnewer");
        assert!(seal.open(&key, &newer).is_none());
    }

    #[test]
    fn nothing_of_the_session_is_seen_in_it() {
        let (key, seal) = (key(), seal(&[[1; 32]]));
        let sealed = seal.seal(&key, &contract::example_session()).unwrap();
        for secret in [&b"alice"[..], b"refresh", b"idp.test", key.as_bytes()] {
            assert!(!sealed.windows(secret.len()).any(|part| part == secret));
        }
    }
}
