//! Reads `routes.yaml` and finds every mistake in it.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    fmt,
    sync::Arc,
    time::Duration,
};

use http::{
    HeaderValue,
    uri::{Authority, Scheme},
};

use super::{
    Auth, Group, MAX_FILE_SIZE, Methods, Route, Routes, Service, is_reserved,
    target::Target,
    tree::{Key, Node, Value},
};
use crate::gateway::{NormalPath, path::is_unreserved};

/// For services that name no `timeout`.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_TIMEOUT: Duration = Duration::from_hours(1);

const MAX_ID_LENGTH: usize = 64;

/// What the server answers on two paths, as the SPA may know them; only the exact paths are taken.
const ALIASES: [&str; 2] = ["/api/auth/session", "/api/auth/logout"];

/// Everything that is wrong with a `routes.yaml`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub struct RoutesError {
    mistakes: Vec<Mistake>,
}

/// One mistake, for a person.
#[derive(Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The line, from 1.
    pub line: u64,
    /// What is wrong, without a password that a URL may hold.
    pub problem: String,
    /// What to write instead.
    pub fix: String,
}

/// Collects mistakes while it reads.
#[derive(Default)]
struct Reader {
    mistakes: Vec<Mistake>,
}

/// The values of one map, by key.
struct Fields<'a> {
    line: u64,
    /// What the map is, for messages.
    what: String,
    values: HashMap<&'a str, &'a Node>,
}

/// Where a route applies.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Pattern {
    Exact(String),
    /// Without the final slash.
    Below(String),
}

/// A route that was understood, with where it stands.
struct Placed {
    line: u64,
    pattern: Pattern,
    route: Route,
}

pub(super) fn read(yaml: &str) -> Result<Routes, RoutesError> {
    if yaml.len() > MAX_FILE_SIZE {
        return Err(RoutesError::single(
            1,
            "the file is larger than 1 MiB",
            "keep only services and routes in it",
        ));
    }
    // An error of the YAML reader would print the lines around it: off, the file may hold what its author thinks private.
    let options = serde_saphyr::options! { with_snippet: false };
    let root: Node = match serde_saphyr::from_str_with_options(yaml, options) {
        Ok(root) => root,
        // Nothing but comments.
        Err(serde_saphyr::Error::Eof { .. }) => return Ok(Routes::default()),
        Err(error) => {
            let line = error.location().map_or(1, |location| location.line());
            return Err(RoutesError::single(
                line,
                format!("not readable as YAML: {error}"),
                "correct the syntax",
            ));
        }
    };
    let mut reader = Reader::default();
    let routes = reader.root(&root);
    if reader.mistakes.is_empty() {
        Ok(routes)
    } else {
        reader.mistakes.sort_by_key(|mistake| mistake.line);
        Err(RoutesError {
            mistakes: reader.mistakes,
        })
    }
}

// === impl RoutesError ===

impl RoutesError {
    fn single(line: u64, problem: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            mistakes: vec![Mistake {
                line,
                problem: problem.into(),
                fix: fix.into(),
            }],
        }
    }

    /// Every mistake, in the order of the file.
    #[must_use]
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }
}

impl fmt::Display for RoutesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, mistake) in self.mistakes.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{mistake}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}; {}", self.line, self.problem, self.fix)
    }
}

// === impl Reader ===

impl Reader {
    fn mistake(&mut self, line: u64, problem: impl Into<String>, fix: impl Into<String>) {
        self.mistakes.push(Mistake {
            line,
            problem: problem.into(),
            fix: fix.into(),
        });
    }

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

    fn service(&mut self, key: &Key, node: &Node) -> Option<Service> {
        let fields = self.fields(
            node,
            format!("service {}", shown(&key.name)),
            &["base_url", "timeout"],
        );
        self.id(&key.name, key.line, "a service");
        let fields = fields?;
        let timeout = match fields.get("timeout") {
            None => Some(DEFAULT_TIMEOUT),
            Some(node) => self.timeout(node, &fields.what),
        };
        let base = self.required(
            &fields,
            "base_url",
            "the service's URL, as in base_url: http://crud:8080",
        );
        let (scheme, authority, base_path) = self.base_url(base?, &fields.what)?;
        Some(Service {
            id: key.name.clone(),
            scheme,
            authority,
            base_path,
            timeout: timeout?,
        })
    }

