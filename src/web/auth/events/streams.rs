//! How many streams are open.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;

use super::super::super::problem::{Code, Problem};
use crate::session::SessionKey;

/// The maximum number of streams of one session: more tabs than people have open.
const MAX_OF_SESSION: usize = 20;

/// The maximum number of streams, some 100 MiB.
const MAX: usize = 50_000;

/// The delay before a client with too many streams may retry.
const TRY_AGAIN: Duration = Duration::from_secs(30);

/// The streams that are open, counted.
#[derive(Clone, Debug)]
pub(in super::super::super) struct Streams(Arc<Counted>);

#[derive(Debug)]
struct Counted {
    /// The configured maximum.
    max: usize,
    open: Mutex<Open>,
}

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
    #[error("the server has {0} open streams of events, half of the connections that it may have or {MAX}")]
    OfAll(usize),
}

// === impl Streams ===

impl Streams {
    /// At most half of the `connections` of the server: streams live long, and leave room for everything else.
    pub(in super::super::super) fn beside(connections: usize) -> Self {
        Self(Arc::new(Counted {
            max: MAX.min(connections / 2),
            open: Mutex::default(),
        }))
    }

    /// A place for one more stream of the session.
    pub(super) fn open(&self, key: &SessionKey) -> Result<Place, TooMany> {
        let max = self.0.max;
        let mut open = self.0.open.lock();
        if open.all >= max {
            return Err(TooMany::OfAll(max));
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
        let mut open = self.streams.0.open.lock();
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
            TooMany::OfSession => Self::new(Code::TooManyStreams, error.to_string()).retry_after(TRY_AGAIN),
            TooMany::OfAll(_) => Self::unavailable(Code::Busy).because(
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

    /// A closed stream makes room.
    #[test]
    fn the_streams_of_a_session_are_limited() {
        let streams = Streams::beside(10_000);
        let mut places: Vec<_> = (0..MAX_OF_SESSION)
            .map(|_| streams.open(&key(1)).unwrap())
            .collect();
        assert_eq!(streams.open(&key(1)).unwrap_err(), TooMany::OfSession);
        let other = streams.open(&key(2)).unwrap();
        places.pop();
        places.push(streams.open(&key(1)).unwrap());
        drop((places, other));
        let open = streams.0.open.lock();
        assert_eq!((open.all, open.of_session.len()), (0, 0));
    }

    /// They take at most half of its connections.
    #[test]
    fn the_streams_of_the_server_are_limited() {
        let streams = Streams::beside(200);
        let places: Vec<_> = (0..100)
            .map(|number| streams.open(&key(number)).unwrap())
            .collect();
        let refused = streams.open(&key(u32::MAX)).unwrap_err();
        assert_eq!(refused, TooMany::OfAll(100));
        assert_eq!(Problem::from(refused).code(), "busy");
        // A refused stream leaves nothing behind.
        assert_eq!(streams.0.open.lock().of_session.len(), 100);
        drop(places);
        streams.open(&key(0)).unwrap();
        assert_eq!(Streams::beside(usize::MAX).0.max, MAX);
    }
}
