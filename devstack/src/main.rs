//! `devstack` starts the whole stack on a laptop; `devstack idp` starts only the development IdP.

use std::{process::ExitCode, time::Duration};

use clap::Parser as _;
use devstack::{
    command::{Cli, Command},
    idp_alone, idp_health, stack,
};

#[tokio::main]
async fn main() -> ExitCode {
    bff::jose::install_crypto();
    let cli = Cli::parse();
    let filter = "info,bff::access=warn".to_owned();
    let options = bff::telemetry::Options {
        filter,
        format: bff::telemetry::Format::Pretty,
    };
    let words = bff::diagnostic::LogWords::new(bff::config::Names::default());
    if let Err(error) = bff::telemetry::init(&options, words) {
        return fail(&error);
    }
    let outcome = match cli.command {
        None => {
            let options = stack::Options {
                state: cli.state,
                access_token_lifetime: Duration::from_secs(cli.access_token_lifetime),
                ports: stack::USUAL_PORTS,
            };
            let overrides = stack::Overrides {
                page: cli.page,
                cors_origins: cli.cors_allow_origins,
            };
            Box::pin(stack::run(options, overrides)).await
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
