//! `routes.yaml`: which paths go to which service, and who may call them.
//!
//! Matching follows the segments of a [`NormalPath`]: an exact route first, then the longest prefix. Only the most
//! specific path decides, so a method that it does not list is refused and never falls through to a wider route.
//! `/api/crud/*` matches `/api/crud`, `/api/crud/` and all paths below, but not `/api/crudx`. A path that another
//! reader could take for one of a narrower route with another policy is refused ([`PathError::OtherSpelling`]).

mod methods;
mod read;
mod reverse;
mod schema;
mod spelling;
mod target;

use std::{
    collections::{HashMap, hash_map::Entry},
    path::Path,
    sync::Arc,
    time::Duration,
};

use http::{
    HeaderValue, Method, Uri,
    uri::{Authority, Scheme},
};

use self::{methods::Methods, spelling::Spellings, target::Target};
use super::{NormalPath, PathError, headers::Rules};
use crate::{own_paths, tls::Bundle};

pub use self::read::{Mistake, RoutesError};
pub use self::schema::schema;

/// A larger file is refused, in bytes.
pub const MAX_FILE_SIZE: usize = 1024 * 1024;

/// The surroundings that a `routes.yaml` may refer to.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    /// The values of `${NAME}`.
    pub variables: &'a dyn Fn(&str) -> Option<String>,
    /// The base of relative paths. Without it no file is read, and naming one is a mistake.
    pub folder: Option<&'a Path>,
}

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
    notes: Vec<Mistake>,
}

/// Values by prefix without its final slash: `/api` for `/api/*`, nothing for `/*`.
#[derive(Debug)]
struct Prefixes<T> {
    map: HashMap<String, T>,
    /// No prefix is longer, in bytes: bounds the look-ups for a path of many segments.
    longest: usize,
}

/// The target of calls.
#[derive(Debug)]
pub struct Service {
    id: String,
    scheme: Scheme,
    authority: Authority,
    base_path: String,
    timeout: Duration,
    rules: Rules,
    rewrite: bool,
    /// Those of its `ca_file`.
    own_authorities: Option<Bundle>,
}

/// One entry of `routes`.
#[derive(Debug)]
pub struct Route {
    id: String,
    auth: Auth,
    unauthenticated: Unauthenticated,
    methods: Methods,
    service: Arc<Service>,
    pattern: Pattern,
    /// Whether a segment may contain an encoded `/` or `#` (`encoded_path: pass`).
    takes_encoded: bool,
    target: Target,
    forwarded_prefix: Option<HeaderValue>,
}

/// The paths of a route.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Pattern {
    Exact(String),
    /// Without the final slash.
    Below(String),
}

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// A logged-in person: the access token goes along.
    Session,
    /// Anybody: no token goes along.
    None,
}

/// The answer to a call without a session on a route that needs one (`unauthenticated`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unauthenticated {
    /// A person who opens a page goes to the login, anything else gets 401.
    #[default]
    ByRequest,
    /// A GET that does not say that it opens a page is redirected too. A call that names another purpose gets 401.
    Login,
    /// Everything gets 401.
    Refuse,
}

