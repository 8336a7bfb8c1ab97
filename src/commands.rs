//! The command line, one file per command.

mod ask;
mod check;
mod health;
mod keys;
mod process;
mod register;
mod registered;
mod routes;
mod serve;
mod sessions;
mod systemd;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use crate::{
    config::Config,
    diagnostic::{Diagnostic, Explain},
    telemetry,
};

/// Exit codes, from `sysexits.h` where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    /// All is well.
    Success = 0,
    /// `bff health` found the server not live, or not ready; `bff check` found something wrong; `bff sessions` found no such
    /// session; `bff routes match` found no route.
    Unhealthy = 1,
    /// The configuration is wrong.
    Configuration = 64,
    /// The IdP, Redis or the running server cannot be reached.
    Unreachable = 69,
    /// A bug of ours.
    Internal = 70,
    /// Stopped, and requests were cut off (`EX_TEMPFAIL`).
    CutOff = 75,
    /// The IdP refused.
    Refused = 77,
}

/// The OAuth client for browser applications: registers itself at the identity provider, keeps the tokens, passes API
/// calls on.
///
/// Settings come from the environment and from `settings.yaml` in `BFF_CONFIG_DIR`; `bff config-reference` lists them, and
/// `bff schema` helps editors.
#[derive(Debug, Parser)]
#[command(name = "bff", version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Default, Subcommand)]
enum Command {
    /// Serve (what happens without a command, too).
    #[default]
    Serve,
    /// Check everything that a login needs, from the settings to the IdP, and say what to mend. Changes nothing.
    Check {
        /// Only read and check the settings; make no connection.
        #[arg(long, conflicts_with = "json")]
        config_only: bool,
        /// Print the findings as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Register at the IdP, or bring the registration up to date, once; show what changed.
    Register {
        /// Show what would change; write nothing and spend nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Ask a running server on this machine whether it is live; for container health checks.
    Health {
        /// Ask whether it is ready instead.
        #[arg(long)]
        ready: bool,
    },
    /// Show, make, rotate and retire signing keys, with the settings of the server.
    Keys {
        #[command(subcommand)]
        command: keys::KeysCommand,
    },
    /// Show the routes of `routes.yaml`, and which of them decides on a request.
    Routes {
        #[command(subcommand)]
        command: routes::RoutesCommand,
    },
    /// List and end sessions of a running server on this machine, through `BFF_ADMIN_SOCKET`.
    Sessions {
        #[command(subcommand)]
        command: sessions::SessionsCommand,
    },
    /// Print every setting with its default and meaning, as Markdown.
    ConfigReference,
    /// Print the JSON Schema of a configuration file, for editors.
    Schema {
        /// Which file.
        file: SchemaOf,
    },
}

/// A file that has a schema.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum SchemaOf {
    /// `settings.yaml`
    Settings,
    /// `routes.yaml`
    Routes,
    /// `idps.yaml`
    Idps,
}

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    telemetry::panics::report_places_only();
    crate::jose::install_crypto();
    // A wrong command line is a matter of configuration too; clap's own exit code would be 2.
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let exit = if error.use_stderr() {
                Exit::Configuration
            } else {
                Exit::Success
            };
            let _ = error.print();
            return exit.into();
        }
    };
    let exit = match cli.command.unwrap_or_default() {
        Command::Serve => serve::run(),
        Command::Check {
            config_only: true, ..
        } => check::config_only(),
        Command::Check { json, .. } => check::run(json),
        Command::Register { dry_run } => register::run(dry_run),
        Command::Health { ready } => health::run(ready),
        Command::Keys { command } => keys::run(command),
        Command::Routes { command } => routes::run(command),
        Command::Sessions { command } => sessions::run(command),
        Command::ConfigReference => {
            say(crate::config::reference().trim_end());
            Exit::Success
        }
        Command::Schema { file } => {
            let schema = match file {
                SchemaOf::Settings => crate::config::schema(),
                SchemaOf::Routes => crate::gateway::routes_schema(),
                SchemaOf::Idps => crate::bearer::schema(),
            };
            say(&format!("{schema:#}"));
            Exit::Success
        }
    };
    exit.into()
}

/// Writes a line to standard output. A reader that has gone is not an error.
fn say(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Writes a line to standard error.
fn complain(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Writes the mistake to standard error, in the words of the configuration.
fn complain_of(error: &dyn Explain, config: &Config) {
    complain(&Diagnostic::of(error, &config.names).to_string());
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_key_id_may_begin_with_a_hyphen() {
        for line in [
            &["bff", "keys", "retire", "-Y0u", "--dry-run"][..],
            &["bff", "keys", "retire", "--dry-run", "--_x"],
        ] {
            let cli = Cli::try_parse_from(line).unwrap_or_else(|error| panic!("{line:?}: {error}"));
            let command = format!("{:?}", cli.command);
            assert!(command.contains("dry_run: true"), "{command}");
        }
    }

    /// The help of a command and of all below it.
    fn help(command: &mut clap::Command, path: &str, all: &mut String) {
        writeln!(all, "=== {path} --help\n\n{}", command.render_long_help()).unwrap();
        for below in command
            .get_subcommands_mut()
            .filter(|below| below.get_name() != "help")
        {
            let path = format!("{path} {}", below.get_name());
            help(below, &path, all);
        }
    }

    #[test]
    fn the_help_of_every_command_is_as_reviewed() {
        let mut all = String::new();
        help(&mut Cli::command(), "bff", &mut all);
        insta::assert_snapshot!("help", all);
    }
}
