//! Servers that give no answer, and the words that only libraries and the operating system use for that. The integration
//! tests use this very file.

use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    thread,
};

/// The behaviour of a server for all connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Does {
    /// Nothing listens.
    Refuse,
    /// Resets it when something comes.
    Reset,
    /// Closes it when something has come.
    Close,
    /// Answers in another protocol: an alert of TLS.
    Alert,
}

/// A server that does this with every connection, as long as the process lives.
pub(crate) fn server(does: Does) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    if does != Does::Refuse {
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || handle(stream, does));
            }
        });
    }
    address
}

fn handle(mut stream: TcpStream, does: Does) {
    // A connection that is closed while something is unread is reset (RFC 1122 section 4.2.2.13).
    let _ = stream.peek(&mut [0; 1]);
    if does == Does::Reset {
        return;
    }
    let _ = stream.read(&mut [0; 16 * 1024]);
    if does == Does::Alert {
        let _ = stream.write_all(b"\x15\x03\x01\x00\x02\x02\x0a\r\n");
    }
    // The client may send more than one piece, and a reset would overtake the answer.
    let _ = stream.shutdown(Shutdown::Write);
    let _ = io::copy(&mut stream, &mut io::sink());
}

const FOREIGN: [&str; 16] = [
    "client error",
    "connect error",
    "connection error",
    "dns error",
    "failed to lookup",
    "error sending request",
    "error decoding",
    "os error",
    "Connection refused",
    "Connection reset",
    "message completed",
    "invalid peer certificate",
    "tunnel error",
    "io error",
    "body error",
    "error reading",
];

/// Expects our own words only.
#[track_caller]
pub(crate) fn in_our_words(text: &str) {
    for foreign in FOREIGN {
        assert!(!text.contains(foreign), "{foreign:?} in {text}");
    }
}
