//! The sockets of the server.

use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::{App, BindError};
use crate::{
    admin,
    diagnostic::{Knob, fix, told},
};

/// The sockets that the server listens on.
#[derive(Debug)]
pub struct Listeners {
    /// The listener for browsers.
    pub public: TcpListener,
    /// The listener that is never published.
    pub internal: Option<TcpListener>,
    /// The operator's.
    pub admin: Option<admin::Socket>,
}

// === impl App ===

impl App {
    /// Opens the sockets that the configuration names.
    ///
    /// # Errors
    ///
    /// [`BindError`] with address and variable.
    pub async fn bind(&self) -> Result<Listeners, BindError> {
        let server = &self.config.server;
        let internal = match server.internal {
            Some(address) => Some(bind(address, Knob::InternalAddress, Knob::InternalAddress).await?),
            None => None,
        };
        let public = bind(server.listen, Knob::Port, Knob::Host).await?;
        let admin = match server.admin_socket.as_deref().map(admin::Socket::bind) {
            // The image names a path, and many run it with a read-only root file system: they lack only the command.
            Some(Err(error)) if error.is_read_only() => {
                let what = format_args!("`bff sessions` cannot be used: {error}");
                tracing::warn!("{}", told(what, fix!("mount a tmpfs of this user there")));
                None
            }
            bound => bound.transpose()?,
        };
        Ok(Listeners {
            public,
            internal,
            admin,
        })
    }
}

pub(super) async fn bind(address: SocketAddr, port: Knob, host: Knob) -> Result<TcpListener, BindError> {
    TcpListener::bind(address)
        .await
        .map_err(|cause| BindError::Address {
            address,
            port,
            host,
            cause,
        })
}
