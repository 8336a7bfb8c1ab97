//! Whether the IdP fetches our keys: the running server counts that.

use url::Url;

use super::super::{
    Context,
    running::{self, Fetches},
};
use crate::{
    diagnostic::{Fix, Knob, fix},
    oidc::Metadata,
};

/// The fetches since the doctor began, for an IdP that is known to fetch our keys.
pub(super) struct Seen {
    /// The fact, in one line.
    pub(super) text: String,
    /// The change to make, if the fact asks for one.
    pub(super) fix: Option<Fix>,
}

/// Compares the fetches at the begin with those now. `None` if the server cannot be asked, or if another replica may
/// have served the keys.
pub(super) async fn since_the_start(context: &Context<'_>, metadata: &Metadata, from: &Url) -> Option<Seen> {
    let before = context.fetches.as_ref()?;
    let now = running::fetches(context.config).await?;
    Some(seen(before, &now, host(&metadata.token_endpoint), from))
}

fn seen(before: &Fetches, now: &Fetches, provider: &str, from: &Url) -> Seen {
    if now.count > before.count {
        return Seen {
            text: format!("{provider} has fetched {from} during this check, so it reaches this server"),
            fix: None,
        };
    }
    let last = match &before.last {
        Some(last) => format!("since {last}"),
        None => "since the server started".to_owned(),
    };
    Seen {
        text: format!(
            "nobody has fetched our keys from this server {last}: {provider} uses a copy of them, or cannot reach {}",
            host(from)
        ),
        fix: Some(fix!(
            "see that {} can reach {} (DNS, routes, firewall, certificate), which {} or {} names; if it can, have it fetch the keys \
             again",
            provider.to_owned(),
            host(from).to_owned(),
            Knob::BaseUrl,
            Knob::JwksUri
        )),
    }
}

fn host(url: &Url) -> &str {
    url.host_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_fetch_shows_that_the_idp_reaches_us() {
        let from = Url::parse("https://bff.example/.well-known/jwks.json").unwrap();
        let fetches = |count, last: Option<&str>| Fetches {
            count,
            last: last.map(str::to_owned),
        };
        let told = |before, now| seen(&before, &now, "idp.example", &from);
        let none = told(fetches(0, None), fetches(0, None));
        assert!(none.text.contains("since the server started"), "{}", none.text);
        let cached = told(
            fetches(2, Some("2026-01-01T00:00:00Z")),
            fetches(2, Some("2026-01-01T00:00:00Z")),
        );
        for part in [
            "since 2026-01-01T00:00:00Z",
            "idp.example",
            "cannot reach bff.example",
        ] {
            assert!(cached.text.contains(part), "{}", cached.text);
        }
        assert_eq!(cached.fix.unwrap().knobs(), [Knob::BaseUrl, Knob::JwksUri]);
        let seen = told(fetches(2, None), fetches(3, None));
        assert!(seen.text.contains("reaches this server") && seen.fix.is_none());
    }
}
