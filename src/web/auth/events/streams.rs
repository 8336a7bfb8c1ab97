//! How many streams are open.

use std::{collections::HashMap, sync::Arc, time::Duration};

use http::StatusCode;
use parking_lot::Mutex;

use super::super::super::problem::Problem;
use crate::session::SessionKey;

/// So many streams of one session at a time: more tabs than people have open.
const MAX_OF_SESSION: usize = 20;

/// So many streams at a time, some 100 MiB.
const MAX: usize = 50_000;

/// When somebody who has too many may try again.
const TRY_AGAIN: Duration = Duration::from_secs(30);

/// The streams that are open, counted.
#[derive(Clone, Debug, Default)]
pub(in super::super::super) struct Streams(Arc<Mutex<Open>>);

#[derive(Debug, Default)]
struct Open {
    of_session: HashMap<SessionKey, usize>,
    all: usize,
}

/// The place of one stream, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    streams: Streams,
    key: SessionKey,
}

/// Why there is no place for another stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TooMany {
    /// The session has as many as it may have.
    #[error("this session has {MAX_OF_SESSION} open streams of events; close one, or share one between tabs")]
    OfSession,
    /// The server has.
    #[error("the server has {MAX} open streams of events")]
    OfAll,
}

// === impl Streams ===

impl Streams {
    /// A place for one more stream of the session.
    pub(super) fn open(&self, key: &SessionKey) -> Result<Place, TooMany> {
        let mut open = self.0.lock();
        if open.all >= MAX {
            return Err(TooMany::OfAll);
        }
        let of_session = open.of_session.entry(*key).or_default();
        if *of_session >= MAX_OF_SESSION {
            return Err(TooMany::OfSession);
        }
        *of_session += 1;
        open.all += 1;
        Ok(Place {
            streams: self.clone(),
            key: *key,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.streams.0.lock();
        open.all = open.all.saturating_sub(1);
        if let Some(of_session) = open.of_session.get_mut(&self.key) {
            *of_session = of_session.saturating_sub(1);
            if *of_session == 0 {
                open.of_session.remove(&self.key);
            }
        }
    }
}

impl From<TooMany> for Problem {
    fn from(error: TooMany) -> Self {
        match error {
            TooMany::OfSession => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_streams",
                "Too many open streams",
                error.to_string(),
            )
            .retry_after(TRY_AGAIN),
            TooMany::OfAll => Self::unavailable("busy").because(
                tracing::Level::WARN,
                "a stream of events was refused",
                &error,
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> SessionKey {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        SessionKey::from_bytes(bytes)
    }

    #[test]
    fn a_session_has_so_many_and_a_place_is_free_again_when_its_stream_is_gone() {
        let streams = Streams::default();
        let mut places: Vec<_> = (0..MAX_OF_SESSION)
            .map(|_| streams.open(&key(1)).unwrap())
            .collect();
        assert_eq!(streams.open(&key(1)).unwrap_err(), TooMany::OfSession);
        let other = streams.open(&key(2)).unwrap();
        places.pop();
        places.push(streams.open(&key(1)).unwrap());
        drop((places, other));
        let open = streams.0.lock();
        assert_eq!((open.all, open.of_session.len()), (0, 0));
    }

    #[test]
    fn the_server_has_so_many() {
        let streams = Streams::default();
        let places: Vec<_> = (0..u32::try_from(MAX).unwrap())
            .map(|number| streams.open(&key(number)).unwrap())
            .collect();
        let refused = streams.open(&key(u32::MAX)).unwrap_err();
        assert_eq!(refused, TooMany::OfAll);
        assert_eq!(Problem::from(refused).code(), "busy");
        // What was refused leaves nothing behind.
        assert_eq!(streams.0.lock().of_session.len(), MAX);
        drop(places);
        streams.open(&key(0)).unwrap();
    }
}
