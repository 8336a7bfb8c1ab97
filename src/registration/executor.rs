//! The executor: it performs the steps of plans. Only it calls the IdP and writes credentials.
//!
//! It asks for a plan, performs the first step, adds the outcome to the facts, and asks again. It compares before it
//! writes, and writes before it could lose data.

mod delete;
mod extensions;
mod prove;
mod read;
mod register;
mod tokens;
mod update;

use super::{
    attempt::Attempt,
    error::RegistrationError,
    event::{Event, Outcome},
    plan::{Plan, Renewal, Step, plan},
};
use crate::diagnostic::Explain as _;

// === impl Attempt ===

impl Attempt<'_> {
    /// Performs the steps until an end. `None` if the plan is to do nothing.
    pub(super) async fn run(mut self) -> Result<Option<Outcome>, RegistrationError> {
        self.tell_reach();
        let mut is_told = false;
        loop {
            let plan = plan(&self.facts());
            tell_not_replaced(&plan, &mut is_told);
            tell(&plan);
            match plan.into_first() {
                None | Some(Step::Skip) => return Ok(None),
                Some(Step::Refuse(error)) => return Err(*error),
                Some(Step::Keep { event, .. }) => return self.end(*event).map(Some),
                Some(step) => self.perform(step).await,
            }
        }
    }

    /// Performs the steps that change nothing at the IdP, and returns the plan of the others.
    pub(super) async fn look(&mut self) -> Plan {
        self.tell_reach();
        let mut is_told = false;
        loop {
            let plan = plan(&self.facts());
            tell_not_replaced(&plan, &mut is_told);
            match plan.steps().first() {
                Some(step) if step.only_looks() => self.perform(step.clone()).await,
                _ => return plan,
            }
        }
    }

    async fn perform(&mut self, step: Step) {
        match step {
            Step::DeleteReplaced { client_ids } => {
                self.delete_replaced(&client_ids).await;
                self.learnt.replaced_deleted = true;
            }
            Step::Read { .. } => self.learnt.reading = Some(self.read().await),
            Step::RenewToken { client_id, .. } => {
                let renewal = self.renew_token(&client_id).await;
                if matches!(renewal, Renewal::Renewed) {
                    // They are outcomes of the former token.
                    self.learnt.reading = None;
                    self.learnt.update = None;
                }
                self.learnt.renewal = Some(renewal);
            }
            Step::Prove { .. } => self.learnt.standing = Some(self.prove().await),
            Step::Register(registering) => {
                self.learnt.registration = Some(self.register(&registering).await);
            }
            Step::Update(updating) => {
                let updated = self.update(&updating).await;
                self.learnt.reads_back = updated.is_ok() && !updating.drifted.is_empty();
                self.learnt.update = Some(updated.map(|()| updating.changes));
            }
            Step::ReadBack { .. } => {
                self.read_back().await;
                self.learnt.reads_back = false;
            }
            Step::Remember { .. } => {
                if let Err(error) = self.remember().await {
                    self.learnt.update = Some(Err(error.into()));
                }
            }
            Step::Free { client_id } => {
                let freed = self.free(&client_id).await;
                self.learnt.freed = Some(freed);
            }
            // The others are performed with the step before them, or are ends.
            Step::DeleteLater { .. }
            | Step::Leave { .. }
            | Step::Keep { .. }
            | Step::Refuse(_)
            | Step::Skip => {}
        }
    }

    fn end(&self, event: Event) -> Result<Outcome, RegistrationError> {
        // A registration is told before the next step could fail.
        if !matches!(event, Event::Registered { .. }) {
            event.log();
        }
        self.tell_grants();
        let client = self.client()?;
        Ok(Outcome { client, event })
    }

    fn tell_reach(&self) {
        if let (Some(known), Err(reach)) = (&self.record.registered, self.management())
            && !self.registration.options.skip
        {
            self.tell_elsewhere(&known.client_id, &reach);
        }
    }
}

/// Logs `plan`, at the level of what it changes. An end has a line of its own.
fn tell(plan: &Plan) {
    if plan.changes_something() {
        tracing::info!("registration plan: {}", plan.describe().told());
    } else if !plan.is_at_end() {
        tracing::debug!("registration plan: {}", plan.describe().told());
    }
}

/// Logs why the client is not replaced, once.
fn tell_not_replaced(plan: &Plan, is_told: &mut bool) {
    let Some(reason) = plan.not_replaced() else {
        return;
    };
    if std::mem::replace(is_told, true) {
        return;
    }
    if matches!(reason, RegistrationError::OutcomeUnknown { .. }) {
        tracing::warn!("not replaced: {}", reason.told());
    } else {
        tracing::error!("not replaced: {}", reason.told());
    }
}
