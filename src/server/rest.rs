//! The rest of a request's body, if the answer does not depend on it.
//!
//! With HTTP/1.1 the next request follows this rest. Either the server reads it and goes on, or it says that it closes
//! the connection (RFC 9112 section 9.6).

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Weak},
    time::Duration,
};

use http::{
    HeaderMap, Version,
    header::{CONNECTION, EXPECT},
    request::Parts,
};
use hyper::{
    body::{Body as _, Incoming},
    rt::Timer as _,
};
use hyper_util::rt::TokioTimer;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::{
    register::Turn,
    underway::{Listed, Underway},
};

/// A longer rest is not read, in bytes.
const MOST: u64 = 64 * 1024;

/// The rest has this long to arrive, as the head of a request has.
const LATE: Duration = Duration::from_secs(15);

/// The treatment of a body that is dropped before its end.
pub(super) enum Rest {
    /// There is none, or the protocol copes with it.
    Nothing,
    /// It is read and thrown away.
    Read {
        listed: Weak<Listed>,
        finishing: CancellationToken,
    },
    /// The connection ends.
    Unread,
}

// === impl Rest ===

impl Rest {
    pub(super) fn of(head: &Parts, body: &Incoming, listed: &Arc<Listed>, turn: &Turn) -> Self {
        if head.version >= Version::HTTP_2 || body.is_end_stream() {
            return Self::Nothing;
        }
        let is_short = body.size_hint().upper().is_some_and(|length| length <= MOST);
        // A client that asks first sends nothing after a refusal, and nobody could tell what comes next.
        let asks = head.headers.contains_key(EXPECT);
        if is_short && !asks && !closes(&head.headers) {
            Self::Read {
                listed: Arc::downgrade(listed),
                finishing: turn.finishing(),
            }
        } else {
            Self::Unread
        }
    }

    /// Somebody has waited for it. Dropping it afterwards means that it came too late.
    pub(super) fn was_waited_for(&mut self) {
        if let Self::Read { .. } = self {
            *self = Self::Unread;
        }
    }

    /// Treats `body`, of which nobody wants the rest.
    pub(super) fn leave(&self, body: Incoming, underway: &Underway) {
        if body.is_end_stream() {
            return;
        }
        match self {
            Self::Nothing => {}
            Self::Unread => underway.end_connection(),
            Self::Read { listed, finishing } => {
                // The request is under way until the rest has come.
                if let (Some(listed), Ok(runtime)) = (listed.upgrade(), Handle::try_current()) {
                    runtime.spawn(read(body, listed, finishing.clone()));
                }
            }
        }
    }
}

/// Whether the client ends the connection after this request anyway.
fn closes(headers: &HeaderMap) -> bool {
    let values = headers.get_all(CONNECTION).iter();
    let mut options = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    options.any(|option| option.trim().eq_ignore_ascii_case("close"))
}

async fn read(mut body: Incoming, listed: Arc<Listed>, finishing: CancellationToken) {
    let now = || listed.connection().now();
    let all = async {
        listed.underway().upload.begin(now);
        while let Some(Ok(_)) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {}
    };
    tokio::select! {
        () = all => {}
        () = TokioTimer::new().sleep(LATE) => {}
        () = finishing.cancelled() => {}
    }
    listed.underway().upload.end(0, now);
}
