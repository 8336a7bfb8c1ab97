//! The accept loop: connections with bounds that a hostile client cannot stretch, and a shutdown that lets requests
//! finish.

use std::{
    convert::Infallible,
    future::poll_fn,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

use axum::{body::Body, response::Response};
use hyper::{
    body::Incoming,
    rt::{Read, Timer as _, Write},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto::Builder, graceful::GracefulShutdown},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::{SharedClock, timeout},
    web::Endpoints,
};

/// The header of a first request has this long to arrive.
const FIRST_REQUEST: Duration = Duration::from_secs(15);

/// The header of a later request has this long, and so an unused connection is kept this long. More than the proxies
/// in front keep theirs (Traefik 90 s, Caddy 120 s), so that they close it and never send a call into a connection
/// that is just being closed.
const NEXT_REQUEST: Duration = Duration::from_secs(125);

/// The header of a request may be this large, in bytes. Above what browsers send, and enough for a `Cookie` of 64 KiB,
/// so that such a one is answered and not cut off.
const MAX_HEADER_SIZE: usize = 128 * 1024;

/// The header of a request may have so many fields: twice what people have.
const MAX_HEADER_FIELDS: usize = 400;

/// So many requests of one HTTP/2 connection at a time.
const MAX_STREAMS: u32 = 128;

/// After an error of the listener (out of file descriptors, for example) it rests this long.
const AFTER_ACCEPT_ERROR: Duration = Duration::from_millis(200);

/// Requests have this long to finish once the server is told to stop.
const DRAIN: Duration = Duration::from_secs(20);

/// Serves `endpoints` on `listener` until `shutdown`, then lets the requests under way finish.
pub(super) async fn serve(
    listener: TcpListener,
    endpoints: Endpoints,
    clock: SharedClock,
    shutdown: CancellationToken,
) {
    let builder = builder();
    let graceful = GracefulShutdown::new();
    loop {
        let (stream, peer) = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    clock.sleep(AFTER_ACCEPT_ERROR).await;
                    continue;
                }
            },
        };
        // Small answers must not wait for more to come.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, %peer, "a socket option could not be set");
        }
        let endpoints = Arc::new(endpoints.for_peer(peer));
        let answer = move |request: hyper::Request<Incoming>| {
            let endpoints = Arc::clone(&endpoints);
            async move { endpoints.answer(request.map(Body::new)).await }
        };
        tokio::spawn(connection(
            &builder,
            &graceful,
            TokioIo::new(stream),
            peer,
            answer,
        ));
    }
    drop(listener);
    if timeout(&*clock, DRAIN, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not finish in time and were cut off");
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(NEXT_REQUEST)
        .max_headers(MAX_HEADER_FIELDS)
        .max_buf_size(MAX_HEADER_SIZE);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(u32::try_from(MAX_HEADER_SIZE).unwrap_or(u32::MAX))
        .keep_alive_interval(Some(Duration::from_secs(30)));
    builder
}

/// Serves one connection to its end.
fn connection<IO, A, F>(
    builder: &Builder<TokioExecutor>,
    graceful: &GracefulShutdown,
    io: IO,
    peer: SocketAddr,
    answer: A,
) -> impl Future<Output = ()> + Send + use<IO, A, F>
where
    IO: Read + Write + Unpin + Send + 'static,
    A: Fn(hyper::Request<Incoming>) -> F + Send + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    let has_asked = Arc::new(AtomicBool::new(false));
    let asks = Arc::clone(&has_asked);
    let service = service_fn(move |request| {
        asks.store(true, Ordering::Relaxed);
        let answer = answer(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = builder.serve_connection_with_upgrades(io, service);
    let connection = graceful.watch(connection.into_owned());
    async move {
        let mut connection = pin!(connection);
        // The bounds of HTTP/1 and HTTP/2 begin when it is known which of them is spoken, which a client that sends
        // nothing, or half of a preface, leaves open. After the first request nobody looks at this timer any more.
        let mut silence = pin!(TokioTimer::new().sleep(FIRST_REQUEST));
        let ended = poll_fn(|cx| match connection.as_mut().poll(cx) {
            Poll::Ready(ended) => Poll::Ready(Some(ended)),
            Poll::Pending if has_asked.load(Ordering::Relaxed) => Poll::Pending,
            Poll::Pending => silence.as_mut().poll(cx).map(|()| None),
        });
        match ended.await {
            Some(Ok(())) => {}
            Some(Err(error)) if is_too_large(&*error) => tracing::warn!(
                %peer,
                max_bytes = MAX_HEADER_SIZE,
                max_fields = MAX_HEADER_FIELDS,
                "a request was refused with 431: its header is too large"
            ),
            // A client that went away or does not speak HTTP; nothing an operator could do.
            Some(Err(error)) => tracing::debug!(%error, %peer, "a connection ended early"),
            None => tracing::debug!(%peer, "a connection brought no request"),
        }
    }
}

/// Whether a connection ended since the header of a request was beyond its bounds.
fn is_too_large(error: &(dyn std::error::Error + 'static)) -> bool {
    error
        .downcast_ref::<hyper::Error>()
        .is_some_and(hyper::Error::is_parse_too_large)
}

#[cfg(test)]
mod tests;
