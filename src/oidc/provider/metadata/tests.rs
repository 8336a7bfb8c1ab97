use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    diagnostic::{Explain as _, Knob},
    oidc::{EndpointOverrides, OptionalEndpoint},
    url_policy::HttpPolicy,
};

/// Endpoints that every login needs.
const REQUIRED: [&str; 3] = ["authorization_endpoint", "token_endpoint", "jwks_uri"];

/// The others, with what names them.
const OPTIONAL: [(&str, Knob); 6] = [
    ("pushed_authorization_request_endpoint", Knob::ParEndpoint),
    ("userinfo_endpoint", Knob::UserinfoEndpoint),
    ("end_session_endpoint", Knob::EndSessionEndpoint),
    ("revocation_endpoint", Knob::RevocationEndpoint),
    ("introspection_endpoint", Knob::IntrospectionEndpoint),
    ("registration_endpoint", Knob::RegistrationEndpoint),
];

const ISSUER: &str = "https://idp.example";

fn options() -> ProviderOptions {
    ProviderOptions {
        issuer: ISSUER.to_owned(),
        base_url: None,
        public_base: None,
        overrides: EndpointOverrides::default(),
        allow_http: HttpPolicy::LocalOnly,
    }
}

fn document() -> Map<String, Value> {
    let document = json!({
        "issuer": ISSUER,
        "authorization_endpoint": "https://idp.example/authorize",
        "token_endpoint": "https://idp.example/token",
        "jwks_uri": "https://idp.example/jwks",
    });
    document.as_object().unwrap().clone()
}

fn read(document: &Map<String, Value>, options: &ProviderOptions) -> Result<Metadata, EndpointError> {
    let issuer = Url::parse(&options.issuer).unwrap();
    Metadata::read(document, options, UrlMap::new(issuer, options.base_url.clone()))
}

fn with(member: &str, value: Value) -> Map<String, Value> {
    let mut document = document();
    document.insert(member.to_owned(), value);
    document
}

#[test]
fn a_minimal_document_gets_the_specified_defaults() {
    let metadata = read(&document(), &options()).unwrap();
    assert_eq!(metadata.token_endpoint_public, "https://idp.example/token");
    assert_eq!(metadata.id_token_algorithms, [Algorithm::RS256]);
    assert_eq!(metadata.par_endpoint, None);
    assert_eq!(metadata.token_auth_signing_algs, None);
    assert!(!metadata.iss_parameter_supported && !metadata.require_par);
}

#[test]
fn lists_and_flags_are_read_and_odd_ones_are_absent() {
    let mut document = document();
    document.extend(
        json!({
            "id_token_signing_alg_values_supported": ["none", "HS256", "ES256", 7, "RS512"],
            "scopes_supported": ["openid", {"a": "b"}],
            "token_endpoint_auth_methods_supported": "private_key_jwt",
            "authorization_response_iss_parameter_supported": true,
            "require_pushed_authorization_requests": "true",
            "introspection_endpoint": null,
        })
        .as_object()
        .unwrap()
        .clone(),
    );
    let metadata = read(&document, &options()).unwrap();
    assert_eq!(metadata.id_token_algorithms, [Algorithm::RS512, Algorithm::ES256]);
    assert_eq!(metadata.scopes_supported.unwrap(), ["openid"]);
    assert_eq!(metadata.token_auth_methods, None);
    assert!(metadata.iss_parameter_supported);
    assert!(!metadata.require_par);
    assert_eq!(metadata.introspection_endpoint, None);
}

fn at(url: &str) -> OptionalEndpoint {
    OptionalEndpoint::At(Url::parse(url).unwrap())
}

#[test]
fn either_name_of_eddsa_stands_for_both() {
    for name in ["EdDSA", "Ed25519"] {
        let document = with("id_token_signing_alg_values_supported", json!([name]));
        assert_eq!(
            read(&document, &options()).unwrap().id_token_algorithms,
            [Algorithm::EdDSA, Algorithm::Ed25519]
        );
    }
}

#[test]
fn attack_26_only_none_and_hmac_leave_no_algorithm() {
    let document = with("id_token_signing_alg_values_supported", json!(["none", "HS256"]));
    assert!(
        read(&document, &options())
            .unwrap()
            .id_token_algorithms
            .is_empty()
    );
}