    fn base_url(&mut self, node: &Node, what: &str) -> Option<(Scheme, Authority, String)> {
        const FIX: &str = "write scheme, host and perhaps port and path, as in http://crud:8080/v1";
        let text = self.text(node, &format!("base_url of {what}"))?;
        let mut wrong = |problem: String| {
            self.mistake(node.line, format!("base_url of {what} {problem}"), FIX);
            None
        };
        // Nothing of the text is shown: it may hold a password.
        let Ok(url) = url::Url::parse(text) else {
            return wrong("is not an absolute URL".to_owned());
        };
        let scheme = match url.scheme() {
            "http" => Scheme::HTTP,
            "https" => Scheme::HTTPS,
            _ => return wrong("is neither http nor https".to_owned()),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return wrong("holds a user name or a password".to_owned());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return wrong("has a query or a fragment".to_owned());
        }
        let Ok(authority) = Authority::try_from(&url[url::Position::BeforeHost..url::Position::AfterPort])
        else {
            return wrong("has no usable host".to_owned());
        };
        match NormalPath::parse(url.path()) {
            Ok(path) => {
                let base_path = path.as_str().strip_suffix('/').unwrap_or(path.as_str());
                Some((scheme, authority, base_path.to_owned()))
            }
            Err(error) => wrong(format!("has an unusable path: {error}")),
        }
    }

    fn timeout(&mut self, node: &Node, what: &str) -> Option<Duration> {
        let text = self.text(node, &format!("timeout of {what}"))?;
        let timeout = duration(text).filter(|timeout| !timeout.is_zero() && *timeout <= MAX_TIMEOUT);
        if timeout.is_none() {
            self.mistake(
                node.line,
                format!("timeout of {what} is {}", shown(text)),
                "write 1ms to 1h, as in 30, 30s, 500ms or 2m",
            );
        }
        timeout
    }

    fn route(
        &mut self,
        node: &Node,
        services: &HashMap<&str, Option<Arc<Service>>>,
        ids: &mut HashSet<String>,
    ) -> Option<Placed> {
        const KEYS: [&str; 7] = [
            "id",
            "path",
            "target_service",
            "upstream_path",
            "methods",
            "auth",
            "preserve_path",
        ];
        let mut fields = self.fields(node, "a route".to_owned(), &KEYS)?;
        let id = self
            .required(&fields, "id", "a name for logs, as in id: crud")
            .and_then(|node| Some((node, self.text(node, "id of a route")?)));
        if let Some((node, id)) = id {
            fields.what = format!("route {}", shown(id));
            self.id(id, node.line, "a route");
            if !ids.insert(id.to_owned()) {
                self.mistake(
                    node.line,
                    format!("{} stands here twice", fields.what),
                    "give each route its own id",
                );
            }
        }
        let pattern = self
            .required(&fields, "path", "where it applies, as in path: /api/crud/*")
            .and_then(|node| self.pattern(node, &fields.what));
        let service = self
            .required(
                &fields,
                "target_service",
                "one of the services, as in target_service: crud",
            )
            .and_then(|node| self.target_service(node, &fields.what, services));
        let methods = match fields.get("methods") {
            None => Some(Methods::DEFAULT),
            Some(node) => self.methods(node, &fields.what),
        };
        let auth = match fields.get("auth") {
            None => Some(Auth::Session),
            Some(node) => self.auth(node, &fields.what),
        };
        let target = self.target(&fields, pattern.as_ref());
        Some(Placed {
            line: fields.line,
            pattern: pattern?,
            route: Route {
                id: id?.1.to_owned(),
                auth: auth?,
                methods: methods?,
                service: service?,
                target: target?,
            },
        })
    }

    fn pattern(&mut self, node: &Node, what: &str) -> Option<Pattern> {
        let text = self.text(node, &format!("path of {what}"))?;
        let mut wrong = |problem: &str, fix: &str| {
            let problem = format!("path {} of {what} {problem}", shown(text));
            self.mistake(node.line, problem, fix);
            None
        };
        if !text.starts_with('/') {
            return wrong("does not begin with a slash", "write it as in /api/crud/*");
        }
        let (path, wild) = text.strip_suffix("/*").map_or((text, false), |path| (path, true));
        if path.contains('*') {
            return wrong(
                "has a `*` that is not its whole last segment",
                "end it with /* to take all below, as in /api/crud/*",
            );
        }
        // Unreserved characters have a single spelling in a normal path, so no other spelling of this path can slip
        // past a route and still mean the same to the API.
        if path.bytes().any(|byte| byte != b'/' && !is_unreserved(byte)) {
            return wrong(
                "holds other characters than letters, digits, `-`, `.`, `_`, `~` and `/`",
                "take a wider path, as in /files/*",
            );
        }
        if let Err(error) = NormalPath::parse(if path.is_empty() { "/" } else { path }) {
            return wrong(&format!("can never match: {error}"), "write it as in /api/crud/*");
        }
        if wild && path.ends_with('/') {
            return wrong(
                "can never match: it has an empty segment",
                "write it as in /api/crud/*",
            );
        }
        if is_reserved(path) || (!wild && ALIASES.contains(&path)) {
            return wrong(
                "belongs to the server itself, as do /auth, /health, /metrics and /.well-known/jwks.json",
                "choose another path, as in /api/crud/*",
            );
        }
        let path = path.to_owned();
        Some(if wild {
            Pattern::Below(path)
        } else {
            Pattern::Exact(path)
        })
    }

