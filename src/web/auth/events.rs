//! `GET /auth/events`: news about the session as server-sent events (WHATWG HTML section 9.2) for the open pages of
//! its browser, so that they need not poll.
//!
//! A stream belongs to the session of its request and ends with it. It does not count as use of the session. A
//! browser that lost the connection reconnects by itself with the id of the last event, and receives the missed
//! events.

mod last_heard;
mod message;

use std::{convert::Infallible, time::Duration};

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::{future::BoxFuture, stream};
use http::{HeaderName, HeaderValue, header::CONTENT_TYPE, request::Parts};

use self::{last_heard::LastHeard, message::Message};
use super::super::{Web, caller::Absent, envelope::Envelope, problem::Problem, streams::Place};
use crate::session::{EndReason, News, NewsItem, PageEvent, SessionKey};

/// The interval of a comment line, so that no intermediary takes the connection for dead, and a dead one is noticed.
const HEARTBEAT: Duration = Duration::from_secs(25);

/// A browser that lost the connection reconnects after this long.
const COME_AGAIN: Duration = Duration::from_secs(3);

/// The end of a replaced session is announced after this long: by then the browser has received the new cookie in
/// another answer.
const NEW_COOKIE_ARRIVES: Duration = Duration::from_secs(1);

/// nginx keeps answers back to send them in larger pieces, unless this says no.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// An open stream.
struct Stream {
    web: Web,
    key: SessionKey,
    news: News,
    heartbeat: BoxFuture<'static, ()>,
    has_ended: bool,
    _place: Place,
}

/// Opens a stream.
pub(in super::super) async fn handle(State(web): State<Web>, request: Parts) -> Result<Response, Problem> {
    let last = LastHeard::of(&web.sealer, &request.headers);
    let caller = match web.caller(Envelope::from(&request)).await? {
        Ok(caller) => caller,
        Err(Absent::Nobody) => return without_session(&web, last).await,
        Err(absent @ Absent::Unproven(_)) => return Err(absent.into()),
    };
    let place = web.streams().open(Some(&caller.key))?;
    let mut greeting = Message::default().come_again(COME_AGAIN);
    let outlook = web.sessions.outlook(&caller.stored);
    let known = match last {
        Some(last) if last.key == caller.key => last.mark,
        Some(_) => {
            greeting = greeting.event("user-changed", &message::Nothing {});
            outlook.mark()
        }
        None => outlook.mark(),
    };
    let id = LastHeard {
        key: caller.key,
        mark: known,
    };
    let greeting = greeting.id(&id.seal(&web.sealer)).into_bytes();
    let stream = Stream {
        key: caller.key,
        news: web.sessions.news(&caller.key, known),
        heartbeat: web.clock.sleep(HEARTBEAT),
        has_ended: false,
        _place: place,
        web,
    };
    let greeting = stream::iter([Ok::<_, Infallible>(greeting)]);
    let rest = stream::unfold(stream, Stream::next);
    Ok(answer(Body::from_stream(futures_util::StreamExt::chain(
        greeting, rest,
    ))))
}

/// A browser that reconnects after the end of its session learns of the end, if it is known. It does not come again
/// with the same id.
async fn without_session(web: &Web, last: Option<LastHeard>) -> Result<Response, Problem> {
    let why = match &last {
        Some(last) => web.sessions.why_ended(&last.key).await?,
        None => None,
    };
    let why = why.ok_or_else(Problem::unauthenticated)?;
    Ok(answer(end_of(Some(why)).into_bytes().into()))
}

fn answer(body: Body) -> Response {
    let head = [
        (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (X_ACCEL_BUFFERING, HeaderValue::from_static("no")),
    ];
    (head, body).into_response()
}

/// The last message of a stream. Its id is empty, so that a reconnecting browser starts anew.
fn end_of(why: Option<EndReason>) -> Message {
    let message = Message::default().come_again(COME_AGAIN).id("");
    match why.map(EndReason::page_event) {
        Some(PageEvent::UserChanged) => message.event("user-changed", &message::Nothing {}),
        Some(PageEvent::SessionEnded(reason)) => message.event("session-ended", &message::Ended { reason }),
        None => message.event("session-ended", &message::Ended { reason: "unknown" }),
    }
}

// === impl Stream ===

impl Stream {
    /// The next output, and the rest of the stream.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        if self.has_ended {
            return None;
        }
        let message = tokio::select! {
            biased;
            item = self.news.next() => self.message_of(item).await,
            () = &mut self.heartbeat => Message::heartbeat(),
        };
        self.heartbeat = self.web.clock.sleep(HEARTBEAT);
        Some((Ok(message.into_bytes()), self))
    }

    async fn message_of(&mut self, item: NewsItem) -> Message {
        let web = &self.web;
        let (outlook, message) = match item {
            NewsItem::Renewed(outlook) => {
                let renewed = message::Renewed {
                    expires_at: web.rfc3339(outlook.ends_at),
                    token_expires_at: web.rfc3339(outlook.access_expires_at),
                    refreshed_at: web.rfc3339(outlook.access_obtained_at),
                };
                (outlook, Message::default().event("session-renewed", &renewed))
            }
            NewsItem::Expiring(outlook) => {
                let expiring = message::Expiring {
                    expires_at: web.rfc3339(outlook.ends_at),
                    reason: outlook.limit.as_str(),
                };
                (outlook, Message::default().event("session-expiring", &expiring))
            }
            NewsItem::Ended(why) => {
                self.has_ended = true;
                if why.map(EndReason::page_event) == Some(PageEvent::UserChanged) {
                    web.clock.sleep(NEW_COOKIE_ARRIVES).await;
                }
                return end_of(why);
            }
        };
        let heard = LastHeard {
            key: self.key,
            mark: outlook.mark(),
        };
        message.id(&heard.seal(&web.sealer))
    }
}
