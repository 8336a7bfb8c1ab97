//! A time that only this server can have written, for one session and one purpose. It is stored nowhere: every replica
//! with the same `SESSION_SECRET` reads it.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    clock::Timestamp,
    seal::{Purpose, Sealer},
    session::SessionKey,
};

/// The time in front, in bytes.
const TIME_LENGTH: usize = 8;

/// The keyed hash behind it, in bytes.
const TAG_LENGTH: usize = 32;

/// Both in base64url without padding.
const TEXT_LENGTH: usize = 54;

/// The purpose of a stamp. A stamp is valid only for its own purpose and session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// The challenge for a proof; its time is its creation.
    Challenge,
    /// That the browser may register a key; its time is when it was made.
    Registration,
    /// That the browser has proven its key; its time is when that no longer counts.
    Cookie,
}

// === impl Stamp ===

impl Stamp {
    /// Writes `time` for the session with `key`: 54 characters of base64url.
    #[must_use]
    pub fn write(self, sealer: &Sealer, key: &SessionKey, time: Timestamp) -> String {
        let time = time.unix_millis().to_be_bytes();
        let tag = sealer.mac(self.purpose(), &signed(key, time));
        URL_SAFE_NO_PAD.encode([&time[..], &tag[..]].concat())
    }

    /// The time of a stamp that [`write`](Self::write) made for the same purpose and session. `None` for anything else.
    #[must_use]
    pub fn read(self, sealer: &Sealer, key: &SessionKey, text: &[u8]) -> Option<Timestamp> {
        if text.len() != TEXT_LENGTH {
            return None;
        }
        // The decoder needs a buffer for whole groups of four characters.
        let mut decoded = [0; TIME_LENGTH + TAG_LENGTH + 2];
        let length = URL_SAFE_NO_PAD.decode_slice(text, &mut decoded).ok()?;
        let (time, tag) = decoded.get(..length)?.split_first_chunk::<TIME_LENGTH>()?;
        sealer
            .mac_matches(self.purpose(), &signed(key, *time), tag)
            .then(|| Timestamp::from_unix_millis(u64::from_be_bytes(*time)))
    }

    const fn purpose(self) -> Purpose {
        match self {
            Self::Challenge => Purpose::DeviceChallenge,
            Self::Registration => Purpose::DeviceRegistration,
            Self::Cookie => Purpose::DeviceCookie,
        }
    }
}

fn signed(key: &SessionKey, time: [u8; TIME_LENGTH]) -> [u8; 32 + TIME_LENGTH] {
    let mut signed = [0; 32 + TIME_LENGTH];
    let (front, back) = signed.split_at_mut(32);
    front.copy_from_slice(key.as_bytes());
    back.copy_from_slice(&time);
    signed
}
