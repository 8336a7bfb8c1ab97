//! The one thread that writes to the file.
//!
//! It takes all changes that arrived during the last write, and writes them in one transaction: bringing data to the
//! disk takes as long for one change as for a thousand. If the caller relies on a change, the change is acknowledged
//! once it is on the disk.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use parking_lot::Mutex;
use redb::{Durability, ReadableDatabase as _};
use tokio::sync::oneshot;

use super::{
    Core, Fault,
    change::{Change, Outcome, State},
    file::Room,
    overlay::Parking,
    tables::{Snapshot, Tables},
};
use crate::{
    diagnostic::{Explain as _, Knob, fix, told},
    session::{Lifespan, SessionKey},
};

/// How long the end of the thread is waited for. A disk that hangs must not keep the process from its end.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// The maximum number of changes in one transaction.
const MAX_GROUP: usize = 1_024;

/// The channel to the thread. When it is dropped, the thread writes the received changes and ends.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: Option<mpsc::Sender<Job>>,
    /// Ends with the thread.
    ended: Mutex<mpsc::Receiver<()>>,
}

#[derive(Debug)]
struct Job {
    work: Work,
    done: oneshot::Sender<Result<Outcome, Fault>>,
}

/// A job's work.
#[derive(Debug)]
enum Work {
    Change(Change),
    /// There are leases on these sessions from now on.
    Hold(Vec<SessionKey>),
    /// Bring the deferred data to the disk.
    Flush,
}

/// The state of the thread.
struct Thread {
    core: Arc<Core>,
    /// Something was written that a crash would undo.
    loose: bool,
    /// Why the last write failed, which was logged.
    failing: Option<Fault>,
    /// The last log line about a condition that affects only new logins.
    warned: Option<&'static str>,
}

// === impl Writer ===

impl Writer {
    pub(super) fn start(core: Arc<Core>) -> io::Result<Self> {
        let (jobs, inbox) = mpsc::channel();
        let (ends, ended) = mpsc::channel();
        let mut thread = Thread {
            core,
            loose: false,
            failing: None,
            warned: None,
        };
        thread::Builder::new()
            .name("bff-sessions".to_owned())
            .spawn(move || {
                thread.run(&inbox);
                // The file is closed before the end is announced.
                drop(thread);
                drop::<mpsc::Sender<()>>(ends);
            })?;
        Ok(Self {
            jobs: Some(jobs),
            ended: Mutex::new(ended),
        })
    }

    /// Makes a change.
    pub(super) async fn make(&self, change: Change) -> Result<Outcome, Fault> {
        self.send(Work::Change(change)).await
    }

    /// Notes that there are leases on these sessions.
    pub(super) async fn hold(&self, keys: Vec<SessionKey>) -> Result<(), Fault> {
        self.send(Work::Hold(keys)).await.map(drop)
    }

    /// Brings deferred data to the disk, and retries failed writes.
    pub(super) async fn flush(&self) -> Result<(), Fault> {
        self.send(Work::Flush).await.map(drop)
    }

    async fn send(&self, work: Work) -> Result<Outcome, Fault> {
        let (done, outcome) = oneshot::channel();
        let jobs = self.jobs.as_ref().ok_or(Fault::Closed)?;
        jobs.send(Job { work, done }).map_err(|_| Fault::Closed)?;
        outcome.await.map_err(|_| Fault::Closed)?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        // A closed channel means that it has ended.
        let _ = self.ended.lock().recv_timeout(LAST_WAIT);
    }
}

// === impl Thread ===

impl Thread {
    fn run(&mut self, inbox: &mpsc::Receiver<Job>) {
        while let Ok(first) = inbox.recv() {
            let mut group = vec![first];
            group.extend(inbox.try_iter().take(MAX_GROUP - 1));
            self.work(group);
        }
        if self.loose || self.failing.is_some() {
            // A failure here was logged when it occurred first.
            let _ = self.write(&[]);
        }
    }

    fn work(&mut self, group: Vec<Job>) {
        let flush = group.iter().any(|job| matches!(job.work, Work::Flush));
        // While the disk fails, only the regular flush tries it again.
        let known = self.failing.clone().filter(|_| !flush);
        let outcomes = match known.map_or_else(|| self.write(&group), Err) {
            Ok(outcomes) => {
                self.works();
                outcomes
            }
            Err(fault) => {
                let outcomes = self.park(&group, &fault);
                self.fails(fault);
                outcomes
            }
        };
        for (job, outcome) in group.into_iter().zip(outcomes) {
            // Who does not wait any more gets no answer.
            let _ = job.done.send(outcome);
        }
    }

    /// Writes the changes of `group`, and those that waited for space, in one transaction.
    fn write(&mut self, group: &[Job]) -> Result<Vec<Result<Outcome, Fault>>, Fault> {
        let last = group.is_empty();
        let must_last = last || group.iter().any(Job::must_last) || !self.core.overlay.read().is_empty();
        let is_flush = group.iter().all(|job| matches!(job.work, Work::Flush));
        if is_flush && !self.loose && self.failing.is_none() {
            let state = self.state();
            return Ok(group
                .iter()
                .map(|_| state.clone().map(|()| Outcome::Done))
                .collect());
        }
        self.core.reopen_if_closed()?;
        if self.core.place.room() == Room::None {
            return Err(Fault::NoRoom);
        }
        let state = self.state();
        // The library panics on some damage. That ends this attempt, not the thread.
        let written = catch_unwind(AssertUnwindSafe(|| self.core.commit(group, must_last, &state)));
        let written = written.unwrap_or(Err(Fault::Panicked));
        match &written {
            Ok(_) => {
                self.core.overlay.write().clear();
                self.loose = !must_last;
            }
            // After a failed write, the file is unusable until it is opened again.
            Err(_) => self.core.reopen(),
        }
        written
    }

