//! Real servers for tests.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use super::super::names::{Names, Shard};
use crate::{
    clock::{Clock as _, SystemClock},
    session::SessionKey,
    tls::testing as certificates,
};

/// Passes signals on to the server, and ends it when its input ends: with the guard, or with the process of the tests,
/// however that ends.
const WATCH: &str = r#"
    dir=$1; shift
    "$@" &
    pid=$!
    exec >&-
    while read -r signal; do kill -s "$signal" "$pid"; done
    kill -s KILL "$pid"
    wait "$pid"
    rm -rf "$dir"
"#;

/// A server that ends when this is dropped.
pub(super) struct Server {
    watch: Child,
    pub(super) port: u16,
    pub(super) dir: PathBuf,
}

/// Waits until something is so that other processes bring about, for at most twenty seconds.
pub(super) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let end = SystemClock.now().saturating_add(Duration::from_secs(20));
    while !is_so().await {
        assert!(SystemClock.now() < end, "never: {what}");
        SystemClock.sleep(Duration::from_millis(20)).await;
    }
}

/// The server that most tests share.
pub(super) fn shared() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(|| Server::start(&[]))
}

// === impl Server ===

impl Server {
    /// `redis-server` with these settings, on a free port.
    pub(super) fn start(settings: &[&str]) -> Self {
        for _ in 0..20 {
            let (port, dir) = (free_port(), new_dir());
            if let Some(server) = Self::start_at(port, dir, settings) {
                return server;
            }
        }
        panic!("redis-server does not start: {settings:?}");
    }

    /// One that speaks TLS alone, with the certificate for `localhost`, and wants the certificate of `named.pem`.
    pub(super) fn start_tls() -> Self {
        for _ in 0..20 {
            let (port, dir) = (free_port(), new_dir());
            let file = |name: &str, content: &[u8]| {
                let path = dir.join(name);
                fs::write(&path, content).unwrap();
                path.to_str().unwrap().to_owned()
            };
            let (own, key) = (
                file("own", certificates::SERVER),
                file("key", certificates::SERVER_KEY),
            );
            let clients = file("clients", certificates::NAMED);
            let settings = [
                ["--port", "0"],
                ["--tls-port", &port.to_string()],
                ["--tls-cert-file", &own],
                ["--tls-key-file", &key],
                ["--tls-ca-cert-file", &clients],
                ["--tls-auth-clients", "yes"],
            ];
            if let Some(server) = Self::start_at(port, dir, settings.as_flattened()) {
                return server;
            }
        }
        panic!("redis-server does not start with TLS");
    }

    fn start_sentinel(rules: &str) -> Self {
        for _ in 0..20 {
            let (port, dir) = (free_port(), new_dir());
            let settings = dir.join("sentinel.conf");
            let file = settings.to_str().unwrap();
            fs::write(
                &settings,
                format!("port {port}\nbind 127.0.0.1\ndir {}\n{rules}", dir.display()),
            )
            .unwrap();
            if let Some(watch) = watched(&["redis-server", file, "--sentinel"], &dir) {
                return Self { watch, port, dir };
            }
        }
        panic!("redis-sentinel does not start");
    }

    /// Ends, and starts again at the same port from the copy that `SAVE` made.
    pub(super) fn into_copy(self) -> Self {
        let (port, dir) = (self.port, new_dir());
        fs::copy(self.dir.join("dump.rdb"), dir.join("dump.rdb")).unwrap();
        drop(self);
        Self::start_at(port, dir, &[]).unwrap()
    }

    fn start_at(port: u16, dir: PathBuf, settings: &[&str]) -> Option<Self> {
        let port_word = port.to_string();
        let usual = [
            ["--port", &port_word],
            ["--bind", "127.0.0.1"],
            ["--save", ""],
            ["--appendonly", "no"],
            ["--dir", dir.to_str().unwrap()],
        ];
        let words = [&["redis-server"], usual.as_flattened(), settings].concat();
        let watch = watched(&words, &dir)?;
        Some(Self { watch, port, dir })
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// With a prefix that nobody else has.
    pub(super) fn url_of_its_own(&self) -> String {
        format!("{}?prefix={}", self.url(), own_prefix())
    }

    pub(super) fn signal(&mut self, signal: &str) {
        writeln!(self.watch.stdin.as_mut().unwrap(), "{signal}").unwrap();
    }

    /// Ends at once, as in a crash, and has ended when this returns.
    pub(super) fn kill(&mut self) {
        self.signal("KILL");
        while TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
            thread::yield_now();
        }
    }

