//! The key of a route for WebSockets.

use std::{sync::Arc, time::Duration};

use http::Method;

use super::{
    super::{Auth, Methods, Policy, Service},
    mistakes::{Reader, shown},
};
use crate::{
    gateway::WebSockets,
    yaml::{Node, Value},
};

/// A longer beginning of a subprotocol is a mistake, in bytes.
const MAX_PREFIX: usize = 64;

const MIN_IDLE: Duration = Duration::from_secs(1);
const MAX_IDLE: Duration = Duration::from_hours(24);

/// The mistake has been noted.
pub(super) struct Noted;

const MAX_MESSAGE_FIX: &str = "write a size, as in max_message: 1MiB, or unlimited";
const FIX: &str = "write websocket: true, or websocket: { token_subprotocol: bearer. }";

// === impl Reader ===

impl Reader<'_> {
    pub(super) fn web_sockets(
        &mut self,
        node: &Node,
        what: &str,
        methods: Option<Methods>,
        policy: Option<&Policy>,
        service: Option<&Arc<Service>>,
    ) -> Result<Option<WebSockets>, Noted> {
        let what = format!("websocket of {what}");
        let settings = if let Value::Map(_) = &node.value {
            let fields = self
                .fields(node, what.clone(), &["token_subprotocol", "max_message", "idle"])
                .ok_or(Noted)?;
            let token_subprotocol = match fields.get("token_subprotocol") {
                None => None,
                Some(node) => Some(self.prefix(node, &what, policy).ok_or(Noted)?),
            };
            let idle = match fields.get("idle") {
                None => None,
                Some(node) => Some(self.idle(node, &what).ok_or(Noted)?),
            };
            WebSockets {
                token_subprotocol,
                max_message: self.longest(&fields, "max_message", MAX_MESSAGE_FIX),
                idle,
            }
        } else if self.boolean(node, &what).ok_or(Noted)? {
            WebSockets::default()
        } else {
            return Ok(None);
        };
        if methods.is_some_and(|methods| !methods.contains(Methods::of(&Method::GET))) {
            self.mistake(
                node.at(),
                format!("{what} is set, and its methods lack GET, with which a WebSocket begins"),
                "add GET to methods",
            );
            return Err(Noted);
        }
        if service.is_some_and(|service| service.is_h2c()) {
            self.mistake(
                node.at(),
                format!(
                    "{what} leads to a service with h2c: true, and WebSockets go to services by HTTP/1.1"
                ),
                "describe the service a second time without h2c, for this route",
            );
            return Err(Noted);
        }
        Ok(Some(settings))
    }

    fn idle(&mut self, node: &Node, what: &str) -> Option<Duration> {
        let fix = "write 1s to 24h, as in 90, 90s, 10m or 8h";
        self.time(node, &format!("idle in {what}"), MIN_IDLE..=MAX_IDLE, fix)
    }

    fn prefix(&mut self, node: &Node, what: &str, policy: Option<&Policy>) -> Option<Box<str>> {
        let text = self.text(node, &format!("token_subprotocol in {what}"))?;
        if !WebSockets::is_prefix(text) || text.len() > MAX_PREFIX {
            self.mistake(
                node.at(),
                format!(
                    "token_subprotocol in {what} is {}, which begins no subprotocol",
                    shown(text)
                ),
                FIX,
            );
            return None;
        }
        if policy.is_some_and(|policy| policy.auth == Auth::None) {
            self.mistake(
                node.at(),
                format!(
                    "token_subprotocol in {what} has no effect with auth: none, because no token goes along"
                ),
                "write websocket: true, or auth: session",
            );
            return None;
        }
        Some(text.into())
    }
}
