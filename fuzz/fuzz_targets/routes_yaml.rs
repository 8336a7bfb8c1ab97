//! `routes.yaml`: any text is read or refused, and routes that were read take any path.

#![no_main]
#![expect(clippy::unwrap_used, reason = "a finding says so by panicking")]

use bff::gateway::{NormalPath, Routes, fuzzing::sent};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match Routes::parse(text) {
        Ok(routes) => {
            for path in ["/", "/api", "/api/", "/api/x/y", "/a%20b"] {
                let path = NormalPath::parse(path).unwrap();
                if let Some((id, _)) = sent(&routes, &path, Some("q=1")) {
                    assert!(routes.iter().any(|route| route.id() == id));
                }
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
