use proptest::prelude::*;

use super::*;

const SECRET: &str = "planted-s3cret";

fn proxy(text: &str) -> Proxy {
    Proxy::parse("HTTPS_PROXY", text).unwrap()
}

fn proxies(direct: &[&str]) -> Proxies {
    let direct = direct.iter().map(|text| Direct::parse(text).unwrap()).collect();
    Proxies::new(Some(proxy("secure.test:1")), Some(proxy("plain.test:2")), direct)
}

/// Whether a call to `url` uses a proxy, determined in both ways.
fn passes(proxies: &Proxies, url: &str) -> bool {
    let by_url = proxies.of_url(&Url::parse(url).unwrap()).is_some();
    assert_eq!(by_url, proxies.of_uri(&url.parse().unwrap()).is_some(), "{url}");
    by_url
}

#[test]
fn a_proxy_is_a_host_with_a_port_and_perhaps_credentials() {
    for (text, shown, authorization) in [
        ("http://proxy.test:3128", "proxy.test:3128 (HTTPS_PROXY)", None),
        ("http://proxy.test:3128/", "proxy.test:3128 (HTTPS_PROXY)", None),
        ("proxy.test:3128", "proxy.test:3128 (HTTPS_PROXY)", None),
        ("proxy.test", "proxy.test:80 (HTTPS_PROXY)", None),
        ("HTTP://PROXY.test:8080", "proxy.test:8080 (HTTPS_PROXY)", None),
        ("[2001:db8::1]:3128", "[2001:db8::1]:3128 (HTTPS_PROXY)", None),
        (
            "http://me:p%40ss@proxy.test:1",
            "proxy.test:1 (HTTPS_PROXY)",
            Some("Basic bWU6cEBzcw=="),
        ),
        (
            "me:pass@proxy.test:1",
            "proxy.test:1 (HTTPS_PROXY)",
            Some("Basic bWU6cGFzcw=="),
        ),
        (
            "me@proxy.test:1",
            "proxy.test:1 (HTTPS_PROXY)",
            Some("Basic bWU6"),
        ),
    ] {
        let proxy = proxy(text);
        assert_eq!(proxy.to_string(), shown, "{text}");
        let sent = proxy.authorization().map(|value| value.to_str().unwrap());
        assert_eq!(sent, authorization, "{text}");
        assert!(!proxy.url().as_str().contains('@') && !proxy.uri().to_string().contains('@'));
    }
}

#[test]
fn anything_else_is_refused_without_a_word_of_it() {
    for (text, part) in [
        (
            "https://me:planted-s3cret@proxy.test:1",
            "itself reached by https",
        ),
        ("socks5://me:planted-s3cret@proxy.test:1", "SOCKS"),
        ("ftp://planted-s3cret@proxy.test", "not the URL of an http proxy"),
        ("http://me:planted-s3cret@proxy.test:1/x", "more than a host"),
        ("http://me:planted-s3cret@proxy.test:1?x", "more than a host"),
        ("http://me:planted-s3cret@proxy.test:0", "port 0"),
        ("http://me:planted-s3cret@", "is not the URL of a proxy"),
        (
            "http://planted-s3cret@proxy.test:planted-s3cret",
            "is not the URL of a proxy",
        ),
        ("http://a%3Ab:planted-s3cret@proxy.test", "colon"),
        ("", "is not the URL of a proxy"),
    ] {
        let mistake = Proxy::parse("HTTP_PROXY", text).unwrap_err();
        assert!(mistake.message.contains(part), "{text}: {mistake:?}");
        assert!(!format!("{mistake:?}").contains(SECRET), "{mistake:?}");
    }
}

#[test]
fn credentials_are_shown_nowhere() {
    let proxies = Proxies::new(
        Some(proxy("http://me:planted-s3cret@proxy.test:1")),
        None,
        Vec::new(),
    );
    let shown = format!("{proxies:?} {}", proxies.0.https.as_ref().unwrap());
    assert!(shown.contains("proxy.test:1"));
    assert!(!shown.contains(SECRET) && !shown.contains("Basic"), "{shown}");
}

