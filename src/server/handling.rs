//! The memory of the future that answers a request.
//!
//! The HTTP library keeps a place for it as long as the connection lives. That place is large, because a call to a service
//! passes through it, and a stream may go on for days after its call. Therefore the library gets a pointer to a place that
//! the requests of a connection use one after the other, and that is given up when an answer may last.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use parking_lot::Mutex;

/// A place for a future, empty or not.
type Place<F> = Pin<Box<Option<F>>>;

/// The free place of a connection.
pub(super) struct Places<F>(Arc<Mutex<Option<Place<F>>>>);

/// A future in its place.
pub(super) struct Handling<F> {
    /// `None` at the end.
    place: Option<Place<F>>,
    places: Places<F>,
}

/// A result after which the connection is soon free again, or not.
pub(super) trait Lasting {
    /// Whether it may last.
    fn may_last(&self) -> bool;
}

// === impl Places ===

impl<F> Places<F> {
    pub(super) fn new() -> Self {
        Self(Arc::default())
    }

    /// Puts a future into a place.
    pub(super) fn put(&self, future: F) -> Handling<F> {
        let free = self.0.lock().take();
        let place = match free {
            Some(mut place) => {
                place.set(Some(future));
                place
            }
            None => Box::pin(Some(future)),
        };
        Handling {
            place: Some(place),
            places: Self(Arc::clone(&self.0)),
        }
    }
}

// === impl Handling ===

impl<F: Future<Output: Lasting>> Future for Handling<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        let Some(future) = this.place.as_mut().and_then(|place| place.as_mut().as_pin_mut()) else {
            return Poll::Pending;
        };
        let output = ready!(future.poll(cx));
        if let Some(mut place) = this.place.take() {
            place.set(None);
            if !output.may_last() {
                *this.places.0.lock() = Some(place);
            }
        }
        Poll::Ready(output)
    }
}

#[cfg(test)]
mod tests {
    use std::{future::Ready, future::ready};

    use futures_util::FutureExt as _;

    use super::*;

    impl Lasting for bool {
        fn may_last(&self) -> bool {
            *self
        }
    }

    #[test]
    fn a_place_is_used_again_unless_the_answer_lasts() {
        let places = Places::<Ready<bool>>::new();
        let is_free = || places.0.lock().is_some();
        for may_last in [false, false, true] {
            let handling = places.put(ready(may_last));
            assert!(!is_free());
            assert_eq!(handling.now_or_never(), Some(may_last));
            assert_eq!(is_free(), !may_last);
        }
        // With HTTP/2 there are several at a time.
        let (one, other) = (places.put(ready(false)), places.put(ready(false)));
        assert_eq!(
            (one.now_or_never(), other.now_or_never()),
            (Some(false), Some(false))
        );
        assert!(is_free());
    }
}
