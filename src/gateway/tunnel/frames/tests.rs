use proptest::prelude::*;

use super::*;

/// The frame of another reader's tests: header by hand, content of zeros.
fn frame(first: u8, masked: bool, length: usize) -> Vec<u8> {
    let mask = if masked { 0x80 } else { 0 };
    let mut frame = vec![first];
    if let Ok(short @ 0..=125) = u8::try_from(length) {
        frame.push(mask | short);
    } else if let Ok(middle) = u16::try_from(length) {
        frame.push(mask | 0x7e);
        frame.extend(middle.to_be_bytes());
    } else {
        frame.push(mask | 0x7f);
        frame.extend((length as u64).to_be_bytes());
    }
    if masked {
        frame.extend([1, 2, 3, 4]);
    }
    frame.extend(vec![b'x'; length]);
    frame
}

/// A close frame with status 1000.
fn close(masked: bool) -> Vec<u8> {
    let mask = masked.then_some([1, 2, 3, 4]);
    Held::control(Control::Close, mask, &1000_u16.to_be_bytes())
        .bytes()
        .to_vec()
}

/// The output and the controls of `input` in pieces of `size`.
fn read(
    sender: Sender,
    is_extended: bool,
    input: &[u8],
    size: usize,
) -> Result<(Vec<u8>, Vec<Control>), Fault> {
    let mut frames = Frames::new(sender, is_extended, u64::MAX);
    let (mut passed, mut controls) = (Vec::new(), Vec::new());
    for mut piece in input.chunks(size) {
        while let Some(next) = frames.next(&mut piece)? {
            match next {
                Piece::Header(header) => passed.extend(header.bytes()),
                Piece::Content(content) => passed.extend(content),
                Piece::Control(control, whole) => {
                    assert!(frames.at_boundary());
                    controls.push(control);
                    passed.extend(whole.bytes());
                }
            }
        }
        assert!(piece.is_empty());
    }
    assert_eq!(frames.at_boundary(), frames.left() == 0);
    Ok((passed, controls))
}

#[test]
fn valid_frames_pass_unchanged_in_any_pieces() {
    for sender in [Sender::Client, Sender::Service] {
        let masked = sender == Sender::Client;
        let all: Vec<u8> = [
            frame(0x81, masked, 0),
            frame(0x82, masked, 125),
            frame(0x82, masked, 126),
            frame(0x82, masked, 65_535),
            frame(0x82, masked, 65_536),
            frame(0x01, masked, 3),
            frame(0x89, masked, 125),
            frame(0x00, masked, 0),
            frame(0x8a, masked, 0),
            frame(0x80, masked, 7),
            close(masked),
        ]
        .concat();
        for size in [1, 2, 3, 7, 14, 139, 4_096, all.len()] {
            let (passed, controls) = read(sender, false, &all, size).unwrap();
            assert!(passed == all, "{size}");
            assert_eq!(controls, [Control::Ping, Control::Pong, Control::Close]);
        }
    }
}

#[test]
fn frames_against_the_rules_are_faults() {
    let long = |second: u8, length: &[u8]| [&[0x82, second][..], length].concat();
    for (input, fault) in [
        // A client masks, a service does not: here the sender is a service.
        (frame(0x81, true, 1), Fault::Mask),
        (frame(0xc1, false, 1), Fault::Reserved),
        (frame(0xa1, false, 1), Fault::Reserved),
        (frame(0x91, false, 1), Fault::Reserved),
        (frame(0x83, false, 1), Fault::Reserved),
        (frame(0x87, false, 1), Fault::Reserved),
        (frame(0x8b, false, 1), Fault::Reserved),
        (frame(0x8f, false, 1), Fault::Reserved),
        (frame(0x09, false, 1), Fault::Control),
        (frame(0x89, false, 126), Fault::Control),
        (frame(0x88, false, 65_536), Fault::Control),
        (frame(0x80, false, 1), Fault::Order),
        (frame(0x00, false, 1), Fault::Order),
        (
            [frame(0x01, false, 1), frame(0x81, false, 1)].concat(),
            Fault::Order,
        ),
        (long(126, &[0, 125]), Fault::Length),
        (long(127, &[0, 0, 0, 0, 0, 0, 255, 255]), Fault::Length),
        (long(127, &[0x80, 0, 0, 0, 0, 0, 0, 0]), Fault::Length),
        (b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), Fault::Reserved),
    ] {
        for size in [1, input.len()] {
            assert_eq!(
                read(Sender::Service, false, &input, size).unwrap_err(),
                fault,
                "{input:?}"
            );
        }
    }
    assert_eq!(
        read(Sender::Client, false, &frame(0x81, false, 1), 9).unwrap_err(),
        Fault::Mask
    );
}

