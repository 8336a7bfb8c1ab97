//! Reads `routes.yaml` and finds every mistake in it.

mod headers;
mod legacy;
mod mistakes;
mod pattern;
mod route;
mod service;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use http::HeaderValue;

use self::mistakes::{Reader, shown};
use super::{Around, Group, MAX_FILE_SIZE, Methods, Pattern, Route, Routes, Service, spelling::Spellings};
use crate::yaml::{self, Aliases, Node, Value};

pub use self::mistakes::{Mistake, RoutesError};
pub(super) use self::{
    legacy::{Place, words_of_legacy},
    route::KEYS as ROUTE_KEYS,
    service::KEYS as SERVICE_KEYS,
};

/// A valid route with its position.
struct Placed {
    line: u64,
    route: Route,
}

pub(super) fn read(yaml: &str, around: &Around<'_>) -> Result<Routes, RoutesError> {
    if yaml.len() > MAX_FILE_SIZE {
        return Err(RoutesError::single(
            1,
            "the file is larger than 1 MiB",
            "keep only services and routes in it",
        ));
    }
    let Some(mut root) = yaml::read(yaml, Aliases::Followed).map_err(RoutesError::of_yaml)? else {
        return Ok(Routes::default());
    };
    let mut reader = Reader::new(around.folder);
    reader.expand(&mut root, around.variables);
    if reader.mistakes.is_empty() {
        let routes = reader.root(&root);
        return reader.finish(routes);
    }
    reader.finish(Routes::default())
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
        if let Some(node) = fields.get("services") {
            for (key, node) in self.map(node, "`services`") {
                let service = self.service(key, node).map(Arc::new);
                services.extend(service.clone());
                known.insert(key.name.as_str(), service);
            }
        }
        let mut routes = Vec::new();
        if let Some(node) = fields.get("routes") {
            let mut ids = HashSet::new();
            for node in self.list(node, "`routes`") {
                routes.extend(self.route(node, &known, &mut ids));
            }
        }
        self.table(routes, services)
    }

    /// Puts the routes in their places; two for the same path and method are a mistake.
    fn table(&mut self, routes: Vec<Placed>, services: Vec<Arc<Service>>) -> Routes {
        let mut seen: HashMap<Pattern, Vec<(Methods, u64)>> = HashMap::new();
        let mut table = Routes {
            services,
            ..Routes::default()
        };
        for Placed { line, route } in routes {
            let others = seen.entry(route.pattern.clone()).or_default();
            for (methods, other) in others.iter() {
                let twice = methods.overlap(route.methods);
                if twice != Methods::EMPTY {
                    self.mistake(
                        line,
                        format!(
                            "route {} has the path and {twice} of the route in line {other}",
                            shown(&route.id)
                        ),
                        "remove one of them, or give them other methods",
                    );
                }
            }
            others.push((route.methods, line));
            let next = table.groups.len();
            let at = match &route.pattern {
                Pattern::Exact(path) => *table.exact.entry(path.clone()).or_insert(next),
                Pattern::Below(prefix) => *table.below.entry(prefix.clone()).or_insert(next),
            };
            match table.groups.get_mut(at) {
                Some(group) => group.push(route),
                None => table.groups.push(Group::new(route)),
            }
        }
        table.spellings = Spellings::of(&table);
        table
    }
}

// === impl Group ===

impl Group {
    fn new(route: Route) -> Self {
        let mut group = Self {
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
