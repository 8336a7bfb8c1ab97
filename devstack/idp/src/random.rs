//! Random identifiers and tokens.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// 256 random bits, base64url: for everything that must not be guessed.
pub(crate) fn token() -> String {
    encoded::<32>()
}

/// 128 random bits, base64url: for identifiers that only have to be unique.
pub(crate) fn id() -> String {
    encoded::<16>()
}

fn encoded<const N: usize>() -> String {
    let mut bytes = [0_u8; N];
    if aws_lc_rs::rand::fill(&mut bytes).is_err() {
        // Without random numbers nothing here is safe, and no caller could do anything better.
        std::process::abort();
    }
    URL_SAFE_NO_PAD.encode(bytes)
}
