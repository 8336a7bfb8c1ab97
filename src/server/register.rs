//! All connections of a listener: who may come in, who has to go.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

use super::{
    Load, Options,
    budget::KEPT_BACK,
    connection::{Connection, Order, Tally, Terms, Worth},
    moment::Stopwatch,
    notices::Notices,
};

/// One pass over all connections finds this many candidates, so that a flood does not cost a pass per connection.
const CANDIDATES: usize = 32;

/// The connections of one listener.
#[derive(Debug)]
pub(super) struct Register {
    options: Options,
    watch: Stopwatch,
    /// Requests under way on all of them.
    requests: AtomicUsize,
    inner: Mutex<Inner>,
    notices: Notices,
    finishing: CancellationToken,
    /// Connections, and what goes on after them.
    tasks: TaskTracker,
}

#[derive(Debug, Default)]
struct Inner {
    next_id: u64,
    connections: HashMap<u64, Arc<Connection>>,
    tallies: HashMap<IpAddr, Arc<Tally>>,
    /// How many of the connections came beyond the cap.
    beyond: usize,
    /// Who goes next, the first one last.
    candidates: Candidates,
}

/// Connections that are worth little, as they were a moment ago.
#[derive(Debug, Default)]
struct Candidates {
    of: Option<IpAddr>,
    ids: Vec<(Worth, u64)>,
}

/// The place of one connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    register: Arc<Register>,
    pub(super) connection: Arc<Connection>,
}

/// A request counts until this is dropped.
#[derive(Debug)]
pub(super) struct Turn(Arc<Register>);

// === impl Register ===

impl Register {
    pub(super) fn new(options: Options) -> Arc<Self> {
        Arc::new(Self {
            options,
            watch: Stopwatch::start(),
            requests: AtomicUsize::new(0),
            inner: Mutex::default(),
            notices: Notices::default(),
            finishing: CancellationToken::new(),
            tasks: TaskTracker::new(),
        })
    }

    pub(super) const fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Cancelled when the server stops.
    pub(super) fn finishing(&self) -> CancellationToken {
        self.finishing.clone()
    }

    /// Counts what goes on after its request, until both are dropped.
    pub(super) fn stay(self: &Arc<Self>) -> (Turn, TaskTrackerToken) {
        self.requests.fetch_add(1, Relaxed);
        (Turn(Arc::clone(self)), self.tasks.token())
    }

    /// Takes in a connection from `peer`, for which another one may have to go.
    pub(super) fn admit(self: &Arc<Self>, peer: IpAddr) -> Place {
        let address = counted(peer);
        let listed = (self.options.is_listed)(peer);
        let mut inner = self.inner.lock();
        let tally = inner.tally(address);
        let crowded_address = !listed && tally.connections.load(Relaxed) >= self.options.per_address;
        let beyond = if crowded_address {
            !self.make_room(&mut inner, Some(address))
        } else if inner.connections.len() - inner.beyond >= self.options.connections {
            !self.make_room(&mut inner, None)
        } else {
            false
        };
        if beyond {
            self.notices.count(|crowd| crowd.turned_away += 1);
            if inner.beyond >= KEPT_BACK {
                inner.end_oldest_beyond();
            }
        }
        let id = inner.next_id;
        inner.next_id += 1;
        let terms = Terms {
            id,
            tally,
            listed,
            beyond,
            keep_alive: self.options.keep_alive,
        };
        let connection = Arc::new(Connection::new(terms, self.watch));
        inner.insert(&connection);
        drop(inner);
        Place {
            register: Arc::clone(self),
            connection,
        }
    }

    /// A connection could not be accepted because no file descriptor was left: end the one that is worth the least.
    pub(super) fn out_of_files(&self) {
        self.notices.count(|crowd| crowd.not_accepted += 1);
        let mut inner = self.inner.lock();
        self.make_room(&mut inner, None);
    }

    /// Counts a request of `connection`, and says whether there is room for it.
    pub(super) fn turn(self: &Arc<Self>, connection: &Connection) -> (Turn, Load) {
        let before = self.requests.fetch_add(1, Relaxed);
        let terms = &connection.terms;
        // With HTTP/2 there are more requests than connections. The request counts for its address already.
        let crowded = terms.beyond
            || before >= self.options.connections
            || !terms.listed && terms.tally.requests.load(Relaxed) > self.options.per_address;
        if crowded && !terms.beyond {
            self.notices.count(|crowd| crowd.turned_away += 1);
        }
        let load = if crowded { Load::Crowded } else { Load::Normal };
        (Turn(Arc::clone(self)), load)
    }

