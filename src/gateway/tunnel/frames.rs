//! Reads the frames of one direction of a WebSocket (RFC 6455 section 5), without their content.
//!
//! The reader keeps a header until it is complete and valid, and a control frame until it is whole. The content of data
//! frames passes as it comes. Therefore a frame of our own fits between two pieces whenever [`Frames::at_boundary`].

/// The longest header: two bytes, eight for the length, four for the mask.
const MAX_HEADER: usize = 14;

/// The longest content of a control frame (RFC 6455 section 5.5).
const MAX_CONTROL: usize = 125;

/// The sender of the frames, which decides about masks (RFC 6455 section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    /// It masks every frame.
    Client,
    /// It masks none.
    Service,
}

/// The frames of one direction.
#[derive(Debug)]
pub(crate) struct Frames {
    sender: Sender,
    /// An extension was negotiated, which gives reserved bits and opcodes a meaning.
    is_extended: bool,
    /// The frame that has begun and has not passed.
    held: Held,
    /// The content of the current data frame that has not passed yet.
    left: u64,
    /// A message of several frames has begun and has not ended.
    in_message: bool,
    /// The content of the frames of this message so far.
    message: u64,
    /// No message may be longer.
    max_message: u64,
}

/// The next piece of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// The header of a data frame.
    Header(Held),
    /// Content of a data frame.
    Content(&'a [u8]),
    /// A whole control frame.
    Control(Control, Held),
}

/// The control frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    Close,
    Ping,
    Pong,
    /// Of an extension.
    Other,
}

/// The input cannot pass: the connection ends with status 1009 if a message is too long, otherwise with 1002.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("a frame is masked, or not masked, against the rule")]
    Mask,
    #[error("a frame uses a reserved bit or opcode without an extension")]
    Reserved,
    #[error("a control frame is too long, or in several pieces")]
    Control,
    #[error("a message begins inside another, or continues none")]
    Order,
    #[error("the length of a frame is not in its shortest form, or impossible")]
    Length,
    #[error("a close frame has a status that no side may send")]
    Status,
    #[error("a message is longer than the route takes")]
    TooLong,
}

/// The bytes of a frame, or the beginning of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    bytes: [u8; MAX_HEADER + MAX_CONTROL],
    length: u8,
}

// === impl Frames ===

impl Frames {
    pub(crate) const fn new(sender: Sender, is_extended: bool, max_message: u64) -> Self {
        Self {
            sender,
            is_extended,
            held: Held::EMPTY,
            left: 0,
            in_message: false,
            message: 0,
            max_message,
        }
    }

    /// Whether everything that has passed is whole frames.
    pub(crate) const fn at_boundary(&self) -> bool {
        self.left == 0
    }

    /// The content of the current data frame that has not passed yet.
    pub(crate) const fn left(&self) -> u64 {
        self.left
    }

    /// Takes the next piece from the front of `input`. `None` if the input is used up.
    ///
    /// # Errors
    ///
    /// [`Fault`]: nothing after this passes. The fault is in a header or a control frame, so that the direction is at a
    /// boundary.
    pub(crate) fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Piece<'a>>, Fault> {
        if self.left > 0 {
            if input.is_empty() {
                return Ok(None);
            }
            let length = usize::try_from(self.left).map_or(input.len(), |left| left.min(input.len()));
            let (content, rest) = input.split_at(length);
            *input = rest;
            self.left -= length as u64;
            return Ok(Some(Piece::Content(content)));
        }
        while let Some((byte, rest)) = input.split_first() {
            *input = rest;
            self.held.push(*byte);
            let Some(header) = Header::of(self.held.bytes()) else {
                continue;
            };
            let length = self.held.bytes().len();
            if length == header.size {
                self.check(&header)?;
            }
            if !header.is_control() {
                self.left = header.length;
                self.in_message = !header.is_final();
                self.message = if self.in_message {
                    self.message.saturating_add(header.length)
                } else {
                    0
                };
                return Ok(Some(Piece::Header(self.held.take())));
            }
            if length as u64 == header.size as u64 + header.length {
                let control = header.control();
                if control == Control::Close && !self.held.has_status() {
                    return Err(Fault::Status);
                }
                return Ok(Some(Piece::Control(control, self.held.take())));
            }
        }
        Ok(None)
    }

    fn check(&self, header: &Header) -> Result<(), Fault> {
        if header.is_masked != (self.sender == Sender::Client) {
            return Err(Fault::Mask);
        }
        if !self.is_extended && (header.has_reserved_bits() || header.has_reserved_opcode()) {
            return Err(Fault::Reserved);
        }
        if header.is_control() {
            let fits = header.is_final() && header.length <= MAX_CONTROL as u64;
            return if fits { Ok(()) } else { Err(Fault::Control) };
        }
        if !header.is_shortest || header.length > i64::MAX as u64 {
            return Err(Fault::Length);
        }
        let continues = header.opcode() == Header::CONTINUATION;
        if continues != self.in_message {
            return Err(Fault::Order);
        }
        if self.message.saturating_add(header.length) > self.max_message {
            return Err(Fault::TooLong);
        }
        Ok(())
    }
}

