//! The usual ports, or free ones where those are taken.

use std::{io, net::SocketAddr};

use tokio::net::TcpListener;

/// A listener on this machine: on `usual`, or where that is taken on a port that the system picks.
pub(crate) async fn listen(usual: u16) -> io::Result<TcpListener> {
    let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
    match TcpListener::bind(address(usual)).await {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => TcpListener::bind(address(0)).await,
        listener => listener,
    }
}
