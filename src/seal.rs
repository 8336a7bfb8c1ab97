//! Authenticated encryption and keyed hashes under one master secret.
//!
//! Every use has its own [`Purpose`], and every record its own key: HKDF-SHA-256 over the master secret with purpose
//! and context. Therefore no key seals many records, and data sealed for one purpose does not open for another. The
//! encryption is AES-256-GCM with a random nonce. Several master secrets may be given: the first one seals and all of
//! them open, so that `SESSION_SECRET` can be rotated.
//!
//! Layout of a sealed value: version (1 byte), key id (4), nonce (12), ciphertext, tag (16).

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf, hmac,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::random::{RandomExt as _, SharedRandom};

const VERSION: u8 = 1;
const KEY_ID_LENGTH: usize = 4;
const HEADER_LENGTH: usize = 1 + KEY_ID_LENGTH;
const TAG_LENGTH: usize = 16;

/// A shorter master secret is refused, in bytes.
pub const MIN_SECRET_LENGTH: usize = 32;

/// The purpose of a sealed or hashed value. Purposes never share a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A login attempt in its cookie; context: its `state`.
    LoginAttempt,
    /// The target after the IdP's logout page, in its cookie.
    LogoutReturn,
    /// Which session the last login of a browser gave, in its cookie.
    LatestSession,
    /// The CSRF token of a session; context: the session's key in the store.
    CsrfToken,
    /// The public reference of a session.
    SessionReference,
    /// A session in a store; context: its key there.
    Session,
    /// The name of an owner in a store.
    SessionOwner,
    /// The answer to the registration, if processes share it.
    ClientRecord,
    /// Which key signs, where processes share that.
    KeyringRecord,
    /// Lets processes check that they have the same secrets.
    Fingerprint,
    /// The outcome of a login, for another process; under the secret of the attempt.
    LoginAnswer,
    /// The person or session that a logout token has named, for other processes; context: the name of the note.
    LoggedOut,
    /// The last known state of a page (`Last-Event-ID`).
    EventId,
    /// The challenge for the proof of a device's key; context: the session's key in the store.
    DeviceChallenge,
    /// Who may register a device's key; context: as above.
    DeviceRegistration,
    /// The cookie that says that a device has proven its key; context: as above.
    DeviceCookie,
    /// The names of rate limits.
    RateLimit,
}

/// Seals, opens and hashes. Cheap to clone.
#[derive(Clone)]
pub struct Sealer {
    secrets: std::sync::Arc<[Master]>,
    random: SharedRandom,
}

/// Why a sealer cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealerError {
    /// No secret at all.
    #[error("no secret was given")]
    Missing,
    /// A secret with fewer than [`MIN_SECRET_LENGTH`] bytes.
    #[error("a secret has fewer than {MIN_SECRET_LENGTH} bytes")]
    TooShort,
}

struct Master {
    id: [u8; KEY_ID_LENGTH],
    prk: hkdf::Prk,
    /// The key of keyed hashes for each purpose, made once: hashing is on the path of every request.
    mac_keys: [hmac::Key; Purpose::ALL.len()],
}

/// A 32-byte output of HKDF.
struct Key256;

// === impl Purpose ===

impl Purpose {
    const ALL: [Self; 17] = [
        Self::LoginAttempt,
        Self::LogoutReturn,
        Self::LatestSession,
        Self::CsrfToken,
        Self::SessionReference,
        Self::Session,
        Self::SessionOwner,
        Self::ClientRecord,
        Self::KeyringRecord,
        Self::Fingerprint,
        Self::LoginAnswer,
        Self::LoggedOut,
        Self::EventId,
        Self::DeviceChallenge,
        Self::DeviceRegistration,
        Self::DeviceCookie,
        Self::RateLimit,
    ];

    const fn label(self) -> &'static [u8] {
        match self {
            Self::LoginAttempt => b"login-attempt",
            Self::LogoutReturn => b"logout-return",
            Self::LatestSession => b"latest-session",
            Self::CsrfToken => b"csrf-token",
            Self::SessionReference => b"session-reference",
            Self::Session => b"session",
            Self::SessionOwner => b"session-owner",
            Self::ClientRecord => b"client-record",
            Self::KeyringRecord => b"keyring-record",
            Self::Fingerprint => b"fingerprint",
            Self::LoginAnswer => b"login-answer",
            Self::LoggedOut => b"logged-out",
            Self::EventId => b"event-id",
            Self::RateLimit => b"rate-limit",
            Self::DeviceChallenge => b"device-challenge",
            Self::DeviceRegistration => b"device-registration",
            Self::DeviceCookie => b"device-cookie",
        }
    }
}

// === impl Sealer ===

