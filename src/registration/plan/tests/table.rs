//! A table: facts, and the printed plan.

use std::fmt::Write as _;

use super::{
    super::{Assigned, Freed, Renewal},
    *,
};
use crate::{diagnostic::Knob, registration::credentials::CredentialsError};

/// Rows below each other.
#[derive(Default)]
struct Table(String);

// === impl Table ===

impl Table {
    /// The same with the plan for these facts.
    fn row(mut self, facts: &str, case: &Case) -> Self {
        writeln!(self.0, "{facts}\n    {}", case.shown()).unwrap();
        self
    }
}

fn iat(case: &mut Case) {
    case.options.initial_access_token = Some(Secret::from(IAT));
}

fn admin(case: &mut Case) {
    case.options.admin_token = Some(Secret::from("admin-token"));
}

fn open(case: &mut Case) {
    case.options.open_registration = true;
}

fn spent(case: &mut Case) {
    iat(case);
    case.record.spend(token_hash(&Secret::from(IAT)));
}

fn look(case: &mut Case) {
    case.purpose = Purpose::Look;
}

fn compares(case: &mut Case) {
    case.purpose = Purpose::Comparison;
}

fn other_scopes(case: &mut Case) {
    case.options.scopes = vec!["openid".to_owned()];
}

fn lost() -> Case {
    Case::registered().read(Err(token_refused(StatusCode::UNAUTHORIZED)))
}

#[test]
fn first_registrations() {
    let plans = Table::default()
        .row("no token", &Case::new())
        .row("a fresh token", &Case::new().with(iat))
        .row("a spent token", &Case::new().with(spent))
        .row(
            "a spent token, and an admin token",
            &Case::new().with(spent).with(admin),
        )
        .row(
            "a token with a space",
            &Case::new().with(|case| case.options.initial_access_token = Some("a b".into())),
        )
        .row("an admin token", &Case::new().with(admin))
        .row(
            "an admin token with a space",
            &Case::new().with(|case| case.options.admin_token = Some("a b".into())),
        )
        .row("open registration", &Case::new().with(open))
        .row(
            "the answer for this token is lost",
            &Case::new()
                .with(iat)
                .with(|case| case.record.pending = Some(pending(IAT))),
        )
        .row(
            "the answer for another token is lost",
            &Case::new()
                .with(iat)
                .with(|case| case.record.pending = Some(pending("x"))),
        )
        .row(
            "an answer is lost, and a token can be minted",
            &Case::new()
                .with(admin)
                .with(|case| case.record.pending = Some(pending("x"))),
        )
        .row(
            "the same without a requested id",
            &Case::new().with(admin).with(|case| {
                case.record.pending = Some(pending("x"));
                case.options.client_id = None;
            }),
        )
        .row(
            "an answer is lost, and registration is open",
            &Case::new()
                .with(open)
                .with(|case| case.record.pending = Some(pending("x"))),
        )
        .row(
            "no registration endpoint",
            &Case::new()
                .with(iat)
                .with(|case| case.endpoint = Err(no_endpoint())),
        )
        .row(
            "the token is refused",
            &Case::new()
                .with(iat)
                .with(|case| case.learnt.registration = Some(Err(initial_token_refused()))),
        )
        .row(
            "the answer is lost now",
            &Case::new().with(iat).with(|case| {
                case.record.pending = Some(pending(IAT));
                case.learnt.registration = Some(Err(lost_answer()));
            }),
        )
        .row(
            "the client was registered",
            &Case::registered().with(|case| {
                case.learnt.registration = Some(Ok(Assigned {
                    client_id: ID.to_owned(),
                    requested: None,
                }));
            }),
        )
        .row(
            "no lock",
            &Case::new()
                .with(iat)
                .with(|case| case.learnt.unlocked = Some(CredentialsError::LockLost)),
        )
        .row(
            "registration is skipped",
            &Case::new().with(iat).with(|case| case.options.skip = true),
        )
        .row("a look", &Case::new().with(iat).with(look))
        .row("a comparison", &Case::new().with(iat).with(compares))
        .row(
            "a deletion",
            &Case::new()
                .with(iat)
                .with(|case| case.purpose = Purpose::Deletion),
        );
    insta::assert_snapshot!(plans.0);
}

