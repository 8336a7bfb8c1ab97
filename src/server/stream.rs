//! The socket of a connection. It reports reads and writes to the register.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{connection::Connection, register::Place};

/// The preface of HTTP/2 (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A socket with its place in the register, which it leaves when it is closed: for a connection that has switched
/// protocols that is later than the end of HTTP.
pub(super) struct Watched<S> {
    stream: S,
    place: Place,
    preface: Preface,
}

/// Whether a connection begins with the preface of HTTP/2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Preface {
    /// The number of its bytes that have arrived.
    Partly(usize),
    Decided,
}

// === impl Watched ===

impl<S> Watched<S> {
    pub(super) const fn new(stream: S, place: Place) -> Self {
        Self {
            stream,
            place,
            preface: Preface::Partly(0),
        }
    }

    fn connection(&self) -> &Connection {
        &self.place.connection
    }

    fn wrote(&self, polled: &Poll<io::Result<usize>>) {
        match polled {
            Poll::Ready(Ok(1..)) => self.connection().wrote(true),
            Poll::Pending => self.connection().wrote(false),
            Poll::Ready(_) => {}
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let new = buffer.filled().get(before..).unwrap_or_default();
        if !new.is_empty() {
            self.connection().received();
            if self.preface.completed_by(new) {
                self.connection().speaks_http2();
            }
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(&polled);
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.wrote(&polled);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

// === impl Preface ===

impl Preface {
    /// Whether these next bytes complete it.
    fn completed_by(&mut self, bytes: &[u8]) -> bool {
        let Self::Partly(so_far) = *self else {
            return false;
        };
        let rest = PREFACE.get(so_far..).unwrap_or_default();
        let length = rest.len().min(bytes.len());
        if bytes[..length] != rest[..length] {
            *self = Self::Decided;
            return false;
        }
        let complete = length == rest.len();
        *self = if complete {
            Self::Decided
        } else {
            Self::Partly(so_far + length)
        };
        complete
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preface_is_recognised_in_any_pieces() {
        for size in 1..=PREFACE.len() + 3 {
            let mut preface = Preface::Partly(0);
            let mut said = PREFACE.to_vec();
            said.extend_from_slice(b"frames");
            let completed = said
                .chunks(size)
                .filter(|piece| preface.completed_by(piece))
                .count();
            assert_eq!(completed, 1, "{size}");
        }
        let mut preface = Preface::Partly(0);
        assert!(!preface.completed_by(b"PRI * HTTP/1.1\r\n\r\nSM\r\n\r\n"));
        assert!(!preface.completed_by(PREFACE));
    }
}
