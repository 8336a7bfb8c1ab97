//! Test: each knob is named by the advice of a diagnostic.

use std::{io, path::PathBuf};

use http::StatusCode;

use super::{
    sources::{Source, floors, sources},
    words::names,
};
use crate::{
    admin::SocketError,
    app::{
        RoutesWarning, StartError,
        preflight::{NoFolder, Unmet},
    },
    diagnostic::{Explain, Explained, Knob},
    jose::{Algorithm, VerifyError},
    keys::{GenerateError, KeyringError, KeysError},
    login::hosts::HostsError,
    oidc::{
        AssertionFacts, AuthenticationSummary, CallError, DiscoveryError, EndpointError, IdTokenError,
        InvalidClient, IssueError, KeyThere, NegotiationError, NotReady, OAuthError, Standing, UserInfoError,
    },
    outbound::{BuildError, TransportError},
    private_file::Exposed,
    proxy::Proxy,
    registration::{CredentialsError, Place, RegistrationError, Target, UpdateMethod},
    session::{CookieOptionsError, DiskError, OpenError},
    tls::{BundleError, Hints, explain},
};

/// Knobs of diagnostics without a type of their own: a function builds them from the parts of a running server. Of
/// these, the test looks for the place.
const IN_FUNCTIONS: [Knob; 21] = [
    Knob::HttpsProxy,
    Knob::PublishAhead,
    Knob::AuthorizationEndpoint,
    Knob::ProviderKeys,
    Knob::EndSessionEndpoint,
    Knob::RevocationEndpoint,
    Knob::IntrospectionEndpoint,
    Knob::EmailTrusted,
    Knob::SystemCa,
    Knob::SystemCaFolder,
    Knob::RedisCa,
    Knob::RedisClientCert,
    Knob::RedisClientKey,
    Knob::InternalAddress,
    Knob::TrustedProxies,
    Knob::MaxConnections,
    Knob::MaxConnectionsPerAddress,
    Knob::Host,
    Knob::Port,
    Knob::Templates,
    Knob::KeyringFile,
];

fn refused(error: &str) -> OAuthError {
    OAuthError::new(error, None)
}

/// A refused authentication, with an assertion or a secret.
fn invalid_client(has_assertion: bool) -> InvalidClient {
    InvalidClient {
        error: refused("invalid_client"),
        proof: AuthenticationSummary {
            client_id: "bff".to_owned(),
            method: "private_key_jwt",
            assertion: has_assertion.then(|| AssertionFacts {
                kid: "a".to_owned(),
                algorithm: Algorithm::ES256,
                audience: "https://idp.example".to_owned(),
                typ: None,
                published: true,
            }),
            encoding_matters: false,
        },
        key: KeyThere::Unknown,
        clock: None,
    }
}

/// The errors of registration.
fn of_registration() -> Vec<Box<dyn Explain>> {
    let (url, status) = (
        || "https://idp.example/register".to_owned(),
        StatusCode::BAD_REQUEST,
    );
    let (client_id, changes) = (|| "bff".to_owned(), || "scope".to_owned());
    let place = || Place::File(PathBuf::from("bff_client.json"));
    vec![
        Box::new(RegistrationError::NoEndpoint { issuer: url() }),
        Box::new(RegistrationError::NoToken {
            place: place(),
            spent: false,
        }),
        Box::new(RegistrationError::NothingToSkipTo { place: place() }),
        Box::new(RegistrationError::ClientIdTaken {
            client_id: client_id(),
            place: place(),
            error: None,
        }),
        Box::new(RegistrationError::Refused {
            url: url(),
            target: Target::Registration,
            status,
            error: Some(refused("invalid_client_metadata")),
            page: None,
        }),
        Box::new(RegistrationError::RegistrationTokenRefused {
            url: url(),
            status,
            client_id: client_id(),
            error: None,
            standing: Standing::Unclear,
        }),
        Box::new(RegistrationError::CannotUpdate {
            url: url(),
            tried: UpdateMethod::Put,
            changes: changes(),
        }),
        Box::new(RegistrationError::RedirectUrisUnknown {
            url: url(),
            changes: changes(),
        }),
        Box::new(CredentialsError::Corrupt {
            place: place(),
            reason: String::new(),
        }),
        Box::new(CredentialsError::NotWritable {
            path: PathBuf::from("bff_client.json"),
            cause: String::new(),
        }),
    ]
}

