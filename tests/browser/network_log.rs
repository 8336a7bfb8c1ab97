//! Chromium's own log of its network (`--log-net-log`): every byte of every socket.

use std::{collections::BTreeMap, fs, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

/// The bytes that went through the sockets, each direction in one piece.
pub struct NetworkLog {
    /// The whole log as text: URLs, header fields, cookies.
    text: Vec<u8>,
    sockets: BTreeMap<u64, Socket>,
}

/// One connection.
#[derive(Default)]
pub struct Socket {
    pub sent: Vec<u8>,
    pub received: Vec<u8>,
}

// === impl NetworkLog ===

impl NetworkLog {
    /// Reads the log of a browser that has ended.
    pub fn read(path: &Path) -> Self {
        let text = fs::read(path).unwrap();
        let log: Value = serde_json::from_slice(&text).unwrap();
        let types = &log["constants"]["logEventTypes"];
        let (sent, received) = (&types["SOCKET_BYTES_SENT"], &types["SOCKET_BYTES_RECEIVED"]);
        assert!(sent.is_u64() && received.is_u64());
        let mut sockets: BTreeMap<u64, Socket> = BTreeMap::new();
        for event in log["events"].as_array().unwrap() {
            let direction = &event["type"];
            if direction != sent && direction != received {
                continue;
            }
            let socket = sockets
                .entry(event["source"]["id"].as_u64().unwrap())
                .or_default();
            let way = if direction == sent {
                &mut socket.sent
            } else {
                &mut socket.received
            };
            match event["params"]["bytes"].as_str() {
                Some(bytes) => way.extend(STANDARD.decode(bytes).unwrap()),
                None => assert_eq!(event["params"]["byte_count"], 0, "{event}"),
            }
        }
        Self { text, sockets }
    }

    /// The log as it was written.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The connections.
    pub fn sockets(&self) -> impl Iterator<Item = &Socket> {
        self.sockets.values()
    }
}
