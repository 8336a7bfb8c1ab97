//! Several processes of the real binary on one folder: one registration, and all of them are ready.

use std::{collections::BTreeSet, fs, sync::Arc};

use devstack_idp::{Endpoint, Fault, MintIat};
use serde_json::Value;
use tokio::sync::Notify;

use crate::support::{Browser, Builder, Port, Process, Stack, pause};

/// How many processes there are.
const COUNT: usize = 10;

/// An IdP, an API, and processes on one folder, each with its own address.
struct Replicas {
    stack: Stack,
    ports: Vec<Port>,
    running: Vec<Process>,
}

// === impl Replicas ===

impl Replicas {
    /// The folder and the addresses; nothing runs yet.
    async fn prepare(builder: Builder) -> Self {
        let mut stack = builder.without_server().start_without_waiting().await;
        let ports: Vec<Port> = (0..COUNT).map(|_| Port::reserve()).collect();
        // One client: all processes know the addresses of all, as they would know all hosts.
        let uris: Vec<String> = ports.iter().map(|port| origin(port) + "/auth/callback").collect();
        set(&mut stack, "DCR_REDIRECT_URIS", &uris.join(","));
        let base = format!("http://{}", ports[0].address());
        set(&mut stack, "BFF_BASE_URL", &base);
        Self {
            stack,
            ports,
            running: Vec::new(),
        }
    }

    /// Starts process number `index`.
    fn start(&mut self, index: usize) {
        let port = self.ports[index].address().port().to_string();
        set(&mut self.stack, "PORT", &port);
        let process = Process::start(&self.stack.folder(), &[], &self.stack.variables);
        self.running.push(process);
    }

    /// Starts all of them at once.
    fn start_all(&mut self) {
        for index in 0..COUNT {
            self.start(index);
        }
    }

    /// Waits until each has written `text`.
    async fn all_say(&mut self, text: &str) {
        for process in &mut self.running {
            process.says(text).await;
        }
    }

    /// How many have written `text`.
    fn how_many_say(&self, text: &str) -> usize {
        let said = |process: &&Process| process.output().contains(text);
        self.running.iter().filter(said).count()
    }

    /// The answers of all to a path.
    async fn answers(&self, path: &str) -> Vec<(u16, String)> {
        let mut answers = Vec::new();
        for port in &self.ports {
            let reply = Browser::new("nobody", &origin(port)).get(path).await;
            answers.push((reply.status.as_u16(), reply.body));
        }
        answers
    }

    /// Waits until each is ready.
    async fn all_are_ready(&mut self) {
        self.all_say("listening").await;
        for (index, port) in self.ports.iter().enumerate() {
            let probe = Browser::new("nobody", &origin(port));
            let mut left = 5_000;
            while probe.get("/health/ready").await.status != 200 {
                left -= 1;
                assert!(left > 0, "it is not ready:\n{}", self.running[index].output());
                pause().await;
            }
        }
    }

    /// Each is the one client, with the one key and the one secret: a person logs in at each and calls the API.
    async fn all_work(&self) {
        for port in &self.ports {
            let ada = Browser::new("ada", &origin(port));
            ada.log_in().await;
            assert_eq!(ada.get("/api/hello").await.status, 200);
        }
        assert_eq!(self.stack.idp.client_ids(), ["bff-server"]);
    }

    /// Ends all of them, in peace.
    async fn stop_all(&mut self) {
        for process in &self.running {
            process.terminate();
        }
        for process in std::mem::take(&mut self.running) {
            let ended = process.ended().await;
            assert_eq!(ended.code, 0, "{}", ended.output);
        }
    }

    /// How many updates the IdP has seen.
    fn updates(&self) -> usize {
        let calls = self.stack.idp.requests(Endpoint::RegistrationManagement);
        calls.iter().filter(|call| call.method == "PUT").count()
    }

    fn credentials(&self) -> Value {
        serde_json::from_slice(&fs::read(self.stack.credentials()).unwrap()).unwrap()
    }

    /// The files in the keys folder.
    fn files(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(self.stack.folder().join("keys")).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }
}

fn origin(port: &Port) -> String {
    format!("http://automate.localhost:{}", port.address().port())
}

fn set(stack: &mut Stack, name: &str, value: &str) {
    stack.variables.retain(|(other, _)| other != name);
    stack.variables.push((name.to_owned(), value.to_owned()));
}

