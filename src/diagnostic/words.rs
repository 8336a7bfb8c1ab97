//! The names of knobs.

use std::{borrow::Cow, fmt, sync::Arc};

use tracing_subscriber::Layer;

use super::Knob;

/// The names of knobs in this process. The configuration implements them.
pub trait Words: fmt::Debug + Send + Sync {
    /// The name of `knob`, and where it was set if that is not plain from the name.
    fn name(&self, knob: Knob) -> Cow<'_, str>;

    /// `knob`, set to `value`.
    fn setting(&self, knob: Knob, value: &str) -> String;
}

/// Words without a configuration: a description of the knob, in brackets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Neutral;

/// The words of a log, as a part of what receives the log: it sits in the subscriber, and does nothing else there.
#[derive(Clone, Debug)]
pub struct LogWords(Arc<dyn Words>);

// === impl Neutral ===

impl Words for Neutral {
    fn name(&self, knob: Knob) -> Cow<'_, str> {
        Cow::Owned(format!("[{knob:?}]"))
    }

    fn setting(&self, knob: Knob, value: &str) -> String {
        format!("[{knob:?}]={value}")
    }
}

// === impl LogWords ===

impl LogWords {
    /// These words.
    #[must_use]
    pub fn new(words: impl Words + 'static) -> Self {
        Self(Arc::new(words))
    }
}

impl<S: tracing::Subscriber> Layer<S> for LogWords {}

/// Does `work` with the words of what receives the log of this thread. To be called where the values of an event are
/// made, and not while one is written.
pub(super) fn of_log<T>(work: impl FnOnce(&dyn Words) -> T) -> T {
    let words = tracing::dispatcher::get_default(|log| log.downcast_ref::<LogWords>().cloned());
    match words {
        Some(words) => work(&*words.0),
        None => work(&Neutral),
    }
}
