//! The memory of what is open and mostly silent: a stream of events of a service, a WebSocket to a service, and the stream
//! `/auth/events` of an open page.

use std::{env, path::Path, process::Command, time::Duration};

use bff::clock::{Clock as _, SystemClock};
use devstack_idp::Person;
use tokio::{io::AsyncWriteExt as _, net::TcpStream, task::JoinSet};

use super::{
    Result, idp,
    process::{OTHER_CORE, Server, free_port},
    say,
    start::{Bff, Setup},
    table::{Gate, check},
    upstream,
};

/// So much may each of them cost, in KiB.
const MOST: f64 = 20.0;

/// So many are opened at a time.
const AT_ONCE: usize = 64;

/// Opened and closed before the measurement, so that code and tables are there.
const WARM_UP: usize = 200;

/// Files of a process that are no streams.
const OTHER_FILES: u64 = 2_500;

/// Long enough for heartbeats of the service and of the server, and for pings.
const SETTLED: Duration = Duration::from_secs(40);

/// A thing that stays open.
struct Kind {
    name: &'static str,
    path: &'static str,
    /// Further fields of its request.
    fields: &'static str,
    /// The answer begins with it.
    status: &'static str,
    /// How many a session may have.
    of_session: usize,
    /// Connections that the limits of the server require for each.
    connections: u64,
}

const KINDS: [Kind; 3] = [
    Kind {
        name: "stream of events of a service",
        path: "/api/events",
        fields: "Accept: text/event-stream\r\n",
        status: "HTTP/1.1 200 ",
        of_session: 100,
        connections: 1,
    },
    Kind {
        name: "WebSocket",
        path: "/api/socket",
        fields: "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        status: "HTTP/1.1 101 ",
        of_session: 100,
        // They get half of the places.
        connections: 2,
    },
    Kind {
        name: "open page (/auth/events)",
        path: "/auth/events",
        fields: "Accept: text/event-stream\r\n",
        status: "HTTP/1.1 200 ",
        of_session: 20,
        connections: 2,
    },
];

/// Opens `count` of each, and prints what they cost; an error if a gate fails.
pub(super) async fn run(count: usize) -> Result<()> {
    bff::server::raise_open_files()?;
    let folder = tempfile::tempdir()?;
    let provider = idp::start().await?;
    let port = free_port()?;
    let mut command = Command::new(env::current_exe()?);
    command.arg("upstream").arg(port.to_string());
    let upstream = Server::start(command, OTHER_CORE, port).await?;
    let mut gates = Vec::new();
    say("| idle | open | MiB before | MiB with them |\n| --- | ---: | ---: | ---: |");
    for (number, kind) in KINDS.iter().enumerate() {
        let folder = folder.path().join(number.to_string());
        let cost = measure(kind, count, &folder, &provider, upstream.port()).await?;
        gates.push(Gate::new(format!("an idle {}, KiB", kind.name), cost, MOST));
    }
    check(&gates)
}

/// The memory of one of them, in KiB.
#[expect(clippy::cast_precision_loss, reason = "memory in KiB is small")]
async fn measure(
    kind: &Kind,
    count: usize,
    folder: &Path,
    provider: &idp::Provider,
    upstream: u16,
) -> Result<f64> {
    // Each place of a client comes with one for a call to a service.
    let possible = (bff::server::open_files() - OTHER_FILES) / 2 / kind.connections;
    let count = count.min(usize::try_from(possible)?);
    let connections = ((count + AT_ONCE) as u64 * kind.connections).to_string();
    let routes = format!(
        "services: {{ api: {{ base_url: \"http://127.0.0.1:{upstream}\" }} }}\n\
         routes:\n- {{ id: api, path: '/api/*', target_service: api, auth: session, streaming: true, websocket: true }}\n"
    );
    let settings = [
        ("MAX_CONNECTIONS", connections.as_str()),
        ("MAX_CONNECTIONS_PER_ADDRESS", connections.as_str()),
    ];
    let bff = Bff::start_with(Setup::USUAL, folder, provider, &routes, &settings).await?;
    let ada = Person::new("ada", "ada")?;
    let mut sessions = Vec::new();
    for _ in 0..count.div_ceil(kind.of_session) {
        sessions.push(bff.log_in(&ada).await?);
    }
    drop(open(kind, WARM_UP.min(count), &bff, &sessions).await?);
    SystemClock.sleep(Duration::from_secs(3)).await;
    let before = bff.server.rss()?;
    let streams = open(kind, count, &bff, &sessions).await?;
    SystemClock.sleep(SETTLED).await;
    let with = bff.server.rss()?;
    let ended = streams.iter().filter(|stream| has_ended(stream)).count();
    if ended > 0 {
        return Err(format!("{ended} of {count} have ended: {}", kind.name).into());
    }
    say(&format!(
        "| {} | {count} | {:.1} | {:.1} |",
        kind.name,
        before as f64 / 1024.0,
        with as f64 / 1024.0
    ));
    Ok((with.saturating_sub(before)) as f64 / count as f64)
}

/// Opens `count` of them.
async fn open(kind: &Kind, count: usize, bff: &Bff, sessions: &[String]) -> Result<Vec<TcpStream>> {
    let port = bff.server.port();
    let mut opening = JoinSet::new();
    let mut streams = Vec::with_capacity(count);
    for number in 0..count {
        if opening.len() == AT_ONCE
            && let Some(opened) = opening.join_next().await
        {
            streams.push(opened??);
        }
        let session = sessions.get(number / kind.of_session).ok_or("too few sessions")?;
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\nCookie: {session}\r\n{}\r\n",
            kind.path, kind.fields
        );
        let status = kind.status;
        opening.spawn(async move { open_one(port, &request, status).await });
    }
    while let Some(opened) = opening.join_next().await {
        streams.push(opened??);
    }
    Ok(streams)
}

async fn open_one(port: u16, request: &str, status: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut read = Vec::new();
    let length = upstream::head(&mut stream, &mut read).await?;
    let head = String::from_utf8_lossy(&read[..length]);
    if head.starts_with(status) {
        Ok(stream)
    } else {
        Err(format!("an unexpected answer: {head}").into())
    }
}

/// Whether the server has ended it. Heartbeats are read meanwhile.
fn has_ended(stream: &TcpStream) -> bool {
    let mut piece = [0; 4096];
    loop {
        match stream.try_read(&mut piece) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }
}
