use http::{HeaderMap, header::COOKIE};
use proptest::prelude::*;

use super::*;
use crate::random::SystemRandom;

fn policy(options: CookieOptions) -> CookiePolicy {
    CookiePolicy::new(options).unwrap()
}

fn default_policy() -> CookiePolicy {
    policy(CookieOptions::default())
}

fn shared() -> CookieOptions {
    CookieOptions {
        domain: Some("example.test".to_owned()),
        ..CookieOptions::default()
    }
}

fn insecure() -> CookieOptions {
    CookieOptions {
        secure: false,
        ..CookieOptions::default()
    }
}

fn named(name: &str, options: CookieOptions) -> CookieOptions {
    CookieOptions {
        session_name: Some(name.to_owned()),
        ..options
    }
}

fn cookies(lines: &[&str]) -> HeaderMap {
    lines
        .iter()
        .map(|line| (COOKIE, HeaderValue::from_bytes(line.as_bytes()).unwrap()))
        .collect()
}

fn text(header: &HeaderValue) -> &str {
    header.to_str().unwrap()
}

/// The cookie that a browser sends back for a `Set-Cookie`.
fn sent_back(set_cookie: &HeaderValue) -> &str {
    text(set_cookie).split(';').next().unwrap()
}

fn stripped(lines: &[&str]) -> Option<String> {
    let kept = default_policy().strip_ours(&cookies(lines))?;
    Some(text(&kept).to_owned())
}

const DAY: Duration = Duration::from_hours(24);

#[test]
fn names_follow_secure_and_domain() {
    let names = |options| {
        let policy = policy(options);
        let login = policy.login_name("state");
        [policy.session_name(), policy.logout_name(), &login].map(|name| name.as_str().to_owned())
    };
    let hash = URL_SAFE_NO_PAD.encode(&digest::digest(&digest::SHA256, b"state").as_ref()[..16]);
    let login = format!("bff_login_{hash}");
    assert_eq!(
        names(CookieOptions::default()),
        [
            "__Host-Http-bff_session",
            "__Host-Http-bff_logout",
            &format!("__Host-Http-{login}")
        ]
    );
    assert_eq!(
        names(shared()),
        [
            "__Http-bff_session",
            "__Host-Http-bff_logout",
            &format!("__Host-Http-{login}")
        ]
    );
    assert_eq!(names(insecure()), ["bff_session", "bff_logout", &login]);
    assert_eq!(names(named("sid", shared()))[0], "sid");
    assert_eq!(
        names(named("__Host-sid", CookieOptions::default()))[0],
        "__Host-sid"
    );
}

#[test]
fn a_login_cookie_is_named_after_a_hash_of_its_state() {
    let policy = default_policy();
    let (one, two) = (policy.login_name("one"), policy.login_name("two"));
    assert_ne!(one, two);
    assert_eq!(one, policy.login_name("one"));
    assert_eq!(one.as_str().len(), "__Host-Http-bff_login_".len() + 22);
    assert!(!one.as_str().contains("one"));
}

#[test]
fn names_that_browsers_or_we_cannot_take_are_refused() {
    let refused = |options| CookiePolicy::new(options).unwrap_err();
    let secure = CookieOptions::default;
    for name in ["", "a b", "a=b", "a;b", "a\u{e9}", "\"a\"", &"a".repeat(65)] {
        assert_eq!(refused(named(name, secure())), CookieOptionsError::Name, "{name}");
    }
    for name in ["__Host-sid", "__host-sid", "__HOST-Http-sid"] {
        assert_eq!(
            refused(named(name, shared())),
            CookieOptionsError::Prefix,
            "{name}"
        );
        assert_eq!(
            refused(named(name, insecure())),
            CookieOptionsError::Prefix,
            "{name}"
        );
    }
    assert_eq!(
        refused(named("__Secure-sid", insecure())),
        CookieOptionsError::Prefix
    );
    for name in [
        "bff_logout",
        "__Host-Http-bff_login_x",
        "BFF_Login_",
        "__secure-bff_logout",
        "__Host-bff_bound",
    ] {
        assert_eq!(
            refused(named(name, secure())),
            CookieOptionsError::NameTaken,
            "{name}"
        );
    }
}

