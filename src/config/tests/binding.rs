//! The binding of sessions.

use std::time::Duration;

use super::{config, warnings};
use crate::session::Binding;

const HTTPS: (&str, &str) = ("BFF_BASE_URL", "https://app.example");

#[test]
fn each_word_becomes_a_binding() {
    let traits = |user_agent, network| Binding::Traits { user_agent, network };
    let device = |required, seconds| Binding::Device {
        required,
        cookie_lifetime: Duration::from_secs(seconds),
    };
    for (word, renewal, becomes) in [
        ("", "", Binding::Off),
        ("off", "", Binding::Off),
        ("ua", "", traits(true, false)),
        ("ip", "", traits(false, true)),
        ("ua+ip", "", traits(true, true)),
        ("device", "", device(true, 600)),
        ("device", "2s", device(true, 2)),
        ("device-if-possible", "1h", device(false, 3_600)),
    ] {
        let read = config(&[
            HTTPS,
            ("SESSION_BINDING", word),
            ("SESSION_BINDING_RENEWAL", renewal),
        ]);
        assert_eq!(read.binding, becomes, "{word}");
    }
}

#[test]
fn what_protects_nothing_is_told() {
    let proxy = ("BFF_TRUSTED_PROXIES", "10.0.0.0/8");
    let told = |more: &[(&str, &str)]| warnings(more).join("\n");
    for word in ["ip", "ua+ip"] {
        let alone = told(&[HTTPS, ("SESSION_BINDING", word)]);
        assert!(alone.contains("BFF_TRUSTED_PROXIES"), "{alone}");
        assert_eq!(told(&[HTTPS, ("SESSION_BINDING", word), proxy]), "");
    }
    assert_eq!(told(&[HTTPS, ("SESSION_BINDING", "ua")]), "");
    let idle = told(&[HTTPS, ("SESSION_BINDING_RENEWAL", "5m")]);
    assert!(
        idle.starts_with("SESSION_BINDING_RENEWAL: has no effect"),
        "{idle}"
    );

    let if_possible = ("SESSION_BINDING", "device-if-possible");
    // A developer's machine.
    let local = told(&[("BFF_BASE_URL", "http://localhost:8000"), if_possible]);
    assert!(!local.contains("SESSION_BINDING"), "{local}");
    let plain = told(&[
        ("BFF_BASE_URL", "http://app.example"),
        ("BFF_DANGER_ALLOW_HTTP", "true"),
        if_possible,
    ]);
    assert!(
        plain.contains("binds no session at http://app.example"),
        "{plain}"
    );
}
