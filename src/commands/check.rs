//! `bff check --config-only`.

use super::{Exit, complain, say};
use crate::{
    app::App,
    config::{Config, Environment},
};

pub(super) fn config_only() -> Exit {
    match Config::load(&Environment::of_process()) {
        Ok((config, warnings)) => {
            for warning in warnings {
                say(&format!("warning: {warning}"));
            }
            if let Err(error) = App::check(&config) {
                complain(&error.to_string());
                return Exit::Configuration;
            }
            say("the configuration is consistent");
            Exit::Success
        }
        Err(error) => {
            complain(&error.to_string());
            Exit::Configuration
        }
    }
}
