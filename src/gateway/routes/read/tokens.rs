//! The keys of a service and of a route that say which token goes along.

use std::{collections::HashMap, sync::Arc, time::Duration};

use super::{
    super::{Auth, Service},
    mistakes::{Fields, Reader, SHORTEST, shown},
};
use crate::{
    credential::{Mode, Target, TokenPolicy},
    quote::nearest,
    yaml::{At, Node, Value},
};

/// The keys of `token_policy`.
pub(in crate::gateway::routes) const POLICY_KEYS: [&str; 5] =
    ["mode", "service", "audience", "scopes", "cache_ttl"];

/// A longer audience is a mistake, in bytes.
const MAX_AUDIENCE: usize = 512;

/// Longer lists of scopes are a mistake.
const MAX_SCOPES: usize = 64;

const AUDIENCE_FIX: &str =
    "write the aud that the service expects, as in token_audience: https://orders.example";
const SCOPES_FIX: &str = "list scopes, as in scopes: [orders.read]";
const MODE_FIX: &str = "write session_passthrough (the default), service_token or on_behalf_of";

/// The services of the file, by id; a service with mistakes is known.
pub(super) type Known<'a> = HashMap<&'a str, Option<Arc<Service>>>;

// === impl Reader ===

impl Reader<'_> {
    /// The target of tokens for a service: `token_audience`, or `audience`, and `scopes`; else those of the settings.
    pub(super) fn service_target(&mut self, id: &str, fields: &Fields<'_>) -> Option<Target> {
        let before = self.mistakes.len();
        let what = &fields.what;
        if let (Some(_), Some(node)) = (fields.get("token_audience"), fields.get("audience")) {
            self.mistake(
                node.at(),
                format!("{what} has both token_audience and audience, which mean the same"),
                "keep token_audience",
            );
        }
        let named = ["token_audience", "audience"]
            .into_iter()
            .find_map(|key| Some((key, fields.get(key)?)));
        let audience = match named {
            Some((key, node)) => self.audience(node, &format!("{key} of {what}")),
            None => self.given.tokens.audiences.get(id).cloned(),
        };
        let scopes = match fields.get("scopes") {
            Some(node) => self.token_scopes(node, &format!("scopes of {what}")),
            None => self.given.tokens.scopes.get(id).cloned().unwrap_or_default(),
        };
        (self.mistakes.len() == before).then(|| Target::new(audience, scopes))
    }

    /// Names in the settings that are no service of the file.
    pub(super) fn unknown_defaults(&mut self, at: At, known: &Known<'_>) {
        let defaults = self.given.tokens;
        let audiences = defaults.audiences.keys().map(|id| ("an audience", id));
        let scopes = defaults.scopes.keys().map(|id| ("scopes", id));
        for (given, id) in audiences.chain(scopes) {
            if !known.contains_key(id.as_str()) {
                let meant = nearest(id, known.keys().copied())
                    .map_or_else(String::new, |id| format!("did you mean {}? ", shown(id)));
                self.mistake(
                    at,
                    format!(
                        "the settings give {given} to the service {}, which is not in this file",
                        shown(id)
                    ),
                    format!("{meant}describe it under `services`, or remove it from the settings"),
                );
            }
        }
    }

    /// Which token goes to `service` (`token_policy`).
    pub(super) fn token_policy(
        &mut self,
        fields: &Fields<'_>,
        auth: Option<Auth>,
        service: Option<&Service>,
        services: &Known<'_>,
    ) -> Option<TokenPolicy> {
        let Some(node) = fields.get("token_policy") else {
            let service = service?;
            return Some(match auth {
                Some(Auth::Bearer) => of_caller(service),
                _ => service.token_policy(),
            });
        };
        let before = self.mistakes.len();
        let what = format!("token_policy of {}", fields.what);
        if self.given.tokens.refuses_policies {
            self.mistake(
                node.at(),
                format!("{what} stands here, and the settings switch token policies off"),
                "remove it, or switch them on",
            );
        }
        if auth == Some(Auth::None) {
            self.mistake(
                node.at(),
                format!("{what} has no effect with auth: none, which sends no token"),
                "remove it, or write auth: session",
            );
        }
        let keys = self.fields(node, what.clone(), &POLICY_KEYS)?;
        let mode = match keys.get("mode") {
            None => Some(Mode::default()),
            Some(node) => self.mode(node, &what),
        };
        let named = match keys.get("service") {
            None => service,
            Some(node) => self.named_service(node, &what, services),
        };
        let audience = keys.get("audience").map(|node| {
            let audience = self.audience(node, &format!("audience of {what}"))?;
            self.is_named(node.at(), &audience, &what, services)
                .then_some(audience)
        });
        let scopes = keys
            .get("scopes")
            .map(|node| self.token_scopes(node, &format!("scopes of {what}")));
        let cache_ttl = keys.get("cache_ttl").map(|node| self.cache_ttl(node, &what));
        let (mode, named) = (mode?, named?);
        if matches!(audience, Some(None)) {
            // The policy names an audience, so nothing is missing beside the mistake in it.
            return None;
        }
        let default = named.target();
        let target = Target::new(
            audience.unwrap_or_else(|| default.audience.clone()),
            scopes.unwrap_or_else(|| default.scopes.clone()),
        );
        if auth == Some(Auth::Bearer) && mode == Mode::SessionPassthrough {
            self.only_passes(node.at(), &keys, &what);
            return (self.mistakes.len() == before).then(|| of_caller(named));
        }
        match mode {
            Mode::SessionPassthrough if target.audience.is_none() => {
                for key in ["scopes", "cache_ttl"] {
                    if let Some(node) = keys.get(key) {
                        self.mistake(
                            node.at(),
                            format!("{key} of {what} has no effect: without an audience, the access token of the session goes along"),
                            format!("name an audience, or remove {key}"),
                        );
                    }
                }
            }
            Mode::ServiceToken | Mode::OnBehalfOf if target == Target::default() => self.mistake(
                node.at(),
                format!("{what} says {}, and for no API", mode.word()),
                "name an audience or scopes here, or token_audience or scopes at the service",
            ),
            Mode::SessionPassthrough | Mode::ServiceToken | Mode::OnBehalfOf => {}
        }
        (self.mistakes.len() == before)
            .then(|| TokenPolicy::new(mode, named.id(), target, cache_ttl.flatten()))
    }

    /// With `auth: bearer`, `session_passthrough` passes the caller's own token on. A key that says more would be ignored in
    /// silence.
    fn only_passes(&mut self, at: At, keys: &Fields<'_>, what: &str) {
        let key = ["audience", "scopes", "cache_ttl"]
            .into_iter()
            .find(|key| keys.get(key).is_some());
        if let Some(key) = key {
            self.mistake(
                at,
                format!(
                    "{what} says {key}, and with auth: bearer and without another mode the token of the caller goes on as it is"
                ),
                "remove it, or write mode: on_behalf_of or mode: service_token",
            );
        }
    }

    fn mode(&mut self, node: &Node, what: &str) -> Option<Mode> {
        let text = self.text(node, &format!("mode of {what}"))?;
        let Some(mode) = Mode::ALL.into_iter().find(|mode| mode.word() == text) else {
            let meant = nearest(text, Mode::ALL.iter().map(|mode| mode.word()))
                .map_or_else(String::new, |word| format!("did you mean {word}? "));
            self.mistake(
                node.at(),
                format!("mode of {what} is {}", shown(text)),
                format!("{meant}{MODE_FIX}"),
            );
            return None;
        };
        if mode == Mode::OnBehalfOf && self.given.tokens.refuses_on_behalf_of {
            self.mistake(
                node.at(),
                format!("mode of {what} is on_behalf_of, which the settings switch off"),
                "write another mode, or switch it on",
            );
        }
        Some(mode)
    }

    fn named_service<'a>(&mut self, node: &Node, what: &str, services: &'a Known<'_>) -> Option<&'a Service> {
        let name = self.text(node, &format!("service of {what}"))?;
        let Some(service) = services.get(name) else {
            let meant = nearest(name, services.keys().copied())
                .map_or_else(String::new, |id| format!("did you mean {}? ", shown(id)));
            self.mistake(
                node.at(),
                format!("{what} names the unknown service {}", shown(name)),
                format!("{meant}name one of `services`, or remove it: target_service counts then"),
            );
            return None;
        };
        service.as_deref()
    }

    fn audience(&mut self, node: &Node, what: &str) -> Option<String> {
        let text = self.text(node, what)?;
        let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        if text.is_empty() || text.len() > MAX_AUDIENCE || !is_plain {
            self.mistake(
                node.at(),
                format!("{what} is {}, which is no audience", shown(text)),
                AUDIENCE_FIX,
            );
            return None;
        }
        Some(text.to_owned())
    }

    /// Whether the configuration names `audience` as that of a service: a route cannot ask for tokens for anything else.
    fn is_named(&mut self, at: At, audience: &str, what: &str, services: &Known<'_>) -> bool {
        let all = services.values().flatten();
        let named: Vec<&str> = all
            .filter_map(|service| service.target().audience.as_deref())
            .collect();
        // One of a service with mistakes may be it.
        if named.contains(&audience) || services.values().any(Option::is_none) {
            return true;
        }
        let meant = nearest(audience, named.iter().copied()).map_or_else(String::new, |audience| {
            format!("did you mean {}? ", shown(audience))
        });
        self.mistake(
            at,
            format!("audience of {what} is {}, which no service has", shown(audience)),
            format!("{meant}name it as token_audience of a service"),
        );
        false
    }

    /// A list of scopes, or text with scopes between spaces.
    fn token_scopes(&mut self, node: &Node, what: &str) -> Vec<String> {
        let scopes: Vec<(At, &str)> = match &node.value {
            Value::List(_) => self.texts(node, what, SCOPES_FIX),
            _ => self
                .text(node, what)
                .map(|text| text.split_ascii_whitespace().map(|scope| (node.at(), scope)))
                .into_iter()
                .flatten()
                .collect(),
        };
        if scopes.len() > MAX_SCOPES {
            self.mistake(node.at(), format!("{what} has more than 64 entries"), SCOPES_FIX);
        }
        for (at, scope) in &scopes {
            if !is_scope(scope) {
                self.mistake(
                    *at,
                    format!("{what} has {}, which is no scope", shown(scope)),
                    SCOPES_FIX,
                );
            }
        }
        scopes.into_iter().map(|(_, scope)| scope.to_owned()).collect()
    }

    fn cache_ttl(&mut self, node: &Node, what: &str) -> Option<Duration> {
        let fix = "write seconds or a time, as in 300 or 5m";
        self.time(
            node,
            &format!("cache_ttl of {what}"),
            SHORTEST..=Duration::MAX,
            fix,
        )
    }
}

/// The token that the caller brings, for `service`.
fn of_caller(service: &Service) -> TokenPolicy {
    TokenPolicy::new(Mode::SessionPassthrough, service.id(), Target::default(), None)
}

/// RFC 6749 section 3.3, `scope-token`.
pub(super) fn is_scope(text: &str) -> bool {
    let is = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    !text.is_empty() && text.bytes().all(is)
}
