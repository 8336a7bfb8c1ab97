//! Serves an IdP with its own small connection loop, because a fault may have to close a connection without an
//! answer.

use std::{convert::Infallible, future::Future, io, pin::pin, time::Duration};

use axum::{Router, http::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use tower::ServiceExt as _;

use crate::{Idp, web::pipeline::CloseConnection};

/// A connection that sends nothing is closed; longer than the pools of usual clients keep theirs.
const HEADER_TIMEOUT: Duration = Duration::from_mins(2);
/// Requests under way may end at the shutdown; hanging ones must not delay it.
const GRACE: Duration = Duration::from_secs(1);

/// The connection has to end without an answer.
#[derive(Debug, thiserror::Error)]
#[error("closed on request")]
struct Closed;

/// Serves the IdP until `shutdown` is ready, then lets requests under way finish for a second.
///
/// # Errors
///
/// None at present: an accept that fails is tried again.
pub async fn serve(listener: TcpListener, idp: Idp, shutdown: impl Future) -> io::Result<()> {
    let router = idp.router();
    let (stop, _) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            _ = &mut shutdown => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, router.clone(), stop.subscribe()));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    // Out of file descriptors: they come back when connections end.
                    sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
    drop(listener);
    stop.send_replace(true);
    let drained = timeout(GRACE, async { while connections.join_next().await.is_some() {} }).await;
    if drained.is_err() {
        connections.shutdown().await;
    }
    Ok(())
}

async fn connection(stream: TcpStream, router: Router, mut stop: watch::Receiver<bool>) {
    // Small answers must not wait for each other; without it everything works, only slower.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: Request<Incoming>| {
        let router = router.clone();
        async move {
            let response = router
                .oneshot(request)
                .await
                .unwrap_or_else(|never: Infallible| match never {});
            if response.extensions().get::<CloseConnection>().is_some() {
                Err(Closed)
            } else {
                Ok(response)
            }
        }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stop.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}