    /// Checks whether the file is at its place, and whether there is room for new sessions. Logs changes.
    fn state(&mut self) -> Result<(), Fault> {
        let place = &self.core.place;
        let (state, message) = if place.identity() != self.core.identity {
            let message = "the file of sessions was moved or removed while it was in use: put it back before the next restart, \
                           which ends all sessions otherwise; logins are refused until then";
            (Err(Fault::Moved), Some(message))
        } else if place.room() < Room::Enough {
            let message = "there is little room left on the file system of the file of sessions: sessions continue, \
             and logins are refused";
            (Err(Fault::NoRoom), Some(message))
        } else {
            (Ok(()), None)
        };
        if self.warned != message {
            if let Some(message) = message {
                tracing::error!(path = ?place.path(), "{message}");
            } else {
                tracing::info!(path = ?place.path(), "people can log in again");
            }
            self.warned = message;
        }
        state
    }

    /// Makes the changes of `group` in memory.
    fn park(&self, group: &[Job], fault: &Fault) -> Vec<Result<Outcome, Fault>> {
        let mut overlay = self.core.overlay.write();
        let database = self.core.database.read();
        let snapshot = || {
            Ok(Snapshot::new(
                database.as_ref().ok_or(Fault::Closed)?.begin_read()?,
            ))
        };
        let file = match snapshot() {
            Ok(file) => file,
            Err(closed) => return group.iter().map(|_| Err(Fault::clone(&closed))).collect(),
        };
        let mut sessions = Parking {
            overlay: &mut overlay,
            file: &file,
        };
        let park = |job: &Job| match &job.work {
            // A new session is refused: it has no data yet that could be lost.
            Work::Change(change) if change.is_new() => Err(fault.clone()),
            Work::Flush => Err(fault.clone()),
            work => work.make(&mut sessions, &self.core.lifespan),
        };
        group.iter().map(park).collect()
    }

    fn fails(&mut self, fault: Fault) {
        if self.failing.is_none() {
            tracing::error!(
                path = ?self.core.place.path(),
                %fault,
                "{}",
                told(
                    "the file of sessions cannot be written: sessions continue in memory, and logins are refused",
                    fix!(
                        "make room on the file system of {}, and do not restart bff before that, which would end those that were \
                         renewed meanwhile",
                        Knob::StateFolder
                    )
                )
            );
        }
        self.failing = Some(fault);
    }

    fn works(&mut self) {
        if self.failing.is_some() {
            tracing::info!(path = ?self.core.place.path(), "the file of sessions is written again; nothing was lost");
        }
        self.failing = None;
    }
}

// === impl Job ===

impl Job {
    const fn must_last(&self) -> bool {
        match &self.work {
            Work::Change(change) => change.must_last(),
            Work::Hold(_) | Work::Flush => true,
        }
    }
}

// === impl Work ===

impl Work {
    fn make(&self, state: &mut impl State, lifespan: &Lifespan) -> Result<Outcome, Fault> {
        match self {
            Self::Change(change) => return change.make(state, lifespan),
            Self::Hold(keys) => {
                for key in keys {
                    state.hold(key)?;
                }
            }
            Self::Flush => {}
        }
        Ok(Outcome::Done)
    }
}

// === impl Core ===

impl Core {
    /// New sessions and status requests get `state`.
    fn commit(
        &self,
        group: &[Job],
        must_last: bool,
        state: &Result<(), Fault>,
    ) -> Result<Vec<Result<Outcome, Fault>>, Fault> {
        let overlay = self.overlay.read();
        let database = self.database.read();
        let database = database.as_ref().ok_or(Fault::Closed)?;
        let mut transaction = database.begin_write()?;
        if must_last {
            // So that a start after a crash does not read the whole file.
            transaction.set_quick_repair(true);
        } else {
            transaction.set_durability(Durability::None)?;
        }
        let mut outcomes = Vec::with_capacity(group.len());
        let mut tables = Tables::open(&transaction)?;
        overlay.write(&mut tables)?;
        for job in group {
            let refused = match &job.work {
                Work::Change(change) if !change.is_new() => None,
                Work::Hold(_) => None,
                Work::Change(_) | Work::Flush => state.clone().err(),
            };
            outcomes.push(match refused {
                Some(fault) => Err(fault),
                None => Ok(job.work.make(&mut tables, &self.lifespan)?),
            });
        }
        drop(tables);
        transaction.commit()?;
        Ok(outcomes)
    }

    fn reopen_if_closed(&self) -> Result<(), Fault> {
        if self.database.read().is_none() {
            self.reopen();
        }
        if self.database.read().is_some() {
            Ok(())
        } else {
            Err(Fault::Closed)
        }
    }

    fn reopen(&self) {
        let mut database = self.database.write();
        // Closed first: the file is locked as long as it is open.
        *database = None;
        match self.place.open_again() {
            Ok(opened) => *database = Some(opened),
            Err(error) => tracing::error!("{}", error.told()),
        }
    }
}
