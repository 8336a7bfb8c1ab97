//! The proof that the IdP accepts the client, without a person: a pushed authorization request (RFC 9126) if the IdP
//! supports them. Otherwise a token request with an invented code, which must fail because of the code and not
//! because of the client.

use std::sync::Arc;

use super::{
    Context,
    finding::{Check, Kind, Report},
    own::KeysFound,
    provider::wrong_clock,
    registration::Known,
    skewed_clock::SkewedClock,
    text::clean,
};
use crate::{
    config::PromptSetting,
    diagnostic::{Knob, fix},
    oidc::{
        AssertionAudience, AssertionTyp, AuthorizationRequest, Blames, CallError, Client, InvalidClient,
        Metadata, OAuthError, ParMode, Pkce, ProviderTime, RelyingParty,
    },
    random::RandomExt as _,
    secret::Secret,
};

/// More redirect URIs are not tried.
const MOST_URIS: usize = 20;

/// The IdP's reaction to our authentication.
enum Answer {
    In,
    Out(Box<InvalidClient>),
    /// It refuses something else.
    Refused(OAuthError),
    Unclear(CallError),
}

/// Whether the IdP can fetch our keys now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeysAre {
    /// It can, or need not, or who knows.
    There,
    /// The keys are not served at the address that the IdP would read.
    OutOfReach,
}

/// A smaller clock skew, in seconds, does not explain a refusal.
const SAME_TIME: i64 = 2;

/// Possible causes of a refusal that have their own row.
const CAUSES: [Check; 7] = [
    Check::Clock,
    Check::Method,
    Check::Algorithm,
    Check::Kid,
    Check::Jwks,
    Check::Registration,
    Check::Keys,
];

pub(super) async fn check(
    context: &Context<'_>,
    metadata: &Metadata,
    keys: &KeysFound,
    known: Known,
    keys_are: KeysAre,
    report: &mut Report,
) {
    let key = known.key();
    let client = match known.client {
        Some(client) if keys.found().is_some() => client,
        _ => {
            let why = match report.failed(&CAUSES) {
                Some(row) => format!("not tried: mend {} first", row.check.name()),
                None => "not tried: there is no client yet".to_owned(),
            };
            report.skip(Check::Authentication, why);
            return without_push(report);
        }
    };
    let relying_party = &context.parts.relying_party;
    relying_party.client().set(client.clone());
    let pushes = metadata.par_endpoint.is_some() && context.config.client.par != ParMode::Never;
    let uris = redirect_uris(context);
    let mut answer = None;
    if pushes {
        for uri in &uris {
            match push(context, relying_party, uri).await {
                Answer::Refused(error) => refused_request(uri, error, report),
                other => {
                    let goes_on = matches!(other, Answer::In);
                    answer.get_or_insert(other);
                    if !goes_on {
                        break;
                    }
                }
            }
        }
        if matches!(answer, Some(Answer::In)) && report.rows().all(|row| row.check != Check::RedirectUris) {
            report.ok(
                Check::RedirectUris,
                format!("the IdP takes requests for all {}", uris.len()),
            );
        }
    }
    let (answer, how) = match answer {
        Some(answer) => (answer, "a pushed authorization request"),
        // Also where each push was refused for another reason: that says little of the client.
        None => (
            redeem(context, relying_party, &uris).await,
            "a token request with a made-up code",
        ),
    };
    match answer {
        Answer::In => {
            let what = format!("the IdP lets {} in ({}; {how})", client.id, client.auth.method());
            report.ok(Check::Authentication, what);
        }
        Answer::Out(error) => {
            let error = InvalidClient { key, ..*error };
            kept_out(context, &client, error, keys_are, report).await;
        }
        Answer::Refused(error) => report.explain(
            Kind::Wrong,
            Check::Authentication,
            "the IdP refuses the client for another reason than a made-up code",
            &CallError::Rejected(error),
        ),
        Answer::Unclear(error) => unclear(&error, report),
    }
    without_push(report);
}

