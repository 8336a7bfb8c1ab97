//! `routes.yaml`: which paths go to which service, and who may call them.
//!
//! Matching follows the segments of a [`NormalPath`]. At each segment, from the left, a literal precedes `{name}`, and
//! `{name}` precedes a `/*` that ends there; of the same path, a route with `host` comes first. The order of the file
//! has no influence. Only the most specific path decides, so a method that it does not list is refused and never falls
//! through to a wider route. `/api/crud/*` matches `/api/crud`, `/api/crud/` and all paths below, but not `/api/crudx`.
//! A path that another reader could take for one of a narrower route with another policy is refused
//! ([`PathError::OtherSpelling`]).

mod demands;
mod host;
mod limits;
mod matched;
mod methods;
mod params;
mod pattern;
mod policy;
mod read;
mod reverse;
mod schema;
mod security;
mod service;
mod spelling;
mod target;
mod tree;
mod web_sockets;

use std::{
    collections::{BTreeMap, HashMap},
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use http::{HeaderValue, Method};

use self::{
    limits::MaxBody,
    methods::Methods,
    params::Params,
    pattern::Pattern,
    spelling::Spellings,
    target::Target,
    tree::{End, Tree},
};
use super::{NormalPath, PathError, files::Private};
use crate::{
    credential::{Mode, TokenPolicy},
    own_paths,
    protection::Protection,
    yaml::At,
};

pub use self::{
    host::same_host,
    limits::RateLimits,
    policy::{Auth, Denied, Facts, Policy},
    read::{Mistake, RoutesError},
    schema::schema,
    service::Service,
    web_sockets::WebSockets,
};

/// A larger file is refused, in bytes.
pub const MAX_FILE_SIZE: usize = 1024 * 1024;

/// The surroundings that a `routes.yaml` may refer to.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    /// The values of `${NAME}`.
    pub variables: &'a dyn Fn(&str) -> Option<String>,
    /// The base of relative paths. Without it no file is read, and naming one is a mistake.
    pub folder: Option<&'a Path>,
    /// The part of the settings that is about tokens for services.
    pub tokens: &'a TokenDefaults,
    /// Folders and files that no service may show.
    pub private: &'a Private,
    /// Whether the certificate of a service nearby may go without a check (`BFF_DANGER_ALLOW_HTTP`).
    pub unchecked: bool,
}

/// The part of the settings that is about tokens for services.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenDefaults {
    /// The audience of tokens for a service that names none.
    pub audiences: BTreeMap<String, String>,
    /// The scopes of tokens for a service that names none.
    pub scopes: BTreeMap<String, Vec<String>>,
    /// A route with a `token_policy` is a mistake.
    pub refuses_policies: bool,
    /// A route with the mode `on_behalf_of` is a mistake.
    pub refuses_on_behalf_of: bool,
}

/// The routing table.
#[derive(Debug, Default)]
pub struct Routes {
    /// In the order in which they decide.
    groups: Vec<Group>,
    tree: Tree<Hosts, Hosts>,
    spellings: Spellings,
    services: Vec<Arc<Service>>,
    notes: Vec<Mistake>,
    files: Vec<PathBuf>,
    has_hosts: bool,
    /// The place and id of the first route that exchanges tokens of callers.
    first_exchange: Option<(At, String)>,
}

/// The groups of one path.
#[derive(Debug, Default)]
struct Hosts {
    all: Option<usize>,
    named: HashMap<Box<str>, usize>,
}

/// One entry of `routes`.
#[derive(Debug)]
pub struct Route {
    id: String,
    description: String,
    policy: Policy,
    /// Which token goes along.
    tokens: TokenPolicy,
    /// Replaces that of a successful answer.
    cache_control: Option<HeaderValue>,
    /// Fields that protect the pages of a folder.
    security: Protection,
    /// Whether its answers are streams that live as long as the session.
    streams: bool,
    max_body: Option<MaxBody>,
    rate_limits: RateLimits,
    /// How it takes WebSockets, if it does.
    web_sockets: Option<WebSockets>,
    unauthenticated: Unauthenticated,
    methods: Methods,
    service: Arc<Service>,
    pattern: Pattern,
    /// Whether a segment may contain an encoded `/` or `#` (`encoded_path: pass`).
    takes_encoded: bool,
    target: Target,
    forwarded_prefix: Prefix,
}

/// The prefix of the public path that the service of a route does not see.
#[derive(Debug)]
enum Prefix {
    Nothing,
    Fixed(HeaderValue),
    /// It has parameters.
    OfPath,
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
    pub(super) params: Params,
}

/// Routes of one path and host, distinguished by their methods.
#[derive(Debug)]
struct Group {
    host: Option<Box<str>>,
    routes: Vec<Route>,
    allow: HeaderValue,
}

// === impl TokenDefaults ===

impl TokenDefaults {
    /// Nothing.
    pub const NONE: Self = Self {
        audiences: BTreeMap::new(),
        scopes: BTreeMap::new(),
        refuses_policies: false,
        refuses_on_behalf_of: false,
    };
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
                tokens: &TokenDefaults::NONE,
                private: &Private::default(),
                unchecked: false,
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

    /// The tokens for single APIs that the IdP of the logins issues: in the order of the routes, some more than once. Those
    /// that are exchanged for tokens of callers are among them only with `of_callers`: otherwise other IdPs issue them.
    pub fn tokens_for_apis(&self, of_callers: bool) -> impl Iterator<Item = &TokenPolicy> {
        let is_of_caller =
            |route: &Route| route.auth() == Auth::Bearer && route.tokens().mode == Mode::OnBehalfOf;
        let with_token = self.iter().filter(|route| route.auth() != Auth::None);
        let issued = with_token.filter(move |route| of_callers || !is_of_caller(route));
        issued.map(Route::tokens).filter(|policy| !policy.is_own_token())
    }