#[test]
fn a_missing_endpoint_is_named_with_its_variable() {
    for (member, knob) in [
        ("authorization_endpoint", Knob::AuthorizationEndpoint),
        ("token_endpoint", Knob::TokenEndpoint),
        ("jwks_uri", Knob::ProviderKeys),
    ] {
        let mut document = document();
        document.remove(member);
        let error = read(&document, &options()).unwrap_err();
        assert_eq!(error, EndpointError::Missing { member, knob });
        let text = error.told();
        assert!(
            text.contains(member) && text.contains(&format!("{knob:?}")),
            "{text}"
        );
    }
}

fn optional(metadata: &Metadata, member: &str) -> Option<Url> {
    let endpoint = match member {
        "pushed_authorization_request_endpoint" => &metadata.par_endpoint,
        "userinfo_endpoint" => &metadata.userinfo_endpoint,
        "end_session_endpoint" => &metadata.end_session_endpoint,
        "revocation_endpoint" => &metadata.revocation_endpoint,
        "introspection_endpoint" => &metadata.introspection_endpoint,
        "registration_endpoint" => &metadata.registration_endpoint,
        other => panic!("{other}"),
    };
    endpoint.clone()
}

/// `value` as a required endpoint is refused, as an optional one it is left out, each with an error that `is_right`.
fn unusable(value: &Value, options: &ProviderOptions, is_right: impl Fn(&EndpointError) -> bool) {
    for member in REQUIRED {
        let error = read(&with(member, value.clone()), options).unwrap_err();
        assert!(is_right(&error), "{member} {value} {error:?}");
        let text = error.told();
        assert!(text.contains(member) && text.len() < 600, "{text}");
        assert!(!text.contains("pass"), "{text}");
    }
    for (member, knob) in OPTIONAL {
        let metadata = read(&with(member, value.clone()), options).unwrap();
        assert_eq!(optional(&metadata, member), None, "{member} {value}");
        let [error] = &metadata.left_out[..] else {
            panic!("{member} {value} {:?}", metadata.left_out);
        };
        assert!(is_right(error), "{member} {value} {error:?}");
        let text = error.told();
        assert!(
            text.contains(member) && text.contains(&format!("{knob:?}")),
            "{text}"
        );
    }
}

/// An optional endpoint with another value is ignored.
#[test]
fn an_endpoint_has_to_be_a_plain_url() {
    let bad = [
        json!(1),
        json!(""),
        json!(" "),
        json!(["https://idp.example/x"]),
        json!("not a url"),
        json!("/token"),
        json!("https://"),
        json!("https://user@idp.example/token"),
        json!("https://user:pass@idp.example/token"),
        json!("https://idp.example/token#fragment"),
        json!("data:text/plain,x"),
        json!(format!("https://idp.example/{}", "x".repeat(2048))),
    ];
    for value in bad {
        unusable(&value, &options(), |error| {
            matches!(error, EndpointError::Invalid { .. })
        });
    }
    // A bad value of another endpoint is no reason to ignore it.
    let mut document = with("userinfo_endpoint", json!(""));
    document.insert(
        "revocation_endpoint".to_owned(),
        json!("https://idp.example/revoke"),
    );
    let metadata = read(&document, &options()).unwrap();
    assert!(metadata.userinfo_endpoint.is_none() && metadata.revocation_endpoint.is_some());
}

/// An optional endpoint with plain http is ignored.
#[test]
fn plain_http_is_refused_beyond_the_local_network() {
    unusable(&json!("http://idp.example/x"), &options(), |error| {
        matches!(error, EndpointError::Insecure { .. })
            && error.told().contains("[AllowHttp]")
            && error.told().contains("http://idp.example/x")
    });
    for member in REQUIRED.into_iter().chain(OPTIONAL.map(|(member, _)| member)) {
        let dangerous = ProviderOptions {
            allow_http: HttpPolicy::Anywhere,
            ..options()
        };
        let document = with(member, json!("http://idp.example/x"));
        let metadata = read(&document, &dangerous).unwrap();
        assert_eq!(
            metadata.plain_http_elsewhere(&dangerous),
            ["http://idp.example/x"]
        );
        // The configuration already warns of endpoints in the settings, and once is enough.
        let named = ProviderOptions {
            base_url: Some(Url::parse("http://idp.example").unwrap()),
            ..dangerous.clone()
        };
        assert!(metadata.plain_http_elsewhere(&named).is_empty(), "{member}");
        let mut named = dangerous;
        named.overrides.revocation = Some(at("http://idp.example/revoke"));
        assert!(metadata.plain_http_elsewhere(&named).is_empty(), "{member}");
    }
}

