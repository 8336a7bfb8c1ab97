//! A client that does not exist yet.

use super::{failed, kind, next_start};
use crate::{
    commands::check::{
        Context,
        finding::{Check, Kind, Report},
        text::clean,
    },
    config::StateStore,
    diagnostic::{Explain as _, Fix, Knob, fix},
    oidc::Metadata,
    private_file::{folder_of, missing_folder},
    registration::{Plan, Registration, RegistrationError, TokenSource, TokenTrial},
};

/// The next start for a client that does not exist, and whether it has what it needs.
pub(super) async fn check(
    context: &Context<'_>,
    registration: &Registration,
    metadata: &Metadata,
    plan: &Plan,
    report: &mut Report,
) {
    let next = next_start(plan, report);
    let source = plan.registering().map(|registering| registering.access);
    match (plan.refusal(), source) {
        (Some(error), _) => none_yet(
            context,
            report,
            fix!("there is no client yet, and none can be made"),
            error,
        ),
        (None, None | Some(TokenSource::Minted)) => {
            report.skip(Check::Registration, format!("there is no client yet: {next}"));
        }
        (None, Some(source)) => match registration.try_initial_token(metadata).await {
            Ok(Some(TokenTrial::NotRefused)) => report.skip(
                Check::Registration,
                if source == TokenSource::Open {
                    fix!("there is no client yet, and the IdP wants no IAT: {}", next)
                } else {
                    fix!(
                        "there is no client yet, and the IdP takes {}: {}",
                        Knob::InitialAccessToken,
                        next
                    )
                },
            ),
            Ok(Some(TokenTrial::Unclear(status))) if status.is_success() => report.fail(
                Kind::Wrong,
                Check::Registration,
                format!("the IdP answered {status} to a registration request that no client can be made of"),
                fix!(
                    "asked what it makes of {}, it accepted metadata in which every member has a wrong type",
                    Knob::InitialAccessToken
                ),
                "look at the IdP for a client without a name, remove it, and mint a new IAT",
            ),
            Ok(_) => report.skip(
                Check::Registration,
                fix!(
                    "there is no client yet: {} (whether the IdP takes {} cannot be told)",
                    next,
                    Knob::InitialAccessToken
                ),
            ),
            Err(error @ RegistrationError::InitialTokenRefused { .. }) => {
                let what = fix!(
                    "there is no client yet, and {} is refused",
                    Knob::InitialAccessToken
                );
                none_yet(context, report, what, &error);
            }
            Err(error) => failed(report, Check::Registration, "there is no client yet", &error),
        },
    }
}

/// No client can be made. Where not even the folder of its credentials exists, a mistake in the path comes first.
fn none_yet(context: &Context<'_>, report: &mut Report, what: Fix, error: &RegistrationError) {
    let keys = &context.config.keys;
    let folder = folder_of(&keys.credentials);
    let is_missing = keys.state_store == StateStore::Files && missing_folder(folder).is_some();
    match error.fix().filter(|_| is_missing) {
        None => failed(report, Check::Registration, what, error),
        Some(otherwise) => report.fail(
            kind(error),
            Check::Registration,
            what,
            format!(
                "{}; the folder {} does not exist",
                clean(&error.to_string()),
                folder.display()
            ),
            fix!(
                "correct {} if this client is registered already; otherwise {}",
                Knob::CredentialsPlace,
                otherwise
            ),
        ),
    }
}
