//! `path` of a route.

use super::{
    super::Pattern,
    mistakes::{Reader, shown},
};
use crate::{
    gateway::{NormalPath, path::is_unreserved},
    own_paths, spelling,
    yaml::Node,
};

// === impl Reader ===

impl Reader<'_> {
    /// Reads `path`. One that no call could ever match is a mistake.
    pub(super) fn pattern(&mut self, node: &Node, what: &str) -> Option<Pattern> {
        let text = self.text(node, &format!("path of {what}"))?;
        let mut wrong = |problem: &str, fix: &str| {
            let problem = format!("path {} of {what} {problem}", shown(text));
            self.mistake(node.line, problem, fix);
            None
        };
        if !text.starts_with('/') {
            return wrong("does not begin with a slash", "write it as in /api/crud/*");
        }
        let glued = text.strip_suffix('*').filter(|path| !path.ends_with('/'));
        let below = text.strip_suffix("/*").or(glued);
        let (path, wild) = below.map_or((text, false), |path| (path, true));
        if path.contains(['{', '}']) {
            return wrong(
                "has a parameter in braces, which is not built yet",
                "take a wider path, as in /api/orders/*",
            );
        }
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
        // Also in another spelling: every call of it would be refused.
        let folded = spelling::fold(path).unwrap_or_default();
        let exact = !wild && !path.ends_with('/');
        let is_own = |path: &str| own_paths::is_reserved(path) || (exact && own_paths::is_alias(path));
        if is_own(path) || is_own(&folded) {
            return wrong(
                "belongs to the server itself, as do /auth, /health, /metrics and /.well-known/jwks.json",
                "choose another path, as in /api/crud/*",
            );
        }
        if glued.is_some() {
            self.note(
                node.line,
                format!(
                    "path {} of {what} means {path} and all below {path}/",
                    shown(text)
                ),
                format!("write {path}/*"),
            );
        }
        let path = path.to_owned();
        Some(if wild {
            Pattern::Below(path)
        } else {
            Pattern::Exact(path)
        })
    }
}
