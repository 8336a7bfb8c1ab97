//! `devstack` starts everything that a person needs on a laptop; `devstack idp` starts the development IdP alone.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};
use devstack::{idp_alone, idp_health, stack};
use url::Url;

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
    /// The origin of your own dev server, whose page takes the place of the sample page (docs/dev-server.md).
    #[arg(long, value_name = "URL", value_parser = origin)]
    page: Option<Url>,
    /// Origins whose pages may call with credentials; that of --page where it is not given.
    #[arg(long, value_name = "ORIGINS", env = "CORS__ALLOW_ORIGINS")]
    cors_allow_origins: Option<String>,
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
            let surroundings = stack::Surroundings {
                page: cli.page,
                cors_origins: cli.cors_allow_origins,
            };
            Box::pin(stack::run(options, surroundings)).await
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

/// An http(s) origin, as a URL with the path `/`.
fn origin(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("not a URL: {error}"))?;
    let is_origin = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.path() == "/"
        && url.query().is_none()
        && url.username().is_empty();
    if is_origin {
        Ok(url)
    } else {
        Err("not an origin; write scheme, host and port, as in http://localhost:5173".to_owned())
    }
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    tracing::error!("{error}");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_an_origin() {
        let cli = Cli::try_parse_from(["devstack", "--page", "http://localhost:5173"]).unwrap();
        assert_eq!(cli.page.unwrap().as_str(), "http://localhost:5173/");
        for page in [
            "localhost:5173",
            "http://localhost:5173/app",
            "ftp://localhost",
            "http://a@b",
            "x",
        ] {
            assert!(
                Cli::try_parse_from(["devstack", "--page", page]).is_err(),
                "{page}"
            );
        }
    }

    #[test]
    fn origins_for_cors_are_passed_on() {
        let cli = Cli::try_parse_from(["devstack", "--cors-allow-origins", "http://localhost:3000"]).unwrap();
        assert_eq!(cli.cors_allow_origins.as_deref(), Some("http://localhost:3000"));
    }

    #[tokio::test]
    async fn a_port_in_use_is_named_with_its_address() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let error = idp_alone::run(folder.path(), address, "http://localhost:9000".into(), "t".into())
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(&address.to_string()) && error.contains("--listen"),
            "{error}"
        );
    }
}
