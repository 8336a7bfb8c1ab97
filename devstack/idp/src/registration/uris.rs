//! Which URIs a client may register (RFC 7591, section 5; RFC 9700, section 2.1).

use url::{Host, Url};

const MAX_URIS: usize = 50;
const MAX_LENGTH: usize = 2048;

pub(super) fn check_redirect_uris(uris: &[String]) -> Result<(), String> {
    if uris.is_empty() {
        return Err("redirect_uris is missing".to_owned());
    }
    check_list("redirect_uris", uris)
}

pub(super) fn check_list(name: &str, uris: &[String]) -> Result<(), String> {
    if uris.len() > MAX_URIS {
        return Err(format!("{name} holds more than {MAX_URIS}"));
    }
    uris.iter()
        .try_for_each(|uri| check(uri).map_err(|reason| format!("{name}: {reason}")))
}

/// `https` anywhere; `http` only inside the machine or a container network.
pub(super) fn check(uri: &str) -> Result<(), String> {
    if uri.len() > MAX_LENGTH {
        return Err("a URI is too long".to_owned());
    }
    let refuse = |reason: &str| Err(format!("{uri} {reason}"));
    if !uri.is_ascii()
        || uri
            .chars()
            .any(|c| c.is_control() || c.is_whitespace() || c == '\\' || c == '*')
    {
        return refuse("has characters that a URI must not have");
    }
    let Ok(url) = Url::parse(uri) else {
        return refuse("is not an absolute URI");
    };
    if url.fragment().is_some() {
        return refuse("has a fragment");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("has a user name or password");
    }
    let Some(host) = url.host() else {
        return refuse("has no host");
    };
    let after_authority = uri.split_once("://").and_then(|(_, rest)| rest.find('/'));
    if after_authority.is_none() {
        return refuse("has no path");
    }
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_near(&host) => Ok(()),
        "http" => refuse("must be https: plain http is for loopback and container names only"),
        _ => refuse("must be https"),
    }
}

fn is_near(host: &Host<&str>) -> bool {
    match host {
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
        Host::Domain(name) => !name.contains('.') || name.ends_with(".localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_uris_pass() {
        for uri in [
            "https://app.example/auth/callback",
            "https://app.example:8443/auth/callback?x=1",
            "http://127.0.0.1:8000/auth/callback",
            "http://[::1]:8000/auth/callback",
            "http://localhost/auth/callback",
            "http://app.localhost:8000/auth/callback",
            "http://bff:8000/auth/callback",
            "https://app.example/",
        ] {
            assert_eq!(check(uri), Ok(()), "{uri}");
        }
    }

    #[test]
    fn bad_uris_are_refused() {
        for uri in [
            "",
            "/auth/callback",
            "app.example/auth/callback",
            "http://app.example/auth/callback",
            "http://127.0.0.1.example/cb",
            "http://localhost.example/cb",
            "https://app.example/cb#x",
            "https://app.example/cb#",
            "https://user@app.example/cb",
            "https://app.example",
            "https://*.example/cb",
            "https://app.example\\cb",
            "https://app.example/a b",
            "https://app.example/\n",
            "javascript:alert(1)",
            "data:text/html,x",
            "myapp://callback/x",
        ] {
            assert!(check(uri).is_err(), "{uri}");
        }
    }
}
