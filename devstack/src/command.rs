//! The command line.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Parser, Subcommand};
use url::Url;

/// Starts the development IdP, the bff, a sample API and a sample page, and prints where to click.
///
/// The state (keys, registration, the IdP's clients, logins and tokens) lives in target/devstack; remove the folder to
/// begin anew. Usual ports that are taken are replaced by the next free ones.
#[derive(Debug, Parser)]
#[command(name = "devstack", version)]
pub struct Cli {
    /// The part to start; everything without one.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Where the state lives, if not in target/devstack of the repository.
    #[arg(long, value_name = "FOLDER", hide_default_value = true, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/devstack"))]
    pub state: PathBuf,
    /// How many seconds access tokens live. They are renewed at half of that.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(4..=3600))]
    pub access_token_lifetime: u64,
    /// Your own page in place of the sample page (docs/dev-server.md): the origin of a dev server, or a folder with a built page.
    #[arg(long, value_name = "URL|FOLDER", value_parser = page)]
    pub page: Option<Page>,
    /// Origins whose pages may call with credentials; that of a dev server in --page where it is not given.
    #[arg(long, value_name = "ORIGINS", env = "CORS__ALLOW_ORIGINS")]
    pub cors_allow_origins: Option<String>,
}

/// The page in place of the sample page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Page {
    /// Of the dev server with this origin.
    Server(Url),
    /// The files of this folder, by its absolute path.
    Folder(PathBuf),
}

/// The part to start.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the development IdP alone, on the configuration files of a folder.
    Idp {
        /// The folder with `dcr_config.yaml` and `users.yaml`; `clients.yaml` and `state.json` are written there. Sample files
        /// are put where there are none.
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

/// Reads `words`, as they stand behind the name of the program.
///
/// # Errors
///
/// The mistake in the arguments.
pub fn parse(words: &[&str]) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once(&"devstack").chain(words))
}

/// An origin, or a folder that exists.
fn page(text: &str) -> Result<Page, String> {
    if text.contains("://") {
        return origin(text).map(Page::Server);
    }
    let folder = PathBuf::from(text).canonicalize();
    match folder {
        Ok(folder) if folder.is_dir() => Ok(Page::Folder(folder)),
        Ok(_) | Err(_) => Err(
            "not a folder; write one that exists, as ./dist, or the origin of a dev server, as http://localhost:5173"
                .to_owned(),
        ),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_an_origin_or_a_folder() {
        let cli = parse(&["--page", "http://localhost:5173"]).unwrap();
        let url = Url::parse("http://localhost:5173/").unwrap();
        assert_eq!(cli.page, Some(Page::Server(url)));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display().to_string();
        let cli = parse(&["--page", &path]).unwrap();
        assert_eq!(
            cli.page,
            Some(Page::Folder(folder.path().canonicalize().unwrap()))
        );
        std::fs::write(folder.path().join("a"), "").unwrap();
        assert!(parse(&["--page", &format!("{path}/a")]).is_err(), "a file");
        assert!(parse(&["--page", &format!("{path}/b")]).is_err(), "nothing");
        for page in [
            "localhost:5173",
            "http://localhost:5173/app",
            "ftp://localhost",
            "http://a@b",
            "x",
        ] {
            assert!(parse(&["--page", page]).is_err(), "{page}");
        }
    }

    #[test]
    fn the_help_names_no_folder_of_the_machine_that_built_it() {
        use clap::CommandFactory as _;
        let help = Cli::command().render_long_help().to_string();
        assert!(
            help.contains("target/devstack") && !help.contains(env!("CARGO_MANIFEST_DIR")),
            "{help}"
        );
    }

    #[test]
    fn origins_for_cors_are_passed_on() {
        let cli = parse(&["--cors-allow-origins", "http://localhost:3000"]).unwrap();
        assert_eq!(cli.cors_allow_origins.as_deref(), Some("http://localhost:3000"));
    }
}
