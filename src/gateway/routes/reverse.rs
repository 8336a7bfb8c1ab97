//! From a path at the service back to the public one.

use super::{
    Match, Route, Routes,
    params::MAX_PARAMS,
    pattern::{Pattern, Segment},
    target::{Piece, Target},
};

/// The parts of a public path that a path at the service has.
#[derive(Default)]
struct Known<'a> {
    params: [Option<&'a str>; MAX_PARAMS],
    rest: &'a str,
}

// === impl Routes ===

impl Routes {
    /// The public path that leads to `path` at the service of `matched`: by its route, or by another one of the service,
    /// the most specific first.
    pub(in super::super) fn public_path(&self, matched: &Match<'_>, path: &str) -> Option<String> {
        let route = matched.route;
        let others = || {
            self.iter()
                .filter(|other| other.service.id == route.service.id)
                .filter(|other| other.pattern.host.is_none() || other.pattern.host == route.pattern.host)
                .find_map(|other| other.public_path(path, None))
        };
        // A reference that begins with two slashes names another host (RFC 3986 section 4.2), and none of our calls
        // has an empty segment.
        route
            .public_path(path, Some(matched))
            .or_else(others)
            .filter(|public| !public.contains("//"))
    }
}

// === impl Route ===

impl Route {
    /// Whether the service does not see the beginning of the public path.
    pub(super) const fn strips_prefix(pattern: &Pattern, target: &Target) -> bool {
        pattern.below && !matches!(target, Target::Whole)
    }

    /// Whether the route matches this public path.
    pub(in super::super) fn is_public_path(&self, path: &str) -> bool {
        self.pattern.matches(path)
    }

    /// `matched` gives the parameters that the service does not see.
    fn public_path(&self, path: &str, matched: Option<&Match<'_>>) -> Option<String> {
        let below = after(path, &self.service.base_path)?;
        let public = match &self.target {
            Target::Whole => self.is_public_path(below).then(|| below.to_owned()),
            Target::Rest if self.pattern.below => self.pattern.fill(&Known::of_rest(below), matched),
            Target::Rest => matches!(below, "" | "/").then(|| self.pattern.path()),
            Target::Pieces(pieces) => self.pattern.fill(&Known::read(pieces, below)?, matched),
        }?;
        Some(if public.is_empty() { "/".to_owned() } else { public })
    }
}

// === impl Match ===

impl Match<'_> {
    /// The public path of `path` at the service and of everything below it; without a slash at the end, like `path`.
    /// `None` if the route does not reach all of it.
    pub(in super::super) fn public_scope(&self, path: &str) -> Option<String> {
        let base = self.route.service.base_path.as_str();
        let public = self.public_prefix();
        match &self.route.target {
            Target::Whole => after(path, base).map(ToOwned::to_owned),
            Target::Rest => after(path, base).map(|rest| [public, rest].concat()),
            Target::Pieces(pieces) => {
                let mut reached = base.to_owned();
                for piece in pieces.iter().take_while(|piece| **piece != Piece::Rest) {
                    reached.push_str(match piece {
                        Piece::Text(text) => text,
                        Piece::Param(index) => self.param(*index)?,
                        Piece::Rest => "",
                    });
                }
                after(path, &reached).map(|rest| [public, rest].concat())
            }
        }
    }
}

// === impl Known ===

impl<'a> Known<'a> {
    fn of_rest(rest: &'a str) -> Self {
        Self {
            rest,
            ..Self::default()
        }
    }

    /// Reads `path` as `pieces`, from both ends towards `{path}`. `None` if it does not have their form.
    fn read(pieces: &[Piece], path: &'a str) -> Option<Self> {
        let mut known = Self::default();
        let mut left = path;
        let mut forward = pieces.iter();
        let mut has_rest = false;
        for piece in forward.by_ref() {
            match piece {
                Piece::Text(text) => left = left.strip_prefix(text.as_str())?,
                Piece::Param(index) => {
                    let end = left.find('/').unwrap_or(left.len());
                    known.set(*index, &left[..end])?;
                    left = &left[end..];
                }
                Piece::Rest => {
                    has_rest = true;
                    break;
                }
            }
        }
        for piece in forward.rev() {
            match piece {
                Piece::Text(text) => left = left.strip_suffix(text.as_str())?,
                Piece::Param(index) => {
                    let begin = left.rfind('/')? + 1;
                    known.set(*index, &left[begin..])?;
                    left = &left[..begin];
                }
                Piece::Rest => return None,
            }
        }
        known.rest = left;
        (left.is_empty() || has_rest && left.starts_with('/')).then_some(known)
    }

    /// `None` if the value is empty or differs from an earlier one.
    fn set(&mut self, index: usize, value: &'a str) -> Option<()> {
        let param = self.params.get_mut(index)?;
        if value.is_empty() || param.is_some_and(|known| known != value) {
            return None;
        }
        *param = Some(value);
        Some(())
    }
}

// === impl Pattern ===

impl Pattern {
    /// The path with these values.
    fn fill(&self, known: &Known<'_>, matched: Option<&Match<'_>>) -> Option<String> {
        let mut path = String::new();
        let mut params = 0..;
        for segment in &self.segments {
            path.push('/');
            path.push_str(match segment {
                Segment::Literal(text) => text,
                Segment::Param(_) => {
                    let index = params.next()?;
                    let value = known.params.get(index).copied().flatten();
                    value.or_else(|| matched?.param(index))?
                }
            });
        }
        path.push_str(known.rest);
        Some(path)
    }
}

/// The rest of `path` after `prefix`, if `prefix` ends at a segment boundary.
fn after<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    path.strip_prefix(prefix)
        .filter(|rest| rest.is_empty() || rest.starts_with('/'))
}