#[test]
fn domains_that_are_no_host_names_are_refused() {
    for domain in [
        "",
        ".",
        "a..b",
        "a b",
        "a;b",
        "https://a",
        "a.test:80",
        &"a".repeat(254),
    ] {
        let options = CookieOptions {
            domain: Some(domain.to_owned()),
            ..CookieOptions::default()
        };
        assert_eq!(
            CookiePolicy::new(options).unwrap_err(),
            CookieOptionsError::Domain,
            "{domain}"
        );
    }
}

#[test]
fn the_session_cookie_has_every_attribute() {
    let id = SessionId::generate(&SystemRandom);
    let set = |options| {
        let header = policy(options).set_session(&id, DAY);
        assert!(header.is_sensitive());
        text(&header).replace(&id.expose(), "ID")
    };
    assert_eq!(
        set(CookieOptions::default()),
        "__Host-Http-bff_session=ID; HttpOnly; SameSite=Strict; Secure; Path=/; Max-Age=86400"
    );
    let strict = CookieOptions {
        same_site: SameSite::Strict,
        domain: Some(".Example.test".to_owned()),
        ..CookieOptions::default()
    };
    assert_eq!(
        set(strict),
        "__Http-bff_session=ID; HttpOnly; SameSite=Strict; Secure; Path=/; Domain=example.test; Max-Age=86400"
    );
    assert_eq!(
        set(insecure()),
        "bff_session=ID; HttpOnly; SameSite=Strict; Path=/; Max-Age=86400"
    );
}

#[test]
fn a_login_cookie_is_always_lax_and_host_only() {
    let options = CookieOptions {
        same_site: SameSite::Strict,
        ..shared()
    };
    let policy = policy(options);
    let header = policy.set_login(policy.logout_name(), "value").unwrap();
    assert_eq!(
        text(&header),
        "__Host-Http-bff_logout=value; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=600"
    );
}

#[test]
fn clearing_repeats_what_makes_the_cookie_what_it_is() {
    let policy = policy(shared());
    assert_eq!(
        text(&policy.clear_session()),
        "__Http-bff_session=; HttpOnly; SameSite=Strict; Secure; Path=/; Domain=example.test; Max-Age=0"
    );
    assert_eq!(policy.clear(policy.session_name()), policy.clear_session());
    assert_eq!(
        text(&policy.clear(policy.logout_name())),
        "__Host-Http-bff_logout=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0"
    );
}

#[test]
fn a_login_cookie_has_its_bounds() {
    let policy = default_policy();
    let name = policy.login_name("state");
    let room = MAX_LOGIN_COOKIE_LENGTH - name.as_str().len();
    assert!(policy.set_login(&name, &"x".repeat(room)).is_ok());
    let too_long = policy.set_login(&name, &"x".repeat(room + 1));
    assert_eq!(too_long.unwrap_err(), SetCookieError::TooLong);
    for value in ["a;b", "a b", "a\r\nb", "a,b", "\u{e9}", "a=="] {
        assert_eq!(policy.set_login(&name, value).unwrap_err(), SetCookieError::Value);
    }
}

#[test]
fn what_was_set_is_read_back_among_others() {
    let policy = default_policy();
    let id = SessionId::generate(&SystemRandom);
    let (name, session) = (policy.login_name("state"), policy.set_session(&id, DAY));
    let login = policy.set_login(&name, "sealed-value").unwrap();
    let together = format!("theme=dark;{};\t{} ; x", sent_back(&session), sent_back(&login));
    let split = ["theme=dark", sent_back(&session), sent_back(&login)];
    for headers in [cookies(&[&together]), cookies(&split)] {
        assert_eq!(policy.session_id(&headers).unwrap().key(), id.key());
        assert_eq!(policy.value(&headers, &name), Some("sealed-value"));
        let listed = policy.login_cookies(&headers);
        assert_eq!(listed.len(), 1);
        assert_eq!((&listed[0].name, listed[0].value), (&name, "sealed-value"));
    }
}

