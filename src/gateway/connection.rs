//! Records the events on a connection to a service, which decide whether a failed call may be sent once more.

use std::{
    error::Error,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use futures_util::{FutureExt as _, TryFutureExt as _, future::BoxFuture};
use http::{Extensions, Response, Uri};
use hyper::rt::{Read, Write};
use hyper_util::{
    client::legacy::{
        self,
        connect::{Connected, Connection},
    },
    rt::TokioIo,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tower::Service;

use crate::proxy::Proxies;

/// Makes connections that keep a [`Story`].
#[derive(Clone, Debug)]
pub(super) struct Observing<C> {
    connector: C,
    proxies: Proxies,
    speaks_http2: bool,
}

/// A connection that keeps a [`Story`].
pub(super) struct Observed<T> {
    inner: TokioIo<T>,
    story: Story,
    passes_proxy: bool,
    /// Without a negotiation.
    speaks_http2: bool,
}

/// The events so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Story(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Something came at some time.
    has_answered: AtomicBool,
    /// Nothing came since something was sent.
    is_silent: AtomicBool,
    /// A call was answered on it.
    has_served: AtomicBool,
}

// === impl Story ===

impl Story {
    /// Notes that the connection of a call has delivered the head of its answer.
    pub(super) fn has_served<B>(answer: &Response<B>) {
        // The connection pool puts it there.
        if let Some(Self(story)) = answer.extensions().get() {
            story.has_served.store(true, Ordering::Release);
        }
    }

    /// Whether the connection of a call that failed with `error` had been used before and has delivered no byte of an
    /// answer to the call. The service has most likely closed it before the call arrived (RFC 9110 section 9.2.2).
    pub(super) fn closed_before_an_answer(error: &legacy::Error) -> bool {
        match error.connect_info().and_then(Self::of) {
            None => false,
            // Calls on an HTTP/2 connection share the incoming bytes, so only the error can tell.
            Some((Self(story), true)) => story.has_served.load(Ordering::Acquire) && is_gone(error),
            Some((Self(story), false)) => {
                story.has_answered.load(Ordering::Acquire) && story.is_silent.load(Ordering::Acquire)
            }
        }
    }

    /// The story of a connection, and whether that speaks HTTP/2.
    fn of(connected: &Connected) -> Option<(Self, bool)> {
        let mut extras = Extensions::new();
        connected.get_extras(&mut extras);
        Some((extras.remove::<Self>()?, connected.is_negotiated_h2()))
    }

    fn sends(&self) {
        self.0.is_silent.store(true, Ordering::Release);
    }

    fn received(&self) {
        self.0.has_answered.store(true, Ordering::Release);
        self.0.is_silent.store(false, Ordering::Release);
    }
}

/// Whether an HTTP/2 connection ended, or will end, without processing a call (RFC 9113 section 8.7): it broke, or
/// the service sent `GOAWAY` or `REFUSED_STREAM`.
fn is_gone(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            let refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
            return error.is_io() || (error.is_remote() && (error.is_go_away() || refused));
        }
        if error.is::<io::Error>() {
            return true;
        }
        cause = error.source();
    }
    false
}

// === impl Observing ===

impl<C> Observing<C> {
    pub(super) const fn new(connector: C, proxies: Proxies) -> Self {
        Self {
            connector,
            proxies,
            speaks_http2: false,
        }
    }

    /// The same; if `always`, the connections speak HTTP/2 without a negotiation.
    pub(super) fn speaking_http2(self, always: bool) -> Self {
        Self {
            speaks_http2: always,
            ..self
        }
    }
}

impl<C, T> Service<Uri> for Observing<C>
where
    C: Service<Uri, Response = T>,
    C::Future: Send + 'static,
{
    type Response = TokioIo<Observed<T>>;
    type Error = C::Error;
    type Future = BoxFuture<'static, Result<Self::Response, C::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), C::Error>> {
        self.connector.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let passes_proxy = self.proxies.of_uri(&uri).is_some();
        let speaks_http2 = self.speaks_http2;
        let observed = move |stream| {
            TokioIo::new(Observed {
                inner: TokioIo::new(stream),
                story: Story::default(),
                passes_proxy,
                speaks_http2,
            })
        };
        self.connector.call(uri).map_ok(observed).boxed()
    }
}

// === impl Observed ===

impl<T: Connection> Connection for Observed<T> {
    fn connected(&self) -> Connected {
        // This replaces the connection's own information: the pool copies all of it for every call, and nothing reads
        // its addresses.
        let connected = Connected::new()
            // Plain http then goes out with its whole URL.
            .proxy(self.passes_proxy)
            .extra(self.story.clone());
        if self.speaks_http2 || self.inner.connected().is_negotiated_h2() {
            connected.negotiated_h2()
        } else {
            connected
        }
    }
}

impl<T: Read + Unpin> AsyncRead for Observed<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.story.received();
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: Write + Unpin> AsyncWrite for Observed<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.story.sends();
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.story.sends();
        Pin::new(&mut self.inner).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
