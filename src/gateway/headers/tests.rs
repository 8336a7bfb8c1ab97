use proptest::prelude::*;

use super::*;
use crate::gateway::loopback::{client, credential};

fn headers(fields: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_str(value).unwrap(),
        );
    }
    headers
}

/// The header that an API gets for what a browser sent.
fn prepared(fields: &[(&str, &str)], auth: Auth) -> HeaderMap {
    let mut headers = headers(fields);
    prepare(&mut headers, auth);
    headers
}

fn prepare(headers: &mut HeaderMap, auth: Auth) {
    let client = client();
    let additions = Additions {
        credential: Some(credential()),
        cookies: Some(HeaderValue::from_static("theme=dark")),
        client: &client,
        correlation_id: HeaderValue::from_static("c-1"),
    };
    prepare_request(headers, auth, additions);
}

fn values<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    headers
        .get_all(name)
        .iter()
        .map(|value| value.to_str().unwrap())
        .collect()
}

/// What the gateway sets itself, with the values of the tests.
const OURS: [(&str, &str); 6] = [
    ("authorization", "Bearer our-token"),
    ("cookie", "theme=dark"),
    ("x-correlation-id", "c-1"),
    ("x-forwarded-for", "192.0.2.7"),
    ("x-forwarded-host", "app.example"),
    ("x-forwarded-proto", "https"),
];

