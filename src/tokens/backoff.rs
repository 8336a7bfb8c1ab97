//! How long a refresh that failed waits for its next attempt.

use std::time::Duration;

use crate::{
    clock::Timestamp,
    random::{Random, RandomExt as _},
    session::Tokens,
};

/// The shortest pause.
const SHORTEST: Duration = Duration::from_secs(2);
/// The longest pause, also for the value of an IdP's `Retry-After`.
const LONGEST: Duration = Duration::from_mins(1);
/// The pause once the access token has expired and people wait.
const EXPIRED: Duration = Duration::from_secs(10);

/// The pause before the next attempt: a quarter of the remaining life of the access token, so that many unhurried
/// attempts fit before its expiry; at least the time that the IdP requests; spread by up to a quarter.
pub(super) fn pause(
    tokens: &Tokens,
    now: Timestamp,
    asked: Option<Duration>,
    random: &dyn Random,
) -> Duration {
    let left = tokens.access_expires_at.duration_since(now);
    let own = if left.is_zero() {
        EXPIRED
    } else {
        (left / 4).clamp(SHORTEST, LONGEST)
    };
    let pause = own.max(asked.unwrap_or_default().min(LONGEST));
    pause.mul_f64(random.fraction().mul_add(0.25, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{random::SystemRandom, session::ForTargets};

    fn pause_with(left: u64, asked: Option<u64>) -> Duration {
        let now = Timestamp::from_unix_seconds(1_000);
        let tokens = Tokens {
            access: "a".into(),
            access_obtained_at: now,
            access_expires_at: now.saturating_add(Duration::from_secs(left)),
            refresh: Some("r".into()),
            pending: None,
            refresh_expires_at: None,
            id_token: "i".into(),
            scope: String::new(),
            uncertain: false,
            strikes: None,
            later_auth_time: None,
            for_targets: ForTargets::default(),
            api_refreshed_at: None,
        };
        pause(&tokens, now, asked.map(Duration::from_secs), &SystemRandom)
    }

    #[test]
    fn there_are_several_attempts_before_the_token_expires() {
        for left in [20, 60, 100, 200] {
            let pause = pause_with(left, None).as_secs_f64();
            assert!(
                pause >= 2.0 && pause * 3.0 < f64::from(u32::try_from(left).unwrap()),
                "{left}: {pause}"
            );
        }
        assert!(pause_with(3_600, None) <= Duration::from_secs(75));
        assert!(pause_with(0, None) >= EXPIRED);
    }

    #[test]
    fn the_idp_may_ask_for_a_longer_pause_within_reason() {
        assert!(pause_with(20, Some(30)) >= Duration::from_secs(30));
        assert!(pause_with(20, Some(86_400)) <= Duration::from_secs(75));
    }
}
