//! Randomness as a parameter.

use std::{fmt::Debug, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// The source of random bytes: a cryptographically secure generator.
pub trait Random: Debug + Send + Sync + 'static {
    /// Fills `bytes` with random bytes.
    fn fill(&self, bytes: &mut [u8]);
}

/// The generator as every module holds it.
pub type SharedRandom = Arc<dyn Random>;

/// The generator of aws-lc-rs, seeded by the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

/// Helpers that every generator has.
pub trait RandomExt: Random {
    /// `N` random bytes.
    fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// `N` random bytes as base64url without padding: `N = 32` gives 43 characters with 256 bits.
    fn base64url<const N: usize>(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.bytes::<N>())
    }

    /// A number in `0.0..1.0`, for jitter.
    fn fraction(&self) -> f64 {
        f64::from(u32::from_be_bytes(self.bytes::<4>())) / (f64::from(u32::MAX) + 1.0)
    }
}

impl<R: Random + ?Sized> RandomExt for R {}

// === impl SystemRandom ===

impl Random for SystemRandom {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that asks the library's generator"
    )]
    fn fill(&self, bytes: &mut [u8]) {
        if aws_lc_rs::rand::fill(bytes).is_err() {
            // A server that cannot draw secrets must not continue with predictable ones, and no caller could do
            // better.
            tracing::error!("the system's random generator failed; ending the process");
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_differ_and_have_their_length() {
        let (one, two) = (SystemRandom.base64url::<32>(), SystemRandom.base64url::<32>());
        assert_ne!(one, two);
        assert_eq!(one.len(), 43);
    }

    #[test]
    fn fractions_stay_below_one() {
        for _ in 0..1_000 {
            assert!((0.0..1.0).contains(&SystemRandom.fraction()));
        }
    }
}
