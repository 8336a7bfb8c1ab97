//! The last known state of a page: the id of an event, which its browser sends after a lost connection
//! (`Last-Event-ID`).

use http::{HeaderMap, HeaderName};

use crate::{
    clock::Timestamp,
    seal::{Purpose, Sealer},
    session::SessionKey,
};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The key and two times of 8 bytes.
const LENGTH: usize = 32 + 8 + 8;

/// A longer id is not ours, in characters.
const MAX_TEXT_LENGTH: usize = 160;

/// A state of a session. It is sealed: it reveals nothing to a page, and nobody can forge one to ask about a foreign
/// session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LastHeard {
    /// The session.
    pub(super) key: SessionKey,
    /// [`Outlook::mark`](crate::session::Outlook::mark).
    pub(super) mark: (Timestamp, Timestamp),
}

// === impl LastHeard ===

impl LastHeard {
    /// That of a request. `None` also for anything that we have not sealed.
    pub(super) fn of(sealer: &Sealer, headers: &HeaderMap) -> Option<Self> {
        let text = headers.get(LAST_EVENT_ID)?.to_str().ok()?;
        if text.len() > MAX_TEXT_LENGTH {
            return None;
        }
        let opened = sealer.open_text(Purpose::EventId, &[], text)?;
        let opened: &[u8; LENGTH] = opened.as_slice().try_into().ok()?;
        let (key, rest) = opened.split_first_chunk()?;
        let (ends_at, rest) = rest.split_first_chunk()?;
        let (obtained_at, _) = rest.split_first_chunk()?;
        let time = |bytes: &[u8; 8]| Timestamp::from_unix_millis(u64::from_be_bytes(*bytes));
        Some(Self {
            key: SessionKey::from_bytes(*key),
            mark: (time(ends_at), time(obtained_at)),
        })
    }

    /// As the id of an event.
    pub(super) fn seal(&self, sealer: &Sealer) -> String {
        let mut text = Vec::with_capacity(LENGTH);
        text.extend_from_slice(self.key.as_bytes());
        text.extend_from_slice(&self.mark.0.unix_millis().to_be_bytes());
        text.extend_from_slice(&self.mark.1.unix_millis().to_be_bytes());
        sealer.seal_text(Purpose::EventId, &[], &text)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::HeaderValue;

    use super::*;
    use crate::random::SystemRandom;

    fn sealer(secret: u8) -> Sealer {
        Sealer::new(&[[secret; 32]], Arc::new(SystemRandom)).unwrap()
    }

    fn read(sealer: &Sealer, text: &str) -> Option<LastHeard> {
        let mut headers = HeaderMap::new();
        headers.insert(LAST_EVENT_ID, HeaderValue::from_str(text).unwrap());
        LastHeard::of(sealer, &headers)
    }

    #[test]
    fn an_id_is_read_again_by_the_servers_that_have_the_secret() {
        let heard = LastHeard {
            key: SessionKey::from_bytes([1; 32]),
            mark: (Timestamp::from_unix_seconds(2), Timestamp::from_unix_seconds(3)),
        };
        let text = heard.seal(&sealer(1));
        assert!(text.len() <= MAX_TEXT_LENGTH);
        assert_eq!(read(&sealer(1), &text), Some(heard));
        assert_eq!(read(&sealer(2), &text), None);
        // It names the session, and not to the one who carries it.
        assert_ne!(text, heard.seal(&sealer(1)));
    }

    #[test]
    fn anything_else_is_none() {
        let sealer = sealer(1);
        assert_eq!(LastHeard::of(&sealer, &HeaderMap::new()), None);
        for text in [
            String::new(),
            "1".to_owned(),
            "A".repeat(10_000),
            sealer.seal_text(Purpose::EventId, &[], b"short"),
            sealer.seal_text(Purpose::LogoutReturn, &[], &[0; LENGTH]),
        ] {
            assert_eq!(read(&sealer, &text), None, "{text}");
        }
    }
}
