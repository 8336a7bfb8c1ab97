//! A WebSocket between a client and a service (RFC 6455), after the handshake.
//!
//! The tunnel passes frames as they come and keeps none: it reads from one side only after the other has taken
//! everything. It follows the headers of the frames, so that it can put frames of its own between them: a ping to a
//! silent side, and the close frame at the end of the session. It never splits a frame. While nothing passes, it holds no
//! buffer.

mod frames;
mod lane;

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::BoxFuture;
use hyper::rt::{Read, Write};

use self::frames::{Control, Fault, Held};
pub(super) use self::frames::{Frames, Piece, Sender};
use self::lane::{Lane, Side, Turn};
use crate::{
    clock::{SharedClock, Timestamp},
    random::{RandomExt as _, SharedRandom},
};

/// A side that was silent for so long gets a ping, so that intermediaries keep the connection.
const PING_AFTER: Duration = Duration::from_secs(30);

/// A side that was silent for so long, and has a ping to answer, is gone.
const GONE_AFTER: Duration = Duration::from_secs(90);

/// A side that takes nothing for so long is gone.
const STALLED: Duration = Duration::from_mins(1);

/// The sides have this long to close, from the first close frame on.
const FAREWELL: Duration = Duration::from_secs(5);

/// At the end, a data frame of at most this many further bytes may pass before our close frame.
const LAST_FRAME: u64 = 64 * 1024;

/// Why a tunnel has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The session has ended: status 4401.
    Session,
    /// The server stops: status 1001 (RFC 6455 section 7.4.1).
    Server,
    /// The connection of the client ends at once.
    Cut,
}

/// How a tunnel has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Ended {
    #[error("one side closed it")]
    BySide,
    #[error("a side broke off")]
    Broken,
    #[error("its session has ended")]
    Session,
    #[error("the server stops")]
    Server,
    #[error("its connection was cut off")]
    Cut,
    #[error("nothing has passed for too long")]
    Idle,
    #[error("a side is gone")]
    Gone,
    #[error("the client broke the protocol: {0}")]
    Client(Fault),
    #[error("the service broke the protocol: {0}")]
    Service(Fault),
}

/// The surroundings of a tunnel.
pub(super) struct Terms {
    pub(super) clock: SharedClock,
    pub(super) random: SharedRandom,
    /// Nothing may pass for so long.
    pub(super) idle: Duration,
    /// No message may be longer, in either direction.
    pub(super) max_message: u64,
    /// Resolves when it has to end.
    pub(super) stop: BoxFuture<'static, Stop>,
}

/// A tunnel; the future resolves when it has ended and both connections can be dropped.
pub(super) struct Tunnel<C, S> {
    client: Side<C>,
    service: Side<S>,
    up: Lane,
    down: Lane,
    clock: SharedClock,
    random: SharedRandom,
    idle: Duration,
    /// `None` once it has resolved.
    stop: Option<BoxFuture<'static, Stop>>,
    timer: BoxFuture<'static, ()>,
    /// The first reason for the end, and when its time is over.
    ending: Option<(Ended, Timestamp)>,
}

// === impl Tunnel ===

impl<C: Read + Write + Unpin, S: Read + Write + Unpin> Tunnel<C, S> {
    /// A tunnel between two connections. With an extension, reserved bits have a meaning.
    pub(super) fn new(client: C, service: S, is_extended: bool, terms: Terms) -> Self {
        let now = terms.clock.now();
        Self {
            client: Side::new(client, now),
            service: Side::new(service, now),
            up: Lane::new(Sender::Client, is_extended, terms.max_message, now),
            down: Lane::new(Sender::Service, is_extended, terms.max_message, now),
            timer: terms
                .clock
                .sleep_until(now.saturating_add(PING_AFTER.min(terms.idle))),
            clock: terms.clock,
            random: terms.random,
            idle: terms.idle,
            stop: Some(terms.stop),
            ending: None,
        }
    }

    /// Ends it with close frames: one status for the client, one for the service.
    fn close(&mut self, why: Ended, client: (u16, &str), service: (u16, &str)) {
        let frame = |mask, (status, reason): (u16, &str)| {
            let content = [&status.to_be_bytes(), reason.as_bytes()].concat();
            Held::control(Control::Close, mask, &content)
        };
        self.down.end_with(frame(None, client), LAST_FRAME);
        self.up
            .end_with(frame(Some(self.random.bytes()), service), LAST_FRAME);
        self.begin_to_end(why);
    }

    /// From now on the time of the end runs.
    fn begin_to_end(&mut self, why: Ended) {
        if self.ending.is_none() {
            let deadline = self.clock.now().saturating_add(FAREWELL);
            self.ending = Some((why, deadline));
            self.timer = self.clock.sleep_until(deadline);
        }
    }

