//! `authz` and `authz_map`: which decision of the policy decision point a call needs.
//!
//! Both are checked in full, so that a file is right on the day on which decisions are built. Until then a route that
//! asks for them does not start.

use super::{
    super::{Auth, Methods, Pattern, Policy},
    mistakes::{Fields, Reader, shown},
};
use crate::yaml::{At, Key, Node, Value};

/// Methods whose body is read for a decision.
const WITH_BODY: [&str; 3] = ["POST", "PUT", "PATCH"];

const ENTRY_FIX: &str = "write a map by method, as in authz_map: { GET: { resource: order, action: read } }";
const BODY_FIX: &str =
    "write the names of members from the root of the JSON body, with dots between them, as in $.order.state";

/// The route around the keys.
struct Context<'a> {
    pattern: Option<&'a Pattern>,
    methods: Option<Methods>,
}

// === impl Reader ===

impl Reader<'_> {
    pub(super) fn authz(
        &mut self,
        fields: &Fields<'_>,
        policy: Option<&Policy>,
        pattern: Option<&Pattern>,
        methods: Option<Methods>,
    ) {
        let what = &fields.what;
        let word = match fields.get("authz") {
            None => Some("none"),
            Some(node) => self.authz_word(node, what),
        };
        if let Some(node) = fields.get("authz_map") {
            if word == Some("none") {
                self.mistake(
                    node.at(),
                    format!("authz_map of {what} has no effect without authz: pdp"),
                    "write authz: pdp, or remove authz_map",
                );
            }
            self.authz_map(node, what, &Context { pattern, methods });
        }
        let Some(node) = fields.get("authz").filter(|_| word == Some("pdp")) else {
            return;
        };
        if let Some(policy) = policy
            && policy.auth != Auth::Session
        {
            self.mistake(
                node.at(),
                format!("authz of {what} needs a session, which auth does not demand"),
                "write auth: session, or authz: none",
            );
        }
        self.mistake(
            node.at(),
            format!("authz of {what} asks for authorization decisions, which are not built yet"),
            "write authz: none, and let the service decide",
        );
    }

    fn authz_word(&mut self, node: &Node, what: &str) -> Option<&'static str> {
        let text = self.text(node, &format!("authz of {what}"))?;
        match text {
            "none" => Some("none"),
            "pdp" => Some("pdp"),
            _ => {
                self.mistake(
                    node.at(),
                    format!("authz of {what} is {}", shown(text)),
                    "write none or pdp",
                );
                None
            }
        }
    }

    fn authz_map(&mut self, node: &Node, what: &str, context: &Context<'_>) {
        let what = format!("authz_map of {what}");
        let Value::Map(entries) = &node.value else {
            self.mistake(node.at(), format!("{what} is {}", node.value.kind()), ENTRY_FIX);
            return;
        };
        if entries.is_empty() {
            self.mistake(node.at(), format!("{what} names no method"), ENTRY_FIX);
        }
        for (key, node) in entries {
            self.authz_method(key, &what, context);
            self.authz_entry(
                node,
                &key.name,
                &format!("{} in {what}", shown(&key.name)),
                context,
            );
        }
    }

    fn authz_method(&mut self, key: &Key, what: &str, context: &Context<'_>) {
        let Some(method) = Methods::named(&key.name) else {
            let meant = Methods::nearest(&key.name)
                .map_or_else(String::new, |method| format!("did you mean {method}? "));
            self.mistake(
                key.at(),
                format!("{what} names the method {}", shown(&key.name)),
                format!("{meant}{ENTRY_FIX}"),
            );
            return;
        };
        if context.methods.is_some_and(|methods| !methods.contains(method)) {
            self.mistake(
                key.at(),
                format!("{what} names {}, which the route does not take", key.name),
                "add it to methods, or remove it here",
            );
        }
    }

    fn authz_entry(&mut self, node: &Node, method: &str, what: &str, context: &Context<'_>) {
        let keys = ["resource", "action", "id_from", "props"];
        let Some(fields) = self.fields(node, what.to_owned(), &keys) else {
            return;
        };
        for key in ["resource", "action"] {
            let node = self.required(&fields, key, &format!("its {key}, as in {key}: order"));
            if let Some(node) = node {
                self.authz_name(node, &format!("{key} of {what}"));
            }
        }
        if let Some(node) = fields.get("id_from") {
            let what = format!("id_from of {what}");
            if let Some(text) = self.text(node, &what)
                && !self.authz_path(text, node.at(), &what, method, context)
            {
                self.mistake(
                    node.at(),
                    format!("{what} is the constant {}", shown(text)),
                    "write a parameter of the path, as in \"{order_id}\", or a member of the body, as in \"$.order.id\"",
                );
            }
        }
        let Some(node) = fields.get("props") else { return };
        for (key, node) in self.map(node, &format!("props of {what}")) {
            let what = format!("{} in props of {what}", shown(&key.name));
            if key.name.is_empty() {
                self.mistake(key.at(), format!("{what} has no name"), "name the property");
            }
            // A constant may be true or false too.
            if !matches!(node.value, Value::Bool(_))
                && let Some(text) = self.text(node, &what)
            {
                self.authz_path(text, node.at(), &what, method, context);
            }
        }
    }

    /// A type of resources, or an action.
    fn authz_name(&mut self, node: &Node, what: &str) {
        let Some(text) = self.text(node, what) else { return };
        let is_plain = |character: char| !character.is_control() && !character.is_whitespace();
        if text.is_empty() || text.contains('*') || !text.chars().all(is_plain) {
            self.mistake(
                node.at(),
                format!("{what} is {}", shown(text)),
                "write one name without blanks and wildcards, as in order",
            );
        }
    }

    /// Checks `{name}` and `$.member`. Whether it is one of them, right or wrong.
    fn authz_path(&mut self, text: &str, at: At, what: &str, method: &str, context: &Context<'_>) -> bool {
        if text.contains(['{', '}']) {
            self.authz_param(text, at, what, context.pattern);
            return true;
        }
        let Some(path) = text.strip_prefix('$') else {
            return false;
        };
        let is_member = |name: &str| {
            !name.is_empty() && !name.contains(['*', '[', ']', '?', '(', ')', '@', '$', '\'', '"', ' '])
        };
        let members = path.strip_prefix('.');
        if !members.is_some_and(|path| path.split('.').all(is_member)) {
            self.mistake(
                at,
                format!("{what} is {}, which is no path of members", shown(text)),
                BODY_FIX,
            );
        } else if !WITH_BODY.contains(&method) && Methods::named(method).is_some() {
            self.mistake(
                at,
                format!("{what} is {}, and the body of {method} is not read", shown(text)),
                "write a parameter of the path or a constant; bodies are read of POST, PUT and PATCH",
            );
        } else if members.is_some_and(|path| path.starts_with("body.")) {
            self.note(
                at,
                format!("{what} is {}, which begins with a member called body", shown(text)),
                "paths begin at the root of the JSON body: write $.name without body, if it has no such member",
            );
        }
        true
    }

    fn authz_param(&mut self, text: &str, at: At, what: &str, pattern: Option<&Pattern>) {
        let name = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
        let Some(name) = name.filter(|name| !name.contains(['{', '}'])) else {
            self.mistake(
                at,
                format!("{what} is {}, which is more than one parameter", shown(text)),
                "write one parameter of the path alone, as in \"{order_id}\"",
            );
            return;
        };
        if let Some(pattern) = pattern
            && !pattern.params().any(|param| param == name)
        {
            let known: Vec<String> = pattern.params().map(|param| format!("{{{param}}}")).collect();
            let fix = if known.is_empty() {
                format!("put {{{name}}} into path")
            } else {
                format!("name one of {}", known.join(", "))
            };
            self.mistake(
                at,
                format!("{what} is {}, which is no parameter of path", shown(text)),
                fix,
            );
        }
    }
}
