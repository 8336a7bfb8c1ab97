//! The handshake of a WebSocket (RFC 6455 section 4, RFC 8441): the client's request, the one to the service, and whether the
//! service has agreed.
//!
//! The two handshakes are independent. The key that a service answers is ours, and what a client offers passes only as
//! lists of names. A token travels in `Authorization`, or in a subprotocol if the route says so. Then no subprotocol of
//! that form passes from the client, and none back to it.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header, request,
};
use hyper::{ext::Protocol, upgrade::OnUpgrade};

use super::{GatewayError, WebSockets};

/// The only version of the protocol.
const VERSION: HeaderValue = HeaderValue::from_static("13");
const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");
const UPGRADE: HeaderValue = HeaderValue::from_static("upgrade");

/// RFC 6455 section 1.3.
const MAGIC: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A longer list of subprotocols is refused.
const MAX_PROTOCOLS: usize = 64;

/// The protocol that a request wants in place of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// A WebSocket.
    WebSocket,
    /// Another protocol by an extended CONNECT, which cannot be answered in another way.
    Other,
}

/// A client's handshake.
pub(super) struct Handshake {
    /// `None` once the tunnel has it.
    upgrade: Option<OnUpgrade>,
    /// The answer to its key; `None` with HTTP/2.
    accept: Option<HeaderValue>,
    protocols: Vec<String>,
    extensions: Vec<HeaderValue>,
}

/// The request to a service, as far as its answer depends on it.
pub(super) struct Sent {
    accept: HeaderValue,
    /// The subprotocol with the token.
    secret: Option<HeaderValue>,
}

/// An agreement with a service.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Agreed {
    /// The subprotocol that the client learns of.
    protocol: Option<HeaderValue>,
    pub(super) is_extended: bool,
}

/// Why the answer of a service is no agreement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Disagreement {
    #[error("it answered with success, but not with 101")]
    NotSwitched,
    #[error("it switched to another protocol")]
    Protocol,
    #[error("its Sec-WebSocket-Accept is not the answer to the key")]
    Accept,
    #[error("it chose a subprotocol that was not offered")]
    Subprotocol,
    #[error("it chose an extension, and none was offered")]
    Extension,
    #[error("the token has a form that no subprotocol can have")]
    Token,
}

// === impl Upgrade ===

impl Upgrade {
    /// The upgrade that a request wants, if any. Another protocol in `Upgrade` is an offer, which may be ignored
    /// (RFC 9110 section 7.8).
    pub fn of<B>(request: &Request<B>) -> Option<Self> {
        match request.extensions().get::<Protocol>() {
            Some(protocol) if protocol.as_str().eq_ignore_ascii_case("websocket") => Some(Self::WebSocket),
            Some(_) => Some(Self::Other),
            None => lists(request.headers(), &header::UPGRADE, "websocket").then_some(Self::WebSocket),
        }
    }
}

// === impl Handshake ===

impl Handshake {
    /// Takes the handshake out of the head of a request that wants a WebSocket.
    pub(super) fn take(parts: &mut request::Parts, has_body: bool) -> Result<Self, GatewayError> {
        let is_http2 = parts.extensions.get::<Protocol>().is_some();
        let headers = &mut parts.headers;
        let fits = if is_http2 {
            parts.method == Method::CONNECT
        } else {
            parts.method == Method::GET
                && parts.version == Version::HTTP_11
                && lists(headers, &header::CONNECTION, "upgrade")
                && !has_body
        };
        if !fits {
            return Err(GatewayError::Handshake);
        }
        let version = single(headers, &header::SEC_WEBSOCKET_VERSION).ok_or(GatewayError::Handshake)?;
        if version != VERSION {
            return Err(GatewayError::WebSocketVersion);
        }
        // HTTP/2 has no key (RFC 8441 section 5).
        let accept = match single(headers, &header::SEC_WEBSOCKET_KEY) {
            _ if is_http2 => None,
            Some(key) if is_key(key) => Some(accept_of(key.as_bytes()).ok_or(GatewayError::Handshake)?),
            Some(_) | None => return Err(GatewayError::Handshake),
        };
        let protocols = protocols(headers).ok_or(GatewayError::Handshake)?;
        let upgrade = parts.extensions.remove::<OnUpgrade>();
        let extensions = headers.get_all(header::SEC_WEBSOCKET_EXTENSIONS).iter();
        let extensions = extensions.cloned().collect();
        for name in names() {
            headers.remove(name);
        }
        // The service speaks HTTP/1.1, whatever the client does.
        parts.method = Method::GET;
        Ok(Self {
            upgrade: Some(upgrade.ok_or(GatewayError::Handshake)?),
            accept,
            protocols,
            extensions,
        })
    }

