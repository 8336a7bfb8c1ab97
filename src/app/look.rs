//! Looks at the settings and files of a start without starting.

use super::{App, RoutesWarning, StartError, idps, routes, settings};
use crate::{
    bearer::Idps,
    clock::{Clock as _, SystemClock},
    config::Config,
    gateway::Routes,
    session::CookiePolicy,
    web::Pages,
};

// === impl App ===

impl App {
    /// Checks everything that only the modules themselves can check, without keys or the network: hosts, cookies,
    /// routes, pages. Returns the warnings of the start.
    ///
    /// # Errors
    ///
    /// [`StartError`], with the fix.
    pub fn check(config: &Config) -> Result<Vec<RoutesWarning>, StartError> {
        settings::login(config)?;
        CookiePolicy::new(settings::cookies(config))?;
        let (routes, idps) = (routes::text(config)?, idps::text(config)?);
        let now = SystemClock.wall();
        let (_, warnings, _) = idps::with_routes(config, routes.as_deref(), idps.as_deref(), now)?;
        Pages::new(&settings::pages(config))?;
        Ok(warnings)
    }

    /// The routing table that a start with `config` would use, and warnings about it.
    ///
    /// # Errors
    ///
    /// [`StartError`]: the file cannot be read, or has mistakes.
    pub fn routes(config: &Config) -> Result<(Routes, Vec<RoutesWarning>), StartError> {
        routes::read(config)
    }

    /// The issuers of tokens that callers bring, as a start with `config` would use them for `routes`.
    ///
    /// # Errors
    ///
    /// [`StartError`]: the file cannot be read, or has mistakes.
    pub fn idps(config: &Config, routes: &Routes) -> Result<Idps, StartError> {
        idps::read(config, routes)
    }
}
