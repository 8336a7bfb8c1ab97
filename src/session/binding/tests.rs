use std::{net::IpAddr, sync::Arc};

use http::{HeaderMap, HeaderValue, header::USER_AGENT};
use proptest::prelude::*;

use super::*;
use crate::{
    clock::Timestamp,
    random::SystemRandom,
    seal::Sealer,
    session::{SessionId, SessionKey},
};

const CHROME: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/146.0.0.0 Safari/537.36";
const NEWER_CHROME: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 11_2) AppleWebKit/600.1 (KHTML, like Gecko) Chrome/150.0.10.1 Safari/600.1";
const FIREFOX: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:140.0) Gecko/20100101 Firefox/140.0";

const UA: Binding = Binding::Traits {
    user_agent: true,
    network: false,
};
const IP: Binding = Binding::Traits {
    user_agent: false,
    network: true,
};
const BOTH: Binding = Binding::Traits {
    user_agent: true,
    network: true,
};

/// The features of a login, and of a later request.
fn compare(binding: Binding, login: (&str, &str), later: (&str, &str)) -> Result<(), Mismatch> {
    let headers = |user_agent: &str| {
        let mut headers = HeaderMap::new();
        if !user_agent.is_empty() {
            headers.insert(USER_AGENT, HeaderValue::from_str(user_agent).unwrap());
        }
        headers
    };
    let address = |text: &str| -> IpAddr { text.parse().unwrap() };
    let (before, after) = (headers(login.0), headers(later.0));
    let seen = Seen {
        headers: &before,
        address: address(login.1),
    };
    let bound = Bound::at_login(binding, &seen, [7; 16]);
    // As a store keeps it.
    let bound: Bound = serde_json::from_str(&serde_json::to_string(&bound).unwrap()).unwrap();
    bound.check(
        binding,
        &Seen {
            headers: &after,
            address: address(later.1),
        },
    )
}

#[test]
fn another_browser_is_told_from_a_newer_one() {
    let at = |user_agent| (user_agent, "192.0.2.1");
    assert_eq!(compare(UA, at(CHROME), at(CHROME)), Ok(()));
    assert_eq!(compare(UA, at(CHROME), at(NEWER_CHROME)), Ok(()));
    let elsewhere = CHROME.replace("Macintosh", "Windows");
    for other in [FIREFOX, "curl/8.0", "", &elsewhere] {
        assert_eq!(
            compare(UA, at(CHROME), at(other)),
            Err(Mismatch::UserAgent),
            "{other}"
        );
    }
    assert_eq!(compare(UA, at(""), at("")), Ok(()));
    assert_eq!(compare(UA, at(""), at(CHROME)), Err(Mismatch::UserAgent));
    // An unbound feature does not matter.
    assert_eq!(compare(IP, at(CHROME), at(FIREFOX)), Ok(()));
    assert_eq!(
        compare(UA, (CHROME, "192.0.2.1"), (CHROME, "198.51.100.1")),
        Ok(())
    );
}

#[test]
fn a_network_is_24_bits_of_ipv4_and_48_of_ipv6() {
    let from = |address| (CHROME, address);
    for (login, later) in [
        ("192.0.2.1", "192.0.2.254"),
        ("192.0.2.1", "::ffff:192.0.2.77"),
        ("::ffff:192.0.2.77", "192.0.2.1"),
        ("2001:db8:1::1", "2001:db8:1:ffff::9"),
    ] {
        assert_eq!(compare(IP, from(login), from(later)), Ok(()), "{login} {later}");
    }
    for (login, later) in [
        ("192.0.2.1", "192.0.3.1"),
        ("192.0.2.1", "2001:db8:1::1"),
        ("2001:db8:1::1", "2001:db8:2::1"),
        ("::ffff:192.0.2.1", "::ffff:192.0.3.1"),
    ] {
        let refused = Err(Mismatch::Network);
        assert_eq!(compare(IP, from(login), from(later)), refused, "{login} {later}");
        assert_eq!(compare(BOTH, from(login), from(later)), refused);
    }
    assert_eq!(
        compare(BOTH, (CHROME, "192.0.2.1"), (FIREFOX, "192.0.2.1")),
        Err(Mismatch::UserAgent)
    );
}

/// Only those that the configuration binds now.
#[test]
fn a_session_is_compared_with_its_stored_traits() {
    let headers = HeaderMap::new();
    let seen = |address: &str| Seen {
        headers: &headers,
        address: address.parse().unwrap(),
    };
    let device = Binding::Device {
        required: true,
        cookie_lifetime: Duration::from_mins(1),
    };
    for before in [Binding::Off, device] {
        // A cookie of an earlier configuration, or of an earlier release.
        let bound = Bound::at_login(before, &seen("192.0.2.1"), [1; 16]);
        assert!(bound.is_empty());
        assert_eq!(bound.check(BOTH, &seen("198.51.100.1")), Ok(()));
    }
    let bound = Bound::at_login(IP, &seen("192.0.2.1"), [1; 16]);
    assert!(!bound.is_empty());
    assert_eq!(bound.check(UA, &seen("198.51.100.1")), Ok(()));
    assert_eq!(bound.check(Binding::Off, &seen("198.51.100.1")), Ok(()));
    assert_eq!(bound.check(BOTH, &seen("198.51.100.1")), Err(Mismatch::Network));
    assert!(bound.weight() > 0 && Bound::default().weight() == 0);
}

