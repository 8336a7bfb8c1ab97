//! `path` of a route, as segments.

use std::{cmp::Ordering, fmt};

/// The paths of a route.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    /// In lower case; without it, the route applies to all hosts.
    pub(super) host: Option<Box<str>>,
    /// The last one is an empty literal if the path ends in a slash.
    pub(super) segments: Vec<Segment>,
    /// Whether it ends in `/*`.
    pub(super) below: bool,
}

/// The text between two slashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    Literal(String),
    /// Any text but the empty one; its name.
    Param(String),
}

// === impl Pattern ===

impl Pattern {
    /// Reads the segments of `path`, without its `/*`: nothing for the empty path.
    pub(super) fn new(path: &str, below: bool) -> Self {
        let segment = |text: &str| match text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
            Some(name) => Segment::Param(name.to_owned()),
            None => Segment::Literal(text.to_owned()),
        };
        Self {
            host: None,
            segments: path.split('/').skip(1).map(segment).collect(),
            below,
        }
    }

    /// The names of its parameters.
    pub(super) fn params(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Param(name) => Some(name.as_str()),
            Segment::Literal(_) => None,
        })
    }

    /// Whether it is `/` alone.
    pub(super) fn is_root(&self) -> bool {
        !self.below && self.segments == [Segment::Literal(String::new())]
    }

    /// Whether every path has the same beginning.
    pub(super) fn is_fixed(&self) -> bool {
        self.params().next().is_none()
    }

    /// The path without its `/*`.
    pub(super) fn path(&self) -> String {
        self.segments
            .iter()
            .fold(String::new(), |path, segment| match segment {
                Segment::Literal(text) => path + "/" + text,
                Segment::Param(name) => path + "/{" + name + "}",
            })
    }

    /// Two patterns of the same shape match the same paths at the same host.
    pub(super) fn shape(&self) -> (Option<&str>, String, bool) {
        let path = self
            .segments
            .iter()
            .fold(String::new(), |path, segment| match segment {
                Segment::Literal(text) => path + "/" + text,
                Segment::Param(_) => path + "/{}",
            });
        (self.host.as_deref(), path, self.below)
    }

    /// Whether it matches `path`, at whatever host.
    pub(super) fn matches(&self, path: &str) -> bool {
        let mut rest = path;
        for segment in &self.segments {
            let Some(after) = rest.strip_prefix('/') else {
                return false;
            };
            let (found, after) = after.split_at(after.find('/').unwrap_or(after.len()));
            let fits = match segment {
                Segment::Literal(text) => text == found,
                Segment::Param(_) => !found.is_empty(),
            };
            if !fits {
                return false;
            }
            rest = after;
        }
        rest.is_empty() || self.below && rest.starts_with('/')
    }

    /// The order in which patterns decide: at each segment, a literal precedes a parameter, and a longer pattern precedes
    /// a `/*`; of the same path, the one with a host comes first.
    pub(super) fn precedence(&self, other: &Self) -> Ordering {
        for pair in self.segments.iter().zip(&other.segments) {
            let order = match pair {
                (Segment::Literal(one), Segment::Literal(other)) => one.cmp(other),
                (Segment::Literal(_), Segment::Param(_)) => Ordering::Less,
                (Segment::Param(_), Segment::Literal(_)) => Ordering::Greater,
                (Segment::Param(_), Segment::Param(_)) => Ordering::Equal,
            };
            if order != Ordering::Equal {
                return order;
            }
        }
        let host = |pattern: &Self| (pattern.host.is_none(), pattern.host.clone());
        other
            .segments
            .len()
            .cmp(&self.segments.len())
            .then(self.below.cmp(&other.below))
            .then_with(|| host(self).cmp(&host(other)))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path())?;
        f.write_str(if self.below { "/*" } else { "" })
    }
}
