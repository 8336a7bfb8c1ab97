//! The demands of a route on its callers.

use serde_json::{Map, Value};

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// A logged-in person: the access token goes along.
    Session,
    /// As [`Session`](Self::Session) for a caller with a session, and as [`None`](Self::None) for any other.
    Optional,
    /// A caller that brings an access token of its own, which goes along unchanged. No cookie counts.
    Bearer,
    /// Anybody: no token goes along.
    None,
}

/// The demands of a route on its callers. Two paths with equal policies are equally open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    pub(super) auth: Auth,
    /// `required_scopes`.
    pub(super) scopes: Vec<String>,
    /// `require`.
    pub(super) rules: Vec<Rule>,
    /// Whether a call that changes state has to prove its origin (`csrf`).
    pub(super) proves_origin: bool,
}

/// The facts about a caller with a session, or with a token of its own.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The scope of its access token (RFC 6749 section 3.3).
    pub scope: &'a str,
    /// `iss` of its ID token, or of its own token.
    pub issuer: &'a str,
    /// `acr`, likewise.
    pub acr: Option<&'a str>,
    /// The claims about the person, or those of the token.
    pub user: &'a Map<String, Value>,
    /// All claims of its ID token, for a policy that [reads](Policy::reads_token) them.
    pub token: Option<&'a Map<String, Value>>,
}

/// The demand that a caller does not meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied<'a> {
    /// One of these scopes is missing.
    Scope(&'a [String]),
    /// The rule for this claim does not hold.
    Claim(&'a str),
}

/// A rule for a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// Its name; dots lead into nested claims.
    pub(super) claim: String,
    /// Whether it is a claim of the ID token itself (`token.NAME`).
    pub(super) of_token: bool,
    pub(super) test: Test,
}

/// The values that a claim may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Test {
    Equals(Wanted),
    /// The claim is one of them, or a list with at least one of them.
    AnyOf(Vec<Wanted>),
    /// The claim is a list with all of them.
    Contains(Vec<Wanted>),
}

/// A value in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Also a number.
    Text(String),
    Bool(bool),
}

// === impl Auth ===

impl Auth {
    /// Its word in the file.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Optional => "optional",
            Self::Bearer => "bearer",
            Self::None => "none",
        }
    }

    /// Its meaning for a call with or without a session.
    #[must_use]
    pub const fn of_call(self, has_session: bool) -> Self {
        match self {
            Self::Optional if has_session => Self::Session,
            Self::Optional => Self::None,
            Self::Session | Self::Bearer | Self::None => self,
        }
    }
}

// === impl Policy ===

impl Policy {
    /// Who may call.
    #[must_use]
    pub const fn auth(&self) -> Auth {
        self.auth
    }

    /// The scopes that it requires.
    #[must_use]
    pub fn scopes(&self) -> &[String] {
        &self.scopes
    }

    /// Whether a call that changes state has to come from an origin of our own.
    #[must_use]
    pub const fn proves_origin(&self) -> bool {
        self.proves_origin
    }

    /// Whether a rule is about the ID token itself.
    #[must_use]
    pub fn reads_token(&self) -> bool {
        self.rules.iter().any(|rule| rule.of_token)
    }

    /// Whether a caller with these facts meets the demands.
    ///
    /// # Errors
    ///
    /// [`Denied`]: the first demand that it does not meet.
    pub fn check(&self, facts: &Facts<'_>) -> Result<(), Denied<'_>> {
        let granted = |scope: &String| facts.scope.split(' ').any(|granted| granted == scope);
        if !self.scopes.iter().all(granted) {
            return Err(Denied::Scope(&self.scopes));
        }
        match self.rules.iter().find(|rule| !rule.holds(facts)) {
            Some(rule) => Err(Denied::Claim(&rule.claim)),
            None => Ok(()),
        }
    }
}

// === impl Rule ===

impl Rule {
    fn holds(&self, facts: &Facts<'_>) -> bool {
        let in_claims = |claims, name| find(claims, name).is_some_and(|value| self.test.holds(value));
        if self.of_token {
            return facts.token.is_some_and(|claims| in_claims(claims, &self.claim));
        }
        let text = match self.claim.as_str() {
            "iss" => Some(facts.issuer),
            "acr" => facts.acr,
            name => return in_claims(facts.user, name),
        };
        text.is_some_and(|text| self.test.holds_for_text(text))
    }
}

/// A claim with this name, or below the names between its dots.
fn find<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(name) {
        return Some(value);
    }
    let (first, rest) = name.split_once('.')?;
    find(claims.get(first)?.as_object()?, rest)
}

// === impl Test ===

