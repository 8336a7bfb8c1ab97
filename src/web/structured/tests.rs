use proptest::prelude::*;

use super::*;

fn headers(name: &HeaderName, values: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

#[test]
fn what_the_server_says_is_written_as_the_draft_has_it() {
    let invitation = Invitation {
        challenge: "c1".to_owned(),
        authorization: "s-a.r1".to_owned(),
    };
    assert_eq!(
        registration("/auth/dbsc/register", &invitation).unwrap(),
        r#"(ES256 RS256);path="/auth/dbsc/register";challenge="c1";authorization="s-a.r1""#
    );
    assert_eq!(challenge("c2", "s-42").unwrap(), r#""c2";id="s-42""#);
    // Characters that could end the field are not a string.
    assert_eq!(challenge("c\n2", "s-42"), None);
    assert_eq!(challenge("a\"b\\c", "s").unwrap(), r#""a\"b\\c";id="s""#);
}

#[test]
fn a_proof_and_an_identifier_are_strings_or_tokens() {
    let read = |values: &[&str]| proof(&headers(&RESPONSE, values));
    for value in [
        r#""eyJ.a-_b.c""#,
        "eyJ.a-_b.c",
        r#" "eyJ.a-_b.c" "#,
        r#""eyJ.a-_b.c";x=1"#,
    ] {
        assert_eq!(read(&[value]).unwrap(), "eyJ.a-_b.c", "{value}");
    }
    let long = format!("\"{}\"", "a".repeat(MAX_LENGTH));
    for values in [
        &[] as &[&str],
        &[""],
        &["1"],
        &[":eyJ:"],
        &["(a)"],
        &["a, b"],
        &["\"a"],
        &["a", "a"],
        &[&long],
    ] {
        assert_eq!(read(values), None, "{values:?}");
    }
    assert_eq!(session_id(&headers(&SESSION_ID, &["\"s-42\""])).unwrap(), "s-42");
    assert_eq!(session_id(&headers(&SESSION_ID, &["s-4_2"])).unwrap(), "s-4_2");
}

#[test]
fn only_known_reasons_for_going_on_without_a_proof_are_told() {
    let read = |value: &str| skipped(&headers(&SKIPPED, &[value]));
    assert_eq!(read("unreachable"), Some("unreachable"));
    assert_eq!(
        read("x, server_error;session_identifier=\"s-1\", quota_exceeded"),
        Some("server_error")
    );
    for value in ["", "x", "\"unreachable\"", "(unreachable)", "unreachable,", "1"] {
        assert_eq!(read(value), None, "{value}");
    }
}

proptest! {
    #[test]
    fn no_field_panics(value in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            let mut headers = HeaderMap::new();
            for name in [RESPONSE, SESSION_ID, SKIPPED] {
                headers.insert(name, value.clone());
            }
            let _ = (proof(&headers), session_id(&headers), skipped(&headers));
        }
    }

    #[test]
    fn any_challenge_is_read_as_it_was_written(text in "[ -~]{0,80}", id in "[ -~]{0,40}") {
        let value = challenge(&text, &id).unwrap();
        match Parser::new(value.as_bytes()).parse_item::<sfv::Item>().unwrap() {
            sfv::Item { bare_item: BareItem::String(read), .. } => prop_assert_eq!(String::from(read), text),
            other => prop_assert!(false, "{:?}", other),
        }
    }
}
