//! The table as operators read it.

use std::fmt::Write as _;

use super::{Answer, EndReason, Fate, Patience, TRIES};
use crate::oidc::{PERSON_NEEDED, REFUSALS};

/// The rows, in the order in which an operator looks for them.
const ROWS: [Answer; 11] = [
    Answer::GrantGone,
    Answer::GrantUsedUp,
    Answer::PersonNeeded,
    Answer::Refused,
    Answer::UnknownClient,
    Answer::Outage,
    Answer::NotSent,
    Answer::Foreign,
    Answer::FaultyIdToken,
    Answer::UnpublishedKey,
    Answer::UncheckedIdToken,
];

/// The consequence of each answer to a refresh, as a Markdown table. `docs/operating.md` contains it; a test compares
/// the two.
#[must_use]
pub fn table() -> String {
    let mut table = String::from(
        "| the provider says | the session | the person |\n\
         | --- | --- | --- |\n",
    );
    for answer in ROWS {
        let fate = answer.fate();
        // Writing to a string cannot fail.
        let _ = writeln!(table, "| {} | {} | {} |", answer.said(), fate.told(), fate.seen());
    }
    table
}

fn codes(codes: &[&str]) -> String {
    let quoted: Vec<String> = codes.iter().map(|code| format!("`{code}`")).collect();
    quoted.join(", ")
}

// === impl Answer ===

impl Answer {
    fn said(self) -> String {
        match self {
            Self::GrantGone => "`invalid_grant`, with any 4xx except 408, 425 and 429".to_owned(),
            Self::GrantUsedUp => "`invalid_grant`, after a refresh whose answer never arrived".to_owned(),
            Self::PersonNeeded => codes(&PERSON_NEEDED),
            Self::Refused => format!("{}, or 400 without a body", codes(&REFUSALS)),
            Self::UnknownClient => "`invalid_client`".to_owned(),
            Self::Outage => "nothing, a redirect, 408, 425, 429, 5xx, a body without an `error`, \
                 `temporarily_unavailable`, `server_error`, `slow_down` or any other `error`, unusable tokens"
                .to_owned(),
            Self::NotSent => {
                "nothing, because there was no request: discovery, registration or the key is not ready"
                    .to_owned()
            }
            Self::Foreign => {
                "tokens of another person, issuer or client, by the ID token or by UserInfo".to_owned()
            }
            Self::FaultyIdToken => "tokens with an ID token that fails another check".to_owned(),
            Self::UnpublishedKey => "tokens with an ID token whose key it does not publish".to_owned(),
            Self::UncheckedIdToken => "tokens with an ID token, while its keys are unreadable".to_owned(),
        }
    }
}

// === impl Fate ===

impl Fate {
    fn told(self) -> String {
        match self {
            Self::Stays => "stays; the refresh is tried again until it works".to_owned(),
            Self::Ends(reason) => format!("ends (`{}`)", reason.as_str()),
            Self::EndsIfItStays(reason, Patience::TriesBeyondTheToken) => format!(
                "stays while its access token is valid and for {TRIES} tries beyond that, then ends (`{}`)",
                reason.as_str()
            ),
            Self::EndsIfItStays(reason, Patience::SameFault) => format!(
                "stays at first; ends (`{}`) after {TRIES} refreshes that fail the same check, or after one when its access \
                 token has expired",
                reason.as_str()
            ),
        }
    }

    const fn seen(self) -> &'static str {
        match self {
            Self::Stays => {
                "nothing while the access token is valid; then 503 `token_refresh_pending` until the refresh works"
            }
            Self::Ends(EndReason::Identity) => {
                "401 `unauthenticated` and a login; the new tokens are revoked"
            }
            Self::Ends(_) => "401 `unauthenticated` and a login",
            Self::EndsIfItStays(_, Patience::TriesBeyondTheToken) => {
                "nothing while the access token is valid; then 503 `token_refresh_pending` for half a minute; then 401 \
                 `unauthenticated` and a login"
            }
            Self::EndsIfItStays(_, Patience::SameFault) => {
                "nothing at first, because the access token beside it is not used; then 401 `unauthenticated` and a login"
            }
        }
    }
}