    /// What `redis-cli` prints.
    pub(super) fn cli(&self, words: &[&str]) -> String {
        self.cli_as(None, words)
    }

    pub(super) fn cli_as(&self, password: Option<&str>, words: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .args(["-p", &self.port.to_string()])
            .args(password.iter().flat_map(|word| ["--no-auth-warning", "-a", word]))
            .args(words)
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

impl Server {
    /// How much memory it has in use, in bytes.
    pub(super) fn used_memory(&self) -> usize {
        self.info("memory", "used_memory:")
    }

    fn info(&self, section: &str, field: &str) -> usize {
        let info = self.cli(&["INFO", section]);
        let line = info.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        line.trim().parse().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.watch.stdin.take());
        self.watch.wait().unwrap();
    }
}

pub(super) fn own_prefix() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("test{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A primary, a replica of it, and sentinels that watch them. They end when this is dropped.
pub(super) struct Watched {
    pub(super) primary: Server,
    pub(super) replica: Server,
    pub(super) sentinels: Vec<Server>,
}

// === impl Watched ===

impl Watched {
    /// Under the name `main`, known to all of them.
    pub(super) async fn start(sentinels: usize, password: Option<&str>) -> Self {
        let login: Vec<&str> = password
            .iter()
            .flat_map(|word| ["--requirepass", word, "--masterauth", word])
            .collect();
        let primary = Server::start(&login);
        let port = primary.port.to_string();
        let replica = Server::start(&[&login[..], &["--replicaof", &format!("127.0.0.1 {port}")]].concat());
        let quorum = sentinels / 2 + 1;
        let mut rules = format!("sentinel monitor main 127.0.0.1 {port} {quorum}\n");
        rules += "sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 2000\n";
        if let Some(word) = password {
            rules.extend(["sentinel auth-pass main ", word, "\nrequirepass ", word, "\n"]);
        }
        let sentinels: Vec<_> = (0..sentinels).map(|_| Server::start_sentinel(&rules)).collect();
        let others = format!("num-other-sentinels {}", sentinels.len() - 1);
        let watched = Self {
            primary,
            replica,
            sentinels,
        };
        eventually("all know each other", async || {
            watched.sentinels.iter().all(|sentinel| {
                let told = sentinel
                    .cli_as(password, &["SENTINEL", "MASTER", "main"])
                    .replace('\n', " ");
                told.contains("num-slaves 1") && told.contains(&others)
            }) && watched
                .replica
                .cli_as(password, &["INFO", "replication"])
                .contains("master_link_status:up")
        })
        .await;
        watched
    }

    pub(super) fn url(&self, login: &str) -> String {
        let hosts: Vec<_> = self
            .sentinels
            .iter()
            .map(|one| format!("127.0.0.1:{}", one.port))
            .collect();
        format!("redis+sentinel://{login}{}/main", hosts.join(","))
    }
}

/// Three primaries of a cluster, without replicas. They end when this is dropped.
pub(super) struct Cluster {
    pub(super) nodes: Vec<Server>,
}

/// The cluster that the contract tests share.
pub(super) fn shared_cluster() -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(|| Cluster::start(&[]))
}

// === impl Cluster ===

impl Cluster {
    pub(super) fn start(settings: &[&str]) -> Self {
        let settings = [
            &["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"],
            settings,
        ]
        .concat();
        let nodes: Vec<_> = (0..3).map(|_| Server::start(&settings)).collect();
        let hosts: Vec<_> = nodes
            .iter()
            .map(|node| format!("127.0.0.1:{}", node.port))
            .collect();
        let output = Command::new("redis-cli")
            .args(["--cluster", "create", "--cluster-yes"])
            .args(&hosts)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}");
        let cluster = Self { nodes };
        // Each of them has to have heard of all slots.
        while !cluster
            .nodes
            .iter()
            .all(|node| node.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok"))
        {
            thread::yield_now();
        }
        cluster
    }

