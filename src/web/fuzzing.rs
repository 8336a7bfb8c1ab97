//! Doors for `fuzz/`, which are there in its builds only (`--cfg fuzzing`).

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, request::Parts};

use super::{TrustedProxies, auth, structured};

/// Reads the query of a callback. Whether it is accepted.
#[must_use]
pub fn callback(request: &Parts) -> bool {
    auth::callback::read(request).is_ok()
}

/// Address, host and TLS of the browser behind a request.
#[must_use]
pub fn client(proxies: &TrustedProxies, peer: SocketAddr, request: &Parts) -> (IpAddr, String, Option<bool>) {
    let client = proxies.client(peer, &request.uri, &request.headers);
    (client.address, client.host, client.https)
}

/// Proof and identifier of a browser that binds its session. Also reads the reason for continuing without a proof.
#[must_use]
pub fn device_fields(headers: &HeaderMap) -> [Option<String>; 2] {
    let _reason = structured::skipped(headers);
    [structured::proof(headers), structured::session_id(headers)]
}