    /// Ends each connection that has had its time, and logs the notices that are due.
    pub(super) fn look(&self) {
        let now = self.watch.now();
        let mut inner = self.inner.lock();
        let due: Vec<_> = inner
            .connections
            .values()
            .filter_map(|connection| Some((Arc::clone(connection), connection.verdict(now)?)))
            .collect();
        for (connection, order) in due {
            match order {
                Order::Finish => connection.tell(order),
                Order::Cut => inner.cut(&connection),
            }
        }
        drop(inner);
        if let Some(crowd) = self.notices.due(now) {
            crowd.tell(self.options.connections, self.options.per_address);
        }
    }

    /// Tells all of them to take no more requests.
    pub(super) fn finish_all(&self) {
        self.finishing.cancel();
        for connection in self.inner.lock().connections.values() {
            connection.tell(Order::Finish);
        }
    }

    /// Ends all of them at once. How many requests were under way.
    pub(super) fn cut_all(&self) -> usize {
        let mut inner = self.inner.lock();
        let all: Vec<_> = inner.connections.values().cloned().collect();
        all.iter()
            .map(|connection| {
                inner.cut(connection);
                connection.requests()
            })
            .sum()
    }

    /// Ends the connection that is worth the least, of `address` or of all.
    fn make_room(&self, inner: &mut Inner, address: Option<IpAddr>) -> bool {
        let now = self.watch.now();
        for looked in [false, true] {
            if looked || inner.candidates.of != address {
                inner.look_for_candidates(address, |connection| connection.worth(now));
            }
            while let Some((worth, id)) = inner.candidates.ids.pop() {
                let Some(connection) = inner.connections.get(&id).cloned() else {
                    continue;
                };
                // It may have been used meanwhile.
                if connection.worth(now) == Some(worth) {
                    inner.cut(&connection);
                    self.notices.count(|crowd| crowd.ended += 1);
                    return true;
                }
            }
        }
        false
    }
}

// === impl Inner ===

impl Inner {
    fn tally(&mut self, address: IpAddr) -> Arc<Tally> {
        let new = || {
            Arc::new(Tally {
                address,
                connections: AtomicUsize::new(0),
                requests: AtomicUsize::new(0),
            })
        };
        Arc::clone(self.tallies.entry(address).or_insert_with(new))
    }

    fn insert(&mut self, connection: &Arc<Connection>) {
        let terms = &connection.terms;
        self.connections.insert(terms.id, Arc::clone(connection));
        if terms.beyond {
            self.beyond += 1;
        } else {
            terms.tally.connections.fetch_add(1, Relaxed);
        }
    }

    /// Stops counting it. It may have been removed already.
    fn remove(&mut self, terms: &Terms) {
        if self.connections.remove(&terms.id).is_none() {
            return;
        }
        if terms.beyond {
            self.beyond -= 1;
        } else if terms.tally.connections.fetch_sub(1, Relaxed) == 1 {
            self.tallies.remove(&terms.tally.address);
        }
    }

    /// Its place is free from now on, though it takes a moment until it is gone.
    fn cut(&mut self, connection: &Connection) {
        connection.tell(Order::Cut);
        self.remove(&connection.terms);
    }

    fn end_oldest_beyond(&mut self) {
        let beyond = self.connections.values().filter(|other| other.terms.beyond);
        if let Some(oldest) = beyond.min_by_key(|other| other.terms.id).cloned() {
            self.cut(&oldest);
        }
    }

    fn look_for_candidates(&mut self, address: Option<IpAddr>, worth: impl Fn(&Connection) -> Option<Worth>) {
        let mut ids: Vec<(Worth, u64)> = self
            .connections
            .values()
            .filter(|other| !other.terms.beyond)
            .filter(|other| address.is_none_or(|address| other.terms.tally.address == address))
            .filter(|other| address.is_none() || !other.terms.listed)
            .filter_map(|other| Some((worth(other)?, other.terms.id)))
            .collect();
        if ids.len() > CANDIDATES {
            ids.select_nth_unstable(CANDIDATES);
            ids.truncate(CANDIDATES);
        }
        ids.sort_unstable_by(|one, other| other.cmp(one));
        self.candidates = Candidates { of: address, ids };
    }
}

