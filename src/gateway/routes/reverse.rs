//! From a path at the service back to the public one.

use super::{Pattern, Route, Routes, target::Target};

// === impl Routes ===

impl Routes {
    /// The public path that leads to `path` at the service of `route`: by this route, or by another one of the service.
    pub(in super::super) fn public_path(&self, route: &Route, path: &str) -> Option<String> {
        let others = || {
            self.iter()
                .filter(|other| other.service.id == route.service.id)
                .find_map(|other| other.public_path(path))
        };
        // A reference that begins with two slashes names another host (RFC 3986 section 4.2), and none of our calls
        // has an empty segment.
        route
            .public_path(path)
            .or_else(others)
            .filter(|public| !public.contains("//"))
    }
}

// === impl Route ===

impl Route {
    /// The prefix of the public path that the service does not see, for `X-Forwarded-Prefix`. Empty if the service
    /// sees the whole path.
    pub(super) fn stripped_prefix<'a>(pattern: &'a Pattern, target: &Target) -> &'a str {
        match (pattern, target) {
            (Pattern::Below(prefix), Target::Rest | Target::Around { .. }) => prefix,
            (Pattern::Exact(_), _) | (Pattern::Below(_), Target::Whole | Target::Fixed(_)) => "",
        }
    }

    /// Whether the route matches this public path and no narrower one does.
    pub(in super::super) fn is_public_path(&self, path: &str) -> bool {
        match &self.pattern {
            Pattern::Exact(exact) => path == exact,
            Pattern::Below(prefix) => after(path, prefix).is_some(),
        }
    }

    fn public_path(&self, path: &str) -> Option<String> {
        let below = after(path, &self.service.base_path)?;
        let public = match (&self.target, &self.pattern) {
            (Target::Whole, _) => self.is_public_path(below).then(|| below.to_owned()),
            (Target::Rest, Pattern::Below(prefix)) => Some([prefix, below].concat()),
            (Target::Rest, Pattern::Exact(exact)) => matches!(below, "" | "/").then(|| exact.clone()),
            (Target::Fixed(fixed), Pattern::Exact(exact) | Pattern::Below(exact)) => {
                (below == fixed).then(|| exact.clone())
            }
            (Target::Around { before, after: end }, Pattern::Exact(prefix) | Pattern::Below(prefix)) => {
                let rest = after(below, before)?.strip_suffix(end.as_str())?;
                Some([prefix, rest].concat())
            }
        }?;
        Some(if public.is_empty() { "/".to_owned() } else { public })
    }

    /// The public path of `path` at the service and of everything below it; without a slash at the end, like `path`.
    /// `None` if the route does not reach all of it.
    pub(in super::super) fn public_scope(&self, path: &str) -> Option<String> {
        let base = self.service.base_path.as_str();
        let (reached, public) = match (&self.target, &self.pattern) {
            (Target::Whole, _) => (base.to_owned(), ""),
            (Target::Rest, Pattern::Exact(public) | Pattern::Below(public)) => {
                (base.to_owned(), public.as_str())
            }
            (
                Target::Fixed(end) | Target::Around { before: end, .. },
                Pattern::Exact(public) | Pattern::Below(public),
            ) => ([base, end].concat(), public.as_str()),
        };
        after(path, &reached).map(|rest| [public, rest].concat())
    }
}

/// The rest of `path` after `prefix`, if `prefix` ends at a segment boundary.
fn after<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    path.strip_prefix(prefix)
        .filter(|rest| rest.is_empty() || rest.starts_with('/'))
}