impl Sealer {
    /// A sealer under `secrets`: the first one seals and all open.
    ///
    /// # Errors
    ///
    /// [`SealerError`] if there is none or one is too short.
    pub fn new<S: AsRef<[u8]>>(secrets: &[S], random: SharedRandom) -> Result<Self, SealerError> {
        if secrets.is_empty() {
            return Err(SealerError::Missing);
        }
        let secrets = secrets
            .iter()
            .map(|secret| match secret.as_ref() {
                short if short.len() < MIN_SECRET_LENGTH => Err(SealerError::TooShort),
                secret => Ok(Master::new(secret)),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { secrets, random })
    }

    /// Seals `plaintext` for `purpose` and `context`; only the same two open it again.
    #[must_use]
    pub fn seal(&self, purpose: Purpose, context: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let master = &self.secrets[0];
        let nonce = self.random.bytes::<NONCE_LEN>();
        let mut sealed = Vec::with_capacity(HEADER_LENGTH + NONCE_LEN + plaintext.len() + TAG_LENGTH);
        sealed.push(VERSION);
        sealed.extend_from_slice(&master.id);
        let header: [u8; HEADER_LENGTH] = header(master);
        sealed.extend_from_slice(&nonce);
        let mut body = plaintext.to_vec();
        let tag = master
            .aead(purpose, context)
            .and_then(|key| {
                key.seal_in_place_separate_tag(
                    Nonce::assume_unique_for_key(nonce),
                    Aad::from(header),
                    &mut body,
                )
            })
            .unwrap_or_else(|_| unsealable());
        sealed.extend_from_slice(&body);
        sealed.extend_from_slice(tag.as_ref());
        sealed
    }

    /// Opens the output of [`seal`](Self::seal) for the same `purpose` and `context`. `None` for anything else:
    /// another key, purpose or context, a changed byte, garbage.
    #[must_use]
    pub fn open(&self, purpose: Purpose, context: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (head, body) = sealed.split_at_checked(HEADER_LENGTH)?;
        let (nonce, body) = body.split_first_chunk::<NONCE_LEN>()?;
        let master = self.secrets.iter().find(|master| header(master) == head)?;
        let mut body = body.to_vec();
        let key = master.aead(purpose, context).ok()?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = key
            .open_in_place(nonce, Aad::from(header(master)), &mut body)
            .ok()?
            .len();
        body.truncate(length);
        Some(body)
    }

    /// Whether `sealed` was sealed under the first secret, and so still opens after the others are removed.
    #[must_use]
    pub fn is_current(&self, sealed: &[u8]) -> bool {
        sealed.starts_with(&header(&self.secrets[0]))
    }

    /// [`seal`](Self::seal) as base64url, for cookies.
    #[must_use]
    pub fn seal_text(&self, purpose: Purpose, context: &[u8], plaintext: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode(self.seal(purpose, context, plaintext))
    }

    /// [`open`](Self::open) of base64url.
    #[must_use]
    pub fn open_text(&self, purpose: Purpose, context: &[u8], sealed: &str) -> Option<Vec<u8>> {
        self.open(purpose, context, &URL_SAFE_NO_PAD.decode(sealed).ok()?)
    }

    /// A keyed hash of `data` under the first secret (HMAC-SHA-256).
    #[must_use]
    pub fn mac(&self, purpose: Purpose, data: &[u8]) -> [u8; 32] {
        self.secrets[0].mac(purpose, data)
    }

    /// The keyed hashes of `data` under all secrets, that of [`mac`](Self::mac) first.
    pub fn macs<'a>(
        &'a self,
        purpose: Purpose,
        data: impl AsRef<[u8]> + 'a,
    ) -> impl Iterator<Item = [u8; 32]> + 'a {
        self.secrets
            .iter()
            .map(move |master| master.mac(purpose, data.as_ref()))
    }

    /// Whether `tag` is the keyed hash of `data` under any of the secrets; in constant time for each.
    #[must_use]
    pub fn mac_matches(&self, purpose: Purpose, data: &[u8], tag: &[u8]) -> bool {
        use subtle::ConstantTimeEq as _;
        self.secrets
            .iter()
            .any(|master| master.mac(purpose, data).ct_eq(tag).into())
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer")
            .field("secrets", &self.secrets.len())
            .finish_non_exhaustive()
    }
}

// === impl Master ===