    fn target_service(
        &mut self,
        node: &Node,
        what: &str,
        services: &HashMap<&str, Option<Arc<Service>>>,
    ) -> Option<Arc<Service>> {
        let name = self.text(node, &format!("target_service of {what}"))?;
        if let Some(service) = services.get(name) {
            return service.clone();
        }
        let mut known: Vec<String> = services.keys().take(20).map(|id| shown(id)).collect();
        known.sort();
        let fix = if known.is_empty() {
            "describe it under `services`".to_owned()
        } else {
            format!(
                "describe it under `services`, or name one of {}",
                known.join(", ")
            )
        };
        self.mistake(
            node.line,
            format!("{what} goes to the unknown service {}", shown(name)),
            fix,
        );
        None
    }

    fn methods(&mut self, node: &Node, what: &str) -> Option<Methods> {
        const FIX: &str =
            "list some of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, as in methods: [GET, POST]";
        let before = self.mistakes.len();
        let mut methods = Methods::EMPTY;
        let Value::List(list) = &node.value else {
            self.mistake(
                node.line,
                format!("methods of {what} is {}", node.value.kind()),
                FIX,
            );
            return None;
        };
        for node in list {
            let Some(name) = self.text(node, &format!("a method of {what}")) else {
                continue;
            };
            match Methods::named(name) {
                Some(method) => methods = methods.with(method),
                None => self.mistake(node.line, format!("{what} has the method {}", shown(name)), FIX),
            }
        }
        if list.is_empty() {
            self.mistake(node.line, format!("methods of {what} is empty"), FIX);
        }
        (self.mistakes.len() == before).then_some(methods)
    }

    fn auth(&mut self, node: &Node, what: &str) -> Option<Auth> {
        match &node.value {
            Value::Text(text) if text == "session" => Some(Auth::Session),
            Value::Text(text) if text == "none" => Some(Auth::None),
            value => {
                let found = match value {
                    Value::Text(text) => shown(text),
                    other => other.kind().to_owned(),
                };
                self.mistake(
                    node.line,
                    format!("auth of {what} is {found}"),
                    "write session (the default) or none",
                );
                None
            }
        }
    }

    fn target(&mut self, fields: &Fields<'_>, pattern: Option<&Pattern>) -> Option<Target> {
        let what = &fields.what;
        let preserve = match fields.get("preserve_path") {
            None => false,
            Some(Node {
                value: Value::Bool(preserve),
                ..
            }) => *preserve,
            Some(node) => {
                self.mistake(
                    node.line,
                    format!("preserve_path of {what} is {}", node.value.kind()),
                    "write true or false",
                );
                return None;
            }
        };
        let Some(node) = fields.get("upstream_path") else {
            return Some(if preserve { Target::Whole } else { Target::Rest });
        };
        let text = self.text(node, &format!("upstream_path of {what}"))?;
        if preserve {
            self.mistake(
                node.line,
                format!("{what} has both preserve_path and upstream_path"),
                "keep one of them: preserve_path sends the whole path, upstream_path replaces it",
            );
            return None;
        }
        let target = upstream_path(text, pattern);
        match target {
            Ok(target) => Some(target),
            Err((problem, fix)) => {
                let problem = format!("upstream_path {} of {what} {problem}", shown(text));
                self.mistake(node.line, problem, fix);
                None
            }
        }
    }

    /// Puts the routes in their places; two for the same path and method are a mistake.
    fn table(&mut self, routes: Vec<Placed>, services: Vec<Arc<Service>>) -> Routes {
        let mut seen: HashMap<Pattern, Vec<(Methods, u64)>> = HashMap::new();
        let mut table = Routes {
            services,
            ..Routes::default()
        };
        for Placed { line, pattern, route } in routes {
            let others = seen.entry(pattern.clone()).or_default();
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
            let groups = match &pattern {
                Pattern::Exact(_) => &mut table.exact,
                Pattern::Below(prefix) => {
                    table.longest = table.longest.max(prefix.len());
                    &mut table.below
                }
            };
            let (Pattern::Exact(path) | Pattern::Below(path)) = pattern;
            match groups.entry(path) {
                Entry::Vacant(entry) => {
                    entry.insert(Group::new(route));
                }
                Entry::Occupied(mut entry) => entry.get_mut().push(route),
            }
        }
        table
    }

