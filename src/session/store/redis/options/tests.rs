use proptest::prelude::*;

use super::*;
use crate::tls::testing as certificates;

fn node(host: &str, port: u16) -> Node {
    Node {
        host: host.to_owned(),
        port,
    }
}

fn parse(url: &str) -> RedisOptions {
    RedisOptions::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"))
}

#[test]
fn every_form_is_read() {
    let one = |host, port, database| Place::One(node(host, port), database);
    for (url, tls, place) in [
        ("redis://cache", false, one("cache", 6379, 0)),
        ("redis://cache/", false, one("cache", 6379, 0)),
        ("redis://127.0.0.1:7000/3", false, one("127.0.0.1", 7000, 3)),
        ("rediss://[::1]:7000", true, one("::1", 7000, 0)),
        ("rediss://[2001:db8::1]", true, one("2001:db8::1", 6379, 0)),
        (
            "redis+sentinel://a,b:26380/main/2",
            false,
            Place::Sentinels {
                seeds: vec![node("a", 26379), node("b", 26380)],
                primary: "main".to_owned(),
                database: 2,
            },
        ),
        (
            "rediss+cluster://a:7000,b:7001",
            true,
            Place::Cluster(vec![node("a", 7000), node("b", 7001)]),
        ),
        (
            "redis+cluster://a/0",
            false,
            Place::Cluster(vec![node("a", 6379)]),
        ),
    ] {
        let options = parse(url);
        assert_eq!((options.tls, &options.place), (tls, &place), "{url}");
        assert_eq!((options.prefix.as_str(), &options.password), ("bff", &None));
    }
    assert_eq!(parse("redis://cache?prefix=shop:bff").prefix, "shop:bff");
    assert_eq!(parse("redis+sentinel://a/main?prefix=x").prefix, "x");
}

#[test]
fn user_and_password_are_decoded() {
    for (url, user, password) in [
        ("redis://:pass@cache", None, "pass"),
        ("redis://bff:pass@cache", Some("bff"), "pass"),
        ("redis://b%3aff:p%2Fa%40s%25@cache:1/1", Some("b:ff"), "p/a@s%"),
        ("redis+cluster://bff:pass@a,b", Some("bff"), "pass"),
    ] {
        let options = parse(url);
        assert_eq!(options.user.as_deref(), user, "{url}");
        assert_eq!(options.password.unwrap().expose(), password, "{url}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    use RedisUrlError as E;
    for (url, error) in [
        ("", E::Scheme),
        ("cache:6379", E::Scheme),
        ("http://cache", E::Scheme),
        ("redis+other://cache", E::Scheme),
        ("REDIS://cache", E::Scheme),
        ("redis://", E::Host),
        ("redis://:6379", E::Host),
        ("redis://ca che", E::Host),
        ("redis://[::1", E::Host),
        ("redis://[cache]", E::Host),
        ("redis://[::1]x", E::Host),
        ("redis+cluster://a,,b", E::Host),
        ("redis://cache:", E::Port),
        ("redis://cache:0", E::Port),
        ("redis://cache:65536", E::Port),
        ("redis://cache:port", E::Port),
        ("redis://::1", E::Host),
        ("redis://a,b", E::Hosts),
        ("redis://cache/name", E::Database),
        ("redis://cache/1/2", E::Database),
        ("redis+sentinel://a", E::Primary),
        ("redis+sentinel://a/", E::Primary),
        ("redis+sentinel://a/my main", E::Primary),
        ("redis+sentinel://a/main/x", E::Database),
        ("redis+cluster://a/1", E::ClusterDatabase),
        ("redis://cache?prefix=", E::Prefix),
        ("redis://cache?prefix=a{b}", E::Prefix),
        (
            "redis://cache?prefix=0123456789012345678901234567890123",
            E::Prefix,
        ),
        ("redis://cache?db=1", E::Parameter),
        ("redis://cache?prefix=a&timeout=1", E::Parameter),
        ("redis://pass@cache", E::Credentials),
        ("redis://user:@cache", E::Credentials),
        ("redis://:pa:ss@cache", E::Credentials),
        ("redis://:pa@ss@cache", E::Credentials),
        ("redis://:pa/ss@cache", E::Credentials),
        ("redis://:pa?ss@cache", E::Credentials),
        ("redis://:pa#ss@cache", E::Credentials),
        ("redis://:pa%ss@cache", E::Credentials),
        ("redis://:pa%ff@cache", E::Credentials),
    ] {
        assert_eq!(RedisOptions::parse(url), Err(error), "{url}");
    }
}

#[test]
fn a_certificate_and_its_key_are_checked() {
    use RedisCertificateError as E;
    let (own, key) = (certificates::NAMED, certificates::NAMED_KEY);
    let other = certificates::SELF_SIGNED_KEY;
    for (certificate, key, expected) in [
        (own, key, None),
        (own, other, Some(E::Apart)),
        (own, own, Some(E::Key)),
        (own, b"hunter2", Some(E::Key)),
        (key, key, Some(E::Certificate)),
        (b"hunter2", key, Some(E::Certificate)),
    ] {
        let secret = Secret::new(String::from_utf8(key.to_vec()).unwrap());
        let shown = parse("rediss://cache").show(certificate.to_vec(), secret);
        assert_eq!(shown.as_ref().err().copied(), expected);
        assert!(!format!("{shown:?}").contains("PRIVATE"));
    }
    assert!(parse("rediss://cache").trust(certificates::CA.to_vec()).is_ok());
    assert!(parse("rediss://cache").trust(key.to_vec()).is_err());
}

proptest! {
    #[test]
    fn no_url_panics_and_none_shows_its_password(
        scheme in "redis|rediss|redis[+]sentinel|redis[+]cluster|[a-z+]{0,8}",
        user in "[a-z@:/]{0,4}",
        tail in "[a-z0-9:/,?=@#%\\[\\]]{0,24}",
    ) {
        let url = format!("{scheme}://{user}:hunter2hunter2@{tail}");
        let said = match RedisOptions::parse(&url) {
            Ok(options) => format!("{options:?} {}", options.hosts()),
            Err(error) => format!("{error} {error:?}"),
        };
        prop_assert!(!said.contains("hunter2"), "{}", said);
    }

    #[test]
    fn any_text_is_read_without_a_panic(text in "\\PC{0,60}", rest in "\\PC{0,60}") {
        let _ = RedisOptions::parse(&text);
        let _ = RedisOptions::parse(&format!("redis://{rest}"));
        let _ = RedisOptions::parse(&format!("redis+sentinel://{rest}"));
    }
}