impl Master {
    fn new(secret: &[u8]) -> Self {
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, b"bff").extract(secret);
        let mut id = [0; KEY_ID_LENGTH];
        id.copy_from_slice(&derive(&prk, &[b"key-id"])[..KEY_ID_LENGTH]);
        let mac_keys = Purpose::ALL
            .map(|purpose| hmac::Key::new(hmac::HMAC_SHA256, &derive(&prk, &[b"mac:", purpose.label()])));
        Self { id, prk, mac_keys }
    }

    fn aead(&self, purpose: Purpose, context: &[u8]) -> Result<LessSafeKey, aws_lc_rs::error::Unspecified> {
        let key = derive(&self.prk, &[b"seal:", purpose.label(), b":", context]);
        Ok(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key)?))
    }

    fn mac(&self, purpose: Purpose, data: &[u8]) -> [u8; 32] {
        let mut mac = [0; 32];
        mac.copy_from_slice(hmac::sign(&self.mac_keys[purpose as usize], data).as_ref());
        mac
    }
}

fn header(master: &Master) -> [u8; HEADER_LENGTH] {
    let mut header = [VERSION; HEADER_LENGTH];
    header[1..].copy_from_slice(&master.id);
    header
}

fn derive(prk: &hkdf::Prk, info: &[&[u8]]) -> [u8; 32] {
    let mut key = [0; 32];
    prk.expand(info, Key256)
        .and_then(|okm| okm.fill(&mut key))
        .unwrap_or_else(|_| unsealable());
    key
}

/// HKDF and AES-GCM fail only for lengths that no caller can reach (255 blocks, 64 GiB). Continuing would send data
/// in clear text.
fn unsealable<T>() -> T {
    tracing::error!("authenticated encryption failed; ending the process");
    std::process::abort()
}

impl hkdf::KeyType for Key256 {
    fn len(&self) -> usize {
        32
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::random::SystemRandom;

    fn sealer(secrets: &[[u8; 32]]) -> Sealer {
        Sealer::new(secrets, Arc::new(SystemRandom)).unwrap()
    }

    #[test]
    fn short_or_missing_secrets_are_refused() {
        let random = || Arc::new(SystemRandom);
        assert_eq!(
            Sealer::new::<[u8; 32]>(&[], random()).unwrap_err(),
            SealerError::Missing
        );
        assert_eq!(
            Sealer::new(&[[0; 31]], random()).unwrap_err(),
            SealerError::TooShort
        );
    }

    #[test]
    fn purposes_and_contexts_do_not_open_each_other() {
        let sealer = sealer(&[[1; 32]]);
        let closed = sealer.seal(Purpose::LoginAttempt, b"a", b"text");
        assert_eq!(
            sealer.open(Purpose::LoginAttempt, b"a", &closed).unwrap(),
            b"text"
        );
        assert!(sealer.open(Purpose::LoginAttempt, b"b", &closed).is_none());
        assert!(sealer.open(Purpose::LogoutReturn, b"a", &closed).is_none());
    }

    #[test]
    fn a_rotated_secret_still_opens_and_no_longer_seals() {
        let (old, new) = (sealer(&[[1; 32]]), sealer(&[[2; 32], [1; 32]]));
        let sealed = old.seal(Purpose::LoginAttempt, b"", b"text");
        assert_eq!(new.open(Purpose::LoginAttempt, b"", &sealed).unwrap(), b"text");
        assert!(
            old.open(
                Purpose::LoginAttempt,
                b"",
                &new.seal(Purpose::LoginAttempt, b"", b"text")
            )
            .is_none()
        );
        assert!(old.is_current(&sealed) && !new.is_current(&sealed));
        let tag = old.mac(Purpose::CsrfToken, b"x");
        assert!(new.mac_matches(Purpose::CsrfToken, b"x", &tag));
        assert!(!new.mac_matches(Purpose::CsrfToken, b"y", &tag));
        assert_ne!(new.mac(Purpose::CsrfToken, b"x"), tag);
        let macs: Vec<_> = new.macs(Purpose::CsrfToken, b"x").collect();
        assert_eq!(macs, [new.mac(Purpose::CsrfToken, b"x"), tag]);
    }

    proptest! {
        #[test]
        fn any_changed_byte_is_noticed(text in proptest::collection::vec(any::<u8>(), 0..64), at: prop::sample::Index, bit in 0u8..8) {
            let sealer = sealer(&[[7; 32]]);
            let mut closed = sealer.seal(Purpose::LoginAttempt, b"", &text);
            prop_assert_eq!(sealer.open(Purpose::LoginAttempt, b"", &closed), Some(text));
            let at = at.index(closed.len());
            closed[at] ^= 1 << bit;
            prop_assert_eq!(sealer.open(Purpose::LoginAttempt, b"", &closed), None);
        }

        #[test]
        fn garbage_never_opens(garbage in proptest::collection::vec(any::<u8>(), 0..128), text in ".{0,64}") {
            let sealer = sealer(&[[7; 32]]);
            prop_assert_eq!(sealer.open(Purpose::LoginAttempt, b"", &garbage), None);
            prop_assert_eq!(sealer.open_text(Purpose::LoginAttempt, b"", &text), None);
        }
    }
}
