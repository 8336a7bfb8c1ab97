//! One request to the admin socket. Blocks.

use std::{
    io::{self, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    admin::Refusal,
    diagnostic::{Explain, Fix, Knob, fix},
    outage::Outage,
};

/// A longer answer is not the server's, in bytes.
const MAX_ANSWER: u64 = 64 << 20;

/// Why there is no answer, or not the expected one.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// No server answers.
    #[error("{}: {}", .path.display(), why(.cause))]
    NoServer { path: PathBuf, cause: io::Error },
    /// The session store does not answer the server.
    #[error("{0}")]
    NotNow(String),
    /// The session does not exist.
    #[error("{0}")]
    Unknown(String),
    /// The server does not take the request.
    #[error("the server refused: {0}")]
    Refused(String),
    /// The answer is not understood.
    #[error("the answer of the server is not understood: is it of the same version as this command?")]
    Unreadable,
}

/// Why no server answers.
fn why(cause: &io::Error) -> String {
    match cause.kind() {
        io::ErrorKind::PermissionDenied => "this user may not use the socket".to_owned(),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => "no server listens there".to_owned(),
        _ => Outage::of(cause).to_string(),
    }
}

// === impl AskError ===

impl Explain for AskError {
    fn fix(&self) -> Option<Fix> {
        let Self::NoServer { cause, .. } = self else {
            return None;
        };
        Some(match cause.kind() {
            io::ErrorKind::PermissionDenied => fix!("run this as the user of the server, or as root"),
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                fix!("start it, with the same {}", Knob::AdminSocket)
            }
            _ => fix!("look at the log of the server"),
        })
    }
}

/// The body of the answer to a request, which may take `patience`.
pub(super) fn ask(socket: &Path, method: &str, target: &str, patience: Duration) -> Result<String, AskError> {
    let answer = exchange(socket, method, target, patience).map_err(|cause| AskError::NoServer {
        path: socket.to_owned(),
        cause,
    })?;
    let (status, body) = read(&answer).ok_or(AskError::Unreadable)?;
    if status == 200 {
        return Ok(body.to_owned());
    }
    let Refusal { error } = serde_json::from_str(body).map_err(|_| AskError::Unreadable)?;
    Err(match status {
        404 => AskError::Unknown(error),
        503 => AskError::NotNow(error),
        _ => AskError::Refused(error),
    })
}

fn exchange(socket: &Path, method: &str, target: &str, patience: Duration) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    write!(
        stream,
        "{method} {target} HTTP/1.1\r\nHost: bff\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER).read_to_string(&mut answer)?;
    Ok(answer)
}

/// Status and body. The server sends each body whole, with its length.
fn read(answer: &str) -> Option<(u16, &str)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    Some((status, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_its_status_and_its_body() {
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(read(answer), Some((200, "{}")));
        for other in [
            "",
            "HTTP/1.1 200 OK",
            "HTTP/1.0 200 OK\r\n\r\n",
            "HTTP/1.1 2\r\n\r\n",
        ] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
