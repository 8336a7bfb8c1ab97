//! Thousands of connections of one client.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use http::StatusCode;
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpSocket, TcpStream},
};

use super::{Harness, status_line};
use crate::support::{Browser, pause};

/// As many as the audit took.
const MANY: usize = 5_000;

/// The limit of open files that the tests need themselves.
const FILES: u64 = 8_192;

/// The address of the attacker.
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9));

/// The address of people and probes.
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The behaviour of a hostile connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Idle,
    HalfAHead,
    NotReading,
    Trickling,
}

/// People and probes that continue meanwhile.
struct Others {
    stop: Arc<AtomicBool>,
    rounds: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

// === impl Kind ===

impl Kind {
    async fn connect(self, from: IpAddr, server: SocketAddr) -> std::io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(from, 0))?;
        if self == Self::NotReading {
            socket.set_recv_buffer_size(2_048)?;
        }
        let mut stream = socket.connect(server).await?;
        let first: &[u8] = match self {
            Self::Idle => b"",
            Self::HalfAHead => b"GET /health/live HTTP/1.1\r\nHost: a\r\nX-Half:",
            Self::NotReading => b"GET /.well-known/jwks.json HTTP/1.1\r\nHost: a\r\n\r\n",
            Self::Trickling => b"POST /public/x HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n",
        };
        for _ in 0..if self == Self::NotReading { 10 } else { 1 } {
            stream.write_all(first).await?;
        }
        Ok(stream)
    }
}

// === impl Others ===

impl Others {
    async fn begin(harness: &Harness) -> Self {
        let ada = harness.browser();
        ada.log_in().await;
        let (public, internal) = (harness.stack.address, harness.internal);
        let stop = Arc::new(AtomicBool::new(false));
        let rounds = Arc::new(AtomicUsize::new(0));
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&rounds));
        let task = tokio::spawn(async move {
            while !stopped.load(Ordering::Relaxed) {
                round(&ada, public, internal).await;
                count.fetch_add(1, Ordering::Relaxed);
                pause().await;
            }
        });
        Self { stop, rounds, task }
    }

    async fn end(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap();
        self.rounds.load(Ordering::Relaxed)
    }
}

/// One call of a person, and a probe on each listener.
async fn round(ada: &Browser, public: SocketAddr, internal: SocketAddr) {
    let reply = ada.get("/api/hello").await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    for (server, path) in [(public, "/health/live"), (internal, "/health/ready")] {
        let status = status_line(server, path).await;
        assert!(status.contains("200"), "{path}: {status:?}");
    }
}

/// Opens the connections from this address, and lets the trickling ones continue until `rounds` have passed.
async fn flood(kind: Kind, from: IpAddr, harness: &Harness, others: &Others) {
    let before = others.rounds.load(Ordering::Relaxed);
    let mut connections = Vec::new();
    for number in 0..MANY {
        // If the server has ended one already, the flood continues with the next.
        if let Ok(stream) = kind.connect(from, harness.stack.address).await {
            connections.push(stream);
        }
        if kind == Kind::Trickling && number % 250 == 0 {
            for stream in &connections {
                let _ = stream.try_write(b"x");
            }
        }
    }
    assert!(connections.len() > MANY / 2, "{kind:?}: {}", connections.len());
    for _ in 0..15_000 {
        if others.rounds.load(Ordering::Relaxed) > before + 5 {
            return;
        }
        assert!(!others.task.is_finished(), "{kind:?}:\n{}", harness.bff.output());
        pause().await;
    }
    panic!("{kind:?}: nobody else is served:\n{}", harness.bff.output());
}

fn enough_files() {
    bff::server::raise_open_files().unwrap();
    let files = bff::server::open_files();
    assert!(
        files >= FILES,
        "this test opens {MANY} connections: raise the hard limit of open files to {FILES} (ulimit -Hn), it is {files}"
    );
}

/// It opens thousands.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_37_connections_of_one_client_starve_nobody() {
    enough_files();
    // The limits with which a shell or a service manager often starts programs.
    let harness = Harness::start("ulimit -Sn 1024", &[]).await;
    let others = Others::begin(&harness).await;
    // Idle connections make room even for their own neighbours.
    flood(Kind::Idle, HERE, &harness, &others).await;
    flood(Kind::HalfAHead, HERE, &harness, &others).await;
    flood(Kind::NotReading, ELSEWHERE, &harness, &others).await;
    flood(Kind::Trickling, ELSEWHERE, &harness, &others).await;
    assert!(others.end().await > 20);
    let told = "connections were ended or turned away";
    let output = harness.bff.output();
    let lines = output.lines().filter(|line| line.contains(told)).count();
    assert!((1..=5).contains(&lines), "{lines} lines:\n{output}");
    assert!(!output.contains("ERROR"), "{output}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_37_nor_does_it_help_where_files_are_few() {
    enough_files();
    let harness = Harness::start("ulimit -n 1024", &[]).await;
    let others = Others::begin(&harness).await;
    flood(Kind::Idle, ELSEWHERE, &harness, &others).await;
    flood(Kind::Trickling, ELSEWHERE, &harness, &others).await;
    others.end().await;
    let output = harness.bff.output();
    assert!(!output.contains("could not be accepted"), "{output}");
    assert!(!output.contains("a call to a service failed"), "{output}");
}
