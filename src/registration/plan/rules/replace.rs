//! `DCR_FORCE_REPLACE`: registers anew with a fresh initial access token. One client works at every moment.

use http::StatusCode;

use super::{
    super::{
        super::{credentials::Registered, error::RegistrationError, event::Event, options::UpdateMethod},
        Facts, Freed, Plan, Purpose, Reach, Renewal, Step, TokenSource, Updating, Why,
    },
    compare, farewell, register,
};

/// The request of `DCR_FORCE_REPLACE`.
enum Forced {
    /// Nothing: it is off, or its token was used. A switch that stays on therefore does not break a restart.
    No,
    /// A new client, but the answer to the request with this token is lost.
    Lost,
    /// A new client.
    Yes,
}

/// Replaces the client if that is requested, and otherwise compares it.
pub(super) fn or_compare(facts: &Facts<'_>, known: &Registered) -> Plan {
    if facts.purpose == Purpose::Comparison {
        return compare::follow(facts, known);
    }
    match forced(facts) {
        Err(error) => Plan::refuse(error),
        Ok(Forced::No) => compare::follow(facts, known),
        Ok(Forced::Lost) => compare::follow(facts, known).without_replacing(facts.outcome_unknown()),
        Ok(Forced::Yes) => replace(facts, known),
    }
}

fn forced(facts: &Facts<'_>) -> Result<Forced, RegistrationError> {
    if !facts.options.force_replace {
        return Ok(Forced::No);
    }
    // Without a token nothing says that it was done already.
    Ok(match facts.fresh_access()?.filter(|access| !access.is_open()) {
        None => Forced::No,
        // Its request of this attempt has an answer, so that the note is an older one.
        Some(access) if facts.is_pending(&access) && facts.learnt.registration.is_none() => Forced::Lost,
        Some(_) => Forced::Yes,
    })
}

/// Registers anew beside the stored client, which stays in use until the new one is stored.
fn replace(facts: &Facts<'_>, known: &Registered) -> Plan {
    let id = &known.client_id;
    if let Some(Err(error)) = &facts.learnt.registration {
        return if may_mean_taken(error) {
            in_place(facts, known, error)
        } else if matches!(error, RegistrationError::InitialTokenRefused { .. }) {
            // The token is bad, which says nothing about the registration.
            compare::follow(facts, known).without_replacing(error.clone())
        } else {
            Plan::keep(id, Event::of_failure(error.clone()))
        };
    }
    let why = Why::Forced {
        client_id: id.clone(),
    };
    let anew = match register(facts, TokenSource::Configured, why) {
        Ok(register) => Plan::of(register).then(farewell(known)),
        Err(error) => Plan::keep(id, Event::of_failure(error)),
    };
    // A look compares the client in any case.
    let reads =
        facts.purpose == Purpose::Look && facts.reach == Reach::Managed && facts.learnt.reading.is_none();
    let proves = facts.purpose == Purpose::Look
        && facts.learnt.standing.is_none()
        && matches!(&facts.learnt.reading, Some(Err(error)) if error.may_mean_deleted());
    if proves {
        Plan::of(compare::prove(known)).followed_by(anew)
    } else if reads {
        Plan::of(compare::read(known)).followed_by(anew)
    } else {
        anew
    }
}

/// The id is taken: the server updates the client that has it to the wanted metadata.
fn in_place(facts: &Facts<'_>, known: &Registered, taken: &RegistrationError) -> Plan {
    let id = &known.client_id;
    let not_anew = |error: &RegistrationError| {
        Plan::keep(id, Event::of_failure(error.clone().and_not_anew(taken.clone())))
    };
    if facts.reach != Reach::Managed {
        return Plan::keep(id, Event::UpdateRefused(taken.clone()));
    }
    match (&facts.learnt.reading, &facts.learnt.renewal) {
        (None, _) => Plan::of(compare::read(known)),
        (Some(Err(error)), None) if error.may_be_of_the_token() => match facts.admin_token() {
            Ok(None) => not_anew(error),
            Ok(Some(())) => Plan::of(compare::renew_token(known, false)).then(compare::read(known)),
            Err(error) => not_anew(&error),
        },
        (Some(Err(_)), Some(Renewal::Failed(error))) | (Some(Err(error)), _) => not_anew(error),
        (Some(Ok(_)), _) => match &facts.learnt.update {
            None => Plan::of(Step::Update(Box::new(Updating {
                client_id: id.clone(),
                changes: facts.difference().changes,
                drifted: Vec::new(),
                in_place: true,
            }))),
            Some(Ok(changes)) => Plan::keep(id, Event::of_changes(changes.clone())),
            // The IdP may support a method that the configuration rules out.
            Some(Err(RegistrationError::CannotUpdate { .. }))
                if facts.options.update_method == UpdateMethod::Auto =>
            {
                free(facts, known, taken)
            }
            Some(Err(error)) => not_anew(error),
        },
    }
}

/// The last resort: the IdP neither gives the id twice nor updates the client that has it.
fn free(facts: &Facts<'_>, known: &Registered, taken: &RegistrationError) -> Plan {
    let id = &known.client_id;
    match &facts.learnt.freed {
        None => {
            let free = Plan::of(Step::Free {
                client_id: id.clone(),
            });
            match register(facts, TokenSource::Configured, Why::Freed) {
                Ok(register) => free.then(register),
                Err(error) => Plan::keep(id, Event::of_failure(error)),
            }
        }
        Some(Ok(Freed::Deleted | Freed::Unsupported)) => Plan::keep(id, Event::UpdateRefused(taken.clone())),
        Some(Err(error)) => Plan::keep(id, Event::of_failure(error.clone())),
    }
}

/// Whether an IdP could mean with `error` that the id is taken.
fn may_mean_taken(error: &RegistrationError) -> bool {
    match error {
        RegistrationError::ClientIdTaken { .. } => true,
        RegistrationError::Refused { status, .. } => *status == StatusCode::BAD_REQUEST,
        _ => false,
    }
}
