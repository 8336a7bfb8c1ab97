//! The form of a session outside this process: sealed for its key, under names that reveal nothing.
//!
//! A record opens only under the key that it was sealed for. A writer of the store cannot put one person's session in the
//! place of another's. Sessions are found by a keyed hash. A reader of the store does not learn who is logged in.

use std::{collections::HashSet, sync::Arc};

use parking_lot::Mutex;

use super::{StoreError, Whose};
use crate::{
    diagnostic::{Explain, Fix, Knob, fix},
    seal::{Purpose, Sealer},
    session::{RecordError, Session, SessionKey, SessionRef},
};

/// The number of unreadable sessions that are logged, each once. A wrong secret makes all of them unreadable.
const MAX_TOLD: usize = 1_000;

/// Seals and opens the sessions of a store.
#[derive(Debug)]
pub(super) struct Seal {
    sealer: Sealer,
    /// Those that could not be read and were logged.
    told: Mutex<HashSet<SessionKey>>,
}

/// The name of an owner in an index.
pub(super) type Owner = [u8; 32];

/// Why a stored session cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Unreadable {
    #[error("it was changed, or was sealed under a secret that is no longer configured")]
    Sealed,
    #[error(transparent)]
    Record(#[from] RecordError),
}

// === impl Unreadable ===

impl Explain for Unreadable {
    fn fix(&self) -> Option<Fix> {
        match self {
            Self::Sealed => Some(fix!(
                "leave the old secret behind the new one in {} for as long as sessions live",
                Knob::SessionSecret
            )),
            Self::Record(_) => None,
        }
    }
}

// === impl Seal ===

impl Seal {
    pub(super) fn new(sealer: Sealer) -> Self {
        Self {
            sealer,
            told: Mutex::default(),
        }
    }

    /// The session, sealed for `key`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the claims about the person do not serialise.
    pub(super) fn seal(&self, key: &SessionKey, session: &Session) -> Result<Vec<u8>, StoreError> {
        let record = zeroize::Zeroizing::new(session.encode().map_err(StoreError::unavailable)?);
        Ok(self.sealer.seal(Purpose::Session, key.as_bytes(), &record))
    }

    /// The session that was sealed for `key`. `None`, and one line in the log, for anything else.
    pub(super) fn open(&self, key: &SessionKey, sealed: &[u8]) -> Option<Arc<Session>> {
        match self.try_open(key, sealed) {
            Ok(session) => Some(Arc::new(session)),
            Err(error) => {
                self.tell(key, error);
                None
            }
        }
    }

    fn try_open(&self, key: &SessionKey, sealed: &[u8]) -> Result<Session, Unreadable> {
        let record = self.sealer.open(Purpose::Session, key.as_bytes(), sealed);
        let record = zeroize::Zeroizing::new(record.ok_or(Unreadable::Sealed)?);
        Ok(Session::decode(&record)?)
    }

    fn tell(&self, key: &SessionKey, error: Unreadable) {
        let mut told = self.told.lock();
        if told.len() < MAX_TOLD && told.insert(*key) {
            tracing::warn!(
                session = %SessionRef::new(&self.sealer, key),
                error = error.told(),
                "a stored session is unreadable; it counts as ended, and the person logs in again"
            );
        }
    }

    /// The name under which a session of `whose` is filed.
    pub(super) fn owner(&self, whose: Whose<'_>) -> Owner {
        self.sealer.mac(Purpose::SessionOwner, &whose.digest())
    }

    /// The names under which the sessions of `whose` may have been filed, with secrets of before too.
    pub(super) fn owners(&self, whose: Whose<'_>) -> impl Iterator<Item = Owner> {
        self.sealer.macs(Purpose::SessionOwner, whose.digest())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Timestamp,
        random::SystemRandom,
        session::{SessionId, testing::session},
        telemetry::testing::Logs,
    };

    fn seal(secrets: &[[u8; 32]]) -> Seal {
        Seal::new(Sealer::new(secrets, Arc::new(SystemRandom)).unwrap())
    }

    fn key() -> SessionKey {
        SessionId::generate(&SystemRandom).key()
    }

    fn alice() -> Session {
        session("alice", "access", Timestamp::from_unix_seconds(1_000_000))
    }

    #[test]
    fn a_session_opens_for_its_own_key_alone() {
        let (seal, one, two) = (seal(&[[7; 32]]), key(), key());
        let sealed = seal.seal(&one, &alice()).unwrap();
        assert_eq!(seal.open(&one, &sealed).unwrap().subject, "alice");
        assert!(seal.open(&two, &sealed).is_none());
    }

    #[test]
    fn nothing_of_a_session_can_be_seen() {
        let (seal, key) = (seal(&[[7; 32]]), key());
        let sealed = seal.seal(&key, &alice()).unwrap();
        for secret in ["alice", "access", "refresh", "idp.test", "openid"] {
            assert!(!sealed.windows(secret.len()).any(|part| part == secret.as_bytes()));
        }
    }

    #[test]
    fn a_rotated_secret_opens_and_finds_what_was_stored_before() {
        let (old, both, new) = (seal(&[[1; 32]]), seal(&[[2; 32], [1; 32]]), seal(&[[2; 32]]));
        let (key, alice) = (key(), alice());
        let whose = Whose::person(&alice);
        let sealed = old.seal(&key, &alice).unwrap();
        assert!(both.open(&key, &sealed).is_some());
        assert!(new.open(&key, &sealed).is_none());
        let filed = old.owner(whose);
        assert_ne!(both.owner(whose), filed);
        assert!(both.owners(whose).any(|owner| owner == filed));
        assert!(!new.owners(whose).any(|owner| owner == filed));
        assert!(new.open(&key, &both.seal(&key, &alice).unwrap()).is_some());
    }

    #[test]
    fn what_cannot_be_read_is_logged_once_for_each_session() {
        let log = Logs::capture();
        let (seal, one, two) = (seal(&[[7; 32]]), key(), key());
        let sealed = seal.seal(&one, &alice()).unwrap();
        for _ in 0..3 {
            for broken in [&sealed[..sealed.len() - 1], b"", b"{\"access\":\"planted\"}"] {
                assert!(seal.open(&one, broken).is_none());
                assert!(seal.open(&two, broken).is_none());
            }
        }
        let lines = log.lines("WARN");
        assert_eq!(lines.len(), 2, "{lines:?}");
        for line in lines {
            assert!(
                line.contains("[SessionSecret]") && !line.contains("planted"),
                "{line}"
            );
        }
    }

    #[test]
    fn a_record_of_another_layout_is_said_to_be_one() {
        let log = Logs::capture();
        let (seal, key) = (seal(&[[7; 32]]), key());
        let mut record = alice().encode().unwrap();
        record[0] += 1;
        let sealed = seal.sealer.seal(Purpose::Session, key.as_bytes(), &record);
        assert!(seal.open(&key, &sealed).is_none());
        log.has_part("WARN", "a layout that this version does not know");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_no_session(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            proptest::prop_assert!(seal(&[[7; 32]]).open(&key(), &bytes).is_none());
        }
    }
}
