//! The keys of a route that say who may call it.

use super::{
    super::{
        Auth, Policy,
        policy::{Rule, Test, Wanted},
    },
    mistakes::{Fields, Reader, shown},
    tokens::is_scope,
};
use crate::yaml::{Node, Value};

/// Longer lists are a mistake.
const MAX_RULES: usize = 64;

/// Claims that speak of a token or a login. They are none of the person.
const NOT_KEPT: [&str; 15] = [
    "aud",
    "exp",
    "iat",
    "nbf",
    "jti",
    "nonce",
    "at_hash",
    "c_hash",
    "s_hash",
    "azp",
    "auth_time",
    "sid",
    "amr",
    "typ",
    "events",
];

const REQUIRE_FIX: &str = "list rules, as in require: [{ claim: roles, contains: orders-admin }]";
const SCOPES_FIX: &str = "list scopes, as in required_scopes: [orders.read]";

// === impl Reader ===

impl Reader<'_> {
    pub(super) fn policy(&mut self, fields: &Fields<'_>) -> Option<Policy> {
        let before = self.mistakes.len();
        let what = &fields.what;
        let auth = match fields.get("auth") {
            None => Some(Auth::Session),
            Some(node) => self.auth(node, what),
        };
        let scopes = match fields.get("required_scopes") {
            None => Vec::new(),
            Some(node) => self.scopes(node, what),
        };
        let rules = match fields.get("require") {
            None => Vec::new(),
            Some(node) => self.rules(node, what, auth),
        };
        let proves_origin = match fields.get("csrf") {
            None => Some(true),
            Some(node) => self.boolean(node, &format!("csrf of {what}")),
        };
        let auth = auth?;
        for key in ["required_scopes", "require"] {
            if let Some(node) = fields.get(key)
                && !matches!(auth, Auth::Session | Auth::Bearer)
            {
                self.mistake(
                    node.at(),
                    format!("{key} of {what} needs a session, which auth does not demand"),
                    "write auth: session, or auth: bearer for callers with a token, or remove it",
                );
            }
        }
        if let Some(node) = fields.get("csrf")
            && auth == Auth::Bearer
        {
            self.mistake(
                node.at(),
                format!("csrf of {what} has no effect with auth: bearer, where no cookie counts"),
                "remove it",
            );
        } else if let (Some(node), Some(false)) = (fields.get("csrf"), proves_origin)
            && auth != Auth::None
        {
            self.mistake(
                node.at(),
                format!("csrf of {what} is false, so that any page could act with a session"),
                "remove it, or write auth: none, for calls of other servers such as webhooks",
            );
        }
        (self.mistakes.len() == before).then_some(Policy {
            auth,
            scopes,
            rules,
            proves_origin: proves_origin?,
        })
    }

    fn auth(&mut self, node: &Node, what: &str) -> Option<Auth> {
        match &node.value {
            Value::Text(text) if text == "session" => Some(Auth::Session),
            Value::Text(text) if text == "optional" => Some(Auth::Optional),
            Value::Text(text) if text == "none" => Some(Auth::None),
            Value::Text(text) if text == "bearer" => Some(Auth::Bearer),
            value => {
                let found = match value {
                    Value::Text(text) => shown(text),
                    other => other.kind().to_owned(),
                };
                self.mistake(
                    node.at(),
                    format!("auth of {what} is {found}"),
                    "write session (the default), optional, bearer or none",
                );
                None
            }
        }
    }

    fn scopes(&mut self, node: &Node, what: &str) -> Vec<String> {
        let what = format!("required_scopes of {what}");
        let scopes = self.texts(node, &what, SCOPES_FIX);
        if matches!(&node.value, Value::List(list) if list.is_empty() || list.len() > MAX_RULES) {
            self.mistake(
                node.at(),
                format!("{what} has no entry, or more than 64"),
                SCOPES_FIX,
            );
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

    fn rules(&mut self, node: &Node, what: &str, auth: Option<Auth>) -> Vec<Rule> {
        let Value::List(list) = &node.value else {
            self.mistake(
                node.at(),
                format!("require of {what} is {}", node.value.kind()),
                REQUIRE_FIX,
            );
            return Vec::new();
        };
        if list.is_empty() || list.len() > MAX_RULES {
            self.mistake(
                node.at(),
                format!("require of {what} has no rule, or more than 64"),
                REQUIRE_FIX,
            );
        }
        list.iter()
            .filter_map(|node| self.rule(node, what, auth))
            .collect()
    }

    fn rule(&mut self, node: &Node, what: &str, auth: Option<Auth>) -> Option<Rule> {
        let what = format!("a rule of {what}");
        let fields = self.fields(node, what.clone(), &["claim", "equals", "any_of", "contains"])?;
        let claim = self
            .required(&fields, "claim", "the name of a claim, as in claim: roles")
            .and_then(|node| Some((node, self.text(node, &format!("claim of {what}"))?)));
        let mut tests = ["equals", "any_of", "contains"]
            .into_iter()
            .filter_map(|key| Some((key, fields.get(key)?)));
        let (first, second) = (tests.next(), tests.next());
        let Some((key, values)) = first.filter(|_| second.is_none()) else {
            self.mistake(
                fields.at,
                format!("{what} has not exactly one of equals, any_of and contains"),
                REQUIRE_FIX,
            );
            return None;
        };
        let (node, claim) = claim?;
        let (of_token, claim) = match claim.strip_prefix("token.") {
            Some(claim) => (true, claim),
            None => (false, claim),
        };
        let is_kept = of_token || auth == Some(Auth::Bearer) || !NOT_KEPT.contains(&claim);
        if claim.is_empty() || !is_kept {
            self.mistake(
                node.at(),
                format!("{what} names the claim {}, which no session keeps", shown(claim)),
                "name a claim about the person, or iss or acr, or write token.NAME for a claim of the ID token",
            );
            return None;
        }
        let wanted = self.wanted(values, &format!("{key} of {what}"), key != "equals")?;
        let test = match key {
            "any_of" => Test::AnyOf(wanted),
            "contains" => Test::Contains(wanted),
            _ => Test::Equals(wanted.into_iter().next()?),
        };
        Some(Rule {
            claim: claim.to_owned(),
            of_token,
            test,
        })
    }

    /// One value, or several where a list is possible.
    fn wanted(&mut self, node: &Node, what: &str, may_be_list: bool) -> Option<Vec<Wanted>> {
        let one = |reader: &mut Self, node: &Node| match &node.value {
            Value::Bool(value) => Some(Wanted::Bool(*value)),
            _ => reader.text(node, what).map(|text| Wanted::Text(text.to_owned())),
        };
        match &node.value {
            Value::List(list) if may_be_list && !list.is_empty() && list.len() <= MAX_RULES => {
                let before = self.mistakes.len();
                let wanted = list.iter().filter_map(|node| one(self, node)).collect();
                (self.mistakes.len() == before).then_some(wanted)
            }
            Value::List(_) if may_be_list => {
                self.mistake(
                    node.at(),
                    format!("{what} has no value, or more than 64"),
                    REQUIRE_FIX,
                );
                None
            }
            _ => Some(vec![one(self, node)?]),
        }
    }
}
