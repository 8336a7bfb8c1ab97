//! Bounds of services and routes.

use std::time::Duration;

use super::*;
use crate::{
    limits::Rate,
    retry::{Backoff, BreakerOptions},
};

const DEFAULT: u64 = 100;

fn read(service: &str, route: &str) -> Result<Routes, RoutesError> {
    Routes::parse(&format!(
        "services: {{ a: {{ base_url: 'http://a'{service} }} }}\nroutes:\n- {{ id: r, path: /r, target_service: a{route} }}\n"
    ))
}

fn max_body(service: &str, route: &str) -> Option<u64> {
    let routes = read(service, route).unwrap();
    routes.iter().next().unwrap().max_body(DEFAULT)
}

#[test]
fn a_route_precedes_its_service_and_that_the_default() {
    assert_eq!(max_body("", ""), Some(DEFAULT));
    assert_eq!(max_body(", max_body: 10MiB", ""), Some(10 << 20));
    assert_eq!(max_body(", max_body: 10MiB", ", max_body: 64KiB"), Some(64 << 10));
    assert_eq!(max_body(", max_body: 10", ", max_body: unlimited"), None);
    assert_eq!(max_body(", max_body: unlimited", ", max_body: 0"), Some(0));
    assert_eq!(max_body("", ", streaming: true"), None);
    assert_eq!(max_body("", ", streaming: true, max_body: 7"), Some(7));
    assert_eq!(max_body(", max_body: 8", ", streaming: true"), Some(8));
}

#[test]
fn a_breaker_has_defaults() {
    let breaker = |text: &str| {
        let routes = read(text, "").unwrap();
        routes.services()[0].breaker().copied()
    };
    let of = |failures, reset, trials| {
        let (first, longest) = (reset, reset);
        Some(BreakerOptions {
            failures,
            pauses: Backoff { first, longest },
            trials,
        })
    };
    assert_eq!(breaker(""), None);
    assert_eq!(breaker(", breaker: {}"), of(5, Duration::from_mins(1), 1));
    assert_eq!(
        breaker(", breaker: { threshold: 3, reset: 500ms, half_open: 2 }"),
        of(3, Duration::from_millis(500), 2)
    );
    assert_eq!(
        read(", concurrency: 20", "").unwrap().services()[0].concurrency(),
        Some(20)
    );
}

#[test]
fn a_route_may_have_three_rates() {
    let rates = |text: &str| *read("", text).unwrap().iter().next().unwrap().rate_limits();
    assert_eq!(rates(""), RateLimits::default());
    let rate = |text: &str| Some(Rate::parse(text).unwrap());
    assert_eq!(
        rates(
            ", rate_limit: { per_session: 20/s, per_address: { rate: 100/m, burst: 20 }, per_route: { rate: 5/h } }"
        ),
        RateLimits {
            per_session: rate("20/s"),
            per_address: rate("100/m").map(|rate| rate.with_burst(20)),
            per_route: rate("5/h"),
        }
    );
    // Without a session it counts for nobody.
    assert!(read("", ", auth: optional, rate_limit: { per_session: 20/s }").is_ok());
}

#[test]
fn wrong_bounds_are_mistakes_with_their_place() {
    for (service, route, message) in [
        (
            ", max_body: 10MB",
            "",
            "max_body of service `a` is `10MB`, which is not a size; write a size",
        ),
        (", max_body: -1", "", "is `-1`, which is not a size"),
        ("", ", max_body: 99999999999TiB", "is larger than any memory"),
        ("", ", max_body: none", "max_body of route `r` is `none`"),
        ("", ", max_body: [1]", "max_body of route `r` is a list"),
        (", breaker: 5", "", "breaker of service `a` is"),
        (", breaker: { treshold: 5 }", "", "did you mean threshold?"),
        (
            ", breaker: { threshold: 0 }",
            "",
            "threshold in breaker of service `a` is `0`; write a whole number from 1 to 1000",
        ),
        (", breaker: { threshold: 5.5 }", "", "is a number with a fraction"),
        (
            ", breaker: { half_open: 101 }",
            "",
            "half_open in breaker of service `a` is `101`",
        ),
        (", breaker: { half_open: '+1' }", "", "is `+1`"),
        (
            ", breaker: { reset: 0 }",
            "",
            "reset in breaker of service `a` is `0`; write 1ms to 1h",
        ),
        (", breaker: { reset: 2h }", "", "is `2h`"),
        (", concurrency: 0", "", "concurrency of service `a` is `0`"),
        (", concurrency: many", "", "is `many`"),
        ("", ", concurrency: 5", "unknown key"),
        (
            "",
            ", rate_limit: 20/s",
            "rate_limit of route `r` is a single value",
        ),
        (
            "",
            ", rate_limit: {}",
            "rate_limit of route `r` names no rate; write rates",
        ),
        ("", ", rate_limit: { per_user: 20/s }", "unknown key `per_user`"),
        (
            "",
            ", rate_limit: { per_session: 20 }",
            "per_session in rate_limit of route `r` is `20`, which is not a rate; write a number per second",
        ),
        (
            "",
            ", rate_limit: { per_route: 0/s }",
            "is `0/s`, which is not from 1 to 1000000",
        ),
        (
            "",
            ", rate_limit: { per_route: { burst: 5 } }",
            "has no rate; add how often",
        ),
        (
            "",
            ", rate_limit: { per_route: { rate: 5/s, burst: 0 } }",
            "burst in per_route in rate_limit of route `r` is `0`",
        ),
        (
            "",
            ", rate_limit: { per_route: { rate: 5/s, bust: 1 } }",
            "did you mean burst?",
        ),
        (
            "",
            ", auth: none, rate_limit: { per_session: 5/s }",
            "has no effect with auth: none; remove it",
        ),
        ("", ", breaker: {}", "unknown key"),
    ] {
        let error = read(service, route).unwrap_err();
        let [mistake] = error.mistakes() else {
            panic!("{error}");
        };
        assert!(error.to_string().contains(message), "{service}{route}: {error}");
        assert_eq!(mistake.at.line, if route.is_empty() { 1 } else { 3 }, "{error}");
    }
}
