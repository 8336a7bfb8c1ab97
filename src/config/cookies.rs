//! The session cookie's name and attributes.

use super::{address::Origin, problem::Complaint, reader::Reader};
use crate::{
    session::SameSite,
    url_policy::{HttpPolicy, Reach},
};

/// The session cookie; login cookies follow it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieSettings {
    /// Its name.
    pub name: String,
    /// Its domain; without one, only the host.
    pub domain: Option<String>,
    /// `Secure`.
    pub secure: bool,
    /// `SameSite` of the session cookie.
    pub same_site: SameSite,
    /// Whether scripts read the CSRF token from a cookie.
    pub csrf: bool,
}

pub(super) fn read(reader: &mut Reader, own_origins: &[Origin]) -> CookieSettings {
    let secure = reader.switch("BFF_COOKIE_SECURE", true);
    let local = |origin: &Origin| origin.reach() == Reach::Loopback;
    if !secure
        && reader.http() == HttpPolicy::LocalOnly
        && (own_origins.is_empty() || !own_origins.iter().all(local))
    {
        reader.complain(
            "BFF_COOKIE_SECURE",
            "would send session cookies over connections that others can read",
            "remove it; `false` is only for own origins that are all http on loopback, or with BFF_DANGER_ALLOW_HTTP=true",
        );
    }
    if secure
        && let Some(origin) = own_origins
            .iter()
            .find(|origin| !origin.is_https() && !local(origin))
    {
        reader.warn_that_nobody_can_log_in(
            "BFF_COOKIE_SECURE",
            format!("browsers keep no Secure cookie from {origin}: nobody can log in there; use https"),
        );
    }
    let domain = reader.parsed("BFF_COOKIE_DOMAIN", domain);
    if let Some(domain) = &domain {
        reader.warn(
            "BFF_COOKIE_DOMAIN",
            format!(
                "every host below {domain} gets the session cookie, also one that is not yours, and can set one of its own; \
                 without it each host has a session of its own, which is safer (RFC 10017)"
            ),
        );
    }
    if let Some(domain) = &domain
        && let Some(origin) = own_origins.iter().find(|origin| !covers(domain, origin.host()))
    {
        reader.complain(
            "BFF_COOKIE_DOMAIN",
            format!("does not cover {origin}, which is an origin of this BFF"),
            "name the domain that all hosts of BFF_BASE_URL and DCR_REDIRECT_URIS share, or remove it",
        );
    }
    let has_domain = reader.is_set("BFF_COOKIE_DOMAIN");
    let name = reader
        .parsed("SESSION_COOKIE_NAME", |text| {
            cookie_name(text, secure, has_domain)
        })
        .unwrap_or_else(|| default_name(secure, has_domain).to_owned());
    CookieSettings {
        name,
        domain,
        secure,
        same_site: same_site(reader),
        csrf: reader.switch("BFF_CSRF_COOKIE", false),
    }
}

fn same_site(reader: &mut Reader) -> SameSite {
    let name = "BFF_COOKIE_SAMESITE";
    if reader
        .text(name)
        .is_some_and(|text| text.eq_ignore_ascii_case("none"))
    {
        reader.complain(
            name,
            "is not one of `Lax`, `Strict`: with `None` any page could send calls with a person's session",
            "write one of them: `Lax` or `Strict`; pages of other origins of the same site call through CORS__ALLOW_ORIGINS",
        );
        return SameSite::Strict;
    }
    reader
        .choice(name, &[SameSite::Lax, SameSite::Strict])
        .unwrap_or_default()
}

const fn default_name(secure: bool, has_domain: bool) -> &'static str {
    match (secure, has_domain) {
        (false, _) => "bff_session",
        (true, true) => "__Http-bff_session",
        (true, false) => "__Host-Http-bff_session",
    }
}

fn domain(text: &str) -> Result<String, Complaint> {
    // RFC 6265 section 5.2.3: a leading dot says nothing.
    let text = text.strip_prefix('.').unwrap_or(text);
    let labels: Vec<&str> = text.split('.').collect();
    let valid = |label: &&str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if text.len() > 253 || !labels.iter().all(valid) {
        return Err(Complaint::new(
            "is not a domain name",
            "write a name in lower case such as `apps.example.com`, without scheme, port or path",
        ));
    }
    if labels.len() < 2 {
        return Err(Complaint::new(
            "is a single label, and browsers store no cookie for it",
            "name a domain of your own such as `apps.example.com`, or remove it",
        ));
    }
    // The last label of a name is never a number; of an IPv4 address it is.
    if labels
        .last()
        .is_some_and(|label| label.bytes().all(|byte| byte.is_ascii_digit()))
    {
        return Err(Complaint::new(
            "is an IP address, for which there are no domain cookies",
            "remove it",
        ));
    }
    Ok(text.to_owned())
}

fn covers(domain: &str, host: &str) -> bool {
    host.strip_suffix(domain)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// RFC 6265 section 4.1.1 and the prefixes of RFC 6265bis section 4.1.3.
fn cookie_name(text: &str, secure: bool, has_domain: bool) -> Result<String, Complaint> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if text.len() > 64 || !text.bytes().all(token) {
        return Err(Complaint::new(
            "is not a cookie name",
            "use letters, digits, `_`, `-` and `.`, up to 64 of them",
        ));
    }
    let has_prefix = |prefix: &str| {
        text.get(..prefix.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    if has_prefix("__Host-") && has_domain {
        return Err(Complaint::new(
            "has the prefix `__Host-`, which browsers refuse together with BFF_COOKIE_DOMAIN",
            "use the prefix `__Http-`, or remove BFF_COOKIE_DOMAIN",
        ));
    }
    if ["__Host-", "__Http-", "__Secure-"].into_iter().any(has_prefix) && !secure {
        return Err(Complaint::new(
            "has a prefix that browsers refuse without `Secure`",
            "remove the prefix, or remove BFF_COOKIE_SECURE=false",
        ));
    }
    Ok(text.to_owned())
}
