//! The printed form of a plan: the same words in the log, the dry run and the doctor.

use super::{Plan, Registering, Step, TokenSource, Updating, Why};
use crate::{
    diagnostic::{Fix, Knob, fix},
    registration::{event::Event, vault::Place},
};

// === impl Plan ===

impl Plan {
    /// The steps in one line: imperatives in lower case, to be read after "would". It names settings by their knobs, so
    /// the reader's words complete it.
    pub fn describe(&self) -> Fix {
        let steps = self.steps.iter().map(Step::describe);
        let all = steps.reduce(|done, next| fix!("{}; then {}", done, next));
        let all = all.unwrap_or_else(|| fix!("do nothing"));
        let all = match &self.imports {
            Some(path) => fix!(
                "import {} into {}; then {}",
                path.display().to_string(),
                Place::Shared.to_string(),
                all
            ),
            None => all,
        };
        match &self.not_replaced {
            Some(reason) => fix!("{} (the client is not replaced: {})", all, reason.to_string()),
            None => all,
        }
    }
}

// === impl Step ===

impl Step {
    fn describe(&self) -> Fix {
        match self {
            Self::DeleteReplaced { client_ids } => {
                fix!("delete {}, replaced long enough ago", client_ids.join(", "))
            }
            Self::Read { client_id } => fix!("read {} at the IdP and compare it", client_id.clone()),
            Self::RenewToken { client_id, or_anew } => fix!(
                "request another registration access token of {} from the admin API of the IdP ({}), because the IdP refuses \
                 the present one{}",
                client_id.clone(),
                Knob::AdminToken,
                if *or_anew {
                    "; if it gives none, register a new client in its place"
                } else {
                    ""
                }
            ),
            Self::Prove { client_id } => fix!(
                "ask the token endpoint whether it accepts {}, because the IdP refuses its registration access token",
                client_id.clone()
            ),
            Self::Register(registering) => registering.describe(),
            Self::DeleteLater { client_id, after } => fix!(
                "delete {} {} s later, if the new client has another id",
                client_id.clone(),
                after.as_secs().to_string()
            ),
            Self::Leave { client_id } => fix!(
                "leave {} at the IdP, where only a person can remove it",
                client_id.clone()
            ),
            Self::Update(updating) => updating.describe(),
            Self::ReadBack { client_id } => fix!("read {} again", client_id.clone()),
            Self::Remember { client_id } => fix!("note the values of {} as agreed", client_id.clone()),
            Self::Free { client_id } => fix!(
                "delete {}, because the IdP neither registers its id a second time nor updates it",
                client_id.clone()
            ),
            Self::Keep { client_id, event } => kept(client_id, event),
            Self::Refuse(error) => fix!("register nothing: {}", error.to_string()),
            Self::Skip => fix!("make no call ({})", Knob::SkipRegistration),
        }
    }
}

fn kept(client_id: &str, event: &Event) -> Fix {
    let client_id = client_id.to_owned();
    match event {
        Event::Registered { .. } => fix!("use {}, which is new", client_id),
        Event::Unchanged => fix!("keep {}, which is registered as it should be", client_id),
        Event::Updated(_) => fix!("keep {}, which is registered as it should be now", client_id),
        Event::UpdateRefused(error) => fix!("keep {} as it is: {}", client_id, error.to_string()),
        Event::Postponed(error) => fix!(
            "keep {} as it is, and compare it again later: {}",
            client_id,
            error.to_string()
        ),
        Event::Skipped => fix!("keep {} without a call", client_id),
    }
}

// === impl Registering ===

impl Registering {
    fn describe(&self) -> Fix {
        let access = self.access.describe();
        let issuer = self.issuer.clone();
        match &self.why {
            Why::First => fix!("register a new client at {}, {}", issuer, access),
            Why::Forced { client_id } => fix!(
                "register a new client in the place of {}, {}: {} requests it",
                client_id.clone(),
                access,
                Knob::ForceReplace.to("true")
            ),
            Why::TokenLost { client_id } => fix!(
                "register a new client in the place of {}, {}: its registration access token is refused",
                client_id.clone(),
                access
            ),
            Why::Deleted { client_id } => fix!(
                "register a new client in the place of {}, {}: it was deleted at the IdP",
                client_id.clone(),
                access
            ),
            Why::Freed => fix!("register it anew at {}, {}", issuer, access),
        }
    }
}

// === impl TokenSource ===

impl TokenSource {
    fn describe(self) -> Fix {
        match self {
            Self::Configured => fix!("with {}", Knob::InitialAccessToken),
            Self::Minted => fix!(
                "with an initial access token that is minted for it ({})",
                Knob::AdminToken
            ),
            Self::Open => fix!(
                "without an initial access token ({})",
                Knob::InitialAccessToken.to("none")
            ),
        }
    }
}

// === impl Updating ===

impl Updating {
    fn describe(&self) -> Fix {
        let id = self.client_id.clone();
        let fields: Vec<&str> = self.changes.iter().map(|change| change.field.as_str()).collect();
        let fields = fields.join(", ");
        match (self.in_place, self.drifted.is_empty()) {
            (true, _) if fields.is_empty() => fix!(
                "write all fields of {}, because the IdP does not register its id a second time",
                id
            ),
            (true, _) => fix!(
                "write all fields of {}, because the IdP does not register its id a second time (other values: {})",
                id,
                fields
            ),
            (false, true) => fix!("update {} ({})", id, fields),
            (false, false) => fix!("update {} ({}), which was changed at the IdP", id, fields),
        }
    }
}
