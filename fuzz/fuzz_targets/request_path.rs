//! The path that is authorised is the path that the API receives.

#![no_main]
#![expect(clippy::unwrap_used, reason = "a finding says so by panicking")]

use std::sync::LazyLock;

use bff::gateway::{NormalPath, Routes, fuzzing::sent};
use http::Uri;
use libfuzzer_sys::fuzz_target;
use url::Url;

static ROUTES: LazyLock<Routes> = LazyLock::new(|| {
    let yaml = "
services:
  a: { base_url: 'http://a:8080' }
  b: { base_url: 'http://b:8080/base/' }
routes:
  - { id: public, path: /public/*, target_service: a, preserve_path: true, auth: none }
  - { id: admin, path: /admin/*, target_service: a, preserve_path: true }
  - { id: moved, path: /moved/*, target_service: b, upstream_path: '/v1/{path}' }
";
    Routes::parse(yaml).unwrap()
});

fuzz_target!(|data: &[u8]| {
    // Only bytes that a request line can contain.
    let Ok(target) = Uri::try_from(data.to_vec()) else {
        return;
    };
    let Ok(path) = NormalPath::parse(target.path()) else {
        return;
    };
    let text = path.as_str();
    assert_eq!(
        NormalPath::parse(text).as_ref(),
        Ok(&path),
        "normalising twice changes it"
    );
    let Some((route, uri)) = sent(&ROUTES, &path, target.query()) else {
        return;
    };
    assert_eq!(uri.query(), target.query());
    if route == "moved" {
        let rest = text.strip_prefix("/moved").unwrap();
        assert_eq!(
            uri.path(),
            format!("/base/v1{rest}"),
            "another path is sent than was matched"
        );
    } else {
        assert_eq!(uri.path(), text, "another path is sent than was matched");
        assert!(
            text.strip_prefix('/')
                .is_some_and(|rest| rest.starts_with(&route))
        );
    }
    // A URL library, and a reader that decodes before splitting into segments, see the same resource.
    let again = Url::parse(&uri.to_string()).unwrap();
    assert_eq!(again.path(), uri.path());
    let decoded = percent_decode(uri.path());
    assert!(
        decoded
            .split(|byte| *byte == b'/')
            .all(|segment| segment != b".." && segment != b".")
    );
    assert!(!decoded.contains(&b'\\') && decoded.iter().all(|byte| !byte.is_ascii_control()));
    let segments = |bytes: &[u8]| bytes.split(|byte| *byte == b'/').count();
    assert_eq!(segments(&decoded), segments(uri.path().as_bytes()));
});

fn percent_decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let hex = text
            .get(at + 1..at + 3)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (bytes[at], hex) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                at += 3;
            }
            (byte, _) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    decoded
}