#[test]
fn each_scheme_has_its_proxy_and_this_machine_none() {
    let both = proxies(&[]);
    let of = |url: &str| both.of_url(&Url::parse(url).unwrap()).map(ToString::to_string);
    assert_eq!(of("https://idp.test/").unwrap(), "secure.test:1 (HTTPS_PROXY)");
    assert_eq!(of("http://crud:8080/").unwrap(), "plain.test:2 (HTTPS_PROXY)");
    for url in [
        "http://localhost:1/",
        "https://LOCALHOST./",
        "https://app.localhost/",
        "http://127.0.0.1/",
        "http://127.9.9.9/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
    ] {
        assert!(!passes(&both, url), "{url}");
    }
    for url in [
        "http://localhost.test/",
        "https://notlocalhost/",
        "https://10.0.0.1/",
    ] {
        assert!(passes(&both, url), "{url}");
    }
    let only = Proxies::new(Some(proxy("proxy.test:1")), None, Vec::new());
    assert!(passes(&only, "https://idp.test/") && !passes(&only, "http://idp.test/"));
    assert!(!only.is_empty() && Proxies::default().is_empty());
}

#[test]
fn what_no_proxy_names_passes_none() {
    for (entry, direct, proxied) in [
        (
            "idp.test",
            &[
                "https://idp.test/",
                "https://IDP.test.:8443/",
                "https://a.b.idp.test/",
            ][..],
            &[
                "https://otheridp.test/",
                "https://test/",
                "https://idp.test.example/",
            ][..],
        ),
        (
            ".corp.test",
            &["https://corp.test/", "https://a.corp.test/"],
            &["https://xcorp.test/"],
        ),
        ("*.Corp.test", &["https://a.corp.test/"], &["https://xcorp.test/"]),
        (
            "crud",
            &["http://crud:8080/"],
            &["http://crud2:8080/", "http://crud.test/"],
        ),
        (
            "crud:8080",
            &["http://crud:8080/"],
            &["http://crud/", "https://crud/"],
        ),
        ("crud:443", &["https://crud/"], &["http://crud/"]),
        (
            "10.0.0.0/8",
            &["http://10.9.8.7/", "http://[::ffff:10.9.8.7]/"],
            &["http://11.0.0.1/", "http://ten.test/"],
        ),
        ("192.0.2.7", &["http://192.0.2.7/"], &["http://192.0.2.8/"]),
        ("192.0.2.7:81", &["http://192.0.2.7:81/"], &["http://192.0.2.7/"]),
        ("fd00::/8", &["http://[fd12::1]/"], &["http://[2001:db8::1]/"]),
        (
            "2001:db8::1",
            &["http://[2001:db8::1]/"],
            &["http://[2001:db8::2]/"],
        ),
        (
            "[2001:db8::1]:81",
            &["http://[2001:db8::1]:81/"],
            &["http://[2001:db8::1]/"],
        ),
        (
            "bücher.test",
            &["https://xn--bcher-kva.test/"],
            &["https://bucher.test/"],
        ),
        ("*", &["https://idp.test/", "http://10.0.0.1/"], &[]),
    ] {
        let proxies = proxies(&["other.test", entry]);
        for url in direct {
            assert!(!passes(&proxies, url), "{entry}: {url}");
        }
        for url in proxied {
            assert!(passes(&proxies, url), "{entry}: {url}");
        }
    }
}

#[test]
fn an_entry_that_would_match_nothing_is_refused() {
    for text in [
        "",
        ".",
        "*.",
        "a*.test",
        "https://idp.test",
        "idp.test/path",
        "10.0.0.0/33",
        "10.1",
        "idp.test:0",
        "idp.test:x",
        "idp.test:65536",
        "me@idp.test",
        "[idp.test]",
    ] {
        assert!(Direct::parse(text).is_err(), "{text}");
    }
    let shown: Vec<String> = ["*.Corp.test", "10.0.0.0/8", "192.0.2.7:81", "*", "[::1]:2"]
        .iter()
        .map(|text| Direct::parse(text).unwrap().to_string())
        .collect();
    assert_eq!(shown, ["corp.test", "10.0.0.0/8", "192.0.2.7:81", "*", "[::1]:2"]);
}

proptest! {
    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = (Proxy::parse("HTTP_PROXY", &text), Direct::parse(&text));
    }
}
