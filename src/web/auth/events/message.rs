//! The lines of server-sent events (WHATWG HTML section 9.2.5).

use std::{fmt::Write as _, time::Duration};

use bytes::Bytes;
use serde::Serialize;

/// Simultaneous output. Its parts may be in any order; the last of each kind counts.
#[derive(Debug, Default)]
pub(super) struct Message(String);

/// `session-renewed`. Times as in `/auth/session`.
#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the names are those of `/auth/session`")]
pub(super) struct Renewed {
    pub(super) expires_at: String,
    pub(super) token_expires_at: String,
    pub(super) refreshed_at: String,
}

/// `session-expiring`.
#[derive(Serialize)]
pub(super) struct Expiring {
    pub(super) expires_at: String,
    /// `idle` or `lifetime`.
    pub(super) reason: &'static str,
}

/// `session-ended`.
#[derive(Serialize)]
pub(super) struct Ended {
    pub(super) reason: &'static str,
}

/// A complete event. An event without data would reach no page.
#[derive(Serialize)]
pub(super) struct Nothing {}

// === impl Message ===

impl Message {
    /// A comment.
    pub(super) fn heartbeat() -> Self {
        Self(":\n".to_owned())
    }

    /// The delay before a browser reconnects.
    pub(super) fn come_again(mut self, after: Duration) -> Self {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "retry: {}", after.as_millis());
        self
    }

    /// The id that it sends then. Also without an event beside it.
    pub(super) fn id(mut self, id: &str) -> Self {
        let _ = writeln!(self.0, "id: {id}");
        self
    }

    /// An event. JSON of one line, so that the data are one line too.
    pub(super) fn event(mut self, name: &str, data: &impl Serialize) -> Self {
        let data = serde_json::to_string(data).unwrap_or_default();
        let _ = write!(self.0, "event: {name}\ndata: {data}\n");
        self
    }

    pub(super) fn into_bytes(mut self) -> Bytes {
        self.0.push('\n');
        self.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_ends_with_an_empty_line() {
        let message = Message::default()
            .come_again(Duration::from_secs(3))
            .event("session-ended", &Ended { reason: "logout" })
            .id("");
        assert_eq!(
            message.into_bytes(),
            "retry: 3000\nevent: session-ended\ndata: {\"reason\":\"logout\"}\nid: \n\n"
        );
        assert_eq!(Message::heartbeat().into_bytes(), ":\n\n");
        let nothing = Message::default().event("user-changed", &Nothing {});
        assert_eq!(nothing.into_bytes(), "event: user-changed\ndata: {}\n\n");
    }
}
