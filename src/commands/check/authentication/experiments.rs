//! Experiments after a refusal of the client that no row explains: the same request with one property changed. If the IdP
//! accepts one, that property is the cause. No experiment changes anything.

mod trials;

use std::sync::Arc;

use http::StatusCode;

use self::trials::Trial;
use super::{
    super::{Context, own::KeysFound},
    request::{Answer, Refusal, push, redeem, redirect_uris},
};
use crate::{
    app::one_shot::Variant,
    diagnostic::Fix,
    oidc::{CallError, Client, Metadata, ProviderTime},
};

/// At most this many requests, with the refused one: an IdP may lock out a client that it refuses too often.
const MOST: usize = 12;

/// The subject of the experiments.
pub(super) struct Refused<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) metadata: &'a Arc<Metadata>,
    pub(super) keys: &'a KeysFound,
    pub(super) client: &'a Client,
    pub(super) refusal: &'a Refusal,
    /// Whether the endpoint for pushed requests refused it.
    pub(super) at_par: bool,
    /// Whether the IdP cannot fetch the keys now: then it refuses every key.
    pub(super) keys_out_of_reach: bool,
}

/// The property of the request that the IdP does not accept.
pub(super) enum Cause {
    /// A setting, or something at the IdP.
    Told {
        /// In one line.
        text: String,
        /// The change to make.
        fix: Fix,
    },
    /// The date of assertions.
    Clock(ProviderTime),
    /// The endpoint for pushed requests alone refuses the client, in each form.
    OnlyPar,
}

/// The outcome.
pub(super) struct Outcome {
    /// The cause, if it was found.
    pub(super) cause: Option<Cause>,
    /// Whether the IdP has accepted the signing key under its kid.
    pub(super) has_key: bool,
    /// The properties whose change the IdP did not accept either.
    pub(super) refused: Vec<String>,
    /// The properties that were not tried.
    pub(super) untried: Vec<String>,
    /// The status with which the IdP ended the experiments.
    pub(super) stopped: Option<StatusCode>,
}

/// The endpoint that judges the client.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Door {
    Token,
    Par,
}

// === impl Refused ===

impl Refused<'_> {
    /// Does the experiments until one succeeds, or the IdP asks for less.
    pub(super) async fn explain(&self) -> Outcome {
        let mut outcome = Outcome {
            cause: None,
            has_key: false,
            refused: Vec::new(),
            untried: Vec::new(),
            stopped: None,
        };
        // The refused request.
        let mut sent = 1;
        let mut door = Door::Token;
        if self.at_par {
            sent += 1;
            let configured = self.context.parts.configured();
            match self.ask(Door::Token, self.client, configured).await {
                Answer::In => door = Door::Par,
                Answer::Unclear(error) => outcome.stopped = ends(&error),
                Answer::Out(_) | Answer::Refused(_) => {}
            }
        }
        for trial in trials::all(self).await {
            if outcome.stopped.is_some() || sent >= MOST {
                outcome.untried.push(trial.name);
                continue;
            }
            sent += 1;
            let Trial {
                name,
                client,
                variant,
                cause,
                by_signing_key,
            } = trial;
            match self.ask(door, &client, variant).await {
                Answer::In => {
                    outcome.cause = Some(cause);
                    outcome.has_key = by_signing_key;
                    return outcome;
                }
                Answer::Unclear(error) => {
                    outcome.stopped = ends(&error);
                    let known = if outcome.stopped.is_some() {
                        &mut outcome.untried
                    } else {
                        &mut outcome.refused
                    };
                    known.push(name);
                }
                Answer::Out(_) | Answer::Refused(_) => outcome.refused.push(name),
            }
        }
        if door == Door::Par && outcome.stopped.is_none() {
            outcome.cause = Some(Cause::OnlyPar);
        }
        outcome
    }

    async fn ask(&self, door: Door, client: &Client, variant: Variant) -> Answer {
        let relying_party = self.context.parts.variant(variant, self.metadata);
        relying_party.client().set(client.clone());
        let uris = redirect_uris(self.context);
        let uri = uris.first().map_or("", String::as_str);
        match door {
            Door::Token => redeem(self.context, &relying_party, uri).await,
            Door::Par => push(self.context, &relying_party, uri).await,
        }
    }
}

/// The status of an answer after which nothing more is sent: 429, or an IdP that does not work.
const fn ends(error: &CallError) -> Option<StatusCode> {
    match error {
        CallError::Unavailable { status, .. } => Some(*status),
        CallError::Transport { .. } => Some(StatusCode::SERVICE_UNAVAILABLE),
        _ => None,
    }
}
