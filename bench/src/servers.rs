//! The servers that do less: the cost of axum and hyper themselves.

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
    routing::any,
};
use http::{StatusCode, Uri, uri::Scheme};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::net::TcpListener;

use super::Result;

type Pool = Client<hyper_util::client::legacy::connect::HttpConnector, Body>;

/// Runs a server or the comparison to its end, on as many workers as there are cores to run on.
pub(super) fn run(work: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(work)
}

/// Answers every request as the forward authentication does: 200, no body, five header fields.
pub(super) async fn bare(port: u16) -> Result<()> {
    let router = Router::new().fallback(any(async || {
        let headers = [
            ("x-user-id", "u-ada"),
            ("x-session-id", "0123456789abcdef012345"),
            ("x-auth-time", "1800000000"),
            ("x-user-email", "ada@example.test"),
            ("x-user-name", "Ada Lovelace"),
        ];
        (StatusCode::OK, headers)
    }));
    axum::serve(TcpListener::bind(("127.0.0.1", port)).await?, router).await?;
    Ok(())
}

/// Passes every request on, streamed both ways.
pub(super) async fn proxy(port: u16, upstream: u16) -> Result<()> {
    let pool: Pool = Client::builder(TokioExecutor::new()).build_http();
    let router = Router::new().fallback(any(pass_on)).with_state((pool, upstream));
    axum::serve(TcpListener::bind(("127.0.0.1", port)).await?, router).await?;
    Ok(())
}

async fn pass_on(State((pool, upstream)): State<(Pool, u16)>, mut request: Request) -> Response {
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = format!("127.0.0.1:{upstream}").parse().ok();
    let Ok(uri) = Uri::from_parts(parts) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    *request.uri_mut() = uri;
    match pool.request(request).await {
        Ok(response) => response.map(Body::new),
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}
