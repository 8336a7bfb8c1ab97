//! The mistakes of a `routes.yaml`.

use std::{ops::RangeInclusive, time::Duration};

use super::{
    super::{Around, Routes},
    legacy::Place,
};
use crate::{
    duration,
    yaml::{self, Node},
};

pub(super) use crate::yaml::{Fields, shown};
pub use crate::yaml::{Mistake, Mistakes as RoutesError};

/// Reads the file beside the parts of the settings that it depends on.
pub(super) type Reader<'a> = yaml::Reader<'a, &'a Around<'a>>;

/// The shortest time that can be written, but for none at all.
pub(super) const SHORTEST: Duration = Duration::from_millis(1);

// === impl Reader ===

impl Reader<'_> {
    /// `routes` with suggestions, or every noted mistake in the order of the file.
    pub(super) fn finish_routes(self, mut routes: Routes) -> Result<Routes, RoutesError> {
        let (notes, files) = self.finish()?;
        routes.notes = notes;
        routes.files = files;
        Ok(routes)
    }

    /// A time within `range`; `fix` says how to write one.
    pub(super) fn time(
        &mut self,
        node: &Node,
        what: &str,
        range: RangeInclusive<Duration>,
        fix: &str,
    ) -> Option<Duration> {
        let text = self.text(node, what)?;
        let time = duration::parse(text).ok().filter(|time| range.contains(time));
        if time.is_none() {
            self.mistake(node.at(), format!("{what} is {}", shown(text)), fix);
        }
        time
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
