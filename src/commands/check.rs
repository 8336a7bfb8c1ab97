//! `bff check --config-only`.

use super::{Exit, complain, say};
use crate::config::{Config, Environment};

pub(super) fn config_only() -> Exit {
    match Config::load(&Environment::of_process()) {
        Ok((_, warnings)) => {
            for warning in warnings {
                say(&format!("warning: {warning}"));
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
