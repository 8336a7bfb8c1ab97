//! Measures the CPU time of a request, beside servers that do less.
//!
//! `bench` runs the comparison and prints the table; `bench bare` and `bench proxy` are the servers that it starts for it.
//! `bench sessions` measures what many sessions on disk cost, `bench replicas` how soon replicas agree, `bench due` how fast
//! tokens are renewed, `bench idle` what silent streams cost, and `bench transfer` what long bodies cost. Run it through `scripts/bench`, which builds everything in release mode and installs `wrk`, nginx and Redis.

mod compare;
mod due;
mod idle;
mod idp;
mod logins;
mod nginx;
mod process;
mod redis;
mod replicas;
mod servers;
mod sessions;
mod start;
mod table;
mod transfer;
mod upstream;
mod wrk;

use std::{process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};

/// Everything that can go wrong here ends the program with a message.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Measure the CPU time of a request, beside servers that do less. See scripts/bench.
#[derive(Debug, Parser)]
#[command(name = "bench", version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// How often each case is measured; the cases take turns.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How long each measurement takes, in seconds.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// How many logins are measured for each kind of key.
    #[arg(long, default_value_t = 200)]
    logins: usize,
    /// Only the cases of requests whose name contains one of these, such as `proxy,proxied`; a gate needs both of its cases.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A bare axum handler.
    Bare {
        /// Where to listen.
        port: u16,
    },
    /// How long a start takes with many sessions on disk, and what they cost a server that idles.
    Sessions {
        /// How many.
        #[arg(long, default_value_t = 1_000_000)]
        count: usize,
    },
    /// How soon a logout at one replica is one at another.
    Replicas {
        /// How many logouts.
        #[arg(long, default_value_t = 2_000)]
        count: usize,
    },
    /// How fast tokens are renewed that are due within one minute.
    Due {
        /// Of how many sessions.
        #[arg(long, default_value_t = 100_000)]
        count: usize,
        /// Only the cases whose name contains this, such as `Redis`.
        #[arg(long, default_value = "")]
        only: String,
    },
    /// The memory of an idle stream of events, of an idle WebSocket, and of an open page.
    Idle {
        /// How many of each; fewer if the limit of open files is low.
        #[arg(long, default_value_t = 10_000)]
        count: usize,
    },
    /// The cost of a long body in either direction, beside nginx.
    Transfer {
        /// How long, in MiB.
        #[arg(long, default_value_t = 1_024)]
        mebibytes: u64,
        /// How often each case is measured; the cases take turns.
        #[arg(long, default_value_t = 5)]
        rounds: usize,
    },
    /// An upstream of streams that are mostly silent, of WebSockets, and of long bodies.
    Upstream {
        /// Where to listen.
        port: u16,
    },
    /// Takes or sends one long body.
    Body {
        /// Where the server listens.
        port: u16,
        /// As many bytes.
        length: u64,
        /// Sends them.
        #[arg(long)]
        upload: bool,
        /// Further fields of the request.
        #[arg(long)]
        field: Vec<String>,
    },
    /// A provider that only renews tokens.
    Stub {
        /// Where to listen.
        port: u16,
        /// How long an answer takes.
        millis: u64,
    },
    /// Renews tokens of sessions in memory.
    Renew {
        /// Where the provider listens.
        provider: u16,
        /// Of how many sessions.
        count: usize,
    },
    /// Prints how many RS256 signatures a core makes in a second.
    Sign,
    /// A bare axum server that passes everything on with a pooled hyper client.
    Proxy {
        /// Where to listen.
        port: u16,
        /// Where the upstream listens.
        upstream: u16,
    },
}

fn main() -> ExitCode {
    bff::jose::install_crypto();
    let cli = Cli::parse();
    let outcome = match cli.command {
        Some(Command::Bare { port }) => servers::run(servers::bare(port)),
        Some(Command::Proxy { port, upstream }) => servers::run(servers::proxy(port, upstream)),
        Some(Command::Sessions { count }) => servers::run(sessions::run(count)),
        Some(Command::Replicas { count }) => servers::run(replicas::run(count)),
        Some(Command::Due { count, only }) => servers::run(due::run(count, &only)),
        Some(Command::Idle { count }) => servers::run(idle::run(count)),
        Some(Command::Transfer { mebibytes, rounds }) => servers::run(transfer::run(mebibytes << 20, rounds)),
        Some(Command::Upstream { port }) => servers::run(upstream::serve(port)),
        Some(Command::Body {
            port,
            length,
            upload,
            field,
        }) => transfer::body(port, length, upload, &field),
        Some(Command::Stub { port, millis }) => servers::run(due::stub(port, Duration::from_millis(millis))),
        Some(Command::Renew { provider, count }) => servers::run(due::renew(provider, count)),
        Some(Command::Sign) => due::sign(),
        None => {
            let effort = compare::Effort {
                rounds: cli.rounds,
                seconds: cli.seconds,
                logins: cli.logins,
            };
            servers::run(compare::run(effort, &cli.only))
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("bench: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Writes a line to standard output.
fn say(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}
