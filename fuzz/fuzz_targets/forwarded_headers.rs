//! `Forwarded` and `X-Forwarded-*`: from a stranger they mean nothing, from a proxy no more than it may say.

#![no_main]
#![expect(clippy::unwrap_used, reason = "a finding says so by panicking")]

use std::{net::SocketAddr, sync::LazyLock};

use bff::web::{ForwardedFamily, TrustedProxies, fuzzing::client};
use http::{HeaderName, HeaderValue, Request};
use libfuzzer_sys::fuzz_target;

static PROXIES: LazyLock<[TrustedProxies; 2]> = LazyLock::new(|| {
    [ForwardedFamily::XForwarded, ForwardedFamily::Forwarded].map(|family| {
        let networks = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap());
        TrustedProxies::new(networks.to_vec(), family)
    })
});

const STRANGER: &str = "192.0.2.1:1000";
const PROXY: &str = "10.1.2.3:1000";

fuzz_target!(|data: &[u8]| {
    let mut request = Request::get("/").header("host", "own.example");
    for line in data.split(|byte| *byte == b'\n') {
        let mut halves = line.splitn(2, |byte| *byte == b':');
        let (Some(name), Some(value)) = (halves.next(), halves.next()) else {
            return;
        };
        let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) else {
            return;
        };
        if name != "host" {
            request = request.header(name, value);
        }
    }
    let Ok(request) = request.body(()) else { return };
    let (request, ()) = request.into_parts();

    for proxies in &*PROXIES {
        let stranger: SocketAddr = STRANGER.parse().unwrap();
        let seen = client(proxies, stranger, &request);
        assert_eq!(
            seen,
            (stranger.ip(), "own.example".to_owned(), None),
            "a stranger is believed"
        );

        let proxy: SocketAddr = PROXY.parse().unwrap();
        let (_, host, _) = client(proxies, proxy, &request);
        assert!(host.len() <= data.len() + "own.example".len());
    }
});
