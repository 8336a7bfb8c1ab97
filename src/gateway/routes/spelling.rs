//! Other spellings of a path: paths that a less exact API would take it for.
//!
//! Many APIs ignore case, drop dots and spaces at the end of a name as Windows does, or normalise Unicode. With
//! `/public/*` open to all and `/public/private/*` for people with a session, the path `/public/Private/x` matches
//! the first and could mean the second. Such a path is refused, because the interpretation of the API is unknown.

use std::{borrow::Cow, collections::HashMap};

use http::Method;

use super::{Auth, Group, Prefixes, Routes};
use crate::{own_paths, spelling};

/// The groups of a routing table by the folded form of their paths.
#[derive(Debug, Default)]
pub(super) struct Spellings {
    exact: HashMap<String, Vec<Exact>>,
    below: Prefixes<Vec<usize>>,
    /// Whether every path of the table is its own folded form, so that a path which is its own folded form too is
    /// found under no other spelling.
    plain: bool,
}

/// A group with an exact path.
#[derive(Clone, Copy, Debug)]
struct Exact {
    group: usize,
    slash: bool,
}

// === impl Spellings ===

impl Spellings {
    pub(super) fn of(routes: &Routes) -> Self {
        let mut spellings = Self {
            plain: true,
            ..Self::default()
        };
        for (path, group) in &routes.exact {
            // The characters that a path of the table may have always have a folded form.
            let Some(folded) = spelling::fold(path) else {
                continue;
            };
            let slash = ends_in_slash(path);
            spellings.plain &= !slash && folded == path.trim_end_matches('/');
            let group = Exact { group: *group, slash };
            spellings
                .exact
                .entry(folded.into_owned())
                .or_default()
                .push(group);
        }
        for (prefix, group) in &routes.below.map {
            let Some(folded) = spelling::fold(prefix) else {
                continue;
            };
            spellings.plain &= folded == prefix.as_str();
            spellings
                .below
                .entry(folded.into_owned())
                .or_default()
                .push(*group);
        }
        spellings
    }

    /// Whether `path`, which has matched the group `matched` with a route for `method`, is a spelling of a path with
    /// another policy. That path needs a session and this one does not, or the other way round; or its method is
    /// refused; or it has no route; or it belongs to the server itself; or its meaning is undecidable.
    pub(super) fn mean_another_policy(
        &self,
        groups: &[Group],
        matched: usize,
        path: &str,
        method: &Method,
    ) -> bool {
        let Some(folded) = spelling::fold(path) else {
            return true;
        };
        let slash = ends_in_slash(path);
        let is_plain = matches!(folded, Cow::Borrowed(_));
        if is_plain && !slash && self.plain {
            return false;
        }
        if !is_plain && (own_paths::is_reserved(&folded) || !slash && own_paths::is_alias(&folded)) {
            return true;
        }
        let policy = |group: usize| groups.get(group)?.route(method).map(super::Route::auth);
        let own = policy(matched);
        if let Some(exact) = self.exact.get(&*folded) {
            if exact.iter().any(|exact| exact.group == matched) {
                return false;
            }
            let mut others = exact.iter().filter(|exact| {
                let policy = policy(exact.group);
                // A slash at the end is a genuine difference for many APIs, as in `/app` and `/app/*`. It counts only
                // if it would open something closed.
                exact.slash == slash || policy != Some(Auth::None)
            });
            if let Some(first) = others.next() {
                return policy(first.group) != own || others.any(|other| policy(other.group) != own);
            }
        }
        match self.below.longest(&folded) {
            Some((groups, _)) => {
                !groups.contains(&matched) && groups.iter().any(|group| policy(*group) != own)
            }
            // Nothing is known about a form outside every route.
            None => true,
        }
    }
}

fn ends_in_slash(path: &str) -> bool {
    path.len() > 1 && path.ends_with('/')
}
