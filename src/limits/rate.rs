//! How often: `20/s`, `100/m`, `1000/h`, `5000/d`.

use std::{fmt, time::Duration};

/// How to write a rate, for messages.
pub const HOW: &str = "write a number per second, minute, hour or day: `20/s`, `100/m`, `1000/h`, `5000/d`";

/// No rate is higher: the interval between two uses is a whole number of microseconds.
const MOST: u32 = 1_000_000;

const UNITS: [(&str, u64); 4] = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)];

/// So many uses in a time, and how many of them at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    number: u32,
    unit: usize,
    burst: u32,
}

/// Why a text is no rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    /// It is not a number, a slash and a unit.
    #[error("is not a rate")]
    Malformed,
    /// Zero, or more than a million.
    #[error("is not from 1 to 1000000")]
    Number,
}

// === impl Rate ===

impl Rate {
    /// The highest burst.
    pub const MAX_BURST: u32 = MOST;

    /// Reads a number per unit; the burst is that number.
    ///
    /// # Errors
    ///
    /// [`RateError`].
    pub fn parse(text: &str) -> Result<Self, RateError> {
        let (number, unit) = text.split_once('/').ok_or(RateError::Malformed)?;
        let unit = UNITS
            .iter()
            .position(|(name, _)| *name == unit)
            .ok_or(RateError::Malformed)?;
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(RateError::Malformed);
        }
        let number = number.parse().map_err(|_| RateError::Number)?;
        if !(1..=MOST).contains(&number) {
            return Err(RateError::Number);
        }
        Ok(Self {
            number,
            unit,
            burst: number,
        })
    }

    /// The same rate with this many uses at once.
    #[must_use]
    pub const fn with_burst(self, burst: u32) -> Self {
        Self { burst, ..self }
    }

    /// The number of uses at once.
    #[must_use]
    pub const fn burst(self) -> u32 {
        self.burst
    }

    /// The number of uses in a [`window`](Self::window).
    #[must_use]
    pub const fn number(self) -> u32 {
        self.number
    }

    /// The time in which that number of uses is possible, for ever.
    #[must_use]
    pub fn window(self) -> Duration {
        Duration::from_secs(UNITS.get(self.unit).map_or(1, |(_, seconds)| *seconds))
    }

    /// The time between two uses, in microseconds.
    #[must_use]
    pub fn interval(self) -> u64 {
        let window = self.window().as_secs().saturating_mul(1_000_000);
        (window / u64::from(self.number.max(1))).max(1)
    }

    /// How far the uses may be ahead of time, in microseconds.
    #[must_use]
    pub fn tolerance(self) -> u64 {
        self.interval().saturating_mul(u64::from(self.burst.max(1)))
    }

    /// How many uses are possible at once if the allowance is whole after `whole_in`.
    #[must_use]
    pub fn left(self, whole_in: Duration) -> u32 {
        let ahead = u64::try_from(whole_in.as_micros()).unwrap_or(u64::MAX);
        let left = self.tolerance().saturating_sub(ahead) / self.interval();
        u32::try_from(left).unwrap_or(u32::MAX)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS.get(self.unit).map_or("s", |(name, _)| name);
        write!(f, "{}/{unit}", self.number)?;
        if self.burst != self.number {
            write!(f, ", burst {}", self.burst)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_a_number_per_unit() {
        for (text, interval, window) in [
            ("20/s", 50_000, 1),
            ("100/m", 600_000, 60),
            ("1000/h", 3_600_000, 3_600),
            ("1/d", 86_400_000_000, 86_400),
            ("1000000/s", 1, 1),
        ] {
            let rate = Rate::parse(text).unwrap();
            assert_eq!(rate.interval(), interval, "{text}");
            assert_eq!(rate.window(), Duration::from_secs(window), "{text}");
            assert_eq!(rate.to_string(), text);
            assert_eq!(rate.tolerance(), interval * u64::from(rate.number()), "{text}");
        }
        let rate = Rate::parse("20/s").unwrap().with_burst(5);
        assert_eq!((rate.burst(), rate.tolerance()), (5, 250_000));
        assert_eq!(rate.to_string(), "20/s, burst 5");
    }

    #[test]
    fn anything_else_is_no_rate() {
        for text in [
            "", "20", "20/", "/s", "20/sec", "20 /s", "+20/s", "2.5/s", "20/S", "20/s/s",
        ] {
            assert_eq!(Rate::parse(text), Err(RateError::Malformed), "{text}");
        }
        for text in ["0/s", "1000001/s", "99999999999/d"] {
            assert_eq!(Rate::parse(text), Err(RateError::Number), "{text}");
        }
    }
}
