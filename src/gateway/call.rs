//! One call to a service.

mod late;
mod web_socket;

use std::{pin::pin, sync::Arc};

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use hyper::body::Body as _;

use self::{late::until_head, web_socket::WebSocket};
use super::{
    Auth, Download, Gateway, GatewayError, Match, Outgoing, SessionEnd, Table, Upgrade,
    failure::{self, report},
    guard::{Place, Sending},
    headers::{self, Additions},
    rewrite,
    trailers::Trailers,
    upload::{Progress, Uploads},
    upstream::{Arriving, SendError},
    websocket::Handshake,
};
use crate::{
    clock::{self, Elapsed, Timestamp},
    credential::Credential,
    head,
    proxy::Proxy,
};

/// A call that is ready to be sent.
pub struct Call<'a> {
    gateway: &'a Gateway,
    table: &'a Table,
    matched: Match<'a>,
    /// Never [`Optional`](Auth::Optional): it is as one of the others.
    auth: Auth,
    /// The end of the time for the whole call.
    deadline: Option<Timestamp>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    uploads: Uploads,
    /// Its place among the calls of the service at a time.
    place: Option<Place>,
    /// A WebSocket, in place of a call.
    web_socket: Option<WebSocket<'a>>,
    correlation_id: HeaderValue,
    session_end: Option<SessionEnd>,
    keep_set_cookie: &'a (dyn Fn(&HeaderValue) -> bool + Send + Sync),
}

/// Why there is no answer.
enum Failure {
    /// The answer to the client is decided, and the cause is logged.
    Decided(GatewayError),
    /// The same, because the service did not answer.
    Late(GatewayError),
    Upstream(SendError),
}

// === impl Gateway ===

impl Gateway {
    /// Prepares a call to the service of `matched`, which comes from `table`. It sends the matched path and the unchanged query. Nothing is
    /// sent yet.
    ///
    /// # Errors
    ///
    /// [`GatewayError`]: the request cannot be passed on.
    pub fn call<'a>(
        &'a self,
        table: &'a Table,
        matched: Match<'a>,
        request: Request<Body>,
        outgoing: Outgoing<'a>,
    ) -> Result<Call<'a>, GatewayError> {
        let route = matched.route;
        // The caller has already required a session. This check is independent of it: nothing leaves without a
        // credential.
        let auth = route.auth().of_call(outgoing.credential.is_some());
        if matches!(auth, Auth::Session | Auth::Bearer) && outgoing.credential.is_none() {
            return Err(GatewayError::Unauthenticated);
        }
        // A folder has no connection; its files are sent by `Gateway::file`.
        if route.service().folder().is_some() {
            return Err(GatewayError::BadGateway);
        }
        let upgrade = Upgrade::of(&request);
        let (mut parts, body) = request.into_parts();
        let web_socket = match (upgrade, route.web_sockets(), outgoing.tunnel) {
            (None, ..) => None,
            (Some(Upgrade::WebSocket), Some(settings), Some(attended)) => {
                let handshake = Handshake::take(&mut parts, !body.is_end_stream())?;
                Some(WebSocket::new(handshake, settings, attended))
            }
            (Some(_), ..) => return Err(GatewayError::Upgrade),
        };
        let mut headers = parts.headers;
        let max_body = route.max_body(self.options.max_body);
        // Before anything is sent: `Content-Length` says it.
        if max_body.is_some_and(|max| body.size_hint().lower() > max) {
            return Err(GatewayError::BodyTooLarge);
        }
        let guard = table.guards.of(route.service());
        let place = guard.map_or(Ok(None), |guard| guard.place())?;
        let uri = matched
            .uri(parts.uri.query())
            .map_err(|_| GatewayError::BadRequest)?;
        let trailers = Trailers::Up(Arc::clone(route.service()));
        let announced = trailers.announced(&headers);
        headers::prepare_request(
            &mut headers,
            auth,
            route.service().rules(),
            Additions {
                credential: outgoing.credential,
                cookies: outgoing.cookies,
                client: &outgoing.client,
                identity: outgoing.identity,
                prefix: matched.forwarded_prefix(),
                correlation_id: outgoing.correlation_id.clone(),
            },
        );
        // A proxy gets a call over plain http whole; for https it was authorised when it opened the tunnel.
        // A WebSocket has a tunnel in any case.
        if !route.service().is_https()
            && web_socket.is_none()
            && let Some(authorization) = self.proxy_of(route.service()).and_then(Proxy::authorization)
        {
            headers.insert(header::PROXY_AUTHORIZATION, authorization.clone());
        }
        announced.ask(&mut headers);
        announce_body(&mut headers, &parts.method, &body);
        let uploads = Uploads::new(
            body,
            &self.clock,
            route.service().idle_timeout().unwrap_or(self.options.upload_idle),
            outgoing.session_end.clone(),
            // Another token, or another connection.
            auth == Auth::Session || parts.method.is_idempotent(),
            max_body,
            trailers,
        );
        let total = route.service().total_timeout().filter(|_| !route.streams());
        let deadline = total.map(|total| self.clock.now().saturating_add(total));
        Ok(Call {
            gateway: self,
            table,
            matched,
            auth,
            deadline,
            method: parts.method,
            uri,
            headers,
            uploads,
            place,
            web_socket,
            correlation_id: outgoing.correlation_id,
            session_end: outgoing.session_end,
            keep_set_cookie: outgoing.keep_set_cookie,
        })
    }
}

