//! Real servers for tests.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
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

/// The server that most tests share.
pub(super) fn shared() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(|| Server::start(&[]))
}

// === impl Server ===

impl Server {
    /// `redis-server` with these settings, on a free port.
    pub(super) fn start(settings: &[&str]) -> Self {
        Self::start_as(Program::Server, settings)
    }

    fn start_as(program: Program, settings: &[&str]) -> Self {
        for _ in 0..20 {
            let port = free_port();
            let dir = tempfile::tempdir().unwrap().keep();
            if let Some(watch) = program.spawn(port, &dir, settings) {
                return Self { watch, port, dir };
            }
        }
        panic!("redis-server does not start: {settings:?}");
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

    /// What `redis-cli` prints.
    pub(super) fn cli(&self, words: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .args(["-p", &self.port.to_string()])
            .args(words)
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
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

pub(super) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// What is started.
#[derive(Clone, Copy)]
enum Program {
    Server,
}

// === impl Program ===

impl Program {
    /// The watch of a server that accepts connections; `None` where it has ended, for want of the port.
    fn spawn(self, port: u16, dir: &Path, settings: &[&str]) -> Option<Child> {
        let Self::Server = self;
        let mut watch = Command::new("sh")
            .args(["-c", WATCH, "watch"])
            .arg(dir)
            .args(["redis-server", "--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
            .arg("--dir")
            .arg(dir)
            .args(settings)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("sh: {error}"));
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
}
