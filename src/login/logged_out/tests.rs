use futures_util::FutureExt as _;

use super::*;
use crate::{
    clock::ManualClock, random::SystemRandom, shared::testing::MemoryShared, telemetry::testing::Logs,
};

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

/// In a single process, without others.
fn note(logged_out: &LoggedOut, token: &LogoutToken, arrived: u64) {
    let noted = logged_out.note(token, at(arrived));
    noted.now_or_never().unwrap().unwrap();
}

fn covers(logged_out: &LoggedOut, course: &Course) -> bool {
    logged_out.covers(course).now_or_never().unwrap()
}

/// Whether a logout that was issued and arrived then ends the login.
fn ends(course: &Course, token: &LogoutToken, arrived: u64) -> bool {
    let logged_out = LoggedOut::new();
    note(&logged_out, token, arrived);
    covers(&logged_out, course)
}

/// By `sid` or by `sub`.
#[test]
fn a_logout_during_the_exchange_ends_the_login() {
    for token in [
        token(Some("alice"), None, ISSUED),
        token(None, Some("sid-1"), ISSUED),
        token(Some("alice"), Some("sid-1"), ISSUED),
    ] {
        assert!(ends(&course(), &token, EXCHANGED), "{token:?}");
        // The same second counts. So does a provider whose clock is ahead of ours.
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
        // A name of one kind never equals one of another kind.
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

/// Or when there are too many.
#[test]
fn logouts_are_forgotten_after_the_last_possible_login() {
    let logged_out = LoggedOut::of(3);
    let keep = KEEP.as_secs();
    for offset in [0, 1] {
        note(&logged_out, &token(Some("alice"), None, ISSUED), ISSUED + offset);
    }
    assert!(covers(&logged_out, &course()));
    note(&logged_out, &token(Some("bob"), None, ISSUED), ISSUED + keep + 1);
    // One of the two is left.
    assert!(covers(&logged_out, &course()));
    assert_eq!(logged_out.named.lock().in_order.len(), 2);
    note(&logged_out, &token(Some("bob"), None, ISSUED), ISSUED + keep + 2);
    assert!(!covers(&logged_out, &course()));
    for sid in ["a", "b", "c", "d"] {
        note(&logged_out, &token(None, Some(sid), ISSUED), ISSUED + keep + 3);
    }
    let named = logged_out.named.lock();
    assert_eq!((named.in_order.len(), named.by_whom.len()), (3, 3));
}

/// The shared state of two processes with these secrets.
fn two(one: &[[u8; 32]], other: &[[u8; 32]]) -> (LoggedOut, LoggedOut, MemoryShared) {
    let shared = MemoryShared::new(Arc::new(ManualClock::starting_at(at(ISSUED))));
    let process = |secrets: &[[u8; 32]]| {
        let sealer = Sealer::new(secrets, Arc::new(SystemRandom)).unwrap();
        LoggedOut::new().shared(Arc::new(shared.clone()), sealer)
    };
    (process(one), process(other), shared)
}

#[test]
fn what_one_process_has_heard_ends_a_login_at_another() {
    let (old, new) = ([1; 32], [2; 32]);
    for secrets in [[old, new], [new, old]] {
        for named in [
            token(Some("alice"), None, ISSUED),
            token(None, Some("sid-1"), ISSUED),
            token(Some("alice"), Some("sid-1"), ISSUED),
        ] {
            let (here, there, _) = two(&[old, new], &secrets);
            assert!(!covers(&there, &course()));
            note(&here, &named, EXCHANGED);
            assert!(covers(&there, &course()), "{named:?}");
            let later = Course {
                exchanged: at(EXCHANGED + 60),
                issued: at(ISSUED + 60),
                authenticated: Some(at(ISSUED + 60)),
                began: at(BEGAN + 120),
                ..course()
            };
            assert!(!covers(&there, &later));
        }
    }
    let (here, there, _) = two(&[old], &[old]);
    note(&here, &token(Some("bob"), None, ISSUED), EXCHANGED);
    note(&here, &token(Some("bob"), Some("sid-1"), ISSUED), EXCHANGED);
    assert!(!covers(&there, &course()));
}

#[test]
fn a_dump_does_not_tell_who_was_logged_out() {
    let (here, _, shared) = two(&[[1; 32]], &[[1; 32]]);
    note(&here, &token(Some("alice"), Some("sid-1"), ISSUED), EXCHANGED);
    note(&here, &token(Some("alice"), None, ISSUED), EXCHANGED);
    let dump = String::from_utf8_lossy(&shared.dump_of_passing()).into_owned();
    assert!(!dump.is_empty());
    for part in ["alice", "sid-1", "arrived", &EXCHANGED.to_string()] {
        assert!(!dump.contains(part), "{part}");
    }
}

/// It says so.
#[test]
fn an_isolated_process_uses_its_own_knowledge() {
    let logs = Logs::capture();
    let (here, there, shared) = two(&[[1; 32]], &[[1; 32]]);
    shared.set_down(true);
    // The IdP sends it again, then.
    let token = token(Some("alice"), None, ISSUED);
    let noted = here.note(&token, at(EXCHANGED));
    noted.now_or_never().unwrap().unwrap_err();
    assert!(covers(&here, &course()));
    assert!(!covers(&there, &course()));
    logs.has_part("WARN", "it is unknown");
}

#[test]
fn an_end_of_all_sessions_covers_logins_under_way() {
    for (noted, ends) in [(EXCHANGED - 1, false), (EXCHANGED, false), (EXCHANGED + 1, true)] {
        let world = MemoryShared::new(Arc::new(ManualClock::starting_at(at(noted))));
        let process = || {
            let sealer = Sealer::new(&[[1; 32]], Arc::new(SystemRandom)).unwrap();
            LoggedOut::new().shared(Arc::new(world.clone()), sealer)
        };
        let (one, two) = (process(), process());
        one.note_end_of_all(at(noted)).now_or_never().unwrap().unwrap();
        assert_eq!(covers(&one, &course()), ends, "{noted}");
        assert_eq!(covers(&two, &course()), ends, "{noted}");
        let nameless = Course {
            sid: None,
            ..course()
        };
        assert_eq!(covers(&two, &nameless), ends, "{noted}");
    }
}
