//! An entry of `routes`.

use std::{collections::HashSet, sync::Arc};

use http::HeaderValue;

use super::{
    super::{Auth, Methods, Pattern, Policy, Prefix, Route, Service, Unauthenticated, target::Target},
    Placed,
    legacy::Place,
    mistakes::{Fields, Reader, shown},
    tokens::Known,
    upstream_path::upstream_path,
};
use crate::{
    protection::Protection,
    quote::nearest,
    yaml::{Node, Value},
};

/// The keys of an entry.
pub(in crate::gateway::routes) const KEYS: &[&str] = &[
    "id",
    "description",
    "host",
    "path",
    "target_service",
    "upstream_path",
    "methods",
    "auth",
    "required_scopes",
    "require",
    "csrf",
    "cache_control",
    "security_headers",
    "streaming",
    "websocket",
    "unauthenticated",
    "preserve_path",
    "encoded_path",
    "max_body",
    "rate_limit",
    "authz",
    "authz_map",
    "token_policy",
];

// === impl Reader ===

impl Reader<'_> {
    pub(super) fn route(
        &mut self,
        node: &Node,
        services: &Known<'_>,
        ids: &mut HashSet<String>,
    ) -> Option<Placed> {
        let mut fields = self.fields_of(Some(Place::Route), node, "a route".to_owned(), KEYS)?;
        let id = self
            .required(&fields, "id", "a name for logs, as in id: crud")
            .and_then(|node| Some((node, self.text(node, "id of a route")?)));
        if let Some((node, id)) = id {
            fields.what = format!("route {}", shown(id));
            self.id(id, node.at(), "a route");
            if !ids.insert(id.to_owned()) {
                self.mistake(
                    node.at(),
                    format!("{} stands here twice", fields.what),
                    "give each route its own id",
                );
            }
        }
        let description = match fields.get("description") {
            None => Some(""),
            Some(node) => self.text(node, &format!("description of {}", fields.what)),
        };
        let pattern = self
            .required(&fields, "path", "where it applies, as in path: /api/crud/*")
            .and_then(|node| self.pattern(node, &fields.what));
        let host = match fields.get("host") {
            None => Some(None),
            Some(node) => self.host(node, &fields.what).map(Some),
        };
        let service = self
            .required(
                &fields,
                "target_service",
                "one of the services, as in target_service: crud",
            )
            .and_then(|node| self.target_service(node, &fields.what, services));
        let of_files = service.as_ref().is_some_and(|service| service.folder().is_some());
        let methods = match fields.get("methods") {
            None if of_files => Some(Methods::OF_FILES),
            None => Some(Methods::DEFAULT),
            Some(node) => self.methods(node, &fields.what),
        };
        let policy = self.policy(&fields);
        if of_files {
            self.check_of_files(&fields, methods);
        }
        let security = match fields.get("security_headers") {
            None => Some(Protection::default()),
            Some(node) => self.security(node, &fields.what, of_files),
        };
        let cache_control = match fields.get("cache_control") {
            None => Some(None),
            Some(node) => self.cache_control(node, &fields.what, policy.as_ref()).map(Some),
        };
        let streams = match fields.get("streaming") {
            None => Some(false),
            Some(node) => self.boolean(node, &format!("streaming of {}", fields.what)),
        };
        let web_sockets = match fields.get("websocket") {
            None => Some(None),
            Some(node) => self
                .web_sockets(node, &fields.what, methods, policy.as_ref(), service.as_ref())
                .ok(),
        };
        let takes_encoded = match fields.get("encoded_path") {
            None => Some(false),
            Some(node) => self.encoded_path(node, &fields.what, pattern.as_ref()),
        };
        self.authz(&fields, policy.as_ref(), pattern.as_ref(), methods);
        let max_body = self.max_body(&fields);
        let rate_limits = self.rate_limits(&fields, policy.as_ref());
        let unauthenticated = match fields.get("unauthenticated") {
            None => Some(Unauthenticated::default()),
            Some(node) => self.unauthenticated(node, &fields.what, policy.as_ref()),
        };
        let tokens = self.token_policy(
            &fields,
            policy.as_ref().map(|policy| policy.auth),
            service.as_deref(),
            services,
        );
        let target = self.target(&fields, pattern.as_ref());
        let (mut pattern, target) = (pattern?, target?);
        pattern.host = host?;
        let forwarded_prefix = Prefix::of(&pattern, &target);
        Some(Placed {
            at: fields.at,
            policy_at: fields.get("token_policy").map(Node::at),
            route: Route {
                id: id?.1.to_owned(),
                description: description?.to_owned(),
                policy: policy?,
                tokens: tokens?,
                cache_control: cache_control?,
                security: security?,
                streams: streams?,
                max_body,
                rate_limits,
                web_sockets: web_sockets?,
                unauthenticated: unauthenticated?,
                methods: methods?,
                service: service?,
                pattern,
                takes_encoded: takes_encoded?,
                target,
                forwarded_prefix,
            },
        })
    }

    fn target_service(&mut self, node: &Node, what: &str, services: &Known<'_>) -> Option<Arc<Service>> {
        let name = self.text(node, &format!("target_service of {what}"))?;
        if name == "internal" && !services.contains_key(name) {
            self.mistake(
                node.at(),
                format!(
                    "{what} goes to `internal`, the handlers inside the original server, which are not here"
                ),
                "remove the route: `/api/metrics` and `/auth/*` need none",
            );
            return None;
        }
        if let Some(service) = services.get(name) {
            return service.clone();
        }
        let mut known: Vec<String> = services.keys().take(20).map(|id| shown(id)).collect();
        known.sort();
        let meant = nearest(name, services.keys().copied())
            .map_or_else(String::new, |id| format!("did you mean {}? ", shown(id)));
        let fix = if known.is_empty() {
            "describe it under `services`".to_owned()
        } else {
            format!(
                "{meant}describe it under `services`, or name one of {}",
                known.join(", ")
            )
        };
        self.mistake(
            node.at(),
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
                node.at(),
                format!("methods of {what} is {}", node.value.kind()),
                FIX,
            );
            return None;
        };
        for node in list {
            let Some(name) = self.text(node, &format!("a method of {what}")) else {
                continue;
            };
            let Some(method) = Methods::named(name) else {
                let meant = Methods::nearest(name)
                    .map_or_else(String::new, |method| format!("did you mean {method}? "));
                let problem = format!("{what} has the method {}", shown(name));
                self.mistake(node.at(), problem, format!("{meant}{FIX}"));
                continue;
            };
            methods = methods.with(method);
        }
        if list.is_empty() {
            self.mistake(node.at(), format!("methods of {what} is empty"), FIX);
        }
        (self.mistakes.len() == before).then_some(methods)
    }

    fn encoded_path(&mut self, node: &Node, what: &str, pattern: Option<&Pattern>) -> Option<bool> {
        let text = self.text(node, &format!("encoded_path of {what}"))?;
        match text {
            "pass" if pattern.is_some_and(|pattern| !pattern.below) => {
                self.mistake(
                    node.at(),
                    format!(
                        "encoded_path of {what} has no effect: without a `*`, a path holds no encoded slash or `#`"
                    ),
                    "remove it, or end the path with /*",
                );
                None
            }
            "pass" => Some(true),
            "refuse" => Some(false),
            other => {
                self.mistake(
                    node.at(),
                    format!("encoded_path of {what} is {}", shown(other)),
                    "write refuse (the default) or pass, which lets segments hold %2F and %23",
                );
                None
            }
        }
    }

    /// `Cache-Control` of its answers (RFC 9111 section 5.2.2).
    fn cache_control(&mut self, node: &Node, what: &str, policy: Option<&Policy>) -> Option<HeaderValue> {
        const FIX: &str = "write directives, as in cache_control: private, max-age=60";
        let text = self.text(node, &format!("cache_control of {what}"))?;
        let is_token = |text: &str| {
            let is = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            !text.is_empty() && text.bytes().all(is)
        };
        let directive = |text: &str| {
            let (name, value) = text.split_once('=').unwrap_or((text, "0"));
            is_token(name) && is_token(value)
        };
        if !text.split(',').all(|part| directive(part.trim_matches(' '))) {
            self.mistake(
                node.at(),
                format!(
                    "cache_control of {what} is {}, which is no list of directives",
                    shown(text)
                ),
                FIX,
            );
            return None;
        }
        let is_shared = |part: &str| {
            let name = part.split('=').next().unwrap_or_default().trim_matches(' ');
            ["public", "s-maxage"]
                .iter()
                .any(|shared| name.eq_ignore_ascii_case(shared))
        };
        if policy.is_some_and(|policy| policy.auth != Auth::None) && text.split(',').any(is_shared) {
            self.mistake(
                node.at(),
                format!("cache_control of {what} lets a shared cache keep answers for one person"),
                "write private or no-store, or auth: none",
            );
            return None;
        }
        HeaderValue::from_str(text).ok()
    }

    fn unauthenticated(
        &mut self,
        node: &Node,
        what: &str,
        policy: Option<&Policy>,
    ) -> Option<Unauthenticated> {
        if let Some(auth @ ("none" | "optional" | "bearer")) = policy.map(|policy| policy.auth.word()) {
            self.mistake(
                node.at(),
                format!("unauthenticated of {what} has no effect with auth: {auth}"),
                "remove it",
            );
            return None;
        }
        let found = match &node.value {
            Value::Text(text) if text == "login" => return Some(Unauthenticated::Login),
            Value::Text(text) if text == "401" => return Some(Unauthenticated::Refuse),
            Value::Text(text) => shown(text),
            other => other.kind().to_owned(),
        };
        self.mistake(
            node.at(),
            format!("unauthenticated of {what} is {found}"),
            "write login or 401, or leave it out: pages go to the login then, and calls get 401",
        );
        None
    }

    fn target(&mut self, fields: &Fields<'_>, pattern: Option<&Pattern>) -> Option<Target> {
        let what = &fields.what;
        let preserve = match fields.get("preserve_path") {
            None => false,
            Some(node) => self.boolean(node, &format!("preserve_path of {what}"))?,
        };
        let Some(node) = fields.get("upstream_path") else {
            if preserve {
                return Some(Target::Whole);
            }
            if let Some(name) = pattern.and_then(|pattern| pattern.params().next()) {
                self.mistake(
                    fields.at,
                    format!("{what} does not say where {{{name}}} goes at the service"),
                    "write preserve_path: true, or upstream_path with the parameters, as in /orders/{order_id}",
                );
                return None;
            }
            return Some(Target::Rest);
        };
        let text = self.text(node, &format!("upstream_path of {what}"))?;
        if preserve {
            self.mistake(
                node.at(),
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
                self.mistake(node.at(), problem, fix);
                None
            }
        }
    }
}

// === impl Prefix ===

impl Prefix {
    fn of(pattern: &Pattern, target: &Target) -> Self {
        if !Route::strips_prefix(pattern, target) || pattern.segments.is_empty() {
            return Self::Nothing;
        }
        if !pattern.is_fixed() {
            return Self::OfPath;
        }
        HeaderValue::try_from(pattern.path()).map_or(Self::Nothing, Self::Fixed)
    }
}
