//! A client that the IdP does not show.

use super::{
    super::{
        finding::{Check, Kind, Report},
        jwks::Served,
    },
    kind,
};
use crate::{
    diagnostic::{Explain as _, Explained, Fix, Knob, fix},
    oidc::Standing,
    registration::{Inspected, RegistrationError},
};

/// The IdP does not say how the client is registered.
pub(super) fn tell(client: &Inspected, error: &RegistrationError, served: &Served, report: &mut Report) {
    // The plan may know more, such as why another client cannot be registered.
    let error = client.plan.refusal().unwrap_or(error);
    let id = &client.client_id;
    let what = format!("{id} cannot be read at the IdP");
    let of_a_token = matches!(
        error,
        RegistrationError::RegistrationTokenRefused { .. } | RegistrationError::ClientDeleted { .. }
    );
    let fix = error.fix().map(|fix| {
        if of_a_token && client.plan.registering().is_some() {
            Fix::from("run `bff register` (or restart the server), which registers a new client")
        } else if of_a_token && client.plan.renews_token() {
            fix!(
                "run `bff register` (or restart the server), which requests another registration access token with {}; without \
                 success, {}",
                Knob::AdminToken,
                fix
            )
        } else if matches!(error, RegistrationError::NoEndpoint { .. }) {
            fix!(
                "{}; or keep the stored client as it is: set {}",
                fix,
                Knob::SkipRegistration.to("true")
            )
        } else {
            fix
        }
    });
    let kind = match kind(error) {
        // The stored client serves all the same.
        Kind::Configuration => Kind::Wrong,
        kind => kind,
    };
    let told = Explained {
        what: error.to_string(),
        fix,
    };
    report.explain(kind, Check::Registration, what, &told);
    let is_open = matches!(error, RegistrationError::RegistrationTokenRefused { standing, .. } if *standing != Standing::Accepted);
    if is_open && matches!(served, Served::Nobody(_)) {
        report.note(format!(
            "start the server and check again: whether {id} was deleted at the IdP can be told only while its keys are served"
        ));
    }
}
