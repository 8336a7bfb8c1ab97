//! The development IdP, in this process and so on the other core.

use devstack_idp::{Control, Idp, Options};
use tokio::net::TcpListener;

use super::Result;

/// A running IdP.
pub(super) struct Provider {
    /// Its issuer identifier.
    pub(super) issuer: String,
    /// Mints initial access tokens.
    pub(super) control: Control,
}

/// Starts it on a free port. Access tokens live an hour, so that no refresh disturbs a measurement.
pub(super) async fn start() -> Result<Provider> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let issuer = format!("http://{}", listener.local_addr()?);
    let mut options = Options::sample(issuer.clone(), "admin-token")?;
    options.access_token_lifetime = std::time::Duration::from_hours(1);
    let idp = Idp::new(options)?;
    let control = idp.control().clone();
    tokio::spawn(devstack_idp::serve(listener, idp, std::future::pending::<()>()));
    Ok(Provider { issuer, control })
}