#[test]
fn attack_51_a_public_issuer_names_no_private_endpoint() {
    for inside in [
        "https://127.0.0.1/x",
        "https://localhost./x",
        "https://2130706433/x",
        "http://[::1]:8080/x",
        "https://[::ffff:10.0.0.1]/x",
        "https://169.254.169.254/latest/meta-data",
        "http://169.254.169.254/latest/meta-data",
        "https://192.168.0.1/x",
        "http://keycloak:8080/x",
        "https://metadata.google.internal/x",
    ] {
        // Not even where plain http is accepted: that is another question.
        for allow_http in [HttpPolicy::LocalOnly, HttpPolicy::Anywhere] {
            let options = ProviderOptions {
                allow_http,
                ..options()
            };
            unusable(&json!(inside), &options, |error| {
                matches!(
                    error,
                    EndpointError::Internal { .. } | EndpointError::Insecure { .. }
                )
            });
        }
    }
}

/// The settings may name any endpoint.
#[test]
fn attack_51_a_private_issuer_may_name_private_endpoints() {
    let neighbour = "https://10.0.0.7/token";
    for issuer in [
        "https://localhost:8443",
        "http://127.0.0.1:9000",
        "https://10.1.2.3",
        "https://[fd00::1]",
        "http://keycloak:8080",
        "https://idp.corp",
    ] {
        let options = ProviderOptions {
            issuer: issuer.to_owned(),
            ..options()
        };
        let mut document = document();
        document.insert("token_endpoint".to_owned(), json!(neighbour));
        document.insert("userinfo_endpoint".to_owned(), json!("http://localhost:1/x"));
        let metadata = read(&document, &options).unwrap();
        assert_eq!(metadata.token_endpoint.as_str(), neighbour, "{issuer}");
        assert!(metadata.userinfo_endpoint.is_some(), "{issuer}");
    }

    let mut named = options();
    named.overrides.token = Some(Url::parse(neighbour).unwrap());
    named.overrides.user_info = Some(at("http://keycloak:8080/userinfo"));
    let metadata = read(&document(), &named).unwrap();
    assert_eq!(metadata.token_endpoint.as_str(), neighbour);
    assert!(metadata.userinfo_endpoint.is_some());

    // The origin of IDP_BASE_URL is the operator's choice; another port of the same host is not.
    let behind = ProviderOptions {
        base_url: Some(Url::parse("http://127.0.0.1:8000").unwrap()),
        ..options()
    };
    let at_base = with("revocation_endpoint", json!("http://127.0.0.1:8000/revoke"));
    assert!(read(&at_base, &behind).unwrap().revocation_endpoint.is_some());
    let beside = with("revocation_endpoint", json!("http://127.0.0.1:6379/"));
    assert!(read(&beside, &behind).unwrap().revocation_endpoint.is_none());
}

/// The document may name it all the same.
#[test]
fn a_disabled_optional_endpoint_is_absent() {
    let off = || Some(OptionalEndpoint::Off);
    let mut options = options();
    options.overrides = EndpointOverrides {
        par: off(),
        user_info: off(),
        end_session: off(),
        revocation: off(),
        introspection: off(),
        registration: off(),
        ..EndpointOverrides::default()
    };
    for value in ["https://idp.example/x", ""] {
        for (member, _) in OPTIONAL {
            let metadata = read(&with(member, json!(value)), &options).unwrap();
            assert_eq!(optional(&metadata, member), None, "{member}");
            assert_eq!(metadata.left_out, []);
        }
    }
}

#[test]
fn a_long_url_makes_no_long_line() {
    let long = format!("http://idp.example/{}", "\u{28d}".repeat(900));
    let error = read(&with("token_endpoint", json!(long)), &options()).unwrap_err();
    assert!(matches!(error, EndpointError::Insecure { .. }), "{error:?}");
    assert!(error.told().len() < 600, "{error}");
}

#[test]
fn explicit_endpoints_win_and_are_held_to_the_same_policy() {
    let mut configured = options();
    configured.overrides.token = Some(Url::parse("https://other.example/token").unwrap());
    configured.overrides.par = Some(at("https://other.example/par"));
    let metadata = read(&with("token_endpoint", json!("not looked at")), &configured).unwrap();
    assert_eq!(metadata.token_endpoint.as_str(), "https://other.example/token");
    assert_eq!(metadata.token_endpoint_public, "https://other.example/token");
    assert_eq!(
        metadata.par_endpoint.unwrap().as_str(),
        "https://other.example/par"
    );

    configured.overrides.token = Some(Url::parse("http://other.example/token").unwrap());
    let error = read(&document(), &configured).unwrap_err();
    assert!(
        matches!(
            error,
            EndpointError::Insecure {
                knob: Knob::TokenEndpoint,
                ..
            }
        ),
        "{error:?}"
    );

    // Also an optional one: the operator has to learn of it.
    configured.overrides.token = None;
    configured.overrides.user_info = Some(at("http://other.example/userinfo"));
    assert!(read(&document(), &configured).is_err());
}

