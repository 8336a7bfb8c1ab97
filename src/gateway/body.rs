//! Bodies that pass through: streamed, with a limit on how long they may stall, with the trailers that pass, and not longer
//! than their session.

use std::{
    error::Error,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt as _, future::BoxFuture};
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use super::{Service, SessionEnd, guard::Place, trailers::Trailers, upstream::Arriving};
use crate::{
    clock::{SharedClock, Timestamp},
    outage::{Outage, causes},
};

/// A service's body on its way to the client.
pub(super) struct Download {
    body: Watched<Arriving>,
    service: Arc<Service>,
    /// Held until the end of the body.
    _place: Option<Place>,
}

/// Why a body ends early.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    /// Nothing came for as long as is waited.
    #[error("the body stood still for too long")]
    Stalled,
    /// The time for the whole call is over.
    #[error("the call took longer than it may")]
    Late,
    /// The sender broke off.
    #[error("the body broke off")]
    Broken(#[source] Box<dyn Error + Send + Sync>),
    /// The session has ended.
    #[error("the session has ended")]
    SessionEnded,
    /// The body is longer than the route takes.
    #[error("the body is too long")]
    TooLarge,
    /// The call is sent again, and this sending of the body is given up.
    #[error("the call is sent again")]
    SentAgain,
}

/// A body with a limit on how long it may stall while the receiver waits for it.
pub(super) struct Watched<B> {
    inner: B,
    clock: SharedClock,
    idle: Duration,
    /// The end of the time for the whole call.
    deadline: Option<Timestamp>,
    waiting: Waiting,
    /// Kept over several pieces and checked only when it fires, so that most pieces set no timer.
    timer: Option<BoxFuture<'static, ()>>,
    /// The end of the session that the body belongs to. It is not polled before the second poll of the body: most
    /// bodies have ended by then.
    end: Option<SessionEnd>,
    begun: bool,
}

/// Whether the receiver waits for the next piece.
#[derive(Clone, Copy, Debug)]
enum Waiting {
    No,
    /// The body was polled and was not ready. The task that polled is woken at once to poll again: the other end of
    /// the body is another task of this process, which only now learns that the piece is wanted and usually has it
    /// ready. A timer for each request would cost more than the whole body.
    Asked,
    /// It was still not there.
    Since(Timestamp),
}

// === impl Download ===

impl Download {
    pub(super) fn new(
        body: Arriving,
        clock: &SharedClock,
        idle: Duration,
        deadline: Option<Timestamp>,
        service: Arc<Service>,
        end: Option<SessionEnd>,
        place: Option<Place>,
    ) -> Self {
        let mut body = Watched::new(body, clock, idle, end);
        body.deadline = deadline;
        Self {
            body,
            service,
            _place: place,
        }
    }
}

impl HttpBody for Download {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut polled = ready!(self.body.poll_frame(cx));
        // The head is already sent. The only option left is to break the connection to the client too, so that it
        // does not take half of the body for the whole.
        match &polled {
            Some(Err(BodyError::SessionEnded)) => {
                tracing::debug!(
                    service = self.service.id(),
                    "an answer was closed, because its session has ended"
                );
            }
            Some(Err(error)) => {
                tracing::debug!(
                    service = self.service.id(),
                    cause = causes(error),
                    "the library's error for the broken answer"
                );
                tracing::warn!(
                    service = self.service.id(),
                    cause = error.said(),
                    "the answer of a service broke off"
                );
            }
            Some(Ok(_)) | None => {}
        }
        if let Some(Ok(frame)) = &mut polled
            && let Some(trailers) = frame.trailers_mut()
        {
            Trailers::Down(Arc::clone(&self.service)).filter(trailers);
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.inner.size_hint()
    }
}

// === impl BodyError ===

impl BodyError {
    /// The reason, in our own words.
    fn said(&self) -> String {
        match self {
            Self::Broken(cause) => Outage::of(&**cause).to_string(),
            Self::Stalled | Self::Late | Self::SessionEnded | Self::TooLarge | Self::SentAgain => {
                self.to_string()
            }
        }
    }
}

// === impl Watched ===

impl<B> Watched<B>
where
    B: HttpBody<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin,
{
    pub(super) fn new(inner: B, clock: &SharedClock, idle: Duration, end: Option<SessionEnd>) -> Self {
        Self {
            inner,
            clock: Arc::clone(clock),
            idle,
            deadline: None,
            waiting: Waiting::No,
            timer: None,
            end,
            begun: false,
        }
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    /// The next piece, or the trailers.
    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        // Before the body, which may always have more.
        if self.begun
            && let Some(end) = &mut self.end
            && end.poll_unpin(cx).is_ready()
        {
            self.end = None;
            return Poll::Ready(Some(Err(BodyError::SessionEnded)));
        }
        self.begun = true;
        if self.deadline.is_some_and(|deadline| self.clock.now() >= deadline) {
            return Poll::Ready(Some(Err(BodyError::Late)));
        }
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.waiting = Waiting::No;
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(BodyError::Broken(error.into())))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                ready!(self.poll_idle(cx));
                let is_late = self.deadline.is_some_and(|deadline| self.clock.now() >= deadline);
                Poll::Ready(Some(Err(if is_late {
                    BodyError::Late
                } else {
                    BodyError::Stalled
                })))
            }
        }
    }

    /// Ready when a piece has been waited for too long.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let since = match self.waiting {
            Waiting::No => {
                self.waiting = Waiting::Asked;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Waiting::Asked => {
                let now = self.clock.now();
                self.waiting = Waiting::Since(now);
                now
            }
            Waiting::Since(since) => since,
        };
        let idle = since.saturating_add(self.idle);
        let deadline = self.deadline.map_or(idle, |deadline| deadline.min(idle));
        loop {
            let timer = self.timer.get_or_insert_with(|| self.clock.sleep_until(deadline));
            ready!(timer.as_mut().poll(cx));
            self.timer = None;
            // It may have been set for an earlier piece.
            if self.clock.now() >= deadline {
                return Poll::Ready(());
            }
        }
    }
}
