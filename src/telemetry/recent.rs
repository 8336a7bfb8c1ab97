//! The latest warnings, for an operator who asks the running server.

use std::{fmt, fmt::Write as _, sync::Arc};

use parking_lot::Mutex;
use tracing::{
    Event, Level, Subscriber,
    callsite::Identifier,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

use crate::clock::{Clock as _, SystemClock, Timestamp};

/// A longer text is cut off, in characters.
const MAX_TEXT: usize = 500;

/// Warnings and errors of this process, one for each place in the code that logs them. Clones share it.
///
/// There are as many as there are such places, and each has one text. So nothing grows with what strangers do.
#[derive(Clone, Debug, Default)]
pub struct Recent {
    noticed: Arc<Mutex<Vec<(Identifier, Noticed)>>>,
}

/// The warning of one place in the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noticed {
    /// Whether it is an error, and not a warning.
    pub is_error: bool,
    /// The last text, in one line. As every line of the log it holds no secret.
    pub text: String,
    /// How often it was logged.
    pub count: u64,
    /// When it was logged first.
    pub first: Timestamp,
    /// When it was logged last.
    pub last: Timestamp,
}

/// The text of an event: its message, and the other fields behind it.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

// === impl Recent ===

impl Recent {
    /// All warnings, the latest one first.
    #[must_use]
    pub fn read(&self) -> Vec<Noticed> {
        let noticed = self.noticed.lock();
        let mut all: Vec<Noticed> = noticed.iter().map(|(_, noticed)| noticed.clone()).collect();
        all.sort_by_key(|noticed| std::cmp::Reverse(noticed.last));
        all
    }

    fn notice(&self, place: Identifier, is_error: bool, text: String, now: Timestamp) {
        let mut noticed = self.noticed.lock();
        match noticed.iter_mut().find(|(known, _)| *known == place) {
            Some((_, known)) => {
                known.count = known.count.saturating_add(1);
                known.text = text;
                known.last = now;
            }
            None => noticed.push((
                place,
                Noticed {
                    is_error,
                    text,
                    count: 1,
                    first: now,
                    last: now,
                },
            )),
        }
    }
}

impl<S: Subscriber> Layer<S> for Recent {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        if *metadata.level() > Level::WARN || !metadata.target().starts_with("bff") {
            return;
        }
        let mut text = Text::default();
        event.record(&mut text);
        let is_error = *metadata.level() == Level::ERROR;
        self.notice(metadata.callsite(), is_error, text.whole(), SystemClock.now());
    }
}

// === impl Text ===

impl Text {
    fn whole(self) -> String {
        let text = self.message + &self.fields;
        match text.char_indices().nth(MAX_TEXT) {
            None => text,
            Some((end, _)) => format!("{}…", &text[..end]),
        }
    }
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// A library that logs.
    const ELSEWHERE: &str = "hyper";

    fn after(work: impl FnOnce()) -> Vec<Noticed> {
        let recent = Recent::default();
        let subscriber = tracing_subscriber::registry().with(recent.clone());
        tracing::subscriber::with_default(subscriber, work);
        recent.read()
    }

    #[test]
    fn each_place_is_kept_once_with_its_last_text() {
        let noticed = after(|| {
            for attempt in 1..=3 {
                tracing::warn!(attempt, "the IdP does not answer: {}", "timeout");
            }
            tracing::error!("stopped");
            tracing::info!("not kept");
            tracing::warn!(target: ELSEWHERE, "not ours");
        });
        let told: Vec<(bool, &str, u64)> = noticed
            .iter()
            .map(|noticed| (noticed.is_error, noticed.text.as_str(), noticed.count))
            .collect();
        let warned = (false, "the IdP does not answer: timeout attempt=3", 3);
        assert!(
            told.contains(&warned) && told.contains(&(true, "stopped", 1)),
            "{told:?}"
        );
        assert_eq!(told.len(), 2);
    }

    #[test]
    fn a_long_text_is_cut_off() {
        let noticed = after(|| tracing::warn!("{}", "ä".repeat(1_000)));
        assert_eq!(noticed[0].text.chars().count(), MAX_TEXT + 1);
    }
}
