//! One direction of a tunnel, and one side of it.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::rt::{Read, ReadBuf, Write};

use super::{Control, Fault, Frames, Held, Piece, Sender};
use crate::clock::Timestamp;

/// At most this much is read at once, in bytes.
const PIECE: usize = 16 * 1024;

/// After this many pieces other tasks have their turn.
const PIECES: usize = 32;

/// The connection of one side.
pub(super) struct Side<T> {
    io: T,
    /// When it last sent anything.
    pub(super) heard: Timestamp,
    /// The content of a ping of ours that it has not answered.
    pub(super) ping: Option<[u8; 8]>,
    /// It sends no more: its close frame or the end of its connection has come.
    is_done: bool,
    is_shut: bool,
}

/// One direction.
pub(super) struct Lane {
    frames: Frames,
    /// To be written, from `written` on. Empty, without an allocation, while nothing passes.
    pending: Vec<u8>,
    written: usize,
    /// Since when the receiver takes nothing.
    blocked: Option<Timestamp>,
    /// When something passed last, except our own pings and their answers.
    pub(super) used: Timestamp,
    /// Our close frame, which follows the current frame.
    last: Option<Held>,
    /// Nothing more passes.
    has_ended: bool,
    /// The input is unreadable, and thrown away until the sender ends its connection.
    is_deaf: bool,
    /// The receiver gets no close frame, and sends none in return.
    breaks_off: bool,
}

/// News of a lane.
#[derive(Clone, Copy, Debug)]
pub(super) enum Turn {
    /// The sender has sent its close frame.
    Closed,
    /// The sender's connection has ended without one.
    BrokeOff,
    /// A connection is broken.
    Gone,
    /// The sender sent something that is no WebSocket.
    Fault(Fault),
}

// === impl Side ===

impl<T> Side<T> {
    pub(super) const fn new(io: T, now: Timestamp) -> Self {
        Self {
            io,
            heard: now,
            ping: None,
            is_done: false,
            is_shut: false,
        }
    }
}

impl<T: Write + Unpin> Side<T> {
    /// Ends the connection, once everything was written that `lane` brings, and the side has sent its last.
    pub(super) fn finish(&mut self, lane: &Lane, cx: &mut Context<'_>) -> Poll<()> {
        let has_all = lane.has_ended && lane.pending.is_empty();
        if !has_all || !self.is_done && !lane.breaks_off {
            return Poll::Pending;
        }
        if !self.is_shut {
            // An error means that it has ended already.
            let _ = ready!(Pin::new(&mut self.io).poll_shutdown(cx));
            self.is_shut = true;
        }
        Poll::Ready(())
    }
}

// === impl Lane ===

impl Lane {
    pub(super) const fn new(sender: Sender, is_extended: bool, max_message: u64, now: Timestamp) -> Self {
        Self {
            frames: Frames::new(sender, is_extended, max_message),
            pending: Vec::new(),
            written: 0,
            blocked: None,
            used: now,
            last: None,
            has_ended: false,
            is_deaf: false,
            breaks_off: false,
        }
    }

    /// Carries bytes until one of the sides makes it wait. After `Ready` there may be more.
    pub(super) fn carry<R, W>(
        &mut self,
        from: &mut Side<R>,
        to: &mut Side<W>,
        now: Timestamp,
        cx: &mut Context<'_>,
    ) -> Poll<Turn>
    where
        R: Read + Unpin,
        W: Write + Unpin,
    {
        for _ in 0..PIECES {
            match self.poll_write(&mut to.io, now, cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Turn::Gone),
                Poll::Pending => return Poll::Pending,
            }
            if from.is_done || self.breaks_off {
                self.pending = Vec::new();
                return Poll::Pending;
            }
            let mut space = [MaybeUninit::uninit(); PIECE];
            let mut space = ReadBuf::uninit(&mut space);
            let read = Pin::new(&mut from.io).poll_read(cx, space.unfilled());
            if read.is_pending() {
                self.pending = Vec::new();
            }
            if ready!(read).is_err() {
                return Poll::Ready(Turn::Gone);
            }
            from.heard = now;
            if space.filled().is_empty() {
                from.is_done = true;
                // Both may end their connections at once, after their close frames.
                return Poll::Ready(if self.has_ended {
                    Turn::Closed
                } else {
                    Turn::BrokeOff
                });
            }
            if let Some(turn) = self.take(space.filled(), from, now) {
                return Poll::Ready(turn);
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Puts a frame between those that pass, if this is possible just now.
    pub(super) fn insert(&mut self, frame: &Held) -> bool {
        let is_free = self.frames.at_boundary() && self.pending.is_empty() && !self.has_ended;
        if is_free && self.last.is_none() {
            self.pending.extend_from_slice(frame.bytes());
            return true;
        }
        false
    }

    /// Ends with this close frame, after at most `most` further bytes of the current frame. Without a close frame if it
    /// is longer.
    pub(super) fn end_with(&mut self, close: Held, most: u64) {
        if self.has_ended || self.last.is_some() {
            return;
        }
        if self.frames.at_boundary() {
            self.pending.extend_from_slice(close.bytes());
            self.has_ended = true;
        } else if self.frames.left() <= most {
            self.last = Some(close);
        } else {
            self.end();
        }
    }

    /// Ends without a close frame.
    pub(super) fn end(&mut self) {
        if !self.has_ended {
            self.has_ended = true;
            self.breaks_off = true;
        }
    }

    pub(super) const fn is_blocked(&self) -> bool {
        self.blocked.is_some()
    }

    pub(super) fn is_blocked_for(&self, time: Duration, now: Timestamp) -> bool {
        self.blocked
            .is_some_and(|since| now.duration_since(since) >= time)
    }

    /// Reads `input` and keeps what has to be written.
    fn take<R>(&mut self, mut input: &[u8], from: &mut Side<R>, now: Timestamp) -> Option<Turn> {
        while !self.is_deaf {
            let piece = match self.frames.next(&mut input) {
                Ok(piece) => piece?,
                Err(fault) => {
                    self.is_deaf = true;
                    // After our close frame it does not matter.
                    return (!self.has_ended).then_some(Turn::Fault(fault));
                }
            };
            if let Piece::Control(Control::Pong, pong) = &piece
                && let Some(ping) = from.ping
                && pong.says(&ping)
            {
                from.ping = None;
                continue;
            }
            self.used = now;
            let is_close = matches!(piece, Piece::Control(Control::Close, _));
            if !self.has_ended {
                self.pending.extend_from_slice(match &piece {
                    Piece::Header(bytes) | Piece::Control(_, bytes) => bytes.bytes(),
                    Piece::Content(bytes) => bytes,
                });
                self.has_ended = is_close;
            }
            if is_close {
                from.is_done = true;
                return Some(Turn::Closed);
            }
            if self.frames.at_boundary()
                && let Some(close) = self.last.take()
            {
                self.pending.extend_from_slice(close.bytes());
                self.has_ended = true;
            }
        }
        None
    }

    fn poll_write<W: Write + Unpin>(
        &mut self,
        to: &mut W,
        now: Timestamp,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if self.pending.is_empty() {
            return Poll::Ready(Ok(()));
        }
        while let Some(rest @ [_, ..]) = self.pending.get(self.written..) {
            match Pin::new(&mut *to).poll_write(cx, rest) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(length)) => {
                    self.written += length;
                    self.blocked = None;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.blocked.get_or_insert(now);
                    return Poll::Pending;
                }
            }
        }
        ready!(Pin::new(to).poll_flush(cx))?;
        self.pending.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }
}
