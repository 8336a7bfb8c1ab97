//! A WebSocket: the head of a handshake, and the frames of each direction, in any pieces.

#![no_main]

use bff::gateway::fuzzing::{frames, handshake};
use http::Request;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&choice, rest)) = data.split_first() else {
        return;
    };
    if choice & 0x80 == 0 {
        read_frames(choice, rest);
    } else {
        read_handshake(choice, rest);
    }
});

/// The output does not depend on the pieces, and is a beginning of the input.
fn read_frames(choice: u8, input: &[u8]) {
    let (of_client, is_extended) = (choice & 1 != 0, choice & 2 != 0);
    let whole = frames(of_client, is_extended, input, input.len().max(1));
    let size = usize::from(choice >> 2 & 0x1f) + 1;
    let pieces = frames(of_client, is_extended, input, size);
    assert_eq!(whole, pieces, "the pieces change the meaning");
    let (passed, _) = whole;
    assert!(input.starts_with(&passed), "something else passes than came");
}

/// Lines of a head. A handshake that is accepted asks the service for nothing that was not a list of names.
fn read_handshake(choice: u8, input: &[u8]) {
    let mut request = Request::get("/");
    for line in input.split(|byte| *byte == b'\n') {
        let Some(at) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let (name, value) = (&line[..at], &line[at + 1..]);
        request = request.header(name, value);
    }
    let Ok(request) = request.body(()) else {
        return;
    };
    let prefix = (choice & 1 != 0).then_some("bearer.");
    let Some(sent) = handshake(request, prefix) else {
        return;
    };
    assert!(sent.get_all("sec-websocket-key").iter().count() == 1);
    assert!(sent.get_all("sec-websocket-protocol").iter().count() <= 1);
    let Some(offered) = sent.get("sec-websocket-protocol") else {
        return;
    };
    let offered = String::from_utf8_lossy(offered.as_bytes()).into_owned();
    let secret = offered
        .split(", ")
        .filter(|protocol| protocol.to_ascii_lowercase().starts_with("bearer."));
    if prefix.is_some() {
        assert!(
            secret.eq(["bearer.our-token"]),
            "the client has added a token: {offered}"
        );
    }
}
