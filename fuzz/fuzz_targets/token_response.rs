//! The answer of a token endpoint.

#![no_main]

use bff::oidc::fuzzing::token_response;
use http::HeaderValue;
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

fuzz_target!(|data: &[u8]| {
    let Ok(document) = serde_json::from_slice::<Map<String, Value>>(data) else {
        return;
    };
    match token_response(&document) {
        Ok(mut tokens) => {
            // Shown, and it may say the same.
            tokens.scope = None;
            let token = tokens.access_token.expose();
            assert!(!token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()));
            assert!(HeaderValue::try_from(format!("Bearer {token}")).is_ok());
            if token.len() > 40 {
                assert!(!format!("{tokens:?}").contains(token), "Debug shows the token");
            }
            // Added to a time without a wrap.
            assert!(!tokens.expires_in.is_zero());
            let later =
                bff::clock::Timestamp::from_unix_seconds(1_800_000_000).saturating_add(tokens.expires_in);
            assert!(later.unix_seconds() > 1_800_000_000);
        }
        Err(error) => assert!(error.to_string().len() < 1_000),
    }
});
