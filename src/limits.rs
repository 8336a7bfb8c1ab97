//! Rate limits: how often something may happen.
//!
//! The generic cell rate algorithm: a caller has one number, the time at which its allowance is whole again. Each use
//! moves that time by one interval. A use that would move it further than the burst ahead of now is refused. The same
//! algorithm runs in this process ([`Buckets`]) and in the state that replicas share ([`Meter`]).

mod buckets;
mod rate;

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use self::buckets::Buckets;
pub use self::rate::{HOW, Rate, RateError};
use crate::{
    clock::SharedClock,
    retry::{Backoff, Breaker, BreakerOptions},
    seal::{Purpose, Sealer},
    shared::{Meter, SharedError, Taken},
};

/// The shared state is left alone for so long after it has failed once.
const SPARED: BreakerOptions = BreakerOptions {
    failures: 1,
    pauses: Backoff {
        first: Duration::from_secs(1),
        longest: Duration::from_secs(5),
    },
    trials: 1,
};

/// Whose allowance is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose<'a> {
    /// Of one address; in IPv6 of its network of 64 bits, which is what one client has.
    Address(IpAddr),
    /// Of one session, by its key.
    Session(&'a [u8]),
    /// Of all callers together.
    All,
}

/// The rest of an allowance after a use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// How many more uses are possible at once.
    pub left: u32,
    /// When all of it is there again.
    pub whole_in: Duration,
}

/// A refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// When one more use is possible.
    pub after: Duration,
    /// The rate that was exceeded.
    pub rate: Rate,
}

/// Counts uses. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Limiter(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    buckets: Buckets,
    meter: Option<Arc<dyn Meter>>,
    /// Over all uses of the meter.
    breaker: Breaker,
    is_down: AtomicBool,
    sealer: Sealer,
    clock: SharedClock,
}

// === impl Limiter ===

impl Limiter {
    /// Counts in this process, and with `meter` over all replicas.
    #[must_use]
    pub fn new(meter: Option<Arc<dyn Meter>>, sealer: Sealer, clock: SharedClock) -> Self {
        Self(Arc::new(Inner {
            buckets: Buckets::default(),
            meter,
            breaker: Breaker::new(SPARED),
            is_down: AtomicBool::new(false),
            sealer,
            clock,
        }))
    }

    /// One use of the allowance of `whose` for `what`; the rest of it.
    ///
    /// # Errors
    ///
    /// [`Refused`]: the allowance is used up. The use does not count.
    pub async fn take(&self, what: &str, whose: Whose<'_>, rate: Rate) -> Result<Allowance, Refused> {
        let inner = &*self.0;
        let name = inner.name(what, whose, rate);
        let now = inner.clock.now();
        // The own count is never higher than that of all replicas, so that a flood ends here.
        let own = verdict(rate, inner.buckets.take(name, rate, now))?;
        let Some(meter) = &inner.meter else { return Ok(own) };
        if inner.breaker.check(now).is_err() {
            return Ok(own);
        }
        let text = URL_SAFE_NO_PAD.encode(name);
        match meter.take(&text, rate.interval(), rate.tolerance()).await {
            Ok(taken) => {
                inner.works();
                verdict(rate, taken)
            }
            Err(error) => {
                inner.fails(&error);
                Ok(own)
            }
        }
    }
}

// === impl Inner ===

impl Inner {
    /// A name that tells nothing of an address or a session. Another rate is another count.
    fn name(&self, what: &str, whose: Whose<'_>, rate: Rate) -> [u8; 16] {
        let (kind, value) = match whose {
            Whose::Address(address) => (b'a', network(address).to_string().into_bytes()),
            Whose::Session(key) => (b's', key.to_vec()),
            Whose::All => (b'r', Vec::new()),
        };
        let mut data = vec![kind];
        for part in [what.as_bytes(), rate.to_string().as_bytes(), &value] {
            data.extend_from_slice(part);
            data.push(0);
        }
        let mut name = [0; 16];
        name.copy_from_slice(&self.sealer.mac(Purpose::RateLimit, &data)[..16]);
        name
    }

    fn works(&self) {
        self.breaker.success();
        if self.is_down.swap(false, Ordering::Relaxed) {
            tracing::info!("rate limits count over all replicas again");
        }
    }

    fn fails(&self, error: &SharedError) {
        self.breaker.failure(self.clock.now());
        if !self.is_down.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %error,
                "rate limits cannot be counted over all replicas, so that each replica counts alone"
            );
        }
    }
}

fn verdict(rate: Rate, taken: Taken) -> Result<Allowance, Refused> {
    match taken {
        Taken::Allowed(whole_in) => Ok(Allowance {
            left: rate.left(whole_in),
            whole_in,
        }),
        Taken::Refused(after) => Err(Refused { after, rate }),
    }
}

/// The unit that counts as one address.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        IpAddr::V4(address) => address.into(),
    }
}

#[cfg(test)]
mod tests;