/// The errors of calls to the IdP.
fn of_the_idp() -> Vec<Box<dyn Explain>> {
    let (es256, rs256) = (Algorithm::ES256, Algorithm::RS256);
    vec![
        Box::new(DiscoveryError::InvalidIssuer {
            issuer: String::new(),
            knob: Knob::Issuer,
        }),
        Box::new(EndpointError::Insecure {
            member: "token_endpoint",
            url: String::new(),
            knob: Knob::TokenEndpoint,
        }),
        Box::new(CallError::Rejected(refused("invalid_scope"))),
        Box::new(CallError::Rejected(refused("unauthorized_client"))),
        Box::new(CallError::Transport {
            source: TransportError::TimedOut,
            outcome_unknown: true,
        }),
        Box::new(NotReady::ParEndpoint),
        Box::new(IssueError::NoWay),
        Box::new(UserInfoError::NoSubject),
        Box::new(IdTokenError::Token(VerifyError::Audience)),
        Box::new(NegotiationError::NotOfThisKey {
            configured: es256,
            key: vec![rs256],
        }),
        Box::new(NegotiationError::NothingInCommon {
            key: vec![rs256],
            supported: vec![es256.to_string()],
        }),
        Box::new(invalid_client(true)),
        Box::new(invalid_client(false)),
        Box::new(BuildError::CaBundle(BundleError::NoBundle)),
    ]
}

/// The errors of this machine.
fn of_this_machine() -> Vec<Box<dyn Explain>> {
    let failed = io::Error::other(rustls::Error::General(String::new()));
    let hints = Hints {
        address: "".into(),
        authorities: "".into(),
    };
    let proxy = Proxy::parse("HTTPS_PROXY", "proxy.test:3128").unwrap();
    let gone = io::Error::from(io::ErrorKind::ConnectionRefused);
    vec![
        Box::new(explain(&failed, &hints).unwrap()),
        Box::new(proxy.explain(&gone, "idp.test", false, true).unwrap()),
        Box::new(KeysError::DuplicateKid("a".to_owned())),
        Box::new(GenerateError::IdentityWithoutKey {
            path: PathBuf::from("bff-signing.pem"),
            marker: PathBuf::from("keyring.json"),
        }),
        Box::new(Unmet::Folder {
            knob: Knob::StatePlace,
            path: PathBuf::from("state"),
            purpose: "the sessions",
            why: NoFolder::Full,
        }),
        Box::new(KeyringError::Foreign),
        Box::new(StartError::KeyNotMounted(KeysError::Publish)),
        Box::new(StartError::Cookies(CookieOptionsError::Prefix)),
        Box::new(StartError::Hosts(HostsError::Empty)),
        Box::new(Exposed::Readable { mode: 0o644 }),
        Box::new(SocketError::NoFolder(PathBuf::from("run"))),
        Box::new(DiskError::InUse(PathBuf::from("sessions.redb"))),
        Box::new(OpenError::TooMany),
        Box::new(OpenError::OutOfMemory),
        Box::new(RoutesWarning::NoRoutes("routes.yaml".to_owned())),
        Box::new(StartError::NoIdps {
            path: "idps.yaml".to_owned(),
        }),
    ]
}

#[test]
fn every_knob_is_named_by_a_diagnostic() {
    let samples = [of_registration(), of_the_idp(), of_this_machine()];
    let advice = samples.iter().flatten().filter_map(|sample| sample.fix());
    let named: Vec<Knob> = advice.flat_map(|fix| fix.knobs()).collect();
    for knob in Knob::ALL {
        let is_sampled = named.contains(knob);
        let is_in_function = IN_FUNCTIONS.contains(knob);
        assert!(is_sampled || is_in_function, "no diagnostic names {knob:?}");
        assert!(!(is_sampled && is_in_function), "{knob:?} has a sample");
    }
}

#[test]
fn a_knob_without_a_sample_stands_in_a_function() {
    let floors = floors();
    let sources: Vec<Source> = sources()
        .into_iter()
        .filter(|source| {
            floors.get(&source.module).is_some_and(|floor| *floor > 0) && source.module != "config"
        })
        .collect();
    for knob in IN_FUNCTIONS {
        let name = format!("Knob::{knob:?}");
        let is_named = sources.iter().any(|source| names(&source.text, &name));
        assert!(is_named, "no diagnostic names {knob:?}");
    }
}

/// Advice is text with knobs in it, so that each reader gets the names of this process.
#[test]
fn a_sample_says_what_happened_and_what_to_change() {
    let samples = [of_registration(), of_the_idp(), of_this_machine()];
    for sample in samples.iter().flatten() {
        let told = Explained::of(&**sample).told();
        assert!(told.contains(" - fix: "), "{told}");
        assert!(!told.contains("_URL") && !told.contains("OIDC_"), "{told}");
    }
}
