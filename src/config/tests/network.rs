//! Proxies and certificate authorities.

use url::Url;

use super::*;

const SECRET: &str = "planted-s3cret";

/// The proxy of a call to `url`.
fn proxy(config: &Config, url: &str) -> Option<String> {
    let proxy = config.network.proxies.of_url(&Url::parse(url).unwrap());
    proxy.map(ToString::to_string)
}

/// Capitals win.
#[test]
fn proxy_variables_have_two_spellings() {
    let both = config(&[
        ("HTTPS_PROXY", "http://big.example:3128"),
        ("https_proxy", "http://small.example:3128"),
        ("http_proxy", "small.example:8080"),
        ("no_proxy", ".corp.example, 10.0.0.0/8"),
    ]);
    let big = "big.example:3128 (HTTPS_PROXY)";
    assert_eq!(proxy(&both, "https://idp.example").unwrap(), big);
    let small = "small.example:8080 (HTTP_PROXY)";
    assert_eq!(proxy(&both, "http://crud").unwrap(), small);
    assert_eq!(proxy(&both, "https://idp.corp.example"), None);
    assert_eq!(proxy(&both, "http://10.1.2.3"), None);
    assert!(config(&[]).network.proxies.is_empty());
    // A variable that is set but empty counts as unset.
    assert!(config(&[("HTTPS_PROXY", "")]).network.proxies.is_empty());
}

#[test]
fn proxies_can_stand_in_settings_yaml() {
    let text = "https_proxy: http://proxy.example:3128\nno_proxy: [crud, .corp.example]\n";
    let (config, _) = with_settings(text, &[]).unwrap();
    let found = "proxy.example:3128 (HTTPS_PROXY)";
    assert_eq!(proxy(&config, "https://idp.example").unwrap(), found);
    assert_eq!(proxy(&config, "https://crud"), None);
}

#[test]
fn a_mistake_quotes_a_proxy_without_its_credentials() {
    for (value, shown) in [
        (
            "socks5://me:planted-s3cret@proxy.example:1080",
            "\"socks5://proxy.example:1080\"",
        ),
        (
            "http://me:planted-s3cret@proxy.example:3128/x",
            "\"http://proxy.example:3128/x\"",
        ),
        ("me:planted-s3cret@proxy.example:port", "\"proxy.example:port\""),
        (
            "http://me:planted-s3cret/@@proxy.example:0",
            "\"http://proxy.example:0\"",
        ),
        ("https://proxy.example:3128", "\"https://proxy.example:3128\""),
    ] {
        let error = load(&[("HTTPS_PROXY", value)]).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(SECRET), "{error}");
        assert_eq!(error.problems[0].value.as_deref(), Some(shown), "{error}");
    }
    for value in [
        "me:planted-s3cret",
        "http://me:planted-s3cret/",
        "http://me:planted-s3cret",
    ] {
        let error = load(&[("HTTPS_PROXY", value)]).unwrap_err();
        assert_eq!(error.problems[0].value, None, "{error}");
        assert!(!format!("{error:?}").contains(SECRET), "{error}");
    }
    // The value of an environment variable is quoted nowhere.
    let text = "https_proxy: \"socks5://${PLANTED}:1080\"\n";
    let error = with_settings(text, &[("PLANTED", SECRET)]).unwrap_err();
    assert!(!format!("{error} {error:?}").contains(SECRET), "{error}");
    let loaded = config(&[("HTTPS_PROXY", "http://me:planted-s3cret@proxy.example:3128")]);
    let text = format!("{loaded:?}");
    assert!(
        text.contains("proxy.example:3128") && !text.contains(SECRET),
        "{text}"
    );
}

#[test]
fn authorities_come_from_a_file_and_from_folders() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/tls/testing/ca.pem");
    let folders = concat!(env!("CARGO_MANIFEST_DIR"), "/src/tls/testing:/etc");
    let both = config(&[("SSL_CERT_FILE", file), ("SSL_CERT_DIR", folders)]);
    let shown = format!("{:?}", both.network.roots);
    assert!(shown.contains(file), "{shown}");
    assert!(shown.contains("src/tls/testing\", \"/etc\""), "{shown}");
    assert_eq!(config(&[]).network.roots, crate::tls::SystemRoots::default());
}

#[test]
fn names_of_proxies_are_known_and_misspelt_ones_are_told() {
    assert_eq!(
        warnings(&[("NO_PROXY", "crud"), ("http_proxy", "p:1")]),
        Vec::<String>::new()
    );
    let told = warnings(&[("HTPS_PROXY", "p:1"), ("SSL_CERT_FIL", "x")]);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("did you mean HTTPS_PROXY?"), "{told:?}");
}
