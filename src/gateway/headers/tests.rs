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

/// The header that an API receives for the request of a browser.
fn prepared(fields: &[(&str, &str)], auth: Auth) -> HeaderMap {
    prepared_for(&Rules::default(), fields, auth)
}

/// The same, for a service with its own rules.
fn prepared_for(rules: &Rules, fields: &[(&str, &str)], auth: Auth) -> HeaderMap {
    let mut headers = headers(fields);
    prepare(&mut headers, auth, rules);
    headers
}

/// The names of the fields that a browser gets of an answer.
fn passed(rules: &Rules, fields: &[(&str, &str)], auth: Auth) -> Vec<String> {
    let mut answer = headers(fields);
    prepare_response(&mut answer, auth, rules, &|_| true);
    let mut names: Vec<String> = answer.keys().map(ToString::to_string).collect();
    names.sort_unstable();
    names
}

fn prepare(headers: &mut HeaderMap, auth: Auth, rules: &Rules) {
    let client = client();
    let additions = Additions {
        credential: Some(credential()),
        cookies: Some(HeaderValue::from_static("theme=dark")),
        client: &client,
        identity: HeaderMap::new(),
        prefix: None,
        correlation_id: HeaderValue::from_static("c-1"),
    };
    prepare_request(headers, auth, rules, additions);
}

fn values<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    headers
        .get_all(name)
        .iter()
        .map(|value| value.to_str().unwrap())
        .collect()
}

/// The gateway's own fields, with the values of the tests.
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
        ("cookie", "__Host-Http-bff_session=secret"),
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

/// Names by which products of the field say who calls, or from where.
const PRODUCTS: &[&str] = &[
    "X-Authentik-Username",
    "X-Authentik-Groups",
    "Cf-Access-Authenticated-User-Email",
    "Cf-Access-Jwt-Assertion",
    "CF-Connecting-IPv6",
    "Tailscale-User-Login",
    "X-Pomerium-Claim-Email",
    "X-Pomerium-Jwt-Assertion",
    "X-SSL-Client-S-DN",
    "X-SSL-Cert",
    "SSL-Client-Verify",
    "X-Consumer-Username",
    "X-Consumer-Custom-ID",
    "X-Credential-Identifier",
    "X-Anonymous-Consumer",
    "Impersonate-User",
    "Impersonate-Extra-Scopes",
    "X-Remote-Group",
    "Client-IP",
    "Proxy",
    "Proxy-Client-IP",
    "WL-Proxy-Client-IP",
    "X-Proxy-Roles",
    "Kubeflow-Userid",
    "X-Sandstorm-User-Id",
    "X-Replit-User-Id",
    "X-Script-Name",
    "X-Okta-User",
    "X-Keycloak-User",
    "X-Shib-User",
    "X-Trusted-Userid",
    "X-Current-User",
    "SMUSER",
    "X-ProxyUser-IP",
    "X-Auth-Request-Preferred-Username",
    "X-Authorization",
    "X-Authn-User",
    "X-UserID",
    "X-User-Name",
    "X-WEBAUTH-USER",
    "X-Vouch-User",
    "X-Token-User-Email",
    "X-Forwarded-Client-Cert",
    "X-Forwarded-Tls-Client-Cert-Info",
    "X-Forward-For",
    "Forwarded-For",
    "X-Goog-Authenticated-User-Email",
    "X-Endpoint-API-UserInfo",
    "X-Serverless-Authorization",
    "X-Appengine-User-Ip",
    "X-Amzn-Oidc-Identity",
    "X-Amzn-Mtls-Clientcert-Subject",
    "X-Amzn-Request-Context",
    "X-MS-Client-Principal-Name",
    "X-MS-Token-AAD-Access-Token",
    "X-ARR-ClientCert",
    "X-Envoy-External-Address",
    "X-Envoy-Original-Path",
    "Sec-Istio-Auth-Userinfo",
    "L5d-Client-Id",
    "Dapr-Caller-App-Id",
    "Teleport-Jwt-Assertion",
    "Ngrok-Auth-User-Email",
    "OIDC-CLAIM-Sub",
    "X-OIDC-Groups",
    "Mellon-Name",
    "Shib-Identity-Provider",
    "Eppn",
    "SM-User",
    "iv-user",
    "OAM-Remote-User",
    "CAS-User",
    "X-Scope-OrgID",
    "Es-Security-Runas-User",
    "X-Rstudio-Username",
    "X-Iisnode-Logon-User",
    "Grpc-Metadata-X-User-Id",
    "X-Middleware-Subrequest",
    "X-Matched-Path",
    "X-Sendfile-Type",
    "X-Accel-Mapping",
    "X-Scheme",
    "Front-End-Https",
    "Fastly-Client-IP",
    "Fly-Client-IP",
    "True-Client-IP",
    "X-Jwt-Assertion",
    "X-Impersonated-User",
    "X-On-Behalf-Of",
    "Sec-Provided-Token-Binding-ID",
    // A byte that a server maps to `_` as it does with `-`, or that readers treat in other ways.
    "X.User.ID",
    "X_User_Id",
    "X-User|ID",
    "X~Forwarded~For",
    "Remote.User",
    "Content.Length",
    "Authorization_",
    "x!",
    "$WSRA",
];

