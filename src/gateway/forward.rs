//! One call to a service.

use std::{error::Error, future::Future, io, sync::Arc, time::Duration};

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper::body::Body as _;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};

use super::{
    Auth, BuildError, Download, Gateway, GatewayError, Match, Options, Outgoing, Routes, SessionEnd, Upload,
    body::{BodyError, Progress},
    causes::causes,
    headers::{self, Additions},
};
use crate::clock::{self, Clock, Elapsed, SharedClock};

// === impl Gateway ===

impl Gateway {
    /// A gateway for `routes`, which connects to nothing yet.
    ///
    /// # Errors
    ///
    /// [`BuildError`]: TLS towards a service cannot be set up.
    pub fn new(routes: Routes, options: Options, clock: SharedClock) -> Result<Self, BuildError> {
        let connector = connector(&routes, &options)?;
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(options.keep_idle)
            .build(connector);
        Ok(Self {
            routes,
            options,
            clock,
            client,
        })
    }

    /// Sends `request` to the service of `matched` and gives its answer, as soon as its head is there; both bodies
    /// are streamed. The path sent is the one that was matched, the query passes byte for byte. A call is sent once:
    /// only the connection pool repeats it, where nothing of it was written.
    ///
    /// # Errors
    ///
    /// [`GatewayError`]; the cause is logged with the service's id, without path and query.
    pub async fn forward(
        &self,
        matched: Match<'_>,
        request: Request<Body>,
        outgoing: Outgoing<'_>,
    ) -> Result<Response<Body>, GatewayError> {
        let route = matched.route;
        let service = route.service();
        // The caller has asked for a session already; that nothing leaves without one does not depend on it.
        if route.auth() == Auth::Session && outgoing.credential.is_none() {
            return Err(GatewayError::Unauthenticated);
        }
        let correlation = outgoing.correlation_id.clone();
        let (parts, body) = request.into_parts();
        let mut headers = parts.headers;
        if asks_for_websocket(&headers) {
            return Err(GatewayError::Upgrade);
        }
        let uri = matched
            .uri(parts.uri.query())
            .map_err(|_| GatewayError::BadRequest)?;
        headers::prepare_request(
            &mut headers,
            route.auth(),
            service.rules(),
            Additions {
                credential: outgoing.credential,
                cookies: outgoing.cookies,
                client: &outgoing.client,
                correlation_id: outgoing.correlation_id,
            },
        );
        // An exact size is that of the client's `Content-Length`. For an empty body hyper would leave the field out,
        // which some servers answer with 411 for these methods.
        if body.size_hint().exact() == Some(0) && has_meaning_for_body(&parts.method) {
            headers.insert(header::CONTENT_LENGTH, header::HeaderValue::from_static("0"));
        }
        let has_body = !body.is_end_stream();
        // Without a field that announces it hyper leaves out the body of these methods, unless its size is known.
        if has_body
            && body.size_hint().exact().is_none()
            && matches!(parts.method, Method::GET | Method::HEAD)
        {
            headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        let progress = has_body.then(|| Arc::new(Progress::new(self.clock.now())));
        let upload = Upload::new(
            body,
            &self.clock,
            self.options.upload_idle,
            progress.clone(),
            outgoing.session_end.clone(),
        );
        let mut request = Request::new(upload);
        *request.method_mut() = parts.method;
        *request.uri_mut() = uri;
        // What the browser speaks says nothing about what the service speaks; HTTP/2 is agreed on by ALPN.
        *request.version_mut() = Version::HTTP_11;
        *request.headers_mut() = headers;

        let answer = self.client.request(request);
        let answer = async {
            match &progress {
                Some(progress) => self.until_head(answer, progress, service.timeout()).await,
                None => clock::timeout(self.clock.as_ref(), service.timeout(), answer).await,
            }
        };
        let answer = match outgoing.session_end.clone() {
            None => answer.await,
            Some(end) => tokio::select! {
                biased;
                answer = answer => answer,
                () = end => return Err(GatewayError::Unauthenticated),
            },
        };
        let answer = match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(report(service.id(), &correlation, &error)),
            Err(Elapsed) => {
                tracing::warn!(
                    service = service.id(),
                    timeout = ?service.timeout(),
                    correlation_id = text(&correlation),
                    "a service did not answer in time"
                );
                return Err(GatewayError::GatewayTimeout);
            }
        };
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            tracing::warn!(
                service = service.id(),
                correlation_id = text(&correlation),
                "a service switched protocols unasked"
            );
            return Err(GatewayError::BadGateway);
        }
        Ok(self.answer(answer, &matched, outgoing.session_end, outgoing.keep_set_cookie))
    }

    fn answer(
        &self,
        answer: Response<Incoming>,
        matched: &Match<'_>,
        session_end: Option<SessionEnd>,
        keep_set_cookie: &(dyn Fn(&header::HeaderValue) -> bool + Send + Sync),
    ) -> Response<Body> {
        let (mut parts, body) = answer.into_parts();
        let service = Arc::clone(matched.route.service());
        headers::prepare_response(
            &mut parts.headers,
            matched.route.auth(),
            service.rules(),
            keep_set_cookie,
        );
        let download = Download::new(
            body,
            &self.clock,
            self.options.download_idle,
            service,
            session_end,
        );
        let mut response = Response::new(Body::new(download));
        *response.status_mut() = parts.status;
        *response.headers_mut() = parts.headers;
        response
    }

    /// Waits for the answer's head, at most `timeout` since the service last had something to do.
    async fn until_head<F: Future>(
        &self,
        answer: F,
        progress: &Progress,
        timeout: Duration,
    ) -> Result<F::Output, Elapsed> {
        tokio::select! {
            biased;
            answer = answer => Ok(answer),
            () = service_is_late(self.clock.as_ref(), progress, timeout) => Err(Elapsed),
        }
    }
}

