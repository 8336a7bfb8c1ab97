//! The hash of a session key, which is a hash already.

use std::hash::{BuildHasherDefault, Hasher};

/// Uses the first eight bytes of a [`SessionKey`](crate::session::SessionKey) unchanged. An attacker cannot choose
/// them: every key in the map is the SHA-256 of an id that was drawn at random here.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::session) struct KeySpread(u64);

/// Makes [`KeySpread`]s.
pub(in crate::session) type BuildKeySpread = BuildHasherDefault<KeySpread>;

// === impl KeySpread ===

impl Hasher for KeySpread {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_ne_bytes(*first);
        }
    }

    /// The length that comes before the bytes of an array.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher as _;

    use super::*;
    use crate::session::{SessionId, SessionKey};

    #[test]
    fn keys_are_spread_by_their_first_bytes() {
        let key: SessionKey = SessionId::parse(&[b'A'; 43]).unwrap().key();
        let first = *key.as_bytes().first_chunk().unwrap();
        assert_eq!(BuildKeySpread::default().hash_one(key), u64::from_ne_bytes(first));
    }
}