#[test]
fn behind_a_base_url_back_channel_and_browser_urls_part() {
    let behind = ProviderOptions {
        base_url: Some(Url::parse("http://idp:8080").unwrap()),
        ..options()
    };
    let mut document = document();
    document.extend(
        json!({
            "end_session_endpoint": "http://idp:8080/logout",
            "userinfo_endpoint": "https://elsewhere.example/userinfo",
            "registration_endpoint": "http://idp:8080/register",
        })
        .as_object()
        .unwrap()
        .clone(),
    );
    let metadata = read(&document, &behind).unwrap();
    let text = |url: &Option<Url>| url.as_ref().unwrap().to_string();
    assert_eq!(
        metadata.authorization_endpoint.as_str(),
        "https://idp.example/authorize"
    );
    assert_eq!(metadata.token_endpoint.as_str(), "http://idp:8080/token");
    assert_eq!(metadata.token_endpoint_public, "https://idp.example/token");
    assert_eq!(metadata.jwks_uri.as_str(), "http://idp:8080/jwks");
    assert_eq!(text(&metadata.end_session_endpoint), "https://idp.example/logout");
    assert_eq!(
        text(&metadata.userinfo_endpoint),
        "https://elsewhere.example/userinfo"
    );
    assert_eq!(text(&metadata.registration_endpoint), "http://idp:8080/register");
    let managed = Url::parse("https://idp.example/register/7").unwrap();
    assert_eq!(
        metadata.url_map().back_channel(managed).as_str(),
        "http://idp:8080/register/7"
    );

    // A provider that builds its URLs from the requested host.
    document.insert("token_endpoint".to_owned(), json!("http://idp:8080/token"));
    let metadata = read(&document, &behind).unwrap();
    assert_eq!(metadata.token_endpoint.as_str(), "http://idp:8080/token");
    assert_eq!(metadata.token_endpoint_public, "https://idp.example/token");
}

#[test]
fn the_public_token_endpoint_keeps_the_documents_spelling() {
    let document = with("token_endpoint", json!("https://IDP.example:443/token"));
    let metadata = read(&document, &options()).unwrap();
    assert_eq!(metadata.token_endpoint_public, "https://IDP.example:443/token");
    assert_eq!(metadata.token_endpoint.as_str(), "https://idp.example/token");
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
        "(https?|ftp|data|x)://?[a-z@:.\\[\\]#?/]{0,30}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::hash_map(".{0,8}", inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn hostile_documents_never_panic_and_yield_only_permitted_urls(
        values in proptest::collection::vec(any_json(), 8),
        behind in any::<bool>(),
    ) {
        let members = [
            "authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint", "end_session_endpoint",
            "scopes_supported", "id_token_signing_alg_values_supported", "require_pushed_authorization_requests",
        ];
        let mut document = Map::new();
        for (member, value) in members.into_iter().zip(values) {
            document.insert(member.to_owned(), value);
        }
        let mut options = options();
        options.base_url = behind.then(|| Url::parse("http://idp:8080/base").unwrap());
        if let Ok(metadata) = read(&document, &options) {
            for url in [&metadata.authorization_endpoint, &metadata.token_endpoint, &metadata.jwks_uri] {
                prop_assert!(HttpPolicy::LocalOnly.permits(url));
                prop_assert!(url.username().is_empty() && url.fragment().is_none());
            }
        }
    }
}

#[test]
fn what_clients_are_told_of_logouts_is_read() {
    for channel in ["back", "front"] {
        for (supported, session, expected) in [
            (json!(null), json!(null), LogoutSupport::None),
            (json!(false), json!(true), LogoutSupport::None),
            (json!("true"), json!(true), LogoutSupport::None),
            (json!(true), json!(null), LogoutSupport::Supported),
            (json!(true), json!(false), LogoutSupport::Supported),
            (json!(true), json!(true), LogoutSupport::WithSession),
        ] {
            let mut document = document();
            document.insert(format!("{channel}channel_logout_supported"), supported.clone());
            document.insert(format!("{channel}channel_logout_session_supported"), session);
            let metadata = read(&document, &options()).unwrap();
            let found = [metadata.backchannel_logout, metadata.frontchannel_logout];
            let mut wanted = [expected, LogoutSupport::None];
            if channel == "front" {
                wanted.reverse();
            }
            assert_eq!(found, wanted, "{channel} {supported}");
        }
    }
}
