//! A client's body on its way to a service: streamed, and held while it is short, so that the call can be sent again.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use http::HeaderMap;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use parking_lot::Mutex;

use super::{
    SessionEnd,
    body::{BodyError, Watched},
    trailers::Trailers,
};
use crate::clock::{SharedClock, Timestamp};

/// The kept part of a body, in bytes.
const MAX_HELD: u64 = 64 * 1024;

/// The sender of one body: once, or again from its beginning.
pub(super) struct Uploads {
    /// Nothing for a request without a body.
    source: Option<Arc<Mutex<Source>>>,
    clock: SharedClock,
}

/// One sending of a body.
pub(super) struct Upload {
    source: Option<Arc<Mutex<Source>>>,
    /// Which sending this is.
    turn: u32,
    /// How many pieces, and bytes, it has given.
    pieces: usize,
    given: u64,
    has_given_trailers: bool,
    progress: Option<Arc<Progress>>,
    clock: SharedClock,
}

/// The progress of an upload, so that its time does not count as time of the service.
pub(super) struct Progress(AtomicU64);

struct Source {
    body: Watched<Body>,
    size: SizeHint,
    /// All that has come so far; `None` once it is too much, or where nothing is held.
    held: Option<Vec<Bytes>>,
    length: u64,
    /// A longer body breaks off.
    max: Option<u64>,
    ended: bool,
    /// Those that pass, once it has ended.
    trailers: Option<HeaderMap>,
    passing: Trailers,
    /// The sending that may still read; earlier ones are given up.
    turn: u32,
}

// === impl Uploads ===

impl Uploads {
    /// The stream of `body`; `hold` if a repetition is possible.
    pub(super) fn new(
        body: Body,
        clock: &SharedClock,
        idle: Duration,
        end: Option<SessionEnd>,
        hold: bool,
        max: Option<u64>,
        passing: Trailers,
    ) -> Self {
        let size = body.size_hint();
        let is_short = size.lower() <= MAX_HELD;
        let source = (!body.is_end_stream()).then(|| Source {
            body: Watched::new(body, clock, idle, end),
            size,
            held: (hold && is_short).then(Vec::new),
            length: 0,
            max,
            ended: false,
            trailers: None,
            passing,
            turn: 0,
        });
        Self {
            source: source.map(|source| Arc::new(Mutex::new(source))),
            clock: Arc::clone(clock),
        }
    }

    /// Whether the next sending gives the whole body, although it is not the first.
    pub(super) fn can_be_repeated(&self) -> bool {
        self.source
            .as_ref()
            .is_none_or(|source| source.lock().held.is_some())
    }

    /// The next sending, from the beginning of the body, and its progress. An earlier sending breaks off.
    pub(super) fn next(&mut self) -> (Upload, Option<Arc<Progress>>) {
        let turn = self.source.as_ref().map_or(0, |source| {
            let mut source = source.lock();
            source.turn += 1;
            source.turn
        });
        let progress = self
            .source
            .is_some()
            .then(|| Arc::new(Progress::new(self.clock.now())));
        let upload = Upload {
            source: self.source.clone(),
            turn,
            pieces: 0,
            given: 0,
            has_given_trailers: false,
            progress: progress.clone(),
            clock: Arc::clone(&self.clock),
        };
        (upload, progress)
    }
}

// === impl Upload ===

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(source) = &self.source else {
            return Poll::Ready(None);
        };
        let polled = source.lock().poll(self.turn, self.pieces, cx);
        if let Some(progress) = &self.progress {
            if polled.is_pending() {
                progress.client_turn();
            } else {
                progress.service_turn(self.clock.now());
            }
        }
        let piece = ready!(polled);
        if piece.is_none() && !self.has_given_trailers {
            let trailers = source.lock().trailers.clone();
            self.has_given_trailers = true;
            return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
        }
        if let Some(Ok(piece)) = &piece {
            self.pieces += 1;
            self.given = self.given.saturating_add(piece.len() as u64);
        }
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.source
            .as_ref()
            .is_none_or(|source| source.lock().is_end(self.pieces, self.has_given_trailers))
    }

    fn size_hint(&self) -> SizeHint {
        let Some(source) = &self.source else {
            return SizeHint::with_exact(0);
        };
        match source.lock().size.exact() {
            Some(size) => SizeHint::with_exact(size.saturating_sub(self.given)),
            None => SizeHint::new(),
        }
    }
}

// === impl Source ===

impl Source {
    /// The piece after the first `given`.
    fn poll(
        &mut self,
        turn: u32,
        given: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        if turn != self.turn {
            return Poll::Ready(Some(Err(BodyError::SentAgain)));
        }
        if let Some(piece) = self.held.as_ref().and_then(|held| held.get(given)) {
            return Poll::Ready(Some(Ok(piece.clone())));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        Poll::Ready(match ready!(self.poll_body(cx)) {
            Some(Ok(piece)) => {
                self.length = self.length.saturating_add(piece.len() as u64);
                if self.max.is_some_and(|max| self.length > max) {
                    self.held = None;
                    return Poll::Ready(Some(Err(BodyError::TooLarge)));
                }
                self.hold(&piece);
                Some(Ok(piece))
            }
            Some(Err(error)) => {
                self.held = None;
                Some(Err(error))
            }
            None => {
                self.ended = true;
                None
            }
        })
    }

    /// The next piece of the body. It ends with its trailers, which are kept.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        let frame = match ready!(self.body.poll_frame(cx)) {
            None => return Poll::Ready(None),
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
        };
        Poll::Ready(match frame.into_data() {
            Ok(piece) => Some(Ok(piece)),
            Err(frame) => {
                self.trailers = frame.into_trailers().ok().and_then(|mut trailers| {
                    self.passing.filter(&mut trailers);
                    (!trailers.is_empty()).then_some(trailers)
                });
                None
            }
        })
    }

    fn hold(&mut self, piece: &Bytes) {
        if self.length > MAX_HELD {
            self.held = None;
        } else if let Some(held) = &mut self.held {
            held.push(piece.clone());
        }
    }

    fn is_end(&self, given: usize, has_given_trailers: bool) -> bool {
        let all_given = self.held.as_ref().is_none_or(|held| given >= held.len());
        let no_more = self.trailers.is_none() || has_given_trailers;
        all_given && no_more && (self.ended || self.body.is_end_stream())
    }
}

// === impl Progress ===

impl Progress {
    /// Stands for the client's turn; no clock gets there.
    const CLIENT: u64 = u64::MAX;

    const fn new(now: Timestamp) -> Self {
        Self(AtomicU64::new(now.unix_millis()))
    }

    fn client_turn(&self) {
        self.0.store(Self::CLIENT, Ordering::Relaxed);
    }

    fn service_turn(&self, now: Timestamp) {
        self.0.store(now.unix_millis(), Ordering::Relaxed);
    }

    /// Since when it has been the service's turn; `None` while it is the client's.
    pub(super) fn service_since(&self) -> Option<Timestamp> {
        match self.0.load(Ordering::Relaxed) {
            Self::CLIENT => None,
            millis => Some(Timestamp::from_unix_millis(millis)),
        }
    }
}
