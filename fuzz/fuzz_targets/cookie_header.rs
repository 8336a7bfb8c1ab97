//! The `Cookie` header of a browser, and the part of it that reaches an API.

#![no_main]
#![expect(clippy::unwrap_used, reason = "a finding says so by panicking")]

use std::sync::LazyLock;

use bff::session::{CookieOptions, CookiePolicy, MAX_LOGIN_COOKIES, SameSite};
use http::{HeaderMap, HeaderValue, header::COOKIE};
use libfuzzer_sys::fuzz_target;

static POLICIES: LazyLock<[CookiePolicy; 2]> = LazyLock::new(|| {
    [None, Some("app.example".to_owned())].map(|domain| {
        CookiePolicy::new(CookieOptions {
            secure: true,
            domain,
            same_site: SameSite::Lax,
            session_name: None,
            csrf: true,
        })
        .unwrap()
    })
});

fuzz_target!(|data: &[u8]| {
    // A line feed separates header lines.
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n') {
        let Ok(line) = HeaderValue::from_bytes(line) else {
            return;
        };
        headers.append(COOKIE, line);
    }
    for policy in &*POLICIES {
        let _ = policy.session_id(&headers);
        let _ = policy.value(&headers, policy.logout_name());
        let logins = policy.login_cookies(&headers);
        assert!(
            logins
                .iter()
                .all(|login| policy.is_ours(login.name.as_str().as_bytes()))
        );
        assert!(logins.len() <= data.len() + MAX_LOGIN_COOKIES);

        let Some(rest) = policy.strip_ours(&headers) else {
            continue;
        };
        let stripped = HeaderMap::from_iter([(COOKIE, rest.clone())]);
        assert!(
            policy.session_id(&stripped).is_none(),
            "the session reaches an API"
        );
        assert!(policy.value(&stripped, policy.logout_name()).is_none());
        assert!(
            policy.login_cookies(&stripped).is_empty(),
            "an attempt reaches an API"
        );
        // As an API reads it (RFC 6265 section 5.4 backwards), by any separator that one may take.
        for pair in rest.as_bytes().split(|byte| matches!(byte, b';' | b',')) {
            let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
            let name = name.trim_ascii();
            assert!(
                !policy.is_ours(name) || pair.iter().all(|byte| *byte != b'='),
                "a cookie of ours reaches an API"
            );
        }
        assert_eq!(
            policy.strip_ours(&stripped),
            Some(rest),
            "stripping twice changes nothing"
        );
    }
});
