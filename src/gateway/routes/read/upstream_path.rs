//! `upstream_path` of a route.

use super::{
    super::{
        pattern::{Pattern, Segment},
        target::{Piece, Target},
    },
    mistakes::shown,
};
use crate::gateway::NormalPath;

/// The name of the part that matches `*`.
const REST: &str = "path";
const FIX: &str = "write it as in /v1/{path}";

/// Reads `upstream_path`; the error is the problem and the fix.
pub(super) fn upstream_path(text: &str, pattern: Option<&Pattern>) -> Result<Target, (String, &'static str)> {
    let template = Pattern::new(text, false);
    let is_half = |segment: &Segment| matches!(segment, Segment::Literal(text) if text.contains("{path}"));
    if template.segments.iter().any(is_half) {
        return Err(("has a {path} that is not a whole segment".to_owned(), FIX));
    }
    let rests = template.params().filter(|name| *name == REST).count();
    if rests > 1 {
        return Err(("has {path} twice".to_owned(), FIX));
    }
    let stars = pattern.map(|pattern| pattern.below);
    if rests == 1 && stars == Some(false) {
        return Err((
            "has a {path}, but the path of the route has no `*`".to_owned(),
            "end the path with /*, or write upstream_path without {path}",
        ));
    }
    let mut pieces = Vec::new();
    let mut literal = String::new();
    // In place of the parameters any name that is in normal form.
    let mut filled = String::new();
    for segment in &template.segments {
        filled.push('/');
        let piece = match segment {
            Segment::Literal(text) => {
                filled.push_str(text);
                literal.push('/');
                literal.push_str(text);
                continue;
            }
            Segment::Param(name) if name == REST => Piece::Rest,
            Segment::Param(name) => {
                literal.push('/');
                // Without a usable path of the route, its parameters are unknown.
                Piece::Param(pattern.map_or(Ok(0), |pattern| index(pattern, name))?)
            }
        };
        filled.push('x');
        if !literal.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut literal)));
        }
        pieces.push(piece);
    }
    if !literal.is_empty() {
        pieces.push(Piece::Text(literal));
    }
    let written = if text.starts_with('/') { &filled } else { text };
    match NormalPath::parse(written) {
        Ok(path) if path.as_str() == written => {}
        Ok(path) => {
            return Err((
                format!("is not in normal form, which is {}", shown(path.as_str())),
                "write it in that form",
            ));
        }
        Err(error) => return Err((format!("is refused: {error}"), FIX)),
    }
    if rests == 0 && stars == Some(true) {
        return Err((
            "drops what the `*` stands for".to_owned(),
            "add {path} for it, as in /v1/{path}",
        ));
    }
    Ok(Target::Pieces(pieces))
}

fn index(pattern: &Pattern, name: &str) -> Result<usize, (String, &'static str)> {
    pattern.params().position(|known| known == name).ok_or_else(|| {
        (
            format!(
                "has the parameter {}, which is not in the path of the route",
                shown(name)
            ),
            "name a parameter of the path, as in /api/orders/{order_id}",
        )
    })
}
