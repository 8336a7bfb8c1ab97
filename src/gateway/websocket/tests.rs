use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE as UPGRADE_FIELD,
};

use super::*;

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// A handshake as browsers send it, with changes: an empty value removes a field.
fn request(changes: &[(&str, &str)]) -> request::Parts {
    let mut fields = vec![
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", KEY),
    ];
    for (name, value) in changes {
        fields.retain(|(other, _)| other != name || value.is_empty());
        fields.retain(|(other, _)| other != name || !value.is_empty());
        if !value.is_empty() {
            fields.push((name, value));
        }
    }
    let mut request = Request::get("/");
    for (name, value) in fields {
        request = request.header(name, value);
    }
    request.body(()).unwrap().into_parts().0
}

/// The refusal of a handshake. A right one lacks the connection, which only a server has.
fn refusal(parts: &mut request::Parts, has_body: bool) -> GatewayError {
    Handshake::take(parts, has_body).err().unwrap()
}

fn handshake(protocols: &[&str], extensions: &[&'static str]) -> Handshake {
    Handshake {
        upgrade: None,
        accept: accept_of(KEY.as_bytes()),
        protocols: protocols.iter().map(|protocol| (*protocol).to_owned()).collect(),
        extensions: extensions
            .iter()
            .map(|extension| HeaderValue::from_static(extension))
            .collect(),
    }
}

fn in_subprotocol() -> WebSockets {
    WebSockets {
        token_subprotocol: Some("bearer.".into()),
        ..WebSockets::default()
    }
}

fn fields(all: &[(HeaderName, &str)]) -> HeaderMap {
    all.iter()
        .map(|(name, value)| (name.clone(), value.parse().unwrap()))
        .collect()
}

#[test]
fn the_accept_of_the_standard_is_found() {
    assert_eq!(accept_of(KEY.as_bytes()).unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

#[test]
fn a_wrong_handshake_is_refused() {
    for changes in [
        &[("connection", "keep-alive")][..],
        &[("connection", "")],
        &[("sec-websocket-key", "")],
        &[("sec-websocket-key", "dG9vIHNob3J0")],
        &[("sec-websocket-key", "bm90IGJhc2U2NC4uLi4u!")],
        &[("sec-websocket-version", "")],
        &[("sec-websocket-protocol", "a, a")],
        &[("sec-websocket-protocol", "a,, b")],
        &[("sec-websocket-protocol", "a b")],
        &[("sec-websocket-protocol", "a;b")],
    ] {
        assert_eq!(
            refusal(&mut request(changes), false),
            GatewayError::Handshake,
            "{changes:?}"
        );
    }
    assert_eq!(refusal(&mut request(&[]), true), GatewayError::Handshake);
    for version in ["8", "14", "13, 8", "thirteen"] {
        assert_eq!(
            refusal(&mut request(&[("sec-websocket-version", version)]), false),
            GatewayError::WebSocketVersion
        );
    }
    let mut post = request(&[]);
    post.method = Method::POST;
    assert_eq!(refusal(&mut post, false), GatewayError::Handshake);
    let mut old = request(&[]);
    old.version = Version::HTTP_10;
    assert_eq!(refusal(&mut old, false), GatewayError::Handshake);
    let mut twice = request(&[]);
    twice
        .headers
        .append(SEC_WEBSOCKET_KEY, HeaderValue::from_static(KEY));
    assert_eq!(refusal(&mut twice, false), GatewayError::Handshake);
    let many = (0..=MAX_PROTOCOLS)
        .map(|n| format!("p{n}"))
        .collect::<Vec<_>>()
        .join(",");
    assert_eq!(
        refusal(&mut request(&[("sec-websocket-protocol", &many)]), false),
        GatewayError::Handshake
    );
}

#[test]
fn only_a_websocket_is_an_upgrade_that_cannot_be_ignored() {
    let upgrade = |value: &str| {
        let parts = request(&[("upgrade", value)]);
        Upgrade::of(&Request::from_parts(parts, ()))
    };
    assert_eq!(upgrade("WebSocket"), Some(Upgrade::WebSocket));
    assert_eq!(upgrade("h2c, websocket"), Some(Upgrade::WebSocket));
    assert_eq!(upgrade("h2c"), None);
    assert_eq!(upgrade("websockets"), None);
    for (protocol, wanted) in [("websocket", Upgrade::WebSocket), ("connect-udp", Upgrade::Other)] {
        let mut parts = request(&[]);
        parts.extensions.insert(Protocol::from_static(protocol));
        assert_eq!(Upgrade::of(&Request::from_parts(parts, ())), Some(wanted));
    }
}

#[test]
fn a_service_is_asked_with_a_key_of_ours() {
    let handshake = handshake(&["chat", "bearer.mine"], &["permessage-deflate"]);
    let mut headers = fields(&[(header::AUTHORIZATION, "Bearer token")]);
    let sent = handshake
        .ask(&mut headers, [7; 16], &WebSockets::default())
        .unwrap();
    assert_eq!(headers[SEC_WEBSOCKET_KEY], "BwcHBwcHBwcHBwcHBwcHBw==");
    assert_eq!(headers[SEC_WEBSOCKET_VERSION], "13");
    assert_eq!(headers[CONNECTION], "upgrade");
    assert_eq!(headers[UPGRADE_FIELD], "websocket");
    assert_eq!(headers[SEC_WEBSOCKET_EXTENSIONS], "permessage-deflate");
    assert_eq!(headers[SEC_WEBSOCKET_PROTOCOL], "chat, bearer.mine");
    assert_eq!(headers[header::AUTHORIZATION], "Bearer token");
    assert_eq!(sent.secret, None);
}

#[test]
fn attack_56_a_subprotocol_of_the_client_carries_no_token() {
    let handshake = handshake(&["Bearer.stolen", "chat", "bearer."], &[]);
    let mut headers = fields(&[(header::AUTHORIZATION, "Bearer ey.J.x")]);
    let sent = handshake.ask(&mut headers, [7; 16], &in_subprotocol()).unwrap();
    assert_eq!(headers[SEC_WEBSOCKET_PROTOCOL], "chat, bearer.ey.J.x");
    assert!(headers[SEC_WEBSOCKET_PROTOCOL].is_sensitive());
    assert!(!headers.contains_key(header::AUTHORIZATION));
    assert_eq!(sent.secret.unwrap(), "bearer.ey.J.x");
    // Nor without a session of its own.
    let mut headers = HeaderMap::new();
    handshake.ask(&mut headers, [7; 16], &in_subprotocol()).unwrap();
    assert_eq!(headers[SEC_WEBSOCKET_PROTOCOL], "chat");
}

#[test]
fn a_token_that_is_no_subprotocol_is_not_sent() {
    for credential in ["Bearer a/b", "Bearer a=", "Bearer ", "DPoP abc", "Bearer a b"] {
        let mut headers = fields(&[(header::AUTHORIZATION, credential)]);
        let refused = handshake(&[], &[]).ask(&mut headers, [7; 16], &in_subprotocol());
        assert_eq!(refused.err(), Some(Disagreement::Token), "{credential}");
        assert!(!headers.contains_key(SEC_WEBSOCKET_PROTOCOL));
    }
}

fn agree(status: u16, all: &[(HeaderName, &str)]) -> Result<Option<Agreed>, Disagreement> {
    let handshake = handshake(&["chat", "v2"], &["permessage-deflate"]);
    let mut headers = fields(&[(header::AUTHORIZATION, "Bearer token")]);
    let sent = handshake.ask(&mut headers, [7; 16], &in_subprotocol()).unwrap();
    let accept = accept_of(headers[SEC_WEBSOCKET_KEY].as_bytes()).unwrap();
    let mut answer = Response::builder().status(status);
    let all = fields(all);
    for (name, value) in [
        (CONNECTION, HeaderValue::from_static("Upgrade")),
        (UPGRADE_FIELD, HeaderValue::from_static("WebSocket")),
        (SEC_WEBSOCKET_ACCEPT, accept),
    ] {
        if !all.contains_key(&name) {
            answer = answer.header(name, value);
        }
    }
    for (name, value) in all {
        answer = answer.header(name.unwrap(), value);
    }
    handshake.agree(&sent, &in_subprotocol(), &answer.body(()).unwrap())
}

#[test]
fn a_service_agrees_with_what_was_offered() {
    let agreed = |protocol: Option<&'static str>, is_extended| {
        Ok(Some(Agreed {
            protocol: protocol.map(HeaderValue::from_static),
            is_extended,
        }))
    };
    assert_eq!(agree(101, &[]), agreed(None, false));
    assert_eq!(
        agree(101, &[(SEC_WEBSOCKET_PROTOCOL, "v2")]),
        agreed(Some("v2"), false)
    );
    assert_eq!(
        agree(101, &[(SEC_WEBSOCKET_EXTENSIONS, "permessage-deflate")]),
        agreed(None, true)
    );
    for status in [301, 400, 401, 403, 404, 426, 500, 503] {
        assert_eq!(agree(status, &[]), Ok(None));
    }
}

#[test]
fn attack_25_the_subprotocol_with_the_token_is_not_answered() {
    let chosen = agree(101, &[(SEC_WEBSOCKET_PROTOCOL, "bearer.token")])
        .unwrap()
        .unwrap();
    assert_eq!(chosen.protocol, None);
    let mut headers = fields(&[
        (SEC_WEBSOCKET_PROTOCOL, "bearer.token"),
        (SEC_WEBSOCKET_ACCEPT, "theirs"),
    ]);
    let (status, _) = handshake(&[], &[]).answer(&chosen, &mut headers);
    assert_eq!(status, 101);
    assert!(!headers.contains_key(SEC_WEBSOCKET_PROTOCOL));
    assert_eq!(headers[SEC_WEBSOCKET_ACCEPT], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    // A refusal does not either.
    let mut headers = fields(&[
        (SEC_WEBSOCKET_PROTOCOL, "bearer.token"),
        (SEC_WEBSOCKET_VERSION, "13"),
    ]);
    remove_fields(&mut headers);
    assert_eq!(headers.len(), 1);
}

#[test]
fn anything_else_is_no_agreement() {
    for (status, changes, why) in [
        (200, &[][..], Disagreement::NotSwitched),
        (204, &[], Disagreement::NotSwitched),
        (101, &[(UPGRADE_FIELD, "h2c")], Disagreement::Protocol),
        (101, &[(CONNECTION, "close")], Disagreement::Protocol),
        (
            101,
            &[(SEC_WEBSOCKET_ACCEPT, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")],
            Disagreement::Accept,
        ),
        (101, &[(SEC_WEBSOCKET_ACCEPT, "")], Disagreement::Accept),
        (
            101,
            &[(SEC_WEBSOCKET_PROTOCOL, "other")],
            Disagreement::Subprotocol,
        ),
        (
            101,
            &[(SEC_WEBSOCKET_PROTOCOL, "chat, v2")],
            Disagreement::Subprotocol,
        ),
        (
            101,
            &[(SEC_WEBSOCKET_PROTOCOL, "bearer.other")],
            Disagreement::Subprotocol,
        ),
    ] {
        assert_eq!(agree(status, changes), Err(why), "{status} {changes:?}");
    }
    let plain = handshake(&[], &[]);
    let mut headers = HeaderMap::new();
    let sent = plain.ask(&mut headers, [7; 16], &WebSockets::default()).unwrap();
    let answer = Response::builder()
        .status(101)
        .header(CONNECTION, "upgrade")
        .header(UPGRADE_FIELD, "websocket")
        .header(SEC_WEBSOCKET_ACCEPT, &sent.accept)
        .header(SEC_WEBSOCKET_EXTENSIONS, "permessage-deflate");
    let refused = plain.agree(&sent, &WebSockets::default(), &answer.body(()).unwrap());
    assert_eq!(refused, Err(Disagreement::Extension));
}
