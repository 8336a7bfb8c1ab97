use proptest::prelude::*;

use super::*;

fn seconds(seconds: u64) -> Timestamp {
    Timestamp::from_unix_seconds(seconds)
}

/// An access token from second 1,000 that lives for `life` seconds.
fn tokens(life: u64) -> Tokens {
    Tokens {
        access: "access-secret".into(),
        access_obtained_at: seconds(1_000),
        access_expires_at: seconds(1_000 + life),
        refresh: Some(Secret::from("refresh-secret")),
        pending: None,
        refresh_expires_at: None,
        id_token: Secret::from("id-secret"),
        scope: "openid".to_owned(),
        uncertain: false,
        strikes: None,
        later_auth_time: None,
        for_targets: ForTargets::default(),
        api_refreshed_at: None,
    }
}

fn session() -> Session {
    let user =
        serde_json::json!({"sub": "alice", "roles": ["a", "b"], "address": {"city": "Bern"}, "age": 7});
    Session {
        issuer: "https://idp.test".to_owned(),
        subject: "alice".to_owned(),
        sid: Some("sid-1".to_owned()),
        auth_time: Some(seconds(990)),
        nonce: "nonce".into(),
        user: user.as_object().unwrap().clone(),
        tokens: tokens(300),
        device: Device::default(),
        created_at: seconds(1_000),
        expires_at: seconds(9_000),
        assurance: Assurance::default(),
        bound: Bound::default(),
        identity: Memo::default(),
    }
}

#[test]
fn a_token_is_due_in_the_second_half_of_its_life() {
    let threshold = Duration::from_mins(5);
    assert_eq!(tokens(3_600).due_at(threshold), Some(seconds(1_000 + 3_300)));
    assert_eq!(tokens(60).due_at(threshold), Some(seconds(1_000 + 30)));
    assert_eq!(tokens(0).due_at(threshold), Some(seconds(1_000)));
}

#[test]
fn without_a_refresh_token_nothing_is_due() {
    let mut tokens = tokens(3_600);
    tokens.refresh = None;
    assert_eq!(tokens.due_at(Duration::ZERO), None);
    tokens.pending = Some(Secret::from("rotated"));
    assert!(tokens.due_at(Duration::ZERO).is_some());
}

#[test]
fn the_pending_refresh_token_is_used_first() {
    let mut tokens = tokens(3_600);
    assert_eq!(tokens.refresh_token().unwrap().expose(), "refresh-secret");
    tokens.pending = Some(Secret::from("rotated"));
    assert_eq!(tokens.refresh_token().unwrap().expose(), "rotated");
}

#[test]
fn a_long_token_is_fresh_until_ten_seconds_remain() {
    let tokens = tokens(3_600);
    let end = tokens.access_expires_at;
    assert!(tokens.access_is_fresh(end.saturating_sub(Duration::from_millis(10_001))));
    assert!(!tokens.access_is_fresh(end.saturating_sub(Duration::from_secs(10))));
}

#[test]
fn a_short_token_is_fresh_until_a_tenth_remains() {
    let tokens = tokens(60);
    let end = tokens.access_expires_at;
    assert!(tokens.access_is_fresh(end.saturating_sub(Duration::from_millis(6_001))));
    assert!(!tokens.access_is_fresh(end.saturating_sub(Duration::from_secs(6))));
}

#[test]
fn a_token_is_valid_until_it_expires() {
    let tokens = tokens(60);
    let end = tokens.access_expires_at;
    assert!(tokens.access_is_valid(end.saturating_sub(Duration::from_millis(1))));
    assert!(!tokens.access_is_valid(end));
    assert!(!tokens.access_is_fresh(end));
}

#[test]
fn absurd_times_do_no_harm() {
    let mut tokens = tokens(60);
    tokens.access_expires_at = seconds(u64::MAX);
    assert!(tokens.due_at(Duration::MAX).is_some());
    assert!(tokens.access_is_fresh(seconds(5_000)));
    tokens.access_expires_at = Timestamp::EPOCH;
    assert_eq!(tokens.due_at(Duration::MAX), Some(Timestamp::EPOCH));
    assert!(!tokens.access_is_fresh(seconds(5_000)));
    assert!(!tokens.access_is_valid(seconds(5_000)));
}

#[test]
fn debug_shows_neither_tokens_nor_the_person() {
    let text = format!("{:?}", session());
    for hidden in ["secret", "alice", "Bern", "sid-1"] {
        assert!(!text.contains(hidden), "{text}");
    }
    assert!(text.contains("https://idp.test"));
}

#[test]
fn a_record_survives_being_stored() {
    let mut session = session();
    session.tokens.pending = Some(Secret::from("rotated"));
    session.tokens.uncertain = true;
    let read = Session::decode(&session.encode().unwrap()).unwrap();
    assert_eq!(
        serde_json::to_value(&read).unwrap(),
        serde_json::to_value(&session).unwrap()
    );
}

#[test]
fn a_session_ends_with_its_refresh_token_if_that_ends_first() {
    let mut session = session();
    for (refresh_ends, ends) in [(None, 9_000), (Some(5_000), 5_000), (Some(10_000), 9_000)] {
        session.tokens.refresh_expires_at = refresh_ends.map(seconds);
        assert_eq!(session.ends_at(), seconds(ends));
    }
}

