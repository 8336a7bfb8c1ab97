//! A service's own rules for header fields, in addition to the general ones (`headers` of a service in
//! `routes.yaml`).

use http::{HeaderName, HeaderValue};

use super::names::Names;

/// Fields of one service.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    /// Further request fields to remove.
    pub(crate) remove: Names,
    /// Request fields that replace those of the client. The values do not print.
    pub(crate) set: Vec<(HeaderName, HeaderValue)>,
    /// Fields of an answer that pass, although they are withheld by default.
    pub(crate) allow: Names,
}
