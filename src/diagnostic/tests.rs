//! The printed form of an error, in different words.

use std::borrow::Cow;

use tracing_subscriber::layer::SubscriberExt as _;

use super::*;

#[derive(Debug, thiserror::Error)]
#[error("the IdP refused")]
struct Refused;

impl Explain for Refused {
    fn fix(&self) -> Option<Fix> {
        let or = fix!("set {}", Knob::Issuer.to("https://{}.example"));
        Some(fix!(
            "{}, or remove {} ({} left)",
            or,
            Knob::Scopes,
            3.to_string()
        ))
    }
}

#[derive(Debug)]
struct Loud;

impl Words for Loud {
    fn name(&self, knob: Knob) -> Cow<'_, str> {
        Cow::Owned(format!("{knob:?}!"))
    }

    fn setting(&self, knob: Knob, value: &str) -> String {
        format!("{knob:?}! to {value}")
    }
}

#[test]
fn a_diagnostic_says_what_happened_and_what_to_change() {
    assert_eq!(
        Diagnostic::of(&Refused, &Loud).to_string(),
        "the IdP refused - fix: set Issuer! to https://{}.example, or remove Scopes! (3 left)"
    );
    assert_eq!(
        Refused.fix().map(|fix| fix.knobs()),
        Some(vec![Knob::Issuer, Knob::Scopes])
    );
}

#[test]
fn the_words_of_the_log_are_those_of_its_subscriber() {
    assert_eq!(
        Refused.told(),
        "the IdP refused - fix: set [Issuer]=https://{}.example, or remove [Scopes] (3 left)"
    );
    let log = tracing_subscriber::registry().with(LogWords::new(Loud));
    tracing::subscriber::with_default(log, || {
        assert!(
            Refused.told().ends_with("or remove Scopes! (3 left)"),
            "{}",
            Refused.told()
        );
    });
}

#[test]
fn holes_are_counted() {
    assert_eq!(holes("{} and {}{}"), 3);
    assert_eq!(holes("}{ {"), 0);
    assert_eq!(holes(""), 0);
}
