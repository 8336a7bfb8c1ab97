//! A call that opens a WebSocket.

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::Empty;
use hyper::upgrade::{OnUpgrade, Upgraded};
use parking_lot::Mutex;

use super::{
    super::{
        Attended, GatewayError, Stop, WebSockets,
        failure::{self, report},
        guard::Sending,
        tunnel::{Terms, Tunnel},
        upstream::{Arriving, SendError},
        websocket::{self, Disagreement, Handshake},
    },
    Call,
};
use crate::{clock, head, random::RandomExt as _};

/// The parts of a call that opens a WebSocket.
pub(super) struct WebSocket<'a> {
    handshake: Handshake,
    settings: &'a WebSockets,
    /// `None` once the tunnel has it. Behind a lock only because tasks share what they hold.
    attended: Mutex<Option<Attended>>,
}

/// Why no WebSocket was opened; the cause is logged where it is not in the error.
enum Failure {
    Decided(GatewayError),
    /// The same, because the service did not answer.
    Late(GatewayError),
    Call(SendError),
    Answer(Disagreement),
}

// === impl WebSocket ===

impl<'a> WebSocket<'a> {
    pub(super) const fn new(handshake: Handshake, settings: &'a WebSockets, attended: Attended) -> Self {
        Self {
            handshake,
            settings,
            attended: Mutex::new(Some(attended)),
        }
    }
}

// === impl Call ===

impl<'a> Call<'a> {
    /// Asks the service for a WebSocket. Its agreement starts the tunnel; its refusal passes like any answer.
    pub(super) async fn open(
        &self,
        mut web_socket: WebSocket<'a>,
        sending: Sending,
    ) -> (WebSocket<'a>, Result<Response<Body>, GatewayError>) {
        let service = self.matched.route.service();
        let failure = match self.open_or_fail(&mut web_socket).await {
            Ok(answer) => {
                sending.answered();
                return (web_socket, Ok(answer));
            }
            Err(failure) => failure,
        };
        let now = self.gateway.clock.now();
        let decided = match failure {
            Failure::Decided(error) => error,
            Failure::Late(error) => {
                sending.failed(now);
                error
            }
            Failure::Call(error) => {
                let proxy = self.gateway.proxy_of(service);
                let decided = report(service, proxy, self.correlation_id(), &error);
                if failure::is_of_service(decided, &error) {
                    sending.failed(now);
                }
                decided
            }
            Failure::Answer(error) => {
                sending.answered();
                tracing::warn!(
                    service = self.service_id(),
                    correlation_id = self.correlation_id(),
                    %error,
                    "a service did not open a WebSocket"
                );
                GatewayError::BadGateway
            }
        };
        (web_socket, Err(decided))
    }

    async fn open_or_fail(&self, web_socket: &mut WebSocket<'a>) -> Result<Response<Body>, Failure> {
        let settings = web_socket.settings;
        let mut request = Request::new(Empty::<Bytes>::new());
        request.method_mut().clone_from(&self.method);
        *request.uri_mut() = self
            .uri
            .path_and_query()
            .cloned()
            .map(Uri::from)
            .unwrap_or_default();
        let mut fields = self.headers.clone();
        let key = self.gateway.options.random.bytes();
        let sent = web_socket
            .handshake
            .ask(&mut fields, key, settings)
            .map_err(Failure::Answer)?;
        *request.headers_mut() = fields;
        let mut answer = self.head_of(request).await?;
        let agreed = web_socket
            .handshake
            .agree(&sent, settings, &answer)
            .map_err(Failure::Answer)?;
        let Some(agreed) = agreed else {
            websocket::remove_fields(answer.headers_mut());
            return Ok(self.answer(answer));
        };
        let service = hyper::upgrade::on(&mut answer);
        let (mut parts, _) = self.answer(answer).into_parts();
        let (status, client) = web_socket.handshake.answer(&agreed, &mut parts.headers);
        parts.status = status;
        let (Some(client), Some(attended)) = (client, web_socket.attended.lock().take()) else {
            return Err(Failure::Decided(GatewayError::BadGateway));
        };
        self.start(client, service, agreed.is_extended, attended);
        Ok(Response::from_parts(parts, Body::empty()))
    }

    /// Waits for the head of the answer.
    async fn head_of(&self, request: Request<Empty<Bytes>>) -> Result<Response<Arriving>, Failure> {
        let clock = self.gateway.clock.as_ref();
        let service = self.matched.route.service();
        let Some(upstream) = self.table.upstreams.of(service) else {
            return Err(Failure::Decided(GatewayError::BadGateway));
        };
        let timeout = service.timeout();
        let answer = clock::timeout(clock, timeout, upstream.alone(request));
        let answer = match self.session_end.clone() {
            None => answer.await,
            Some(end) => tokio::select! {
                biased;
                () = end => return Err(Failure::Decided(GatewayError::Unauthenticated)),
                answer = answer => answer,
            },
        };
        let Ok(answer) = answer else {
            tracing::warn!(
                service = self.service_id(),
                ?timeout,
                correlation_id = self.correlation_id(),
                "a service did not answer in time"
            );
            return Err(Failure::Late(GatewayError::GatewayTimeout));
        };
        let answer = answer.map_err(Failure::Call)?;
        head::check(answer.headers()).map_err(|error| {
            let decided = failure::refuse_head(self.service_id(), self.correlation_id(), &error);
            Failure::Decided(decided)
        })?;
        Ok(answer)
    }

    /// Starts the tunnel, which goes on after the call.
    fn start(&self, client: OnUpgrade, service: OnUpgrade, is_extended: bool, attended: Attended) {
        let Attended { stop, kept } = attended;
        let route = self.matched.route;
        let idle = route.web_sockets().and_then(|settings| settings.idle);
        let place = self.place.clone();
        let session_end = self.session_end.clone();
        let stop = async move {
            match session_end {
                None => stop.await,
                Some(end) => tokio::select! {
                    biased;
                    () = end => Stop::Session,
                    stop = stop => stop,
                },
            }
        };
        let terms = Terms {
            clock: self.gateway.clock.clone(),
            random: self.gateway.options.random.clone(),
            idle: idle.unwrap_or(self.gateway.options.stream_idle),
            max_message: route
                .max_message(self.gateway.options.max_body)
                .unwrap_or(u64::MAX),
            stop: Box::pin(stop),
        };
        let id = self.service_id().to_owned();
        let correlation_id = self.correlation_id().to_owned();
        tokio::spawn(async move {
            let _kept = (kept, place);
            match tokio::try_join!(client, service) {
                Ok((client, service)) => {
                    let ended = Tunnel::<Upgraded, Upgraded>::new(client, service, is_extended, terms).await;
                    tracing::debug!(service = id, correlation_id, %ended, "a WebSocket has ended");
                }
                Err(error) => {
                    tracing::debug!(service = id, correlation_id, %error, "a WebSocket did not begin");
                }
            }
        });
    }
}
