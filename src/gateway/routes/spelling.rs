//! Other spellings of a path: paths that a less exact API would take it for.
//!
//! Many APIs ignore case, drop dots and spaces at the end of a name as Windows does, or normalise Unicode. With
//! `/public/*` open to all and `/public/private/*` for people with a session, the path `/public/Private/x` matches
//! the first and could mean the second. Such a path is refused, because the interpretation of the API is unknown.

use std::{borrow::Cow, ops::ControlFlow};

use http::Method;

use super::{
    Auth, Group, Pattern,
    pattern::Segment,
    tree::{End, Tree},
};
use crate::{own_paths, spelling};

/// The groups of a routing table by the folded form of their paths.
#[derive(Debug, Default)]
pub(super) struct Spellings {
    tree: Tree<Vec<Exact>, Vec<usize>>,
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
    pub(super) fn of(groups: &[Group]) -> Self {
        let mut spellings = Self {
            plain: true,
            ..Self::default()
        };
        let patterns = groups
            .iter()
            .enumerate()
            .filter_map(|(at, group)| Some((at, &group.routes.first()?.pattern)));
        for (group, pattern) in patterns {
            let (segments, slash) = fold(pattern);
            spellings.plain &= segments == pattern.segments || pattern.is_root();
            if pattern.below {
                let groups = spellings.tree.below(segments.iter()).get_or_insert_default();
                groups.push(group);
            } else {
                let groups = spellings.tree.exact(segments.iter()).get_or_insert_default();
                groups.push(Exact { group, slash });
            }
        }
        spellings
    }

    /// Whether `path`, which has matched the group `matched` with a route for `method`, is a spelling of a path with
    /// another policy. That path makes other demands on its callers, in whatever direction; or its method is
    /// refused; or it has no route; or it belongs to the server itself; or its meaning is undecidable.
    pub(super) fn mean_another_policy(
        &self,
        groups: &[Group],
        matched: usize,
        host: &str,
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
        let policy = |group: usize| groups.get(group)?.route(method).map(super::Route::policy);
        let own = policy(matched);
        let here = |group: usize| {
            let group: Option<&Group> = groups.get(group);
            group.is_some_and(|group| group.host.as_deref().is_none_or(|named| named == host))
        };
        let differs = self.tree.walk(&folded, |end, _| match end {
            End::Exact(exact) => {
                let mut exact = exact.iter().filter(|exact| here(exact.group));
                if exact.clone().any(|exact| exact.group == matched) {
                    return ControlFlow::Break(false);
                }
                let others = exact.by_ref().filter(|exact| {
                    // A slash at the end is a genuine difference for many APIs, as in `/app` and `/app/*`. It counts
                    // only if it would open something closed.
                    exact.slash == slash
                        || policy(exact.group).is_none_or(|policy| policy.auth() != Auth::None)
                });
                compare(others.map(|exact| policy(exact.group) != own))
            }
            End::Below(below, _) => {
                let mut below = below.iter().filter(|group| here(**group));
                if below.clone().any(|group| *group == matched) {
                    return ControlFlow::Break(false);
                }
                compare(below.by_ref().map(|group| policy(*group) != own))
            }
        });
        // Nothing is known about a form outside every route.
        differs.unwrap_or(true)
    }

    /// Whether `path`, which has matched no group, is a spelling of a path with one, or of an undecidable path.
    pub(super) fn mean_a_route(&self, groups: &[Group], host: &str, path: &str) -> bool {
        let Some(folded) = spelling::fold(path) else {
            return true;
        };
        let is_here = |group: usize| {
            let group: Option<&Group> = groups.get(group);
            group.is_some_and(|group| group.host.as_deref().is_none_or(|named| named == host))
        };
        let found = self.tree.walk(&folded, |end, _| {
            let is_here = match end {
                End::Exact(exact) => exact.iter().any(|exact| is_here(exact.group)),
                End::Below(below, _) => below.iter().any(|group| is_here(*group)),
            };
            if is_here {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        found.is_some()
    }
}

/// Whether one of them differs, if there are any.
fn compare(differ: impl Iterator<Item = bool>) -> ControlFlow<bool> {
    match differ.reduce(|any, differs| any || differs) {
        Some(any) => ControlFlow::Break(any),
        None => ControlFlow::Continue(()),
    }
}

/// The folded segments, and whether the path ends in a slash. The characters that a path of the table may have always
/// have a folded form.
fn fold(pattern: &Pattern) -> (Vec<Segment>, bool) {
    let slash = !pattern.is_root() && pattern.segments.last() == Some(&Segment::Literal(String::new()));
    let folded = pattern.segments.iter().filter_map(|segment| {
        let Segment::Literal(text) = segment else {
            return Some(segment.clone());
        };
        let text = ["/", text].concat();
        let folded = spelling::fold(&text)?;
        let folded = folded.strip_prefix('/')?;
        (!folded.is_empty()).then(|| Segment::Literal(folded.to_owned()))
    });
    (folded.collect(), slash)
}

fn ends_in_slash(path: &str) -> bool {
    path.len() > 1 && path.ends_with('/')
}
