//! The access line: one for each request, when its answer begins.

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use axum::{extract::Request, response::Response};
use http::{Method, uri::PathAndQuery};
use tracing::Level;

use super::{Web, caller::Caller, request_context::RequestContext};
use crate::{clock::Timestamp, gateway::Route, own_paths, session::SessionRef};

/// Longer host names are cut, in bytes.
const MAX_HOST: usize = 255;

/// The content of the line, as far as it is known when the request arrives.
pub(super) struct Access {
    started: Timestamp,
    level: Level,
    method: Method,
    target: Option<PathAndQuery>,
    client: IpAddr,
    host: String,
    notes: Notes,
}

/// The facts that handlers add to the line; `None` if no line is written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes(Option<Arc<Noted>>);

#[derive(Debug, Default)]
struct Noted {
    route: OnceLock<(String, String)>,
    session: OnceLock<SessionRef>,
}

// === impl Access ===

impl Access {
    /// The line for a request that arrives, if one is written: health checks are only of use while looking for something.
    pub(super) fn begin(web: &Web, context: &mut RequestContext, request: &Request) -> Option<Self> {
        let probe = own_paths::is_health(request.uri().path());
        let (level, enabled) = if probe {
            (
                Level::DEBUG,
                tracing::enabled!(target: "bff::access", Level::DEBUG),
            )
        } else {
            (Level::INFO, tracing::enabled!(target: "bff::access", Level::INFO))
        };
        if !enabled {
            return None;
        }
        let client = web
            .trusted_proxies
            .client(context.peer, request.uri(), request.headers());
        let mut host = client.host;
        host.truncate(host.floor_char_boundary(MAX_HOST));
        context.notes = Notes(Some(Arc::default()));
        Some(Self {
            started: web.clock.now(),
            level,
            method: request.method().clone(),
            // Only references to the received request.
            target: request.uri().path_and_query().cloned(),
            client: client.address,
            host,
            notes: context.notes.clone(),
        })
    }

    /// Writes the line. Never the query: on the routes of a login it contains a code and a state.
    pub(super) fn end(&self, web: &Web, response: &Response, correlation_id: &str) {
        let noted = self.notes.0.as_deref();
        let route = noted.and_then(|noted| noted.route.get());
        let session = noted.and_then(|noted| noted.session.get());
        macro_rules! line {
            ($level:expr) => {
                tracing::event!(
                    target: "bff::access",
                    $level,
                    method = %self.method,
                    path = self.target.as_ref().map_or("", |target| target.path()),
                    status = response.status().as_u16(),
                    milliseconds = web.clock.now().unix_millis().saturating_sub(self.started.unix_millis()),
                    client = %self.client,
                    host = self.host,
                    route = route.map(|(route, _)| route.as_str()),
                    service = route.map(|(_, service)| service.as_str()),
                    session = session.map(SessionRef::as_str),
                    correlation_id,
                )
            };
        }
        if self.level == Level::DEBUG {
            line!(Level::DEBUG);
        } else {
            line!(Level::INFO);
        }
    }
}

// === impl Notes ===

impl Notes {
    /// The request matches this route.
    pub(crate) fn route(&self, route: &Route) {
        if let Some(noted) = &self.0 {
            let ids = || (route.id().to_owned(), route.service().id().to_owned());
            noted.route.get_or_init(ids);
        }
    }

    /// The request belongs to this session.
    pub(crate) fn session(&self, web: &Web, caller: &Caller) {
        if let Some(noted) = &self.0 {
            noted
                .session
                .get_or_init(|| SessionRef::new(&web.sealer, &caller.key));
        }
    }
}
