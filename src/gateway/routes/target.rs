//! How the path of a call becomes the path at the service.

use bytes::{Bytes, BytesMut};

/// The rest after the path of the service's `base_url`.
#[derive(Debug)]
pub(super) enum Target {
    /// The part that matched `*`.
    Rest,
    /// The whole path of the call (`preserve_path`).
    Whole,
    /// A fixed path (`upstream_path` of a route without `*`).
    Fixed(String),
    /// `upstream_path` with `{path}`: the text before it and after it, without the adjacent slashes.
    Around {
        /// Empty or beginning with a slash.
        before: String,
        /// Empty or beginning with a slash.
        after: String,
    },
}

// === impl Target ===

impl Target {
    /// Path and query at the service. Adds no empty segment: `path` and `rest` have none, and where text follows
    /// `{path}` a slash at the end of `rest` is dropped.
    pub(super) fn path_and_query(&self, base: &str, path: &str, rest: &str, query: Option<&str>) -> Bytes {
        let (before, middle, after) = match self {
            Self::Rest => ("", rest, ""),
            Self::Whole => ("", path, ""),
            Self::Fixed(fixed) => (fixed.as_str(), "", ""),
            Self::Around { before, after } if after.is_empty() => (before.as_str(), rest, ""),
            Self::Around { before, after } => (
                before.as_str(),
                rest.strip_suffix('/').unwrap_or(rest),
                after.as_str(),
            ),
        };
        let query_length = query.map_or(0, |query| query.len() + 1);
        let length = base.len() + before.len() + middle.len() + after.len() + query_length;
        let mut target = BytesMut::with_capacity(length + 1);
        for part in [base, before, middle, after] {
            target.extend_from_slice(part.as_bytes());
        }
        if target.is_empty() {
            target.extend_from_slice(b"/");
        }
        if let Some(query) = query {
            target.extend_from_slice(b"?");
            target.extend_from_slice(query.as_bytes());
        }
        target.freeze()
    }
}