// === impl Place ===

impl Place {
    pub(super) fn register(&self) -> Arc<Register> {
        Arc::clone(&self.register)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.register.inner.lock().remove(&self.connection.terms);
    }
}

// === impl Turn ===

impl Turn {
    /// Cancelled when the server stops.
    pub(super) fn finishing(&self) -> CancellationToken {
        self.0.finishing()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Relaxed);
    }
}

/// The unit that counts as one address: in IPv6 a client has a whole network of 64 bits.
fn counted(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hyper::rt::Timer as _;
    use hyper_util::rt::TokioTimer;

    use super::*;

    const PROXY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    fn register(connections: usize, per_address: usize) -> Arc<Register> {
        Register::new(Options {
            connections,
            per_address,
            keep_alive: Duration::from_secs(125),
            is_listed: Arc::new(|peer| peer == PROXY),
            finish: Duration::from_secs(20),
        })
    }

    fn client(number: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, number])
    }

    async fn pass(seconds: u64) {
        TokioTimer::new().sleep(Duration::from_secs(seconds)).await;
    }

    fn is_there(place: &Place) -> bool {
        let inner = place.register.inner.lock();
        inner.connections.contains_key(&place.connection.terms.id)
    }

    #[tokio::test(start_paused = true)]
    async fn attack_37_one_address_takes_the_places_of_nobody_else() {
        let register = register(100, 10);
        let other = register.admit(client(2));
        pass(1).await;
        let mut flood = Vec::new();
        for _ in 0..500 {
            flood.push(register.admit(client(1)));
            pass(1).await;
        }
        assert!(flood[490..].iter().all(is_there), "the newest ten stay");
        assert_eq!(flood.iter().filter(|place| is_there(place)).count(), 10);
        assert!(is_there(&other));
        let proxy: Vec<_> = (0..50).map(|_| register.admit(PROXY)).collect();
        assert!(proxy.iter().all(is_there), "a listed proxy speaks for many");
    }

    #[tokio::test(start_paused = true)]
    async fn attack_37_a_full_server_closes_the_oldest_idle_connection() {
        let register = register(20, 10);
        let busy = register.admit(client(1));
        let request = busy.connection.begin();
        let mut places = Vec::new();
        for number in 2..60 {
            pass(1).await;
            places.push(register.admit(client(number)));
        }
        assert!(is_there(&busy));
        assert_eq!(places.iter().position(is_there), Some(places.len() - 19));
        assert!(places.iter().all(|place| !place.connection.terms.beyond));
        busy.connection.end(&request);
        drop(places);
        assert_eq!(register.inner.lock().connections.len(), 1);
        assert_eq!(
            register.inner.lock().tallies.len(),
            1,
            "nothing is kept of who is gone"
        );
    }

    /// They get an answer.
    #[tokio::test(start_paused = true)]
    async fn attack_37_a_busy_server_refuses_the_next_connections() {
        let register = register(8, 4);
        let mut places = Vec::new();
        for number in [1, 2] {
            for _ in 0..4 {
                let place = register.admit(client(number));
                place.connection.begin();
                places.push(place);
            }
        }
        let beyond: Vec<_> = (0..100).map(|_| register.admit(client(3))).collect();
        assert!(beyond.iter().all(|place| place.connection.terms.beyond));
        assert_eq!(beyond.iter().filter(|place| is_there(place)).count(), KEPT_BACK);
        assert!(places.iter().all(is_there));
        let (_turn, load) = register.turn(&beyond[99].connection);
        assert_eq!(load, Load::Crowded);
        drop(places);
        assert!(!register.admit(client(4)).connection.terms.beyond);
    }

    #[tokio::test(start_paused = true)]
    async fn attack_37_many_requests_of_few_connections_are_counted_too() {
        let register = register(100, 4);
        let place = register.admit(client(1));
        let connection = &place.connection;
        let mut turns = Vec::new();
        for number in 0..6 {
            connection.begin();
            let (turn, load) = register.turn(connection);
            assert_eq!(load == Load::Crowded, number >= 4, "{number}");
            turns.push(turn);
        }
        let other = register.admit(client(2));
        other.connection.begin();
        assert_eq!(register.turn(&other.connection).1, Load::Normal);
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let counted = |text: &str| counted(text.parse().unwrap()).to_string();
        assert_eq!(counted("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(counted("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(counted("192.0.2.1"), "192.0.2.1");
    }
}
