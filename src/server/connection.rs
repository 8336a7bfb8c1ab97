//! The state of one connection, and its consequences: when its time is over, and its worth if there is no room for
//! all.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{
    moment::{Moment, Since, Stopwatch},
    underway::Underway,
};

/// The first request has this long to begin.
const FIRST_REQUEST: Duration = Duration::from_secs(15);

/// The head of each request has this long to arrive, from its first byte on.
const HEAD: Duration = Duration::from_secs(15);

/// An unused connection is kept this long, unless it is a listed proxy's.
const IDLE: Duration = Duration::from_secs(20);

/// A connection that came beyond the cap has this long to ask.
const BEYOND_THE_CAP: Duration = Duration::from_secs(5);

/// The server gives up an answer that the client has not read for this long, as nginx does by default.
const UNREAD: Duration = Duration::from_mins(1);

/// A connection that was asked to end, and has nothing under way, has this long to do so.
const FAREWELL: Duration = Duration::from_secs(5);

/// One connection. The tasks that serve it write here, and the register reads.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) terms: Terms,
    watch: Stopwatch,
    /// A request has come.
    used: AtomicBool,
    /// HTTP/2 is spoken.
    http2: AtomicBool,
    /// Since when no request is under way.
    idle: Since,
    /// The head of a request has begun and is not complete.
    head: Since,
    /// Something is to be written, and the client takes nothing.
    blocked: Since,
    underway: Mutex<Vec<Arc<Underway>>>,
    order: AtomicU8,
    ordered: Since,
    wake: Notify,
}

/// The limits of a connection, decided when it was accepted.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub(super) id: u64,
    /// Who counts it.
    pub(super) tally: Arc<Tally>,
    /// A listed proxy's.
    pub(super) listed: bool,
    /// Beyond the cap: for probes, and for saying no.
    pub(super) beyond: bool,
    pub(super) keep_alive: Duration,
}

/// The connections and requests of one address.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) address: IpAddr,
    pub(super) connections: AtomicUsize,
    pub(super) requests: AtomicUsize,
}

/// An instruction to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Take no more requests.
    Finish,
    /// End at once.
    Cut,
}

/// The worth of a connection if there is no room for all. The one with the least ends first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Worth(Class, Moment);

/// From the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    /// It has never sent a request.
    Unused,
    /// It has sent requests, but has none now.
    Idle,
    /// Is served, and moves nothing.
    Slow,
    /// Unused ones of a listed proxy, which may be sending just now.
    Proxy,
}

// === impl Connection ===

impl Connection {
    pub(super) fn new(terms: Terms, watch: Stopwatch) -> Self {
        let idle = Since::default();
        idle.set(watch.now());
        Self {
            terms,
            watch,
            used: AtomicBool::new(false),
            http2: AtomicBool::new(false),
            idle,
            head: Since::default(),
            blocked: Since::default(),
            underway: Mutex::default(),
            order: AtomicU8::new(0),
            ordered: Since::default(),
            wake: Notify::new(),
        }
    }

    pub(super) fn now(&self) -> Moment {
        self.watch.now()
    }

    /// Bytes have come.
    pub(super) fn received(&self) {
        // HTTP/2 has frames that are not requests.
        if self.idle.get().is_some() && !self.http2.load(Relaxed) {
            self.head.begin(|| self.now());
        }
    }

    /// The preface of HTTP/2 is complete.
    pub(super) fn speaks_http2(&self) {
        self.http2.store(true, Relaxed);
        self.head.end();
    }

    /// Bytes have been taken, or not, by the client.
    pub(super) fn wrote(&self, taken: bool) {
        if !taken {
            self.blocked.begin(|| self.now());
        } else if self.blocked.end().is_some() && self.idle.get().is_some() {
            // The end of an answer is on its way only now.
            self.idle.set(self.now());
        }
    }

    /// The head of a request is complete.
    pub(super) fn begin(&self) -> Arc<Underway> {
        let underway = Arc::new(Underway::new(self.now()));
        self.used.store(true, Relaxed);
        self.terms.tally.requests.fetch_add(1, Relaxed);
        let mut all = self.underway.lock();
        all.push(Arc::clone(&underway));
        self.idle.end();
        self.head.end();
        underway
    }

    /// Its answer is complete, or given up.
    pub(super) fn end(&self, underway: &Arc<Underway>) {
        self.terms.tally.requests.fetch_sub(1, Relaxed);
        let mut all = self.underway.lock();
        if let Some(index) = all.iter().position(|other| Arc::ptr_eq(other, underway)) {
            all.swap_remove(index);
        }
        if all.is_empty() {
            self.idle.set(self.now());
        }
    }

    /// Whether HTTP/2 is spoken.
    pub(super) fn is_http2(&self) -> bool {
        self.http2.load(Relaxed)
    }

    /// How many requests are under way.
    pub(super) fn requests(&self) -> usize {
        self.underway.lock().len()
    }

    /// Tells it to end.
    pub(super) fn tell(&self, order: Order) {
        self.order.fetch_max(order as u8 + 1, Relaxed);
        self.ordered.begin(|| self.now());
        self.wake.notify_one();
    }

    /// The instruction, once there is one.
    pub(super) async fn told(&self) -> Order {
        loop {
            self.wake.notified().await;
            match self.order.load(Relaxed) {
                0 => {}
                1 => return Order::Finish,
                _ => return Order::Cut,
            }
        }
    }

