//! How many streams of events, or WebSockets, are open. They live long, and must leave room for everything else.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;

use super::{
    Web,
    problem::{Code, Problem},
};
use crate::session::SessionKey;

/// The maximum number.
const MAX: usize = 50_000;

/// The delay before a client with too many streams may retry.
const TRY_AGAIN: Duration = Duration::from_secs(30);

/// The open ones of a kind, counted.
#[derive(Clone, Debug)]
pub(super) struct Streams(Arc<Counted>);

/// Their kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Streams of `/auth/events`.
    Events,
    /// WebSockets.
    WebSockets,
}

#[derive(Debug)]
struct Counted {
    kind: Kind,
    /// The configured maximum.
    max: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    of_session: HashMap<SessionKey, usize>,
    all: usize,
}

/// The place of one, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    streams: Streams,
    /// `None` outside sessions.
    key: Option<SessionKey>,
}

/// Why there is no place for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TooMany {
    /// The session has as many as it may have.
    #[error("this session has {} open {}; close one, or share one between tabs", .0.max_of_session(), .0.plural())]
    OfSession(Kind),
    /// The server has.
    #[error("the server has {max} open {}, half of the connections that it may have or {MAX}", .0.plural(), max = .1)]
    OfAll(Kind, usize),
}

// === impl Kind ===

impl Kind {
    /// More than the tabs that people have open need.
    const fn max_of_session(self) -> usize {
        match self {
            Self::Events => 20,
            Self::WebSockets => 100,
        }
    }

    const fn plural(self) -> &'static str {
        match self {
            Self::Events => "streams of events",
            Self::WebSockets => "WebSockets",
        }
    }
}

// === impl Streams ===

impl Streams {
    /// At most half of the `connections` of the server.
    pub(super) fn beside(connections: usize, kind: Kind) -> Self {
        Self(Arc::new(Counted {
            kind,
            max: MAX.min(connections / 2),
            open: Mutex::default(),
        }))
    }

    /// A place for one more of the session, or outside sessions.
    pub(super) fn open(&self, key: Option<&SessionKey>) -> Result<Place, TooMany> {
        let Counted { kind, max, .. } = *self.0;
        let mut open = self.0.open.lock();
        if open.all >= max {
            return Err(TooMany::OfAll(kind, max));
        }
        if let Some(key) = key {
            let of_session = open.of_session.entry(*key).or_default();
            if *of_session >= kind.max_of_session() {
                return Err(TooMany::OfSession(kind));
            }
            *of_session += 1;
        }
        open.all += 1;
        Ok(Place {
            streams: self.clone(),
            key: key.copied(),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.streams.0.open.lock();
        open.all = open.all.saturating_sub(1);
        if let Some(key) = &self.key
            && let Some(of_session) = open.of_session.get_mut(key)
        {
            *of_session = of_session.saturating_sub(1);
            if *of_session == 0 {
                open.of_session.remove(key);
            }
        }
    }
}

// === impl Web ===

impl Web {
    /// The streams of `/auth/events`.
    pub(super) fn streams(&self) -> &Streams {
        &self.0.streams
    }

    /// The WebSockets.
    pub(super) fn web_sockets(&self) -> &Streams {
        &self.0.web_sockets
    }
}

impl From<TooMany> for Problem {
    fn from(error: TooMany) -> Self {
        match error {
            TooMany::OfSession(_) => {
                Self::new(Code::TooManyStreams, error.to_string()).retry_after(TRY_AGAIN)
            }
            TooMany::OfAll(..) => Self::unavailable(Code::Busy).because(
                tracing::Level::WARN,
                "a stream of events, or a WebSocket, was refused",
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
        let streams = Streams::beside(10_000, Kind::Events);
        let mut places: Vec<_> = (0..20).map(|_| streams.open(Some(&key(1))).unwrap()).collect();
        assert_eq!(
            streams.open(Some(&key(1))).unwrap_err(),
            TooMany::OfSession(Kind::Events)
        );
        let other = streams.open(Some(&key(2))).unwrap();
        places.pop();
        places.push(streams.open(Some(&key(1))).unwrap());
        drop((places, other));
        let open = streams.0.open.lock();
        assert_eq!((open.all, open.of_session.len()), (0, 0));
    }

    #[test]
    fn web_sockets_outside_sessions_count_for_all() {
        let sockets = Streams::beside(300, Kind::WebSockets);
        let of_session: Vec<_> = (0..100).map(|_| sockets.open(Some(&key(1))).unwrap()).collect();
        assert_eq!(
            sockets.open(Some(&key(1))).unwrap_err(),
            TooMany::OfSession(Kind::WebSockets)
        );
        let others: Vec<_> = (0..50).map(|_| sockets.open(None).unwrap()).collect();
        assert_eq!(
            sockets.open(None).unwrap_err(),
            TooMany::OfAll(Kind::WebSockets, 150)
        );
        drop((of_session, others));
        assert_eq!(sockets.0.open.lock().all, 0);
    }

    /// They take at most half of its connections.
    #[test]
    fn the_streams_of_the_server_are_limited() {
        let streams = Streams::beside(200, Kind::Events);
        let places: Vec<_> = (0..100)
            .map(|number| streams.open(Some(&key(number))).unwrap())
            .collect();
        let refused = streams.open(Some(&key(u32::MAX))).unwrap_err();
        assert_eq!(refused, TooMany::OfAll(Kind::Events, 100));
        assert_eq!(Problem::from(refused).code(), "busy");
        // A refused stream leaves nothing behind.
        assert_eq!(streams.0.open.lock().of_session.len(), 100);
        drop(places);
        streams.open(Some(&key(0))).unwrap();
        assert_eq!(Streams::beside(usize::MAX, Kind::Events).0.max, MAX);
    }
}