#[test]
fn a_record_shows_neither_address_nor_browser() {
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static(FIREFOX));
    let seen = Seen {
        headers: &headers,
        address: "192.0.2.1".parse().unwrap(),
    };
    let kept = |salt| serde_json::to_string(&Bound::at_login(BOTH, &seen, salt)).unwrap();
    for shown in ["192.0", "Firefox", "Gecko"] {
        assert!(!kept([1; 16]).contains(shown));
    }
    assert_ne!(
        kept([1; 16]),
        kept([2; 16]),
        "two sessions of one browser look alike"
    );
}

fn sealer(secrets: &[[u8; 32]]) -> Sealer {
    Sealer::new(secrets, Arc::new(SystemRandom)).unwrap()
}

fn key() -> SessionKey {
    SessionId::generate(&SystemRandom).key()
}

const ALL: [Stamp; 3] = [Stamp::Challenge, Stamp::Registration, Stamp::Cookie];

#[test]
fn a_stamp_is_good_for_its_purpose_and_session_alone() {
    let (sealer, mine, yours) = (sealer(&[[1; 32]]), key(), key());
    let time = Timestamp::from_unix_millis(1_800_000_000_123);
    for stamp in ALL {
        let text = stamp.write(&sealer, &mine, time);
        for other in ALL {
            let read = other.read(&sealer, &mine, text.as_bytes());
            assert_eq!(read, (other == stamp).then_some(time));
        }
        assert_eq!(stamp.read(&sealer, &yours, text.as_bytes()), None);
        for wrong in [
            &text[1..],
            &format!("{text}A"),
            "",
            &"A".repeat(54),
            &"!".repeat(54),
        ] {
            assert_eq!(stamp.read(&sealer, &mine, wrong.as_bytes()), None, "{wrong}");
        }
    }
}

#[test]
fn a_stamp_survives_the_rotation_of_the_secret_and_ends_with_it() {
    let (key, time) = (key(), Timestamp::from_unix_seconds(1_800_000_000));
    let text = Stamp::Cookie.write(&sealer(&[[1; 32]]), &key, time);
    let rotated = sealer(&[[2; 32], [1; 32]]);
    assert_eq!(Stamp::Cookie.read(&rotated, &key, text.as_bytes()), Some(time));
    assert_eq!(
        Stamp::Cookie.read(&sealer(&[[2; 32]]), &key, text.as_bytes()),
        None
    );
}

#[test]
fn a_browser_finds_its_session_by_what_it_was_told_to_call_it() {
    let key = key();
    let identifier = DeviceKey::identifier(&key);
    assert_eq!(DeviceKey::named(&identifier), Some(key));
    // A token of RFC 9651, too: it begins with a letter.
    assert!(identifier.starts_with('s'));
    for wrong in [
        "",
        "s-",
        &identifier[1..],
        &identifier[2..],
        &format!("{identifier}A"),
        "s-AA",
    ] {
        assert_eq!(DeviceKey::named(wrong), None, "{wrong}");
    }
}

proptest! {
    #[test]
    fn any_changed_byte_of_a_stamp_is_noticed(millis: u64, at: prop::sample::Index, bit in 0u8..8) {
        let (sealer, key) = (sealer(&[[1; 32]]), key());
        let mut text = Stamp::Cookie.write(&sealer, &key, Timestamp::from_unix_millis(millis)).into_bytes();
        let at = at.index(text.len());
        text[at] ^= 1 << bit;
        prop_assert_eq!(Stamp::Cookie.read(&sealer, &key, &text), None);
    }

    #[test]
    fn no_text_panics(text in proptest::collection::vec(any::<u8>(), 0..80), name in ".{0,60}") {
        prop_assert_eq!(Stamp::Cookie.read(&sealer(&[[1; 32]]), &key(), &text), None);
        let _ = DeviceKey::named(&name);
    }
}

#[test]
fn attack_23_debug_output_of_a_request_has_no_cookies() {
    let headers = HeaderMap::from_iter([(
        http::header::COOKIE,
        http::HeaderValue::from_static("__Host-Http-bff_session=secret"),
    )]);
    let seen = Seen {
        headers: &headers,
        address: [192, 0, 2, 7].into(),
    };
    let text = format!("{seen:?}");
    assert!(text.contains("192.0.2.7") && !text.contains("secret"), "{text}");
}
