use super::*;

const BEGAN: u64 = 1_800_000_000;
const EXCHANGED: u64 = BEGAN + 60;
const ISSUED: u64 = EXCHANGED + 1;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix_seconds(seconds)
}

fn course() -> Course {
    Course {
        subject: "alice".to_owned(),
        sid: Some("sid-1".to_owned()),
        authenticated: None,
        began: at(BEGAN),
        exchanged: at(EXCHANGED),
        issued: at(ISSUED),
    }
}

fn token(subject: Option<&str>, sid: Option<&str>, issued: u64) -> LogoutToken {
    LogoutToken {
        issuer: "https://idp.test".to_owned(),
        subject: subject.map(str::to_owned),
        sid: sid.map(str::to_owned),
        id: "jti".to_owned(),
        issued_at: at(issued),
        refused_from: at(issued + 180),
    }
}

/// Whether a logout that was issued and arrived then ends the login.
fn ends(course: &Course, token: &LogoutToken, arrived: u64) -> bool {
    let logged_out = LoggedOut::new();
    logged_out.note(token, at(arrived));
    logged_out.covers(course)
}

#[test]
fn a_logout_after_the_code_was_sent_ends_the_login_whatever_it_names_them_by() {
    for token in [
        token(Some("alice"), None, ISSUED),
        token(None, Some("sid-1"), ISSUED),
        token(Some("alice"), Some("sid-1"), ISSUED),
    ] {
        assert!(ends(&course(), &token, EXCHANGED), "{token:?}");
        // The same second counts, and so does a provider whose clock runs ahead of ours.
        assert!(ends(&course(), &token, EXCHANGED - 1), "{token:?}");
    }
    // One that was sent before and took its time.
    assert!(ends(
        &course(),
        &token(Some("alice"), None, BEGAN - 10),
        EXCHANGED
    ));
}

#[test]
fn a_logout_of_somebody_else_ends_nothing() {
    for token in [
        token(Some("bob"), None, ISSUED),
        token(None, Some("sid-2"), ISSUED),
        token(Some("bob"), Some("sid-1"), ISSUED),
        token(Some("alice"), Some("sid-2"), ISSUED),
        // A name of one kind is none of the other.
        token(Some("sid-1"), None, ISSUED),
        token(None, Some("alice"), ISSUED),
    ] {
        assert!(!ends(&course(), &token, EXCHANGED), "{token:?}");
    }
    let without_sid = Course {
        sid: None,
        ..course()
    };
    assert!(!ends(
        &without_sid,
        &token(None, Some("sid-1"), ISSUED),
        EXCHANGED
    ));
    assert!(ends(&without_sid, &token(Some("alice"), None, ISSUED), EXCHANGED));
}

#[test]
fn a_login_after_the_logout_stands() {
    // The person logs in again: the ID token is later than the logout.
    assert!(!ends(
        &course(),
        &token(Some("alice"), None, ISSUED - 1),
        EXCHANGED - 1
    ));
    assert!(!ends(
        &course(),
        &token(Some("alice"), None, BEGAN - 1),
        BEGAN - 1
    ));
    assert!(!ends(
        &course(),
        &token(None, Some("sid-1"), BEGAN - 1),
        BEGAN - 1
    ));
}

#[test]
fn a_session_at_the_idp_that_ended_meanwhile_gives_no_login() {
    let token = token(None, Some("sid-1"), BEGAN + 5);
    let course = |authenticated: Option<u64>| Course {
        authenticated: authenticated.map(at),
        ..course()
    };
    // The IdP has given a token for it all the same.
    assert!(ends(&course(Some(BEGAN - 100)), &token, BEGAN + 5));
    assert!(ends(&course(Some(BEGAN + 5)), &token, BEGAN + 5));
    // The person has proved who they are since.
    assert!(!ends(&course(Some(BEGAN + 6)), &token, BEGAN + 5));
    assert!(!ends(&course(None), &token, BEGAN + 5));
}

#[test]
fn logouts_are_forgotten_when_no_login_can_be_under_way_any_more_and_when_there_are_too_many() {
    let logged_out = LoggedOut::of(3);
    let keep = KEEP.as_secs();
    for offset in [0, 1] {
        logged_out.note(&token(Some("alice"), None, ISSUED), at(ISSUED + offset));
    }
    assert!(logged_out.covers(&course()));
    logged_out.note(&token(Some("bob"), None, ISSUED), at(ISSUED + keep + 1));
    // One of the two is left.
    assert!(logged_out.covers(&course()));
    assert_eq!(logged_out.named.lock().in_order.len(), 2);
    logged_out.note(&token(Some("bob"), None, ISSUED), at(ISSUED + keep + 2));
    assert!(!logged_out.covers(&course()));
    for sid in ["a", "b", "c", "d"] {
        logged_out.note(&token(None, Some(sid), ISSUED), at(ISSUED + keep + 3));
    }
    let named = logged_out.named.lock();
    assert_eq!((named.in_order.len(), named.by_whom.len()), (3, 3));
}
