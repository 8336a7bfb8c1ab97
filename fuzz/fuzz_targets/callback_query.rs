//! The query with which an IdP, or an attacker, sends a browser to `/auth/callback`.

#![no_main]
#![expect(clippy::unwrap_used, reason = "a finding says so by panicking")]

use http::{Request, Uri};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(uri) = Uri::try_from([b"/auth/callback?", data].concat()) else {
        return;
    };
    let (request, ()) = Request::get(uri).body(()).unwrap().into_parts();
    if bff::web::fuzzing::callback(&request) {
        // The view of another reader: no relevant parameter comes twice.
        let query = request.uri.query().unwrap_or_default();
        for name in ["code", "state", "iss", "error"] {
            let count = url::form_urlencoded::parse(query.as_bytes())
                .filter(|(key, _)| key == name)
                .count();
            assert!(count <= 1, "{name} comes {count} times");
        }
    }
});