#[test]
fn comparisons() {
    let compared = |metadata| Case::registered().read(Ok(metadata));
    let mut extended = as_wanted();
    extended.insert(
        "token_endpoint_auth_method".to_owned(),
        json!(["private_key_jwt"]),
    );
    let plans = Table::default()
        .row("not read yet", &Case::registered())
        .row("as wanted", &compared(Some(as_wanted())))
        .row("as wanted, in a list of one", &compared(Some(extended)))
        .row(
            "as wanted, which was not agreed before",
            &compared(Some(as_wanted())).with(|case| {
                case.record.registered.as_mut().unwrap().remembered = Remembered::default();
            }),
        )
        .row("changed at the IdP", &compared(Some(drifted())))
        .row(
            "other scopes are wanted",
            &compared(Some(as_wanted())).with(other_scopes),
        )
        .row("not readable, as sent", &compared(None))
        .row(
            "not readable, other scopes are wanted",
            &compared(None).with(other_scopes),
        )
        .row(
            "not managed, as sent",
            &Case::registered().with(|case| case.reach = Reach::Unmanaged),
        )
        .row(
            "not managed, other scopes are wanted",
            &Case::registered()
                .with(other_scopes)
                .with(|case| case.reach = Reach::Unmanaged),
        )
        .row(
            "managed elsewhere, as sent",
            &Case::registered().with(|case| {
                case.reach = Reach::Elsewhere {
                    origin: "https://x.example".to_owned(),
                }
            }),
        )
        .row("unreachable", &Case::registered().read(Err(unreachable())))
        .row(
            "gone",
            &Case::registered().read(Err(RegistrationError::ClientGone {
                url: url(),
                status: StatusCode::NOT_FOUND,
                client_id: ID.to_owned(),
            })),
        )
        .row(
            "updated",
            &compared(Some(as_wanted())).with(other_scopes).with(|case| {
                case.learnt.update = Some(Ok(case.plan().changes()));
            }),
        )
        .row(
            "updated over somebody's change",
            &compared(Some(drifted())).with(|case| {
                case.learnt.update = Some(Ok(case.plan().changes()));
                case.learnt.reads_back = true;
            }),
        )
        .row(
            "the update is refused",
            &compared(Some(drifted())).with(|case| {
                case.learnt.update = Some(Err(refused(Target::Client, StatusCode::BAD_REQUEST)));
            }),
        )
        .row(
            "the update is not offered",
            &compared(Some(drifted())).with(|case| case.learnt.update = Some(Err(cannot_update()))),
        )
        .row(
            "no lock",
            &Case::registered().with(|case| case.learnt.unlocked = Some(CredentialsError::LockLost)),
        )
        .row(
            "a comparison of a running server",
            &Case::registered().with(compares),
        )
        .row("a look", &Case::registered().with(look))
        .row("a look at a change", &compared(Some(drifted())).with(look))
        .row(
            "registration is skipped",
            &Case::registered().with(|case| case.options.skip = true),
        );
    insta::assert_snapshot!(plans.0);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn lost_registration_tokens() {
    let renewed = |renewal| {
        move |case: &mut Case| {
            admin(case);
            case.learnt.renewal = Some(renewal);
        }
    };
    let plans = Table::default()
        .row("refused with 401", &lost())
        .row("refused with 401, and an admin token", &lost().with(admin))
        .row("the same in a comparison", &lost().with(admin).with(compares))
        .row(
            "an admin token with a space",
            &lost().with(|case| case.options.admin_token = Some("a b".into())),
        )
        .row(
            "the admin API made another token",
            &Case::registered().with(renewed(Renewal::Renewed)),
        )
        .row(
            "that token is refused too",
            &lost().with(renewed(Renewal::Renewed)),
        )
        .row(
            "the admin API does not answer",
            &lost().with(renewed(Renewal::Failed(unreachable()))),
        )
        .row(
            "there is no admin API",
            &lost().with(renewed(Renewal::NotOffered)),
        )
        .row(
            "there is no admin API, and the IdP accepts the client",
            &lost().with(renewed(Renewal::NotOffered)).with(unclear),
        )
        .row("the IdP accepts the client", &lost().with(unclear))
        .row(
            "the IdP accepts the client, and a fresh token",
            &lost().with(unclear).with(iat),
        )
        .row("the IdP refuses the client too", &lost().with(deleted))
        .row(
            "the IdP refuses the client too, and a fresh token",
            &lost().with(deleted).with(iat),
        )
        .row(
            "the same in a comparison",
            &lost().with(deleted).with(iat).with(compares),
        )
        .row("the same in a look", &lost().with(deleted).with(iat).with(look))
        .row(
            "refused with 403",
            &Case::registered().read(Err(token_refused(StatusCode::FORBIDDEN))),
        )
        .row(
            "refused with 403, and a fresh token",
            &Case::registered()
                .read(Err(token_refused(StatusCode::FORBIDDEN)))
                .with(iat),
        )
        .row(
            "403 for another reason, and an admin token",
            &Case::registered()
                .read(Err(refused(Target::Client, StatusCode::FORBIDDEN)))
                .with(admin),
        )
        .row(
            "403 for another reason, and a fresh token",
            &Case::registered()
                .read(Err(refused(Target::Client, StatusCode::FORBIDDEN)))
                .with(iat),
        )
        .row(
            "the client came about this way",
            &lost()
                .with(unclear)
                .with(iat)
                .with(|case| case.record.renewed = true),
        )
        .row(
            "the answer for an earlier minted token is lost",
            &lost()
                .with(unclear)
                .with(renewed(Renewal::NotOffered))
                .with(|case| case.record.pending = Some(pending("x"))),
        )
        .row(
            "the answer for an earlier token is lost, and a fresh token",
            &lost()
                .with(unclear)
                .with(iat)
                .with(|case| case.record.pending = Some(pending("x"))),
        )
        .row("open registration", &lost().with(unclear).with(open))
        .row(
            "a fresh token without an endpoint",
            &lost()
                .with(unclear)
                .with(iat)
                .with(|case| case.endpoint = Err(no_endpoint())),
        )
        .row(
            "the id is taken",
            &lost()
                .with(unclear)
                .with(iat)
                .with(|case| case.learnt.registration = Some(Err(taken()))),
        )
        .row(
            "the id of a deleted client is taken",
            &lost()
                .with(deleted)
                .with(iat)
                .with(|case| case.learnt.registration = Some(Err(taken()))),
        )
        .row(
            "the new client could not be stored",
            &lost()
                .with(unclear)
                .with(iat)
                .with(|case| case.learnt.registration = Some(Err(not_stored()))),
        )
        .row(
            "the answer is lost now",
            &lost()
                .with(unclear)
                .with(iat)
                .with(|case| case.learnt.registration = Some(Err(lost_answer()))),
        )
        .row(
            "the update is refused with 401",
            &Case::registered().read(Ok(None)).with(|case| {
                case.learnt.update = Some(Err(token_refused(StatusCode::UNAUTHORIZED)));
            }),
        );
    insta::assert_snapshot!(plans.0);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn replacements() {
    let is_taken = |case: &mut Case| case.learnt.registration = Some(Err(taken()));
    let in_place = || Case::forced().with(is_taken);
    let not_updated = || {
        in_place()
            .read(Ok(Some(as_wanted())))
            .with(|case| case.learnt.update = Some(Err(cannot_update())))
    };
    let plans = Table::default()
        .row("a fresh token", &Case::forced())
        .row("a look", &Case::forced().with(look))
        .row(
            "a look, after the reading",
            &Case::forced().with(look).read(Ok(Some(as_wanted()))),
        )
        .row("a comparison of a running server", &Case::forced().with(compares))
        .row("a spent token", &Case::forced().with(spent))
        .row("open registration", &Case::forced().with(open))
        .row(
            "a token with a space",
            &Case::forced().with(|case| case.options.initial_access_token = Some("a b".into())),
        )
        .row(
            "the client cannot be deleted",
            &Case::forced().with(|case| {
                case.record.registered.as_mut().unwrap().registration_access_token = None;
            }),
        )
        .row(
            "the answer for this token is lost",
            &Case::forced().with(|case| case.record.pending = Some(pending(IAT))),
        )
        .row(
            "no registration endpoint",
            &Case::forced().with(|case| case.endpoint = Err(no_endpoint())),
        )
        .row(
            "the token is refused",
            &Case::forced().with(|case| case.learnt.registration = Some(Err(initial_token_refused()))),
        )
        .row(
            "the answer is lost now",
            &Case::forced().with(|case| {
                case.record.pending = Some(pending(IAT));
                case.learnt.registration = Some(Err(lost_answer()));
            }),
        )
        .row(
            "unreachable",
            &Case::forced().with(|case| case.learnt.registration = Some(Err(unreachable()))),
        )
        .row(
            "the new client could not be stored",
            &Case::forced().with(|case| case.learnt.registration = Some(Err(not_stored()))),
        )
        .row("the id is taken", &in_place())
        .row(
            "refused with 400, which may mean that",
            &Case::forced().with(|case| {
                case.learnt.registration = Some(Err(refused(Target::Registration, StatusCode::BAD_REQUEST)));
            }),
        )
        .row(
            "the id is taken, and the client is not managed",
            &in_place().with(|case| case.reach = Reach::Unmanaged),
        )
        .row(
            "the id is taken, and the client has the wanted metadata",
            &in_place().read(Ok(Some(as_wanted()))),
        )
        .row(
            "the id is taken, and the client has others",
            &in_place().read(Ok(Some(drifted()))),
        )
        .row(
            "the id is taken, and the token is lost",
            &in_place().read(Err(token_refused(StatusCode::UNAUTHORIZED))),
        )
        .row(
            "the same with an admin token",
            &in_place()
                .with(admin)
                .read(Err(token_refused(StatusCode::UNAUTHORIZED))),
        )
        .row(
            "the same without its API",
            &in_place()
                .with(admin)
                .read(Err(token_refused(StatusCode::UNAUTHORIZED)))
                .with(|case| {
                    case.learnt.renewal = Some(Renewal::NotOffered);
                }),
        )
        .row(
            "the same, and it does not answer",
            &in_place()
                .with(admin)
                .read(Err(token_refused(StatusCode::UNAUTHORIZED)))
                .with(|case| {
                    case.learnt.renewal = Some(Renewal::Failed(unreachable()));
                }),
        )
        .row(
            "written over",
            &in_place()
                .read(Ok(Some(as_wanted())))
                .with(|case| case.learnt.update = Some(Ok(Vec::new()))),
        )
        .row("not updated", &not_updated())
        .row(
            "not updated, by the configured method",
            &not_updated().with(|case| {
                case.options.update_method = crate::registration::UpdateMethod::Put;
            }),
        )
        .row(
            "not updated, and not deleted",
            &not_updated().with(|case| case.learnt.freed = Some(Ok(Freed::Unsupported))),
        )
        .row(
            "not updated, and unreachable",
            &not_updated().with(|case| case.learnt.freed = Some(Err(unreachable()))),
        )
        .row(
            "deleted",
            &Case::new()
                .with(iat)
                .with(|case| case.learnt.freed = Some(Ok(Freed::Deleted))),
        )
        .row(
            "deleted, and not registered",
            &Case::new().with(iat).with(|case| {
                case.learnt.freed = Some(Ok(Freed::Deleted));
                case.learnt.registration = Some(Err(unreachable()));
            }),
        );
    insta::assert_snapshot!(plans.0);
}

#[test]
fn deletions() {
    let replaced =
        |seconds_ago| move |case: &mut Case| case.record.superseded.push(superseded("old", seconds_ago));
    let deletes = |case: &mut Case| case.purpose = Purpose::Deletion;
    let plans = Table::default()
        .row(
            "replaced long enough ago",
            &Case::registered().with(replaced(STAYS)),
        )
        .row("replaced just now", &Case::registered().with(replaced(STAYS - 1)))
        .row(
            "two, one of them just now",
            &Case::registered().with(replaced(STAYS)).with(replaced(0)),
        )
        .row(
            "they had their turn",
            &Case::registered()
                .with(replaced(STAYS))
                .with(|case| case.learnt.replaced_deleted = true),
        )
        .row(
            "a comparison of a running server",
            &Case::registered().with(replaced(STAYS)).with(compares),
        )
        .row("a look", &Case::registered().with(replaced(STAYS)).with(look))
        .row(
            "no lock",
            &Case::registered()
                .with(replaced(STAYS))
                .with(|case| case.learnt.unlocked = Some(CredentialsError::LockLost)),
        )
        .row(
            "only the deletion",
            &Case::registered().with(replaced(STAYS)).with(deletes),
        )
        .row(
            "only the deletion, which had its turn",
            &Case::registered()
                .with(replaced(STAYS))
                .with(deletes)
                .with(|case| {
                    case.learnt.replaced_deleted = true;
                }),
        )
        .row(
            "only the deletion, and no client",
            &Case::new().with(replaced(STAYS)).with(deletes),
        );
    insta::assert_snapshot!(plans.0);
}

#[test]
fn a_plan_names_settings_by_their_knobs() {
    let knobs = |case: &Case| case.plan().describe().knobs();
    assert_eq!(knobs(&Case::new().with(iat)), [Knob::InitialAccessToken]);
    assert_eq!(knobs(&Case::new().with(admin)), [Knob::AdminToken]);
    assert_eq!(
        knobs(&Case::forced()),
        [Knob::InitialAccessToken, Knob::ForceReplace]
    );
    let skipped = Case::new().with(|case| case.options.skip = true);
    assert_eq!(knobs(&skipped), [Knob::SkipRegistration]);
}
