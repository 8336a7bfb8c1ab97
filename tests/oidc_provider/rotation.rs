//! Rotation of our signing keys, while people log in and tokens are renewed all the time: nothing is refused.
//!
//! The provider fetches our keys when it meets an unknown one, but never before its copy is as old as our max-age. A
//! provider with an older copy would forgive a key that signs too early. Therefore each step forces a new fetch, so
//! that the next one meets a younger copy. Days pass in a time that stands still between the steps.

use std::{collections::BTreeSet, time::Duration};

use bff::{
    jose::{Algorithm, SigningKey},
    keys::read_key,
};
use serde_json::{Value, json};

use crate::support::{Person, Stack, until};

/// The time moves by so much at once: less than the max-age of our keys.
const STEP: Duration = Duration::from_mins(2);
/// A person logs in, and out again, every few steps.
const LOGIN_EVERY: u32 = 10;
/// How long keys are published before they sign (the default), and after.
const DAY: Duration = Duration::from_hours(24);
/// The beginning and the end of such a day may appear some steps later, because the server reads its keys in the
/// machine's time.
const NEARLY_A_DAY: Duration = Duration::from_hours(23);
const SOON: Duration = Duration::from_mins(10);

/// All changes to the usual variables that both rotations need: one session lasts all the time, if it is used.
const CHANGES: [(&str, &str); 2] = [("SESSION_LIFETIME", "7d"), ("BFF_JWK_RETIRE_AFTER_DAYS", "1")];

/// A provider in stopped time. Access tokens expire after each step, so that every call to the API needs a fresh
/// refresh; grants last as long as at a usual provider.
async fn prepare() -> Stack {
    let settings = json!({
        "honourClientId": true,
        "accessTokenLifetime": STEP.as_secs() - 10,
        "grantLifetime": (14 * DAY).as_secs(),
    });
    Stack::prepare_in_stopped_time(&settings).await
}

/// People who use the server all the time. Everything that they do has to succeed.
struct Load<'s> {
    stack: &'s Stack,
    /// Has one session from the beginning to the end.
    ada: Person,
    /// The outcome of her last refresh.
    token: String,
    steps: u32,
}

// === impl Load ===

impl<'s> Load<'s> {
    async fn begin(stack: &'s Stack) -> Self {
        let ada = stack.ada();
        ada.log_in().await;
        Self {
            token: stack.call_api(&ada).await,
            stack,
            ada,
            steps: 0,
        }
    }

    async fn step(&mut self) {
        self.stack.advance(STEP).await;
        self.steps += 1;
        let token = self.stack.call_api(&self.ada).await;
        assert_ne!(token, self.token, "no refresh in step {}", self.steps);
        self.token = token;
        if self.steps.is_multiple_of(LOGIN_EVERY) {
            self.somebody_comes_and_goes().await;
        }
        signs_only_what_is_registered(self.stack).await;
        self.somebody_opens_the_login_page().await;
        // It enters the next step with the present published keys.
        self.stack.provider.start_again().await;
        self.somebody_opens_the_login_page().await;
    }

    /// The request that is pushed for it is the simplest that takes an assertion.
    async fn somebody_opens_the_login_page(&self) {
        let started = self.stack.ada().browser.get("/auth/login").await;
        assert_eq!(started.status, 302, "{}", started.body);
    }

    /// Each needs the client's authentication at every endpoint that requires it.
    async fn somebody_comes_and_goes(&self) {
        let grace = Person::new("grace", &self.stack.provider, &self.stack.origin(1));
        grace.log_in().await;
        grace.log_out(true).await;
        until("the tokens are revoked", async || {
            let tokens = self.stack.provider.refresh_tokens().await;
            tokens.iter().all(|token| token.person == "ada")
        })
        .await;
    }

    /// Goes on until `condition` holds; how long that took, which is `at_most`.
    async fn until(&mut self, what: &str, at_most: Duration, condition: impl AsyncFn() -> bool) -> Duration {
        let mut took = Duration::ZERO;
        while !condition().await {
            if took >= at_most {
                // The keys folder takes the machine's time: many steps if the disk is busy.
                until(what, condition).await;
                return took;
            }
            self.step().await;
            took += STEP;
        }
        took
    }

    /// Nothing was refused, and nothing was reported.
    async fn went_well(&self) {
        assert_eq!(self.stack.provider.errors().await, [] as [Value; 0]);
        for level in ["WARN", "ERROR"] {
            assert_eq!(self.stack.logs.lines(level), Vec::<String>::new());
        }
    }
}

/// If the keys are part of the registration, the signing one is always there already.
async fn signs_only_what_is_registered(stack: &Stack) {
    let signs = in_state(stack, "active");
    if let Some(registered) = registered(stack).await {
        assert!(
            registered.contains(&signs.unwrap()),
            "{registered:?} is registered"
        );
    }
}

