//! Answers that should have been a JSON object, described without their content.

use std::fmt;

use http::header::CONTENT_TYPE;
use serde_json::Value;

use super::Response;
use crate::diagnostic::{Fix, fix};

/// The shown length of a content type, in characters.
const MAX_TYPE: usize = 60;

/// A page says so within this many bytes.
const HEAD: usize = 512;

/// An answer that is not the expected JSON object: its form, and the content type that it claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    form: Form,
    content_type: Option<String>,
}

/// The form of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Empty,
    Compressed(&'static str),
    Utf16,
    Page,
    Xml,
    /// A whole JSON object: only its content type is wrong.
    Object,
    /// Another JSON value.
    Json(&'static str),
    /// JSON that ends too early.
    CutOff,
    Broken,
    Text,
    NotUtf8,
}

// === impl Response ===

impl Response {
    /// The form of the answer, if it is not the expected JSON object.
    #[must_use]
    pub fn unread(&self) -> Unread {
        let content_type = self.headers.get(CONTENT_TYPE).map(|value| {
            let text = String::from_utf8_lossy(value.as_bytes());
            let shown = text.chars().filter(|character| !character.is_control());
            shown.take(MAX_TYPE).collect()
        });
        Unread {
            form: Form::of(&self.body),
            content_type,
        }
    }
}

// === impl Unread ===

impl Unread {
    /// The change to make, if the form shows one.
    #[must_use]
    pub fn fix(&self) -> Option<Fix> {
        match self.form {
            Form::Compressed(_) => Some(fix!(
                "switch compression off at the IdP or at the proxy before it: none was asked for"
            )),
            Form::Utf16 | Form::NotUtf8 => Some(fix!(
                "have the IdP, or the proxy before it, send UTF-8 (RFC 8259 section 8.1)"
            )),
            Form::Object if !self.claims_json() => Some(fix!(
                "have the IdP, or the proxy before it, send the content type application/json"
            )),
            _ => None,
        }
    }

    fn claims_json(&self) -> bool {
        let content_type = self.content_type.as_deref().unwrap_or_default();
        content_type.to_ascii_lowercase().contains("json")
    }

    /// Whether it is a text for people. A firewall or a gateway answers so, and an OAuth endpoint does not.
    #[must_use]
    pub const fn is_page(&self) -> bool {
        matches!(self.form, Form::Page | Form::Xml | Form::Text)
    }
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.form {
            Form::Empty => f.write_str("an empty body"),
            Form::Compressed(how) => write!(f, "{how} data without a Content-Encoding"),
            Form::Utf16 => f.write_str("text in UTF-16"),
            Form::Page => f.write_str("an HTML page"),
            Form::Xml => f.write_str("XML"),
            Form::Object => f.write_str("a JSON object"),
            Form::Json(kind) => write!(f, "a JSON {kind}"),
            Form::CutOff => f.write_str("JSON that breaks off"),
            Form::Broken => f.write_str("JSON with a mistake in it"),
            Form::Text => f.write_str("text that is not JSON"),
            Form::NotUtf8 => f.write_str("bytes that are not UTF-8"),
        }?;
        match &self.content_type {
            Some(content_type) => write!(f, " (content type {content_type})"),
            None => f.write_str(" (without a content type)"),
        }
    }
}

// === impl Form ===

impl Form {
    fn of(body: &[u8]) -> Self {
        let trimmed = body.trim_ascii();
        if trimmed.is_empty() {
            return Self::Empty;
        }
        match body {
            [0x1f, 0x8b, ..] => return Self::Compressed("gzip"),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => return Self::Compressed("zstd"),
            // The two usual levels of zlib, as `deflate` is.
            [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..] => return Self::Compressed("deflate"),
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, _, ..] | [_, 0, ..] => return Self::Utf16,
            _ => {}
        }
        if std::str::from_utf8(body).is_err() {
            return Self::NotUtf8;
        }
        if trimmed.starts_with(b"<") {
            let head = trimmed.get(..HEAD).unwrap_or(trimmed).to_ascii_lowercase();
            let has = |part: &[u8]| head.windows(part.len()).any(|window| window == part);
            let is_page = has(b"<!doctype html") || has(b"<html") || has(b"<head") || has(b"<body");
            return if is_page { Self::Page } else { Self::Xml };
        }
        match serde_json::from_slice::<Value>(body) {
            Ok(Value::Object(_)) => Self::Object,
            Ok(Value::Array(_)) => Self::Json("array"),
            Ok(Value::String(_)) => Self::Json("string"),
            Ok(_) => Self::Json("value that is not an object"),
            Err(error) if trimmed.starts_with(b"{") && error.is_eof() => Self::CutOff,
            Err(_) if trimmed.starts_with(b"{") => Self::Broken,
            Err(_) => Self::Text,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue, StatusCode};

