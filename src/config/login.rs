//! Login: which redirect URI, where people may be sent afterwards, who may call.

use url::Url;

use super::{address::Origin, problem::Complaint, reader::Reader, registration};
use crate::{
    limits::{self, Rate},
    own_paths,
};

/// Login and redirects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginSettings {
    /// The redirect URI whose host equals the browser's is used.
    pub dynamic_callback: bool,
    /// The redirect URI where none matches.
    pub fallback_callback: Option<Url>,
    /// The login for a browser whose host matches nothing.
    pub fallback_origin: Option<Origin>,
    /// The BFF's own origins: those of `BFF_BASE_URL` and of the redirect URIs, the fallback's among them.
    pub own_origins: Vec<Origin>,
    /// The allowed targets of `return_to`.
    pub return_origins: Vec<Origin>,
    /// Other origins that may call with credentials.
    pub cors_origins: Vec<Origin>,
    /// How many logins may begin at one address; `None` for any number.
    pub rate: Option<Rate>,
}

/// For those who have their own limit in front.
const NO_LIMIT: &str = "off";

/// A person logs in once a day, and an office of thousands shares an address.
const LOGIN_RATE: &str = "600/m";

/// The origins of `BFF_BASE_URL` and of all redirect URIs, each once. Nothing of a request ever adds to them.
pub(super) fn own_origins(
    base_url: Option<&Origin>,
    redirect_uris: &[Url],
    fallback_callback: Option<&Url>,
) -> Vec<Origin> {
    let mut origins: Vec<Origin> = base_url.cloned().into_iter().collect();
    let uris = redirect_uris.iter().chain(fallback_callback);
    for origin in uris.filter_map(Origin::of) {
        if !origins.contains(&origin) {
            origins.push(origin);
        }
    }
    origins
}

pub(super) fn read(
    reader: &mut Reader,
    fallback_callback: Option<Url>,
    own_origins: Vec<Origin>,
) -> LoginSettings {
    let fallback_origin = fallback_callback.as_ref().and_then(Origin::of);
    let mut return_origins = match reader.list("BFF_ALLOWED_REDIRECT_HOSTS") {
        Some(entries) => return_origins(reader, &entries, &own_origins),
        None => own_origins.clone(),
    };
    for (label, entry) in reader.added("BFF_ALLOWED_REDIRECT_HOSTS") {
        let name = "BFF_ALLOWED_REDIRECT_HOSTS";
        let found = return_origin(&entry, &own_origins);
        add_origin(reader, name, label, found, &mut return_origins);
    }
    LoginSettings {
        rate: reader
            .parsed("LOGIN_RATE_LIMIT", rate)
            .unwrap_or_else(|| Rate::parse(LOGIN_RATE).ok()),
        dynamic_callback: reader.switch("BFF_DYNAMIC_CALLBACK", true),
        fallback_callback,
        fallback_origin,
        own_origins,
        return_origins,
        cors_origins: cors_origins(reader),
    }
}

/// `BFF_CALLBACK_URL`; otherwise `/auth/callback` on the origin of `BFF_DEFAULT_SCHEME` and `BFF_DEFAULT_HOST`;
/// otherwise on `BFF_BASE_URL`, if the redirect URIs include it; otherwise the first redirect URI.
pub(super) fn fallback_callback(
    reader: &mut Reader,
    base_url: Option<&Origin>,
    redirect_uris: &[Url],
) -> Option<Url> {
    let known = |url: &Url| redirect_uris.is_empty() || redirect_uris.contains(url);
    let register = "use one of DCR_REDIRECT_URIS, or add it there";
    if reader.is_set("BFF_CALLBACK_URL") {
        let url = reader.url("BFF_CALLBACK_URL", registration::redirect_uri)?;
        if !known(&url) {
            reader.complain(
                "BFF_CALLBACK_URL",
                "is not among DCR_REDIRECT_URIS, so the identity provider would refuse it",
                register,
            );
        }
        return Some(url);
    }
    let scheme = reader.choice("BFF_DEFAULT_SCHEME", &["https", "http"]);
    if reader.is_set("BFF_DEFAULT_HOST") {
        let scheme = scheme.unwrap_or_else(|| base_url.map_or("https", |base| base.url().scheme()));
        let origin = reader.parsed("BFF_DEFAULT_HOST", |text| host(text, scheme))?;
        if let Err(complaint) = reader.check_reach("BFF_DEFAULT_HOST", origin.reach()) {
            reader.refuse("BFF_DEFAULT_HOST", complaint);
        }
        let url = origin.at(own_paths::CALLBACK);
        if !known(&url) {
            reader.complain(
                "BFF_DEFAULT_HOST",
                format!("gives the redirect URI `{url}`, which is not among DCR_REDIRECT_URIS"),
                register,
            );
        }
        return Some(url);
    }
    let base = base_url
        .map(|base| base.at(own_paths::CALLBACK))
        .filter(|url| known(url));
    let fallback = base.or_else(|| redirect_uris.first().cloned());
    if let (Some(scheme), Some(url)) = (scheme, &fallback)
        && url.scheme() != scheme
    {
        reader.complain(
            "BFF_DEFAULT_SCHEME",
            format!("differs from the scheme of the fallback `{url}`"),
            "remove it, or set BFF_DEFAULT_HOST too",
        );
    }
    if fallback.is_none() && !reader.is_set("BFF_BASE_URL") && !reader.is_set("DCR_REDIRECT_URIS") {
        reader.complain(
            "BFF_BASE_URL",
            "is required if neither DCR_REDIRECT_URIS nor BFF_CALLBACK_URL is set: no other setting says where people return to",
            "set it to the external origin of the BFF, for example `https://app.example`",
        );
    }
    fallback
}

