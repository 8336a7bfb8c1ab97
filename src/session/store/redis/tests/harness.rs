//! Real servers for tests.

mod groups;

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

pub(super) use self::groups::{Cluster, NODE_TIMEOUT, Watched, shared_cluster};
use crate::{
    clock::{Clock as _, SystemClock, Timestamp},
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
    /// 0 if there is none.
    pub(super) tls_port: u16,
    dir: PathBuf,
}

/// Waits for at most a minute until other processes have made the condition true.
pub(super) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let end = SystemClock.now().saturating_add(Duration::from_mins(1));
    while !is_so().await {
        assert!(SystemClock.now() < end, "never: {what}");
        SystemClock.sleep(Duration::from_millis(20)).await;
    }
}

/// A fault that began or ended at `since` is over now. `docs/reliability.md` has the bounds.
pub(super) fn recovered(fault: &str, since: Timestamp, bound: Duration) {
    let taken = SystemClock.now().duration_since(since);
    println!("recovered from {fault} after {} ms", taken.as_millis());
    assert!(taken <= bound, "{fault}: {taken:?}");
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

    /// One that speaks TLS at another port, with the certificate for `localhost`, and wants the certificate `named.pem`.
    pub(super) fn start_tls(settings: &[&str]) -> Self {
        for _ in 0..20 {
            let (port, tls_port, dir) = (free_port(), free_port(), new_dir());
            let file = |name: &str, content: &[u8]| {
                let path = dir.join(name);
                fs::write(&path, content).unwrap();
                path.to_str().unwrap().to_owned()
            };
            let (own, key) = (
                file("own", certificates::SERVER),
                file("key", certificates::SERVER_KEY),
            );
            let (named, named_key) = (
                file("named", certificates::NAMED),
                file("named-key", certificates::NAMED_KEY),
            );
            let trusted = file("trusted", &[certificates::CA, certificates::NAMED].concat());
            let tls = [
                ["--tls-port", &tls_port.to_string()],
                ["--tls-cert-file", &own],
                ["--tls-key-file", &key],
                ["--tls-client-cert-file", &named],
                ["--tls-client-key-file", &named_key],
                ["--tls-ca-cert-file", &trusted],
                ["--tls-auth-clients", "yes"],
            ];
            if let Some(mut server) = Self::start_at(port, dir, &[tls.as_flattened(), settings].concat()) {
                server.tls_port = tls_port;
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
                return Self {
                    watch,
                    port,
                    tls_port: 0,
                    dir,
                };
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
        Some(Self {
            watch,
            port,
            tls_port: 0,
            dir,
        })
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// With a unique prefix.
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

    /// The output of `redis-cli`.
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
    /// The arguments of `redis-cli` for TLS.
    fn tls_words(&self) -> Vec<String> {
        let file = |name: &str| self.dir.join(name).display().to_string();
        let words = [
            ["--cacert", &file("trusted")],
            ["--cert", &file("named")],
            ["--key", &file("named-key")],
        ];
        let words = words.as_flattened().iter().map(|word| (*word).to_owned());
        words.chain(["--tls".to_owned()]).collect()
    }

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

/// A free port whose number plus ten thousand is free too: the nodes of a cluster talk to each other there.
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

/// The watch of a server that accepts connections; `None` if it has ended because its port is taken.
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
    // Keeps reading; otherwise the server would stall when the pipe is full.
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
