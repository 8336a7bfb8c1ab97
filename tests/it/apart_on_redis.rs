//! Several replicas of the real binary without a common folder: their shared state is in a real Redis.

use std::fs;

use bff::keys::{KeyKind, generate_if_new};
use devstack_idp::{Endpoint, MintIat};
use http::StatusCode;

use crate::support::{Browser, Port, Process, Redis, Stack, pause};

const OLD: &str = "1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a";
const NEW: &str = "2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b";

/// An IdP, an API, a Redis, and replicas, each with its own folders.
struct Replicas {
    stack: Stack,
    redis: Redis,
    ports: Vec<Port>,
    running: Vec<Option<Process>>,
}

// === impl Replicas ===

impl Replicas {
    /// The Redis, and the mounts of each replica; none of them runs yet.
    async fn prepare(count: usize) -> Self {
        let redis = Redis::start().await;
        let mut stack = Stack::builder()
            .without_server()
            .set("SESSION_STORE", "redis")
            .set("REDIS_URL", redis.url())
            .set("SESSION_SECRET", OLD)
            .prepare(|idp| idp.rotate_rat_on_update(true))
            .start_without_waiting()
            .await;
        let ports: Vec<Port> = (0..count).map(|_| Port::reserve()).collect();
        let uris: Vec<String> = ports.iter().map(|port| origin(port) + "/auth/callback").collect();
        set(&mut stack, "DCR_REDIRECT_URIS", &uris.join(","));
        // The server from which the IdP fetches the keys of the client.
        let base = format!("http://{}", ports[0].address());
        set(&mut stack, "BFF_BASE_URL", &base);
        let replicas = Self {
            stack,
            redis,
            running: ports.iter().map(|_| None).collect(),
            ports,
        };
        let everybody: Vec<usize> = (0..count).collect();
        replicas.mount("first.pem", &everybody);
        replicas
    }

    /// Makes a key, and mounts it in these replicas.
    fn mount(&self, name: &str, indexes: &[usize]) {
        let made = self.stack.folder().join("made").join(name);
        generate_if_new(&made, KeyKind::P256, &[]).unwrap();
        for index in indexes {
            let folder = self.stack.folder().join(format!("keys-{index}"));
            fs::create_dir_all(&folder).unwrap();
            fs::copy(&made, folder.join(name)).unwrap();
        }
    }

    fn start(&mut self, index: usize) {
        let folder = self.stack.folder();
        let own = |name: &str| folder.join(format!("{name}-{index}")).display().to_string();
        let port = self.ports[index].address().port().to_string();
        let keys = own("keys");
        set(&mut self.stack, "PORT", &port);
        set(&mut self.stack, "BFF_KEYS_DIR", &keys);
        set(&mut self.stack, "BFF_STATE_DIR", &own("state"));
        let named = self.stack.variable("BFF_JWT_SIGNING_KEY");
        let named = named.rsplit('/').next().unwrap().replace("bff-signing", "first");
        set(&mut self.stack, "BFF_JWT_SIGNING_KEY", &format!("{keys}/{named}"));
        let process = Process::start(&folder, &[], &self.stack.variables);
        self.running[index] = Some(process);
    }

    fn start_all(&mut self) {
        for index in 0..self.ports.len() {
            self.start(index);
        }
    }

    fn living(&mut self) -> impl Iterator<Item = &mut Process> {
        self.running.iter_mut().flatten()
    }

    /// Ends it in peace.
    async fn stop(&mut self, index: usize) {
        let process = self.running[index].take().unwrap();
        process.terminate();
        let ended = process.ended().await;
        assert_eq!(ended.code, 0, "{}", ended.output);
    }

    async fn stop_all(&mut self) {
        for index in 0..self.running.len() {
            if self.running[index].is_some() {
                self.stop(index).await;
            }
        }
    }

    async fn is_ready(&mut self, index: usize) {
        self.running[index].as_mut().unwrap().says("listening").await;
        let probe = Browser::new("nobody", &origin(&self.ports[index]));
        let mut left = 5_000;
        while probe.get("/health/ready").await.status != StatusCode::OK {
            left -= 1;
            let output = self.running[index].as_ref().unwrap().output();
            assert!(left > 0, "it is not ready:\n{output}");
            pause().await;
        }
    }

