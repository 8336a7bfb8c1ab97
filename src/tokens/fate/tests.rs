use std::time::Duration;

use super::*;
use crate::session::ForTargets;

const OBTAINED: Timestamp = Timestamp::from_unix_seconds(1_000);

fn after(seconds: u64) -> Timestamp {
    OBTAINED.saturating_add(Duration::from_secs(seconds))
}

/// Tokens whose access token lives for a minute.
fn tokens(strikes: Option<Strikes>) -> Tokens {
    Tokens {
        access: "a".into(),
        access_obtained_at: OBTAINED,
        access_expires_at: after(60),
        refresh: Some("r".into()),
        pending: None,
        refresh_expires_at: None,
        id_token: "i".into(),
        scope: String::new(),
        uncertain: false,
        strikes,
        later_auth_time: None,
        for_targets: ForTargets::default(),
        api_refreshed_at: None,
    }
}

/// The times of the answers after which the session is still there, and why it ended after the last one.
fn life(answer: Answer, faults: &[(&str, u64)]) -> (usize, Option<EndReason>) {
    let mut tokens = tokens(None);
    for (number, (fault, seconds)) in faults.iter().enumerate() {
        match answer.verdict(fault, &tokens, after(*seconds)) {
            Verdict::Stays(strikes) => tokens.strikes = strikes,
            Verdict::Ends(reason) => return (number, Some(reason)),
        }
    }
    (faults.len(), None)
}

/// After three tries beyond the life of the token.
#[test]
fn attack_52_a_lasting_refusal_ends_the_session() {
    let refusals: Vec<(&str, u64)> = (30..90).step_by(5).map(|seconds| ("no", seconds)).collect();
    // At 60, 65 and 70.
    assert_eq!(life(Answer::Refused, &refusals), (8, Some(EndReason::Refused)));
    assert_eq!(
        life(Answer::UnpublishedKey, &refusals),
        (8, Some(EndReason::IdToken))
    );
    assert_eq!(life(Answer::Refused, &refusals[..8]), (8, None));
}

#[test]
fn attack_52_a_refusal_counts_however_it_is_worded() {
    let refusals = [("one", 60), ("two", 70), ("three", 80)];
    assert_eq!(life(Answer::Refused, &refusals), (2, Some(EndReason::Refused)));
}

#[test]
fn attack_52_the_third_same_id_token_fault_ends_the_session() {
    let same = [("nonce", 30), ("nonce", 31), ("nonce", 32)];
    assert_eq!(life(Answer::FaultyIdToken, &same), (2, Some(EndReason::IdToken)));
    let changing = [
        ("nonce", 30),
        ("nonce", 31),
        ("exp", 32),
        ("nonce", 33),
        ("nonce", 34),
    ];
    assert_eq!(life(Answer::FaultyIdToken, &changing), (5, None));
    let late = [("nonce", 59), ("exp", 60)];
    assert_eq!(life(Answer::FaultyIdToken, &late), (1, Some(EndReason::IdToken)));
}

#[test]
fn an_outage_between_neither_counts_nor_forgives() {
    let strikes = Some(Strikes {
        fault: "refused".to_owned(),
        count: 2,
    });
    for answer in [
        Answer::Outage,
        Answer::UnknownClient,
        Answer::NotSent,
        Answer::UncheckedIdToken,
    ] {
        let verdict = answer.verdict(&"x", &tokens(strikes.clone()), after(10_000));
        assert_eq!(verdict, Verdict::Stays(strikes.clone()), "{answer:?}");
    }
}

#[test]
fn the_table_in_the_documentation_is_this_one() {
    crate::generated::assert_made("docs/operating.md", "src/tokens/fate", &table());
}