    fn refuse(&mut self, fault: Fault, is_of_client: bool) {
        let why = if is_of_client {
            Ended::Client(fault)
        } else {
            Ended::Service(fault)
        };
        let (client, service) = match (fault, is_of_client) {
            (Fault::TooLong, true) => (
                (1009, "message too long"),
                (1009, "message of the client too long"),
            ),
            (Fault::TooLong, false) => (
                (1009, "message of the service too long"),
                (1009, "message too long"),
            ),
            (_, true) => ((1002, "invalid frame"), (1001, "invalid frame of the client")),
            (_, false) => ((1011, "invalid frame of the service"), (1002, "invalid frame")),
        };
        self.close(why, client, service);
    }

    fn stopped(&mut self, stop: Stop) -> Option<Ended> {
        match stop {
            Stop::Cut => return Some(Ended::Cut),
            Stop::Session => self.close(Ended::Session, (4401, "session ended"), (1001, "session ended")),
            Stop::Server => self.close(Ended::Server, (1001, "server stops"), (1001, "server stops")),
        }
        None
    }

    /// Carries what is there, in both directions. The end, if there is nothing more to do.
    fn carry(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        let now = self.clock.now();
        loop {
            let up = self.up.carry(&mut self.client, &mut self.service, now, cx);
            let down = self.down.carry(&mut self.service, &mut self.client, now, cx);
            for (turn, is_up) in [(up, true), (down, false)] {
                match turn {
                    Poll::Pending => {}
                    Poll::Ready(Turn::Closed) => self.begin_to_end(Ended::BySide),
                    Poll::Ready(Turn::BrokeOff) => {
                        self.up.end();
                        self.down.end();
                        self.begin_to_end(Ended::Broken);
                    }
                    Poll::Ready(Turn::Gone) => return Poll::Ready(self.why(Ended::Broken)),
                    Poll::Ready(Turn::Fault(fault)) => self.refuse(fault, is_up),
                }
            }
            if up.is_pending() && down.is_pending() {
                break;
            }
        }
        // A side that has sent and received its last is told at once.
        let client = self.client.finish(&self.down, cx);
        let service = self.service.finish(&self.up, cx);
        if client.is_ready() && service.is_ready() {
            return Poll::Ready(self.why(Ended::BySide));
        }
        Poll::Pending
    }

    /// Looks after silent sides, from time to time.
    fn look(&mut self) -> Option<Ended> {
        let now = self.clock.now();
        if let Some((why, deadline)) = self.ending {
            self.timer = self.clock.sleep_until(deadline);
            return (now >= deadline).then_some(why);
        }
        let used = self.up.used.max(self.down.used);
        let idle_at = used.saturating_add(self.idle);
        let next = now.saturating_add(PING_AFTER);
        self.timer = self.clock.sleep_until(next.min(idle_at.max(now)));
        if self.up.is_blocked_for(STALLED, now) || self.down.is_blocked_for(STALLED, now) {
            return Some(Ended::Gone);
        }
        if now >= idle_at {
            self.close(Ended::Idle, (1001, "idle"), (1001, "idle"));
            return None;
        }
        let silent_for = |heard: Timestamp, time: Duration| now.duration_since(heard) >= time;
        if self.client.ping.is_some() && silent_for(self.client.heard, GONE_AFTER) && !self.up.is_blocked()
            || self.service.ping.is_some()
                && silent_for(self.service.heard, GONE_AFTER)
                && !self.down.is_blocked()
        {
            return Some(Ended::Gone);
        }
        if silent_for(self.client.heard, PING_AFTER) && self.client.ping.is_none() {
            let ping = self.random.bytes();
            if self.down.insert(&Held::control(Control::Ping, None, &ping)) {
                self.client.ping = Some(ping);
            }
        }
        if silent_for(self.service.heard, PING_AFTER) && self.service.ping.is_none() {
            let ping = self.random.bytes();
            let mask = Some(self.random.bytes());
            if self.up.insert(&Held::control(Control::Ping, mask, &ping)) {
                self.service.ping = Some(ping);
            }
        }
        None
    }

    fn why(&self, otherwise: Ended) -> Ended {
        self.ending.map_or(otherwise, |(why, _)| why)
    }
}

impl<C: Read + Write + Unpin, S: Read + Write + Unpin> Future for Tunnel<C, S> {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        let this = &mut *self;
        if let Some(stop) = &mut this.stop
            && let Poll::Ready(stop) = stop.as_mut().poll(cx)
        {
            this.stop = None;
            if let Some(ended) = this.stopped(stop) {
                return Poll::Ready(ended);
            }
        }
        loop {
            if let Poll::Ready(ended) = this.carry(cx) {
                return Poll::Ready(ended);
            }
            if this.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if let Some(ended) = this.look() {
                return Poll::Ready(ended);
            }
        }
    }
}

#[cfg(test)]
mod tests;