/// The result of [`Routes::find`].
#[derive(Debug)]
pub enum Found<'a> {
    /// Goes to the route's service.
    Match(Match<'a>),
    /// No route has this path.
    NotFound,
    /// Routes have this path, but not for this method.
    MethodNotAllowed {
        /// The value of `Allow` (RFC 9110 section 10.2.1).
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
    /// The part that matches a trailing `*`, with its leading slash; empty if nothing follows the prefix.
    pub rest: &'a str,
}

/// Routes of one path, distinguished by their methods.
#[derive(Debug)]
struct Group {
    routes: Vec<Route>,
    allow: HeaderValue,
}

// === impl Routes ===

impl Routes {
    /// Reads `routes.yaml`. An empty document has no routes.
    ///
    /// # Errors
    ///
    /// [`RoutesError`] with every mistake: its line, the problem, and the fix.
    pub fn parse(yaml: &str) -> Result<Self, RoutesError> {
        Self::parse_with(
            yaml,
            &Around {
                variables: &|_| None,
                folder: None,
            },
        )
    }

    /// The same, with the context of the file. No message contains the values of its variables.
    ///
    /// # Errors
    ///
    /// [`RoutesError`], also for a variable without a value or default, and for a file that cannot be read.
    pub fn parse_with(yaml: &str, around: &Around<'_>) -> Result<Self, RoutesError> {
        read::read(yaml, around)
    }

    /// Suggestions about accepted values of the file.
    #[must_use]
    pub fn notes(&self) -> &[Mistake] {
        &self.notes
    }

    /// The route for `path` and `method`.
    #[must_use]
    pub fn find<'a>(&'a self, path: &'a NormalPath, method: &Method) -> Found<'a> {
        let text = path.as_str();
        // A wide route such as `/*` must not shadow the server's own endpoints, nor the missing paths below them. Nor
        // another spelling of an alias: the router knows only one spelling.
        if own_paths::is_own(text) {
            return Found::NotFound;
        }
        let place = match self.exact.get(text) {
            Some(at) => Some((*at, "")),
            None => self.below.longest(text).map(|(at, rest)| (*at, rest)),
        };
        let group = place.and_then(|(at, rest)| Some((at, self.groups.get(at)?, rest)));
        // An encoded separator needs the consent of the route. Outside all routes it is refused.
        let refused =
            |group: &Group| path.is_encoded() && !group.routes.iter().any(|route| route.takes_encoded);
        let (at, group, rest) = match group {
            None if path.is_encoded() => return Found::Refused(PathError::Ambiguous),
            None => return Found::NotFound,
            Some((_, group, _)) if refused(group) => return Found::Refused(PathError::Ambiguous),
            Some(found) => found,
        };
        let Some(route) = group.route(method) else {
            return Found::MethodNotAllowed { allow: &group.allow };
        };
        if path.is_encoded() && !route.takes_encoded {
            return Found::Refused(PathError::Ambiguous);
        }
        if self.spellings.mean_another_policy(&self.groups, at, text, method) {
            return Found::Refused(PathError::OtherSpelling);
        }
        Found::Match(Match { route, path, rest })
    }

    /// Whether there are no routes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// All routes; those of one path are adjacent.
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

    /// Scheme, host and port, for messages.
    pub(super) fn origin_text(&self) -> String {
        format!("{}://{}", self.scheme, self.authority)
    }

    /// The same as a URI.
    pub(super) fn origin(&self) -> Option<Uri> {
        let builder = Uri::builder().scheme(self.scheme.clone());
        builder
            .authority(self.authority.clone())
            .path_and_query("/")
            .build()
            .ok()
    }

    /// The certificate authorities for this service only.
    pub(super) const fn own_authorities(&self) -> Option<&Bundle> {
        self.own_authorities.as_ref()
    }

    /// How long it may take to begin its answer.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(super) const fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// The path of its `base_url`, without a slash at the end.
    pub(super) fn base_path(&self) -> &str {
        &self.base_path
    }

    /// Whether its own URLs in an answer are mapped to public ones.
    pub(super) const fn rewrites(&self) -> bool {
        self.rewrite
    }

    /// Its rules for header fields.
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

    /// The answer to a call without a session.
    #[must_use]
    pub const fn unauthenticated(&self) -> Unauthenticated {
        self.unauthenticated
    }

    /// The target of its calls.
    #[must_use]
    pub const fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// The prefix of the public path that the service does not see, for `X-Forwarded-Prefix`.
    pub(super) const fn forwarded_prefix(&self) -> Option<&HeaderValue> {
        self.forwarded_prefix.as_ref()
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
    /// The value of the longest prefix of `path` that ends at a segment boundary, and the rest of the path.
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

#[cfg(test)]
mod tests;
