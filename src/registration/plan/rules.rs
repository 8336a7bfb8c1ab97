//! The rules that make a plan of facts.

mod compare;
mod replace;

use super::{
    super::{
        credentials::{Registered, Superseded},
        error::RegistrationError,
        event::Event,
        run::LOOK,
    },
    Facts, Freed, Plan, Purpose, Registering, Step, TokenSource, Why,
};
use crate::clock::Timestamp;

/// How long a replaced client stays. Every process on the file sees the new client within one look. A process that
/// missed one, or has a clock some seconds off, has two more.
const STAYS: std::time::Duration = LOOK.saturating_mul(3);

/// The next steps.
pub(in super::super) fn plan(facts: &Facts<'_>) -> Plan {
    if facts.options.skip {
        return Plan::of(Step::Skip);
    }
    if let Some(Ok(new)) = &facts.learnt.registration {
        return Plan::keep(&new.client_id, Event::from(new.clone()));
    }
    let deletions = deletions(facts);
    if facts.purpose == Purpose::Deletion {
        return deletions;
    }
    match &facts.record.registered {
        // A running server has a client in memory, so it makes no other.
        None if facts.purpose == Purpose::Comparison => Plan::default(),
        None => first(facts).unwrap_or_else(Plan::refuse),
        Some(known) => with_client(facts, known, deletions),
    }
}

/// A client exists.
fn with_client(facts: &Facts<'_>, known: &Registered, deletions: Plan) -> Plan {
    // A folder without locks is a folder without storage: the present contents stay in use.
    if let Some(error) = &facts.learnt.unlocked {
        return Plan::keep(&known.client_id, Event::UpdateRefused(error.clone().into()));
    }
    let next = replace::or_compare(facts, known);
    let looks = next.steps().first().is_some_and(Step::only_looks);
    // A look has to come to an end first: it deletes nothing.
    if facts.purpose == Purpose::Look && looks {
        next
    } else {
        deletions.followed_by(next)
    }
}

/// When no process uses `old` any more.
pub(in super::super) fn due_at(old: &Superseded) -> Timestamp {
    old.since.saturating_add(STAYS)
}

/// The deletion of the clients that were replaced long enough ago.
fn deletions(facts: &Facts<'_>) -> Plan {
    let superseded = facts.record.superseded.iter();
    let due: Vec<String> = superseded
        .filter(|old| due_at(old) <= facts.now)
        .map(|old| old.client_id.clone())
        .collect();
    let is_done = facts.learnt.replaced_deleted || facts.learnt.unlocked.is_some();
    if due.is_empty() || is_done || facts.record.registered.is_none() && facts.purpose != Purpose::Deletion {
        return Plan::default();
    }
    Plan::of(Step::DeleteReplaced { client_ids: due })
}

/// The first registration, or the one after the deletion of the stored client.
fn first(facts: &Facts<'_>) -> Result<Plan, RegistrationError> {
    if let Some(error) = &facts.learnt.unlocked {
        return Err(error.clone().into());
    }
    if let Some(Err(error)) = &facts.learnt.registration {
        return Err(error.clone());
    }
    let access = facts.first_access()?;
    let why = match &facts.learnt.freed {
        Some(Ok(Freed::Deleted)) => Why::Freed,
        _ => Why::First,
    };
    Ok(Plan::of(register(facts, access, why)?))
}

fn register(facts: &Facts<'_>, access: TokenSource, why: Why) -> Result<Step, RegistrationError> {
    facts.endpoint.as_ref().map_err(Clone::clone)?;
    Ok(Step::Register(Box::new(Registering {
        issuer: facts.issuer.to_owned(),
        access,
        why,
        wanted: facts.wanted.clone(),
    })))
}

/// The end of a client that another one replaces.
fn farewell(known: &Registered) -> Step {
    let client_id = known.client_id.clone();
    if known.registration_access_token.is_some() && known.registration_client_uri.is_some() {
        Step::DeleteLater {
            client_id,
            after: STAYS,
        }
    } else {
        Step::Leave { client_id }
    }
}
