//! `routes.yaml`: which paths go to which service, and who may call them.
//!
//! Matching follows the segments of a [`NormalPath`]: an exact route before any other, then the longest prefix; the
//! most specific path decides alone, so a method that it does not list is refused and never falls through to a wider
//! route. `/api/crud/*` matches `/api/crud`, `/api/crud/` and all below, not `/api/crudx`. A path that another reader
//! could take for one of a narrower route with another policy is refused ([`PathError::OtherSpelling`]).

mod read;
mod spelling;
mod target;
mod tree;

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    sync::Arc,
    time::Duration,
};

use http::{
    HeaderValue, Method,
    uri::{Authority, Scheme},
};

use self::{spelling::Spellings, target::Target};
use super::{NormalPath, PathError, headers::Rules};
use crate::own_paths;

pub use self::read::{Mistake, RoutesError};

/// A larger file is refused, in bytes.
pub const MAX_FILE_SIZE: usize = 1024 * 1024;

/// The routing table.
#[derive(Debug, Default)]
pub struct Routes {
    groups: Vec<Group>,
    /// Groups by their whole path.
    exact: HashMap<String, usize>,
    /// Groups by their prefix.
    below: Prefixes<usize>,
    spellings: Spellings,
    services: Vec<Arc<Service>>,
}

/// Values by prefix without its final slash: `/api` for `/api/*`, nothing for `/*`.
#[derive(Debug)]
struct Prefixes<T> {
    map: HashMap<String, T>,
    /// No prefix is longer, in bytes: bounds the look-ups for a path of many segments.
    longest: usize,
}

/// Where calls go.
#[derive(Debug)]
pub struct Service {
    id: String,
    scheme: Scheme,
    authority: Authority,
    base_path: String,
    timeout: Duration,
    rules: Rules,
}

/// One entry of `routes`.
#[derive(Debug)]
pub struct Route {
    id: String,
    auth: Auth,
    unauthenticated: Unauthenticated,
    methods: Methods,
    service: Arc<Service>,
    target: Target,
}

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// A logged-in person: the access token goes along.
    Session,
    /// Anybody: no token goes along.
    None,
}

/// What a call without a session gets on a route that asks for one (`unauthenticated`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unauthenticated {
    /// A person who opens a page goes to the login, anything else gets 401.
    #[default]
    ByRequest,
    /// Also a GET that does not say that it opens a page. A call that says what else it is gets 401.
    Login,
    /// Everything gets 401.
    Refuse,
}

/// What [`Routes::find`] came to.
#[derive(Debug)]
pub enum Found<'a> {
    /// Goes to the route's service.
    Match(Match<'a>),
    /// No route has this path.
    NotFound,
    /// Routes have this path, but not for this method.
    MethodNotAllowed {
        /// What `Allow` says (RFC 9110 section 10.2.1).
        allow: &'a HeaderValue,
    },
    /// The path matches, but could be read in another way.
    Refused(PathError),
}

/// A route and the path that it matched.
#[derive(Clone, Copy, Debug)]
pub struct Match<'a> {
    /// The route.
    pub route: &'a Route,
    /// The whole path.
    pub path: &'a NormalPath,
    /// What a trailing `*` stands for, with its leading slash; empty where nothing follows the prefix.
    pub rest: &'a str,
}

/// Routes of one path, told apart by their methods.
#[derive(Debug)]
struct Group {
    routes: Vec<Route>,
    allow: HeaderValue,
}

/// A set of methods.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Methods(u8);

// === impl Routes ===

impl Routes {
    /// Reads `routes.yaml`. An empty document has no routes.
    ///
    /// # Errors
    ///
    /// [`RoutesError`] with every mistake in it: its line, what is wrong, and the fix.
    pub fn parse(yaml: &str) -> Result<Self, RoutesError> {
        Self::parse_with(yaml, &|_| None)
    }

    /// The same, with `variables` for `${NAME}` in values. What they hold is in no message.
    ///
    /// # Errors
    ///
    /// [`RoutesError`], also for a variable without a value or default.
    pub fn parse_with(yaml: &str, variables: &dyn Fn(&str) -> Option<String>) -> Result<Self, RoutesError> {
        read::read(yaml, variables)
    }

    /// The route for `path` and `method`.
    #[must_use]
    pub fn find<'a>(&'a self, path: &'a NormalPath, method: &Method) -> Found<'a> {
        let text = path.as_str();
        // A wide route such as `/*` must not shadow what the server answers itself, nor a path below it that it lacks.
        // Nor another spelling of an alias: the router knows only the one.
        if own_paths::is_own(text) {
            return Found::NotFound;
        }
        let (at, rest) = match self.exact.get(text) {
            Some(at) => (*at, ""),
            None => match self.below.longest(text) {
                Some((at, rest)) => (*at, rest),
                None => return Found::NotFound,
            },
        };
        let group = &self.groups[at];
        let Some(route) = group.route(method) else {
            return Found::MethodNotAllowed { allow: &group.allow };
        };
        if self.spellings.mean_another_policy(&self.groups, at, text, method) {
            return Found::Refused(PathError::OtherSpelling);
        }
        Found::Match(Match { route, path, rest })
    }

