//! The structured fields (RFC 9651) of Device Bound Session Credentials, from the server and from the browser.

use http::{HeaderMap, HeaderName, HeaderValue};
use sfv::{
    BareItem, Error, ItemSerializer, KeyRef, List, ListEntry, ListSerializer, Parser, StringRef, TokenRef,
    key_ref, token_ref,
};

use crate::login::Invitation;

pub(super) const REGISTRATION: HeaderName = HeaderName::from_static("secure-session-registration");
pub(super) const CHALLENGE: HeaderName = HeaderName::from_static("secure-session-challenge");
const RESPONSE: HeaderName = HeaderName::from_static("secure-session-response");
const SESSION_ID: HeaderName = HeaderName::from_static("sec-secure-session-id");
const SKIPPED: HeaderName = HeaderName::from_static("secure-session-skipped");

/// The signature algorithms, the cheaper one first.
const ALGORITHMS: [&TokenRef; 2] = [token_ref("ES256"), token_ref("RS256")];

/// The possible reasons of a browser for continuing without a proof.
const REASONS: [&str; 3] = ["unreachable", "server_error", "quota_exceeded"];

/// A longer field is not read, in bytes.
const MAX_LENGTH: usize = 10 * 1024;

/// `Secure-Session-Registration`: the browser may register a key at `path`.
pub(super) fn registration(path: &str, invitation: &Invitation) -> Option<HeaderValue> {
    const PATH: &KeyRef = key_ref("path");
    const CHALLENGE: &KeyRef = key_ref("challenge");
    const AUTHORIZATION: &KeyRef = key_ref("authorization");
    let write = || -> Result<Option<String>, Error> {
        let mut list = ListSerializer::new();
        let mut algorithms = list.inner_list();
        for algorithm in ALGORITHMS {
            algorithms.bare_item(algorithm);
        }
        algorithms
            .finish()
            .parameter(PATH, StringRef::from_str(path)?)
            .parameter(CHALLENGE, StringRef::from_str(&invitation.challenge)?)
            .parameter(AUTHORIZATION, StringRef::from_str(&invitation.authorization)?);
        Ok(list.finish())
    };
    value(write().ok()??)
}

/// `Secure-Session-Challenge`: the challenge for the next proof of the session `id`.
pub(super) fn challenge(challenge: &str, id: &str) -> Option<HeaderValue> {
    const ID: &KeyRef = key_ref("id");
    let write = || -> Result<String, Error> {
        Ok(ItemSerializer::new()
            .bare_item(StringRef::from_str(challenge)?)
            .parameter(ID, StringRef::from_str(id)?)
            .finish())
    };
    value(write().ok()?)
}

/// `Secure-Session-Response`: a proof.
pub(super) fn proof(headers: &HeaderMap) -> Option<String> {
    text(headers, &RESPONSE)
}

/// `Sec-Secure-Session-Id`: the browser's name for the session that it renews.
pub(super) fn session_id(headers: &HeaderMap) -> Option<String> {
    text(headers, &SESSION_ID)
}

/// `Secure-Session-Skipped`: why a browser continued without a proof. Anybody can send it.
pub(super) fn skipped(headers: &HeaderMap) -> Option<&'static str> {
    let list: List = Parser::new(single(headers, &SKIPPED)?).parse().ok()?;
    list.iter().find_map(|entry| match entry {
        ListEntry::Item(item) => match &item.bare_item {
            BareItem::Token(said) => REASONS.into_iter().find(|reason| *reason == said.as_str()),
            _ => None,
        },
        ListEntry::InnerList(_) => None,
    })
}

/// One string. Chromium 156 writes it without quotation marks, which makes it a token.
fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    match Parser::new(single(headers, name)?).parse_item().ok()? {
        BareItem::String(text) => Some(text.into()),
        BareItem::Token(text) => Some(text.into()),
        _ => None,
    }
}

/// A field that came once, and is not too long.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut lines = headers.get_all(name).iter().map(HeaderValue::as_bytes);
    match (lines.next(), lines.next()) {
        (Some(line), None) if line.len() <= MAX_LENGTH => Some(line),
        _ => None,
    }
}

/// Holds a secret for the browser: not to be logged.
fn value(text: String) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests;