/// The key id of the key in a state.
fn in_state(stack: &Stack, state: &str) -> Option<String> {
    let ring: Value =
        serde_json::from_slice(&std::fs::read(stack.keys().join("keyring.json")).unwrap()).unwrap();
    let keys = ring["keys"].as_array().unwrap().iter();
    let mut kids = keys.filter(|key| key["state"] == state).map(|key| &key["kid"]);
    kids.next().map(|kid| kid.as_str().unwrap().to_owned())
}

fn kids(jwks: &Value) -> BTreeSet<String> {
    let keys = jwks["keys"].as_array().unwrap().iter();
    keys.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

/// The key ids that the server publishes.
async fn published(stack: &Stack) -> BTreeSet<String> {
    let reply = stack.ada().browser.get("/.well-known/jwks.json").await;
    kids(&reply.json())
}

/// The key ids that the provider has in the registration.
async fn registered(stack: &Stack) -> Option<BTreeSet<String>> {
    let client = stack.client().await;
    client["jwks"].is_object().then(|| kids(&client["jwks"]))
}

/// The key ids of the assertions that the provider has verified, each time that another one came.
async fn verified(stack: &Stack) -> Vec<String> {
    let assertions = stack.provider.assertions().await;
    let mut kids: Vec<String> = assertions
        .iter()
        .map(|assertion| assertion["kid"].as_str().unwrap().to_owned())
        .collect();
    kids.dedup();
    kids
}

/// The endpoints, with their grants, at which the provider has verified an assertion of this key.
async fn endpoints(stack: &Stack, kid: &str) -> BTreeSet<String> {
    let assertions = stack.provider.assertions().await;
    let of_the_key = assertions.iter().filter(|assertion| assertion["kid"] == kid);
    let name = |assertion: &Value| {
        let part = |name: &str| assertion[name].as_str().unwrap_or_default().to_owned();
        format!("{} {}", part("endpoint"), part("grant"))
    };
    of_the_key.map(name).collect()
}

#[tokio::test]
async fn a_key_made_by_hand_takes_over_with_a_caching_provider() {
    let stack = prepare().await.register(&CHANGES).await;
    stack.logs.clear();
    let mut load = Load::begin(&stack).await;
    let old = in_state(&stack, "active").unwrap();
    let (code, text) = stack.run(&["keys", "rotate"], &[]).await;
    assert_eq!(code, 0, "{text}");
    let new = in_state(&stack, "next").unwrap();
    let both = BTreeSet::from([old.clone(), new.clone()]);

    let published_both = async || published(&stack).await == both;
    load.until("both are published", SOON, published_both).await;
    let signs = async || in_state(&stack, "active").as_ref() == Some(&new);
    let ahead = load.until("the new key signs", DAY + SOON, signs).await;
    assert!(ahead > NEARLY_A_DAY, "{ahead:?} after it was made");
    assert_eq!(published(&stack).await, both);
    let only_new = async || !published(&stack).await.contains(&old);
    let beside = load.until("the old key is gone", DAY + SOON, only_new).await;
    assert!(beside > NEARLY_A_DAY, "{beside:?} after it had signed");
    for _ in 0..LOGIN_EVERY {
        load.step().await;
    }

    load.went_well().await;
    assert_eq!(published(&stack).await, BTreeSet::from([new.clone()]));
    assert_eq!(verified(&stack).await, [old.clone(), new.clone()]);
    let everywhere = endpoints(&stack, &new).await;
    assert_eq!(everywhere.len(), 4, "{everywhere:?}");
    assert_eq!(everywhere, endpoints(&stack, &old).await);
    // Once for every start, never for a key that it had not seen.
    assert_eq!(stack.provider.jwks_fetches().await, u64::from(load.steps) + 1);
}

#[tokio::test]
async fn a_key_made_by_age_takes_over_with_inline_keys() {
    let stack = prepare().await.without("BFF_BASE_URL");
    let by_age = [&CHANGES[..], &[("BFF_JWK_ROTATE_AFTER_DAYS", "2")]].concat();
    let stack = stack.register(&by_age).await;
    stack.logs.clear();
    let old = in_state(&stack, "active").unwrap();
    let only_old = BTreeSet::from([old.clone()]);
    // A new key is made a day before the end; no request comes until an hour before.
    stack.advance(NEARLY_A_DAY).await;
    let mut load = Load::begin(&stack).await;
    assert_eq!(registered(&stack).await.as_ref(), Some(&only_old));
    let made = async || in_state(&stack, "next").is_some();
    load.until("a new key is made", Duration::from_hours(1) + SOON, made)
        .await;
    let new = in_state(&stack, "next").unwrap();
    let both = Some(BTreeSet::from([old.clone(), new.clone()]));
    let registered_both = async || registered(&stack).await == both;
    load.until("both are registered", SOON, registered_both).await;

    let signs = async || in_state(&stack, "active").as_ref() == Some(&new);
    let ahead = load.until("the new key signs", DAY + SOON, signs).await;
    assert!(ahead > NEARLY_A_DAY, "{ahead:?} after it was made");
    assert_eq!(registered(&stack).await, both);
    let only_new = async || !registered(&stack).await.unwrap().contains(&old);
    let beside = load.until("the old key is gone", DAY + SOON, only_new).await;
    assert!(beside > NEARLY_A_DAY, "{beside:?} after it had signed");
    for _ in 0..LOGIN_EVERY {
        load.step().await;
    }

    load.went_well().await;
    assert!(!published(&stack).await.contains(&old));
    assert_eq!(verified(&stack).await, [old.clone(), new.clone()]);
    assert_eq!(endpoints(&stack, &new).await, endpoints(&stack, &old).await);
    assert_eq!(stack.provider.jwks_fetches().await, 0);
}

/// The rotation by hand without publishing ahead, which shows the price of `--now`. No session ends.
#[tokio::test]
async fn a_key_signing_at_once_is_refused_until_the_copy_is_old() {
    let stack = prepare().await.register(&CHANGES).await;
    let ada = stack.ada();
    ada.log_in().await;
    assert_eq!(stack.provider.jwks_fetches().await, 1);
    let (code, text) = stack.run(&["keys", "rotate", "--now"], &[]).await;
    assert_eq!(code, 0, "{text}");
    let new = in_state(&stack, "active").unwrap();
    stack.advance(Duration::from_secs(10)).await;
    until("the server follows", async || {
        published(&stack).await.contains(&new)
    })
    .await;

    // The pushed request is refused, until the copy is five minutes old.
    let mut since = Duration::from_secs(10);
    while since < Duration::from_mins(5) {
        let refused = stack.ada().browser.get("/auth/login").await;
        assert_eq!(refused.status, 502, "after {since:?}: {}", refused.body);
        assert!(ada.browser.is_logged_in().await, "after {since:?}");
        stack.advance(Duration::from_secs(58)).await;
        since += Duration::from_secs(58);
    }
    assert!(
        !verified(&stack).await.contains(&new),
        "the provider has asked for our keys"
    );
    stack.ada().log_in().await;
    assert_eq!(stack.provider.jwks_fetches().await, 2);

    // Her refreshes pause after so many failures.
    for _ in 0..10 {
        stack.advance(Duration::from_mins(1)).await;
        if ada.browser.get("/api/hello").await.status == 200 {
            break;
        }
    }
    stack.call_api(&ada).await;
    assert_eq!(verified(&stack).await.last(), Some(&new));
}

/// Whether the provider takes an assertion that was made with `key`.
async fn lets_in(stack: &Stack, key: &SigningKey) -> bool {
    let now = stack.now().unix_seconds();
    let claims = json!({
        "iss": stack.client_id(), "sub": stack.client_id(), "aud": stack.provider.issuer,
        "jti": format!("of-a-thief-{now}"), "iat": now, "exp": now + 60,
    });
    let assertion = key.sign(Algorithm::ES256, "JWT", &claims).unwrap();
    let form = [
        ("client_id", &*stack.client_id()),
        (
            "client_assertion_type",
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        ),
        ("client_assertion", assertion.expose()),
        ("grant_type", "refresh_token"),
        ("refresh_token", "made-up"),
    ];
    match stack.provider.post("/token", &form).await.json()["error"].as_str() {
        Some("invalid_grant") => true,
        Some("invalid_client") => false,
        other => panic!("{other:?}"),
    }
}

/// Lets the key that was made just now sign, and the provider's copy grow old enough for it to be fetched.
async fn rotated_at_once(stack: &Stack) {
    let (code, text) = stack.run(&["keys", "rotate", "--now"], &[]).await;
    assert_eq!(code, 0, "{text}");
    let new = in_state(stack, "active").unwrap();
    until("the server follows", async || {
        stack.advance(Duration::from_secs(5)).await;
        published(stack).await.contains(&new)
    })
    .await;
    stack.advance(Duration::from_mins(6)).await;
    stack.ada().log_in().await;
}

/// The procedure of docs/keys.md after a leak, and why it takes a second rotation.
#[tokio::test]
async fn a_leaked_retired_key_lets_nobody_in() {
    let stack = prepare().await.register(&CHANGES).await;
    stack.ada().log_in().await;
    let pair = read_key(&stack.keys().join("bff-signing.pem")).unwrap();
    let leaked = SigningKey::new(pair, None).unwrap();
    assert!(lets_in(&stack, &leaked).await);

    rotated_at_once(&stack).await;
    let (code, text) = stack.run(&["keys", "retire", leaked.kid()], &[]).await;
    assert_eq!(code, 0, "{text}");
    until("it is not published any more", async || {
        stack.advance(Duration::from_secs(5)).await;
        !published(&stack).await.contains(leaked.kid())
    })
    .await;
    stack.advance(Duration::from_mins(6)).await;
    stack.ada().log_in().await;
    assert!(
        lets_in(&stack, &leaked).await,
        "the provider has no reason to fetch again"
    );

    rotated_at_once(&stack).await;
    assert!(!lets_in(&stack, &leaked).await);
}
