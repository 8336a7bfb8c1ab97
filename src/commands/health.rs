//! `bff health`: asks the server on this machine, so that a container needs no other program for its health check.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

use super::{Exit, process, say};
use crate::{outage::Outage, own_paths};

const TIMEOUT: Duration = Duration::from_secs(3);

pub(super) fn run(ready: bool) -> Exit {
    let listen = match process::settings() {
        Ok((config, _)) => config.server.listen,
        Err(exit) => return exit,
    };
    let path = if ready {
        own_paths::HEALTH_READY
    } else {
        own_paths::HEALTH_LIVE
    };
    let server = reachable(listen);
    match status(server, path) {
        Ok(200) => Exit::Success,
        Ok(status) => {
            say(&format!("{path} answered {status}"));
            Exit::Unhealthy
        }
        Err(error) => {
            say(&format!(
                "{path} does not answer at {server}: {}; start the server, with the same HOST and PORT",
                Outage::of(&error)
            ));
            Exit::Unhealthy
        }
    }
}

/// The address at which a listener on all addresses is reached from the same machine.
pub(super) fn reachable(listen: SocketAddr) -> SocketAddr {
    let address = match listen.ip() {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    };
    SocketAddr::new(address, listen.port())
}

/// The status of an answer to `GET path`. Blocks.
pub(super) fn status(server: SocketAddr, path: &str) -> std::io::Result<u16> {
    answer(server, path, 0).map(|(status, _)| status)
}

/// The same, with up to `most` further bytes of the answer.
pub(super) fn answer(server: SocketAddr, path: &str, most: u64) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&server, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )?;
    // `HTTP/1.1 200` is enough.
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    let text = std::str::from_utf8(&head).unwrap_or_default();
    let status = text.rsplit(' ').next().and_then(|status| status.parse().ok());
    let status = status.ok_or(std::io::ErrorKind::InvalidData)?;
    let mut rest = Vec::new();
    // An answer that breaks off is not ours either.
    let _ = stream.take(most).read_to_end(&mut rest);
    Ok((status, String::from_utf8_lossy(&rest).into_owned()))
}
