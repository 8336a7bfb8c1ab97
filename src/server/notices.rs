//! Notices of overload for the operator: one line a minute with counts, never a line per connection.

use std::time::Duration;

use parking_lot::Mutex;

use super::moment::Moment;
use crate::diagnostic::{Knob, fix, told};

/// A line is written at most this often.
const PAUSE: Duration = Duration::from_mins(1);

/// Counts events until the next line.
#[derive(Debug, Default)]
pub(super) struct Notices(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    crowd: Crowd,
    told: Option<Moment>,
}

/// The events since the last line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Crowd {
    /// Connections that were ended to make room.
    pub(super) ended: usize,
    /// Connections and requests that found no room.
    pub(super) turned_away: usize,
    /// Connections that could not be accepted, and why the last one could not.
    pub(super) not_accepted: usize,
}

// === impl Notices ===

impl Notices {
    pub(super) fn count(&self, count: impl FnOnce(&mut Crowd)) {
        count(&mut self.0.lock().crowd);
    }

    /// The content of a log line that is due now, if any.
    pub(super) fn due(&self, now: Moment) -> Option<Crowd> {
        let mut counted = self.0.lock();
        let quiet = counted.crowd == Crowd::default();
        if quiet || counted.told.is_some_and(|told| now.since(told) < PAUSE) {
            return None;
        }
        counted.told = Some(now);
        Some(std::mem::take(&mut counted.crowd))
    }
}

// === impl Crowd ===

impl Crowd {
    pub(super) fn tell(self, connections: usize, per_address: usize) {
        tracing::warn!(
            ended = self.ended,
            turned_away = self.turned_away,
            not_accepted = self.not_accepted,
            connections,
            per_address,
            "{}",
            told(
                "connections were ended or turned away, because there was no room for more",
                fix!(
                    "list a proxy in front in {}, or allow more ({}, {})",
                    Knob::TrustedProxies,
                    Knob::MaxConnections,
                    Knob::MaxConnectionsPerAddress
                )
            )
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first line comes at once.
    #[test]
    fn overload_is_logged_once_a_minute_with_a_count() {
        let notices = Notices::default();
        let at = |seconds| Moment::START.after(Duration::from_secs(seconds));
        assert_eq!(notices.due(at(1)), None);
        for second in 2..62 {
            notices.count(|crowd| crowd.ended += 10);
            let due = notices.due(at(second)).map(|crowd| crowd.ended);
            assert_eq!(due, (second == 2).then_some(10), "{second}");
        }
        notices.count(|crowd| crowd.not_accepted += 1);
        let due = notices.due(at(62)).unwrap();
        assert_eq!((due.ended, due.not_accepted), (590, 1));
        assert_eq!(notices.due(at(200)), None);
    }
}
