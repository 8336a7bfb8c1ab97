//! Why another server gave no answer, in our own words.
//!
//! An [`Outage`] is found by the types of the causes of an error and by the codes in them, never by their texts.
//! The texts of libraries go to the log at the level debug.

mod tunnel;

#[cfg(test)]
pub(crate) mod testing;

use std::{
    error::Error,
    fmt::Write as _,
    io,
    net::{IpAddr, SocketAddr},
};

pub use self::tunnel::TunnelFailure;

/// Longer causes are cut, in bytes.
const MAX_CAUSES: usize = 300;

/// Why there is no answer. Its `Display` continues "cannot connect: …" and "the connection broke: …".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Outage {
    /// The name has no address.
    #[error("its name has no address; DNS does not know it, or does not answer")]
    NoAddress,
    /// Nothing listens at the port.
    #[error("connection refused, nothing listens there")]
    Refused,
    /// There is no such Unix socket.
    #[error("the socket does not exist")]
    NoSocket,
    /// No packet gets there.
    #[error("no route leads there")]
    NoRoute,
    /// This machine forbids it.
    #[error("this machine does not permit the connection")]
    NotPermitted,
    /// Nothing has come in time.
    #[error("no answer in time")]
    TimedOut,
    /// The other side has ended the connection.
    #[error("the other side has ended the connection")]
    Ended,
    /// The answer stops in the middle, or has not begun.
    #[error("the other side has closed the connection before the end of its answer")]
    Unfinished,
    /// The answer is in another protocol.
    #[error("the answer is not HTTP")]
    NotHttp,
    /// The other side does not speak HTTP/2.
    #[error("the answer is not HTTP/2")]
    NotHttp2,
    /// This machine, not the other one, has run out of something.
    #[error("this machine has no open files, ports or memory left")]
    Shortage,
    /// Nothing is known.
    #[error("the connection failed; the log at the level debug shows what the library says")]
    Unknown,
}

/// A name without an address. Its source is the error of the operating system.
#[derive(Debug, thiserror::Error)]
#[error("{}", Outage::NoAddress)]
pub struct NoAddress(#[source] io::Error);

/// The addresses of `host`, with `port`.
///
/// # Errors
///
/// [`NoAddress`]. The operating system reports it without a code, so that it could not be told from other errors later.
pub async fn addresses(host: &str, port: u16) -> Result<Vec<SocketAddr>, NoAddress> {
    // A host in a URL may be an IPv6 address in brackets.
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if let Ok(address) = bare.unwrap_or(host).parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let found = tokio::net::lookup_host((host, port)).await;
    found.map(Iterator::collect).map_err(NoAddress)
}

/// An error with all its causes, the innermost last.
pub fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| next(*error))
}

/// The cause of `error`. An `io::Error` omits the wrapped error from its own causes.
fn next<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    match wrapped {
        Some(inner) => Some(inner as &(dyn Error + 'static)),
        None => error.source(),
    }
}

/// The words of the libraries for `error`, in one bounded line, for the log at the level debug.
#[must_use]
pub fn causes(error: &(dyn Error + 'static)) -> String {
    let mut line = String::new();
    let mut last = String::new();
    for cause in chain(error) {
        let text = cause.to_string();
        // Wrappers often repeat the text of the wrapped error.
        if text != last {
            let separator = if line.is_empty() { "" } else { ": " };
            let _ = write!(line, "{separator}{text}");
        }
        last = text;
    }
    line.retain(|character| !character.is_control());
    line.truncate(line.floor_char_boundary(MAX_CAUSES));
    line
}

/// The meaning of an error of the operating system, if it has one here.
fn of_system(error: &io::Error) -> Option<Outage> {
    const EADDRNOTAVAIL: i32 = 99;
    const EMFILE: i32 = 24;
    const ENFILE: i32 = 23;
    const ENOBUFS: i32 = 105;
    if matches!(
        error.raw_os_error(),
        Some(EADDRNOTAVAIL | EMFILE | ENFILE | ENOBUFS)
    ) {
        return Some(Outage::Shortage);
    }
    Some(match error.kind() {
        io::ErrorKind::ConnectionRefused => Outage::Refused,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown => {
            Outage::NoRoute
        }
        // The operating system says so of no other connection.
        io::ErrorKind::NotFound => Outage::NoSocket,
        io::ErrorKind::PermissionDenied => Outage::NotPermitted,
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Outage::TimedOut,
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::NotConnected => Outage::Ended,
        io::ErrorKind::UnexpectedEof => Outage::Unfinished,
        io::ErrorKind::OutOfMemory => Outage::Shortage,
        _ => return None,
    })
}

fn of_http(error: &hyper::Error) -> Option<Outage> {
    if error.is_incomplete_message() {
        Some(Outage::Unfinished)
    } else if error.is_parse() {
        Some(Outage::NotHttp)
    } else if error.is_timeout() {
        Some(Outage::TimedOut)
    } else if error.is_closed() || error.is_canceled() {
        Some(Outage::Ended)
    } else {
        None
    }
}

fn of_http2(error: &h2::Error) -> Outage {
    if let Some(error) = error.get_io() {
        return of_system(error).unwrap_or(Outage::Ended);
    }
    // This side says so of frames that it does not understand.
    match error.reason() {
        Some(h2::Reason::PROTOCOL_ERROR | h2::Reason::FRAME_SIZE_ERROR) if !error.is_remote() => {
            Outage::NotHttp2
        }
        _ => Outage::Ended,
    }
}

// === impl Outage ===

impl Outage {
    /// The meaning of `error`: that of its innermost cause that has one.
    #[must_use]
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        chain(error)
            .filter_map(|cause| {
                if cause.is::<NoAddress>() {
                    return Some(Self::NoAddress);
                }
                cause
                    .downcast_ref()
                    .and_then(of_system)
                    .or_else(|| cause.downcast_ref().and_then(of_http))
                    .or_else(|| cause.downcast_ref().map(of_http2))
            })
            .last()
            .unwrap_or(Self::Unknown)
    }
}

#[cfg(test)]
mod tests;
