//! The provider as a separate process, and requests to it.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};

use bff::clock::Timestamp;
use serde_json::{Value, json};

use super::browser::http_client;

/// A running provider. It is stopped when dropped, and ends by itself when this process does.
pub struct Provider {
    /// Its issuer identifier, which is its origin too.
    pub issuer: String,
    control: String,
    process: Child,
    log: PathBuf,
    http: reqwest::Client,
}

/// A refresh token that the provider knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshToken {
    /// Its value.
    pub token: String,
    /// Its owner.
    pub person: String,
    /// Whether it was exchanged for another one.
    pub consumed: bool,
}

// === impl Provider ===

impl Provider {
    /// Starts one with `settings`, which `provider.mjs` explains. What it says about itself goes to a file in `folder`.
    pub fn start(settings: &Value, folder: &Path) -> Self {
        let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oidc-provider");
        assert!(
            home.join("node_modules/oidc-provider").exists(),
            "the provider is not installed: run scripts/phases/oidc-provider"
        );
        let log = folder.join("provider.log");
        let mut process = Command::new("node")
            .args(["provider.mjs", &settings.to_string()])
            .current_dir(&home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .expect("node cannot be started: run scripts/phases/oidc-provider");
        let mut line = String::new();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let Ok(about) = serde_json::from_str::<Value>(&line) else {
            panic!("the provider has not started:\n{}", read(&log));
        };
        let text = |name: &str| about[name].as_str().unwrap().to_owned();
        Self {
            issuer: text("issuer"),
            control: text("control"),
            process,
            log,
            http: http_client(),
        }
    }

    async fn ask(&self, command: Value) -> Value {
        let request = self.http.post(&self.control).body(command.to_string());
        let reply = super::Reply::read(request.send().await.unwrap()).await;
        assert_eq!(reply.status, 200, "{command}: {}", reply.body);
        reply.json()
    }

    async fn tell(&self, command: &str) {
        self.ask(json!({"do": command})).await;
    }

    /// Moves its time, if that stands still. Earlier requests are answered first.
    pub async fn set_time(&self, now: Timestamp) {
        self.ask(json!({"do": "time", "now": now.unix_millis()})).await;
    }

    /// Makes an initial access token for one registration.
    pub async fn mint(&self) -> String {
        let token = self.ask(json!({"do": "mint"})).await;
        token.as_str().unwrap().to_owned()
    }

    /// How many initial access tokens have not been used yet.
    pub async fn unused_initial_access_tokens(&self) -> u64 {
        let count = self.ask(json!({"do": "initialAccessTokens"})).await;
        count.as_u64().unwrap()
    }

    /// The ids of all clients.
    pub async fn clients(&self) -> Vec<String> {
        serde_json::from_value(self.ask(json!({"do": "clients"})).await).unwrap()
    }

    /// The metadata of a client.
    pub async fn client(&self, id: &str) -> Value {
        self.ask(json!({"do": "client", "id": id})).await
    }

    /// All refresh tokens that were not revoked, the oldest first.
    pub async fn refresh_tokens(&self) -> Vec<RefreshToken> {
        let tokens = self.ask(json!({"do": "refreshTokens"})).await;
        let tokens = tokens.as_array().unwrap().iter();
        tokens
            .map(|token| RefreshToken {
                token: token["token"].as_str().unwrap().to_owned(),
                person: token["accountId"].as_str().unwrap().to_owned(),
                consumed: token["consumed"].as_bool().unwrap(),
            })
            .collect()
    }

    /// How many browsers are logged in at the provider.
    pub async fn sessions(&self) -> u64 {
        self.ask(json!({"do": "sessions"})).await.as_u64().unwrap()
    }

    /// Everybody is logged out there, in silence.
    pub async fn end_sessions(&self) {
        self.tell("endSessions").await;
    }

    /// Removes all grants, and all tokens with them.
    pub async fn revoke_grants(&self) {
        self.tell("revokeGrants").await;
    }

    /// Another key signs from now on.
    pub async fn rotate_keys(&self) {
        self.tell("rotateKeys").await;
    }

    /// Restarts it, so that it has to fetch the keys of clients again.
    pub async fn start_again(&self) {
        self.tell("startAgain").await;
    }

    async fn seen(&self, what: &str) -> Value {
        self.ask(json!({"do": "seen"})).await[what].take()
    }

    /// Forgets its accepted and refused assertions so far.
    pub async fn forget_what_was_seen(&self) {
        self.tell("forgetSeen").await;
    }

    /// The client assertions that it has accepted, except for its check against repetition.
    pub async fn assertions(&self) -> Vec<Value> {
        serde_json::from_value(self.seen("assertions").await).unwrap()
    }

    /// How often it has fetched keys of clients.
    pub async fn jwks_fetches(&self) -> u64 {
        self.seen("jwksFetches").await.as_u64().unwrap()
    }

    /// Everything that it has refused.
    pub async fn errors(&self) -> Vec<Value> {
        serde_json::from_value(self.seen("errors").await).unwrap()
    }

    /// Calls an endpoint of the provider with an access token.
    pub async fn call(&self, path: &str, authorization: &str) -> super::Reply {
        let request = self.http.get(format!("{}{path}", self.issuer));
        let request = request.header("authorization", authorization);
        super::Reply::read(request.send().await.unwrap()).await
    }

    /// Posts a form to an endpoint of the provider.
    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> super::Reply {
        let request = self.http.post(format!("{}{path}", self.issuer));
        super::Reply::read(super::person::with_form(request, form).send().await.unwrap()).await
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if thread::panicking() {
            eprintln!("--- the provider:\n{}", read(&self.log));
        }
    }
}

fn read(log: &Path) -> String {
    std::fs::read_to_string(log).unwrap_or_default()
}