/// RFC 6455 sections 5.5.1 and 7.4.
#[test]
fn close_frames_have_a_status_that_may_be_sent() {
    let close = |mask, content: &[u8]| {
        let sender = if mask { Sender::Client } else { Sender::Service };
        let mask = mask.then_some([0x37, 0xfa, 0x21, 0x3d]);
        let close = Held::control(Control::Close, mask, content);
        read(sender, false, close.bytes(), 3)
    };
    for mask in [false, true] {
        close(mask, b"").unwrap();
        for status in [
            1000_u16, 1001, 1003, 1007, 1011, 1014, 1016, 3000, 4000, 4401, 4999,
        ] {
            let content = [&status.to_be_bytes()[..], b"why"].concat();
            close(mask, &content).unwrap();
            // UTF-8 is a matter of the sides.
            close(mask, &[&status.to_be_bytes()[..], &[0xff]].concat()).unwrap();
        }
        assert_eq!(close(mask, &[3]).unwrap_err(), Fault::Status);
        for status in [0_u16, 999, 1004, 1005, 1006, 1015, 5000, 65_535] {
            assert_eq!(
                close(mask, &status.to_be_bytes()).unwrap_err(),
                Fault::Status,
                "{status}"
            );
        }
    }
}

#[test]
fn the_content_of_a_whole_message_is_bounded() {
    let read = |input: &[u8]| {
        let mut frames = Frames::new(Sender::Service, false, 100);
        let mut input = input;
        loop {
            match frames.next(&mut input) {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(()),
                Err(fault) => return Err(fault),
            }
        }
    };
    let [first, more, last] = [0x02, 0x00, 0x80].map(|first| move |length| frame(first, false, length));
    assert_eq!(read(&frame(0x82, false, 100)), Ok(()));
    assert_eq!(read(&frame(0x82, false, 101)), Err(Fault::TooLong));
    assert_eq!(read(&[first(50), more(49), last(1)].concat()), Ok(()));
    assert_eq!(
        read(&[first(50), more(49), last(2)].concat()),
        Err(Fault::TooLong)
    );
    assert_eq!(read(&[first(50), more(51)].concat()), Err(Fault::TooLong));
    // Control frames belong to no message, and the next message begins anew.
    assert_eq!(
        read(&[first(100), frame(0x89, false, 125), last(0), first(100)].concat()),
        Ok(())
    );
    // A sum beyond any number.
    let huge = [&[0x00, 127][..], &(i64::MAX as u64).to_be_bytes()].concat();
    assert_eq!(read(&[first(100), huge].concat()), Err(Fault::TooLong));
}

/// The bytes of another request behind the head of the handshake.
#[test]
fn a_smuggled_request_is_no_frame() {
    for request in [
        "GET / HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\n",
    ] {
        assert!(read(Sender::Client, false, request.as_bytes(), 99).is_err());
        assert!(read(Sender::Client, true, request.as_bytes(), 99).is_err());
    }
}

#[test]
fn an_extension_uses_reserved_bits_and_opcodes() {
    for first in [0xc1, 0xa1, 0x91, 0x83, 0x8b] {
        assert!(read(Sender::Service, true, &frame(first, false, 9), 5).is_ok());
    }
    assert_eq!(
        read(Sender::Service, true, &frame(0xc1, true, 9), 5).unwrap_err(),
        Fault::Mask
    );
}

#[test]
fn our_own_frames_are_frames() {
    for (sender, mask) in [(Sender::Client, Some([9, 8, 7, 6])), (Sender::Service, None)] {
        for (control, content) in [
            (Control::Close, &b"\x03\xe8content"[..]),
            (Control::Ping, b"content"),
            (Control::Pong, b"content"),
        ] {
            let own = Held::control(control, mask, content);
            let mut input = own.bytes();
            let piece = Frames::new(sender, false, u64::MAX).next(&mut input).unwrap();
            assert_eq!(piece, Some(Piece::Control(control, own)));
            let (longer, shorter) = ([content, b"s"].concat(), &content[..content.len() - 1]);
            assert!(own.says(content) && !own.says(&longer) && !own.says(shorter) && !own.says(b""));
        }
        let longest = Held::control(Control::Ping, mask, &[b'x'; 200]);
        assert!(longest.says(&[b'x'; 125]));
    }
}

proptest! {
    /// The pieces are those of the input, however it arrives, and a fault does not depend on that either.
    #[test]
    fn the_same_passes_in_any_pieces(input in proptest::collection::vec(any::<u8>(), 0..600), extended: bool, size in 1_usize..40) {
        let whole = read(Sender::Service, extended, &input, input.len().max(1));
        let pieces = read(Sender::Service, extended, &input, size);
        if let Ok((passed, _)) = &whole {
            prop_assert!(input.starts_with(passed));
        }
        prop_assert_eq!(whole, pieces);
    }

    #[test]
    fn any_valid_frames_pass(lengths in proptest::collection::vec((0_usize..70_000, any::<bool>()), 0..6), size in 1_usize..9_000) {
        let mut input = Vec::new();
        for (length, is_control) in &lengths {
            let (first, length) = if *is_control { (0x89, length % 126) } else { (0x82, *length) };
            input.extend(frame(first, true, length));
        }
        let (passed, controls) = read(Sender::Client, false, &input, size).unwrap();
        prop_assert!(passed == input);
        prop_assert_eq!(controls.len(), lengths.iter().filter(|(_, is_control)| *is_control).count());
    }
}