    use super::*;
    use crate::secret::Withheld;

    fn said(content_type: Option<&str>, body: &[u8]) -> String {
        unread(content_type, body).to_string()
    }

    fn unread(content_type: Option<&str>, body: &[u8]) -> Unread {
        let mut headers = HeaderMap::new();
        if let Some(content_type) = content_type {
            headers.insert(CONTENT_TYPE, HeaderValue::from_str(content_type).unwrap());
        }
        let response = Response {
            status: StatusCode::OK,
            headers,
            body: Bytes::copy_from_slice(body),
            withheld: Withheld::default(),
            unproven_proxy: None,
        };
        response.unread()
    }

    #[test]
    fn an_answer_is_described_by_its_form_and_its_content_type() {
        let utf16: Vec<u8> = "{\"a\":1}".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for (content_type, body, expected) in [
            (
                Some("text/html; charset=utf-8"),
                &b"\n<!DOCTYPE html><title>Log in"[..],
                "an HTML page (content type text/html; charset=utf-8)",
            ),
            (
                Some("application/json"),
                b"<html><body>502",
                "an HTML page (content type application/json)",
            ),
            (
                Some("text/xml"),
                b"<?xml version='1.0'?><error/>",
                "XML (content type text/xml)",
            ),
            (None, b"", "an empty body (without a content type)"),
            (None, b" \r\n", "an empty body (without a content type)"),
            (
                Some("application/json"),
                &[0x1f, 0x8b, 8, 0],
                "gzip data without a Content-Encoding (content type application/json)",
            ),
            (
                None,
                &[0x28, 0xb5, 0x2f, 0xfd, 4],
                "zstd data without a Content-Encoding (without a content type)",
            ),
            (
                Some("application/json"),
                &utf16,
                "text in UTF-16 (content type application/json)",
            ),
            (
                Some("application/json"),
                b"\xff\xfe{\0",
                "text in UTF-16 (content type application/json)",
            ),
            (
                Some("application/json"),
                b"{\"name\":\"M\xfcller\"}",
                "bytes that are not UTF-8 (content type application/json)",
            ),
            (
                Some("text/html"),
                b"{\"a\":1}",
                "a JSON object (content type text/html)",
            ),
            (
                Some("application/json"),
                b"[{\"a\":1}]",
                "a JSON array (content type application/json)",
            ),
            (
                Some("application/json"),
                b"\"no\"",
                "a JSON string (content type application/json)",
            ),
            (
                Some("application/json"),
                b"{\"a\":1",
                "JSON that breaks off (content type application/json)",
            ),
            (
                Some("application/json"),
                b"{'a':1}",
                "JSON with a mistake in it (content type application/json)",
            ),
            (
                Some("text/plain"),
                b"upstream timed out",
                "text that is not JSON (content type text/plain)",
            ),
        ] {
            assert_eq!(said(content_type, body), expected);
        }
    }

    #[test]
    fn a_content_type_is_blamed_only_where_it_is_wrong() {
        let fix = |content_type, body: &[u8]| unread(content_type, body).fix();
        assert!(fix(Some("text/html"), b"{}").is_some());
        assert!(fix(None, b"{}").is_some());
        assert_eq!(fix(Some("application/json"), b"{}"), None);
        assert_eq!(fix(Some("application/problem+json; charset=utf-8"), b"{}"), None);
    }

    #[test]
    fn a_page_is_a_text_for_people() {
        for (body, expected) in [
            (&b"<html>blocked"[..], true),
            (b"<error/>", true),
            (b"blocked", true),
            (b"", false),
            (b"{}", false),
            (b"[]", false),
            (b"{", false),
        ] {
            assert_eq!(unread(None, body).is_page(), expected, "{body:?}");
        }
    }

    /// It may quote a token.
    #[test]
    fn attack_39_nothing_of_the_content_is_shown() {
        for body in [&b"secret"[..], b"{\"token\":\"secret\"", b"<html>secret"] {
            assert!(!said(None, body).contains("secret"));
        }
        assert!(said(Some(&"x".repeat(500)), b"").len() < 120);
    }
}
