//! How many sessions there are, without asking for each login.

use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::Timestamp;

/// A count is valid for this long; the changes of this process meanwhile are added.
const FRESH: Duration = Duration::from_secs(1);

/// The last count. Where something happens while Redis counts, the session is rather counted twice than not at all.
#[derive(Debug, Default)]
pub(super) struct Count {
    last: Mutex<Last>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Last {
    counted: Option<(Timestamp, usize)>,
    /// How many counts have begun.
    begun: u64,
    /// How many of them are over.
    over: u64,
    /// How many sessions this process has stored.
    stored: usize,
}

/// The moment at which something began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment(Last);

/// A count in progress.
#[derive(Debug)]
pub(super) struct Counting<'a> {
    count: &'a Count,
    begin: Last,
}

// === impl Count ===

impl Count {
    pub(super) fn moment(&self) -> Moment {
        Moment(*self.last.lock())
    }

    /// The number of sessions, if they were counted shortly before `now`.
    pub(super) fn recent(&self, now: Timestamp) -> Option<usize> {
        let (at, sessions) = self.last.lock().counted?;
        (now.duration_since(at) < FRESH).then_some(sessions)
    }

    pub(super) fn begin(&self) -> Counting<'_> {
        let mut last = self.last.lock();
        last.begun += 1;
        Counting {
            count: self,
            begin: *last,
        }
    }

    pub(super) fn stored(&self) {
        let mut last = self.last.lock();
        last.stored += 1;
        if let Some((_, sessions)) = &mut last.counted {
            *sessions += 1;
        }
    }

    /// A call that began at `moment` removed a session.
    pub(super) fn removed(&self, moment: Moment) {
        let mut last = self.last.lock();
        // A count that was in progress then, or has begun since, may have seen the removal already.
        let is_counted = last.begun == moment.0.begun && moment.0.begun == moment.0.over;
        if let Some((_, sessions)) = last.counted.as_mut().filter(|_| is_counted) {
            *sessions = sessions.saturating_sub(1);
        }
    }
}

// === impl Counting ===

impl Counting<'_> {
    /// The sessions, where Redis found `found` and it is `now`.
    pub(super) fn finish(self, now: Timestamp, found: usize) -> usize {
        // Before this is dropped, which takes the lock as well.
        let last = &mut *self.count.last.lock();
        let sessions = found + (last.stored - self.begin.stored);
        last.counted = Some((now, sessions));
        sessions
    }
}

impl Drop for Counting<'_> {
    fn drop(&mut self) {
        self.count.last.lock().over += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(100);

    #[test]
    fn a_count_is_kept_for_a_while_and_what_happens_here_is_added() {
        let count = Count::default();
        assert_eq!(count.recent(NOW), None);
        drop(count.begin());
        assert_eq!(count.begin().finish(NOW, 7), 7);
        count.stored();
        count.stored();
        count.removed(count.moment());
        assert_eq!(count.recent(NOW), Some(8));
        assert_eq!(count.recent(NOW.saturating_add(FRESH)), None);
    }

    #[test]
    fn what_happens_while_it_counts_is_rather_counted_twice() {
        let count = Count::default();
        count.begin().finish(NOW, 7);
        let before = count.moment();
        let counting = count.begin();
        let meanwhile = count.moment();
        count.stored();
        count.removed(before);
        assert_eq!(counting.finish(NOW, 6), 7);
        count.removed(meanwhile);
        assert_eq!(count.recent(NOW), Some(7));
    }
}
