//! The bytes of a file on their way to the client: one piece in memory, read on a blocking thread.

use std::{
    fs::File,
    io,
    ops::Range,
    os::unix::fs::FileExt as _,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::{FutureExt as _, future::BoxFuture};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::Semaphore;

use crate::gateway::SessionEnd;

/// The size of a piece, in bytes.
const PIECE: u64 = 64 * 1024;

/// A part of a file that is sent in pieces. Ends early with the session that it belongs to.
pub(in crate::gateway) struct FileBody {
    file: Arc<File>,
    next: Range<u64>,
    reading: Option<BoxFuture<'static, io::Result<Bytes>>>,
    threads: Arc<Semaphore>,
    end: Option<SessionEnd>,
}

// === impl FileBody ===

impl FileBody {
    /// Of `file`, the bytes of `range`. `threads` bounds the reads at the same time.
    pub(in crate::gateway) fn new(
        file: File,
        range: Range<u64>,
        threads: Arc<Semaphore>,
        end: Option<SessionEnd>,
    ) -> Self {
        Self {
            file: Arc::new(file),
            next: range,
            reading: None,
            threads,
            end,
        }
    }

    fn read(&self) -> BoxFuture<'static, io::Result<Bytes>> {
        let (file, threads, at) = (Arc::clone(&self.file), Arc::clone(&self.threads), self.next.start);
        let wanted = PIECE.min(self.next.end - at);
        async move {
            on_a_thread(&threads, move || {
                // A piece fits.
                let mut bytes = vec![0; usize::try_from(wanted).unwrap_or_default()];
                loop {
                    match file.read_at(&mut bytes, at) {
                        // The length is told already, so that the connection has to break.
                        Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                        Ok(length) => {
                            bytes.truncate(length);
                            return Ok(bytes.into());
                        }
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return Err(error),
                    }
                }
            })
            .await
        }
        .boxed()
    }
}

impl HttpBody for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(end) = &mut self.end
            && end.poll_unpin(cx).is_ready()
        {
            self.end = None;
            self.next.end = self.next.start;
            return Poll::Ready(Some(Err(io::Error::other("the session has ended"))));
        }
        if self.next.is_empty() {
            return Poll::Ready(None);
        }
        let mut reading = match self.reading.take() {
            Some(reading) => reading,
            None => self.read(),
        };
        let Poll::Ready(piece) = reading.poll_unpin(cx) else {
            self.reading = Some(reading);
            return Poll::Pending;
        };
        match &piece {
            Ok(bytes) => self.next.start += bytes.len() as u64,
            Err(_) => self.next.end = self.next.start,
        }
        Poll::Ready(Some(piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.next.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.next.end - self.next.start)
    }
}

/// Runs `work` on a blocking thread, one of the `threads`: a slow disk must not take those of others.
pub(in crate::gateway) async fn on_a_thread<T: Send + 'static>(
    threads: &Arc<Semaphore>,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let permit = Arc::clone(threads).acquire_owned().await;
    let permit = permit.map_err(io::Error::other)?;
    let work = move || {
        let done = work();
        // Not before, also if the client has gone meanwhile.
        drop(permit);
        done
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}
