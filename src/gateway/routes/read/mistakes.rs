//! The mistakes of a `routes.yaml`.

use super::{
    super::{Around, Routes},
    legacy::Place,
};
use crate::yaml::{self, Node};

pub(super) use crate::yaml::{Fields, shown};
pub use crate::yaml::{Mistake, Mistakes as RoutesError};

/// Reads the file beside the parts of the settings that it depends on.
pub(super) type Reader<'a> = yaml::Reader<'a, &'a Around<'a>>;

// === impl Reader ===

impl Reader<'_> {
    /// `routes` with suggestions, or every noted mistake in the order of the file.
    pub(super) fn finish_routes(self, mut routes: Routes) -> Result<Routes, RoutesError> {
        let (notes, files) = self.finish()?;
        routes.notes = notes;
        routes.files = files;
        Ok(routes)
    }

    /// The fields of a map in which the original system had further keys.
    pub(super) fn fields_of<'a>(
        &mut self,
        place: Option<Place>,
        node: &'a Node,
        what: String,
        known: &[&str],
    ) -> Option<Fields<'a>> {
        self.fields_but(node, what, known, |reader, key, node, what| {
            place.is_some_and(|place| reader.is_legacy(place, key, node, what))
        })
    }
}
