//! The version of HTTP that a connection speaks: its first bytes tell.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

/// The preface of HTTP/2 (RFC 9113 section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The protocols of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Http1,
    Http2,
}

/// A socket whose first bytes were read to learn the version.
///
/// They are read again together with those that follow. If the HTTP library got them alone, it would read in two steps, and
/// would double its buffer for the second one.
pub(super) struct Begun<S> {
    stream: S,
    first: [u8; PREFACE.len()],
    /// How many of them there are, and how many were read again.
    filled: u8,
    taken: u8,
}

/// Reads until the version is clear.
pub(super) async fn begin<S: AsyncRead + Unpin>(mut stream: S) -> io::Result<(Version, Begun<S>)> {
    let mut first = [0; PREFACE.len()];
    let mut filled = 0;
    let version = loop {
        let Some((rest, expected)) = first.get_mut(filled..).zip(PREFACE.get(filled..)) else {
            break Version::Http2;
        };
        if rest.is_empty() {
            break Version::Http2;
        }
        let length = stream.read(rest).await?;
        filled += length;
        if length == 0 || rest.get(..length) != expected.get(..length) {
            break Version::Http1;
        }
    };
    let filled = u8::try_from(filled).unwrap_or_default();
    Ok((
        version,
        Begun {
            stream,
            first,
            filled,
            taken: 0,
        },
    ))
}

// === impl Begun ===

impl<S: AsyncRead + Unpin> AsyncRead for Begun<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let again = this.first.get(this.taken.into()..this.filled.into());
        let again = again.unwrap_or_default();
        if again.is_empty() {
            return Pin::new(&mut this.stream).poll_read(cx, buffer);
        }
        let again = &again[..again.len().min(buffer.remaining())];
        buffer.put_slice(again);
        this.taken += u8::try_from(again.len()).unwrap_or_default();
        if buffer.remaining() > 0 {
            // The end of the connection, or its failure, is told at the next reading.
            let _ = Pin::new(&mut this.stream).poll_read(cx, buffer);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Begun<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
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

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    /// The version of a client that says `said` in pieces, and the first reading afterwards.
    async fn begun(said: &[u8], size: usize) -> (Version, Vec<u8>) {
        let (mut client, server) = tokio::io::duplex(size);
        let said = said.to_vec();
        let writing = tokio::spawn(async move {
            client.write_all(&said).await.unwrap();
            client
        });
        let (version, mut stream) = begin(server).await.unwrap();
        let mut all = Vec::new();
        let client = writing.await.unwrap();
        stream.read_buf(&mut all).await.unwrap();
        drop(client);
        stream.read_to_end(&mut all).await.unwrap();
        (version, all)
    }

    #[tokio::test]
    async fn the_preface_is_recognised_in_any_pieces() {
        for size in 1..=PREFACE.len() + 3 {
            let mut said = PREFACE.to_vec();
            said.extend_from_slice(b"frames");
            said.truncate(PREFACE.len() + size);
            let (version, all) = begun(&said, size).await;
            assert_eq!((version, all), (Version::Http2, said), "{size}");
        }
    }

    #[tokio::test]
    async fn all_other_beginnings_are_http_1() {
        for said in [
            &b"PRI * HTTP/1.1\r\n\r\nSM\r\n\r\n"[..],
            b"GET / HTTP/1.1\r\n",
            b"PRI * HTTP/2.0",
            b"",
        ] {
            let (client, server) = tokio::io::duplex(64);
            let mut client = client;
            client.write_all(said).await.unwrap();
            drop(client);
            let (version, mut stream) = begin(server).await.unwrap();
            let mut all = Vec::new();
            stream.read_to_end(&mut all).await.unwrap();
            assert_eq!((version, &all[..]), (Version::Http1, said));
        }
    }

    /// It fits one reading, so that the library needs no second one.
    #[tokio::test]
    async fn the_first_bytes_come_with_those_that_follow() {
        let head = b"GET / HTTP/1.1\r\nHost: automate.localhost\r\nCookie: a=b\r\n\r\n";
        let (mut client, server) = tokio::io::duplex(1024);
        client.write_all(head).await.unwrap();
        let (_, mut stream) = begin(server).await.unwrap();
        let mut read = Vec::with_capacity(1024);
        stream.read_buf(&mut read).await.unwrap();
        assert_eq!(read, head);
        // A small buffer gets the beginning.
        client.write_all(b"rest").await.unwrap();
        let mut rest = [0; 3];
        stream.read_exact(&mut rest).await.unwrap();
        assert_eq!(&rest, b"res");
    }
}
