//! The experiments: each changes one property, in the order of how often that is the cause. If two properties have to
//! change together, that comes after each alone.

use std::sync::Arc;

use super::{
    super::{super::skewed_clock::SkewedClock, request::Refusal},
    Cause, Refused,
};
use crate::{
    app::one_shot::Variant,
    diagnostic::{Fix, Knob, Setting, fix},
    jose::{Algorithm, SigningKey},
    keys::{Keys, OtherKey, State},
    oidc::{AssertionAudience, AssertionTyp, Client, ClientAuthentication, ProviderTime, negotiate_for},
    registration::AuthMethod,
    secret::Secret,
};

/// A smaller clock skew, in seconds, does not explain a refusal.
const SAME_TIME: i64 = 2;

/// A method that sends a secret.
type SecretMethod = fn(Secret) -> ClientAuthentication;

/// One experiment.
pub(super) struct Trial {
    /// The changed property, for the report.
    pub(super) name: String,
    /// The client.
    pub(super) client: Client,
    /// Its assertions.
    pub(super) variant: Variant,
    /// The cause if the IdP accepts it.
    pub(super) cause: Cause,
    /// Whether it is signed by the signing key under its kid.
    pub(super) by_signing_key: bool,
}

/// All experiments for this client.
pub(super) async fn all(refused: &Refused<'_>) -> Vec<Trial> {
    let mut trials = Vec::new();
    match &refused.client.auth {
        ClientAuthentication::PrivateKeyJwt { algorithm } => {
            trials.extend(headers(refused));
            trials.extend(clock(refused).await);
            if !refused.keys_out_of_reach {
                trials.extend(algorithms(refused, *algorithm));
                trials.extend(names(refused));
                trials.extend(secrets(refused));
                trials.extend(other_keys(refused, *algorithm));
            }
        }
        ClientAuthentication::ClientSecretBasic(_) | ClientAuthentication::ClientSecretPost(_) => {
            trials.extend(secrets(refused));
            trials.extend(assertion(refused));
        }
    }
    trials
}

fn told(text: impl Into<String>, fix: Fix) -> Cause {
    Cause::Told {
        text: text.into(),
        fix,
    }
}

/// `typ` and audience of assertions, alone and together.
fn headers(refused: &Refused<'_>) -> [Trial; 3] {
    let configured = || refused.context.parts.configured();
    let Variant { audience, typ, .. } = configured();
    let (other_typ, typ_name, typ_said) = match typ {
        AssertionTyp::Auto => (
            AssertionTyp::None,
            "none",
            "it refuses assertions that say in `typ` what they are, and takes others",
        ),
        AssertionTyp::None => (
            AssertionTyp::Auto,
            "auto",
            "it wants assertions that say in `typ` what they are",
        ),
    };
    let (other_audience, audience_name, sent) = match audience {
        AssertionAudience::Issuer => (
            AssertionAudience::TokenEndpoint,
            "token_endpoint",
            refused.metadata.issuer.as_str(),
        ),
        AssertionAudience::TokenEndpoint => (
            AssertionAudience::Issuer,
            "issuer",
            refused.metadata.token_endpoint_public.as_str(),
        ),
    };
    let audience_said = format!("it wants another audience in assertions than {sent}");
    let set_typ = || Knob::AssertionTyp.to(typ_name);
    let set_audience = || Knob::AssertionAudience.to(audience_name);
    let trial = |name: String, audience, typ, cause| Trial {
        name,
        client: refused.client.clone(),
        variant: Variant {
            audience,
            typ,
            ..configured()
        },
        cause,
        by_signing_key: true,
    };
    [
        trial(
            format!("typ {typ_name}"),
            audience,
            other_typ,
            told(typ_said, fix!("set {}", set_typ())),
        ),
        trial(
            format!("the audience {audience_name}"),
            other_audience,
            typ,
            told(audience_said.clone(), fix!("set {}", set_audience())),
        ),
        trial(
            "both together".to_owned(),
            other_audience,
            other_typ,
            told(
                format!("{audience_said}, and {}", typ_said.trim_start_matches("it ")),
                fix!("set {} and {}", set_audience(), set_typ()),
            ),
        ),
    ]
}

