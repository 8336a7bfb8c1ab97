//! Doors for `fuzz/`, which are there in its builds only (`--cfg fuzzing`).

use http::{Method, Uri};

use super::{Found, NormalPath, Routes};

/// The id of the route that a path is matched with, and the URI that its service gets.
#[must_use]
pub fn sent(routes: &Routes, path: &NormalPath, query: Option<&str>) -> Option<(String, Uri)> {
    match routes.find("", path, &Method::GET) {
        Found::Match(found) => Some((found.route.id().to_owned(), found.uri(query).ok()?)),
        Found::MethodNotAllowed { .. } | Found::NotFound | Found::Refused(_) => None,
    }
}
