//! Bytes that do not stay in memory: bodies contain tokens, codes and secrets.

use bytes::Bytes;
use zeroize::Zeroizing;

/// A buffer whose bytes are wiped when it is dropped, and also when it grows.
#[derive(Default)]
pub(super) struct Wiped(Zeroizing<Vec<u8>>);

// === impl Wiped ===

impl Wiped {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self(Zeroizing::new(Vec::with_capacity(bytes)))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn push(&mut self, piece: &[u8]) {
        let needed = self.0.len() + piece.len();
        if needed > self.0.capacity() {
            // A vector that grows by itself leaves copies of its bytes.
            let mut larger = Zeroizing::new(Vec::with_capacity(needed.max(2 * self.0.capacity())));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(piece);
    }

    /// The bytes, shared: wiped when the last holder drops them.
    pub(super) fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl From<String> for Wiped {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text.into_bytes()))
    }
}

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use crate::secret::testing::{holds, memory};

    const TOKEN: &[u8] = b"a-token-that-nobody-else-may-have-in-memory-";

    fn holds_token(memory: &[u8]) -> bool {
        holds(memory, TOKEN)
    }

    #[test]
    fn nothing_stays_in_memory_of_what_has_been_dropped_or_outgrown() {
        let mut body = Wiped::with_capacity(4_096);
        for _ in 0..80 {
            body.push(TOKEN);
        }
        let (outgrown, length) = (body.0.as_ptr() as usize, body.len());
        assert!(holds_token(&memory(outgrown, length)));
        while body.0.as_ptr() as usize == outgrown {
            body.push(TOKEN);
        }
        assert!(!holds_token(&memory(outgrown, length)));

        let bytes = body.into_bytes();
        let (dropped, length) = (bytes.as_ptr() as usize, bytes.len());
        let shared = bytes.slice(10..);
        drop(bytes);
        assert!(holds_token(&memory(dropped, length)), "somebody holds it still");
        drop(shared);
        assert!(!holds_token(&memory(dropped, length)));
    }
}
