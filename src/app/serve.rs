//! The accept loop: connections with bounds that a hostile client cannot stretch, and a shutdown that lets requests
//! finish.

use std::time::Duration;

use axum::{Router, extract::ConnectInfo};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto::Builder, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::clock::{SharedClock, timeout};

/// A client has this long to send the header of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);

/// The header of a request may be this large, in bytes. Above what browsers send, and enough for a `Cookie` of 64 KiB,
/// so that such a one is answered and not cut off.
const MAX_HEADER_SIZE: usize = 128 * 1024;

/// So many requests of one HTTP/2 connection at a time.
const MAX_STREAMS: u32 = 128;

/// After an error of the listener (out of file descriptors, for example) it rests this long.
const AFTER_ACCEPT_ERROR: Duration = Duration::from_millis(200);

/// Requests have this long to finish once the server is told to stop.
const DRAIN: Duration = Duration::from_secs(20);

/// Serves `router` on `listener` until `shutdown`, then lets the requests under way finish.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    clock: SharedClock,
    shutdown: CancellationToken,
) {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEADER_SIZE);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(u32::try_from(MAX_HEADER_SIZE).unwrap_or(u32::MAX))
        .keep_alive_interval(Some(Duration::from_secs(30)));
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
        let service =
            router
                .clone()
                .map_request(move |mut request: hyper::Request<hyper::body::Incoming>| {
                    request.extensions_mut().insert(ConnectInfo(peer));
                    request.map(axum::body::Body::new)
                });
        let connection =
            builder.serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(service));
        let connection = graceful.watch(connection.into_owned());
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                // A client that went away or does not speak HTTP; nothing an operator could do.
                tracing::debug!(%error, %peer, "a connection ended early");
            }
        });
    }
    drop(listener);
    if timeout(&*clock, DRAIN, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not finish in time and were cut off");
    }
}