/// The redirect URIs could not be checked.
fn without_push(report: &mut Report) {
    if report.rows().all(|row| row.check != Check::RedirectUris) {
        report.skip(
            Check::RedirectUris,
            "cannot be told: the client cannot be read, and no request could be pushed",
        );
    }
}

fn redirect_uris(context: &Context<'_>) -> Vec<String> {
    let settings = context.config;
    let registered = settings.registration.redirect_uris.iter();
    let mut uris: Vec<String> = registered.map(ToString::to_string).take(MOST_URIS).collect();
    if uris.is_empty() {
        uris.extend(settings.login.fallback_callback.as_ref().map(ToString::to_string));
    }
    uris
}

async fn push(context: &Context<'_>, relying_party: &RelyingParty, uri: &str) -> Answer {
    let random = &*context.random;
    let request = AuthorizationRequest {
        scope: context.config.provider.scopes.join(" "),
        state: random.base64url::<16>(),
        nonce: random.base64url::<16>(),
        redirect_uri: uri.to_owned(),
        code_challenge: Pkce::generate(random).challenge,
        prompt: match &context.config.provider.prompt {
            PromptSetting::Always(prompt) => Some(prompt.clone()),
            PromptSetting::Auto | PromptSetting::Never => None,
        },
        login_hint: None,
        ui_locales: None,
        acr_values: None,
        domain_hint: None,
        tenant: None,
        max_age: None,
    };
    classify(relying_party.authorization_url(&request).await)
}

/// A code that the IdP never issued: an IdP that accepts the client complains about the code.
async fn redeem(context: &Context<'_>, relying_party: &RelyingParty, uris: &[String]) -> Answer {
    let random = &*context.random;
    let code = Secret::new(random.base64url::<32>());
    let verifier = Pkce::generate(random).verifier;
    let uri = uris.first().map_or("", String::as_str);
    match classify(relying_party.exchange_code(&code, uri, &verifier).await) {
        Answer::Refused(error) if error.is("invalid_grant") => Answer::In,
        other => other,
    }
}

fn classify<T>(outcome: Result<T, CallError>) -> Answer {
    match outcome {
        Ok(_) => Answer::In,
        Err(CallError::InvalidClient(error)) => Answer::Out(error),
        Err(CallError::Rejected(error)) => Answer::Refused(error),
        Err(error) => Answer::Unclear(error),
    }
}

/// A push that was refused although the client may be let in.
fn refused_request(uri: &str, error: OAuthError, report: &mut Report) {
    let (check, what) = match error.blames() {
        Blames::Scope => (
            Check::Scopes,
            "the IdP refuses the scopes that are asked for".to_owned(),
        ),
        Blames::RedirectUri => (Check::RedirectUris, format!("the IdP refuses {uri}")),
        Blames::Grant | Blames::Other => (
            Check::Authentication,
            "the IdP refuses our authorization requests".to_owned(),
        ),
    };
    // A host need not repeat a message that the table already contains.
    if report.failed(&[check]).is_none() {
        report.explain(Kind::Wrong, check, what, &CallError::Rejected(error));
    }
}

