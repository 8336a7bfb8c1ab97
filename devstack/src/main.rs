//! `devstack` starts everything that a person needs on a laptop; `devstack idp` starts the development IdP alone.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};
use devstack::{idp_alone, idp_health, stack};

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
    /// How many seconds access tokens live. They are renewed at half of that.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(4..=3600))]
    access_token_lifetime: u64,
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
        None => {
            let options = stack::Options {
                state: cli.state,
                access_token_lifetime: Duration::from_secs(cli.access_token_lifetime),
                usual_ports: true,
            };
            Box::pin(stack::run(options)).await
        }
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
