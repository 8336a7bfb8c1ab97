//! Every outcome of every step, to the end.

use super::{
    super::{Assigned, Freed, Renewal, Step, TokenSource, Why},
    *,
};

/// More steps than any attempt needs.
const MOST_STEPS: usize = 20;

/// The steps of a walk, from the start of an attempt.
#[derive(Clone, Default)]
struct Done {
    steps: Vec<String>,
    registrations: usize,
    renewals: usize,
    proofs: usize,
    ends: usize,
}

/// The facts after each outcome that `step` can have.
fn outcomes(step: &Step, before: &dyn Fn() -> Case) -> Vec<Case> {
    let mut after = Vec::new();
    let mut one = |change: &dyn Fn(&mut Case)| {
        let mut case = before();
        change(&mut case);
        after.push(case);
    };
    match step {
        Step::DeleteReplaced { .. } => one(&|case| case.learnt.replaced_deleted = true),
        Step::Read { .. } => {
            one(&|case| case.learnt.reading = Some(Ok(None)));
            one(&|case| case.learnt.reading = Some(Ok(Some(as_wanted()))));
            one(&|case| case.learnt.reading = Some(Ok(Some(drifted()))));
            one(&|case| case.learnt.reading = Some(Err(unreachable())));
            one(&|case| case.learnt.reading = Some(Err(token_refused(StatusCode::UNAUTHORIZED))));
            one(&|case| case.learnt.reading = Some(Err(token_refused(StatusCode::FORBIDDEN))));
        }
        Step::RenewToken { .. } => {
            one(&|case| {
                case.learnt.reading = None;
                case.learnt.update = None;
                case.learnt.renewal = Some(Renewal::Renewed);
            });
            one(&|case| case.learnt.renewal = Some(Renewal::NotOffered));
            one(&|case| case.learnt.renewal = Some(Renewal::Failed(unreachable())));
        }
        Step::Prove { .. } => {
            one(&|case| case.learnt.standing = Some(Standing::Accepted));
            one(&deleted);
            one(&unclear);
        }
        Step::Register(_) => {
            one(&|case| {
                case.record.registered = Some(known("new"));
                case.learnt.registration = Some(Ok(Assigned {
                    client_id: "new".to_owned(),
                    requested: None,
                }));
            });
            for error in [
                initial_token_refused(),
                taken(),
                unreachable(),
                lost_answer(),
                not_stored(),
            ] {
                one(&|case| case.learnt.registration = Some(Err(error.clone())));
            }
        }
        Step::Update(updating) => {
            one(&|case| {
                case.learnt.update = Some(Ok(updating.changes.clone()));
                case.learnt.reads_back = !updating.drifted.is_empty();
            });
            for error in [
                cannot_update(),
                unreachable(),
                token_refused(StatusCode::UNAUTHORIZED),
            ] {
                one(&|case| case.learnt.update = Some(Err(error.clone())));
            }
        }
        Step::ReadBack { .. } => one(&|case| case.learnt.reads_back = false),
        Step::Remember { .. } => {
            one(&|case| case.record.registered = Some(known(ID)));
            one(&|case| case.learnt.update = Some(Err(unreachable())));
        }
        Step::Free { .. } => {
            one(&|case| {
                case.record.registered = None;
                case.learnt.registration = None;
                case.learnt.freed = Some(Ok(Freed::Deleted));
            });
            one(&|case| case.learnt.freed = Some(Ok(Freed::Unsupported)));
            one(&|case| case.learnt.freed = Some(Err(unreachable())));
        }
        Step::DeleteLater { .. } | Step::Leave { .. } | Step::Keep { .. } | Step::Refuse(_) | Step::Skip => {}
    }
    after
}

/// Follows every outcome, and returns the number of ends.
fn walk(case: &Case, done: &Done) -> usize {
    let plan = case.plan();
    let told = || format!("{:?}: {}", done.steps, case.shown());
    assert!(done.steps.len() < MOST_STEPS, "no end: {}", told());
    let Some(step) = plan.steps().first() else {
        assert_ne!(case.purpose, Purpose::Start, "{}", told());
        return 1;
    };
    let mut now = done.clone();
    now.steps.push(format!("{step:?}").chars().take(30).collect());
    match step {
        Step::Register(registering) => {
            now.registrations += 1;
            assert!(
                matches!(case.purpose, Purpose::Start | Purpose::Look),
                "{}",
                told()
            );
            let anew = registering.why == Why::Freed;
            assert!(now.registrations <= if anew { 2 } else { 1 }, "{}", told());
            let has_means = match registering.access {
                TokenSource::Minted => case.options.admin_token.is_some(),
                TokenSource::Configured => case.options.initial_access_token.is_some(),
                TokenSource::Open => case.options.open_registration,
            };
            assert!(has_means, "{}", told());
            let replaces = case.record.registered.is_some();
            assert_eq!(registering.why.replaces().is_some(), replaces, "{}", told());
        }
        Step::RenewToken { .. } => now.renewals += 1,
        Step::Prove { .. } => now.proofs += 1,
        Step::Update(_) => assert!(
            case.learnt.reading.is_some(),
            "written without a look: {}",
            told()
        ),
        _ => {}
    }
    assert!(now.renewals <= 1 && now.proofs <= 1, "{}", told());
    if case.purpose == Purpose::Look && !step.only_looks() {
        return 1;
    }
    let again = || Case {
        purpose: case.purpose,
        options: case.options.clone(),
        record: case.record.clone(),
        endpoint: case.endpoint.clone(),
        reach: case.reach.clone(),
        learnt: case.learnt.clone(),
    };
    let after = outcomes(step, &again);
    if after.is_empty() {
        assert!(
            matches!(step, Step::Keep { .. } | Step::Refuse(_) | Step::Skip),
            "{}",
            told()
        );
        if matches!(step, Step::Refuse(_)) {
            assert!(
                case.record.registered.is_none() || case.learnt.reading.is_none(),
                "a stored client serves: {}",
                told()
            );
        }
        return 1;
    }
    now.ends = after.iter().map(|case| walk(case, &now)).sum();
    now.ends
}

/// No attempt is endless. None registers twice, nor writes what it has not read, nor spends what it does not have.
#[test]
fn every_outcome_of_every_step_leads_to_an_end() {
    let mut ends = 0;
    let mut starts = 0;
    for purpose in [
        Purpose::Start,
        Purpose::Comparison,
        Purpose::Deletion,
        Purpose::Look,
    ] {
        for bits in 0_u32..256 {
            let is = |bit: u32| bits & (1 << bit) != 0;
            let mut case = if is(0) { Case::registered() } else { Case::new() };
            case.purpose = purpose;
            case.options.force_replace = is(1);
            case.options.initial_access_token = is(2).then(|| Secret::from(IAT));
            case.options.admin_token = is(3).then(|| Secret::from("admin-token"));
            case.options.open_registration = is(4);
            if is(5) {
                case.record.pending = Some(pending(IAT));
            }
            if is(6) {
                case.record.superseded.push(superseded("old", STAYS));
            }
            if is(7) {
                case.endpoint = Err(no_endpoint());
            }
            starts += 1;
            ends += walk(&case, &Done::default());
        }
    }
    assert!(starts == 1024 && ends > 5000, "{starts} starts, {ends} ends");
}