    async fn all_are_ready(&mut self) {
        for index in 0..self.running.len() {
            if self.running[index].is_some() {
                self.is_ready(index).await;
            }
        }
    }

    fn how_many_say(&mut self, text: &str) -> usize {
        self.living()
            .filter(|process| process.output().contains(text))
            .count()
    }

    /// A person logs in at each and calls the API.
    async fn all_work(&self) {
        for (port, process) in self.ports.iter().zip(&self.running) {
            if process.is_some() {
                let ada = Browser::new("ada", &origin(port));
                ada.log_in().await;
                assert_eq!(ada.get("/api/hello").await.status, StatusCode::OK);
            }
        }
        assert_eq!(self.stack.idp.client_ids(), ["bff-server"]);
    }

    fn registrations(&self) -> usize {
        self.stack.idp.count(Endpoint::Register)
    }
}

fn origin(port: &Port) -> String {
    format!("http://automate.localhost:{}", port.address().port())
}

fn set(stack: &mut Stack, name: &str, value: &str) {
    stack.variables.retain(|(other, _)| other != name);
    stack.variables.push((name.to_owned(), value.to_owned()));
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn ten_that_start_together_on_an_empty_redis_register_once() {
    const COUNT: usize = 10;
    let mut replicas = Replicas::prepare(COUNT).await;
    replicas.start_all();
    replicas.all_are_ready().await;
    assert_eq!(replicas.registrations(), 1);
    assert_eq!(replicas.how_many_say("Client registered: bff-server"), 1);
    assert_eq!(replicas.how_many_say("registration unchanged"), COUNT - 1);
    replicas.all_work().await;
    let dump = replicas.redis.dump();
    for part in ["registration_access_token", "first.pem", "\"active\""] {
        let found = dump.windows(part.len()).any(|bytes| bytes == part.as_bytes());
        assert!(!found, "{part} is in the dump");
    }

    // All again with a change: one of them updates it, and the token that this rotates reaches the others.
    replicas.stop_all().await;
    replicas.stack.idp.clear_requests();
    set(&mut replicas.stack, "DCR_IAT", "");
    set(&mut replicas.stack, "OIDC_SCOPES", "openid offline_access");
    replicas.start_all();
    replicas.all_are_ready().await;
    assert_eq!(replicas.how_many_say("registration updated: scope:"), 1);
    assert_eq!(replicas.how_many_say("registration unchanged"), COUNT - 1);
    let calls = replicas.stack.idp.requests(Endpoint::RegistrationManagement);
    assert_eq!(calls.iter().filter(|call| call.method == "PUT").count(), 1);
    assert_eq!(replicas.registrations(), 0);
    replicas.all_work().await;
    replicas.stop_all().await;
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn a_redis_that_lost_its_data_leads_to_no_second_registration() {
    let mut replicas = Replicas::prepare(3).await;
    // No second client could be registered unnoticed.
    let iat = replicas.stack.idp.mint_iat(MintIat {
        max_uses: 100,
        ..MintIat::default()
    });
    set(&mut replicas.stack, "DCR_IAT", &iat);
    replicas.start(0);
    replicas.is_ready(0).await;
    replicas.start(1);
    replicas.is_ready(1).await;
    assert_eq!(replicas.registrations(), 1);
    // One that lives knows it, and a new one comes.
    replicas.stop(1).await;
    replicas.redis.lose_everything().await;
    replicas.start(2);
    replicas.is_ready(2).await;
    assert_eq!(replicas.registrations(), 1);
    // None lives, and a returning one has it in its folder.
    replicas.stop_all().await;
    replicas.redis.lose_everything().await;
    replicas.start(0);
    replicas.is_ready(0).await;
    assert_eq!(replicas.registrations(), 1);
    replicas.all_work().await;
    replicas.stop_all().await;
}

/// A roll of secrets keeps all ready.
#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn a_replica_with_another_secret_is_not_ready() {
    let mut replicas = Replicas::prepare(3).await;
    replicas.start(0);
    replicas.start(1);
    replicas.all_are_ready().await;
    // An operator gives a third one another secret.
    set(&mut replicas.stack, "SESSION_SECRET", NEW);
    replicas.start(2);
    let foreign = replicas.running[2].as_mut().unwrap();
    foreign.says("give both the same list").await;
    assert!(foreign.output().contains("SESSION_SECRET"));
    let probe = Browser::new("nobody", &origin(&replicas.ports[2]));
    assert_eq!(
        probe.get("/health/ready").await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    replicas.is_ready(0).await;
    replicas.stop(2).await;
    // The operator rolls it out as the message says.
    set(&mut replicas.stack, "SESSION_SECRET", OLD);
    replicas.start(2);
    replicas.all_are_ready().await;
    let ada = Browser::new("ada", &origin(&replicas.ports[0]));
    ada.log_in().await;
    for list in [format!("{OLD},{NEW}"), format!("{NEW},{OLD}"), NEW.to_owned()] {
        set(&mut replicas.stack, "SESSION_SECRET", &list);
        for index in 0..3 {
            replicas.stop(index).await;
            replicas.start(index);
            replicas.all_are_ready().await;
            assert_eq!(replicas.how_many_say("give both the same list"), 0);
        }
    }
    assert_eq!(replicas.registrations(), 1);
    replicas.all_work().await;
    replicas.stop_all().await;
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn the_next_key_signs_when_it_is_mounted_everywhere() {
    let mut replicas = Replicas::prepare(2).await;
    set(&mut replicas.stack, "BFF_JWK_PUBLISH_AHEAD", "1s");
    replicas.start_all();
    replicas.all_are_ready().await;
    // At one of them first.
    replicas.mount("second.pem", &[0]);
    replicas.stop(0).await;
    set(&mut replicas.stack, "BFF_JWT_SIGNING_KEY", "second.pem");
    replicas.start(0);
    replicas.is_ready(0).await;
    let first = replicas.running[0].as_mut().unwrap();
    first.says("does not have it - fix: mount its PEM").await;
    replicas.all_work().await;
    // And at the other, running one: it reads the file that the keyring names.
    let made = replicas.stack.folder().join("made/second.pem");
    fs::copy(made, replicas.stack.folder().join("keys-1/second.pem")).unwrap();
    for process in replicas.living() {
        process.says("signs now, in the place of").await;
    }
    replicas.all_work().await;
    assert_eq!(replicas.registrations(), 1);
    replicas.stop_all().await;
}

#[tokio::test]
#[ignore = "needs redis-server; scripts/test stores runs it"]
async fn commands_work_on_what_is_in_redis() {
    let mut replicas = Replicas::prepare(1).await;
    replicas.start(0);
    replicas.is_ready(0).await;
    // From another folder, as on another machine: only the keys are the same.
    let elsewhere = replicas.stack.folder().join("elsewhere").display().to_string();
    set(&mut replicas.stack, "BFF_STATE_DIR", &elsewhere);
    set(&mut replicas.stack, "DCR_IAT", "");
    let folder = replicas.stack.folder();
    let run = async |arguments: &[&str]| {
        let process = Process::start(&folder, arguments, &replicas.stack.variables);
        process.ended().await
    };
    run(&["keys", "list"]).await.says(0, &["first.pem", "active"]);
    let refused = run(&["keys", "rotate"]).await;
    refused.says(64, &["no folder in common", "BFF_JWT_SIGNING_KEY"]);
    let shown = run(&["register", "--dry-run"]).await;
    shown.says(0, &["keep bff-server, which is registered as it should be"]);
    let registered = run(&["register"]).await;
    registered.says(0, &["bff-server is registered as it should be"]);
    assert_eq!(replicas.registrations(), 1);
    let checked = run(&["check"]).await;
    assert!(
        checked.output.contains("bff-server") && checked.code == 0,
        "{}",
        checked.output
    );
    assert!(!folder.join("elsewhere/bff_client.json").exists());
    replicas.stop_all().await;
}
