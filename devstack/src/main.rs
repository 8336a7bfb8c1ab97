//! `devstack` starts everything that a person needs on a laptop; `devstack idp` starts the development IdP alone.

mod idp_alone;
mod idp_health;
mod mint;
mod ports;
mod stack;

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

/// Starts the development IdP, the bff, a sample API and a sample page, and prints where to click.
///
/// The state (keys, registration, the IdP's clients) lives in target/devstack; remove the folder to begin anew. Usual
/// ports that are taken are replaced by free ones.
#[derive(Debug, Parser)]
#[command(name = "devstack", version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Where the state lives.
    #[arg(long, value_name = "FOLDER", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/devstack"))]
    state: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the development IdP alone, on the configuration files of a folder.
    Idp {
        /// The folder with `dcr_config.yaml` and `users.yaml`; `clients.yaml` is written there. Sample files are put where
        /// there are none.
        #[arg(long, value_name = "FOLDER", env = "IDP_CONFIG_DIR")]
        config_dir: PathBuf,
        /// Where to listen.
        #[arg(long, default_value = DEFAULT_LISTEN, env = "IDP_LISTEN")]
        listen: SocketAddr,
        /// The issuer identifier, as browsers and the bff see it.
        #[arg(long, default_value = "http://localhost:9000", env = "IDP_ISSUER")]
        issuer: String,
        /// The token of the admin API, which mints initial access tokens.
        #[arg(long, env = "IDP_ADMIN_TOKEN", hide_env_values = true)]
        admin_token: String,
    },
    /// Ask a development IdP on this machine whether it answers; for container health checks.
    IdpHealth {
        /// Where it listens.
        #[arg(long, default_value = DEFAULT_LISTEN, env = "IDP_LISTEN")]
        listen: SocketAddr,
    },
}

const DEFAULT_LISTEN: &str = "127.0.0.1:9000";

#[tokio::main]
async fn main() -> ExitCode {
    bff::jose::install_crypto();
    let cli = Cli::parse();
    let filter = "info,bff::access=warn".to_owned();
    if let Err(error) = bff::telemetry::init(&bff::telemetry::Options {
        filter,
        format: bff::telemetry::Format::Pretty,
    }) {
        return fail(&error);
    }
    let outcome = match cli.command {
        None => stack::run(&cli.state).await,
        Some(Command::Idp {
            config_dir,
            listen,
            issuer,
            admin_token,
        }) => idp_alone::run(&config_dir, listen, issuer, admin_token).await,
        Some(Command::IdpHealth { listen }) => idp_health::ask(listen).map_err(Into::into),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&*error),
    }
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    tracing::error!("{error}");
    ExitCode::FAILURE
}

/// Writes to standard output what a person is meant to read.
fn say(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}
