//! The usual ports, or free ones where those are taken.

use std::{io, net::SocketAddr};

use tokio::net::TcpListener;

/// This many ports after the usual one are tried in order. A second start beside the same other program finds the
/// same port, and with it the state of the first.
const TRIES: u16 = 10;

/// A listener on this machine: on `usual`, or if that is taken on one of the next ports, or on one that the system
/// picks.
pub(crate) async fn listen(usual: u16) -> io::Result<TcpListener> {
    let on = |port| TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port)));
    if usual != 0 {
        for port in usual..usual.saturating_add(TRIES) {
            match on(port).await {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                listener => return listener,
            }
        }
    }
    on(0).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_gives_way_to_the_same_one_each_time() {
        let taken = listen(0).await.unwrap();
        let usual = taken.local_addr().unwrap().port();
        // Another program may take or leave one of the ports between two of our steps.
        for _ in 0..20 {
            let first = listen(usual).await.unwrap().local_addr().unwrap().port();
            assert_ne!(first, usual);
            let second = listen(usual).await.unwrap().local_addr().unwrap().port();
            // With no free port among the next ones the system picks one, each time another one.
            if first == second || !(usual..usual.saturating_add(TRIES)).contains(&first) {
                return;
            }
        }
        panic!("never the same port twice");
    }
}