/// The request is anonymous or refused.
#[test]
fn attack_19_any_cookie_header_takes_bounded_time() {
    let policy = default_policy();
    let id = SessionId::generate(&SystemRandom).expose();
    let name = policy.login_name("state");
    for hostile in [
        String::new(),
        "=".repeat(65_536),
        ";".repeat(65_536),
        "a".repeat(65_536),
        "a=b; ".repeat(13_000),
        "__Host-Http-bff_session".to_owned(),
        "__Host-Http-bff_session=".to_owned(),
        format!("__Host-Http-bff_session={}", "x".repeat(65_000)),
        format!("__Host-Http-bff_session={id}{id}"),
        format!("__Host-Http-bff_session=\"{id}\""),
        format!("__Host-Http-bff_session=={id}"),
        format!("__host-bff_session={id}"),
        format!("bff_session={id}"),
        format!("__Secure-bff_session={id}"),
        format!("x=\"; __Host-Http-bff_session={id}x; \""),
        format!("a=1, __Host-Http-bff_session={id}"),
        format!("__Host-Http-bff_session={id}; {}", "a=b; ".repeat(13_200)),
    ] {
        let headers = cookies(&[&hostile]);
        assert!(
            policy.session_id(&headers).is_none(),
            "{}",
            &hostile[..hostile.len().min(80)]
        );
        assert!(policy.value(&headers, &name).is_none());
        assert!(policy.login_cookies(&headers).is_empty());
    }
    let mut headers = HeaderMap::new();
    let bytes: Vec<u8> = (0x80..=0xff).collect();
    headers.insert(COOKIE, HeaderValue::from_bytes(&bytes).unwrap());
    assert!(policy.session_id(&headers).is_none());
}

#[test]
fn attack_19_a_flood_of_login_cookies_is_listed_up_to_a_bound() {
    let policy = default_policy();
    let flood: Vec<_> = (0..1_500)
        .map(|number| format!("__Host-Http-bff_login_{number}=x"))
        .collect();
    assert_eq!(policy.login_cookies(&cookies(&[&flood.join("; ")])).len(), 32);
}

#[test]
fn attack_27_a_cookie_sent_twice_under_one_name_is_anonymous() {
    let policy = default_policy();
    let (mine, planted) = (
        SessionId::generate(&SystemRandom),
        SessionId::generate(&SystemRandom),
    );
    let (mine, planted) = (mine.expose(), planted.expose());
    let session = |value: &str| format!("__Host-Http-bff_session={value}");
    for lines in [
        vec![format!("{}; {}", session(&mine), session(&planted))],
        vec![session(&planted), session(&mine)],
        vec![session(&mine), session(&mine)],
        vec![session(&mine), session("")],
        vec![session(&mine), "__Host-Http-bff_session".to_owned()],
    ] {
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        assert!(policy.session_id(&cookies(&lines)).is_none(), "{lines:?}");
    }

    let name = policy.login_name("state");
    let twice = format!("{name}=mine; {name}=planted");
    assert_eq!(policy.value(&cookies(&[&twice]), &name), None);
    let headers = cookies(&[&twice]);
    let listed = policy.login_cookies(&headers);
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].value, "");
}

#[test]
fn attack_27_a_sibling_subdomain_cannot_plant_a_login() {
    // Browsers accept `__Host-` only from this host, so the name must have it also if the session is shared.
    assert!(
        policy(shared())
            .login_name("state")
            .as_str()
            .starts_with("__Host-")
    );
    assert!(policy(shared()).logout_name().as_str().starts_with("__Host-"));
}

#[test]
fn altered_login_cookies_are_cleared() {
    let policy = default_policy();
    let long = "x".repeat(MAX_LOGIN_COOKIE_LENGTH);
    let line = format!(
        "__Host-Http-bff_login_a=ok; __Host-Http-bff_login_b={long}; __Host-Http-bff_login_c=a b; __Host-Http-bff_login_=x; \
         __Host-Http-bff_login_d!=x; __host-bff_login_e=x; __Host-Http-bff_login_f"
    );
    let headers = cookies(&[&line]);
    let listed = policy.login_cookies(&headers);
    let listed: Vec<_> = listed
        .iter()
        .map(|cookie| (cookie.name.as_str(), cookie.value))
        .collect();
    assert_eq!(
        listed,
        [
            ("__Host-Http-bff_login_a", "ok"),
            ("__Host-Http-bff_login_b", ""),
            ("__Host-Http-bff_login_c", ""),
            ("__Host-Http-bff_login_f", "")
        ]
    );
}

