//! Reads `routes.yaml` and finds every mistake in it.

mod authz;
mod files;
mod headers;
mod identity;
mod legacy;
mod limits;
mod mistakes;
mod pattern;
mod policy;
mod route;
mod security;
mod service;
mod tokens;
mod upstream_path;
mod web_sockets;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use http::HeaderValue;

use self::mistakes::{Reader, shown};
use super::{Around, Auth, Group, MAX_FILE_SIZE, Methods, Route, Routes, Service, spelling::Spellings};
use crate::{
    credential::Mode,
    yaml::{self, Aliases, At, Node, Value},
};

pub use self::mistakes::{Mistake, RoutesError};
pub(super) use self::{
    legacy::{Place, words_of_legacy},
    route::KEYS as ROUTE_KEYS,
    service::KEYS as SERVICE_KEYS,
    tokens::POLICY_KEYS,
};

/// A valid route with its position.
struct Placed {
    at: At,
    /// The place of its `token_policy`.
    policy_at: Option<At>,
    route: Route,
}

pub(super) fn read(yaml: &str, around: &Around<'_>) -> Result<Routes, RoutesError> {
    if yaml.len() > MAX_FILE_SIZE {
        return Err(RoutesError::single(
            At { line: 1, column: 1 },
            "the file is larger than 1 MiB",
            "keep only services and routes in it",
        ));
    }
    let Some(mut root) = yaml::read(yaml, Aliases::Followed).map_err(RoutesError::of_yaml)? else {
        return Ok(Routes::default());
    };
    let mut reader = Reader::new(around.folder, around);
    reader.expand(&mut root, around.variables);
    if reader.mistakes.is_empty() {
        let routes = reader.root(&root);
        return reader.finish_routes(routes);
    }
    reader.finish_routes(Routes::default())
}

// === impl Reader ===

impl Reader<'_> {
    fn root(&mut self, root: &Node) -> Routes {
        if matches!(root.value, Value::Null) {
            return Routes::default();
        }
        let Some(fields) = self.fields(root, "the file".to_owned(), &["services", "routes"]) else {
            return Routes::default();
        };
        let mut services = Vec::new();
        // Services with mistakes count as known, so that a route that names one is not called wrong as well.
        let mut known = HashMap::new();
        let mut folders = Vec::new();
        if let Some(node) = fields.get("services") {
            for (key, node) in self.map(node, "`services`") {
                let service = self.service(key, node).map(Arc::new);
                let folder = service.as_ref().and_then(|service| service.folder());
                folders.extend(folder.map(|folder| (key.at(), Arc::clone(folder))));
                services.extend(service.clone());
                known.insert(key.name.as_str(), service);
            }
        }
        self.unknown_defaults(root.at(), &known);
        self.check_named_files(&folders);
        let mut routes = Vec::new();
        if let Some(node) = fields.get("routes") {
            let mut ids = HashSet::new();
            for node in self.list(node, "`routes`") {
                routes.extend(self.route(node, &known, &mut ids));
            }
        }
        self.table(routes, services)
    }

    /// Puts the routes in their places; two for the same paths and method are a mistake.
    fn table(&mut self, mut routes: Vec<Placed>, services: Vec<Arc<Service>>) -> Routes {
        let mut seen: HashMap<_, Vec<&Placed>> = HashMap::new();
        for placed in &routes {
            let others = seen.entry(placed.route.pattern.shape()).or_default();
            for other in others.iter() {
                let twice = other.route.methods.overlap(placed.route.methods);
                if twice != Methods::EMPTY {
                    self.mistake(
                        placed.at,
                        format!(
                            "route {} has the paths and {twice} of route {} in line {}",
                            shown(&placed.route.id),
                            shown(&other.route.id),
                            other.at.line
                        ),
                        "remove one of them, or give them other methods",
                    );
                }
            }
            others.push(placed);
        }
        let first_exchange = routes.iter().find_map(Placed::exchange);
        // From here on the order of the file is gone.
        routes.sort_by(|one, other| {
            let pattern = one.route.pattern.precedence(&other.route.pattern);
            pattern.then_with(|| one.route.id.cmp(&other.route.id))
        });
        let mut table = Routes {
            services,
            first_exchange,
            ..Routes::default()
        };
        for Placed { route, .. } in routes {
            let next = table.groups.len();
            let hosts = route.pattern.slot(&mut table.tree).get_or_insert_default();
            let at = match &route.pattern.host {
                None => *hosts.all.get_or_insert(next),
                Some(host) => *hosts.named.entry(host.clone()).or_insert(next),
            };
            table.has_hosts |= route.pattern.host.is_some();
            match table.groups.get_mut(at) {
                Some(group) => group.push(route),
                None => table.groups.push(Group::new(route)),
            }
        }
        table.spellings = Spellings::of(&table.groups);
        table
    }
}

// === impl Placed ===

impl Placed {
    /// Its place and id, if it exchanges tokens of callers.
    fn exchange(&self) -> Option<(At, String)> {
        let exchanges = self.route.auth() == Auth::Bearer && self.route.tokens().mode == Mode::OnBehalfOf;
        exchanges.then(|| (self.policy_at.unwrap_or(self.at), self.route.id.clone()))
    }
}

// === impl Group ===

impl Group {
    fn new(route: Route) -> Self {
        let mut group = Self {
            host: route.pattern.host.clone(),
            routes: Vec::new(),
            allow: HeaderValue::from_static(""),
        };
        group.push(route);
        group
    }

    fn push(&mut self, route: Route) {
        self.routes.push(route);
        let all = self
            .routes
            .iter()
            .fold(Methods::EMPTY, |all, route| all.with(route.methods));
        if let Ok(allow) = HeaderValue::from_str(&all.to_string()) {
            self.allow = allow;
        }
    }
}
