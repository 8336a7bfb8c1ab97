//! Doors for `fuzz/`, which are there in its builds only (`--cfg fuzzing`).

use http::{HeaderMap, HeaderValue, Method, Request, Uri, header};

use super::{
    Found, NormalPath, Routes, WebSockets,
    tunnel::{Frames, Piece, Sender},
    websocket::Handshake,
};

/// The id of the route that a path is matched with, and the URI that its service gets.
#[must_use]
pub fn sent(routes: &Routes, path: &NormalPath, query: Option<&str>) -> Option<(String, Uri)> {
    match routes.find("", path, &Method::GET) {
        Found::Match(found) => Some((found.route.id().to_owned(), found.uri(query).ok()?)),
        Found::MethodNotAllowed { .. } | Found::NotFound | Found::Refused(_) => None,
    }
}

/// The bytes that pass of `input` in pieces of `size`, and how it ends.
#[must_use]
pub fn frames(of_client: bool, is_extended: bool, input: &[u8], size: usize) -> (Vec<u8>, Option<String>) {
    let sender = if of_client {
        Sender::Client
    } else {
        Sender::Service
    };
    let mut frames = Frames::new(sender, is_extended, u64::MAX);
    let mut passed = Vec::new();
    for mut piece in input.chunks(size) {
        loop {
            match frames.next(&mut piece) {
                Ok(None) => break,
                Ok(Some(Piece::Header(bytes) | Piece::Control(_, bytes))) => passed.extend(bytes.bytes()),
                Ok(Some(Piece::Content(bytes))) => passed.extend(bytes),
                Err(fault) => return (passed, Some(fault.to_string())),
            }
        }
    }
    (passed, None)
}

/// The header for a service, if the handshake is accepted. The token travels in the subprotocol with this prefix.
#[must_use]
pub fn handshake(request: Request<()>, prefix: Option<&str>) -> Option<HeaderMap> {
    let (mut parts, ()) = request.into_parts();
    parts.extensions.insert(hyper::upgrade::on(Request::new(())));
    let handshake = Handshake::take(&mut parts, false).ok()?;
    let settings = WebSockets {
        token_subprotocol: prefix.map(Into::into),
        ..WebSockets::default()
    };
    let mut headers = parts.headers;
    headers.insert(
        header::AUTHORIZATION,
        HeaderValue::from_static("Bearer our-token"),
    );
    handshake.ask(&mut headers, [7; 16], &settings).ok()?;
    Some(headers)
}
