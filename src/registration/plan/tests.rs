//! The rules without an IdP: facts, and the plan that follows.

mod table;
mod walk;

use http::StatusCode;
use serde_json::{Map, Value, json};
use url::Url;

use super::{
    super::{
        credentials::{Credentials, Pending, Registered, Superseded},
        diff::Remembered,
        error::{RegistrationError, Target},
        metadata::{WantedMetadata, token_hash},
        options::Options,
        tests::options,
        vault::Place,
    },
    Facts, Learnt, Plan, Purpose, Reach, plan,
};
use crate::{clock::Timestamp, diagnostic::Neutral, jose::Algorithm, oidc::Standing, secret::Secret};

const ISSUER: &str = "https://idp.example";
const ID: &str = "bff-server";
const IAT: &str = "initial-token";
/// The present time, in seconds.
const NOW: u64 = 1_800_000_000;
/// A replaced client stays for so many seconds.
const STAYS: u64 = 30;

/// Owned facts.
struct Case {
    purpose: Purpose,
    options: Options,
    record: Credentials,
    endpoint: Result<Url, RegistrationError>,
    reach: Reach,
    learnt: Learnt,
}

// === impl Case ===

impl Case {
    /// A start without a client and without a token.
    fn new() -> Self {
        Self {
            purpose: Purpose::Start,
            options: options(),
            record: Credentials::new(ISSUER.to_owned(), Some(ID.to_owned())),
            endpoint: Ok(Url::parse("https://idp.example/register").unwrap()),
            reach: Reach::Unmanaged,
            learnt: Learnt::default(),
        }
    }

    /// A start with a client that has the wanted metadata.
    fn registered() -> Self {
        let mut case = Self::new();
        case.record.registered = Some(known(ID));
        case.reach = Reach::Managed;
        case
    }

    /// A start with a client and a fresh token that requests another client.
    fn forced() -> Self {
        Self::registered().with(|case| {
            case.options.force_replace = true;
            case.options.initial_access_token = Some(Secret::from(IAT));
        })
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// The same after the IdP answered a reading with this.
    fn read(self, answer: Result<Option<Map<String, Value>>, RegistrationError>) -> Self {
        self.with(|case| case.learnt.reading = Some(answer))
    }

    fn plan(&self) -> Plan {
        let wanted = wanted(&self.options);
        plan(&Facts {
            purpose: self.purpose,
            options: &self.options,
            record: &self.record,
            wanted: &wanted,
            algorithm: Some(Algorithm::ES256),
            issuer: ISSUER,
            endpoint: self.endpoint.clone(),
            reach: self.reach.clone(),
            place: Place::File("bff_client.json".into()),
            now: Timestamp::from_unix_seconds(NOW),
            learnt: &self.learnt,
        })
    }

    fn shown(&self) -> String {
        self.plan().describe().in_words(&Neutral)
    }
}

fn wanted(options: &Options) -> WantedMetadata {
    WantedMetadata::new(options, Some(Algorithm::ES256), || json!({"keys": []}))
}

fn known(id: &str) -> Registered {
    let wanted = wanted(&options());
    Registered {
        client_id: id.to_owned(),
        client_secret: None,
        client_secret_expires_at: None,
        registration_access_token: Some(Secret::from("rat-1")),
        registration_client_uri: Some(format!("https://idp.example/register/{id}")),
        signing_algorithm: Some(Algorithm::ES256),
        remembered: Remembered::new(&wanted, wanted.fields()),
    }
}

/// The metadata at the IdP, as wanted.
fn as_wanted() -> Map<String, Value> {
    wanted(&options()).fields().clone()
}

/// The metadata at the IdP after somebody changed them.
fn drifted() -> Map<String, Value> {
    let mut metadata = as_wanted();
    metadata.insert("scope".to_owned(), json!("openid"));
    metadata
}

fn pending(token: &str) -> Pending {
    Pending {
        initial_access_token: token_hash(&Secret::from(token)),
        since: Timestamp::from_unix_seconds(NOW),
    }
}

fn superseded(id: &str, seconds_ago: u64) -> Superseded {
    let since = Timestamp::from_unix_seconds(NOW - seconds_ago);
    Superseded::new(known(id), since).unwrap()
}

fn url() -> String {
    "https://idp.example/register".to_owned()
}

fn unreachable() -> RegistrationError {
    RegistrationError::Unavailable {
        url: url(),
        target: Target::Client,
        status: StatusCode::SERVICE_UNAVAILABLE,
        retry_after: None,
    }
}

fn token_refused(status: StatusCode) -> RegistrationError {
    RegistrationError::RegistrationTokenRefused {
        url: url(),
        status,
        client_id: ID.to_owned(),
        error: None,
        standing: Standing::Unclear,
    }
}

fn initial_token_refused() -> RegistrationError {
    RegistrationError::InitialTokenRefused {
        url: url(),
        status: StatusCode::UNAUTHORIZED,
        error: None,
    }
}

fn taken() -> RegistrationError {
    RegistrationError::ClientIdTaken {
        client_id: ID.to_owned(),
        place: Place::File("bff_client.json".into()),
        error: None,
    }
}

fn refused(target: Target, status: StatusCode) -> RegistrationError {
    RegistrationError::Refused {
        url: url(),
        target,
        status,
        error: None,
        page: None,
    }
}

fn cannot_update() -> RegistrationError {
    RegistrationError::CannotUpdate {
        url: url(),
        tried: options().update_method,
        changes: "scope".to_owned(),
    }
}

fn no_endpoint() -> RegistrationError {
    RegistrationError::NoEndpoint {
        issuer: ISSUER.to_owned(),
    }
}

fn lost_answer() -> RegistrationError {
    use super::super::error::{Again, RequestedClientId};
    RegistrationError::OutcomeUnknown {
        url: url(),
        cause: "cut".to_owned(),
        client: RequestedClientId(Some(ID.to_owned())),
        again: Again::Token,
        place: Place::File("bff_client.json".into()),
    }
}

fn not_stored() -> RegistrationError {
    RegistrationError::NotStored {
        client_id: ID.to_owned(),
        source: super::super::credentials::CredentialsError::LockLost,
    }
}

fn deleted(case: &mut Case) {
    case.learnt.standing = Some(Standing::Refused);
}

fn unclear(case: &mut Case) {
    case.learnt.standing = Some(Standing::Unclear);
}
