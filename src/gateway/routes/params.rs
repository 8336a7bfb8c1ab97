//! The values of `{name}` segments.

/// More parameters in one path are a mistake.
pub(super) const MAX_PARAMS: usize = 8;

/// Where the parameters of a matched path stand in it. Of a fixed size, so that a look-up allocates nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Params {
    /// Begin and end; a path is shorter than 64 KiB.
    places: [(u16, u16); MAX_PARAMS],
    length: usize,
}

// === impl Params ===

impl Params {
    /// A place beyond the last one is not kept: the reader accepts no pattern with so many.
    pub(super) fn push(&mut self, begin: usize, end: usize) {
        if let Some(place) = self.places.get_mut(self.length) {
            *place = (
                u16::try_from(begin).unwrap_or(u16::MAX),
                u16::try_from(end).unwrap_or(u16::MAX),
            );
            self.length += 1;
        }
    }

    pub(super) const fn pop(&mut self) {
        self.length = self.length.saturating_sub(1);
    }

    /// The value of a parameter in `path`, in the spelling that was matched.
    pub(super) fn get<'a>(&self, index: usize, path: &'a str) -> Option<&'a str> {
        let (begin, end) = *self.places[..self.length].get(index)?;
        path.get(usize::from(begin)..usize::from(end))
    }
}
