//! `devstack idp-health`: asks an IdP on this machine, so that its container needs no other program for its health
//! check.

use std::{
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

const TIMEOUT: Duration = Duration::from_secs(3);

/// Whether the IdP that listens at `listen` answers.
///
/// # Errors
///
/// Why it did not answer.
pub fn ask(listen: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&reachable(listen), TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    // Any answer will do: it says nothing at `/`, and the issuer, below which its endpoints live, may have a path.
    let mut head = [0; 9];
    stream.read_exact(&mut head)?;
    if head.starts_with(b"HTTP/1.1 ") {
        Ok(())
    } else {
        Err(io::ErrorKind::InvalidData.into())
    }
}

/// The address at which a listener on all addresses is reached from the same machine.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let address = match listen {
        SocketAddr::V4(listen) if listen.ip().is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(listen) if listen.ip().is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        listen => listen.ip(),
    };
    SocketAddr::new(address, listen.port())
}
