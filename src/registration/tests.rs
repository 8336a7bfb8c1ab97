mod answers;
mod attempts;
mod crashes;
mod fake;
mod inspecting;
mod keeping;
mod management;
mod opening;
mod redirects;
mod refusals;
mod renewing;
mod replacing;
mod running;
mod secrets;
mod strict;

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use serde_json::Value;
use tempfile::TempDir;

use self::fake::{FakeIdp, Habits};
use super::*;
use crate::{
    clock::{Clock as _, ManualClock, Timestamp},
    diagnostic::Knob,
    keys::{self, KeyKind},
    oidc::{self, ClientAuthentication, ClientSlot, EndpointOverrides, ProviderOptions, RelyingParty},
    outbound,
    private_file::Guard,
    random::SystemRandom,
    secret::Secret,
    telemetry::testing::Logs,
    url_policy::HttpPolicy,
};

const IAT: &str = "initial-token";

pub(super) fn options() -> Options {
    Options {
        client_id: Some("bff-server".to_owned()),
        client_id_knob: Knob::RequestedClientId,
        client_profile: Some("code-flow-pkjwt".to_owned()),
        description: Description::named("bff"),
        redirect_uris: vec![
            "https://a.example/auth/callback".to_owned(),
            "https://b.example:8443/auth/callback".to_owned(),
        ],
        scopes: ["openid", "profile", "offline_access"]
            .map(str::to_owned)
            .to_vec(),
        auth_method: AuthMethod::PrivateKeyJwt,
        signing_algorithm: None,
        jwks: Jwks::Uri("https://a.example/.well-known/jwks.json".to_owned()),
        backchannel_logout_uri: Some("https://a.example/auth/backchannel-logout".to_owned()),
        frontchannel_logout_uri: Some("https://a.example/auth/frontchannel-logout".to_owned()),
        initiate_login_uri: None,
        grants: Vec::new(),
        force_replace: false,
        initial_access_token: None,
        open_registration: false,
        admin_token: None,
        credentials: PathBuf::from("bff_client.json"),
        guard: Guard::Strict,
        skip: false,
        client_secret: None,
        allow_failure: false,
        redirect_update: RedirectUpdate::Replace,
        update_method: UpdateMethod::Auto,
        check_interval: None,
    }
}

/// A BFF's surroundings: an IdP, a keys folder, a clock.
struct Harness {
    idp: FakeIdp,
    dir: TempDir,
    keys: Keys,
    outbound: Outbound,
    party: RelyingParty,
    clock: ManualClock,
}

// === impl Harness ===

impl Harness {
    async fn new(habits: Habits) -> Self {
        let idp = FakeIdp::start(habits).await;
        idp.allow(IAT);
        let dir = tempfile::tempdir().unwrap();
        let keys = keys::Options {
            signing_key: dir.path().join("bff-signing.pem"),
            kid: None,
            generate: KeyKind::P256,
            extra: Vec::new(),
            dir: dir.path().to_owned(),
            identity_markers: Vec::new(),
            guard: Guard::Strict,
        };
        let (keys, _) = keys::testing::load(&keys).unwrap();
        let clock = ManualClock::starting_at(Timestamp::from_unix_seconds(1_800_000_000));
        let outbound = outbound::Options {
            request_timeout: Duration::from_secs(2),
            ..outbound::Options::default()
        };
        let outbound = Outbound::new(&outbound, Arc::new(clock.clone())).unwrap();
        let provider = ProviderOptions {
            issuer: idp.issuer(),
            base_url: (!idp.url.as_str().starts_with(&idp.issuer())).then(|| idp.url.clone()),
            public_base: None,
            overrides: EndpointOverrides::default(),
            allow_http: HttpPolicy::LocalOnly,
        };
        let party = RelyingParty::new(
            oidc::Options::new(provider),
            outbound.clone(),
            ClientSlot::new(),
            keys.clone(),
            Arc::new(clock.clone()),
            Arc::new(SystemRandom),
        );
        Self {
            idp,
            dir,
            keys,
            outbound,
            party,
            clock,
        }
    }

    /// A harness in which the client is registered and the initial access token is gone.
    async fn registered(habits: Habits) -> Self {
        let harness = Self::new(habits).await;
        let outcome = harness.ensure(with_iat).await.unwrap();
        assert!(
            matches!(outcome.event, Event::Registered { .. }),
            "{:?}",
            outcome.event
        );
        harness.idp.seen();
        harness
    }

    fn registration(&self, change: impl FnOnce(&mut Options)) -> Registration {
        let mut options = options();
        options.credentials = self.path();
        change(&mut options);
        Registration::new(
            options,
            self.outbound.clone(),
            self.keys.clone(),
            Arc::new(self.clock.clone()),
        )
    }

    async fn ensure(&self, change: impl FnOnce(&mut Options)) -> Result<Outcome, RegistrationError> {
        let metadata = self.party.provider().discover().await.unwrap();
        self.registration(change).ensure(&metadata).await
    }

    async fn event(&self, change: impl FnOnce(&mut Options)) -> Event {
        self.ensure(change).await.unwrap().event
    }

    async fn refusal(&self, change: impl FnOnce(&mut Options)) -> RegistrationError {
        let error = self.ensure(change).await.unwrap_err();
        check_text(&error);
        error
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("bff_client.json")
    }

    fn file(&self) -> Value {
        serde_json::from_slice(&fs::read(self.path()).unwrap()).unwrap()
    }

    fn edit_file(&self, change: impl FnOnce(&mut Value)) {
        let mut file = self.file();
        change(&mut file);
        fs::write(self.path(), file.to_string()).unwrap();
    }
}

fn with_iat(options: &mut Options) {
    options.initial_access_token = Some(Secret::from(IAT));
}

fn as_is(_: &mut Options) {}

/// Every message contains advice, and none contains a secret.
#[track_caller]
fn check_text(error: &RegistrationError) {
    let text = error.told();
    assert!(text.contains("fix: "), "{text}");
    check_no_secret(&text);
    check_no_secret(&format!("{error:?}"));
}

#[track_caller]
fn check_no_secret(text: &str) {
    for secret in [IAT, "rat-", "admin-token", "minted-", "client-secret"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}
