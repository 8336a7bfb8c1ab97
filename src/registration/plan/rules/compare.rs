//! Brings a registration up to date: read, compare, write only where something differs.

use super::{
    super::{
        super::{
            credentials::Registered,
            diff::listed,
            error::{ErrorKind, RegistrationError},
            event::Event,
        },
        Facts, Plan, Purpose, Reach, Renewal, Step, Updating, Why,
    },
    register,
};
/// Compares the client with the IdP's and updates it if it differs. If this fails, the stored client stays in use.
pub(super) fn follow(facts: &Facts<'_>, known: &Registered) -> Plan {
    let id = &known.client_id;
    match &facts.learnt.update {
        Some(Ok(changes)) => {
            let end = Plan::keep(id, Event::of_changes(changes.clone()));
            return if facts.learnt.reads_back {
                Plan::of(Step::ReadBack {
                    client_id: id.clone(),
                })
                .followed_by(end)
            } else {
                end
            };
        }
        Some(Err(error)) => return failed(facts, known, error),
        None => {}
    }
    match &facts.learnt.reading {
        Some(Err(error)) => failed(facts, known, error),
        None if facts.reach == Reach::Managed => Plan::of(read(known)),
        _ if facts.reach != Reach::Managed => {
            let changes = facts.difference().changes;
            if changes.is_empty() {
                return Plan::keep(id, Event::Unchanged);
            }
            let changes = listed(&changes);
            let error = match (&facts.reach, &facts.endpoint) {
                (Reach::NoEndpoint, Err(error)) => error.clone(),
                _ => RegistrationError::NeedsToken { changes },
            };
            failed(facts, known, &error)
        }
        _ => compared(facts, known),
    }
}

pub(super) fn read(known: &Registered) -> Step {
    Step::Read {
        client_id: known.client_id.clone(),
    }
}

pub(super) fn renew_token(known: &Registered, or_anew: bool) -> Step {
    Step::RenewToken {
        client_id: known.client_id.clone(),
        or_anew,
    }
}

/// The IdP has answered, or lets nobody read a client.
fn compared(facts: &Facts<'_>, known: &Registered) -> Plan {
    let client_id = known.client_id.clone();
    let difference = facts.difference();
    if !difference.changes.is_empty() {
        let drifted = difference.drifted(&facts.remembered());
        let reads_back = !drifted.is_empty();
        let update = Plan::of(Step::Update(Box::new(Updating {
            client_id: client_id.clone(),
            changes: difference.changes,
            drifted,
            in_place: false,
        })));
        return if reads_back {
            update.then(Step::ReadBack { client_id })
        } else {
            update
        };
    }
    let end = Plan::keep(&client_id, Event::Unchanged);
    // Somebody may have given the client the wanted values: they count as agreed from now on.
    let is_agreed = facts
        .current()
        .is_none_or(|current| facts.agreed(known, &difference.wanted, current) == *known);
    if is_agreed {
        end
    } else {
        Plan::of(Step::Remember { client_id }).followed_by(end)
    }
}

/// The comparison or the update has failed: another registration access token or another client may help.
fn failed(facts: &Facts<'_>, known: &Registered, error: &RegistrationError) -> Plan {
    let id = &known.client_id;
    let keep = |error: &RegistrationError| Plan::keep(id, Event::of_failure(error.clone()));
    let is_anew_possible = facts.purpose != Purpose::Comparison
        && matches!(
            error,
            RegistrationError::RegistrationTokenRefused { .. } | RegistrationError::ClientDeleted { .. }
        );
    // A look asks at once: no renewal of a token reveals to it whether the client exists.
    if facts.purpose == Purpose::Look && facts.learnt.standing.is_none() && error.may_mean_deleted() {
        return Plan::of(prove(known));
    }
    let error = &error.clone().with_standing(facts.learnt.standing);
    match &facts.learnt.renewal {
        // Another client would not help if a new token does not work either.
        Some(Renewal::Renewed) => return keep(error),
        Some(Renewal::Failed(error)) => return keep(error),
        None if error.may_be_of_the_token() => match facts.admin_token() {
            Ok(None) => {}
            Ok(Some(())) => {
                let or_anew = is_anew_possible && matches!(facts.access_to_renew(), Ok(Some(_)));
                return Plan::of(renew_token(known, or_anew)).then(read(known));
            }
            Err(error) => return keep(&error),
        },
        None | Some(Renewal::NotOffered) => {}
    }
    if facts.learnt.standing.is_none() && error.may_mean_deleted() {
        return Plan::of(prove(known));
    }
    if !is_anew_possible {
        return keep(error);
    }
    let client_id = id.clone();
    let why = match error {
        RegistrationError::ClientDeleted { .. } => Why::Deleted { client_id },
        _ => Why::TokenLost { client_id },
    };
    anew(facts, known, error, &why)
}

pub(super) fn prove(known: &Registered) -> Step {
    Step::Prove {
        client_id: known.client_id.clone(),
    }
}

/// Registers anew after `refusal`, once: if the new client's token does not work either, a third client would not
/// help. No standard renews a registration access token: RFC 7592 gives a new one only to a client that has the old one.
fn anew(facts: &Facts<'_>, known: &Registered, refusal: &RegistrationError, why: &Why) -> Plan {
    let id = &known.client_id;
    let register = || {
        if let Some(Err(error)) = &facts.learnt.registration {
            return Err(error.clone());
        }
        let Some(access) = facts.access_to_renew()? else {
            return Ok(None);
        };
        register(facts, access, why.clone()).map(Some)
    };
    let event = match register() {
        Ok(Some(step)) => {
            let plan = Plan::of(step);
            return match why {
                Why::TokenLost { .. } => plan.then(Step::Leave {
                    client_id: id.clone(),
                }),
                _ => plan,
            };
        }
        Ok(None) => Event::UpdateRefused(refusal.clone()),
        Err(error) => {
            let of_its_own = matches!(error, RegistrationError::NotStored { .. })
                || matches!(error.kind(), ErrorKind::Unreachable | ErrorKind::OutcomeUnknown);
            if of_its_own {
                Event::of_failure(error)
            } else {
                Event::UpdateRefused(refusal.clone().and_not_anew(error))
            }
        }
    };
    Plan::keep(id, event)
}