/// Assertions that are dated by the IdP's clock. The row of the clock tolerates more skew than a strict IdP.
async fn clock(refused: &Refused<'_>) -> Option<Trial> {
    let context = refused.context;
    let noted = match refused.refusal {
        Refusal::Told(error) => error.clock,
        Refusal::Bare(_) => None,
    };
    let time = match noted {
        Some(time) => time,
        None => context.parts.relying_party.provider().time().await.ok()??,
    };
    let ahead = ProviderTime::ahead(time);
    (ahead.abs() > SAME_TIME).then(|| Trial {
        name: "the IdP's time".to_owned(),
        client: refused.client.clone(),
        variant: Variant {
            clock: Arc::new(SkewedClock {
                clock: Arc::clone(&context.clock),
                ahead,
            }),
            ..context.parts.configured()
        },
        cause: Cause::Clock(time),
        by_signing_key: true,
    })
}

/// The other algorithms of the signing key: a client may be registered with one of them alone.
fn algorithms(refused: &Refused<'_>, algorithm: Algorithm) -> Vec<Trial> {
    let configured = refused.context.parts.configured();
    let key = configured.keys.signing_with(algorithm);
    let all = key.map_or(&[][..], |key| key.algorithms());
    all.iter()
        .filter(|other| **other != algorithm && is_listed(refused, **other))
        .map(|other| Trial {
            name: other.name().to_owned(),
            client: with(refused.client, ClientAuthentication::PrivateKeyJwt { algorithm: *other }),
            variant: configured.clone(),
            cause: told(
                format!(
                    "it takes assertions of this client that are signed with {other}, and none with {algorithm}"
                ),
                fix!("set {}", Knob::SigningAlgorithm.to(other.name())),
            ),
            by_signing_key: true,
        })
        .collect()
}

/// The signing key under another key id, and without one.
fn names(refused: &Refused<'_>) -> Vec<Trial> {
    let configured = refused.context.parts.configured();
    let key = configured.keys.signing();
    let kid = key.kid();
    let mut trials = Vec::new();
    let mut add = |name: String, renamed: SigningKey, fix| {
        let text = format!("it has the signing key, and not under the kid {kid}");
        let cause = told(text, fix);
        trials.extend(signed_by(refused, name, renamed, cause));
    };
    if let Some(thumbprint) = key.thumbprint().ok().filter(|thumbprint| thumbprint != kid) {
        let fix = fix!(
            "register the key there under this kid; or set {} and let it sign with `bff keys rotate --now`",
            Knob::KeyId.to(thumbprint.clone())
        );
        add(format!("the kid {thumbprint}"), key.called(&thumbprint), fix);
    }
    let fix = fix!(
        "register the key there under this kid; or set {} to the kid that the IdP shows for it, and let it sign with `bff keys \
         rotate --now`",
        Knob::KeyId
    );
    add("no kid".to_owned(), key.unnamed(), fix);
    trials
}

/// The keys of the keyring that do not sign.
fn other_keys(refused: &Refused<'_>, algorithm: Algorithm) -> Vec<Trial> {
    let signing = refused.keys.any().signing();
    let others = refused.keys.others().iter();
    others
        .filter_map(|OtherKey { key, state }| {
            let kid = key.kid();
            let text = format!(
                "it takes assertions of the key {kid}, which is {state}, and none of {}, which signs",
                signing.kid()
            );
            let register = register(refused);
            let fix = match state {
                State::Next => fix!(
                    "let {} sign with `bff keys rotate --now`; or {}",
                    kid.to_owned(),
                    register
                ),
                State::Active | State::Previous | State::Retired => register,
            };
            let client = with(
                refused.client,
                ClientAuthentication::PrivateKeyJwt {
                    algorithm: fitting(key, algorithm)?,
                },
            );
            let trial = signed_by(
                refused,
                format!("the {state} key {kid}"),
                (**key).clone(),
                told(text, fix),
            )?;
            Some(Trial { client, ..trial })
        })
        .collect()
}

