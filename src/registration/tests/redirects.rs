//! `DCR_REDIRECT_UPDATE_MODE` and `DCR_ROTATION_SAFE`.

use serde_json::json;

use super::*;

const READ: &str = "GET /register/bff-server";
const PUT: &str = "PUT /register/bff-server";
const PATCH: &str = "PATCH /register/bff-server";
const FOREIGN: &str = "https://old.example/auth/callback";
const A: &str = "https://a.example/auth/callback";
const B: &str = "https://b.example:8443/auth/callback";
const C: &str = "https://c.example/auth/callback";

fn in_mode(mode: RedirectUpdate) -> impl Fn(&mut Options) {
    move |options| options.redirect_update = mode
}

/// With another host, and in this mode.
fn with_host(mode: RedirectUpdate) -> impl Fn(&mut Options) {
    move |options| {
        options.redirect_update = mode;
        options.redirect_uris.push(C.to_owned());
    }
}

/// A client to which somebody has added another URI in front.
async fn harness(habits: Habits) -> Harness {
    let harness = Harness::registered(habits).await;
    harness
        .idp
        .edit("bff-server", "redirect_uris", json!([FOREIGN, B, A]));
    harness.idp.edit(
        "bff-server",
        "post_logout_redirect_uris",
        json!([
            "https://old.example/bye",
            "https://a.example/auth/logged-out",
            "https://b.example:8443/auth/logged-out"
        ]),
    );
    harness
}

#[tokio::test]
async fn replace_makes_them_what_is_configured() {
    let harness = harness(Habits::default()).await;
    let Event::Updated(changes) = harness.event(in_mode(RedirectUpdate::Replace)).await else {
        panic!("no update");
    };
    assert_eq!(changes.len(), 2, "{changes:?}");
    assert_eq!(harness.idp.client("bff-server")["redirect_uris"], json!([A, B]));
}

#[tokio::test]
async fn merge_adds_what_is_missing_behind_what_is_there() {
    let harness = harness(Habits::default()).await;
    assert!(
        matches!(
            harness.event(in_mode(RedirectUpdate::Merge)).await,
            Event::Unchanged
        ),
        "more than is wanted is no difference"
    );
    assert_eq!(harness.idp.calls(), [READ]);

    let Event::Updated(changes) = harness.event(with_host(RedirectUpdate::Merge)).await else {
        panic!("no update");
    };
    assert_eq!(changes.len(), 2, "the post-logout URIs follow: {changes:?}");
    let client = harness.idp.client("bff-server");
    assert_eq!(client["redirect_uris"], json!([FOREIGN, B, A, C]));
    assert_eq!(
        client["post_logout_redirect_uris"],
        json!([
            "https://old.example/bye",
            "https://a.example/auth/logged-out",
            "https://b.example:8443/auth/logged-out",
            "https://c.example/auth/logged-out"
        ])
    );
    assert!(matches!(
        harness.event(with_host(RedirectUpdate::Merge)).await,
        Event::Unchanged
    ));

    // A host that is no longer configured stays; a host that somebody removed at the IdP comes back.
    assert!(matches!(
        harness.event(in_mode(RedirectUpdate::Merge)).await,
        Event::Unchanged
    ));
    harness
        .idp
        .edit("bff-server", "redirect_uris", json!([FOREIGN, C]));
    assert!(matches!(
        harness.event(in_mode(RedirectUpdate::Merge)).await,
        Event::Updated(_)
    ));
    assert_eq!(
        harness.idp.client("bff-server")["redirect_uris"],
        json!([FOREIGN, C, A, B])
    );
}

/// An update repeats the values of the IdP.
#[tokio::test]
async fn none_never_compares_extensions() {
    let harness = harness(Habits::default()).await;
    assert!(matches!(
        harness.event(with_host(RedirectUpdate::Keep)).await,
        Event::Unchanged
    ));
    let event = harness
        .event(|options| {
            with_host(RedirectUpdate::Keep)(options);
            options.scopes.push("email".to_owned());
        })
        .await;
    assert!(
        matches!(&event, Event::Updated(changes) if changes.len() == 1),
        "{event:?}"
    );
    let sent = harness.idp.seen().pop().unwrap();
    assert_eq!(sent.call, PUT);
    assert_eq!(sent.body["redirect_uris"], json!([FOREIGN, B, A]));
    assert_eq!(
        sent.body["post_logout_redirect_uris"][0],
        "https://old.example/bye"
    );
}

#[tokio::test]
async fn what_cannot_be_read_is_not_written_over() {
    for mode in [RedirectUpdate::Merge, RedirectUpdate::Keep] {
        for tells_without in [false, true] {
            let harness = harness(Habits {
                reads: tells_without,
                ..Habits::default()
            })
            .await;
            if tells_without {
                harness.idp.edit("bff-server", "redirect_uris", Value::Null);
            }
            let scope = |options: &mut Options| {
                options.redirect_update = mode;
                options.scopes.push("email".to_owned());
            };
            // A PATCH says nothing of them.
            assert!(matches!(harness.event(scope).await, Event::Updated(_)));
            assert_eq!(harness.idp.calls(), [READ, PATCH]);
            assert!(matches!(harness.event(scope).await, Event::Unchanged));

            for put_alone in [false, true] {
                harness.idp.habits(|habits| habits.patches = put_alone);
                let event = harness
                    .event(|options| {
                        options.redirect_update = mode;
                        if put_alone {
                            options.update_method = UpdateMethod::Put;
                        }
                    })
                    .await;
                let Event::UpdateRefused(error) = event else {
                    panic!("{event:?}");
                };
                check_text(&error);
                assert!(
                    matches!(error, RegistrationError::RedirectUrisUnknown { .. }),
                    "{error}"
                );
                assert!(!harness.idp.calls().contains(&PUT.to_owned()));
            }
        }
    }
    // The URIs cannot be added to an unknown list.
    let harness = harness(Habits {
        reads: false,
        ..Habits::default()
    })
    .await;
    let event = harness.event(with_host(RedirectUpdate::Merge)).await;
    assert!(
        matches!(
            event,
            Event::UpdateRefused(RegistrationError::RedirectUrisUnknown { .. })
        ),
        "{event:?}"
    );
    assert_eq!(harness.idp.calls(), [READ]);
    assert!(matches!(
        harness.event(with_host(RedirectUpdate::Keep)).await,
        Event::Unchanged
    ));
}

#[tokio::test]
async fn a_replacement_keeps_them_too() {
    for (updates, calls) in [(true, 3), (false, 6)] {
        let harness = harness(Habits {
            puts: updates,
            patches: updates,
            ..Habits::default()
        })
        .await;
        harness.idp.allow("fresh-token");
        harness
            .event(|options| {
                with_host(RedirectUpdate::Merge)(options);
                options.force_replace = true;
                options.initial_access_token = Some("fresh-token".into());
            })
            .await;
        assert_eq!(harness.idp.calls().len(), calls);
        assert_eq!(
            harness.idp.client("bff-server")["redirect_uris"],
            json!([FOREIGN, B, A, C])
        );
    }
}

#[tokio::test]
async fn every_mode_requests_the_configured_extensions_first() {
    for mode in [
        RedirectUpdate::Replace,
        RedirectUpdate::Merge,
        RedirectUpdate::Keep,
    ] {
        let harness = Harness::new(Habits::default()).await;
        harness
            .event(|options| {
                with_iat(options);
                options.redirect_update = mode;
            })
            .await;
        assert_eq!(harness.idp.client("bff-server")["redirect_uris"], json!([A, B]));
    }
}
