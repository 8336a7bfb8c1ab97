//! A connection that speaks HTTP/2. It carries many calls, so that a task of its own drives it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::{Request, Response, Version, header};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::{
    Io, SendError,
    http1::{Arriving, Failure},
    story::is_gone,
};
use crate::{gateway::Upload, head};

/// A silent connection with calls under way is asked for a sign of life after this time, and given up after the same
/// again.
const PING: Duration = Duration::from_secs(20);

/// The way to give requests to a connection.
#[derive(Clone)]
pub(super) struct Http2 {
    sender: http2::SendRequest<Upload>,
    /// A call was answered on it.
    has_served: Arc<AtomicBool>,
}

// === impl Http2 ===

impl Http2 {
    pub(super) async fn open(io: Io) -> hyper::Result<Self> {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .max_header_list_size(u32::try_from(head::READ_BYTES).unwrap_or(u32::MAX));
        let (mut sender, connection) = builder.handshake(io).await?;
        tokio::spawn(connection);
        sender.ready().await?;
        Ok(Self {
            sender,
            has_served: Arc::default(),
        })
    }

    pub(super) fn is_alive(&self) -> bool {
        self.sender.is_ready()
    }

    /// Sends `request` and waits for the head of its answer.
    pub(super) async fn send(
        mut self,
        mut request: Box<Request<Upload>>,
    ) -> Result<Response<Arriving>, Failure> {
        *request.version_mut() = Version::HTTP_2;
        // The URI names the host (RFC 9113 section 8.3.1).
        request.headers_mut().remove(header::HOST);
        // There are no fields of one connection (RFC 9113 section 8.2.2), and `TE` must not be named as one.
        request.headers_mut().remove(header::CONNECTION);
        match self.sender.try_send_request(*request).await {
            Ok(answer) => {
                self.has_served.store(true, Ordering::Release);
                Ok(answer.map(Arriving::undriven))
            }
            Err(mut failed) => {
                let request = failed.take_message();
                let error = failed.into_error();
                // Calls share the incoming bytes, so only the error can tell.
                let error = SendError::Broken {
                    is_repeatable: self.has_served.load(Ordering::Acquire) && is_gone(&error),
                    error,
                };
                Err(match request {
                    Some(request) => Failure::Unsent(Box::new(request), error),
                    None => Failure::Sent(error),
                })
            }
        }
    }
}