    /// Completes the header for a service with this key. A token that travels in a subprotocol leaves its field.
    pub(super) fn ask(
        &self,
        headers: &mut HeaderMap,
        key: [u8; 16],
        route: &WebSockets,
    ) -> Result<Sent, Disagreement> {
        let key = STANDARD.encode(key);
        let accept = accept_of(key.as_bytes());
        let (Some(accept), Ok(key)) = (accept, HeaderValue::try_from(key)) else {
            return Err(Disagreement::Accept);
        };
        headers.insert(header::CONNECTION, UPGRADE);
        headers.insert(header::UPGRADE, WEBSOCKET);
        headers.insert(header::SEC_WEBSOCKET_VERSION, VERSION);
        headers.insert(header::SEC_WEBSOCKET_KEY, key);
        for extension in &self.extensions {
            headers.append(header::SEC_WEBSOCKET_EXTENSIONS, extension.clone());
        }
        let mut secret = None;
        if let Some(prefix) = &route.token_subprotocol
            && let Some(credential) = headers.remove(header::AUTHORIZATION)
        {
            let token = credential.as_bytes().strip_prefix(b"Bearer ");
            let token = token.filter(|token| is_token(token)).ok_or(Disagreement::Token)?;
            let protocol = HeaderValue::try_from([prefix.as_bytes(), token].concat());
            let mut protocol = protocol.map_err(|_| Disagreement::Token)?;
            protocol.set_sensitive(true);
            secret = Some(protocol);
        }
        let offered: Vec<&[u8]> = self
            .offered(route)
            .map(str::as_bytes)
            .chain(secret.as_ref().map(HeaderValue::as_bytes))
            .collect();
        if !offered.is_empty() {
            let mut offered =
                HeaderValue::try_from(offered.join(&b", "[..])).map_err(|_| Disagreement::Subprotocol)?;
            offered.set_sensitive(secret.is_some());
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, offered);
        }
        Ok(Sent { accept, secret })
    }

    /// Whether the answer of a service opens the WebSocket. `None` if the service has refused it with a status of its own,
    /// which passes.
    pub(super) fn agree<B>(
        &self,
        sent: &Sent,
        route: &WebSockets,
        answer: &Response<B>,
    ) -> Result<Option<Agreed>, Disagreement> {
        let headers = answer.headers();
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            // With HTTP/2, success would mean that the tunnel is open.
            let is_refusal = answer.status().as_u16() >= 300;
            return if is_refusal {
                Ok(None)
            } else {
                Err(Disagreement::NotSwitched)
            };
        }
        if !lists(headers, &header::UPGRADE, "websocket") || !lists(headers, &header::CONNECTION, "upgrade") {
            return Err(Disagreement::Protocol);
        }
        if single(headers, &header::SEC_WEBSOCKET_ACCEPT) != Some(&sent.accept) {
            return Err(Disagreement::Accept);
        }
        let protocol = match single(headers, &header::SEC_WEBSOCKET_PROTOCOL) {
            None if headers.contains_key(header::SEC_WEBSOCKET_PROTOCOL) => {
                return Err(Disagreement::Subprotocol);
            }
            None => None,
            // Only the service learns of the token.
            Some(chosen) if Some(chosen) == sent.secret.as_ref() => None,
            Some(chosen) if self.offered(route).any(|offered| chosen == offered) => Some(chosen.clone()),
            Some(_) => return Err(Disagreement::Subprotocol),
        };
        let is_extended = headers.contains_key(header::SEC_WEBSOCKET_EXTENSIONS);
        if is_extended && self.extensions.is_empty() {
            return Err(Disagreement::Extension);
        }
        Ok(Some(Agreed {
            protocol,
            is_extended,
        }))
    }

    /// Completes the header of the answer to the client, and returns its status. The first answer that agrees also takes
    /// the connection.
    pub(super) fn answer(
        &mut self,
        agreed: &Agreed,
        headers: &mut HeaderMap,
    ) -> (StatusCode, Option<OnUpgrade>) {
        headers.remove(header::CONTENT_LENGTH);
        headers.remove(header::SEC_WEBSOCKET_ACCEPT);
        match &agreed.protocol {
            Some(protocol) => headers.insert(header::SEC_WEBSOCKET_PROTOCOL, protocol.clone()),
            None => headers.remove(header::SEC_WEBSOCKET_PROTOCOL),
        };
        let upgrade = self.upgrade.take();
        let Some(accept) = &self.accept else {
            return (StatusCode::OK, upgrade);
        };
        headers.insert(header::CONNECTION, UPGRADE);
        headers.insert(header::UPGRADE, WEBSOCKET);
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept.clone());
        (StatusCode::SWITCHING_PROTOCOLS, upgrade)
    }

    /// The subprotocols of the client that pass.
    fn offered<'a>(&'a self, route: &'a WebSockets) -> impl Iterator<Item = &'a str> {
        let is_ours = |protocol: &str| {
            let prefix = route.token_subprotocol.as_deref()?;
            let begin = protocol.as_bytes().get(..prefix.len())?;
            Some(begin.eq_ignore_ascii_case(prefix.as_bytes()))
        };
        let all = self.protocols.iter().map(String::as_str);
        all.filter(move |protocol| is_ours(protocol) != Some(true))
    }
}