#[test]
fn debug_shows_no_value() {
    let policy = default_policy();
    let headers = cookies(&["__Host-Http-bff_login_a=sealed-value"]);
    assert!(!format!("{:?}", policy.login_cookies(&headers)).contains("sealed-value"));
    let header = policy.set_login(policy.logout_name(), "sealed-value").unwrap();
    assert!(!format!("{header:?}").contains("sealed-value"));
}

#[test]
fn attack_6_an_api_sees_only_the_applications_cookies() {
    let login = default_policy().login_name("state");
    let line =
        format!("a=1; __Host-Http-bff_session=id; b=\"x y\"; {login}=s; __Host-Http-bff_logout=r; c==2=; d");
    assert_eq!(stripped(&[&line]).unwrap(), "a=1; b=\"x y\"; c==2=; d");
    assert_eq!(
        stripped(&["a=1", "__Host-Http-bff_session=id", "b=2"]).unwrap(),
        "a=1; b=2"
    );
    assert_eq!(stripped(&["__Host-Http-bff_session=id"]), None);
    assert_eq!(stripped(&["__Host-Http-bff_session=id", ""]), None);
    assert_eq!(stripped(&[""]), None);
    assert_eq!(stripped(&[]), None);
}

#[test]
fn attack_6_foreign_cookies_alone_pass_untouched() {
    let line = "a=1;b=2 ;; session=3; bff_sessions=4; xbff_session=5; my__Host-Http-bff_session=6";
    assert_eq!(stripped(&[line]).unwrap(), line);
    let mut headers = HeaderMap::new();
    headers.insert(COOKIE, HeaderValue::from_bytes(b"a=\xff\x80").unwrap());
    let kept = default_policy().strip_ours(&headers).unwrap();
    assert_eq!(kept.as_bytes(), b"a=\xff\x80");
}

#[test]
fn attack_6_no_spelling_slips_through() {
    for ours in [
        "__Secure-bff_session=id",
        "bff_session=id",
        "__host-BFF_SESSION=id",
        "__Host-Http-bff_session =id",
        " \t__Host-Http-bff_session=id",
        "__Host-Http-bff_session",
        "=__Host-Http-bff_session=id",
        "x=\"1, __Host-Http-bff_session=id",
        "x=1,__Host-Http-bff_session=id",
        "bff_login_abc=sealed",
        "__SECURE-BFF_LOGIN_abc=sealed",
    ] {
        assert_eq!(stripped(&[ours]), None, "{ours}");
        assert_eq!(
            stripped(&[&format!("a=1;{ours};b=2")]).unwrap(),
            "a=1; b=2",
            "{ours}"
        );
    }
    let custom = policy(named("sid", CookieOptions::default()));
    let headers = cookies(&["a=1; SID=id; __Host-Http-bff_session=from-before"]);
    assert_eq!(custom.strip_ours(&headers).unwrap(), "a=1");
}

#[test]
fn attack_28_an_apis_set_cookie_with_our_name_is_recognised() {
    let policy = default_policy();
    let ours = |line: &str| policy.drops_ours(&HeaderValue::from_bytes(line.as_bytes()).unwrap());
    for line in [
        "__Host-Http-bff_session=x; Path=/; Secure",
        "__Host-Http-bff_session=; Max-Age=0",
        "  __Host-Http-bff_session  = x",
        "__HOST-bff_session=x",
        "__Secure-bff_session=x; Domain=example.test",
        "bff_session=x",
        "__Host-Http-bff_login_abc=x",
        "__Host-Http-bff_logout=x",
        "=__Host-Http-bff_session=x",
        " = \t=__Host-Http-bff_session=x",
        "__Host-Http-bff_session",
        "a=1, __Host-Http-bff_session=x",
    ] {
        assert!(ours(line), "{line}");
    }
    for line in [
        "theme=dark; Path=/",
        "a=__Host-Http-bff_session",
        "a=b=__Host-Http-bff_session",
        "bff_sessions=1; Expires=Wed, 21 Oct 2026 07:28:00 GMT",
        "",
        "=",
        ";",
    ] {
        assert!(!ours(line), "{line}");
    }
}

