//! The stack's IdP, and the server's view of itself.

use std::time::Duration;

use bff::health::{Component, Status};
use devstack_idp::Idp;

use super::{Browser, Reply, Stack, pause};

impl Stack {
    /// The IdP, down so far, comes up.
    pub fn idp_comes_up(&mut self) {
        self.idp_server.up(Idp::clone(&self.idp_of_the_start));
    }

    /// Restarts the IdP; it knows the content of its files, and former faults and hooks are gone.
    pub async fn restart_idp(&mut self) {
        self.idp = self.idp_server.restart().await;
    }

    /// Whether the server is ready.
    pub fn is_ready(&self) -> bool {
        self.health.report().ready
    }

    /// The server's problem with its credentials, once it has tried.
    pub fn credentials_problem(&self) -> Option<String> {
        self.problem_with(Component::Credentials)
    }

    /// The server's problem with a component, once it has tried.
    pub fn problem_with(&self, component: Component) -> Option<String> {
        self.reasons()
            .find_map(|(other, reason)| (other == component).then_some(reason))
            .filter(|reason| reason != "starting")
    }

    /// Whether the server reports a problem with this text.
    pub fn problem(&self, part: &str) -> bool {
        self.reasons().any(|(_, reason)| reason.contains(part))
    }

    fn reasons(&self) -> impl Iterator<Item = (Component, String)> {
        let components = self.health.report().components.into_iter();
        components.filter_map(|(component, status)| match status {
            Status::Pending { reason } | Status::Degraded { reason } => Some((component, reason)),
            Status::Ok => None,
        })
    }

    /// Expects that the server is live and serves its keys.
    pub async fn is_live(&self) -> Reply {
        let browser = Browser::new("nobody", &format!("http://{}", self.address));
        assert_eq!(browser.get("/health/live").await.status, 200);
        let keys = browser.get("/.well-known/jwks.json").await;
        assert_eq!(keys.status, 200);
        assert!(!keys.json()["keys"].as_array().unwrap().is_empty());
        browser.get("/health/ready").await
    }

    /// The value of a variable.
    pub fn variable(&self, name: &str) -> String {
        let found = self.variables.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    }

    /// Moves the time until `condition` holds, for at most `limit`. Each second waits for real sockets a little, so that a
    /// call under way is answered before its time is over.
    pub async fn advance_until(&self, what: &str, limit: Duration, condition: impl Fn(&Self) -> bool) {
        for _ in 0..=limit.as_secs() {
            if condition(self) {
                return;
            }
            self.clock.advance(Duration::from_secs(1));
            pause().await;
        }
        panic!(
            "{limit:?} went by in vain until {what}: {:?}",
            self.health.report()
        );
    }
}