/// How the IdP gets the key that signs.
fn register(refused: &Refused<'_>) -> Fix {
    let kid = refused.keys.any().signing().kid().to_owned();
    if let Some(url) = &refused.context.config.registration.jwks_uri {
        fix!(
            "give the IdP the key {}: have it fetch {} again, or register what is served there for {}",
            kid,
            url.to_string(),
            Knob::ProviderClient
        )
    } else {
        fix!(
            "give the IdP the key {}: register its public half for {}",
            kid,
            Knob::ProviderClient
        )
    }
}

/// The secret by the methods that are not configured.
fn secrets(refused: &Refused<'_>) -> Vec<Trial> {
    let configured = &refused.context.config.client.secret;
    let (sent, secret) = match &refused.client.auth {
        ClientAuthentication::PrivateKeyJwt { .. } => (AuthMethod::PrivateKeyJwt, configured.as_ref()),
        ClientAuthentication::ClientSecretBasic(secret) => (AuthMethod::ClientSecretBasic, Some(secret)),
        ClientAuthentication::ClientSecretPost(secret) => (AuthMethod::ClientSecretPost, Some(secret)),
    };
    let Some(secret) = secret else {
        return Vec::new();
    };
    let methods: [(AuthMethod, SecretMethod); 2] = [
        (
            AuthMethod::ClientSecretBasic,
            ClientAuthentication::ClientSecretBasic,
        ),
        (
            AuthMethod::ClientSecretPost,
            ClientAuthentication::ClientSecretPost,
        ),
    ];
    let others = methods.into_iter().filter(|(method, _)| *method != sent);
    others
        .map(|(method, kind)| by_method(refused, with(refused.client, kind(secret.clone())), sent, method))
        .collect()
}

/// An assertion in the place of a secret.
fn assertion(refused: &Refused<'_>) -> Option<Trial> {
    let settings = &refused.context.config.client;
    let keys = refused.keys.found()?;
    let supported = refused.metadata.token_auth_signing_algs.as_deref();
    let algorithm = negotiate_for(keys, supported, settings.signing_algorithm).ok()?;
    let client = with(refused.client, ClientAuthentication::PrivateKeyJwt { algorithm });
    let sent = settings.authentication;
    Some(by_method(refused, client, sent, AuthMethod::PrivateKeyJwt))
}

fn by_method(refused: &Refused<'_>, client: Client, sent: AuthMethod, method: AuthMethod) -> Trial {
    let setting: Setting = Knob::AuthMethod.to(method.name());
    Trial {
        name: method.name().to_owned(),
        client,
        variant: refused.context.parts.configured(),
        cause: told(
            format!(
                "it takes this client with {}, and not with {}",
                method.name(),
                sent.name()
            ),
            fix!("set {}", setting),
        ),
        by_signing_key: method == AuthMethod::PrivateKeyJwt,
    }
}

fn signed_by(refused: &Refused<'_>, name: String, key: SigningKey, cause: Cause) -> Option<Trial> {
    Some(Trial {
        name,
        client: refused.client.clone(),
        variant: Variant {
            keys: Keys::alone(key).ok()?,
            ..refused.context.parts.configured()
        },
        cause,
        by_signing_key: false,
    })
}

/// The algorithm of another key: the client's if it does that.
fn fitting(key: &SigningKey, algorithm: Algorithm) -> Option<Algorithm> {
    let all = key.algorithms();
    all.iter()
        .copied()
        .find(|one| *one == algorithm)
        .or_else(|| all.first().copied())
}

fn is_listed(refused: &Refused<'_>, algorithm: Algorithm) -> bool {
    match refused.metadata.token_auth_signing_algs.as_deref() {
        None | Some([]) => true,
        Some(listed) => listed.iter().any(|one| one == algorithm.name()),
    }
}

fn with(client: &Client, auth: ClientAuthentication) -> Client {
    Client {
        auth,
        ..client.clone()
    }
}
