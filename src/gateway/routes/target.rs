//! How the path of a call becomes the path at the service.

use bytes::{BufMut as _, Bytes, BytesMut};

use super::Match;

/// The rest after the path of the service's `base_url`.
#[derive(Debug)]
pub(super) enum Target {
    /// The part that matched `*`.
    Rest,
    /// The whole path of the call (`preserve_path`).
    Whole,
    /// `upstream_path`.
    Pieces(Vec<Piece>),
}

/// A part of `upstream_path`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Begins with a slash. It ends with one only before a parameter or at the end of the path.
    Text(String),
    /// The value of the parameter with this index.
    Param(usize),
    /// The part that matched `*`, with the slash before it.
    Rest,
}

// === impl Target ===

impl Target {
    /// Path and query at the service. Adds no empty segment: the path of the call has none, and where text follows
    /// `{path}` a slash at the end of the rest is dropped.
    pub(super) fn path_and_query(&self, base: &str, matched: &Match<'_>, query: Option<&str>) -> Bytes {
        let path = matched.path.as_str();
        let query_length = query.map_or(0, |query| query.len() + 1);
        let mut target = BytesMut::with_capacity(base.len() + self.length() + path.len() + query_length + 1);
        target.put_slice(base.as_bytes());
        match self {
            Self::Rest => target.put_slice(matched.rest.as_bytes()),
            Self::Whole => target.put_slice(path.as_bytes()),
            Self::Pieces(pieces) => {
                for (at, piece) in pieces.iter().enumerate() {
                    let text = match piece {
                        Piece::Text(text) => text,
                        Piece::Param(index) => matched.param(*index).unwrap_or_default(),
                        Piece::Rest if at + 1 == pieces.len() => matched.rest,
                        Piece::Rest => matched.rest.strip_suffix('/').unwrap_or(matched.rest),
                    };
                    target.put_slice(text.as_bytes());
                }
            }
        }
        if target.is_empty() {
            target.put_u8(b'/');
        }
        if let Some(query) = query {
            target.put_u8(b'?');
            target.put_slice(query.as_bytes());
        }
        target.freeze()
    }

    /// The length of its own text.
    fn length(&self) -> usize {
        match self {
            Self::Rest | Self::Whole => 0,
            Self::Pieces(pieces) => pieces
                .iter()
                .map(|piece| match piece {
                    Piece::Text(text) => text.len(),
                    Piece::Param(_) | Piece::Rest => 0,
                })
                .sum(),
        }
    }
}