    /// A replica of one of its nodes, which has everything that this has.
    pub(super) fn replicate(&self, node: usize) -> Server {
        let replica = Server::start(&["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"]);
        let node = &self.nodes[node];
        assert_eq!(
            replica.cli(&["CLUSTER", "MEET", "127.0.0.1", &node.port.to_string()]),
            "OK"
        );
        let id = node.cli(&["CLUSTER", "MYID"]);
        while replica.cli(&["CLUSTER", "REPLICATE", &id]) != "OK" {
            thread::yield_now();
        }
        while !replica
            .cli(&["INFO", "replication"])
            .contains("master_link_status:up")
            || !self
                .nodes
                .iter()
                .all(|node| node.cli(&["CLUSTER", "NODES"]).contains(&format!("slave {id}")))
        {
            thread::yield_now();
        }
        replica
    }

    /// Moves all that belongs to the shard of a session to another node, but for the slot itself.
    pub(super) fn begin_move(&self, names: &Names, key: &SessionKey) {
        let shard = Shard::of(key);
        let names = [names.session(key), names.due(shard), names.ends(shard)];
        let slot = self.nodes[0].cli(&["CLUSTER", "KEYSLOT", &names[0]]);
        let (from, to) = self.holder(&slot);
        let id = |node: &Server| node.cli(&["CLUSTER", "MYID"]);
        assert_eq!(
            to.cli(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &id(from)]),
            "OK"
        );
        assert_eq!(
            from.cli(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &id(to)]),
            "OK"
        );
        for name in &names {
            let moved = ["MIGRATE", "127.0.0.1", &to.port.to_string(), name, "0", "5000"];
            assert_eq!(from.cli(&moved), "OK");
        }
    }

    /// Names one of its nodes.
    pub(super) fn url(&self) -> String {
        format!("redis+cluster://127.0.0.1:{}", self.nodes[0].port)
    }

    /// Of the nodes, the one that has a slot, and another one.
    pub(super) fn holder(&self, slot: &str) -> (&Server, &Server) {
        let slot: u16 = slot.parse().unwrap();
        let has_it = |node: &&Server| {
            let nodes = node.cli(&["CLUSTER", "NODES"]);
            let own = nodes.lines().find(|line| line.contains("myself")).unwrap();
            own.split(' ').skip(8).any(|range| {
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                matches!((first.parse(), last.parse()), (Ok(first), Ok(last)) if (first..=last).contains(&slot))
            })
        };
        let holder = self.nodes.iter().find(has_it).unwrap();
        let other = self.nodes.iter().find(|node| node.port != holder.port).unwrap();
        (holder, other)
    }
}

/// A free port, and ten thousand beyond it another one: where the nodes of a cluster talk to each other.
pub(super) fn free_port() -> u16 {
    let bind = |port| TcpListener::bind(("127.0.0.1", port));
    loop {
        let port = bind(0).unwrap().local_addr().unwrap().port();
        if port
            .checked_add(10_000)
            .is_some_and(|beyond| bind(beyond).is_ok())
        {
            return port;
        }
    }
}

fn new_dir() -> PathBuf {
    tempfile::tempdir().unwrap().keep()
}

/// The watch of a server that accepts connections; `None` where it has ended, for want of its port.
fn watched(words: &[&str], dir: &Path) -> Option<Child> {
    let mut watch = Command::new("sh")
        .args(["-c", WATCH, "watch"])
        .arg(dir)
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let output = BufReader::new(watch.stdout.take().unwrap());
    let (ready, is_ready) = mpsc::channel();
    // Reads on, or the server would stand still when the pipe is full.
    thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            if line.contains("Ready to accept connections") || line.contains("+monitor") {
                let _ = ready.send(());
            }
        }
    });
    if is_ready.recv().is_ok() {
        return Some(watch);
    }
    let _ = watch.kill();
    let _ = watch.wait();
    let _ = fs::remove_dir_all(dir);
    None
}