/// A part of a `Cookie` header: foreign, ours, or something like ours.
fn part() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        "[a-zA-Z_!=, \t\"-]{0,12}",
        "(__Host-|__Secure-|__host-|=|,| |\t){0,2}(bff_session|bff_login_[a-zA-Z]{0,4}|bff_logout|BFF_session|sid)",
    ];
    (name, "[ \t]{0,2}(=[ -:<-~]{0,20})?").prop_map(|(name, value)| format!("{name}{value}"))
}

fn trimmed(lines: &[&str]) -> Vec<String> {
    lines
        .iter()
        .flat_map(|line| line.split(';'))
        .map(|part| part.trim_matches([' ', '\t']).to_owned())
        .filter(|part| !part.is_empty())
        .collect()
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(lines in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..4)) {
        let headers: HeaderMap = lines
            .iter()
            .filter_map(|line| HeaderValue::from_bytes(line).ok())
            .map(|value| (COOKIE, value))
            .collect();
        let policy = default_policy();
        let _ = (policy.session_id(&headers), policy.login_cookies(&headers));
        if let Some(kept) = policy.strip_ours(&headers) {
            prop_assert!(!policy.drops_ours(&kept));
        }
    }

    #[test]
    fn what_is_stripped_is_ours_and_all_else_stays_in_order(lines in proptest::collection::vec(proptest::collection::vec(part(), 0..6), 0..4)) {
        let policy = policy(named("sid", CookieOptions::default()));
        let lines: Vec<String> = lines.iter().map(|parts| parts.join("; ")).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let kept = policy.strip_ours(&cookies(&lines)).map(|kept| text(&kept).to_owned());
        let kept = trimmed(&[kept.as_deref().unwrap_or_default()]);
        let ours = |part: &String| policy.drops_ours(&HeaderValue::from_str(part).unwrap());
        let expected: Vec<_> = trimmed(&lines).into_iter().filter(|part| !ours(part)).collect();
        prop_assert_eq!(&kept, &expected);

        // An independent check: neither the readers nor a plain search for names finds one of ours.
        let headers = cookies(&[&kept.join("; ")]);
        prop_assert!(policy.session_id(&headers).is_none());
        prop_assert!(policy.login_cookies(&headers).is_empty());
        for part in &kept {
            for name in part.split(',').filter_map(|piece| piece.split('=').find(|name| !name.trim().is_empty())) {
                let name = name.trim().to_ascii_lowercase();
                let base = name.strip_prefix("__host-").or(name.strip_prefix("__secure-")).unwrap_or(&name);
                let is_one = ["bff_session", "bff_logout"].contains(&base) || base.starts_with("bff_login_");
                prop_assert!(!is_one && name != "sid", "{}", part);
            }
        }
    }

    #[test]
    fn a_set_cookie_is_read_back_among_any_others(id in any::<[u8; 32]>(), state in ".{0,40}", value in "[a-zA-Z0-9_-]{1,600}", others in proptest::collection::vec("[a-z]{1,8}=[!-:<-~]{0,20}", 0..6), at in any::<prop::sample::Index>(), secure in any::<bool>(), shared in any::<bool>()) {
        let policy = policy(CookieOptions {
            secure,
            domain: shared.then(|| "example.test".to_owned()),
            ..CookieOptions::default()
        });
        let id = SessionId::parse(URL_SAFE_NO_PAD.encode(id).as_bytes()).unwrap();
        let name = policy.login_name(&state);
        let session = policy.set_session(&id, DAY);
        let login = policy.set_login(&name, &value).unwrap();
        prop_assert!(policy.drops_ours(&session) && policy.drops_ours(&login));
        prop_assert!(policy.is_ours(name.as_str().as_bytes()));

        let mut sent = others.clone();
        sent.insert(at.index(others.len() + 1), format!("{}; {}", sent_back(&session), sent_back(&login)));
        let headers = cookies(&[&sent.join("; ")]);
        prop_assert_eq!(policy.session_id(&headers).unwrap().key(), id.key());
        prop_assert_eq!(policy.value(&headers, &name), Some(value.as_str()));
        let kept = policy.strip_ours(&headers).map(|kept| text(&kept).to_owned());
        prop_assert_eq!(kept.unwrap_or_default(), others.join("; "));
    }
}

