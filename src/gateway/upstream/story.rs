//! The events on a connection to a service, which decide whether a failed call may be sent once more.

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

use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection that keeps a [`Story`].
pub(super) struct Observed<T> {
    inner: TokioIo<T>,
    story: Story,
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
}

/// Whether an HTTP/2 connection ended, or will end, without processing a call (RFC 9113 section 8.7): it broke, or
/// the service sent `GOAWAY` or `REFUSED_STREAM`.
pub(super) fn is_gone(error: &(dyn Error + 'static)) -> bool {
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

// === impl Story ===

impl Story {
    /// Whether the connection has been used before and has delivered no byte of an answer to the last call. The
    /// service has most likely closed it before the call arrived (RFC 9110 section 9.2.2).
    pub(super) fn closed_before_an_answer(&self) -> bool {
        self.0.has_answered.load(Ordering::Acquire) && self.0.is_silent.load(Ordering::Acquire)
    }

    fn sends(&self) {
        self.0.is_silent.store(true, Ordering::Release);
    }

    fn received(&self) {
        self.0.has_answered.store(true, Ordering::Release);
        self.0.is_silent.store(false, Ordering::Release);
    }
}

// === impl Observed ===

impl<T> Observed<T> {
    pub(super) fn new(inner: T) -> (TokioIo<Self>, Story) {
        let story = Story::default();
        let observed = Self {
            inner: TokioIo::new(inner),
            story: story.clone(),
        };
        (TokioIo::new(observed), story)
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
