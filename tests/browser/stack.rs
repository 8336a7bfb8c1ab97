//! The development stack, as `devstack` starts it, on free ports and with access tokens that live less long.

use std::time::Duration;

use bff::clock::{Clock as _, SystemClock};
use devstack::stack::{Options, Overrides, Stack};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::tokens::Tokens;

/// They are renewed at half of it.
pub const ACCESS_TOKEN_LIFETIME: Duration = Duration::from_secs(16);

/// A running stack. It ends when it is dropped.
pub struct Running {
    pub issuer: String,
    pub origins: Vec<String>,
    /// Every token that the IdP has issued.
    pub tokens: Tokens,
    shutdown: CancellationToken,
    _state: TempDir,
}

// === impl Running ===

impl Running {
    pub async fn start() -> Self {
        Self::start_with(Overrides::default()).await
    }

    /// The same with replacements.
    pub async fn start_with(overrides: Overrides) -> Self {
        bff::jose::install_crypto();
        let state = tempfile::tempdir().unwrap();
        let options = Options {
            state: state.path().to_owned(),
            access_token_lifetime: ACCESS_TOKEN_LIFETIME,
            ports: (0, 0),
        };
        let stack = Stack::prepare_with(options, overrides)
            .await
            .unwrap_or_else(|error| panic!("the stack does not start: {error}"));
        let running = Self {
            issuer: stack.issuer.clone(),
            origins: stack.origins.clone(),
            tokens: Tokens::of(&stack.idp),
            shutdown: CancellationToken::new(),
            _state: state,
        };
        let health = stack.health();
        tokio::spawn(stack.serve(running.shutdown.clone()));
        for _ in 0..600 {
            if health.report().ready {
                return running;
            }
            SystemClock.sleep(Duration::from_millis(50)).await;
        }
        panic!("the bff does not become ready: {:?}", health.report());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}
