//! The access tokens of a session for single APIs, beside the one of its login.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::AccessToken;
use crate::{
    clock::Timestamp,
    credential::{Mode, Target, TokenPolicy},
};

/// A session keeps at most so many. Beyond that, the one that was obtained first is forgotten; it ends by itself.
const MAX: usize = 32;

/// The overhead of an allocation, in bytes.
const ALLOCATION: usize = 16;

/// The access tokens of a session for single APIs, each under the mode and the target that it was asked for with.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ForTargets(Vec<ForTarget>);

/// An access token for one API.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ForTarget {
    /// How it was obtained.
    #[serde(rename = "m")]
    pub mode: Mode,
    /// The API that it is for.
    #[serde(rename = "t")]
    pub target: Target,
    /// The token.
    #[serde(rename = "a")]
    pub access: AccessToken,
    /// When it was obtained.
    #[serde(rename = "o")]
    pub obtained_at: Timestamp,
    /// When it expires.
    #[serde(rename = "e")]
    pub expires_at: Timestamp,
    /// When the access token of the session was obtained that it was exchanged for. `None` if it came with the refresh
    /// token.
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    pub exchanged: Option<Timestamp>,
}

// === impl ForTargets ===

impl ForTargets {
    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &ForTarget> {
        self.0.iter()
    }

    /// The token for calls under `policy`: of the same mode and the same target.
    #[must_use]
    pub fn of(&self, policy: &TokenPolicy) -> Option<&ForTarget> {
        self.0
            .iter()
            .find(|token| token.mode == policy.mode && token.target == policy.target)
    }

    /// Takes `token` in, in place of the one of the same mode and target. Tokens that have expired go.
    pub fn put(&mut self, token: ForTarget, now: Timestamp) {
        let is_same = |other: &ForTarget| other.mode == token.mode && other.target == token.target;
        self.0.retain(|other| now < other.expires_at && !is_same(other));
        if self.0.len() >= MAX {
            self.0.remove(0);
        }
        self.0.push(token);
    }

    /// How much memory they take, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        let of_one = |token: &ForTarget| {
            let target = &token.target;
            let texts = target.audience.iter().chain(&target.scopes);
            // The token has a copy in the wire form.
            size_of::<ForTarget>()
                + 2 * (token.access.expose().len() + ALLOCATION)
                + texts
                    .map(|text| text.len() + size_of::<String>() + ALLOCATION)
                    .sum::<usize>()
        };
        self.0.iter().map(of_one).sum()
    }

    /// Forgets the token with the same value as `token`.
    pub fn forget(&mut self, token: &AccessToken) {
        self.0
            .retain(|other| other.access.authorization() != token.authorization());
    }
}

// === impl ForTarget ===

impl ForTarget {
    /// Whether it has not expired.
    #[must_use]
    pub fn is_valid(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }

    /// Whether a request simply uses it: it is not close to its end (`threshold` before, at most half of its life), it is no
    /// older than `cache_ttl`, and it was exchanged for the access token that the session obtained at `generation`.
    #[must_use]
    pub fn is_fresh(
        &self,
        now: Timestamp,
        threshold: Duration,
        cache_ttl: Option<Duration>,
        generation: Timestamp,
    ) -> bool {
        let life = self.expires_at.duration_since(self.obtained_at);
        let used_for = life.saturating_sub(threshold.min(life / 2));
        let used_for = cache_ttl.map_or(used_for, |ttl| ttl.min(used_for));
        self.is_valid(now)
            && now < self.obtained_at.saturating_add(used_for)
            && self.exchanged.is_none_or(|exchanged| exchanged == generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    fn policy(mode: Mode, audience: &str) -> TokenPolicy {
        TokenPolicy {
            mode,
            target: Target::new(Some(audience.to_owned()), Vec::new()),
            ..TokenPolicy::default()
        }
    }

    /// From second 1,000 to 1,600.
    fn token(value: &str, policy: &TokenPolicy) -> ForTarget {
        ForTarget {
            mode: policy.mode,
            target: policy.target.clone(),
            access: value.into(),
            obtained_at: seconds(1_000),
            expires_at: seconds(1_600),
            exchanged: Some(seconds(900)),
        }
    }

    #[test]
    fn attack_58_a_token_serves_one_mode_and_one_target() {
        let mut tokens = ForTargets::default();
        let policies = [
            policy(Mode::OnBehalfOf, "a"),
            policy(Mode::SessionPassthrough, "a"),
            policy(Mode::OnBehalfOf, "b"),
        ];
        for (index, policy) in policies.iter().enumerate() {
            tokens.put(token(&format!("token-{index}"), policy), seconds(1_000));
        }
        for (index, policy) in policies.iter().enumerate() {
            let found = tokens.of(policy).unwrap();
            assert_eq!(found.access.expose(), format!("token-{index}"));
        }
        assert!(tokens.of(&policy(Mode::SessionPassthrough, "b")).is_none());
        let mut narrower = policy(Mode::OnBehalfOf, "a");
        narrower.target.scopes.push("orders.read".to_owned());
        assert!(tokens.of(&narrower).is_none());
    }

    #[test]
    fn a_newer_token_takes_the_place_of_the_older() {
        let mut tokens = ForTargets::default();
        let policy = policy(Mode::OnBehalfOf, "a");
        tokens.put(token("old", &policy), seconds(1_000));
        tokens.put(token("new", &policy), seconds(1_000));
        assert_eq!(tokens.iter().count(), 1);
        assert_eq!(tokens.of(&policy).unwrap().access.expose(), "new");
        tokens.forget(&"new".into());
        assert!(tokens.is_empty());
    }

    #[test]
    fn the_number_of_tokens_is_bounded_and_expired_ones_go() {
        let mut tokens = ForTargets::default();
        let named = |number: usize| policy(Mode::OnBehalfOf, &format!("api-{number}"));
        for number in 0..MAX * 2 {
            tokens.put(token("x", &named(number)), seconds(1_000));
        }
        assert_eq!(tokens.iter().count(), MAX);
        assert!(tokens.of(&named(0)).is_none() && tokens.of(&named(MAX * 2 - 1)).is_some());
        let mut last = token("x", &named(1_000));
        last.expires_at = seconds(2_000);
        tokens.put(last, seconds(1_600));
        assert_eq!(tokens.iter().count(), 1);
    }

    #[test]
    fn a_token_is_fresh_for_its_time_and_its_generation() {
        let threshold = Duration::from_mins(5);
        let token = token("x", &policy(Mode::OnBehalfOf, "a"));
        let fresh = |now, ttl, generation| token.is_fresh(seconds(now), threshold, ttl, seconds(generation));
        assert!(fresh(1_299, None, 900));
        assert!(!fresh(1_300, None, 900), "close to its end");
        assert!(!fresh(1_000, None, 950), "the session has another access token");
        let ttl = Some(Duration::from_mins(1));
        assert!(fresh(1_059, ttl, 900));
        assert!(!fresh(1_060, ttl, 900));
        assert!(fresh(1_299, Some(Duration::from_hours(1)), 900));
        assert!(token.is_valid(seconds(1_599)) && !token.is_valid(seconds(1_600)));
    }

    #[test]
    fn a_token_shows_nothing_of_its_value() {
        let token = token("secret-value", &policy(Mode::OnBehalfOf, "a"));
        assert!(!format!("{token:?}").contains("secret-value"));
    }
}