// === impl Call ===

impl Call<'_> {
    /// Sends the call and returns its answer as soon as the head has arrived; both bodies are streamed. If a reused
    /// connection closes without a byte of an answer, an idempotent call is sent once more (RFC 9110 section 9.2.2).
    /// The connection pool itself repeats a call if nothing of it was written.
    ///
    /// # Errors
    ///
    /// [`GatewayError`]; the cause is logged with the service's id, without path and query.
    pub async fn send(&mut self) -> Result<Response<Body>, GatewayError> {
        let mut may_repeat = self.method.is_idempotent();
        let guard = self.table.guards.of(self.matched.route.service());
        let sending = Sending::begin(guard, || self.gateway.clock.now())?;
        if let Some(web_socket) = self.web_socket.take() {
            // Large, beside the future of a call.
            let (web_socket, answer) = Box::pin(self.open(web_socket, sending)).await;
            self.web_socket = Some(web_socket);
            return answer;
        }
        loop {
            let (upload, progress) = self.uploads.next();
            let mut request = Request::new(upload);
            request.method_mut().clone_from(&self.method);
            request.uri_mut().clone_from(&self.uri);
            request.headers_mut().clone_from(&self.headers);
            let error = match self.head(Box::new(request), progress.as_deref()).await {
                Ok(answer) => {
                    sending.answered();
                    return Ok(self.answer(answer));
                }
                Err(Failure::Decided(error)) => return Err(error),
                Err(Failure::Late(error)) => {
                    sending.failed(self.gateway.clock.now());
                    return Err(error);
                }
                Err(Failure::Upstream(error)) => error,
            };
            if may_repeat && self.can_be_repeated() && error.is_repeatable() {
                may_repeat = false;
                tracing::debug!(
                    service = self.service_id(),
                    correlation_id = self.correlation_id(),
                    "a connection closed before the answer; the call is sent once more"
                );
                continue;
            }
            let service = self.matched.route.service();
            let proxy = self.gateway.proxy_of(service);
            let decided = report(service, proxy, self.correlation_id(), &error);
            if failure::is_of_service(decided, &error) {
                sending.failed(self.gateway.clock.now());
            }
            return Err(decided);
        }
    }

    /// Whether [`send_again`](Self::send_again) can send the whole body again: the body is empty, or short and kept.
    #[must_use]
    pub fn can_be_repeated(&self) -> bool {
        self.uploads.can_be_repeated()
    }

    /// Sends the call again, with another credential: the service refused the one before, so that it did nothing yet.
    ///
    /// # Errors
    ///
    /// [`GatewayError`], as of [`send`](Self::send).
    pub async fn send_again(&mut self, credential: &Credential) -> Result<Response<Body>, GatewayError> {
        credential.apply(&mut self.headers);
        self.send().await
    }

    /// Waits for the head of the answer.
    async fn head(
        &self,
        request: Box<Request<super::Upload>>,
        progress: Option<&Progress>,
    ) -> Result<Response<Arriving>, Failure> {
        let clock = self.gateway.clock.as_ref();
        let service = self.matched.route.service();
        let Some(upstream) = self.table.upstreams.of(service) else {
            return Err(Failure::Decided(GatewayError::BadGateway));
        };
        // Once in memory: each of the futures around it would hold it twice.
        let answer = pin!(upstream.send(request));
        let left = self.deadline.map(|deadline| deadline.duration_since(clock.now()));
        let timeout = left.map_or(service.timeout(), |left| left.min(service.timeout()));
        let answer = async {
            match progress {
                Some(progress) => until_head(clock, answer, progress, timeout).await,
                None => clock::timeout(clock, timeout, answer).await,
            }
        };
        let answer = async {
            match left {
                // An upload may take the whole time.
                Some(left) => clock::timeout(clock, left, answer).await.flatten(),
                None => answer.await,
            }
        };
        let answer = match self.session_end.clone() {
            None => answer.await,
            Some(end) => tokio::select! {
                biased;
                answer = answer => answer,
                () = end => return Err(Failure::Decided(GatewayError::Unauthenticated)),
            },
        };
        match answer {
            Ok(Ok(answer)) if answer.status() == StatusCode::SWITCHING_PROTOCOLS => {
                tracing::warn!(
                    service = self.service_id(),
                    correlation_id = self.correlation_id(),
                    "a service switched protocols unasked"
                );
                Err(Failure::Decided(GatewayError::BadGateway))
            }
            Ok(Ok(answer))
                if answer.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED && !service.is_https() =>
            {
                match self.gateway.proxy_of(service) {
                    None => Ok(answer),
                    Some(proxy) => Err(Failure::Decided(failure::unauthorised(
                        service,
                        proxy,
                        self.correlation_id(),
                    ))),
                }
            }
            Ok(Ok(answer)) => match head::check(answer.headers()) {
                Ok(()) => Ok(answer),
                Err(error) => {
                    let decided = failure::refuse_head(self.service_id(), self.correlation_id(), &error);
                    Err(Failure::Decided(decided))
                }
            },
            Ok(Err(error)) => Err(Failure::Upstream(error)),
            Err(Elapsed) => {
                tracing::warn!(
                    service = self.service_id(),
                    ?timeout,
                    correlation_id = self.correlation_id(),
                    "a service did not answer in time"
                );
                // While it is the client's turn, the service is not late.
                if progress.is_some_and(|progress| progress.service_since().is_none()) {
                    Err(Failure::Decided(GatewayError::GatewayTimeout))
                } else {
                    Err(Failure::Late(GatewayError::GatewayTimeout))
                }
            }
        }
    }

    fn answer(&self, answer: Response<Arriving>) -> Response<Body> {
        let (mut parts, body) = answer.into_parts();
        let route = self.matched.route;
        let service = route.service();
        if let Some(cache_control) = route.cache_control()
            && (parts.status.is_success() || parts.status == StatusCode::NOT_MODIFIED)
        {
            parts.headers.insert(header::CACHE_CONTROL, cache_control.clone());
        }
        let announced = Trailers::Down(Arc::clone(service)).announced(&parts.headers);
        headers::prepare_response(
            &mut parts.headers,
            self.auth,
            service.rules(),
            self.keep_set_cookie,
        );
        if route.auth() == Auth::Optional && self.auth == Auth::None {
            // A cache must not show it to a person with a session.
            parts
                .headers
                .append(header::VARY, HeaderValue::from_static("cookie"));
        }
        announced.answer(&mut parts.headers);
        let idle = if route.streams() {
            // For an nginx in front of us.
            parts
                .headers
                .insert(headers::X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
            self.gateway.options.stream_idle
        } else {
            service
                .idle_timeout()
                .unwrap_or(self.gateway.options.download_idle)
        };
        if service.rewrites() {
            rewrite::rewrite(&mut parts.headers, self.table.routes(), &self.matched);
        }
        let download = Download::new(
            body,
            &self.gateway.clock,
            idle,
            self.deadline,
            service.clone(),
            self.session_end.clone(),
            self.place.clone(),
        );
        let mut response = Response::new(Body::new(download));
        *response.status_mut() = parts.status;
        *response.headers_mut() = parts.headers;
        response
    }

    fn service_id(&self) -> &str {
        self.matched.route.service().id()
    }

    fn correlation_id(&self) -> &str {
        failure::text(&self.correlation_id)
    }
}

/// States the size of a body where the HTTP library would omit it.
fn announce_body(headers: &mut HeaderMap, method: &Method, body: &Body) {
    let size = body.size_hint().exact();
    // An exact size is that of the client's `Content-Length`. Some servers answer 411 to these methods if an empty
    // body has no such field (RFC 9110 section 8.6).
    if size == Some(0) && matches!(*method, Method::POST | Method::PUT | Method::PATCH) {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    // Without a field that announces it, the library drops the body of these methods, unless its size is known.
    if size.is_none() && !body.is_end_stream() && matches!(*method, Method::GET | Method::HEAD) {
        headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

#[cfg(test)]
mod tests;
