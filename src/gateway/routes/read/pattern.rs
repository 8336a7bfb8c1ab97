//! `path` and `host` of a route.

use super::{
    super::{
        host,
        params::MAX_PARAMS,
        pattern::{Pattern, Segment},
    },
    mistakes::{Reader, shown},
};

/// Nobody writes more, and the depth of a look-up is bounded by it.
const MAX_SEGMENTS: usize = 64;

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
            self.mistake(node.at(), problem, fix);
            None
        };
        if !text.starts_with('/') {
            return wrong("does not begin with a slash", "write it as in /api/crud/*");
        }
        let glued = text.strip_suffix('*').filter(|path| !path.ends_with('/'));
        let below = text.strip_suffix("/*").or(glued);
        let (path, wild) = below.map_or((text, false), |path| (path, true));
        if path.contains('*') {
            return wrong(
                "has a `*` that is not its whole last segment",
                "end it with /* to take all below, as in /api/crud/*",
            );
        }
        // Unreserved characters have a single spelling in a normal path, so no other spelling of this path can slip
        // past a route and still mean the same to the API.
        let pattern = Pattern::new(path, wild);
        let is_plain = |text: &str| text.bytes().all(is_unreserved);
        if pattern
            .segments
            .iter()
            .any(|segment| matches!(segment, Segment::Literal(text) if text.contains(['{', '}'])))
        {
            return wrong(
                "has a parameter that is not a whole segment",
                "write it as in /api/orders/{order_id}",
            );
        }
        if let Err((problem, fix)) = check_params(&pattern) {
            return wrong(&problem, fix);
        }
        let is_plain = |segment: &Segment| match segment {
            Segment::Literal(text) => is_plain(text),
            Segment::Param(_) => true,
        };
        if !pattern.segments.iter().all(is_plain) {
            return wrong(
                "holds other characters than letters, digits, `-`, `.`, `_`, `~` and `/`",
                "take a wider path, as in /files/*",
            );
        }
        if pattern.segments.len() > MAX_SEGMENTS {
            return wrong("has more than 64 segments", "take a wider path, as in /files/*");
        }
        // A parameter can be any name.
        let path = pattern.path().replace(['{', '}'], "");
        let path = path.as_str();
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
            let path = pattern.path();
            self.note(
                node.at(),
                format!(
                    "path {} of {what} means {path} and all below {path}/",
                    shown(text)
                ),
                format!("write {path}/*"),
            );
        }
        Some(pattern)
    }

    /// Reads `host`: the name of one host.
    pub(super) fn host(&mut self, node: &Node, what: &str) -> Option<Box<str>> {
        let text = self.text(node, &format!("host of {what}"))?;
        let is_name = |byte: u8| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':' | b'[' | b']')
        };
        let parsed = Some(text).filter(|text| text.bytes().all(is_name));
        let parsed = parsed.and_then(|text| Some(url::Host::parse(text).ok()?.to_string()));
        match parsed {
            Some(name) if host::bare(text) == name.as_str() && !text.ends_with('.') => Some(name.into()),
            _ => {
                self.mistake(
                    node.at(),
                    format!("host of {what} is {}, which is no name of a host", shown(text)),
                    "write one name without scheme and port, as in host: app.example",
                );
                None
            }
        }
    }
}

/// The error is the problem and the fix.
fn check_params(pattern: &Pattern) -> Result<(), (String, &'static str)> {
    let names: Vec<&str> = pattern.params().collect();
    for (at, name) in names.iter().enumerate() {
        let is_name = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
        if !is_name {
            return Err((
                format!("has the parameter {}, which is no name", shown(name)),
                "take letters, digits and `_`, as in /api/orders/{order_id}",
            ));
        }
        if *name == "path" {
            return Err((
                "has a parameter {path}, which stands for the `*`".to_owned(),
                "take another name, as in /api/orders/{order_id}",
            ));
        }
        if names[..at].contains(name) {
            return Err((
                format!("has the parameter {} twice", shown(name)),
                "give each parameter a name of its own",
            ));
        }
    }
    if names.len() > MAX_PARAMS {
        return Err((
            "has more than 8 parameters".to_owned(),
            "end it with /* earlier, which takes all below",
        ));
    }
    Ok(())
}
