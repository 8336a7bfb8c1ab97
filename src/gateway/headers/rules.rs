//! What a service says of header fields, beyond what holds for all (`headers` of a service in `routes.yaml`).

use super::names::Names;

/// Fields of one service.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    /// Fields of a request that are removed, beyond those that always are.
    pub(crate) remove: Names,
    /// Fields of an answer that pass, although they are withheld by default.
    pub(crate) allow: Names,
}