#[test]
fn a_record_of_another_layout_is_refused_as_such() {
    let mut encoded = session().encode().unwrap();
    encoded[0] = FORMAT + 1;
    assert_eq!(Session::decode(&encoded).unwrap_err(), RecordError::Format);
    assert_eq!(Session::decode(&[]).unwrap_err(), RecordError::Malformed);
    assert_eq!(Session::decode(&[FORMAT]).unwrap_err(), RecordError::Malformed);
}

#[test]
fn weight_counts_what_can_grow() {
    let small = session();
    let mut large = session();
    large.user.insert(
        "groups".to_owned(),
        Value::Array(vec![Value::String("x".repeat(100)); 100]),
    );
    assert!(large.weight() >= small.weight() + 10_000);
    let mut large = session();
    large.tokens.access = Secret::new("x".repeat(10_000)).into();
    assert!(large.weight() >= small.weight() + 9_900);
    assert!(small.weight() >= small.encode().unwrap().len() / 2);
}

/// 64 KiB of JSON may be megabytes in memory: the latter counts.
#[test]
fn weight_counts_what_small_values_cost_in_memory() {
    let small = session().weight();
    let with = |value: Value| {
        let mut session = session();
        session.user.insert("claim".to_owned(), value);
        session.weight() - small
    };
    let size = size_of::<Value>();
    assert!(with(Value::Array(vec![Value::from(0); 30_000])) >= 30_000 * size);
    // A map of one entry allocates a node for eleven.
    let object = serde_json::json!({"a": 1});
    let node = 11 * (size + size_of::<String>());
    assert!(with(Value::Array(vec![object; 8_000])) >= 8_000 * (size + node));
    let many: Claims = (0..5_000)
        .map(|number| (format!("{number:05}"), Value::Null))
        .collect();
    assert!(with(Value::Object(many)) >= 5_000 / 6 * node);
}

proptest! {
    #[test]
    fn decoding_never_panics(mut garbage in proptest::collection::vec(any::<u8>(), 0..200), honest in any::<bool>()) {
        if let (true, Some(first)) = (honest, garbage.first_mut()) {
            *first = FORMAT;
        }
        prop_assert!(Session::decode(&garbage).is_err());
    }
}

#[test]
fn what_an_earlier_version_has_stored_under_long_names_is_read() {
    let record = serde_json::json!({
        "issuer": "https://idp.test",
        "subject": "alice",
        "sid": null,
        "auth_time": null,
        "nonce": "n",
        "user": { "sub": "alice" },
        "tokens": {
            "access": "access-secret",
            "access_obtained_at": 1_000,
            "access_expires_at": 2_000,
            "refresh": "refresh-secret",
            "pending": null,
            "id_token": "id-secret",
            "scope": "openid",
            "uncertain": true,
        },
        "created_at": 1_000,
        "expires_at": 9_000,
    });
    let mut encoded = vec![FORMAT];
    encoded.extend(record.to_string().into_bytes());
    let session = Session::decode(&encoded).unwrap();
    assert_eq!(session.subject, "alice");
    assert_eq!(session.tokens.refresh_token().unwrap().expose(), "refresh-secret");
    assert!(session.tokens.uncertain);
    assert_eq!(session.device, Device::default());
    assert_eq!(session.ends_at(), Timestamp::from_unix_millis(9_000));
    // It takes less room from the next write on.
    assert!(session.encode().unwrap().len() < encoded.len() - 100);
}

/// The last layout before tokens for single APIs: the record of a running server that is replaced by this one.
#[test]
fn a_record_without_tokens_for_apis_is_read() {
    let record = serde_json::json!({
        "i": "https://idp.test",
        "s": "alice",
        "n": "n",
        "u": { "sub": "alice" },
        "t": { "a": "access-secret", "o": 1_000, "e": 2_000, "r": "refresh-secret", "i": "id-secret", "s": "openid" },
        "c": 1_000,
        "e": 9_000,
    });
    let mut encoded = vec![FORMAT];
    encoded.extend(record.to_string().into_bytes());
    let mut session = Session::decode(&encoded).unwrap();
    assert!(session.tokens.for_targets.is_empty());
    assert_eq!(session.tokens.api_refreshed_at, None);
    // And written without a trace of them.
    assert_eq!(session.encode().unwrap().len(), encoded.len());

    let token = crate::session::ForTarget {
        mode: crate::credential::Mode::OnBehalfOf,
        target: crate::credential::Target::new(Some("urn:orders".to_owned()), vec!["a".to_owned()]),
        access: "api-secret".into(),
        obtained_at: seconds(1_000),
        expires_at: seconds(2_000),
        exchanged: Some(seconds(1_000)),
    };
    let weight = session.weight();
    session.tokens.for_targets.put(token, seconds(1_000));
    assert!(session.weight() > weight);
    let read = Session::decode(&session.encode().unwrap()).unwrap();
    let token = read.tokens.for_targets.iter().next().unwrap();
    assert_eq!(token.access.expose(), "api-secret");
    assert_eq!(token.target.scopes, ["a"]);
    assert!(!format!("{read:?}").contains("secret"));
}
