//! The server under systemd, played by a socket.

use std::{fs, os::unix::net::UnixDatagram, path::Path};

use bff::registration::ErrorKind;

use crate::support::{Process, Stack, pause};

/// The notifications to the service manager until `text`.
async fn hears(socket: &UnixDatagram, text: &str) -> Vec<String> {
    socket.set_nonblocking(true).unwrap();
    let (mut messages, mut buffer) = (Vec::new(), [0; 4096]);
    for _ in 0..15_000 {
        match socket.recv(&mut buffer) {
            Ok(length) => {
                messages.push(String::from_utf8(buffer[..length].to_vec()).unwrap());
                if messages.last().unwrap().contains(text) {
                    return messages;
                }
            }
            Err(_) => pause().await,
        }
    }
    panic!("no {text:?} in {messages:?}");
}

/// Listening, ready, stopping.
#[tokio::test]
async fn the_service_manager_learns_of_each_state() {
    let stack = Stack::builder().without_server().start_without_waiting().await;
    let path = stack.folder().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let mut variables = stack.variables.clone();
    variables.push(("NOTIFY_SOCKET".to_owned(), path.display().to_string()));
    let bff = Process::start(&stack.folder(), &[], &variables);
    let first = hears(&socket, "STATUS").await;
    assert_eq!(
        first,
        ["READY=1\nSTATUS=listening"],
        "it listens, and may wait for the IdP"
    );
    let messages = hears(&socket, "STATUS=ready").await;
    assert!(
        !messages.iter().any(|message| message.contains("READY=1")),
        "{messages:?}"
    );
    bff.terminate();
    hears(&socket, "STOPPING=1").await;
    bff.ended().await.says(0, &[]);
}

/// Not after the delay.
#[tokio::test]
async fn the_service_manager_learns_of_the_stop_at_once() {
    let stack = Stack::builder().without_server().start_without_waiting().await;
    let path = stack.folder().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let mut variables = stack.variables.clone();
    variables.push(("NOTIFY_SOCKET".to_owned(), path.display().to_string()));
    variables.push(("SHUTDOWN_DELAY".to_owned(), "10m".to_owned()));
    let bff = Process::start(&stack.folder(), &[], &variables);
    hears(&socket, "STATUS=ready").await;
    bff.terminate();
    hears(&socket, "STOPPING=1").await;
    // It still waits; the second signal ends it at once.
    bff.terminate();
    bff.ended().await.says(130, &[]);
}

/// A code that needs a person causes no restart.
#[test]
fn the_unit_restarts_nothing_that_a_person_has_to_mend() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/bff.service");
    let unit = fs::read_to_string(unit).unwrap();
    let codes = unit
        .lines()
        .find_map(|line| line.strip_prefix("RestartPreventExitStatus="))
        .unwrap();
    let codes: Vec<u8> = codes.split(' ').map(|code| code.parse().unwrap()).collect();
    for kind in [ErrorKind::Configuration, ErrorKind::Refused] {
        assert!(codes.contains(&kind.exit_code()), "{kind:?}");
    }
    assert!(!codes.contains(&ErrorKind::Unreachable.exit_code()));
    for line in [
        "Type=notify",
        "Restart=on-failure",
        "DynamicUser=yes",
        "ProtectSystem=strict",
    ] {
        assert!(unit.lines().any(|found| found == line), "{line}");
    }
}