/// Removes the fields of a handshake from an answer that refuses it. The version that a service takes stays.
pub(super) fn remove_fields(headers: &mut HeaderMap) {
    for name in names() {
        if name != header::SEC_WEBSOCKET_VERSION {
            headers.remove(name);
        }
    }
}

fn names() -> [HeaderName; 5] {
    [
        header::SEC_WEBSOCKET_KEY,
        header::SEC_WEBSOCKET_VERSION,
        header::SEC_WEBSOCKET_PROTOCOL,
        header::SEC_WEBSOCKET_EXTENSIONS,
        header::SEC_WEBSOCKET_ACCEPT,
    ]
}

/// Whether one of the values in this field's lists is `wanted`, which is in lower case.
fn lists(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    let lines = headers.get_all(name).iter();
    lines
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .any(|value| value.trim_ascii().eq_ignore_ascii_case(wanted.as_bytes()))
}

fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (Some(line), None) => Some(line),
        _ => None,
    }
}

/// The offered subprotocols: distinct tokens (RFC 6455 section 4.1).
fn protocols(headers: &HeaderMap) -> Option<Vec<String>> {
    let mut all: Vec<String> = Vec::new();
    for line in headers.get_all(header::SEC_WEBSOCKET_PROTOCOL) {
        for protocol in line.as_bytes().split(|byte| *byte == b',') {
            let protocol = protocol.trim_ascii();
            let text = std::str::from_utf8(protocol).ok()?;
            if !is_token(protocol) || all.iter().any(|other| other == text) || all.len() >= MAX_PROTOCOLS {
                return None;
            }
            all.push(text.to_owned());
        }
    }
    Some(all)
}

/// RFC 9110 section 5.6.2.
pub(super) fn is_token(text: &[u8]) -> bool {
    let is = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !text.is_empty() && text.iter().all(is)
}

fn is_key(key: &HeaderValue) -> bool {
    STANDARD.decode(key.as_bytes()).is_ok_and(|key| key.len() == 16)
}

/// RFC 6455 section 4.2.2. SHA-1 protects nothing here: it only shows that the other side speaks the protocol.
fn accept_of(key: &[u8]) -> Option<HeaderValue> {
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key, MAGIC.as_bytes()].concat());
    HeaderValue::try_from(STANDARD.encode(hash)).ok()
}

#[cfg(test)]
mod tests;