/// Resolves when it has been the service's turn for `timeout`. Ends in any case: a client that stops sending is cut
/// off by its body's own bound.
async fn service_is_late(clock: &dyn Clock, progress: &Progress, timeout: Duration) {
    loop {
        let now = clock.now();
        let deadline = progress.service_since().unwrap_or(now).saturating_add(timeout);
        if deadline <= now {
            return;
        }
        clock.sleep_until(deadline).await;
    }
}

pub(super) fn connector(
    routes: &Routes,
    options: &Options,
) -> Result<HttpsConnector<HttpConnector>, BuildError> {
    let mut http = HttpConnector::new();
    http.set_nodelay(true);
    http.set_connect_timeout(Some(options.connect_timeout));
    http.enforce_http(false);
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    // A container without certificates is fine as long as all services speak plain HTTP.
    let builder = if routes.services().iter().any(|service| service.is_https()) {
        HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(provider)
            .map_err(BuildError::Roots)?
    } else {
        let config = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .map_err(BuildError::Tls)?
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        HttpsConnectorBuilder::new().with_tls_config(config)
    };
    Ok(builder.https_or_http().enable_all_versions().wrap_connector(http))
}

/// Only a WebSocket is worth an error: any other upgrade is an offer, which may be ignored (RFC 9110 section 7.8).
fn asks_for_websocket(headers: &HeaderMap) -> bool {
    headers.get_all(header::UPGRADE).iter().any(|value| {
        value
            .as_bytes()
            .split(|byte| *byte == b',')
            .any(|protocol| protocol.trim_ascii().eq_ignore_ascii_case(b"websocket"))
    })
}

/// RFC 9110 section 8.6.
fn has_meaning_for_body(method: &http::Method) -> bool {
    matches!(method.as_str(), "POST" | "PUT" | "PATCH")
}

/// A correlation id as text.
fn text(correlation: &HeaderValue) -> &str {
    correlation.to_str().unwrap_or_default()
}

/// Logs why a call failed and decides what it is for the client.
fn report(service: &str, correlation: &HeaderValue, error: &(dyn Error + 'static)) -> GatewayError {
    let correlation_id = text(correlation);
    let mut decided = GatewayError::BadGateway;
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(body) = error.downcast_ref::<BodyError>() {
            decided = match body {
                BodyError::Stalled => GatewayError::RequestTimeout,
                BodyError::Broken(_) => GatewayError::BadRequest,
                BodyError::SessionEnded => GatewayError::Unauthenticated,
            };
            break;
        }
        if let Some(error) = error.downcast_ref::<io::Error>() {
            if is_our_own_shortage(error) {
                decided = GatewayError::ServiceUnavailable;
            } else if error.kind() == io::ErrorKind::TimedOut {
                // No connection in time.
                decided = GatewayError::GatewayTimeout;
            }
        }
        cause = error.source();
    }
    if matches!(
        decided,
        GatewayError::RequestTimeout | GatewayError::BadRequest | GatewayError::Unauthenticated
    ) {
        // Clients come and go.
        tracing::debug!(
            service,
            correlation_id,
            cause = causes(error),
            "a client did not finish its request"
        );
    } else {
        tracing::warn!(
            service,
            correlation_id,
            cause = causes(error),
            "a call to a service failed"
        );
    }
    decided
}

/// Whether we, not the service, have run out of something: descriptors, ports, memory.
fn is_our_own_shortage(error: &io::Error) -> bool {
    const EADDRNOTAVAIL: i32 = 99;
    const EMFILE: i32 = 24;
    const ENFILE: i32 = 23;
    const ENOBUFS: i32 = 105;
    matches!(error.kind(), io::ErrorKind::OutOfMemory)
        || matches!(
            error.raw_os_error(),
            Some(EADDRNOTAVAIL | EMFILE | ENFILE | ENOBUFS)
        )
}

#[cfg(test)]
mod tests;