    /// The fields of a map; a key that is not among `known` is a mistake.
    fn fields<'a>(&mut self, node: &'a Node, what: String, known: &[&str]) -> Option<Fields<'a>> {
        let Value::Map(entries) = &node.value else {
            self.mistake(
                node.line,
                format!("{what} is {}", node.value.kind()),
                format!("write a map with {}", known.join(", ")),
            );
            return None;
        };
        let mut values = HashMap::new();
        for (key, node) in entries {
            if known.contains(&key.name.as_str()) {
                values.insert(key.name.as_str(), node);
            } else {
                self.mistake(
                    key.line,
                    format!("{what} has the unknown key {}", shown(&key.name)),
                    format!("the keys are {}", known.join(", ")),
                );
            }
        }
        Some(Fields {
            line: node.line,
            what,
            values,
        })
    }

    fn required<'a>(&mut self, fields: &Fields<'a>, key: &str, fix: &str) -> Option<&'a Node> {
        let node = fields.get(key);
        if node.is_none() {
            self.mistake(
                fields.line,
                format!("{} has no {key}", fields.what),
                format!("add {fix}"),
            );
        }
        node
    }

    fn map<'a>(&mut self, node: &'a Node, what: &str) -> &'a [(Key, Node)] {
        match &node.value {
            Value::Map(entries) => entries,
            Value::Null => &[],
            other => {
                self.mistake(node.line, format!("{what} is {}", other.kind()), "write a map");
                &[]
            }
        }
    }

    fn list<'a>(&mut self, node: &'a Node, what: &str) -> &'a [Node] {
        match &node.value {
            Value::List(nodes) => nodes,
            Value::Null => &[],
            other => {
                self.mistake(
                    node.line,
                    format!("{what} is {}", other.kind()),
                    "write a list, each entry beginning with `- id:`",
                );
                &[]
            }
        }
    }

    fn text<'a>(&mut self, node: &'a Node, what: &str) -> Option<&'a str> {
        match &node.value {
            Value::Text(text) => Some(text),
            other => {
                self.mistake(
                    node.line,
                    format!("{what} is {}", other.kind()),
                    "write a single value",
                );
                None
            }
        }
    }

    /// Ids stand in log lines and in `/auth/verify?service=`.
    fn id(&mut self, id: &str, line: u64, what: &str) {
        let plain = id.bytes().all(is_unreserved);
        if id.is_empty() || id.len() > MAX_ID_LENGTH || !plain {
            self.mistake(
                line,
                format!("{} is no id for {what}", shown(id)),
                "use 1 to 64 letters, digits, `-`, `.`, `_`, `~`",
            );
        }
    }
}

// === impl Fields ===

impl<'a> Fields<'a> {
    fn get(&self, key: &str) -> Option<&'a Node> {
        self.values.get(key).copied()
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

/// Reads `upstream_path`; the error is the problem and the fix.
fn upstream_path(text: &str, pattern: Option<&Pattern>) -> Result<Target, (String, &'static str)> {
    const PLACEHOLDER: &str = "{path}";
    const FIX: &str = "write it as in /v1/{path}";
    let wrong = |problem: &str| Err((problem.to_owned(), FIX));
    let Some((before, after)) = text.split_once(PLACEHOLDER) else {
        check_upstream_path(text)?;
        return match pattern {
            Some(Pattern::Below(_)) => Err((
                "drops what the `*` stands for".to_owned(),
                "add {path} for it, as in /v1/{path}",
            )),
            _ => Ok(Target::Fixed(text.to_owned())),
        };
    };
    if after.contains(PLACEHOLDER) {
        return wrong("has {path} twice");
    }
    if !before.ends_with('/') || !(after.is_empty() || after.starts_with('/')) {
        return wrong("has a {path} that is not a whole segment");
    }
    if matches!(pattern, Some(Pattern::Exact(_))) {
        return Err((
            "has a {path}, but the path of the route has no `*`".to_owned(),
            "end the path with /*, or write upstream_path without {path}",
        ));
    }
    check_upstream_path(&format!("{before}path{after}"))?;
    Ok(Target::Around {
        before: before.strip_suffix('/').unwrap_or(before).to_owned(),
        after: after.to_owned(),
    })
}

fn check_upstream_path(text: &str) -> Result<(), (String, &'static str)> {
    match NormalPath::parse(text) {
        Ok(path) if path.as_str() == text => Ok(()),
        Ok(path) => Err((
            format!("is not in normal form, which is {}", shown(path.as_str())),
            "write it in that form",
        )),
        Err(error) => Err((format!("is refused: {error}"), "write it as in /v1/{path}")),
    }
}

/// A number of seconds, or a number with `ms`, `s`, `m` or `h`.
fn duration(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    // `+5` is a number to the parser, not to us.
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    let millis = match &text[digits.len()..] {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    Some(Duration::from_millis(number.checked_mul(millis)?))
}

/// A value of the file in a message: escaped and bounded.
fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(80).flat_map(char::escape_debug).collect();
    if text.chars().nth(80).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}