/// Those of the usual proxies and gateways.
#[test]
fn attack_40_no_known_identity_header_passes() {
    for name in PRODUCTS {
        for auth in [Auth::Session, Auth::None] {
            let ours = prepared(&[], auth).len();
            let prepared = prepared(&[(name, "root")], auth);
            assert_eq!(prepared.len(), ours, "{name}: {prepared:?}");
        }
    }
}

#[test]
fn what_browsers_and_applications_send_passes() {
    for name in [
        "accept-charset",
        "access-control-request-headers",
        "baggage",
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-range",
        "destination",
        "dnt",
        "from",
        "grpc-timeout",
        "hx-request",
        "idempotency-key",
        "if-match",
        "last-event-id",
        "next-router-state-tree",
        "ping-from",
        "pragma",
        "prefer",
        "priority",
        "referer",
        "save-data",
        "sec-ch-ua-platform",
        "sec-fetch-user",
        "sec-gpc",
        "sec-websocket-protocol",
        "sentry-trace",
        "service-worker",
        "soapaction",
        "tracestate",
        "tus-resumable",
        "upgrade-insecure-requests",
        "upload-offset",
        "x-amz-date",
        "x-api-key",
        "x-app-version",
        "x-b3-traceid",
        "x-client-version",
        "x-device-id",
        "x-goog-api-client",
        "x-grpc-web",
        "x-hasura-role",
        "x-ms-version",
        "x-request-id",
        "x-tenant-id",
        "x-xsrf-token",
    ] {
        assert_eq!(
            values(&prepared(&[(name, "1")], Auth::Session), name),
            ["1"],
            "{name}"
        );
    }
}

#[test]
fn attack_40_a_service_can_have_more_removed() {
    let rules = Rules {
        remove: Names::new(["X-Tenant", "X-Internal-*", "Authorization", "Cookie"]),
        ..Rules::default()
    };
    let fields = [
        ("x-tenant", "7"),
        ("X-INTERNAL-ROLE", "root"),
        ("authorization", "Basic x"),
        ("x-tenants", "stays"),
    ];
    let none = prepared_for(&rules, &fields, Auth::None);
    for name in ["x-tenant", "x-internal-role", "authorization", "cookie"] {
        assert!(!none.contains_key(name), "{name}");
    }
    assert_eq!(values(&none, "x-tenants"), ["stays"]);
    // Our token does not come from the client.
    let session = prepared_for(&rules, &fields, Auth::Session);
    assert_eq!(values(&session, "authorization"), ["Bearer our-token"]);
}