async fn kept_out(
    context: &Context<'_>,
    client: &Client,
    error: InvalidClient,
    keys_are: KeysAre,
    report: &mut Report,
) {
    let what = format!("the IdP does not let {} in", client.id);
    let cause = clean(&error.to_string());
    if let Some(row) = report.failed(&CAUSES) {
        let fix = format!("mend {} first, and check again", row.check.name());
        return report.fail(Kind::Wrong, Check::Authentication, what, cause, fix);
    }
    if without_typ(context, client, &error).await {
        let cause = "it refuses assertions that say in `typ` what they are, and takes others";
        let fix = fix!("set {}", Knob::AssertionTyp.to("none"));
        return report.fail(Kind::Wrong, Check::Authentication, what, cause, fix);
    }
    if let Some(other) = other_audience(context, client, &error).await {
        let cause = format!(
            "it wants another audience in assertions than {}",
            audience(&error)
        );
        let fix = fix!("set {}", Knob::AssertionAudience.to(other));
        return report.fail(Kind::Wrong, Check::Authentication, what, cause, fix);
    }
    if let Some(time) = other_time(context, client, &error).await {
        wrong_clock(
            time,
            "the IdP refuses our assertions, and takes those that are dated by its own clock",
            report,
        );
        let fix = "mend clock first, and check again";
        return report.fail(Kind::Wrong, Check::Authentication, what, cause, fix);
    }
    if error.proof.assertion.is_some() && keys_are == KeysAre::OutOfReach {
        return report.skip(
            Check::Authentication,
            "cannot be proven now: the IdP fetches our keys from this server. Start it, and check again",
        );
    }
    report.explain(Kind::Wrong, Check::Authentication, what, &error);
}

/// Whether the IdP lets us in with assertions that have no `typ`.
async fn without_typ(context: &Context<'_>, client: &Client, error: &InvalidClient) -> bool {
    let settings = &context.config.client;
    let has_typ = settings.assertion_typ != AssertionTyp::None;
    error.proof.assertion.is_some()
        && has_typ
        && lets_in(context, client, settings.assertion_audience, AssertionTyp::None).await
}

/// Whether the IdP lets us in with such assertions.
async fn lets_in(
    context: &Context<'_>,
    client: &Client,
    audience: AssertionAudience,
    typ: AssertionTyp,
) -> bool {
    let relying_party = context.parts.with_assertions(audience, typ);
    if relying_party.provider().discover().await.is_err() {
        return false;
    }
    relying_party.client().set(client.clone());
    let answer = redeem(context, &relying_party, &redirect_uris(context)).await;
    matches!(answer, Answer::In)
}

/// The audience with which the IdP accepts the client, if the configured audience was the only mistake.
async fn other_audience(
    context: &Context<'_>,
    client: &Client,
    error: &InvalidClient,
) -> Option<&'static str> {
    error.proof.assertion.as_ref()?;
    let (other, name) = match context.config.client.assertion_audience {
        AssertionAudience::Issuer => (AssertionAudience::TokenEndpoint, "token_endpoint"),
        AssertionAudience::TokenEndpoint => (AssertionAudience::Issuer, "issuer"),
    };
    let typ = context.config.client.assertion_typ;
    lets_in(context, client, other, typ).await.then_some(name)
}

/// The IdP's time, if the IdP accepts assertions with it. The row of the clock tolerates more skew than a strict IdP.
async fn other_time(context: &Context<'_>, client: &Client, error: &InvalidClient) -> Option<ProviderTime> {
    error.proof.assertion.as_ref()?;
    let time = context.parts.relying_party.provider().time().await.ok()??;
    if time.ahead().abs() <= SAME_TIME {
        return None;
    }
    let relying_party = context.parts.with_clock(Arc::new(SkewedClock {
        clock: Arc::clone(&context.clock),
        ahead: time.ahead(),
    }));
    relying_party.provider().discover().await.ok()?;
    relying_party.client().set(client.clone());
    let answer = redeem(context, &relying_party, &redirect_uris(context)).await;
    matches!(answer, Answer::In).then_some(time)
}

fn audience(error: &InvalidClient) -> &str {
    let assertion = error.proof.assertion.as_ref();
    assertion.map_or("", |facts| facts.audience.as_str())
}

fn unclear(error: &CallError, report: &mut Report) {
    let kind = match error {
        CallError::Transport { .. } | CallError::Unavailable { .. } => Kind::Unreachable,
        _ => Kind::Wrong,
    };
    let what = "whether the IdP lets the client in could not be found out";
    report.explain(kind, Check::Authentication, what, error);
}