    /// The first route of the file that exchanges tokens of callers: the mistake at its policy, if no issuer of such tokens
    /// allows that.
    #[must_use]
    pub fn without_exchange(&self) -> Option<RoutesError> {
        let (at, id) = self.first_exchange.as_ref()?;
        Some(RoutesError::single(
            *at,
            format!(
                "token_policy of route `{id}` says on_behalf_of with auth: bearer, and no entry of idps.yaml allows the exchange of \
                 tokens that callers bring"
            ),
            "write enable_token_exchange: true at the entry of their issuer in idps.yaml, or another mode here",
        ))
    }

    /// Suggestions about accepted values of the file.
    #[must_use]
    pub fn notes(&self) -> &[Mistake] {
        &self.notes
    }

    /// The route for `host`, `path` and `method`. The host counts only if [`Routes::has_hosts`]; it may have a port.
    #[must_use]
    pub fn find<'a>(&'a self, host: &str, path: &'a NormalPath, method: &Method) -> Found<'a> {
        let text = path.as_str();
        // A wide route such as `/*` must not shadow the server's own endpoints, nor the missing paths below them. Nor
        // another spelling of an alias: the router knows only one spelling.
        if own_paths::is_own(text) {
            return Found::NotFound;
        }
        let host = if self.has_hosts {
            host::bare(host)
        } else {
            "".into()
        };
        let place = self.tree.walk(text, |end, params| {
            let (hosts, rest) = match end {
                End::Exact(hosts) => (hosts, text.len()),
                End::Below(hosts, rest) => (hosts, rest),
            };
            match hosts.of(&host) {
                Some(at) => ControlFlow::Break((at, &text[rest..], *params)),
                None => ControlFlow::Continue(()),
            }
        });
        let group = place.and_then(|(at, rest, params)| Some((at, self.groups.get(at)?, rest, params)));
        // An encoded separator needs the consent of the route. Outside all routes it is refused.
        let refused =
            |group: &Group| path.is_encoded() && !group.routes.iter().any(|route| route.takes_encoded);
        let (at, group, rest, params) = match group {
            None if path.is_encoded() => return Found::Refused(PathError::Ambiguous),
            None => return Found::NotFound,
            Some((_, group, ..)) if refused(group) => return Found::Refused(PathError::Ambiguous),
            Some(found) => found,
        };
        let Some(route) = group.route(method) else {
            return Found::MethodNotAllowed { allow: &group.allow };
        };
        if path.is_encoded() && !route.takes_encoded {
            return Found::Refused(PathError::Ambiguous);
        }
        if self
            .spellings
            .mean_another_policy(&self.groups, at, &host, text, method)
        {
            return Found::Refused(PathError::OtherSpelling);
        }
        Found::Match(Match {
            route,
            path,
            rest,
            params,
        })
    }

    /// Whether a less exact reader could take `path`, which has no route of its own, for the path of a route.
    #[must_use]
    pub fn is_read_as_a_route(&self, host: &str, path: &NormalPath) -> bool {
        let text = path.as_str();
        !own_paths::is_own(text) && self.spellings.mean_a_route(&self.groups, &host::bare(host), text)
    }

    /// Whether a route names a host.
    #[must_use]
    pub const fn has_hosts(&self) -> bool {
        self.has_hosts
    }

    /// Whether there are no routes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Whether a route is for callers with a token of their own.
    #[must_use]
    pub fn has_bearers(&self) -> bool {
        self.iter().any(|route| route.auth() == Auth::Bearer)
    }

    /// All routes, the one that decides first before the others.
    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        self.groups.iter().flat_map(|group| &group.routes)
    }

    /// The other files that were read for it: certificates and keys of services.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// All services, in the order of the file.
    #[must_use]
    pub fn services(&self) -> &[Arc<Service>] {
        &self.services
    }
}

// === impl Route ===

impl Route {
    /// Its name in the file, for logs.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its line for people who read the file; may be empty.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Its methods, as in `Allow`.
    #[must_use]
    pub fn methods(&self) -> String {
        self.methods.to_string()
    }

    /// Its host, if it names one, and its path as the file has it.
    #[must_use]
    pub fn place(&self) -> String {
        format!(
            "{}{}",
            self.pattern.host.as_deref().unwrap_or_default(),
            self.pattern
        )
    }

    /// The only host to which it applies, if it names one.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.pattern.host.as_deref()
    }

    /// Who may call it.
    #[must_use]
    pub const fn auth(&self) -> Auth {
        self.policy.auth
    }

    /// All demands on its callers.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Which token goes along with the call of a session.
    #[must_use]
    pub const fn tokens(&self) -> &TokenPolicy {
        &self.tokens
    }

    /// Whether its answers are streams, which may be silent for long.
    #[must_use]
    pub const fn streams(&self) -> bool {
        self.streams
    }

    /// The longest body of a call, in bytes: its own, or that of its service, or `default` if its answers are no streams.
    #[must_use]
    pub fn max_body(&self, default: u64) -> Option<u64> {
        match self.max_body.or(self.service.max_body) {
            Some(max) => max.bytes(),
            None => (!self.streams).then_some(default),
        }
    }

    /// How often it may be called.
    #[must_use]
    pub const fn rate_limits(&self) -> &RateLimits {
        &self.rate_limits
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