/// They affect more than the answer.
#[test]
fn attack_49_far_reaching_headers_need_the_services_consent() {
    let fields = [
        ("clear-site-data", "\"*\""),
        ("strict-transport-security", "max-age=31536000; includeSubDomains"),
        ("x-accel-redirect", "/internal/"),
        ("x-accel-buffering", "no"),
        ("x-accel-expires", "600"),
        ("alt-svc", "h3=\":443\""),
        ("public-key-pins", "x"),
        ("public-key-pins-report-only", "x"),
        ("expect-ct", "x"),
        ("nel", "{}"),
        ("report-to", "{}"),
        ("service-worker-allowed", "/"),
        ("set-login", "logged-out"),
        ("accept-ch", "device-memory"),
        ("use-as-dictionary", "match=\"/*\""),
        ("secure-session-registration", "x"),
        ("x-sendfile", "/etc/passwd"),
        ("x-lighttpd-send-file", "/etc/passwd"),
        ("x-envoy-immediate-health-check-fail", "1"),
        ("content-security-policy", "default-src 'self'"),
        ("x-frame-options", "DENY"),
        ("etag", "\"1\""),
    ];
    for auth in [Auth::Session, Auth::None] {
        let names = passed(&Rules::default(), &fields, auth);
        let expected = [
            "cache-control",
            "content-security-policy",
            "etag",
            "x-frame-options",
        ];
        let added = usize::from(auth == Auth::None);
        assert_eq!(names, expected[added..]);
    }
    let rules = Rules {
        allow: Names::new([
            "Strict-Transport-Security",
            "X-Accel-Buffering",
            "X-Accel-Expires",
        ]),
        ..Rules::default()
    };
    let names = passed(&rules, &fields[..6], Auth::None);
    assert_eq!(
        names,
        [
            "strict-transport-security",
            "x-accel-buffering",
            "x-accel-expires"
        ]
    );
    // No permission lets a shared cache keep the data of a session.
    let names = passed(&rules, &fields[..6], Auth::Session);
    assert_eq!(
        names,
        ["cache-control", "strict-transport-security", "x-accel-buffering"]
    );
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
    let mut headers = headers(&[("cookie", "__Host-Http-bff_session=secret; theme=dark")]);
    let additions = Additions {
        credential: None,
        cookies: None,
        client: &client,
        identity: HeaderMap::new(),
        prefix: None,
        correlation_id: HeaderValue::from_static("c-1"),
    };
    prepare_request(&mut headers, Auth::None, &Rules::default(), additions);
    assert_eq!(values(&headers, "cookie"), [""; 0]);
}

/// Ours or that of the browser, never both.
#[test]
fn attack_34_only_one_authorization_leaves() {
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
fn an_ipv4_client_on_a_dual_stack_socket_stays_ipv4() {
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
    prepare_response(&mut answer, Auth::None, &Rules::default(), &|_| true);
    let mut left: Vec<&str> = answer.keys().map(HeaderName::as_str).collect();
    left.sort_unstable();
    assert_eq!(left, ["content-type", "server", "x-user-id"]);
}

#[test]
fn attack_28_an_api_never_sets_our_cookies() {
    let keep = |cookie: &HeaderValue| !cookie.as_bytes().starts_with(b"__Host-Http-bff_session=");
    let answer = |cookies: &[&str]| {
        let fields: Vec<_> = cookies.iter().map(|cookie| ("set-cookie", *cookie)).collect();
        let mut answer = headers(&fields);
        prepare_response(&mut answer, Auth::Session, &Rules::default(), &keep);
        values(&answer, "set-cookie").join(" | ")
    };
    let ours = "__Host-Http-bff_session=planted; Path=/";
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
            ("edge-control", "max-age=600"),
            ("x-accel-expires", "600"),
        ]);
        let mut answer = headers(&fields);
        prepare_response(&mut answer, auth, &Rules::default(), &|_| true);
        assert_eq!(answer.contains_key("cdn-cache-control"), auth == Auth::None);
        assert_eq!(answer.contains_key("surrogate-control"), auth == Auth::None);
        assert_eq!(answer.contains_key("edge-control"), auth == Auth::None);
        assert!(!answer.contains_key("x-accel-expires"));
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
    /// Fields that a hostile client would choose: real names, with `_` for `-`, doubled, named in `Connection`.
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
    fn an_address_is_written_as_the_standard_library_writes_it(octets: [u8; 4]) {
        let address = Ipv4Addr::from(octets);
        prop_assert_eq!(dotted(address), address.to_string().into_bytes());
    }

    #[test]
    fn attack_4_whatever_a_client_sends_the_claims_are_ours(mut header in hostile_header(), session: bool) {
        prepare(&mut header, if session { Auth::Session } else { Auth::None }, &Rules::default());
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
            prop_assert!(is_plain(name), "{}", name);
            for claim in ["x-user-", "x-session-", "x-auth-", "x-forwarded-", "remote-", "x-original-", "x-http-method"] {
                prop_assert!(!name.starts_with(claim), "{}", name);
            }
            prop_assert!(!["forwarded", "connection", "host", "te"].contains(&name), "{}", name);
        }
    }

    #[test]
    fn any_answer_passes_without_what_is_hop_by_hop(mut header in hostile_header()) {
        prepare_response(&mut header, Auth::Session, &Rules::default(), &|_| false);
        prop_assert!(header.keys().all(|name| !is_hop_by_hop(name.as_str())));
        prop_assert!(!header.contains_key(header::SET_COOKIE));
    }
}
