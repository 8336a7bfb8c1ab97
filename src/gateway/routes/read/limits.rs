//! The keys that bound what a service or a route takes. A wrong value counts as absent: its mistake is noted.

use std::time::Duration;

use super::{
    super::{
        Policy,
        limits::{MaxBody, RateLimits},
    },
    mistakes::{Fields, Reader, SHORTEST, shown},
};
use crate::{
    limits::{self, Rate},
    retry::{Backoff, BreakerOptions},
    size,
    yaml::{Node, Value},
};

const MAX_BODY_FIX: &str = "write a size, as in max_body: 10MiB, or unlimited; 0 takes no body at all";
const RATE_LIMIT_FIX: &str =
    "write rates, as in rate_limit: { per_session: 20/s, per_address: { rate: 100/m, burst: 20 } }";
const MAX_RESET: Duration = Duration::from_hours(1);

// === impl Reader ===

impl Reader<'_> {
    /// `max_body`, if it is there.
    pub(super) fn max_body(&mut self, fields: &Fields<'_>) -> Option<MaxBody> {
        self.longest(fields, "max_body", MAX_BODY_FIX)
    }

    /// A size or `unlimited`, if it is there.
    pub(super) fn longest(&mut self, fields: &Fields<'_>, key: &str, fix: &'static str) -> Option<MaxBody> {
        let node = fields.get(key)?;
        let what = format!("{key} of {}", fields.what);
        let text = self.text(node, &what)?;
        if text == "unlimited" {
            return Some(MaxBody::Unlimited);
        }
        match size::parse(text) {
            Ok(bytes) => Some(MaxBody::Bytes(bytes)),
            Err(error) => {
                self.mistake(
                    node.at(),
                    format!("{what} is {}, which {error}", shown(text)),
                    fix,
                );
                None
            }
        }
    }

    /// `breaker`, if it is there.
    pub(super) fn breaker(&mut self, fields: &Fields<'_>) -> Option<BreakerOptions> {
        let node = fields.get("breaker")?;
        let before = self.mistakes.len();
        let what = format!("breaker of {}", fields.what);
        let fields = self.fields(node, what.clone(), &["threshold", "reset", "half_open"])?;
        let mut count = |key: &str, default: u32, most: u32| match fields.get(key) {
            None => Some(default),
            Some(node) => self.count(node, &format!("{key} in {what}"), most),
        };
        let (failures, trials) = (count("threshold", 5, 1_000), count("half_open", 1, 100));
        let reset = match fields.get("reset") {
            None => Some(Duration::from_mins(1)),
            Some(node) => self.reset(node, &format!("reset in {what}")),
        };
        if self.mistakes.len() > before {
            return None;
        }
        let reset = reset?;
        Some(BreakerOptions {
            failures: failures?,
            pauses: Backoff {
                first: reset,
                longest: reset,
            },
            trials: trials?,
        })
    }

    /// `concurrency`, if it is there.
    pub(super) fn concurrency(&mut self, fields: &Fields<'_>) -> Option<u32> {
        let node = fields.get("concurrency")?;
        let what = format!("concurrency of {}", fields.what);
        self.count(node, &what, 1_000_000)
    }

    /// `rate_limit`; no rates without it.
    pub(super) fn rate_limits(&mut self, fields: &Fields<'_>, policy: Option<&Policy>) -> RateLimits {
        const KEYS: [&str; 3] = ["per_address", "per_session", "per_route"];
        let Some(node) = fields.get("rate_limit") else {
            return RateLimits::default();
        };
        let before = self.mistakes.len();
        let what = format!("rate_limit of {}", fields.what);
        let Some(fields) = self.fields(node, what.clone(), &KEYS) else {
            return RateLimits::default();
        };
        let [per_address, per_session, per_route] =
            KEYS.map(|key| self.rate(fields.get(key)?, &format!("{key} in {what}")));
        if KEYS.iter().all(|key| fields.get(key).is_none()) && self.mistakes.len() == before {
            self.mistake(node.at(), format!("{what} names no rate"), RATE_LIMIT_FIX);
        }
        if let Some(node) = fields.get("per_session")
            && let Some(auth @ ("none" | "bearer")) = policy.map(|policy| policy.auth.word())
        {
            self.mistake(
                node.at(),
                format!("per_session in {what} has no effect with auth: {auth}"),
                "remove it, or write per_address",
            );
        }
        RateLimits {
            per_address,
            per_session,
            per_route,
        }
    }

    /// `20/s`, or `{ rate: 20/s, burst: 40 }`.
    fn rate(&mut self, node: &Node, what: &str) -> Option<Rate> {
        if !matches!(node.value, Value::Map(_)) {
            return self.plain_rate(node, what);
        }
        let fields = self.fields(node, what.to_owned(), &["rate", "burst"])?;
        let rate = self
            .required(&fields, "rate", "how often, as in rate: 20/s")
            .and_then(|node| self.plain_rate(node, &format!("rate in {what}")));
        let burst = match fields.get("burst") {
            None => None,
            Some(node) => Some(self.count(node, &format!("burst in {what}"), Rate::MAX_BURST)?),
        };
        let rate = rate?;
        Some(burst.map_or(rate, |burst| rate.with_burst(burst)))
    }

    fn plain_rate(&mut self, node: &Node, what: &str) -> Option<Rate> {
        let text = self.text(node, what)?;
        match Rate::parse(text) {
            Ok(rate) => Some(rate),
            Err(error) => {
                self.mistake(
                    node.at(),
                    format!("{what} is {}, which {error}", shown(text)),
                    limits::HOW,
                );
                None
            }
        }
    }

    fn reset(&mut self, node: &Node, what: &str) -> Option<Duration> {
        self.time(node, what, SHORTEST..=MAX_RESET, "write 1ms to 1h, as in 60s")
    }

    /// A whole number from 1 to `most`.
    pub(super) fn count(&mut self, node: &Node, what: &str, most: u32) -> Option<u32> {
        let text = self.text(node, what)?;
        let number = Some(text)
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|text| text.parse().ok())
            .filter(|number| (1..=most).contains(number));
        if number.is_none() {
            self.mistake(
                node.at(),
                format!("{what} is {}", shown(text)),
                format!("write a whole number from 1 to {most}"),
            );
        }
        number
    }
}
