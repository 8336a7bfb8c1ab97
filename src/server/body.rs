//! The bodies of a request and of its answer. They report how long the client makes others wait.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{Error, body::Body, response::Response};
use bytes::Bytes;
use http::{
    HeaderValue,
    header::{CONNECTION, CONTENT_TYPE},
    request::Parts,
};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::{
    connection::Connection,
    register::Turn,
    rest::Rest,
    underway::{Listed, Underway},
};

const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// The body of a client's request.
pub(super) struct Received {
    /// `None` once it is dropped.
    body: Option<Incoming>,
    underway: Arc<Underway>,
    connection: Arc<Connection>,
    rest: Rest,
}

/// The body of an answer. The request is under way until this is dropped.
pub(super) struct Sent {
    body: Body,
    /// For a stream of events, which may end between two of them: when to end it.
    until: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    /// The bytes of the last piece, which count when the next piece is polled.
    handed: usize,
    listed: Arc<Listed>,
    _turn: Turn,
}

// === impl Received ===

impl Received {
    /// The body of a request with this `head`.
    pub(super) fn new(head: &Parts, body: Incoming, listed: &Arc<Listed>, turn: &Turn) -> Self {
        Self {
            underway: listed.shared(),
            connection: Arc::clone(listed.connection()),
            rest: Rest::of(head, &body, listed, turn),
            body: Some(body),
        }
    }
}

impl HttpBody for Received {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(body).poll_frame(cx);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.rest = Rest::Nothing;
        }
        let now = || self.connection.now();
        match &polled {
            Poll::Pending => {
                self.underway.upload.begin(now);
                self.rest.was_waited_for();
            }
            Poll::Ready(Some(Ok(frame))) => {
                let length = frame.data_ref().map_or(0, Bytes::len);
                self.underway.upload.end(length, now);
            }
            Poll::Ready(_) => self.underway.upload.end(0, now),
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        // No receiver waits for it any more.
        self.underway.upload.end(0, || self.connection.now());
        if let Some(body) = self.body.take() {
            self.rest.leave(body, &self.underway);
        }
    }
}

// === impl Sent ===

impl Sent {
    /// The body of `answer`. An event stream ends in order when the server stops, because its client reconnects by
    /// itself (WHATWG HTML, server-sent events).
    pub(super) fn of(mut answer: Response, listed: Arc<Listed>, turn: Turn) -> Response<Self> {
        if listed.underway().ends_connection() {
            answer.headers_mut().insert(CONNECTION, CLOSE);
        }
        let until = is_event_stream(&answer).then(|| Box::pin(turn.finishing().cancelled_owned()));
        answer.map(|body| Self {
            body,
            until,
            handed: 0,
            listed,
            _turn: turn,
        })
    }
}

impl HttpBody for Sent {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let handed = std::mem::take(&mut self.handed);
        if handed > 0 {
            let now = || self.listed.connection().now();
            self.listed.underway().download.end(handed, now);
        }
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if polled.is_pending()
            && let Some(until) = &mut self.until
            && until.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(None);
        }
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            self.handed = frame.data_ref().map_or(0, Bytes::len);
            if self.handed > 0 {
                let now = || self.listed.connection().now();
                self.listed.underway().download.begin(now);
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn is_event_stream(answer: &Response) -> bool {
    if answer.body().size_hint().exact().is_some() {
        return false;
    }
    let media_type = answer
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    media_type.is_some_and(|media_type| {
        let essence = media_type.split(';').next().unwrap_or_default();
        essence.trim().eq_ignore_ascii_case("text/event-stream")
    })
}