#[test]
fn what_concerns_the_api_passes() {
    let fields = [
        ("accept", "application/json"),
        ("accept-encoding", "gzip, br"),
        ("content-type", "application/json"),
        ("if-none-match", "\"x\""),
        ("origin", "https://app.example"),
        ("range", "bytes=0-1"),
        ("sec-fetch-site", "same-origin"),
        (
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
        ("user-agent", "test"),
        ("x-api-version", "2"),
        ("x-requested-with", "fetch"),
    ];
    let prepared = prepared(&fields, Auth::Session);
    for (name, value) in fields.into_iter().chain(OURS) {
        assert_eq!(values(&prepared, name), [value], "{name}");
    }
    assert_eq!(prepared.len(), fields.len() + OURS.len());
}

#[test]
fn hop_by_hop_fields_do_not_pass() {
    let fields = [
        ("connection", "close, X-Mine , upgrade,,\u{e4}"),
        ("x-mine", "1"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("proxy-authorization", "Basic x"),
        ("te", "trailers"),
        ("trailer", "x-user-id"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("http2-settings", "AAMAAABk"),
        ("expect", "100-continue"),
        ("host", "app.example"),
        ("content-length", "5"),
    ];
    let prepared = prepared(&fields, Auth::Session);
    assert_eq!(prepared.len(), OURS.len(), "{prepared:?}");
}

#[test]
fn attack_2_no_header_changes_the_method_that_was_checked() {
    let fields = [
        ("x-http-method-override", "DELETE"),
        ("X-HTTP-Method", "DELETE"),
        ("x-method-override", "DELETE"),
        ("x_http_method_override", "DELETE"),
        ("x-original-method", "DELETE"),
        ("x-rewrite-url", "/admin"),
        ("x-original-url", "/admin"),
    ];
    for auth in [Auth::Session, Auth::None] {
        let prepared = prepared(&fields, auth);
        assert!(
            prepared
                .keys()
                .all(|name| OURS.iter().any(|(ours, _)| name == ours)),
            "{prepared:?}"
        );
    }
}

#[test]
fn attack_4_identity_headers_of_the_client_never_pass() {
    let fields = [
        ("X-User-ID", "admin"),
        ("x-user-email", "admin@example"),
        ("X-USER-ROLES", "admin"),
        ("x-user", "admin"),
        ("x_user_id", "admin"),
        ("x-user_id", "admin"),
        ("X-Session-ID", "1"),
        ("x-auth-time", "1"),
        ("x-auth-request-user", "admin"),
        ("x-authenticated-user", "admin"),
        ("remote-user", "admin"),
        ("remote-groups", "admin"),
        ("remote_user", "admin"),
        ("x-remote-user", "admin"),
        ("x-access-token", "t"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-for", "127.0.0.2"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-user", "admin"),
        ("x-forwarded-access-token", "t"),
        ("x-forwarded-prefix", "/x"),
        ("forwarded", "for=127.0.0.1"),
        ("x-real-ip", "127.0.0.1"),
        ("x-csrf-token", "proof"),
        ("x-correlation-id", "theirs"),
        ("cookie", "__Host-bff_session=secret"),
        ("cookie", "a=b"),
        ("authorization", "Bearer theirs"),
        ("x-ms-client-principal-id", "admin"),
        ("client-cert", ":x:"),
    ];
    let prepared = prepared(&fields, Auth::Session);
    for (name, value) in OURS {
        assert_eq!(values(&prepared, name), [value], "{name}");
    }
    assert_eq!(prepared.len(), OURS.len(), "{prepared:?}");
}

#[test]
fn attack_4_connection_cannot_remove_what_the_gateway_adds() {
    let named = OURS.map(|(name, _)| name).join(", ");
    let prepared = prepared(&[("connection", "close"), ("connection", &named)], Auth::Session);
    for (name, value) in OURS {
        assert_eq!(values(&prepared, name), [value], "{name}");
    }
}

#[test]
fn attack_6_the_cookies_are_those_that_the_caller_lets_pass() {
    let client = client();
    let mut headers = headers(&[("cookie", "__Host-bff_session=secret; theme=dark")]);
    let additions = Additions {
        credential: None,
        cookies: None,
        client: &client,
        correlation_id: HeaderValue::from_static("c-1"),
    };
    prepare_request(&mut headers, Auth::None, additions);
    assert_eq!(values(&headers, "cookie"), [""; 0]);
}

#[test]
fn attack_34_authorization_of_the_browser_and_our_token_never_meet() {
    let fields = [
        ("authorization", "Bearer theirs"),
        ("authorization", "Basic more"),
    ];
    let session = prepared(&fields, Auth::Session);
    assert_eq!(values(&session, "authorization"), ["Bearer our-token"]);
    // Without a session it is a matter between the browser and the API.
    let none = prepared(&fields[..1], Auth::None);
    assert_eq!(values(&none, "authorization"), ["Bearer theirs"]);
    let nothing = prepared(&[], Auth::None);
    assert_eq!(values(&nothing, "authorization"), [""; 0]);
}

#[test]
fn an_ipv4_client_on_a_socket_for_both_families_is_an_ipv4_client() {
    let address = "::ffff:192.0.2.1".parse().unwrap();
    assert_eq!(address_value(address).unwrap(), "192.0.2.1");
    assert_eq!(
        address_value("2001:db8::1".parse().unwrap()).unwrap(),
        "2001:db8::1"
    );
}

#[test]
fn hop_by_hop_fields_of_an_answer_do_not_pass() {
    let mut answer = headers(&[
        ("connection", "X-Internal"),
        ("x-internal", "1"),
        ("keep-alive", "timeout=5"),
        ("transfer-encoding", "chunked"),
        ("trailer", "set-cookie"),
        ("upgrade", "h2c"),
        ("proxy-authenticate", "Basic"),
        ("server", "nginx"),
        ("content-type", "text/plain"),
        ("x-user-id", "7"),
    ]);
    prepare_response(&mut answer, Auth::None, &|_| true);
    let mut left: Vec<&str> = answer.keys().map(HeaderName::as_str).collect();
    left.sort_unstable();
    assert_eq!(left, ["content-type", "server", "x-user-id"]);
}

#[test]
fn attack_28_set_cookie_of_an_api_with_a_name_of_ours_never_passes() {
    let keep = |cookie: &HeaderValue| !cookie.as_bytes().starts_with(b"__Host-bff_session=");
    let answer = |cookies: &[&str]| {
        let fields: Vec<_> = cookies.iter().map(|cookie| ("set-cookie", *cookie)).collect();
        let mut answer = headers(&fields);
        prepare_response(&mut answer, Auth::Session, &keep);
        values(&answer, "set-cookie").join(" | ")
    };
    let ours = "__Host-bff_session=planted; Path=/";
    assert_eq!(answer(&[ours]), "");
    assert_eq!(answer(&["a=1", ours, "b=2", ours]), "a=1 | b=2");
    assert_eq!(answer(&["a=1", "b=2"]), "a=1 | b=2");
}

#[test]
fn attack_29_no_shared_cache_stores_what_belongs_to_a_session() {
    let after = |auth, cache_control: &[&str]| {
        let mut fields: Vec<_> = cache_control
            .iter()
            .map(|value| ("cache-control", *value))
            .collect();
        fields.extend([
            ("cdn-cache-control", "max-age=600"),
            ("surrogate-control", "max-age=600"),
            ("x-accel-expires", "600"),
        ]);
        let mut answer = headers(&fields);
        prepare_response(&mut answer, auth, &|_| true);
        assert_eq!(answer.contains_key("cdn-cache-control"), auth == Auth::None);
        assert_eq!(answer.contains_key("surrogate-control"), auth == Auth::None);
        assert_eq!(answer.contains_key("x-accel-expires"), auth == Auth::None);
        values(&answer, "cache-control").join(" | ")
    };
    assert_eq!(after(Auth::Session, &[]), "private");
    assert_eq!(after(Auth::Session, &[""]), "private");
    assert_eq!(after(Auth::Session, &["max-age=60"]), "private, max-age=60");
    assert_eq!(
        after(Auth::Session, &["public, max-age=60, s-maxage=600", "No-Store"]),
        "private, max-age=60, No-Store"
    );
    assert_eq!(after(Auth::Session, &["PUBLIC", "S-MaxAge = 5"]), "private");
    // With a field name it lets the rest be shared.
    assert_eq!(
        after(Auth::Session, &["private=\"x\", must-revalidate"]),
        "private, must-revalidate"
    );
    assert_eq!(after(Auth::None, &["public, max-age=60"]), "public, max-age=60");
    assert_eq!(after(Auth::None, &[]), "");
}

prop_compose! {
    /// Fields as a hostile client would choose them: real names, with `_` for `-`, doubled, named in `Connection`.
    fn hostile_header()(fields in proptest::collection::vec(
        (
            prop_oneof![
                "x[-_]user[-_](id|email|x)|x[-_]session[-_]id|x[-_]auth[-_]time|x[-_]forwarded[-_](for|host|user)|forwarded|remote[-_]user|x[-_]original[-_]uri|authorization|cookie|host|te|connection|x[-_]http[-_]method[-_]override",
                "[!#$%&'*+.^_`|~0-9a-z-]{1,12}",
                Just("connection".to_owned()),
            ],
            prop_oneof![
                "(close|keep-alive|x-user-id|authorization|x-forwarded-for|cookie|, ?){0,6}",
                "[ -~]{0,20}",
            ],
            any::<bool>(),
        ),
        0..24,
    )) -> HeaderMap {
        let mut header = HeaderMap::new();
        for (name, value, upper) in fields {
            let name = if upper { name.to_ascii_uppercase() } else { name };
            header.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(&value).unwrap(),
            );
        }
        header
    }
}

proptest! {
    #[test]
    fn attack_4_whatever_a_client_sends_the_claims_are_ours(mut header in hostile_header(), session: bool) {
        prepare(&mut header, if session { Auth::Session } else { Auth::None });
        if !session {
            prop_assert!(header.get_all("authorization").iter().all(|value| value != "Bearer our-token"));
            header.remove("authorization");
        }
        for (name, value) in OURS {
            if session || name != "authorization" {
                prop_assert_eq!(values(&header, name), [value], "{}", name);
                header.remove(name);
            }
        }
        for name in header.keys().map(HeaderName::as_str) {
            prop_assert!(!name.contains('_'), "{}", name);
            for claim in ["x-user-", "x-session-", "x-auth-", "x-forwarded-", "remote-", "x-original-", "x-http-method"] {
                prop_assert!(!name.starts_with(claim), "{}", name);
            }
            prop_assert!(!["forwarded", "connection", "host", "te"].contains(&name), "{}", name);
        }
    }

    #[test]
    fn any_answer_passes_without_what_is_hop_by_hop(mut header in hostile_header()) {
        prepare_response(&mut header, Auth::Session, &|_| false);
        prop_assert!(header.keys().all(|name| !is_hop_by_hop(name.as_str())));
        prop_assert!(!header.contains_key(header::SET_COOKIE));
    }
}
