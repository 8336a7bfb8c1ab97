//! Notifications to the service manager (`sd_notify(3)`): when the server listens, its state, when it stops.
//!
//! systemd names a socket in `NOTIFY_SOCKET` for a unit of `Type=notify`. Without the variable nothing is sent.

use std::{
    ffi::OsStr,
    io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{SocketAddr, UnixDatagram},
        },
    },
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use crate::{
    clock::SharedClock,
    config::Environment,
    health::{Health, Status},
};

/// The interval at which the state is checked.
const LOOK: Duration = Duration::from_secs(1);

/// The service manager.
#[derive(Debug)]
pub(super) struct ServiceManager {
    socket: UnixDatagram,
    address: SocketAddr,
}

// === impl ServiceManager ===

impl ServiceManager {
    /// The socket that `NOTIFY_SOCKET` names. `None` without one; also, with a warning, if it is unusable.
    pub(super) fn of(environment: &Environment) -> Option<Self> {
        let name = environment.get("NOTIFY_SOCKET").filter(|name| !name.is_empty())?;
        match Self::at(name) {
            Ok(manager) => Some(manager),
            Err(error) => {
                tracing::warn!(
                    "NOTIFY_SOCKET is unusable, so the service manager gets no notifications: {error}"
                );
                None
            }
        }
    }

    fn at(name: &OsStr) -> io::Result<Self> {
        let address = match name.as_bytes() {
            // A socket without a file.
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            _ => SocketAddr::from_pathname(name)?,
        };
        let socket = UnixDatagram::unbound()?;
        // A manager that does not read must not block the server.
        socket.set_nonblocking(true)?;
        Ok(Self { socket, address })
    }

    /// The server listens. What it waits for then is in the status: a unit that waits for the identity provider would be
    /// ended after `TimeoutStartSec`.
    pub(super) fn listens(&self) {
        self.say("READY=1\nSTATUS=listening");
    }

    /// Reports the state until the server is `asked` to stop, and then that it stops.
    pub(super) async fn follow(self, health: Health, clock: SharedClock, asked: CancellationToken) {
        let mut said = String::new();
        loop {
            let status = status(&health);
            if status != said {
                self.say(&format!("STATUS={status}"));
                said = status;
            }
            tokio::select! {
                () = clock.sleep(LOOK) => {}
                () = asked.cancelled() => {
                    self.say("STOPPING=1\nSTATUS=stopping");
                    return;
                }
            }
        }
    }

    fn say(&self, message: &str) {
        if let Err(error) = self.socket.send_to_addr(message.as_bytes(), &self.address) {
            tracing::debug!("the service manager was not notified: {error}");
        }
    }
}

/// The state of the server, in one line.
fn status(health: &Health) -> String {
    let report = health.report();
    let reasons: Vec<String> = report
        .components
        .iter()
        .filter_map(|(_, status)| match status {
            Status::Ok => None,
            Status::Pending { reason } | Status::Degraded { reason } => Some(reason.replace('\n', " ")),
        })
        .collect();
    let state = match (report.ready, report.degraded) {
        (true, false) => return "ready".to_owned(),
        (true, true) => "ready, degraded",
        (false, _) => "not ready",
    };
    format!("{state}: {}", reasons.join("; "))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        clock::{ManualClock, Timestamp},
        health::Component,
    };

    async fn heard(socket: &UnixDatagram) -> String {
        socket.set_nonblocking(true).unwrap();
        let mut message = [0; 4096];
        for _ in 0..1_000 {
            if let Ok(length) = socket.recv(&mut message) {
                return String::from_utf8(message[..length].to_vec()).unwrap();
            }
            tokio::task::yield_now().await;
        }
        panic!("nothing is said");
    }

    #[tokio::test]
    async fn the_manager_hears_of_the_start_of_changes_and_of_the_stop() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let environment: Environment = [("NOTIFY_SOCKET", path.as_os_str())].into_iter().collect();
        let manager = ServiceManager::of(&environment).unwrap();
        manager.listens();
        assert_eq!(heard(&socket).await, "READY=1\nSTATUS=listening");

        let (health, shutdown) = (Health::new(), CancellationToken::new());
        health.ok(Component::Keys);
        health.ok(Component::Store);
        health.ok(Component::Credentials);
        health.ok(Component::Replicas);
        health.failing(Component::Discovery, "the IdP\nis down");
        let clock = ManualClock::starting_at(Timestamp::from_unix_seconds(1_000));
        let following =
            tokio::spawn(manager.follow(health.clone(), Arc::new(clock.clone()), shutdown.clone()));
        assert_eq!(heard(&socket).await, "STATUS=not ready: the IdP is down");
        health.ok(Component::Discovery);
        clock.advance(LOOK);
        assert_eq!(heard(&socket).await, "STATUS=ready");
        shutdown.cancel();
        following.await.unwrap();
        assert!(heard(&socket).await.starts_with("STOPPING=1\n"));
    }

    #[tokio::test]
    async fn a_socket_may_have_no_file_and_without_one_nothing_is_said() {
        let name = format!("bff-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        let environment: Environment = [("NOTIFY_SOCKET", format!("@{name}"))].into_iter().collect();
        ServiceManager::of(&environment).unwrap().listens();
        assert!(heard(&socket).await.starts_with("READY=1"));
        for nothing in [vec![], vec![("NOTIFY_SOCKET", "")]] {
            assert!(ServiceManager::of(&nothing.into_iter().collect()).is_none());
        }
    }
}