fn host(text: &str, scheme: &str) -> Result<Origin, Complaint> {
    let not_a_host = || {
        Complaint::new(
            "is not a host",
            "write a host, with its port if it has one: `app.example:8443`",
        )
    };
    if text.contains("://") || text.contains(['/', '@', '?', '#', '\\']) {
        return Err(not_a_host());
    }
    Origin::parse(&format!("{scheme}://{text}")).map_err(|_| not_a_host())
}

fn rate(text: &str) -> Result<Option<Rate>, Complaint> {
    if text == NO_LIMIT {
        return Ok(None);
    }
    Rate::parse(text).map(Some).map_err(|error| {
        let how = format!("{}, or `{NO_LIMIT}`", limits::HOW);
        Complaint::new(error.to_string(), how)
    })
}

fn return_origins(reader: &mut Reader, entries: &[String], own: &[Origin]) -> Vec<Origin> {
    let name = "BFF_ALLOWED_REDIRECT_HOSTS";
    let mut origins = Vec::new();
    for entry in entries {
        let found = return_origin(entry, own).and_then(|origin| {
            reader.check_reach(name, origin.reach())?;
            Ok(origin)
        });
        match found {
            Ok(origin) if origins.contains(&origin) => {}
            Ok(origin) => origins.push(origin),
            Err(complaint) => reader.complain_of_entry(name, entry, complaint),
        }
    }
    origins
}

/// A bare host means https on 443, or the scheme and port registered for it; anything else is a full origin.
fn return_origin(entry: &str, own: &[Origin]) -> Result<Origin, Complaint> {
    if entry.contains('*') {
        return Err(Complaint::new(
            "has a wildcard, through which people could be sent to a host that is not yours",
            "list the hosts one by one",
        ));
    }
    if entry.contains("://") {
        return Origin::parse(entry);
    }
    let secure = host(entry, "https")?;
    if secure.url().port().is_some() {
        return Err(Complaint::new(
            "is a host with a port but without a scheme",
            format!("write the full origin, for example `{secure}`"),
        ));
    }
    // The port that is registered for it, where exactly one is.
    let mut registered = own.iter().filter(|origin| origin.host() == secure.host());
    match (registered.next(), registered.next()) {
        (Some(origin), None) => Ok(origin.clone()),
        (Some(_), Some(_)) => Err(Complaint::new(
            "is registered with several schemes or ports",
            "write the full origins",
        )),
        (None, _) => Ok(secure),
    }
}

fn cors_origins(reader: &mut Reader) -> Vec<Origin> {
    let name = "CORS__ALLOW_ORIGINS";
    let mut origins = Vec::new();
    for entry in reader.list(name).unwrap_or_default() {
        let found = cors_origin(&entry).and_then(|origin| {
            reader.check_reach(name, origin.reach())?;
            Ok(origin)
        });
        match found {
            Ok(origin) if origins.contains(&origin) => {}
            Ok(origin) => origins.push(origin),
            Err(complaint) => reader.complain_of_entry(name, &entry, complaint),
        }
    }
    for (label, entry) in reader.added(name) {
        add_origin(reader, name, label, cors_origin(&entry), &mut origins);
    }
    origins
}

fn cors_origin(entry: &str) -> Result<Origin, Complaint> {
    if entry == "*" || entry == "null" {
        return Err(Complaint::new(
            "would let any page call with a person's session",
            "list the origins one by one",
        ));
    }
    Origin::parse(entry)
}

/// Adds an origin that comes from another variable than the list `name`; its text is not quoted.
fn add_origin(
    reader: &mut Reader,
    name: &str,
    label: String,
    found: Result<Origin, Complaint>,
    origins: &mut Vec<Origin>,
) {
    let found = found.and_then(|origin| {
        reader.check_reach(name, origin.reach())?;
        Ok(origin)
    });
    match found {
        Ok(origin) if origins.contains(&origin) => {}
        Ok(origin) => origins.push(origin),
        Err(complaint) => reader.problem(label, None, complaint),
    }
}
