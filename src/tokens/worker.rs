//! The background loops: renewing due tokens, and removing expired sessions.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Tokens;
use crate::session::Claimed;

/// The loop works on so many times as many sessions as calls to the IdP may run at once: the others are on their way from
/// or to the store meanwhile.
const AHEAD: usize = 3;

/// The interval at which sessions beyond their limits are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// How many sessions one sweep takes at a time.
const SWEEP_BATCH: usize = 256;

impl Tokens {
    /// Renews and sweeps until `shutdown`. [`drain`](Self::drain) then waits for the tasks under way.
    pub async fn run(&self, shutdown: CancellationToken) {
        tokio::join!(
            self.renew_what_is_due(&shutdown),
            self.sweep_what_is_over(&shutdown)
        );
    }

    async fn renew_what_is_due(&self, shutdown: &CancellationToken) {
        let mut under_way = JoinSet::new();
        while !shutdown.is_cancelled() {
            while under_way.try_join_next().is_some() {}
            let at_once = self.inner.options.concurrency;
            let free = at_once.saturating_mul(AHEAD).saturating_sub(under_way.len());
            // A claim costs the store about the same for one session as for many.
            let free = if free >= at_once { free } else { 0 };
            let claimed = self.claim(free).await;
            let more_may_be_due = free > 0 && claimed.len() == free;
            for claimed in claimed {
                let tokens = self.clone();
                under_way.spawn(async move { tokens.fly_claimed(claimed).await });
            }
            tokio::select! {
                () = shutdown.cancelled() => {}
                // Enough is under way: continue when some of it is done.
                _ = under_way.join_next(), if more_may_be_due || free == 0 => {}
                () = self.inner.clock.sleep(self.inner.options.poll), if !more_may_be_due && free > 0 => {}
            }
        }
        // They continue; the code that stops the server waits for them.
        under_way.detach_all();
    }

    async fn claim(&self, limit: usize) -> Vec<Claimed> {
        if limit == 0 {
            return Vec::new();
        }
        match self
            .inner
            .sessions
            .claim_due(limit, self.inner.options.lease)
            .await
        {
            Ok(claimed) => claimed,
            Err(error) => {
                tracing::error!(%error, "the session store failed; no tokens are renewed at the moment");
                Vec::new()
            }
        }
    }

    async fn sweep_what_is_over(&self, shutdown: &CancellationToken) {
        while !shutdown.is_cancelled() {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.inner.clock.sleep(SWEEP_EVERY) => {}
            }
            loop {
                match self.inner.sessions.sweep(SWEEP_BATCH).await {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => {
                        tracing::error!(%error, "the session store failed; expired sessions stay in it");
                        break;
                    }
                }
            }
        }
    }
}