/// A complete header.
struct Header {
    first: u8,
    is_masked: bool,
    /// Its own length.
    size: usize,
    /// The length of the content.
    length: u64,
    /// Whether the length has the shortest form.
    is_shortest: bool,
}

// === impl Header ===

impl Header {
    const CONTINUATION: u8 = 0;

    /// The header that `bytes` begin with, if it is complete.
    fn of(bytes: &[u8]) -> Option<Self> {
        let (&first, &second) = (bytes.first()?, bytes.get(1)?);
        let (rest, mask) = (bytes.get(2..)?, usize::from(second >> 7) * 4);
        let (length, wide, least) = match second & 0x7f {
            126 => (u64::from(u16::from_be_bytes(*rest.first_chunk()?)), 2, 126),
            127 => (u64::from_be_bytes(*rest.first_chunk()?), 8, 1 << 16),
            short => (u64::from(short), 0, 0),
        };
        let size = 2 + wide + mask;
        (bytes.len() >= size).then_some(Self {
            first,
            is_masked: mask > 0,
            size,
            length,
            is_shortest: length >= least,
        })
    }

    const fn opcode(&self) -> u8 {
        self.first & 0x0f
    }

    const fn is_final(&self) -> bool {
        self.first & 0x80 != 0
    }

    const fn has_reserved_bits(&self) -> bool {
        self.first & 0x70 != 0
    }

    const fn is_control(&self) -> bool {
        self.opcode() >= 8
    }

    const fn has_reserved_opcode(&self) -> bool {
        !matches!(self.opcode(), 0..=2 | 8..=10)
    }

    const fn control(&self) -> Control {
        match self.opcode() {
            8 => Control::Close,
            9 => Control::Ping,
            10 => Control::Pong,
            _ => Control::Other,
        }
    }
}

// === impl Held ===

impl Held {
    const EMPTY: Self = Self {
        bytes: [0; MAX_HEADER + MAX_CONTROL],
        length: 0,
    };

    /// A control frame of our own. With a mask it is one of a client. Content beyond the maximum is cut.
    pub(crate) fn control(control: Control, mask: Option<[u8; 4]>, content: &[u8]) -> Self {
        let opcode = match control {
            Control::Close => 0x88,
            Control::Ping => 0x89,
            Control::Pong | Control::Other => 0x8a,
        };
        let content = &content[..content.len().min(MAX_CONTROL)];
        let length = u8::try_from(content.len()).unwrap_or_default();
        let mut frame = Self::EMPTY;
        frame.push(opcode);
        frame.push(length | if mask.is_some() { 0x80 } else { 0 });
        for byte in mask.iter().flatten() {
            frame.push(*byte);
        }
        let mask = mask.unwrap_or_default();
        for (byte, mask) in content.iter().zip(mask.iter().cycle()) {
            frame.push(byte ^ mask);
        }
        frame
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// Whether the frame has this content, under its mask if it has one.
    pub(crate) fn says(&self, content: &[u8]) -> bool {
        self.content().eq(content.iter().copied())
    }

    /// Whether the close frame has a status that a side may send, or none (RFC 6455 sections 5.5.1 and 7.4). The numbers
    /// between 1015 and 3000 are for later versions of the protocol.
    fn has_status(&self) -> bool {
        let mut content = self.content();
        match (content.next(), content.next()) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(high), Some(low)) => {
                let status = u16::from_be_bytes([high, low]);
                matches!(status, 1000..=4999) && !matches!(status, 1004..=1006 | 1015)
            }
        }
    }

    /// The content without its mask.
    fn content(&self) -> impl Iterator<Item = u8> {
        let size = Header::of(self.bytes()).map_or(self.bytes().len(), |header| header.size);
        let (head, content) = self.bytes().split_at(size);
        let mask = match (head, head.last_chunk::<4>()) {
            ([_, second, ..], Some(mask)) if second & 0x80 != 0 => *mask,
            _ => [0; 4],
        };
        let mask = mask.into_iter().cycle();
        content.iter().zip(mask).map(|(byte, mask)| byte ^ mask)
    }

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(usize::from(self.length)) {
            *place = byte;
            self.length += 1;
        }
    }

    fn take(&mut self) -> Self {
        std::mem::replace(self, Self::EMPTY)
    }
}

#[cfg(test)]
mod tests;