    /// The order for it, if it has had its time.
    pub(super) fn verdict(&self, now: Moment) -> Option<Order> {
        if self.blocked.has_lasted(UNREAD, now) {
            return Some(Order::Cut);
        }
        if self.idle.get().is_some() {
            // Written bytes are still on their way.
            if self.blocked.get().is_some() {
                return None;
            }
            if self.ordered.has_lasted(FAREWELL, now) {
                return Some(Order::Cut);
            }
            return match self.head.get() {
                Some(_) => self.head.has_lasted(HEAD, now).then_some(Order::Cut),
                None => self
                    .idle
                    .has_lasted(self.idle_limit(), now)
                    .then(|| self.farewell()),
            };
        }
        let underway = self.underway.lock();
        let mut unread = underway.iter().map(|request| request.is_unread(UNREAD, now));
        // A proxy sends the requests of many people over one connection.
        let given_up = if self.terms.listed {
            !underway.is_empty() && unread.all(|unread| unread)
        } else {
            unread.any(|unread| unread)
        };
        given_up.then_some(Order::Cut)
    }

    /// Its worth if there is no room; `None` while it is in use.
    pub(super) fn worth(&self, now: Moment) -> Option<Worth> {
        if let Some(idle) = self.idle.get() {
            return Some(match self.blocked.get() {
                Some(blocked) => Worth(Class::Slow, blocked),
                None if self.terms.listed => Worth(Class::Proxy, idle),
                None if self.used.load(Relaxed) => Worth(Class::Idle, idle),
                None => Worth(Class::Unused, idle),
            });
        }
        if self.terms.listed {
            return None;
        }
        let underway = self.underway.lock();
        let all_slow = underway.iter().all(|request| request.is_slow(now));
        let oldest = underway.iter().map(|request| request.began).min()?;
        all_slow.then_some(Worth(Class::Slow, oldest))
    }

    fn idle_limit(&self) -> Duration {
        let used = self.used.load(Relaxed);
        match (self.terms.beyond, self.terms.listed, used) {
            (true, ..) => BEYOND_THE_CAP,
            (false, true, _) => self.terms.keep_alive,
            (false, false, true) => IDLE,
            (false, false, false) => FIRST_REQUEST,
        }
    }

    /// HTTP/2 can announce the end of a connection. This helps a client that has sent or will send a request.
    fn farewell(&self) -> Order {
        let counts_on_it = self.used.load(Relaxed) || self.terms.listed;
        if self.http2.load(Relaxed) && counts_on_it {
            Order::Finish
        } else {
            Order::Cut
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(listed: bool) -> Connection {
        let terms = Terms {
            id: 0,
            tally: Arc::new(Tally {
                address: IpAddr::from([192, 0, 2, 1]),
                connections: AtomicUsize::new(1),
                requests: AtomicUsize::new(0),
            }),
            listed,
            beyond: false,
            keep_alive: Duration::from_secs(125),
        };
        Connection::new(terms, Stopwatch::start())
    }

    fn in_seconds(connection: &Connection, seconds: u64) -> Moment {
        connection.now().after(Duration::from_secs(seconds))
    }

    #[tokio::test(start_paused = true)]
    async fn attack_37_a_stream_that_nobody_reads_is_given_up() {
        let direct = connection(false);
        let (one, other) = (direct.begin(), direct.begin());
        assert_eq!(
            direct.verdict(in_seconds(&direct, 10_000)),
            None,
            "it is being answered"
        );
        one.download.begin(|| direct.now());
        assert_eq!(direct.verdict(in_seconds(&direct, 59)), None);
        assert_eq!(direct.verdict(in_seconds(&direct, 61)), Some(Order::Cut));
        one.download.end(1, || direct.now());
        assert_eq!(direct.verdict(in_seconds(&direct, 61)), None);
        direct.end(&one);
        direct.end(&other);

        let proxy = connection(true);
        let (one, other) = (proxy.begin(), proxy.begin());
        one.download.begin(|| proxy.now());
        assert_eq!(
            proxy.verdict(in_seconds(&proxy, 61)),
            None,
            "somebody else's goes on"
        );
        other.download.begin(|| proxy.now());
        assert_eq!(proxy.verdict(in_seconds(&proxy, 61)), Some(Order::Cut));
    }

    #[tokio::test(start_paused = true)]
    async fn attack_37_http2_frames_without_a_request_keep_nothing_open() {
        for (listed, limit, order) in [(false, 15, Order::Cut), (true, 125, Order::Finish)] {
            let connection = connection(listed);
            connection.received();
            connection.speaks_http2();
            // Settings, pings, and so on.
            connection.received();
            assert_eq!(connection.verdict(in_seconds(&connection, limit - 1)), None);
            assert_eq!(connection.verdict(in_seconds(&connection, limit)), Some(order));
        }
        let connection = connection(false);
        connection.speaks_http2();
        let request = connection.begin();
        connection.end(&request);
        assert_eq!(
            connection.verdict(in_seconds(&connection, 20)),
            Some(Order::Finish)
        );
        connection.tell(Order::Finish);
        assert_eq!(connection.verdict(in_seconds(&connection, 5)), Some(Order::Cut));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_least_worth_goes_first_and_what_is_in_use_stays() {
        let now = |connection: &Connection| in_seconds(connection, 1);
        let unused = connection(false);
        let used = connection(false);
        let request = used.begin();
        assert_eq!(used.worth(now(&used)), None);
        request.upload.begin(|| used.now());
        let slow = used.worth(now(&used)).unwrap();
        request.upload.end(1_000_000, || used.now());
        used.end(&request);
        let idle = used.worth(now(&used)).unwrap();
        let proxy = connection(true).worth(now(&used)).unwrap();
        assert!(unused.worth(now(&unused)).unwrap() < idle && idle < slow && slow < proxy);
    }
}