/// Until the new ones arrive.
#[test]
fn the_former_cookie_names_are_still_read() {
    let policy = default_policy();
    let (old, new) = (
        SessionId::generate(&SystemRandom),
        SessionId::generate(&SystemRandom),
    );
    let former = format!("__Host-bff_session={}", old.expose());
    let current = format!("__Host-Http-bff_session={}", new.expose());
    let read = |lines: &[&str]| {
        let headers = cookies(lines);
        (
            policy.session_id(&headers).map(|id| id.key()),
            policy.sends_session(&headers),
        )
    };
    assert_eq!(read(&[&former]), (Some(old.key()), true));
    // The new one counts, in any order, even if it is invalid.
    for lines in [[&*former, &*current], [&*current, &*former]] {
        assert_eq!(read(&lines), (Some(new.key()), true));
    }
    assert_eq!(read(&[&former, "__Host-Http-bff_session=x"]), (None, true));
    assert_eq!(read(&[&former, &current, &current]), (None, true));
    assert_eq!(read(&[&former, &former]), (None, true));
    assert_eq!(read(&["bff_session=x", "__Secure-bff_session=x"]), (None, false));
    assert!(policy.session_is_doubled(&cookies(&[&former, &former])));
    assert!(!policy.session_is_doubled(&cookies(&[&former, &current])));
    // The other cookies too.
    let login = policy.login_name("state");
    let before = login.as_str().replace("__Host-Http-", "__Host-");
    let sent = cookies(&[&format!("{before}=before")]);
    assert_eq!(policy.value(&sent, &login), Some("before"));
    assert_eq!(policy.login_cookies(&sent)[0].name.as_str(), before);
    let both = cookies(&[&format!("{before}=before; {login}=now")]);
    assert_eq!(policy.value(&both, &login), Some("now"));
    // Names chosen by an operator do not change.
    let chosen = self::policy(named("__Host-Http-mine", CookieOptions::default()));
    let sent = cookies(&[&format!("__Host-mine={}; {former}", old.expose())]);
    assert!(chosen.session_id(&sent).is_none());
    let shared = self::policy(shared());
    let sent = cookies(&[&format!("__Secure-bff_session={}", old.expose())]);
    assert_eq!(shared.session_id(&sent).map(|id| id.key()), Some(old.key()));
}

#[test]
fn what_was_sent_under_a_former_name_is_cleared_under_it() {
    let policy = default_policy();
    let cleared = |line: &str| policy.clear_former_session(&cookies(&[line]));
    assert_eq!(cleared("__Host-Http-bff_session=x"), None);
    assert_eq!(
        text(&cleared("__Host-bff_session=x").unwrap()),
        "__Host-bff_session=; HttpOnly; SameSite=Strict; Secure; Path=/; Max-Age=0"
    );
    let logout = policy.logout_name();
    let cleared = |line: &str| {
        let cleared: Vec<_> = policy.clear_sent(&cookies(&[line]), logout).collect();
        cleared
            .iter()
            .map(|set| sent_back(set).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(cleared("a=b"), Vec::<String>::new());
    assert_eq!(cleared("__Host-bff_logout=x"), ["__Host-bff_logout="]);
    assert_eq!(
        cleared("__Host-bff_logout=x; __Host-Http-bff_logout=y"),
        ["__Host-Http-bff_logout=", "__Host-bff_logout="]
    );
}
