//! A connection that speaks HTTP/1.1.
//!
//! No task of its own drives it: the call that uses it does, and the body of its answer afterwards. So a call crosses no
//! channel to another task and wakes none. A connection in the pool is driven by nothing. Its next call reads from it
//! before it writes, and so learns whether it still lives.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use hyper::{
    body::{Body, Frame, Incoming, SizeHint},
    client::conn::http1,
};

use super::{Io, SendError, pool::Pool, story::Story};
use crate::{gateway::Upload, head};

/// A connection and the way to give it a request.
pub(super) struct Http1 {
    sender: http1::SendRequest<Upload>,
    /// `None` after its end.
    connection: Option<http1::Connection<Io, Upload>>,
    story: Story,
}

/// Why a request has no answer.
pub(super) enum Failure {
    /// Nothing of the request was written.
    Unsent(Box<Request<Upload>>, SendError),
    Sent(SendError),
}

/// The body of an answer. It drives the connection, and gives it back to the pool at the end.
pub(in crate::gateway) struct Arriving {
    body: Incoming,
    /// None for HTTP/2, and after the end.
    connection: Option<(Box<Http1>, Arc<Pool>)>,
}

// === impl Http1 ===

impl Http1 {
    pub(super) async fn open(io: Io, story: Story) -> hyper::Result<Box<Self>> {
        let mut builder = http1::Builder::new();
        builder.max_headers(head::READ_FIELDS);
        let (sender, connection) = builder.handshake(io).await?;
        Ok(Box::new(Self {
            sender,
            connection: Some(connection),
            story,
        }))
    }

    /// Sends `request` and waits for the head of its answer.
    pub(super) async fn send(
        mut self: Box<Self>,
        request: Box<Request<Upload>>,
        pool: &Arc<Pool>,
    ) -> Result<Response<Arriving>, Failure> {
        let mut answer = pin!(self.sender.try_send_request(*request));
        let connection = &mut self.connection;
        let mut broken = None;
        let answer = poll_fn(|cx| {
            if let Some(living) = connection
                && let Poll::Ready(end) = Pin::new(living).poll(cx)
            {
                broken = end.err();
                // A request that it has not taken comes back.
                *connection = None;
            }
            // The connection alone has news for it, and it is asked after each of them.
            match answer.as_mut().poll(&mut unwoken()) {
                Poll::Pending if connection.is_none() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
                Poll::Ready(answer) => Poll::Ready(Some(answer)),
            }
        });
        let mut failed = match answer.await {
            Some(Ok(answer)) => {
                let (parts, body) = answer.into_parts();
                let connection = Some((self, Arc::clone(pool)));
                let mut body = Arriving { body, connection };
                body.release_at_end();
                return Ok(Response::from_parts(parts, body));
            }
            Some(Err(failed)) => failed,
            None => return Err(Failure::Sent(SendError::Ended)),
        };
        let request = failed.take_message();
        let error = SendError::Broken {
            is_repeatable: self.story.closed_before_an_answer(),
            error: broken.unwrap_or_else(|| failed.into_error()),
        };
        Err(match request {
            Some(request) => Failure::Unsent(Box::new(request), error),
            None => Failure::Sent(error),
        })
    }

    /// Whether another request can be sent.
    pub(super) fn is_alive(&mut self) -> bool {
        self.drive(&mut unwoken());
        self.connection.is_some() && self.sender.is_ready()
    }

    /// Drives it to its end: the rest of a request whose answer is complete.
    async fn finish(mut self: Box<Self>) {
        poll_fn(|cx| {
            self.drive(cx);
            if self.connection.is_none() || self.sender.is_ready() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    fn drive(&mut self, cx: &mut Context<'_>) {
        if let Some(connection) = &mut self.connection
            && Pin::new(connection).poll(cx).is_ready()
        {
            self.connection = None;
        }
    }
}

/// For polls whose readiness another poll finds out.
fn unwoken() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// Addresses `request` to the service alone: its path, and `host` as the field (RFC 9112 section 3.2.1).
pub(super) fn in_origin_form(request: &mut Request<Upload>, host: &HeaderValue) {
    let parts = std::mem::take(request.uri_mut()).into_parts();
    if let Some(target) = parts.path_and_query {
        *request.uri_mut() = target.into();
    }
    name_host(request, host);
}

pub(super) fn name_host(request: &mut Request<Upload>, host: &HeaderValue) {
    request
        .headers_mut()
        .entry(header::HOST)
        .or_insert_with(|| host.clone());
}

// === impl Arriving ===

impl Arriving {
    /// The body of an answer over a connection that has its own task.
    pub(super) const fn undriven(body: Incoming) -> Self {
        Self {
            body,
            connection: None,
        }
    }

    fn release_at_end(&mut self) {
        if self.body.is_end_stream() {
            self.release();
        }
    }

    fn release(&mut self) {
        if let Some((mut connection, pool)) = self.connection.take() {
            if connection.is_alive() {
                pool.keep(connection);
            } else if connection.connection.is_some() {
                // The service has answered before the end of the request, and may still read it.
                tokio::spawn(connection.finish());
            }
        }
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = &mut *self;
        let Some((connection, _)) = &mut this.connection else {
            return Pin::new(&mut this.body).poll_frame(cx);
        };
        // The first poll asks for a piece, which the connection then reads.
        let mut polled = Pin::new(&mut this.body).poll_frame(&mut unwoken());
        if polled.is_pending() {
            connection.drive(cx);
            polled = Pin::new(&mut this.body).poll_frame(&mut unwoken());
        }
        match &polled {
            Poll::Pending => {}
            Poll::Ready(Some(Ok(_))) => this.release_at_end(),
            Poll::Ready(None) => this.release(),
            Poll::Ready(Some(Err(_))) => this.connection = None,
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
