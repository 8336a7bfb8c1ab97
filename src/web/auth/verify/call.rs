//! The call that a listed proxy asks about, by which its route is found.
//!
//! Every place that names the target has to name the same one. A proxy sets the place of its own dialect and passes the
//! others on as the browser wrote them, and the server does not know which of them the proxy has set.

use http::Method;

use super::{
    super::super::{
        Web,
        envelope::Envelope,
        problem::{Code, Problem},
    },
    asked::{Asked, Doubt},
};
use crate::gateway::{Found, NormalPath, PathError, Route, Table, same_host};

/// The call that a listed proxy asks about.
#[derive(Debug)]
pub(super) struct Call {
    host: String,
    path: NormalPath,
    method: Result<Method, Doubt>,
}

// === impl Call ===

impl Call {
    /// The call, if the peer is a listed proxy that names its target and there are routes at all.
    pub(super) fn of(
        web: &Web,
        table: &Table,
        asked: &Asked<'_>,
        envelope: Envelope<'_>,
    ) -> Result<Option<Self>, Problem> {
        if table.routes().is_empty() || !web.trusted_proxies.contains(envelope.peer.ip()) {
            return Ok(None);
        }
        let host = web.route_host(table, &envelope);
        let mut targets = asked.targets(web.trusted_proxies.family());
        let Some(first) = targets.next() else {
            return Ok(None);
        };
        let path = path_of(first, table, &host)?;
        for target in targets {
            if path_of(target, table, &host)? != path {
                return Err(ambiguous(
                    "The request of the proxy names two paths for the call.",
                ));
            }
        }
        Ok(Some(Self {
            host,
            path,
            method: asked.method(),
        }))
    }

    /// The route of the call; `None` if it has none.
    pub(super) fn route<'a>(&'a self, table: &'a Table) -> Result<Option<&'a Route>, Problem> {
        let method = self.method.as_ref().unwrap_or(&Method::GET);
        let found = table.find(&self.host, &self.path, method);
        if matches!(found, Found::NotFound) {
            // The API gets the path as the browser wrote it.
            return if table.routes().is_read_as_a_route(&self.host, &self.path) {
                Err(PathError::OtherSpelling.into())
            } else {
                Ok(None)
            };
        }
        match self.method {
            Ok(_) => {}
            Err(Doubt::NoMethod) => {
                return Err(ambiguous(
                    "The request of the proxy does not state the method of the call: set X-Forwarded-Method.",
                ));
            }
            Err(Doubt::Method) => {
                return Err(ambiguous(
                    "The request of the proxy names two methods for the call, or an invalid one.",
                ));
            }
        }
        match found {
            Found::Match(matched) => Ok(Some(matched.route)),
            Found::NotFound => Ok(None),
            Found::MethodNotAllowed { allow } => Err(Problem::method_not_allowed(method, allow.clone())),
            Found::Refused(error) => Err(error.into()),
        }
    }
}

/// The normal path of a target. An absolute URL has to name the host of the call, if routes are distinguished by it.
fn path_of(target: &[u8], table: &Table, host: &str) -> Result<NormalPath, Problem> {
    let invalid = || ambiguous("The request of the proxy names a target for the call that is not one.");
    let target = std::str::from_utf8(target).map_err(|_| invalid())?;
    let absolute = ["https://", "http://"]
        .iter()
        .find_map(|scheme| target.strip_prefix(scheme));
    let target = match absolute {
        None => target,
        Some(rest) => {
            let (named, _) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
            if table.routes().has_hosts() && !same_host(named, host) {
                return Err(ambiguous(
                    "The request of the proxy names two hosts for the call: set X-Forwarded-Host.",
                ));
            }
            &rest[named.len()..]
        }
    };
    let (path, _) = target.split_once('?').unwrap_or((target, ""));
    if path.is_empty() {
        return Err(invalid());
    }
    Ok(NormalPath::parse_encoded(path)?)
}

fn ambiguous(detail: &'static str) -> Problem {
    Problem::new(Code::AmbiguousCall, detail)
}