impl Test {
    fn holds(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Equals(wanted), value) => wanted.is(value),
            (Self::AnyOf(wanted), Value::Array(values)) => wanted
                .iter()
                .any(|wanted| values.iter().any(|value| wanted.is(value))),
            (Self::AnyOf(wanted), value) => wanted.iter().any(|wanted| wanted.is(value)),
            (Self::Contains(wanted), Value::Array(values)) => wanted
                .iter()
                .all(|wanted| values.iter().any(|value| wanted.is(value))),
            (Self::Contains(_), _) => false,
        }
    }

    fn holds_for_text(&self, text: &str) -> bool {
        let is = |wanted: &Wanted| matches!(wanted, Wanted::Text(wanted) if wanted == text);
        match self {
            Self::Equals(wanted) => is(wanted),
            Self::AnyOf(wanted) => wanted.iter().any(is),
            Self::Contains(_) => false,
        }
    }
}

// === impl Wanted ===

impl Wanted {
    fn is(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Text(wanted), Value::String(text)) => wanted == text,
            (Self::Text(wanted), Value::Number(number)) => *wanted == number.to_string(),
            (Self::Bool(wanted), Value::Bool(value)) => wanted == value,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(text: &str) -> Wanted {
        Wanted::Text(text.to_owned())
    }

    fn check(scopes: &[&str], rules: &[(&str, Test)]) -> bool {
        let user = json!({
            "sub": "ada",
            "roles": ["admin", "editor", 7],
            "level": 3,
            "email_verified": true,
            "realm_access": { "roles": ["user"], "deep": { "x": "y" } },
            "https://a.example/role": "boss",
            "a.b": "whole",
            "a": { "b": "nested" },
        });
        let token = json!({ "sub": "ada", "amr": ["pwd", "otp"], "org": { "id": 7 }, "level": 9 });
        let policy = Policy {
            auth: Auth::Session,
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            rules: rules
                .iter()
                .map(|(claim, test)| Rule {
                    of_token: claim.starts_with("token."),
                    claim: claim.strip_prefix("token.").unwrap_or(claim).to_owned(),
                    test: test.clone(),
                })
                .collect(),
            proves_origin: true,
        };
        let facts = Facts {
            scope: "openid orders.read",
            issuer: "https://idp.example",
            acr: Some("mfa"),
            user: user.as_object().unwrap(),
            token: token.as_object(),
        };
        policy.check(&facts).is_ok()
    }

    #[test]
    fn every_scope_has_to_be_granted() {
        assert!(check(&[], &[]));
        assert!(check(&["orders.read"], &[]));
        assert!(check(&["orders.read", "openid"], &[]));
        for scope in [
            "orders",
            "orders.rea",
            "orders.write",
            "Orders.read",
            "openid orders.read",
        ] {
            assert!(!check(&["openid", scope], &[]), "{scope}");
        }
    }

    #[test]
    fn a_rule_holds_for_the_values_that_it_names() {
        for (claim, test) in [
            ("sub", Test::Equals(text("ada"))),
            ("level", Test::Equals(text("3"))),
            ("email_verified", Test::Equals(Wanted::Bool(true))),
            ("realm_access.deep.x", Test::Equals(text("y"))),
            ("https://a.example/role", Test::Equals(text("boss"))),
            ("a.b", Test::Equals(text("whole"))),
            ("iss", Test::Equals(text("https://idp.example"))),
            ("acr", Test::AnyOf(vec![text("x"), text("mfa")])),
            ("sub", Test::AnyOf(vec![text("bob"), text("ada")])),
            ("token.amr", Test::Contains(vec![text("otp")])),
            ("token.org.id", Test::Equals(text("7"))),
            ("token.level", Test::Equals(text("9"))),
            ("roles", Test::AnyOf(vec![text("x"), text("admin")])),
            ("roles", Test::Contains(vec![text("admin")])),
            ("roles", Test::Contains(vec![text("admin"), text("7")])),
            ("realm_access.roles", Test::Contains(vec![text("user")])),
        ] {
            assert!(check(&[], &[(claim, test.clone())]), "{claim} {test:?}");
        }
    }

    #[test]
    fn a_rule_fails_for_anything_else() {
        for (claim, test) in [
            ("sub", Test::Equals(text("Ada"))),
            ("nothing", Test::Equals(text("ada"))),
            ("email_verified", Test::Equals(text("true"))),
            ("level", Test::Equals(text("3.0"))),
            ("roles", Test::Equals(text("admin"))),
            ("roles", Test::AnyOf(vec![text("x")])),
            ("roles", Test::Contains(vec![text("admin"), text("x")])),
            // No list.
            ("sub", Test::Contains(vec![text("ada")])),
            ("acr", Test::Contains(vec![text("mfa")])),
            ("realm_access", Test::Contains(vec![text("user")])),
            ("realm_access.roles.x", Test::Equals(text("user"))),
            ("acr", Test::Equals(text("pwd"))),
            // Only of the token, and only of the person.
            ("token.roles", Test::Contains(vec![text("admin")])),
            ("token.level", Test::Equals(text("3"))),
            ("amr", Test::Contains(vec![text("otp")])),
            ("token.acr", Test::Equals(text("mfa"))),
        ] {
            assert!(!check(&[], &[(claim, test.clone())]), "{claim} {test:?}");
        }
        // All of them have to hold.
        let holds = ("sub", Test::Equals(text("ada")));
        assert!(!check(&[], &[holds, ("sub", Test::Equals(text("bob")))]));
    }
}