    /// Whether there is no route.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// All routes; those of one path stand together.
    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        self.groups.iter().flat_map(|group| &group.routes)
    }

    /// All services, in the order of the file.
    #[must_use]
    pub fn services(&self) -> &[Arc<Service>] {
        &self.services
    }
}

// === impl Service ===

impl Service {
    /// Its name in the file, for logs.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Host and port.
    #[must_use]
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Whether calls go over TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// How long it may take to begin its answer.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// What it says of header fields.
    pub(super) const fn rules(&self) -> &Rules {
        &self.rules
    }
}

// === impl Route ===

impl Route {
    /// Its name in the file, for logs.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Who may call it.
    #[must_use]
    pub const fn auth(&self) -> Auth {
        self.auth
    }

    /// What a call without a session gets.
    #[must_use]
    pub const fn unauthenticated(&self) -> Unauthenticated {
        self.unauthenticated
    }

    /// Where its calls go.
    #[must_use]
    pub const fn service(&self) -> &Arc<Service> {
        &self.service
    }
}

// === impl Match ===

impl Match<'_> {
    /// The URI at the service: its origin, the mapped path, and `query` byte for byte.
    pub(super) fn uri(&self, query: Option<&str>) -> Result<http::Uri, http::Error> {
        let service = &self.route.service;
        let path_and_query =
            self.route
                .target
                .path_and_query(&service.base_path, self.path.as_str(), self.rest, query);
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(service.scheme.clone());
        parts.authority = Some(service.authority.clone());
        parts.path_and_query = Some(http::uri::PathAndQuery::from_maybe_shared(path_and_query)?);
        Ok(http::Uri::from_parts(parts)?)
    }
}

// === impl Prefixes ===

impl<T> Prefixes<T> {
    /// The value of the longest prefix of `path` that ends where a segment ends, and what follows it.
    fn longest<'a>(&self, path: &'a str) -> Option<(&T, &'a str)> {
        let mut end = path.len();
        loop {
            if end <= self.longest
                && let Some(value) = self.map.get(&path[..end])
            {
                return Some((value, &path[end..]));
            }
            end = path[..end].rfind('/')?;
        }
    }

    fn entry(&mut self, prefix: String) -> Entry<'_, String, T> {
        self.longest = self.longest.max(prefix.len());
        self.map.entry(prefix)
    }
}

impl<T> Default for Prefixes<T> {
    fn default() -> Self {
        Self {
            map: HashMap::new(),
            longest: 0,
        }
    }
}

// === impl Group ===

impl Group {
    fn route(&self, method: &Method) -> Option<&Route> {
        let wanted = Methods::of(method);
        self.routes.iter().find(|route| route.methods.contains(wanted))
    }
}

// === impl Methods ===

impl Methods {
    /// The methods that a route may name. `TRACE` would show the token to whoever asks, `CONNECT` is no call.
    const NAMES: [&'static str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    const EMPTY: Self = Self(0);
    const GET: Self = Self(1);
    const HEAD: Self = Self(1 << 1);

    /// What a route without `methods` takes: all but `OPTIONS`, which the server answers.
    const DEFAULT: Self = Self(0b11_1111);

    fn named(name: &str) -> Option<Self> {
        let at = Self::NAMES.into_iter().position(|known| known == name)?;
        Some(Self(1 << at))
    }

    /// The set of `method` alone; empty for one that no route can name.
    fn of(method: &Method) -> Self {
        Self::named(method.as_str()).unwrap_or(Self::EMPTY)
    }

    const fn with(self, other: Self) -> Self {
        let both = Self(self.0 | other.0);
        // Whoever may read may ask for the head alone (RFC 9110 section 9.3.2).
        if both.0 & Self::GET.0 == 0 {
            both
        } else {
            Self(both.0 | Self::HEAD.0)
        }
    }

    const fn contains(self, other: Self) -> bool {
        other.0 != 0 && self.0 & other.0 == other.0
    }

    const fn overlap(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES
            .into_iter()
            .enumerate()
            .filter(move |(at, _)| self.0 & (1 << at) != 0)
            .map(|(_, name)| name)
    }
}

impl fmt::Display for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, name) in self.names().enumerate() {
            if at > 0 {
                f.write_str(", ")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests;