/// All ten become ready.
#[tokio::test]
async fn ten_servers_on_an_empty_folder_register_once() {
    // The IdP answers only when all of them want to register.
    let answer = Arc::new(Notify::new());
    let held = Fault::HoldAnswerUntil(Arc::clone(&answer));
    let builder = Stack::builder().prepare(move |idp| {
        idp.fail_next(Endpoint::Register, held);
        idp.rotate_rat_on_update(true);
    });
    let mut replicas = Replicas::prepare(builder).await;
    replicas.start_all();
    replicas.all_say("the identity provider was found").await;
    replicas
        .stack
        .until("one of them asks", |stack| {
            stack.idp.count(Endpoint::Register) == 1
        })
        .await;
    // Meanwhile all are live with the same keys, and none claims to be ready.
    for (status, _) in replicas.answers("/health/ready").await {
        assert_eq!(status, 503);
    }
    let jwks = replicas.answers("/.well-known/jwks.json").await;
    assert!(jwks.iter().all(|answer| answer.0 == 200 && *answer == jwks[0]));
    answer.notify_one();

    replicas.all_are_ready().await;
    assert_eq!(replicas.stack.idp.count(Endpoint::Register), 1);
    assert_eq!(replicas.how_many_say("Client registered: bff-server"), 1);
    assert_eq!(replicas.how_many_say("registration unchanged"), COUNT - 1);
    assert_eq!(replicas.how_many_say("made a new signing key"), 1);
    assert_eq!(replicas.how_many_say("made a new secret for sessions"), 1);
    assert!(
        replicas.files().iter().all(|name| !name.contains(".tmp")),
        "{:?}",
        replicas.files()
    );
    replicas.all_work().await;

    // All again with `DCR_FORCE_REPLACE` and a fresh token: one of them does it, in place because the id is taken.
    replicas.stop_all().await;
    replicas.stack.idp.clear_requests();
    let iat = replicas.stack.idp.mint_iat(MintIat::default());
    set(&mut replicas.stack, "DCR_FORCE_REPLACE", "true");
    set(&mut replicas.stack, "DCR_IAT", &iat);
    replicas.start_all();
    replicas.all_are_ready().await;
    assert_eq!(replicas.stack.idp.count(Endpoint::Register), 1);
    assert_eq!(replicas.updates(), 1);
    replicas.all_work().await;

    // And again, with a change: one update, and the token that it rotates reaches the others.
    replicas.stop_all().await;
    let first = replicas.credentials();
    replicas.stack.idp.clear_requests();
    set(&mut replicas.stack, "DCR_IAT", "");
    set(&mut replicas.stack, "OIDC_SCOPES", "openid offline_access");
    replicas.start_all();
    replicas.all_are_ready().await;
    assert_eq!(replicas.how_many_say("registration updated: scope:"), 1);
    assert_eq!(replicas.how_many_say("registration unchanged"), COUNT - 1);
    assert_eq!(replicas.updates(), 1);
    assert_ne!(
        replicas.credentials()["registration_access_token"],
        first["registration_access_token"]
    );
    assert_eq!(replicas.stack.idp.count(Endpoint::Register), 0);
    replicas.all_work().await;
    replicas.stop_all().await;
}

#[tokio::test]
async fn no_replica_spends_the_token_of_a_killed_one() {
    let never = Arc::new(Notify::new());
    let held = Fault::HoldAnswerUntil(Arc::clone(&never));
    let builder = Stack::builder().prepare(move |idp| idp.fail_next(Endpoint::Register, held));
    let mut replicas = Replicas::prepare(builder).await;
    replicas.start(0);
    replicas
        .stack
        .until("it asks", |stack| stack.idp.count(Endpoint::Register) == 1)
        .await;
    for index in 1..COUNT {
        replicas.start(index);
    }
    replicas.all_say("the identity provider was found").await;
    // Its lock ends with it; its note about the request stays.
    drop(replicas.running.remove(0));
    replicas.all_say("the outcome of a registration request").await;
    assert_eq!(replicas.stack.idp.count(Endpoint::Register), 1);
    for process in &replicas.running {
        let output = process.output();
        for part in ["the client bff-server", "remove it", "fresh DCR_IAT"] {
            assert!(output.contains(part), "no {part} in {output}");
        }
    }
    replicas.stop_all().await;

    // A person looks, removes the client, mints a token: all of them register one client.
    assert!(replicas.stack.idp.remove_client("bff-server").unwrap());
    let iat = replicas.stack.idp.mint_iat(MintIat::default());
    set(&mut replicas.stack, "DCR_IAT", &iat);
    replicas.start_all();
    replicas.all_are_ready().await;
    assert_eq!(replicas.how_many_say("Client registered: bff-server"), 1);
    replicas.all_work().await;
    replicas.stop_all().await;
}

#[tokio::test]
async fn where_the_idp_refuses_each_stops_with_the_reason() {
    let builder = Stack::builder().set("DCR_IAT", "never-minted-by-anybody");
    let mut replicas = Replicas::prepare(builder).await;
    replicas.start_all();
    for process in std::mem::take(&mut replicas.running) {
        let ended = process.ended().await;
        assert_eq!(ended.code, 77, "{}", ended.output);
        assert!(ended.output.contains("mint a new one"), "{}", ended.output);
    }
    assert!(!replicas.stack.credentials().exists());
    assert!(replicas.stack.idp.client_ids().is_empty());
}

#[tokio::test]
async fn replicas_with_allowed_failure_serve_but_are_not_ready() {
    let builder = Stack::builder()
        .without_iat()
        .set("ALLOW_BOOTSTRAP_FAILURE", "true");
    let mut replicas = Replicas::prepare(builder).await;
    replicas.start_all();
    replicas.all_say("tried again, as configured").await;
    for (path, status) in [
        ("/health/live", 200),
        ("/health/ready", 503),
        ("/.well-known/jwks.json", 200),
        ("/public/page", 200),
        ("/auth/session", 200),
        ("/api/hello", 401),
        ("/auth/login", 503),
    ] {
        for (found, body) in replicas.answers(path).await {
            assert_eq!(found, status, "{path}: {body}");
        }
    }
    assert_eq!(replicas.stack.idp.count(Endpoint::Register), 0);
    replicas.stop_all().await;
}
